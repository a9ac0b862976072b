/* Late death: what hangs on an object of a GARI_TYPE_LATE type is given back after a grace period. */
#include "concurrency/grace.h"
#include "lib/object/limbo.h"
#include "lib/object/self.h"
#include "tests/support_late.h"

TestSuite(late, .timeout = 120);

static void traverse_tree(void *self, gari_visit visit, void *arg)
{
    struct tree *tree = self;
    GARI_VISIT(&tree->left, visit, arg);
    GARI_VISIT(&tree->right, visit, arg);
    GARI_VISIT(&tree->any, visit, arg);
}
static const gari_type traversed_type =
    GARI_TYPE(struct tree, .traverse = traverse_tree, .flags = GARI_TYPE_LATE);
static const gari_type wide_type = GARI_TYPE(
    struct vec, .items = GARI_REF_ITEMS(struct vec, length, items), .flags = GARI_TYPE_LATE);

static bool is_alive(gari_weakref *weak)
{
    gari_object *object = gari_weakref_get(weak);
    gari_decref(object);
    return object != NULL;
}

/* ---- What is late ------------------------------------------------------------------------- */

Test(late, what_hangs_on_a_dead_root_is_alive_until_memory_is_given_back)
{
    use_manual_mode();
    struct tree *root = new_tree(&tree_type), *child = new_tree(&tree_type);
    gari_weakref *to_root = gari_weakref_new(root, NULL, NULL);
    gari_weakref *to_child = gari_weakref_new(child, NULL, NULL);
    gari_init(&root->left, child);
    gari_decref(root);
    cr_assert(!is_alive(to_root));
    cr_assert(is_alive(to_child));
    assert_equal(stats_now().objects_live, 3); /* and the weak references */
    finish_pending();
    cr_assert(!is_alive(to_child));
    gari_decref(to_root);
    gari_decref(to_child);
    assert_nothing_left();
}

Test(late, gari_collect_of_any_generation_gives_back_first)
{
    use_manual_mode();
    for (int generation = 0; generation <= 2; generation++) {
        gari_decref(build_tree(&tree_type, 10));
        assert_equal(stats_now().objects_live, 1022);
        gari_collect(generation);
        assert_equal(stats_now().objects_live, 0);
    }
    assert_nothing_left();
}

Test(late, a_root_that_died_as_a_candidate_is_given_back_too)
{
    use_manual_mode();
    GARI_ROOT(struct tree) root = {{NULL}};
    gari_move(&root, build_tree(&tree_type, 10));
    gari_store(&root, NULL);
    gari_collect(2);
    finish_pending();
    assert_equal(stats_now().objects_live, 0);
    assert_nothing_left();
}

Test(late, a_cycle_that_hangs_on_a_root_is_collected)
{
    use_manual_mode();
    struct tree *root = new_tree(&tree_type);
    gari_move(&root->any, GARI_OBJECT(new_ring(&node_type, 100)));
    gari_decref(root);
    gari_collect(2);
    assert_equal(stats_now().objects_live, 0);
    assert_nothing_left();
}

/* Blocks with an earlier batch under way. */
Test(late, cycles_that_hang_on_roots_of_one_block_are_collected_at_once)
{
    use_manual_mode();
    for (int i = 0; i < 200; i++) {
        struct tree *root = new_tree(&tree_type);
        gari_move(&root->any, GARI_OBJECT(new_ring(&node_type, 3)));
        gari_decref(root);
        if (i % 50 == 25)
            gari_decref(new_vec(100000)); /* asks for memory */
    }
    gari_collect(2);
    assert_equal(stats_now().objects_live, 0);
    assert_nothing_left();
}

Test(late, a_late_object_in_a_cycle_is_collected)
{
    use_manual_mode();
    struct tree *root = build_tree(&tree_type, 5);
    gari_store(&root->any, root);
    gari_decref(root);
    gari_collect(2);
    assert_equal(stats_now().objects_live, 0);
    assert_nothing_left();
}

/* ---- What is shared, or watched ----------------------------------------------------------- */

Test(late, what_two_roots_share_dies_with_the_second)
{
    use_manual_mode();
    struct tree *one = new_tree(&tree_type), *other = new_tree(&tree_type);
    struct tree *shared = build_tree(&tree_type, 6);
    shared->value = 42;
    gari_init(&one->left, gari_incref(shared));
    gari_init(&other->right, shared);
    gari_decref(one);
    settle();
    assert_equal(stats_now().objects_live, 64);
    assert_equal(gari_getrefcount(shared), 1);
    assert_equal(shared->value, 42);
    gari_decref(other);
    settle();
    assert_equal(stats_now().objects_live, 0);
    assert_nothing_left();
}

