/* Lists, callbacks and the garbage list when memory is short. */
#include "tests/support.h"

#include "concurrency/fault.h"

#include <errno.h>

TestSuite(list_memory, .timeout = 60);

static void nothing(const gari_collection *collection, void *arg)
{
    (void)collection;
    (void)arg;
}

Test(list_memory, a_callback_that_finds_none_is_not_registered)
{
    use_manual_mode();
    gari_collect(0);
    fail_from(1);
    assert_equal(gari_callback_add(nothing, NULL), ENOMEM);
    fail_from(0);
    cr_assert(!gari_callback_remove(nothing, NULL));
    assert_nothing_left();
}

Test(list_memory, a_list_that_finds_none_is_empty)
{
    use_manual_mode();
    struct node *ring = new_ring(&node_type, 1000);
    struct vec *vec = new_vec(1000);
    for (size_t i = 0; i < 1000; i++)
        gari_store(&vec->items[i], ring);
    bool failed = true;
    for (long nth = 1; failed; nth++) {
        gari_objects objects, referrers, referents;
        fail_from(nth);
        int result = gari_get_objects(GARI_ALL, &objects);
        fail_from(nth);
        int referrers_result = gari_get_referrers(ring, &referrers);
        fail_from(nth);
        int referents_result = gari_get_referents(vec, &referents);
        failed = result || referrers_result || referents_result;
        fail_from(0);
        cr_assert(result == 0 || (result == ENOMEM && objects.count == 0));
        cr_assert(referrers_result == 0 || (referrers_result == ENOMEM && referrers.count == 0));
        cr_assert(referents_result == 0 || (referents_result == ENOMEM && referents.count == 0));
        gari_objects_release(&objects);
        gari_objects_release(&referrers);
        gari_objects_release(&referents);
        assert_equal(gari_getrefcount(ring), 1 + 1 + 1000);
    }
    gari_decref(vec);
    gari_decref(ring);
    assert_nothing_left();
}

/* Saved or freed or left for the next time, but nothing lost and nothing twice. */
static void check_garbage(const gari_type *type, unsigned debug)
{
    use_manual_mode();
    long made = 0;
    for (long nth = 1; nth < 30; nth++) {
        make_garbage_ring(type, 500);
        made += 500;
        gari_set_debug(debug);
        fail_from(nth);
        gari_collect(2);
        fail_from(0);
        gari_collect(2);
        assert_equal(gari_garbage_count(), 500);
        gari_objects objects;
        assert_equal(gari_garbage_get(&objects), 0);
        for (size_t i = 0; i < objects.count; i++)
            assert_equal(gari_getrefcount(objects.items[i]), 3); /* the ring's, the list's, ours */
        for (size_t i = 0; i < objects.count; i++)
            gari_store(&((struct node *)objects.items[i])->next, NULL);
        gari_objects_release(&objects);
        gari_set_debug(0);
        gari_garbage_clear();
        assert_equal(stats_now().objects_live, 0);
    }
    assert_equal(stats_now().freed_by_count, made);
    assert_nothing_left();
}

static const gari_type stuck_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .flags = GARI_TYPE_NO_CLEAR);

Test(list_memory, uncollectable_garbage_that_finds_none_is_listed_by_the_next_collection)
{
    check_garbage(&stuck_type, 0);
}

Test(list_memory, garbage_to_be_saved_that_finds_none_is_saved_by_the_next_collection)
{
    check_garbage(&watched_type, GARI_DEBUG_SAVEALL);
}
