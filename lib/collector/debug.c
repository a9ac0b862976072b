#include "lib/collector/debug.h"

#include "concurrency/fatal.h"

#include <errno.h>

#define ALL_FLAGS (GARI_DEBUG_STATS | GARI_DEBUG_LEAK)

static unsigned debug;

int gari_set_debug(unsigned flags)
{
    if (flags & ~ALL_FLAGS)
        return EINVAL;
    gari__store_relaxed(&debug, flags);
    return 0;
}

unsigned gari_get_debug(void)
{
    return gari__load_relaxed(&debug);
}

void gari__debug_object(const char *verdict, const gari_object *object)
{
    gari__say("%s <%s %p>", verdict, gari__shape_of(object)->type.name, (const void *)object);
}

void gari__debug_begin(const struct gari__pass *pass)
{
    if (!(gari_get_debug() & GARI_DEBUG_STATS))
        return;
    size_t count[3];
    gari_get_count(count);
    struct gari__tally sum = gari__tally_sum();
    gari__say("collecting generation %d; counts %zu %zu %zu; %llu tracked objects alive",
              pass->generation, count[0], count[1], count[2],
              (unsigned long long)(sum.tracked.count - sum.tracked_freed));
}

void gari__debug_end(const struct gari__pass *pass, uint64_t took_ns)
{
    if (!(gari_get_debug() & GARI_DEBUG_STATS))
        return;
    gari__say("collected generation %d: %llu collected, %llu uncollectable, %llu candidates, "
              "%llu examined, %.6f s",
              pass->generation, (unsigned long long)pass->collected,
              (unsigned long long)pass->uncollectable, (unsigned long long)pass->candidates,
              (unsigned long long)pass->examined, (double)took_ns / 1e9);
}
