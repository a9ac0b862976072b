/* Young collections that sweep (lib/collector/sweep.c): what they find, what they leave for later, and what
 * they must not touch.
 *
 * They come by themselves, where young objects are mostly garbage; so each test makes rings and drops them
 * in inline mode, with what it is about among them, until so many have swept. Between two rounds about
 * everything is looked at again. */
#include "concurrency/atomics.h"
#include "concurrency/word.h"
#include "lib/collector/collector.h"
#include "tests/support.h"

TestSuite(sweep, .timeout = 120);

#define SWEEPS (SANITIZED ? 5 : 20)
#define ROUNDS 10000
/* What a round makes and drops besides, so that a collection comes every few rounds. */
#define RINGS 200

static uint64_t swept(void)
{
    return gari__load_relaxed(&gari__collector.swept);
}

static uint64_t collections(int generation)
{
    return stats_now().generation[generation].collections;
}

static size_t live(void)
{
    return stats_now().objects_live;
}

/* Rings of several sizes, all within a block, but for a few of each. */
static void make_rings(void)
{
    static const size_t lengths[] = {1, 2, 3, 10, 1, 25};
    for (size_t i = 0; i < RINGS; i++)
        make_garbage_ring(&node_type, lengths[i % (sizeof lengths / sizeof *lengths)]);
}

/* Plays the round until so many collections have swept; returns how often. */
static size_t play(void (*round)(size_t number))
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

/* Nothing is asked for: collections of all generations come as they are due. */
static void make_rings_until(bool (*done)(void))
{
    for (size_t i = 0; i < ROUNDS && !done(); i++)
        make_rings();
    cr_assert(done());
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
    cr_assert(collections(0) >= SWEEPS);
    assert_at_most(most, 300000);
    uint64_t collected = stats_now().generation[0].collected;
    cr_assert(collected > made / 2, "%zu of %zu", (size_t)collected, made);
    assert_nothing_left();
}

