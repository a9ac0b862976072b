/* When old objects are looked at, and how much of the time that takes. The clocks are the test's. */
#include "concurrency/grace.h"
#include "lib/collector/collector.h"
#include "lib/object/self.h"
#include "tests/clocks.h"
#include "tests/support.h"

TestSuite(pacing, .timeout = 60);

#define MS UINT64_C(1000000)
/* What each slice takes of a processor, and the rest that follows. */
#define SLICE (4 * MS)
#define REST (19 * SLICE)
#define BUDGET 64
#define LENGTH ((size_t)BUDGET * 40)

/* ---- Patience ----------------------------------------------------------------------------- */

/* A pass over everything for the sake of candidates that have waited long, though nothing grows, takes a
 * twentieth of the time (GARI__PATIENCE_SHARE): after each slice it rests for nineteen times as long as that
 * took of a processor. */

static struct {
    uint64_t wall, cpu;
    bool working;
} ns;

static uint64_t wall_ns(void)
{
    return ns.wall;
}

/* Asked before a slice and after it. */
static uint64_t cpu_ns(void)
{
    if (ns.working) {
        ns.cpu += SLICE;
        ns.wall += SLICE;
    }
    ns.working = !ns.working;
    return ns.cpu;
}

static struct gari__pass *const old = &gari__collector.pass[GARI__OLD];

/* As the background thread does, or, `eager`, as gari_step. */
static enum gari__slice drive(bool eager)
{
    uint64_t ticket;
    struct gari__object_thread *self = gari__enter("the test");
    gari__collector_lock();
    enum gari__slice slice = gari__drive_slice(self, BUDGET, true, eager, &ticket);
    gari__collector_unlock();
    if (slice == GARI__SLICE_WAITS)
        gari__grace_wait(ticket, 0);
    gari__leave(self);
    return slice;
}

static struct node *new_old_ring(void)
{
    use_manual_mode();
    gari_set_threshold(1000000, 10, 10);
    struct node *ring = new_ring(&node_type, LENGTH);
    gari_collect(2);
    return ring;
}

/* Makes the ring a candidate and lets time pass until that has waited so long that a pass over old objects begins;
 * it has done its first slice. */
static void await_pass(struct node *ring)
{
    gari_incref(ring);
    gari_decref(ring);
    ns.wall = system_clock(CLOCK_MONOTONIC);
    answer_clock(CLOCK_MONOTONIC, wall_ns);
    answer_clock(CLOCK_THREAD_CPUTIME_ID, cpu_ns);
    uint64_t first = ns.wall;
    while (old->phase == GARI__IDLE) {
        cr_assert(ns.wall - first < 10 * GARI__PATIENCE_NS);
        drive(false);
        ns.wall += 10 * MS;
    }
    cr_assert(ns.wall - first >=
              GARI__PATIENCE_NS / GARI__PATIENCE_TICKS * (GARI__PATIENCE_TICKS - 1));
    ns.wall -= 10 * MS;
    cr_assert(old->paced);
}

static struct node *begin(void)
{
    struct node *ring = new_old_ring();
    await_pass(ring);
    return ring;
}

static void end(struct node *ring)
{
    answer_clock(CLOCK_MONOTONIC, NULL);
    answer_clock(CLOCK_THREAD_CPUTIME_ID, NULL);
    if (ring)
        gari_decref(ring);
    gari_collect(2);
    assert_nothing_left();
}

/* It looks for what is to be proved. */
static bool guesses(void)
{
    return old->phase != GARI__IDLE && !gari__pass_in_proof(old);
}

Test(pacing, of_patience_rests_nineteen_times_as_long_as_it_has_worked)
{
    struct node *ring = begin();
    size_t slices = 1;
    uint64_t first = ns.wall;
    while (guesses()) {
        uint64_t last = ns.wall;
        assert_equal(drive(false), GARI__SLICE_RESTS);
        ns.wall = last + REST - 1;
        assert_equal(drive(false), GARI__SLICE_RESTS);
        ns.wall = last + REST;
        assert_equal(drive(false), GARI__SLICE_WORKED);
        slices++;
    }
    cr_assert(slices > LENGTH / BUDGET, "%zu slices are no test", slices);
    assert_equal(ns.wall - first, (slices - 1) * (SLICE + REST));
    assert_equal(ring_length(ring), LENGTH);
    end(ring);
}

