/* Passes whose tables cannot grow, where test_without_tables does not come: a sweep, a pass beside the one that
 * has the reserve, and a proof that cannot look at all that leaves its set. */
#include "concurrency/atomics.h"
#include "concurrency/fault.h"
#include "lib/collector/collector.h"
#include "tests/support.h"

#include <limits.h>
#include <time.h>

TestSuite(tables, .timeout = 120);

/* More than are reserved: 4,096 members, as many in the queue (lib/collector/tables.c). */
#define MANY 5000

static void refuse_tables(bool refuse)
{
    struct gari__faults faults = {.kinds = GARI__FAULT_TABLE, .first = 1, .last = LONG_MAX};
    gari__faults_arm(refuse ? &faults : NULL);
}

static struct gari__pass *const old = &gari__collector.pass[GARI__OLD];

static uint64_t collections(int generation)
{
    return stats_now().generation[generation].collections;
}

/* Until so many collections of generation 0 are over; the next one is due. */
static void step_until(uint64_t count)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* two are 10 ms apart */
    while (collections(0) < count)
        gari_step(1000);
}

Test(tables, limit_what_a_sweep_finds)
{
    use_manual_mode();
    make_garbage_ring(&node_type, 1000);
    step_until(1); /* all was garbage: the next one sweeps */
    assert_equal(stats_now().objects_live, 0);
    make_garbage_ring(&node_type, MANY);
    refuse_tables(true);
    step_until(2);
    cr_assert(gari__faults_met() > 0);
    refuse_tables(false);
    assert_equal(gari__load_relaxed(&gari__collector.swept), 1);
    assert_equal(stats_now().objects_live, MANY);
    assert_heap_sound();
    assert_equal(gari_collect(2), MANY);
    assert_nothing_left();
}

Test(tables, that_are_another_pass_s_let_candidates_wait)
{
    use_manual_mode();
    gari_set_threshold(1000000, 10, 10);
    struct node *ring = new_still_ring(&node_type, 1000);
    gari_collect(2);
    gari_decref(ring);
    refuse_tables(true);
    while (old->phase < GARI__GATHER)
        gari_step(1);
    cr_assert(old->memory_short);
    refuse_tables(false);
    make_garbage_ring(&node_type, 1000);
    gari_set_threshold(700, 10, 10);
    refuse_tables(true);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    while (collections(0) < 1)
        gari_step(1);
    cr_assert(old->phase != GARI__IDLE);
    assert_equal(stats_now().generation[0].collected, 0);
    refuse_tables(false);
    assert_heap_sound();
    gari_collect(2);
    assert_equal(stats_now().objects_live, 0);
    assert_nothing_left();
}

/* What leaves a proof's set is more than the queue has room for. The rest of the set hangs on that, and must not
 * be taken for garbage. */
Test(tables, too_small_for_what_leaves_a_proof_take_nothing_that_lives)
{
    use_manual_mode();
    gari_set_threshold(1000000, 10, 10);
    gari_decref(new_still_ring(&node_type, 2 * MANY + 1));
    gari_collect(2); /* so that there is room for as many members */
    struct vec *wide = new_vec(MANY);
    for (int i = 0; i < MANY; i++) {
        struct node *node = new_chain(&node_type, 2);
        gari_init(&node->any, gari_incref(wide));
        gari_init(&wide->items[i], node);
    }
    gari_weakref *weakref = gari_weakref_new(wide, NULL, NULL);
    gari_decref(wide);
    refuse_tables(true);
    while (old->phase != GARI__V2)
        gari_step(1);
    assert_equal(old->member_count, 2 * MANY + 1);
    cr_assert(gari_weakref_get(weakref) == wide);
    struct node *node = gari_load(&wide->items[MANY - 1]);
    gari_store(&node->any, NULL); /* an edge that V2 comes too late for */
    gari_decref(node);
    while (!old->recount && old->phase != GARI__IDLE)
        gari_step(1);
    cr_assert(old->recount);
    while (old->phase != GARI__IDLE)
        gari_step(1000);
    refuse_tables(false);
    assert_equal(stats_now().objects_live, 2 * MANY + 2);
    assert_heap_sound();
    gari_decref(weakref);
    gari_decref(wide);
    assert_equal(gari_collect(2), 2 * MANY + 1);
    assert_nothing_left();
}
