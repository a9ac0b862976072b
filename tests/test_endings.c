/* Where the ways in which garbage ends meet: finalizers, weak references, what may not be taken apart,
 * and the debug flags. */
#include "tests/support.h"

#include <stdatomic.h>

TestSuite(endings, .timeout = 60);

static atomic_long finalized;

static void finalize(void *self)
{
    struct node *node = self;
    gari_read_begin();
    check(gari_borrow(&node->next) != NULL); /* nothing has been cleared */
    gari_read_end();
    atomic_fetch_add(&finalized, 1);
}

static const gari_type final_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = finalize);
static const gari_type stuck_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .flags = GARI_TYPE_NO_CLEAR);

/* A ring of two; returns its first node, borrowed from the ring. */
static struct node *garbage_pair(const gari_type *first_type, const gari_type *second_type,
                                 gari_weakref **weak)
{
    struct node *first = gari_new(first_type), *second = gari_new(second_type);
    gari_store(&first->next, second);
    gari_store(&second->next, first);
    if (weak)
        *weak = gari_weakref_new(first, NULL, NULL);
    gari_decref(second);
    gari_decref(first);
    return first;
}

static void expect_live(gari_weakref *weak, const struct node *node)
{
    struct node *got = gari_weakref_get(weak);
    cr_assert(got == node);
    gari_decref(got);
}

Test(endings, saveall_saves_what_has_been_finalized)
{
    use_manual_mode();
    assert_equal(gari_set_debug(GARI_DEBUG_SAVEALL), 0);
    garbage_pair(&final_type, &final_type, NULL);
    gari_collect(2);
    assert_equal(atomic_load(&finalized), 2);
    assert_equal(gari_garbage_count(), 2);
    assert_equal(stats_now().objects_live, 2);
    gari_set_debug(0);
    break_listed_rings();
    gari_collect(2);
    assert_equal(atomic_load(&finalized), 2); /* once in a life */
    assert_nothing_left();
}

Test(endings, saveall_saves_those_with_finalizers_and_those_without)
{
    use_manual_mode();
    assert_equal(gari_set_debug(GARI_DEBUG_SAVEALL), 0);
    garbage_pair(&final_type, &final_type, NULL);
    make_garbage_ring(&watched_type, 3);
    gari_collect(2);
    assert_equal(atomic_load(&finalized), 2);
    assert_equal(gari_garbage_count(), 5);
    assert_equal(disposed_count(), 0);
    gari_set_debug(0);
    gari_garbage_clear();
    gari_collect(2);
    assert_equal(disposed_count(), 3);
    assert_nothing_left();
}

Test(endings, what_is_saved_is_still_there_for_its_weak_references)
{
    use_manual_mode();
    assert_equal(gari_set_debug(GARI_DEBUG_SAVEALL), 0);
    gari_weakref *weak;
    struct node *node = garbage_pair(&node_type, &node_type, &weak);
    gari_collect(2);
    assert_equal(gari_garbage_count(), 2);
    expect_live(weak, node);
    gari_set_debug(0);
    gari_garbage_clear();
    assert_equal(gari_collect(2), 2);
    cr_assert(gari_weakref_get(weak) == NULL);
    gari_decref(weak);
    assert_nothing_left();
}

Test(endings, the_uncollectable_is_still_there_for_its_weak_references)
{
    use_manual_mode();
    gari_weakref *weak;
    struct node *node = garbage_pair(&stuck_type, &node_type, &weak);
    assert_equal(gari_collect(2), 0);
    assert_equal(gari_garbage_count(), 1);
    expect_live(weak, node);
    assert_equal(gari_collect(2), 0);
    expect_live(weak, node);
    break_listed_rings();
    cr_assert(gari_weakref_get(weak) == NULL);
    gari_decref(weak);
    gari_collect(2);
    assert_nothing_left();
}

Test(endings, what_the_uncollectable_reaches_is_not_finalized_the_rest_is)
{
    use_manual_mode();
    garbage_pair(&stuck_type, &final_type, NULL);
    garbage_pair(&final_type, &node_type, NULL);
    gari_collect(2);
    assert_equal(atomic_load(&finalized), 1);
    assert_equal(gari_garbage_count(), 1);
    assert_equal(stats_now().objects_live, 2);
    atomic_store(&finalized, 0);
    break_listed_rings();
    gari_collect(2);
    assert_nothing_left();
}

Test(endings, finalizers_weak_references_and_the_uncollectable_end_in_one_collection)
{
    use_manual_mode();
    gari_weakref *of_final, *of_plain, *of_stuck;
    struct node *stuck = garbage_pair(&stuck_type, &node_type, &of_stuck);
    garbage_pair(&final_type, &node_type, &of_final);
    garbage_pair(&node_type, &node_type, &of_plain);
    assert_equal(gari_collect(2), 4);
    assert_equal(atomic_load(&finalized), 1);
    cr_assert(gari_weakref_get(of_final) == NULL);
    cr_assert(gari_weakref_get(of_plain) == NULL);
    expect_live(of_stuck, stuck);
    gari_decref(of_final);
    gari_decref(of_plain);
    gari_decref(of_stuck);
    break_listed_rings();
    gari_collect(2);
    assert_nothing_left();
}
