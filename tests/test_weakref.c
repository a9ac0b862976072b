/* Weak references: an owned reference or NULL, callbacks once, after all of them read NULL. */
#include "tests/support.h"

#include <stdatomic.h>

TestSuite(weakref, .timeout = 120);

static atomic_long called;

static void count_call(void *arg)
{
    atomic_fetch_add(arg ? (atomic_long *)arg : &called, 1);
}

static bool reads(gari_weakref *weakref, const void *object)
{
    struct node *found = gari_weakref_get(weakref);
    bool same = found == object;
    gari_decref(found);
    return same;
}

/* ---- Reading ------------------------------------------------------------------------------ */

static atomic_long finalized;

Test(weakref, gives_an_owned_reference_and_keeps_nothing_alive)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 7);
    gari_weakref *weakref = gari_weakref_new(node, NULL, NULL);
    assert_equal(gari_getrefcount(node), 1);
    struct node *again = gari_weakref_get(weakref);
    cr_assert(again == node);
    assert_equal(gari_getrefcount(node), 2);
    gari_decref(node);
    assert_equal(disposed_count(), 0);
    gari_decref(again);
    assert_equal(disposed_count(), 1);
    cr_assert(gari_weakref_get(weakref) == NULL);
    gari_decref(weakref);
    assert_nothing_left();
}

Test(weakref, to_a_leaf_and_to_an_array_work_as_well)
{
    use_manual_mode();
    struct leaf *leaf = new_leaf(1);
    struct vec *vec = new_vec(5000); /* has a block of its own */
    gari_weakref *a = gari_weakref_new(leaf, NULL, NULL), *b = gari_weakref_new(vec, NULL, NULL);
    cr_assert(reads(a, leaf) && reads(b, vec));
    gari_decref(leaf);
    gari_decref(vec);
    finish_pending();
    cr_assert(reads(a, NULL) && reads(b, NULL));
    gari_decref(a);
    gari_decref(b);
    assert_nothing_left();
}

Test(weakref, never_takes_a_new_object_in_the_same_place_for_the_old_one)
{
    use_manual_mode();
    for (int i = 0; i < 1000; i++) {
        struct node *node = new_node(&node_type, i);
        gari_weakref *weakref = gari_weakref_new(node, NULL, NULL);
        gari_decref(node);
        finish_pending();
        struct node *next = new_node(&node_type, i);
        cr_assert(reads(weakref, NULL));
        gari_weakref *other = gari_weakref_new(next, NULL, NULL);
        cr_assert(reads(weakref, NULL) && reads(other, next));
        gari_decref(next);
        gari_decref(weakref);
        gari_decref(other);
    }
    assert_nothing_left();
}

struct child {
    gari_object header;
    GARI_REF(gari_weakref) parent;
};
static const gari_type child_type =
    GARI_TYPE(struct child, .refs = GARI_REFS(struct child, parent));

Test(weakref, in_a_field_breaks_a_cycle)
{
    use_manual_mode();
    struct node *parent = new_node(&watched_type, 1);
    struct child *child = gari_new(&child_type);
    gari_move(&child->parent, gari_weakref_new(parent, NULL, NULL));
    gari_store(&parent->any, child);
    gari_weakref *weakref = gari_load(&child->parent);
    cr_assert(reads(weakref, parent));
    gari_decref(weakref);
    gari_decref(parent);
    assert_equal(disposed_count(), 1); /* at once, without a collection */
    weakref = gari_load(&child->parent);
    cr_assert(reads(weakref, NULL));
    gari_decref(weakref);
    gari_decref(child);
    assert_nothing_left();
}

Test(weakref, to_a_member_of_a_cycle_reads_null_once_it_is_collected)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 5);
    gari_weakref *weakref = gari_weakref_new(ring, NULL, NULL);
    gari_decref(ring);
    struct node *found = gari_weakref_get(weakref); /* garbage, but not collected: it lives */
    cr_assert(found == ring);
    assert_equal(gari_collect(2), 0);
    gari_decref(found);
    assert_equal(gari_collect(2), 5);
    cr_assert(reads(weakref, NULL));
    assert_equal(disposed_count(), 5);
    gari_decref(weakref);
    assert_nothing_left();
}

