/* demo on gari: the example's own graph. */
#include "bench/gari_peer.h"
#include "examples/pkggraph/lookup.h"

static archive_root current;

static void demo_begin(void)
{
    gari_peer_configure();
}

static void demo_load(const struct catalog *catalog, uint64_t serial)
{
    struct archive *archive = index_build(catalog, serial, NULL, NULL);
    bench_check(archive != NULL, "out of memory");
    gari_move(&current, archive);
}

static archive_root *demo_current(void)
{
    return &current;
}

static void demo_withdraw(void)
{
    gari_store(&current, NULL);
}

static void demo_end(void);
#include "bench/demo/demo.h"

static void demo_end(void)
{
    gari_stats stats = gari_peer_stats();
    bench_put("heap_peak_mb", (double)stats.heap_peak_bytes / 1e6);
    bench_put("longest_wait_us", (double)stats.longest_wait_ns / 1e3);
    gari_peer_end();
}
