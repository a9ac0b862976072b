/* Young collections that sweep: what they must not touch, of what lives and of what is garbage; and that
 * finalizers and weak references are as ever. How the tests go: test_sweep.c. */
#include "concurrency/atomics.h"
#include "concurrency/word.h"
#include "tests/support_sweep.h"

TestSuite(sweep_spares, .timeout = 120);

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

Test(sweep_spares, spares_what_roots_hold)
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

Test(sweep_spares, spares_what_those_reach)
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

Test(sweep_spares, gives_back_what_rings_refer_to_outside)
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

Test(sweep_spares, comes_beside_deaths_by_count)
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

Test(sweep_spares, finds_members_with_weak_references_and_finalizers)
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

Test(sweep_spares, lists_what_must_not_be_taken_apart)
{
    use_mode(GARI_MODE_INLINE);
    size_t rounds = play(drop_stuck_ring), stuck = 2 * ((rounds + 9) / 10);
    make_rings_until(all_are_disposed_of);
    settle();
    assert_equal(gari_garbage_count(), stuck);
    assert_equal(stats_now().objects_live, stuck);
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

/* Again and again: a collection that was at it may list what it has found after this. */
static bool all_are_disposed_of_when_cleared(void)
{
    gari_garbage_clear();
    return all_are_disposed_of();
}

Test(sweep_spares, saves_all_when_it_is_told_to)
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
    make_rings_until(all_are_disposed_of_when_cleared);
    assert_nothing_left();
}

/* They share their blocks with what is born later. */
Test(sweep_spares, leaves_frozen_objects_alone)
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

Test(sweep_spares, never_frees_what_is_immortal)
{
    use_mode(GARI_MODE_INLINE);
    play(drop_rings_with_immortals);
    make_rings_until(all_are_disposed_of);
    assert_equal(gari_shutdown(NULL, NULL), 9);
}

/* ---- In the background ------------------------------------------------------------------------ */

Test(sweep_spares, comes_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    play(check_survivors);
    for (size_t i = 0; i < SURVIVORS; i++)
        gari_store(&survivors[i], NULL);
    settle();
    assert_equal(disposed_count(), watched_made);
    assert_nothing_left();
}