Test(late, both_roots_may_die_together)
{
    use_manual_mode();
    struct tree *one = new_tree(&tree_type), *other = new_tree(&tree_type);
    struct tree *shared = build_tree(&tree_type, 6);
    gari_init(&one->left, gari_incref(shared));
    gari_init(&one->right, gari_incref(shared));
    gari_init(&other->right, shared);
    gari_decref(one);
    gari_decref(other);
    finish_pending();
    assert_equal(stats_now().objects_live, 0);
    assert_nothing_left();
}

Test(late, what_somebody_owns_lives_on)
{
    use_manual_mode();
    struct tree *root = build_tree(&tree_type, 4);
    struct tree *kept = gari_load(&root->left), *taken = gari_take(&root->right);
    gari_decref(root);
    settle();
    assert_equal(stats_now().objects_live, 14);
    cr_assert(gari_borrow(&kept->left) && gari_borrow(&taken->right));
    gari_decref(kept);
    gari_decref(taken);
    settle();
    assert_equal(stats_now().objects_live, 0);
    assert_nothing_left();
}

Test(late, what_is_watched_is_told_once_the_root_is_taken_apart)
{
    use_manual_mode();
    struct tree *root = build_tree(&tree_type, 3);
    struct tree *child = gari_borrow(&root->left);
    gari_move(&child->any, GARI_OBJECT(new_chain(&watched_type, 10)));
    gari_init(&root->any, GARI_OBJECT(new_leaf(1)));
    gari_decref(root);
    assert_equal(disposed_count(), 0);
    finish_pending();
    assert_equal(disposed_count(), 11);
    assert_equal(reclaimed_count(), 11);
    assert_nothing_left();
}

static int finalized;
static void finalize_node(void *self)
{
    finalized += ((struct node *)self)->value == 7;
}
static const gari_type finalized_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = finalize_node);

Test(late, finalizers_below_a_root_run)
{
    use_manual_mode();
    struct tree *root = build_tree(&tree_type, 3);
    gari_init(&root->any, GARI_OBJECT(new_node(&finalized_type, 7)));
    gari_decref(root);
    assert_equal(finalized, 0);
    settle();
    assert_equal(finalized, 1);
    assert_equal(stats_now().objects_live, 0);
    assert_nothing_left();
}

/* A late object hangs on one that is not, that on a late one, and so on: one wait for all. */
Test(late, chains_of_late_and_other_objects_do_not_wait_at_each_link)
{
    use_manual_mode();
    const size_t length = SCALED(20000);
    gari_object *first = NULL;
    for (size_t i = 0; i < length; i++) {
        struct tree *tree = new_tree(&tree_type);
        gari_init(&tree->any, first);
        struct node *node = new_node(&watched_type, 0);
        gari_init(&node->any, GARI_OBJECT(tree));
        first = GARI_OBJECT(node);
    }
    gari_decref(first);
    uint64_t before = stats_now().grace_periods;
    finish_pending();
    assert_equal(stats_now().objects_live, 0);
    assert_equal(disposed_count(), length);
    assert_at_most(stats_now().grace_periods - before, length / 100 + 10);
    assert_nothing_left();
}

/* ---- Sizes -------------------------------------------------------------------------------- */

static void drop_deep(void *arg)
{
    const gari_type *type = arg;
    struct tree *first = NULL;
    for (size_t i = 0; i < SCALED(1000000); i++) {
        struct tree *tree = new_tree(type);
        gari_init(i % 2 ? &tree->left : &tree->right, first);
        first = tree;
    }
    gari_decref(first);
    finish_pending();
}

Test(late, deep_structures_need_no_stack)
{
    use_manual_mode();
    run_on_small_stack(drop_deep, (void *)(uintptr_t)&tree_type);
    run_on_small_stack(drop_deep, (void *)(uintptr_t)&traversed_type);
    assert_equal(stats_now().objects_live, 0);
    assert_nothing_left();
}

static struct vec *new_wide(size_t length)
{
    struct vec *vec = gari_new_items(&wide_type, length);
    check(vec != NULL);
    return vec;
}