Test(weakref, survives_what_a_collection_leaves_alive)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 5);
    gari_weakref *weakref = gari_weakref_new(ring, NULL, NULL);
    for (int i = 0; i < 10; i++) {
        gari_decref(gari_incref(ring)); /* a candidate */
        assert_equal(gari_collect(i % 3), 0);
        cr_assert(reads(weakref, ring));
    }
    gari_decref(ring);
    assert_equal(gari_collect(2), 5);
    gari_decref(weakref);
    assert_nothing_left();
}

/* ---- Callbacks ---------------------------------------------------------------------------- */

Test(weakref, calls_back_once_when_the_object_has_died)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 1);
    gari_weakref *weakref = gari_weakref_new(node, count_call, NULL);
    gari_run_finalizers(10);
    assert_equal(atomic_load(&called), 0);
    gari_decref(node);
    gari_collect(2);
    assert_equal(atomic_load(&called), 1);
    gari_collect(2);
    gari_decref(weakref);
    assert_nothing_left();
    assert_equal(atomic_load(&called), 1);
}

static gari_weakref *all[3];
static atomic_long order;

static void expect_all_empty(void *arg)
{
    for (int i = 0; i < 3; i++)
        check(gari_weakref_get(all[i]) == NULL);
    atomic_store(&order, atomic_load(&order) * 10 + *(int *)arg);
}

Test(weakref, calls_back_after_all_read_null_the_latest_first)
{
    use_manual_mode();
    static int number[3] = {1, 2, 3};
    for (int cycle = 0; cycle < 2; cycle++) {
        struct node *node = new_node(&node_type, 1);
        if (cycle)
            gari_store(&node->next, node);
        all[0] = gari_weakref_new(node, expect_all_empty, &number[0]);
        all[1] = gari_weakref_new(node, expect_all_empty, &number[1]);
        all[2] = gari_weakref_new(node, NULL, NULL);
        atomic_store(&order, 0);
        gari_decref(node);
        gari_collect(2);
        assert_equal(atomic_load(&order), 21);
        for (int i = 0; i < 3; i++)
            gari_decref(all[i]);
    }
    assert_nothing_left();
}

Test(weakref, that_is_dropped_first_does_not_call_back)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 1);
    gari_decref(gari_weakref_new(node, count_call, NULL));
    gari_weakref *queued = gari_weakref_new(node, count_call, NULL);
    gari_decref(node);
    gari_decref(queued); /* after the object, before the callback */
    gari_collect(2);
    assert_nothing_left();
    assert_equal(atomic_load(&called), 0);
}

Test(weakref, that_is_garbage_with_its_object_does_not_call_back)
{
    use_manual_mode();
    for (int i = 0; i < 20; i++) {
        struct node *ring = new_ring(&watched_type, 3);
        gari_move(&ring->any, gari_weakref_new(ring, count_call, NULL));
        gari_decref(ring);
        /* Three members, and the weak reference. */
        assert_equal(gari_collect(2), 4);
    }
    assert_equal(atomic_load(&called), 0);
    assert_equal(disposed_count(), 60);
    assert_nothing_left();
}

static void finalize_quietly(void *self)
{
    (void)self;
    atomic_fetch_add(&finalized, 1);
}

static const gari_type quiet_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = finalize_quietly);

/* Callbacks are told before finalizers run, so the weak references are emptied in another place. */
Test(weakref, that_is_garbage_with_an_object_to_be_finalized_does_not_call_back)
{
    use_manual_mode();
    for (int i = 0; i < 20; i++) {
        struct node *ring = new_ring(&quiet_type, 3);
        gari_move(&ring->any, gari_weakref_new(ring, count_call, NULL));
        gari_weakref *outside = gari_weakref_new(ring, count_call, NULL);
        gari_decref(ring);
        settle();
        assert_equal(atomic_load(&finalized), 3 * (i + 1));
        assert_equal(atomic_load(&called), i + 1); /* the one from outside */
        cr_assert(gari_weakref_get(outside) == NULL);
        gari_decref(outside);
    }
    assert_nothing_left();
    assert_equal(atomic_load(&called), 20);
}

static void make_and_drop(void *arg)
{
    (void)arg;
    make_garbage_ring(&watched_type, 3);
    check(gari_collect(2) == 0);
    count_call(NULL);
}