/* Of a busy machine the time that counts is that of the processor. */
Test(pacing, of_patience_takes_a_twentieth_of_the_time_at_most)
{
    struct node *ring = begin();
    size_t slices = 1;
    uint64_t first = ns.wall;
    while (guesses()) {
        slices += drive(false) == GARI__SLICE_WORKED;
        ns.wall += 3 * MS;
        assert_at_most((slices - 1) * SLICE, (ns.wall - first) / GARI__PATIENCE_SHARE + SLICE);
    }
    end(ring);
}

Test(pacing, of_patience_rests_in_no_proof)
{
    gari_decref(begin());
    size_t slices = 0;
    while (old->phase != GARI__IDLE) {
        bool in_proof = gari__pass_in_proof(old);
        bool rested = drive(false) == GARI__SLICE_RESTS;
        cr_assert(rested != in_proof);
        slices += in_proof;
        if (rested) {
            ns.wall += REST;
            cr_assert(drive(false) != GARI__SLICE_RESTS);
        }
    }
    cr_assert(slices > LENGTH / BUDGET, "%zu slices are no test", slices);
    assert_equal(stats_now().generation[2].collected, LENGTH);
    end(NULL);
}

Test(pacing, of_patience_is_over_when_the_heap_has_grown_by_a_quarter)
{
    struct node *ring = begin();
    assert_equal(drive(false), GARI__SLICE_RESTS);
    struct node *more = new_chain(&node_type, LENGTH / 8);
    assert_equal(drive(false), GARI__SLICE_RESTS);
    struct node *much_more = new_chain(&node_type, LENGTH / 4);
    while (old->phase != GARI__IDLE)
        assert_equal(drive(false), GARI__SLICE_WORKED);
    gari_decref(more);
    gari_decref(much_more);
    end(ring);
}

/* Who helps with those that are late would walk the old objects besides. */
Test(pacing, of_patience_goes_on_while_young_collections_are_late)
{
    struct node *ring = begin();
    assert_equal(drive(false), GARI__SLICE_RESTS);
    while (gari__schedule_debt() <= GARI__NURSERY_BYTES)
        gari_decref(new_node(&node_type, 0));
    assert_equal(drive(false), GARI__SLICE_RESTS);
    ns.wall += REST;
    assert_equal(drive(false), GARI__SLICE_WORKED);
    assert_equal(drive(false), GARI__SLICE_RESTS);
    end(ring);
}

static void *new_text(size_t bytes)
{
    void *text = gari_new_items(&text_type, bytes);
    cr_assert(text != NULL);
    return text;
}

/* In a large heap that is before it has grown by a quarter. */
Test(pacing, of_patience_is_over_when_the_heap_outgrows_the_pass)
{
    enum { BYTES = 1 << 20, TEXTS = 200, MORE = 42 };
    gari_object *texts[TEXTS + MORE];
    struct node *ring = new_old_ring();
    for (int i = 0; i < TEXTS; i++)
        texts[i] = new_text(BYTES);
    gari_collect(0); /* without candidates: they are known to be alive */
    await_pass(ring);
    assert_equal(drive(false), GARI__SLICE_RESTS);
    for (int i = TEXTS; i < TEXTS + MORE; i++)
        texts[i] = new_text(BYTES);
    cr_assert(!gari__schedule_has_grown());
    while (old->phase != GARI__IDLE)
        assert_equal(drive(false), GARI__SLICE_WORKED);
    for (int i = 0; i < TEXTS + MORE; i++)
        gari_decref(texts[i]);
    end(ring);
}

Test(pacing, of_patience_is_not_for_who_asks)
{
    struct node *ring = begin();
    assert_equal(drive(false), GARI__SLICE_RESTS);
    while (old->phase != GARI__IDLE)
        assert_equal(drive(true), GARI__SLICE_WORKED);
    end(ring);
}

/* ---- The younger of the old --------------------------------------------------------------- */

static uint64_t examined(int generation)
{
    return stats_now().generation[generation].examined;
}

/* Of what dies when it has outlived generation 1 some is found while nothing grows, and the graph that it refers
 * to is not walked for that. */