/* More than fit into the late pass's stack, so that some are put off; leaf_type would be observed. */
Test(late, untracked_objects_that_are_put_off_are_booked_once)
{
    use_manual_mode();
    static const gari_type dull_type = GARI_TYPE(struct leaf);
    struct vec *root = new_wide(900);
    for (size_t i = 0; i < root->length; i++) {
        struct leaf *leaf = gari_new(&dull_type);
        check(leaf != NULL);
        gari_init(&root->items[i], GARI_OBJECT(leaf));
    }
    gari_decref(root);
    settle();
    assert_equal(stats_now().objects_live, 0);
    assert_nothing_left(); /* and the heap's check finds its figures right */
}

/* Arrays that share a block with others, and some so large that they have one of their own. */
Test(late, wide_structures_are_given_back)
{
    use_manual_mode();
    for (size_t length = 10; length <= SCALED(1000000); length *= 10) {
        struct vec *root = new_wide(10);
        for (size_t i = 0; i < 10; i++) {
            struct vec *vec = new_wide(length);
            for (size_t j = 0; j < length; j++)
                gari_init(&vec->items[j], GARI_OBJECT(build_tree(&traversed_type, 1 + j % 2)));
            gari_init(&root->items[i], GARI_OBJECT(vec));
        }
        gari_decref(root);
        finish_pending();
        gari_stats stats = stats_now();
        assert_equal(stats.objects_live, 0);
        assert_equal(stats.bytes_live, 0);
        assert_equal(stats.objects_waiting, 0);
        assert_equal(stats.bytes_waiting, 0);
        assert_equal(stats.allocated, stats.freed_by_count);
    }
    assert_nothing_left();
}

Test(late, gari_step_keeps_to_its_budget)
{
    use_manual_mode();
    gari_disable();
    enum { DEPTH = 14 };
    gari_decref(build_tree(&tree_type, DEPTH));
    uint64_t live = stats_now().objects_live;
    assert_equal(live, (1 << DEPTH) - 2);
    long steps = 0;
    while (gari_step(100)) {
        uint64_t now = stats_now().objects_live;
        assert_at_most(live - now, 500); /* four exclusive objects cost as much as an edge */
        live = now;
        check(++steps < 100000);
    }
    assert_equal(stats_now().objects_live, 0);
    cr_assert(steps > 20, "%ld steps", steps);
    assert_nothing_left();
}

/* ---- Refused ------------------------------------------------------------------------------ */

static void callback(void *self)
{
    (void)self;
}

static void with_dispose(void)
{
    static const gari_type type =
        GARI_TYPE(struct tree, .dispose = callback, .flags = GARI_TYPE_LATE);
    gari_new(&type);
}

static void with_finalize(void)
{
    static const gari_type type =
        GARI_TYPE(struct tree, .finalize = callback, .flags = GARI_TYPE_LATE);
    gari_new(&type);
}

static void with_reclaim(void)
{
    static const gari_type type =
        GARI_TYPE(struct tree, .reclaim = callback, .flags = GARI_TYPE_LATE);
    gari_new(&type);
}

Test(late, types_that_are_told_of_deaths_are_refused)
{
    assert_mentions(fatal_sentence(with_dispose), "dispose callback");
    assert_mentions(fatal_sentence(with_finalize), "finalize callback");
    assert_mentions(fatal_sentence(with_reclaim), "reclaim callback");
}

/* What is put off, for it does not fit, is paid for; who has nothing left to pay with stops. */
Test(late, what_does_not_fit_does_not_make_a_slice_endless)
{
    enum { WIDE = 600, ROOTS = 20, SOME = 256 };
    use_manual_mode();
    struct tree *shared = new_tree(&tree_type);
    gari_decref(gari_incref(shared)); /* SHARED */
    for (int i = 0; i < ROOTS; i++) {
        struct vec *root = gari_new_items(&wide_type, WIDE);
        cr_assert(root != NULL);
        for (size_t k = 0; k < WIDE; k++)
            gari_init(&root->items[k], GARI_OBJECT(gari_incref(shared)));
        gari_decref(root);
    }
    struct gari__object_thread *self = gari__enter("the test");
    gari__limbo_seal();
    gari__grace_wait(gari__limbo_last_ticket(), 0);
    assert_at_most(gari__limbo_free(self, SOME, false), SOME);
    gari__leave(self);
    cr_assert(stats_now().objects_waiting > 0, "all of it in one slice");
    gari_decref(shared);
    assert_nothing_left();
}
