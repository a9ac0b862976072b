/* Young collections that sweep (lib/collector/sweep.c): when they come, what they find, and what they leave
 * for later.
 *
 * They come by themselves, where young objects are mostly garbage; so each test makes rings and drops them
 * in inline mode, with what it is about among them, until so many have swept. Between two rounds about
 * everything is looked at again. */
#include "lib/collector/collector.h"
#include "lib/object/candidate.h"
#include "lib/object/count.h"
#include "tests/support_sweep.h"

#include <sched.h>

TestSuite(sweep, .timeout = 120);

static size_t live(void)
{
    return stats_now().objects_live;
}

/* ---- When there are sweeps ------------------------------------------------------------------ */

Test(sweep, of_what_is_mostly_garbage_keeps_the_heap_small)
{
    use_mode(GARI_MODE_INLINE);
    size_t made = 0, most = 0;
    for (size_t i = 0; swept() < SWEEPS; i++, made += 1400) {
        cr_assert(i < ROUNDS);
        make_rings();
        if (live() > most)
            most = live();
    }
    cr_assert(collections_of(0) >= SWEEPS);
    assert_at_most(most, 300000);
    uint64_t collected = stats_now().generation[0].collected;
    cr_assert(collected > made / 2, "%zu of %zu", (size_t)collected, made);
    assert_nothing_left();
}

Test(sweep, does_not_come_where_young_objects_live)
{
    use_mode(GARI_MODE_INLINE);
    struct node *kept = NULL;
    for (size_t made = 0; collections_of(0) < SWEEPS / 2; made++) {
        cr_assert(made < 10000000);
        struct node *node = new_node(&node_type, 0);
        gari_decref(gari_incref(node));
        if (kept)
            gari_move(&node->next, kept);
        kept = node;
        assert_equal(swept(), 0);
    }
    gari_decref(kept);
    assert_nothing_left();
}

Test(sweep, is_not_what_a_collection_that_is_asked_for_does)
{
    use_mode(GARI_MODE_INLINE);
    play(NULL);
    gari_disable();
    gari_collect(2);
    uint64_t before = swept();
    for (int i = 0; i < 10; i++) {
        make_rings();
        gari_collect(0);
    }
    assert_equal(swept(), before);
    gari_enable();
    assert_nothing_left();
}

struct marks {
    size_t stale, slots, held;
};

static void count_stale(struct gari__block *block, void *arg)
{
    struct marks *marks = arg;
    uint32_t carved = gari__load_acquire(&block->carved);
    bool marked = false;
    for (uint32_t slot = 0; slot < carved; slot++) {
        uint64_t word = gari__load_acquire((uint64_t *)gari__slot_at(block, slot));
        marked |= gari__candidate_bit(block, slot);
        marks->stale += gari__candidate_bit(block, slot) && !gari__is_alive(word);
        marks->slots++;
    }
    marks->held += gari__load_relaxed(&block->gathered) && !marked;
}

/* Otherwise blocks would go on being looked at, and held, for candidates that are long gone. */
Test(sweep, leaves_no_bit_where_it_has_reclaimed_a_candidate_and_no_block_without)
{
    use_mode(GARI_MODE_INLINE);
    play(NULL);
    struct gari__object_thread *self = gari__enter("the test");
    gari__collector_lock();
    gari__drive_idle(self);
    struct marks marks = {0, 0, 0};
    gari__runs_walk(count_stale, &marks);
    gari__collector_unlock();
    gari__leave(self);
    cr_assert(marks.slots > 1000);
    assert_equal(marks.stale, 0);
    assert_equal(marks.held, 0);
    assert_nothing_left();
}

/* ---- What is found later -------------------------------------------------------------------- */

/* The one is a candidate and the other is not, and lies in another block, which no sweep touches. Not in
 * every collection: where each takes few blocks, as on a slow machine, the one that the other lies in is too
 * large a part of them for a sweep to be worth it. */
static void drop_ring_of_two_blocks(size_t number)
{
    if (number % 16)
        return;
    struct node *near = new_node(&node_type, 0), *far = new_node(&watched_type, 0);
    watched_made++;
    gari_store(&far->next, near);
    gari_init(&near->next, far);
    gari_decref(near);
}

Test(sweep, leaves_what_crosses_blocks_to_a_later_collection)
{
    use_mode(GARI_MODE_INLINE);
    while (watched_made < SWEEPS)
        play(drop_ring_of_two_blocks);
    make_rings_until(all_are_disposed_of);
    assert_nothing_left();
}

/* So long that it needs several blocks. */
static void drop_long_ring(size_t number)
{
    if (number % 4 == 0) {
        make_garbage_ring(&watched_type, 3000);
        watched_made += 3000;
    }
}

