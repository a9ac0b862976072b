/* The permanent generation. */
#include "tests/support.h"

#include <stdatomic.h>

TestSuite(freeze, .timeout = 120);

Test(freeze, sets_all_that_exists_aside)
{
    use_manual_mode();
    struct node *ring = new_ring(&node_type, 10);
    struct leaf *leaf = new_leaf(0);
    assert_equal(gari_get_freeze_count(), 0);
    gari_freeze();
    assert_equal(gari_get_freeze_count(), 10); /* tracked ones */
    assert_equal(gari_generation(ring), GARI_PERMANENT);
    struct node *young = new_node(&node_type, 0);
    assert_equal(gari_generation(young), 0);
    assert_equal(gari_get_freeze_count(), 10);
    gari_objects objects;
    gari_get_objects(GARI_PERMANENT, &objects);
    assert_equal(objects.count, 10);
    gari_objects_release(&objects);
    gari_get_objects(GARI_ALL, &objects);
    assert_equal(objects.count, 1);
    gari_objects_release(&objects);
    gari_unfreeze();
    assert_equal(gari_get_freeze_count(), 0);
    assert_equal(gari_generation(ring), 0); /* no collection has begun since it was born */
    gari_decref(ring);
    gari_decref(leaf);
    gari_decref(young);
    assert_nothing_left();
}

Test(freeze, keeps_garbage_until_it_is_undone)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, 10);
    struct node *later = new_ring(&watched_type, 5);
    gari_freeze();
    assert_equal(gari_collect(2), 0);
    gari_decref(later);
    assert_equal(gari_collect(2), 0);
    make_garbage_ring(&watched_type, 3);
    assert_equal(gari_collect(2), 3);
    gari_unfreeze();
    assert_equal(gari_collect(2), 15);
    assert_nothing_left();
}

Test(freeze, gives_up_a_collection_that_is_under_way)
{
    use_manual_mode();
    struct node *live = new_double_ring(&node_type, 1000);
    for (int steps = 1, rounds = 0; steps < 50; steps += THREAD_SANITIZED ? 4 : 1, rounds++) {
        struct node *node = new_node(&watched_type, 0);
        gari_decref(gari_incref(live)); /* candidates */
        gari_decref(gari_incref(node));
        for (int i = 0; i < steps; i++)
            gari_step(1); /* it has not walked the ring to its end */
        uint64_t before = stats_now().generation[2].examined;
        gari_freeze();
        gari_move(&node->next, node);
        while (gari_step(1000))
            ;
        assert_equal(disposed_count(), rounds);
        assert_at_most(stats_now().generation[2].examined - before, 2 * steps);
        gari_unfreeze();
        assert_equal(gari_collect(2), 1);
    }
    gari_decref(live);
    assert_nothing_left();
}

Test(freeze, does_not_stop_deaths_by_count)
{
    use_manual_mode();
    struct node *chain = new_chain(&watched_type, 10);
    gari_freeze();
    gari_decref(chain);
    assert_equal(disposed_count(), 10);
    assert_equal(gari_get_freeze_count(), 0);
    assert_nothing_left();
}

Test(freeze, makes_collections_walk_only_what_is_newer)
{
    use_manual_mode();
    struct node *big = new_double_ring(&node_type, 10000);
    gari_freeze();
    for (int i = 0; i < 100; i++)
        gari_decref(gari_incref(big)); /* a candidate, and permanent */
    uint64_t before = stats_now().generation[2].examined;
    struct node *ring = new_ring(&watched_type, 5);
    gari_store(&ring->any, big);
    gari_decref(ring);
    assert_equal(gari_collect(2), 5);
    assert_equal(stats_now().generation[2].examined - before, 5);
    assert_equal(gari_collect(2), 0);
    assert_equal(stats_now().generation[2].examined - before, 5);
    gari_decref(big);
    assert_nothing_left();
}

/* A candidate that is held by a permanent object is live, and forgotten as a candidate; the permanent
 * one must bring it back. */
Test(freeze, undone_finds_garbage_that_was_part_permanent)
{
    use_manual_mode();
    struct node *frozen = new_node(&watched_type, 0);
    gari_freeze();
    struct node *young = new_node(&watched_type, 0);
    gari_store(&frozen->next, young);
    gari_store(&young->next, frozen);
    gari_decref(frozen);
    gari_decref(young);
    for (int i = 0; i < 5; i++)
        assert_equal(gari_collect(2), 0);
    gari_unfreeze();
    assert_equal(gari_collect(2), 2);
    assert_nothing_left();
}

/* A pass that began while something was permanent has only what is newer in view. When all comes back in
 * the middle of its taking candidates, the old ones among them are not its own. */
