#include "concurrency/grace.h"
#include "lib/collector/collector.h"
#include "lib/object/finalize.h"
#include "lib/object/limbo.h"

#include <errno.h>

/* Without the collector's lock: its holder may be waiting for a read section that the caller is in. */
static gari_generation_stats read_generation(const gari_generation_stats *stats)
{
    gari_generation_stats read = {
        .collections = gari__load_relaxed(&stats->collections),
        .collected = gari__load_relaxed(&stats->collected),
        .uncollectable = gari__load_relaxed(&stats->uncollectable),
        .candidates = gari__load_relaxed(&stats->candidates),
        .examined = gari__load_relaxed(&stats->examined),
        .time_ns = gari__load_relaxed(&stats->time_ns),
        .longest_ns = gari__load_relaxed(&stats->longest_ns),
    };
    for (int i = 0; i < GARI_TIME_BUCKETS; i++)
        read.histogram[i] = gari__load_relaxed(&stats->histogram[i]);
    return read;
}

int gari_get_stats(gari_stats *stats)
{
    if (stats->struct_size != sizeof *stats)
        return EINVAL;
    struct gari__tally sum = gari__tally_sum();
    uint64_t allocated = sum.tracked.count + sum.untracked.count;
    struct gari__limbo_stats limbo = gari__limbo_read_stats();
    struct gari__grace_stats grace = gari__grace_read_stats();
    *stats = (gari_stats){
        .struct_size = sizeof *stats,
        .allocated = allocated,
        .freed_by_count = sum.freed_by_count,
        .freed_by_cycles = sum.freed_by_cycles,
        .objects_live = allocated - sum.freed_by_count - sum.freed_by_cycles,
        .bytes_live = sum.allocated_bytes - sum.freed_bytes,
        .objects_waiting = limbo.objects,
        .bytes_waiting = limbo.bytes,
        .heap_bytes = gari__heap_bytes(),
        .heap_peak_bytes = gari__heap_peak_bytes(),
        .grace_periods = grace.periods,
        .grace_longest_ns = grace.longest_ns,
        .longest_wait_ns = gari__load_relaxed(&gari__collector.longest_wait),
        .helped = gari__load_relaxed(&gari__collector.helped),
        .threads = gari__thread_count(),
        .finalizers_called = gari__finalize_called(),
        .finalizers_waiting = gari__finalize_waiting(),
    };
    for (int i = 0; i < 3; i++)
        stats->generation[i] = read_generation(&gari__collector.stats[i]);
    return 0;
}
