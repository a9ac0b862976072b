#include "tests/support_sweep.h"

#include "concurrency/atomics.h"
#include "lib/collector/collector.h"

/* What a round makes and drops besides. */
#define RINGS 200

uint64_t swept(void)
{
    return gari__load_relaxed(&gari__collector.swept);
}

void make_rings(void)
{
    static const size_t lengths[] = {1, 2, 3, 10, 1, 25};
    for (size_t i = 0; i < RINGS; i++)
        make_garbage_ring(&node_type, lengths[i % (sizeof lengths / sizeof *lengths)]);
}

size_t play(void (*round)(size_t number))
{
    uint64_t first = swept();
    size_t number = 0;
    while (swept() - first < SWEEPS) {
        cr_assert(number < ROUNDS, "after %zu rounds %d collections have swept", number,
                  (int)(swept() - first));
        if (round)
            round(number);
        make_rings();
        number++;
    }
    assert_heap_sound();
    return number;
}

void make_rings_until(bool (*done)(void))
{
    for (size_t i = 0; i < ROUNDS && !done(); i++)
        make_rings();
    cr_assert(done());
}

long watched_made;

bool all_are_disposed_of(void)
{
    return disposed_count() == watched_made;
}