Test(weakref, calls_back_where_anything_may_be_done)
{
    use_manual_mode();
    struct node *ring = new_ring(&node_type, 3);
    gari_weakref *weakref = gari_weakref_new(ring, make_and_drop, NULL);
    gari_decref(ring);
    assert_equal(gari_collect(2), 3);
    assert_equal(atomic_load(&called), 1);
    gari_decref(weakref);
    assert_nothing_left();
    assert_equal(disposed_count(), 3);
}

static bool is_called(void *arg)
{
    return atomic_load(&called) == *(long *)arg;
}

Test(weakref, calls_back_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_weakref *kept[100];
    for (int i = 0; i < 100; i++) {
        struct node *node = i % 2 ? new_ring(&node_type, 2) : new_node(&node_type, i);
        kept[i] = gari_weakref_new(node, count_call, NULL);
        gari_decref(node);
    }
    cr_assert(wait_until(is_called, &(long){100}, 20));
    for (int i = 0; i < 100; i++)
        gari_decref(kept[i]);
    assert_nothing_left();
    assert_equal(atomic_load(&called), 100);
}

/* ---- gari_finalize ------------------------------------------------------------------------ */

Test(weakref, finalize_calls_when_the_object_dies_whoever_keeps_the_handle)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 1);
    gari_decref(gari_finalize_new(node, count_call, NULL));
    gari_finalize *kept = gari_finalize_new(node, count_call, NULL);
    cr_assert(gari_finalize_alive(kept));
    gari_decref(node);
    gari_collect(2);
    assert_equal(atomic_load(&called), 2);
    cr_assert(!gari_finalize_alive(kept));
    cr_assert(!gari_finalize_call(kept));
    cr_assert(!gari_finalize_detach(kept));
    gari_decref(kept);
    assert_nothing_left();
    assert_equal(atomic_load(&called), 2);
}

Test(weakref, finalize_can_be_called_early_or_detached)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 1);
    gari_finalize *early = gari_finalize_new(node, count_call, NULL);
    gari_finalize *never = gari_finalize_new(node, count_call, NULL);
    cr_assert(gari_finalize_call(early));
    assert_equal(atomic_load(&called), 1);
    cr_assert(!gari_finalize_call(early));
    cr_assert(gari_finalize_detach(never));
    cr_assert(!gari_finalize_detach(never));
    cr_assert(!gari_finalize_alive(early) && !gari_finalize_alive(never));
    gari_decref(node);
    gari_decref(early);
    gari_decref(never);
    assert_nothing_left();
    assert_equal(atomic_load(&called), 1);
}

static void append_digit(void *digit)
{
    atomic_store(&order, atomic_load(&order) * 10 + *(int *)digit);
}

static GARI_ROOT(struct node) immortal;

Test(weakref, finalize_is_called_at_exit_the_latest_first)
{
    use_manual_mode();
    static int number[3] = {1, 2, 3};
    struct node *node = new_node(&node_type, 1);
    gari_decref(gari_finalize_new(node, append_digit, &number[0]));
    gari_decref(gari_finalize_new(node, append_digit, &number[1]));
    gari_finalize *not_this = gari_finalize_new(node, append_digit, &number[2]);
    gari_finalize_set_atexit(not_this, false);
    gari_decref(not_this);
    gari_move(&immortal, node);
    assert_equal(gari_shutdown(NULL, NULL), 1);
    assert_equal(atomic_load(&order), 21);
    gari_store(&immortal, NULL);
    gari_collect(2);
    assert_equal(atomic_load(&order), 213); /* its object has died after all */
    assert_nothing_left();
}

/* ---- Out of memory, misuse ---------------------------------------------------------------- */

static gari_weakref *dead_weakref;

static void weakref_to_the_dead(void)
{
    struct leaf *leaf = new_leaf(1);
    gari_decref(leaf);
    dead_weakref = gari_weakref_new(leaf, NULL, NULL);
}

Test(weakref, to_a_dead_object_is_fatal)
{
    const char *sentence = fatal_sentence(weakref_to_the_dead);
    assert_mentions(sentence, "gari_weakref_new");
    assert_mentions(sentence, "leaf");
    assert_nothing_left();
}