Test(freeze, undone_beside_an_open_collection_loses_no_garbage)
{
    enum { TYPES = 8 };
    use_manual_mode();
    static gari_type types[TYPES]; /* each has a block of its own, and all of them candidates */
    struct node *young[TYPES];
    for (int i = 0; i < TYPES; i++)
        types[i] = watched_type;
    for (int steps = 0; steps < 100; steps++) {
        for (int i = 0; i < TYPES; i++)
            make_garbage_ring(&types[i], 3);
        gari_freeze();
        for (int i = 0; i < TYPES; i++) {
            young[i] = new_node(&types[i], 0);
            gari_decref(gari_incref(young[i]));
        }
        for (int i = 0; i < steps; i++)
            gari_step(1);
        gari_unfreeze();
        while (gari_step(1000))
            ;
        gari_collect(2);
        assert_equal(stats_now().objects_live, TYPES);
        for (int i = 0; i < TYPES; i++)
            gari_decref(young[i]);
    }
    assert_nothing_left();
}

Test(freeze, again_sets_the_newer_aside_too)
{
    use_manual_mode();
    struct node *a = new_node(&node_type, 0);
    gari_freeze();
    struct node *b = new_node(&node_type, 0);
    assert_equal(gari_get_freeze_count(), 1);
    gari_freeze();
    assert_equal(gari_get_freeze_count(), 2);
    assert_equal(gari_generation(b), GARI_PERMANENT);
    gari_unfreeze();
    gari_unfreeze();
    assert_equal(gari_get_freeze_count(), 0);
    gari_decref(a);
    gari_decref(b);
    assert_nothing_left();
}

/* Stamps have 16 bits, and there are many collections. */
Test(freeze, lasts_however_many_collections_follow)
{
    use_manual_mode();
    struct node *old = new_ring(&watched_type, 3);
    gari_collect(2);
    gari_freeze();
    struct node *newer = new_ring(&watched_type, 4);
    gari_decref(old);
    for (int i = 0; i < 70000; i++) {
        gari_collect(i % 500 == 0 ? 2 : i % 10 == 0 ? 1 : 0);
        if (i % 1000 == 0) {
            assert_equal(gari_get_freeze_count(), 3);
            assert_equal(gari_generation(old), GARI_PERMANENT);
            if (i > 500)
                assert_equal(gari_generation(newer), 2);
        }
    }
    gari_decref(newer);
    assert_equal(gari_collect(2), 4);
    assert_equal(disposed_count(), 4);
    gari_unfreeze();
    assert_equal(gari_collect(2), 3);
    assert_nothing_left();
}

Test(freeze, by_itself_ages_nothing_wrongly)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    for (int i = 0; i < 70000; i++) {
        gari_freeze();
        gari_unfreeze();
    }
    assert_equal(gari_generation(node), 0); /* no collection has begun */
    gari_freeze();
    assert_equal(gari_generation(node), GARI_PERMANENT);
    gari_decref(node);
    assert_nothing_left();
}

Test(freeze, is_undone_by_shutdown)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, 3);
    gari_freeze();
    assert_nothing_left();
    assert_equal(disposed_count(), 3);
    make_garbage_ring(&watched_type, 3);
    assert_equal(gari_collect(2), 3);
    assert_nothing_left();
}

static atomic_long made;

static void *freeze_unfreeze_collect(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg + 1;
    struct node *kept = NULL;
    for (size_t i = 0; i < SCALED(2000) + 50; i++) {
        switch (next_random(&seed) % 6) {
        case 0:
            gari_freeze();
            break;
        case 1:
            gari_unfreeze();
            break;
        case 2:
            gari_collect((int)(next_random(&seed) % 3));
            break;
        case 3:
            check(gari_get_freeze_count() < 100000000);
            break;
        default:
            gari_decref(kept);
            kept = new_double_ring(&watched_type, 10);
            atomic_fetch_add(&made, 10);
            check(ring_length(kept) == 10);
        }
    }
    if (kept)
        check(ring_length(kept) == 10);
    gari_decref(kept);
    return NULL;
}

Test(freeze, and_unfreeze_and_collect_from_ten_threads_leave_a_valid_heap)
{
    use_mode(GARI_MODE_BACKGROUND);
    pthread_t thread[10];
    for (long i = 0; i < 10; i++)
        thread[i] = start_thread(freeze_unfreeze_collect, (void *)i);
    for (int i = 0; i < 10; i++)
        join_thread(thread[i]);
    gari_unfreeze();
    gari_collect(2);
    assert_equal(stats_now().objects_live, 0);
    assert_equal(disposed_count(), atomic_load(&made));
    assert_nothing_left();
}