Test(pacing, of_a_heap_that_does_not_grow_looks_at_the_younger_of_the_old)
{
    enum { ROUNDS = 40 };
    use_manual_mode();
    gari_set_threshold(1, 1, 1);
    struct node *graph = new_still_ring(&node_type, LENGTH);
    gari_collect(2);
    uint64_t before = examined(2);
    ns.wall = system_clock(CLOCK_MONOTONIC);
    answer_clock(CLOCK_MONOTONIC, wall_ns);
    _Static_assert(ROUNDS * GARI__YOUNG_INTERVAL_NS < GARI__PATIENCE_NS / 2, "nobody is impatient");
    struct node *rings[ROUNDS];
    int dropped = 0;
    for (int round = 0; round < ROUNDS; round++) {
        rings[round] = new_still_ring(&watched_type, 2);
        gari_store(&rings[round]->any, graph);
        while (dropped < round && gari_generation(rings[dropped]) == 2)
            gari_decref(rings[dropped++]);
        ns.wall += GARI__YOUNG_INTERVAL_NS;
        while (drive(false) != GARI__SLICE_IDLE)
            continue;
    }
    cr_assert(stats_now().generation[2].collections > 1);
    cr_assert(disposed_count() > 0);
    assert_at_most(examined(2) - before, LENGTH / 2);
    answer_clock(CLOCK_MONOTONIC, NULL);
    while (dropped < ROUNDS)
        gari_decref(rings[dropped++]);
    gari_decref(graph);
    gari_collect(2);
    assert_nothing_left();
}

/* ---- A pass over the old that lags -------------------------------------------------------- */

/* Garbage, and the first step of a pass that looks for it. */
static void open_old(void)
{
    use_manual_mode();
    gari_set_threshold(1000000, 10, 10);
    struct node *ring = new_still_ring(&watched_type, LENGTH);
    gari_collect(2);
    gari_decref(ring);
    gari_step(1);
    cr_assert(old->phase != GARI__IDLE);
}

Test(pacing, of_a_pass_may_take_so_long_that_stamps_overtake_it)
{
    open_old();
    uint64_t passes = stats_now().generation[2].collections;
    for (unsigned i = 0; i <= 2 * GARI__RESTAMP_EVERY; i++)
        gari_collect(0);
    while (old->phase != GARI__IDLE)
        gari_step(1000);
    assert_equal(stats_now().generation[2].collections, passes + 1);
    assert_heap_sound();
    gari_collect(2);
    assert_equal(disposed_count(), LENGTH);
    assert_nothing_left();
}

/* What refers to it was a candidate when the pass began, so it is found with that. */
Test(pacing, of_a_pass_that_finds_more_than_there_was_when_it_began_goes_on_as_before)
{
    use_manual_mode();
    gari_set_threshold(1000000, 10, 10);
    struct node *ring = new_still_ring(&watched_type, LENGTH), *node = ring;
    gari_collect(2);
    gari_read_begin();
    for (size_t i = 0; i < LENGTH; i++, node = gari_borrow(&node->next))
        gari_decref(gari_incref(node));
    gari_read_end();
    while (old->phase == GARI__IDLE)
        gari_step(1); /* it lists the blocks first */
    assert_equal(old->phase, GARI__SEEDING);
    gari_move(&ring->any, new_still_ring(&watched_type, 4 * LENGTH));
    gari_decref(ring);
    while (old->phase != GARI__IDLE)
        gari_step(1000);
    assert_equal(disposed_count(), 5 * LENGTH);
    node = new_chain(&node_type, LENGTH);
    cr_assert(gari__schedule_has_grown());
    gari_decref(node);
    assert_nothing_left();
}

/* Young collections go on meanwhile; that they keep up is no reason to let the heap grow. */
Test(pacing, of_those_who_allocate_goes_by_a_heap_that_outgrows_an_old_pass)
{
    enum { TEXTS = 40, BYTES = 1 << 20 };
    open_old();
    gari_object *texts[TEXTS];
    for (int i = 0; i < TEXTS; i++)
        texts[i] = gari_new_items(&text_type, BYTES);
    gari_collect(0);
    cr_assert(gari__schedule_debt() > (TEXTS / 2) * BYTES);
    while (old->phase != GARI__IDLE)
        gari_step(1000);
    assert_equal(gari__schedule_debt(), 0);
    for (int i = 0; i < TEXTS; i++)
        gari_decref(texts[i]);
    gari_collect(2);
    assert_nothing_left();
}