Test(sweep, does_not_come_where_young_objects_live)
{
    use_mode(GARI_MODE_INLINE);
    struct node *kept = NULL;
    for (size_t made = 0; collections(0) < SWEEPS / 2; made++) {
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

/* ---- What is found later -------------------------------------------------------------------- */

static long watched_made;

static bool all_are_disposed_of(void)
{
    return disposed_count() == watched_made;
}

/* The one is a candidate and the other is not, and lies in another block, which no sweep touches. */
static void drop_ring_of_two_blocks(size_t number)
{
    (void)number;
    struct node *near = new_node(&node_type, 0), *far = new_node(&watched_type, 0);
    watched_made++;
    gari_store(&far->next, near);
    gari_init(&near->next, far);
    gari_decref(near);
}

Test(sweep, leaves_what_crosses_blocks_to_a_later_collection)
{
    use_mode(GARI_MODE_INLINE);
    play(drop_ring_of_two_blocks);
    cr_assert(watched_made >= SWEEPS);
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

/* ---- What lives ----------------------------------------------------------------------------- */

#define SURVIVORS 300
static GARI_ROOT(struct node) survivors[SURVIVORS];

/* Replaces a tenth of the survivors; the others are as they were. All are candidates again and again. */
static void check_survivors(size_t number)
{
    for (size_t i = 0; i < SURVIVORS; i++) {
        if (number == 0 || i % 10 == number % 10) {
            struct node *ring = new_double_ring(&watched_type, 1 + i % 7);
            watched_made += 1 + (long)i % 7;
            ring->value = (long)i;
            gari_move(&survivors[i], ring);
        }
        struct node *ring = gari_load(&survivors[i]);
        assert_equal(ring->value, (long)i);
        assert_equal(ring_length(ring), 1 + i % 7);
        gari_decref(ring);
    }
}

Test(sweep, spares_what_roots_hold)
{
    use_mode(GARI_MODE_INLINE);
    play(check_survivors);
    for (size_t i = 0; i < SURVIVORS; i++)
        gari_store(&survivors[i], NULL);
    make_rings_until(all_are_disposed_of);
    assert_nothing_left();
}

/* Held only by a ring that is held: V3 refuses nothing of it but the first. */
static void check_chain(size_t number)
{
    struct node *first = number == 0 ? new_node(&watched_type, 0) : gari_load(&survivors[0]);
    if (number == 0)
        gari_store(&survivors[0], first);
    struct node *added = new_ring(&watched_type, 2);
    watched_made += 2 + (number == 0);
    gari_move(&added->any, gari_take(&first->any));
    gari_move(&first->any, added);
    size_t length = 0;
    gari_read_begin();
    for (struct node *node = gari_borrow(&first->any); node; node = gari_borrow(&node->any))
        length += ring_length(node);
    gari_read_end();
    assert_equal(length, 2 * (number + 1));
    assert_equal(disposed_count(), 0);
    gari_decref(first);
}

Test(sweep, spares_what_those_reach)
{
    use_mode(GARI_MODE_INLINE);
    play(check_chain);
    gari_store(&survivors[0], NULL);
    make_rings_until(all_are_disposed_of);
    assert_nothing_left();
}

static struct node *old;

static void drop_ring_with_old(size_t number)
{
    (void)number;
    for (size_t length = 1; length < 5; length++) {
        struct node *ring = new_ring(&node_type, length);
        gari_store(&ring->any, old);
        gari_store(&ring->prev, old);
        gari_decref(ring);
    }
    size_t references = gari_getrefcount(old);
    cr_assert(references >= 1);
}

Test(sweep, gives_back_what_rings_refer_to_outside)
{
    use_mode(GARI_MODE_INLINE);
    old = new_ring(&watched_type, 2);
    gari_collect(2);
    gari_collect(2);
    size_t rounds = play(drop_ring_with_old);
    /* By far the most are gone without having been asked for. */
    assert_at_most(gari_getrefcount(old), 2 + 4 * (long)rounds);
    settle();
    assert_equal(gari_getrefcount(old), 2);
    assert_equal(disposed_count(), 0);
    gari_decref(old);
    settle();
    assert_equal(disposed_count(), 2);
    assert_nothing_left();
}

/* Old objects lose references, and die by their counts, in the midst of it. */
static void drop_old_chain(size_t number)
{
    if (number % 10 == 0) {
        gari_decref(old);
        old = new_ring(&watched_type, 2);
        watched_made += 2;
    }
    drop_ring_with_old(number);
    struct node *chain = new_chain(&watched_type, 5);
    watched_made += 5;
    gari_store(&chain->any, old);
    gari_decref(gari_incref(chain));
    gari_decref(chain);
}

Test(sweep, comes_beside_deaths_by_count)
{
    use_mode(GARI_MODE_INLINE);
    old = new_node(&watched_type, 0);
    watched_made = 1;
    play(drop_old_chain);
    gari_decref(old);
    make_rings_until(all_are_disposed_of);
    assert_nothing_left();
}

/* ---- Weak references, finalizers, dispose --------------------------------------------------- */

static long finalized, finalizable_made;
static GARI_ROOT(struct node) brought_back;

/* All of its ring is there. Every 50th comes back for a while. */
static void finalize(void *self)
{
    struct node *node = self;
    finalized++;
    assert_equal(ring_length(node), 3);
    if (finalized % 50 == 0)
        gari_store(&brought_back, node);
}

static const gari_type finalized_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = finalize);

#define WEAK 64
static gari_weakref *weak[WEAK], *weak_to_survivor;
static struct node *survivor;

static void drop_ring_with_all(size_t number)
{
    struct node *ring = new_ring(&watched_type, 2), *node = new_node(&finalized_type, 0);
    watched_made += 2;
    finalizable_made++;
    gari_move(&node->next, gari_take(&ring->next));
    gari_weakref **place = &weak[number % WEAK];
    gari_decref(*place);
    *place = gari_weakref_new(number % 2 ? ring : node, NULL, NULL);
    gari_move(&ring->next, node);
    struct node *got = gari_weakref_get(*place);
    cr_assert(got);
    gari_decref(got);
    gari_decref(ring);
    gari_run_finalizers(SIZE_MAX);

    got = gari_weakref_get(weak_to_survivor);
    cr_assert_eq(got, survivor);
    gari_decref(got);
}

static bool all_are_finalized(void)
{
    gari_run_finalizers(SIZE_MAX);
    gari_store(&brought_back, NULL);
    return finalized == finalizable_made && all_are_disposed_of();
}

Test(sweep, finds_members_with_weak_references_and_finalizers)
{
    use_mode(GARI_MODE_INLINE);
    gari_set_finalizers(GARI_FINALIZERS_QUEUED, NULL, NULL);
    survivor = new_ring(&node_type, 3);
    weak_to_survivor = gari_weakref_new(survivor, NULL, NULL);
    play(drop_ring_with_all);
    make_rings_until(all_are_finalized);
    assert_equal(finalized, finalizable_made);
    for (int i = 0; i < WEAK; i++) {
        cr_assert(!weak[i] || !gari_weakref_get(weak[i]));
        gari_decref(weak[i]);
    }
    gari_decref(weak_to_survivor);
    gari_decref(survivor);
    assert_nothing_left();
}

/* ---- What is not to be freed ---------------------------------------------------------------- */

static const gari_type stuck_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .flags = GARI_TYPE_NO_CLEAR);

static void drop_stuck_ring(size_t number)
{
    struct node *ring = new_ring(&watched_type, 3);
    watched_made += 3;
    if (number % 10 == 0)
        gari_move(&ring->any, new_ring(&stuck_type, 2)); /* the others do not hang on it */
    gari_decref(ring);
}

Test(sweep, lists_what_must_not_be_taken_apart)
{
    use_mode(GARI_MODE_INLINE);
    size_t rounds = play(drop_stuck_ring), stuck = 2 * ((rounds + 9) / 10);
    make_rings_until(all_are_disposed_of);
    settle();
    assert_equal(gari_garbage_count(), stuck);
    assert_equal(live(), stuck);
    break_listed_rings();
    settle();
    assert_nothing_left();
}

static void drop_watched_rings(size_t number)
{
    for (size_t length = 1; length <= 3; length++)
        make_garbage_ring(&watched_type, length);
    watched_made += 6;
    (void)number;
}

Test(sweep, saves_all_when_it_is_told_to)
{
    use_mode(GARI_MODE_INLINE);
    play(drop_watched_rings);
    make_rings_until(all_are_disposed_of);
    uint64_t sweeps = swept();
    gari_set_debug(GARI_DEBUG_SAVEALL);
    for (size_t i = 0; swept() < sweeps + 3; i++) {
        cr_assert(i < ROUNDS);
        drop_watched_rings(i);
        make_rings();
    }
    long disposed = disposed_count();
    cr_assert(disposed < watched_made);
    cr_assert(gari_garbage_count() > 1000);
    gari_set_debug(0);
    gari_garbage_clear();
    make_rings_until(all_are_disposed_of);
    assert_nothing_left();
}

/* They share their blocks with what is born later. */
Test(sweep, leaves_frozen_objects_alone)
{
    use_mode(GARI_MODE_INLINE);
    for (int i = 0; i < 100; i++)
        make_garbage_ring(&watched_type, 3);
    struct node *held = new_ring(&watched_type, 5);
    gari_freeze();
    watched_made = -305;
    play(drop_watched_rings);
    watched_made += 305;
    make_rings_until(all_are_disposed_of);
    assert_equal(gari_get_freeze_count(), 305);
    assert_equal(ring_length(held), 5);
    gari_decref(held);
    gari_unfreeze();
    watched_made += 305;
    settle();
    assert_equal(disposed_count(), watched_made);
    assert_nothing_left();
}

static struct node *immortal[3];

static void drop_rings_with_immortals(size_t number)
{
    if (number < 3) {
        struct node *ring = new_ring(&watched_type, 3);
        gari__fetch_or_acq_rel(&ring->header.header.bits, GARI__IMMORTAL);
        immortal[number] = ring;
        gari_decref(ring);
    }
    drop_watched_rings(number);
    for (size_t i = 0; i < 3 && i <= number; i++)
        assert_equal(ring_length(immortal[i]), 3);
}

Test(sweep, never_frees_what_is_immortal)
{
    use_mode(GARI_MODE_INLINE);
    play(drop_rings_with_immortals);
    make_rings_until(all_are_disposed_of);
    assert_equal(gari_shutdown(NULL, NULL), 9);
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
    for (size_t i = 0; collections(0) < SWEEPS; i++) {
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

Test(sweep, comes_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    play(check_survivors);
    for (size_t i = 0; i < SURVIVORS; i++)
        gari_store(&survivors[i], NULL);
    settle();
    assert_equal(disposed_count(), watched_made);
    assert_nothing_left();
}