Test(sweep, finds_rings_of_many_blocks_sooner_or_later)
{
    use_mode(GARI_MODE_INLINE);
    play(drop_long_ring);
    make_rings_until(all_are_disposed_of);
    assert_nothing_left();
}

/* ---- Candidates because of which nothing is swept ------------------------------------------- */

static void traverse(void *self, gari_visit visit, void *arg)
{
    struct node *node = self;
    GARI_VISIT(&node->next, visit, arg);
    GARI_VISIT(&node->any, visit, arg);
}

static const gari_type traversed_type = GARI_TYPE(struct node, .traverse = traverse);

/* Collections come, none of them sweeps, and all is collected. */
static void check_that_nothing_is_swept(void (*round)(void))
{
    use_mode(GARI_MODE_INLINE);
    size_t most = 0;
    for (size_t i = 0; collections_of(0) < SWEEPS; i++) {
        cr_assert(i < ROUNDS);
        for (int j = 0; j < 20; j++) {
            round();
            make_garbage_ring(&node_type, 3);
        }
        if (live() > most)
            most = live();
    }
    assert_equal(swept(), 0);
    assert_at_most(most, 300000);
    cr_assert(stats_now().generation[0].collected > 0);
    play(NULL); /* without them there are sweeps again */
    settle();
    assert_nothing_left();
}

static void drop_traversed(void)
{
    make_garbage_ring(&traversed_type, 2);
}

Test(sweep, does_not_come_with_candidates_that_have_a_traverse_callback)
{
    check_that_nothing_is_swept(drop_traversed);
}

static bool bars, over; /* atomically */

/* As one who takes apart what has died late. */
static void *bar_walks(void *arg)
{
    (void)arg;
    check(gari__walks_bar());
    gari__store_release(&bars, true);
    while (!gari__load_acquire(&over))
        sched_yield();
    gari__walks_allow();
    return NULL;
}

/* That it may not is known only when all blocks have been looked at, and their candidates left for the sweep. */
Test(sweep, that_may_not_be_takes_its_candidates_after_all)
{
    use_mode(GARI_MODE_INLINE);
    play(NULL);
    pthread_t thread = start_thread(bar_walks, NULL);
    while (!gari__load_acquire(&bars))
        sched_yield();
    uint64_t before = swept();
    for (int i = 0; i < 5; i++) {
        size_t collections = collections_of(0);
        uint64_t collected = stats_now().generation[0].collected;
        while (collections_of(0) == collections)
            make_garbage_ring(&node_type, 3);
        cr_assert(stats_now().generation[0].collected > collected, "in collection %d", i);
    }
    assert_at_most(swept() - before, 1); /* which had begun */
    gari__store_release(&over, true);
    join_thread(thread);
    assert_nothing_left();
}

/* Each has a block of its own. */
struct large {
    gari_object header;
    gari_ref self;
    unsigned char bytes[10000];
};
static const gari_type large_type = GARI_TYPE(struct large, .refs = GARI_REFS(struct large, self));

static void drop_large(void)
{
    struct large *large = gari_new(&large_type);
    cr_assert(large);
    gari_move(&large->self, large);
}

Test(sweep, does_not_come_with_large_candidates)
{
    check_that_nothing_is_swept(drop_large);
}

/* Small arrays are as good as any. */
static void drop_small_vec(size_t number)
{
    struct vec *vec = new_vec(1 + number % 20);
    struct node *node = new_node(&watched_type, 0);
    watched_made++;
    gari_store(&node->any, vec);
    gari_move(&vec->items[number % vec->length], node);
    gari_decref(vec);
}

Test(sweep, finds_arrays)
{
    use_mode(GARI_MODE_INLINE);
    play(drop_small_vec);
    make_rings_until(all_are_disposed_of);
    assert_nothing_left();
}

/* ---- Several threads ------------------------------------------------------------------------ */

static void *make_and_drop(void *arg)
{
    (void)arg;
    GARI_ROOT(struct node) mine = {{NULL}};
    for (size_t i = 0; i < ROUNDS && swept() < SWEEPS; i++) {
        struct node *ring = new_double_ring(&node_type, 2 + i % 5);
        gari_store(&ring->any, ring);
        gari_move(&mine, ring);
        make_rings();
        ring = gari_load(&mine);
        check(ring_length(ring) == 2 + i % 5);
        gari_decref(ring);
    }
    gari_store(&mine, NULL);
    return NULL;
}

Test(sweep, comes_with_several_threads)
{
    use_mode(GARI_MODE_INLINE);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = start_thread(make_and_drop, NULL);
    for (int i = 0; i < 3; i++)
        join_thread(threads[i]);
    cr_assert(swept() >= SWEEPS);
    assert_nothing_left();
}
