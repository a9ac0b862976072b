/* Blocks with candidates, on their way from the threads to a collection. */
#include "lib/collector/collector.h"
#include "lib/object/self.h"
#include "tests/support.h"

TestSuite(seeds, .timeout = 60);

/* So that few are in a block. */
struct bulk {
    gari_object header;
    gari_ref any;
    char room[1000];
};
static const gari_type bulk_type = GARI_TYPE(struct bulk, .refs = GARI_REFS(struct bulk, any));

#define OBJECTS 2000
#define BUDGET 16

static enum gari__slice drive(void)
{
    uint64_t ticket;
    struct gari__object_thread *self = gari__enter("the test");
    gari__collector_lock();
    enum gari__slice slice = gari__drive_slice(self, BUDGET, true, false, &ticket);
    gari__collector_unlock();
    gari__leave(self);
    return slice;
}

/* While threads make blocks dirty faster than they are taken over, that comes to an end nevertheless: with
 * those that were dirty when it began. Then it is looked for candidates that have waited long. */
Test(seeds, of_blocks_that_are_rewired_all_the_time_are_taken_over_in_rounds)
{
    use_manual_mode();
    gari_set_threshold(1000000, 10, 10);
    static struct bulk *bulk[OBJECTS];
    for (size_t i = 0; i < OBJECTS; i++)
        cr_assert((bulk[i] = gari_new(&bulk_type)) != NULL);
    gari_collect(2);

    size_t next = 0;
    int slices = 0;
    do {
        /* Far apart: each of another block. */
        for (size_t i = 0; i < 2 * BUDGET; i++, next++) {
            cr_assert(next < OBJECTS, "%d slices, and no end", slices);
            struct bulk *one = bulk[next * 61 % OBJECTS];
            gari_decref(gari_incref(one));
        }
        slices++;
    } while (drive() == GARI__SLICE_WORKED);
    cr_assert(slices > 1, "a round of one slice is no test");
    for (size_t i = 0; i < OBJECTS; i++)
        gari_decref(bulk[i]);
    assert_nothing_left();
}
