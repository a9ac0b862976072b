/* Garbage cycles of every shape are found, freed and counted exactly. */
#include "tests/support.h"

TestSuite(cycles, .timeout = 120);

static void check_ring(size_t length)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, length);
    assert_equal(disposed_count(), 0);
    assert_equal(gari_collect(2), length);
    assert_equal(disposed_count(), length);
    assert_equal(gari_collect(2), 0);
    assert_nothing_left();
    assert_equal(reclaimed_count(), length);
}

Test(cycles, of_one_object_are_freed)
{
    check_ring(1);
}

Test(cycles, of_two_objects_are_freed)
{
    check_ring(2);
}

Test(cycles, of_three_objects_are_freed)
{
    check_ring(3);
}

Test(cycles, of_a_thousand_objects_are_freed)
{
    check_ring(1000);
}

Test(cycles, of_every_length_up_to_a_hundred_are_freed)
{
    use_manual_mode();
    for (size_t length = 1; length <= 100; length++) {
        make_garbage_ring(&watched_type, length);
        assert_equal(gari_collect((int)(length % 3)), length);
    }
    assert_equal(disposed_count(), 5050);
    assert_nothing_left();
}

static void collect_all(void *freed)
{
    *(size_t *)freed = gari_collect(2);
}

static size_t collect_on_small_stack(void)
{
    size_t freed = 0;
    run_on_small_stack(collect_all, &freed);
    return freed;
}

Test(cycles, of_a_million_objects_are_freed_without_a_deep_stack)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, SCALED(1000000));
    assert_equal(collect_on_small_stack(), SCALED(1000000));
    assert_equal(disposed_count(), SCALED(1000000));
    assert_nothing_left();
}

Test(cycles, of_a_million_objects_linked_both_ways_are_freed_without_a_deep_stack)
{
    use_manual_mode();
    gari_decref(new_double_ring(&watched_type, SCALED(1000000)));
    assert_equal(collect_on_small_stack(), SCALED(1000000));
    assert_nothing_left();
}

Test(cycles, of_a_million_live_objects_are_walked_without_a_deep_stack)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, SCALED(1000000));
    gari_decref(gari_incref(ring)); /* a candidate that lives */
    assert_equal(collect_on_small_stack(), 0);
    assert_equal(ring_length(ring), SCALED(1000000));
    gari_decref(ring);
    assert_equal(collect_on_small_stack(), SCALED(1000000));
    assert_nothing_left();
}

Test(cycles, linked_both_ways_are_freed)
{
    use_manual_mode();
    for (size_t length = 1; length <= 10; length++) {
        gari_decref(new_double_ring(&watched_type, length));
        assert_equal(gari_collect(2), length);
    }
    assert_nothing_left();
}

Test(cycles, through_several_fields_to_the_same_object_are_freed)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 0);
    gari_store(&node->next, node);
    gari_store(&node->prev, node);
    gari_store(&node->any, node);
    assert_equal(gari_getrefcount(node), 4);
    gari_decref(node);
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
}

Test(cycles, of_objects_that_all_refer_to_each_other_are_freed)
{
    use_manual_mode();
    enum { N = 100 };
    struct vec *vec[N];
    for (int i = 0; i < N; i++)
        vec[i] = new_vec(N);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            gari_store(&vec[i]->items[j], vec[j]);
    for (int i = 0; i < N; i++)
        gari_decref(vec[i]);
    assert_equal(gari_collect(2), N);
    assert_nothing_left();
}

Test(cycles, that_share_a_member_are_freed_together)
{
    use_manual_mode();
    struct node *middle = new_node(&watched_type, 0);
    struct node *left = new_node(&watched_type, 1), *right = new_node(&watched_type, 2);
    gari_store(&middle->next, left);
    gari_store(&left->next, middle);
    gari_store(&middle->prev, right);
    gari_store(&right->next, middle);
    gari_decref(left);
    gari_decref(right);
    assert_equal(gari_collect(2), 0);
    gari_decref(middle);
    assert_equal(gari_collect(2), 3);
    assert_nothing_left();
}

Test(cycles, that_hang_from_a_garbage_cycle_are_freed_with_it)
{
    use_manual_mode();
    struct node *upper = new_ring(&watched_type, 3);
    gari_move(&upper->any, new_ring(&watched_type, 4));
    gari_decref(upper);
    assert_equal(gari_collect(2), 7);
    assert_nothing_left();
}

Test(cycles, take_their_tail_of_tracked_objects_along)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 3);
    gari_move(&ring->any, new_chain(&watched_type, 10));
    gari_decref(ring);
    assert_equal(gari_collect(2), 13);
    assert_equal(disposed_count(), 13);
    assert_nothing_left();
}

Test(cycles, take_a_tail_of_a_million_objects_along_without_a_deep_stack)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 3);
    gari_move(&ring->any, new_chain(&watched_type, SCALED(1000000)));
    gari_decref(ring);
    assert_equal(collect_on_small_stack(), SCALED(1000000) + 3);
    assert_equal(disposed_count(), SCALED(1000000) + 3);
    assert_nothing_left();
}

Test(cycles, leave_a_tail_alive_that_somebody_else_holds)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 3);
    struct node *tail = new_chain(&watched_type, 10);
    gari_store(&ring->any, tail);
    gari_decref(ring);
    assert_equal(gari_getrefcount(tail), 2);
    assert_equal(gari_collect(2), 3);
    assert_equal(gari_getrefcount(tail), 1);
    assert_equal(ring_length(tail), 10);
    assert_equal(disposed_count(), 3);
    gari_decref(tail);
    assert_equal(disposed_count(), 13);
    assert_nothing_left();
}

Test(cycles, kill_their_leaves_but_do_not_count_them)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 2);
    struct leaf *shared = new_leaf(3);
    gari_move(&ring->any, new_leaf(1));
    gari_read_begin();
    struct node *other = gari_borrow(&ring->next);
    gari_store(&other->any, shared);
    gari_read_end();
    gari_decref(ring);
    assert_equal(gari_collect(2), 2);
    assert_equal(disposed_count(), 3); /* two nodes and the leaf that nobody else holds */
    assert_equal(gari_getrefcount(shared), 1);
    gari_decref(shared);
    assert_equal(disposed_count(), 4);
    assert_nothing_left();
}

Test(cycles, referred_to_from_outside_stay_until_the_reference_goes)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 1000);
    gari_read_begin();
    struct node *inside = ring;
    for (int i = 0; i < 500; i++)
        inside = gari_borrow(&inside->next);
    gari_incref(inside);
    gari_read_end();
    gari_decref(ring);
    for (int generation = 0; generation <= 2; generation++)
        assert_equal(gari_collect(generation), 0);
    assert_equal(ring_length(inside), 1000);
    gari_decref(inside);
    assert_equal(gari_collect(2), 1000);
    assert_nothing_left();
}

Test(cycles, referred_to_by_a_live_object_stay_until_it_dies)
{
    use_manual_mode();
    struct node *holder = new_node(&watched_type, 0);
    gari_move(&holder->next, new_ring(&watched_type, 5));
    assert_equal(gari_collect(2), 0);
    assert_equal(gari_collect(2), 0);
    gari_decref(holder);
    assert_equal(disposed_count(), 1);
    assert_equal(gari_collect(2), 5);
    assert_nothing_left();
}

Test(cycles, that_are_broken_by_hand_die_by_their_counts)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 10);
    gari_store(&ring->next, NULL);
    gari_decref(ring);
    assert_equal(disposed_count(), 10);
    assert_equal(gari_collect(2), 0);
    assert_nothing_left();
}

Test(cycles, in_great_number_are_freed_in_one_collection)
{
    use_manual_mode();
    const size_t rings = SCALED(100000);
    for (size_t i = 0; i < rings; i++)
        make_garbage_ring(&watched_type, 1 + i % 5);
    assert_equal(gari_collect(2), rings * 3);
    assert_equal(disposed_count(), rings * 3);
    assert_nothing_left();
}

Test(cycles, among_live_ones_are_told_apart)
{
    use_manual_mode();
    enum { RINGS = 1000 };
    struct node *ring[RINGS];
    for (int i = 0; i < RINGS; i++)
        ring[i] = new_ring(&watched_type, 4);
    for (int i = 0; i < RINGS; i += 2)
        gari_decref(ring[i]);
    for (int i = 1; i < RINGS; i += 2)
        gari_decref(gari_incref(ring[i]));
    assert_equal(gari_collect(2), RINGS / 2 * 4);
    for (int i = 1; i < RINGS; i += 2) {
        assert_equal(ring_length(ring[i]), 4);
        gari_decref(ring[i]);
    }
    assert_equal(gari_collect(2), RINGS / 2 * 4);
    assert_nothing_left();
}

/* ---- Through variable-length objects ------------------------------------------------------ */

Test(cycles, through_arrays_are_freed)
{
    use_manual_mode();
    for (size_t length = 1; length < 1000; length = length * 3 + 1) {
        struct vec *vec = new_vec(length);
        struct node *node = new_node(&watched_type, 0);
        gari_store(&node->any, vec);
        gari_move(&vec->items[length - 1], node);
        gari_decref(vec);
        assert_equal(gari_collect(2), 2);
    }
    assert_nothing_left();
}

Test(cycles, of_arrays_alone_are_freed)
{
    use_manual_mode();
    struct vec *a = new_vec(10), *b = new_vec(1000), *c = new_vec(100000);
    gari_store(&a->items[3], b);
    gari_store(&b->items[500], c);
    gari_store(&c->items[99999], a);
    gari_decref(a);
    gari_decref(b);
    assert_equal(gari_collect(2), 0);
    gari_decref(c);
    assert_equal(gari_collect(2), 3);
    assert_nothing_left();
}

Test(cycles, through_an_array_of_a_million_slots_that_all_refer_to_it_are_freed)
{
    use_manual_mode();
    const size_t length = SCALED(1000000);
    struct vec *vec = new_vec(length);
    for (size_t i = 0; i < length; i++)
        gari_store(&vec->items[i], vec);
    assert_equal(gari_getrefcount(vec), length + 1);
    gari_decref(vec);
    assert_equal(collect_on_small_stack(), 1);
    assert_nothing_left();
}

Test(cycles, through_an_array_of_a_million_objects_that_refer_back_are_freed)
{
    use_manual_mode();
    const size_t length = SCALED(1000000);
    struct vec *vec = new_vec(length);
    for (size_t i = 0; i < length; i++) {
        struct node *node = new_node(&watched_type, (long)i);
        gari_store(&node->any, vec);
        gari_move(&vec->items[i], node);
    }
    gari_decref(vec);
    assert_equal(collect_on_small_stack(), length + 1);
    assert_equal(disposed_count(), length);
    assert_nothing_left();
}

Test(cycles, through_a_huge_live_array_do_not_hide_small_garbage)
{
    use_manual_mode();
    const size_t length = SCALED(1000000);
    struct vec *vec = new_vec(length);
    for (size_t i = 0; i < length; i++)
        gari_store(&vec->items[i], vec);
    struct node *node = new_node(&watched_type, 0);
    gari_store(&node->next, node);
    gari_store(&node->any, vec);
    gari_decref(node);
    assert_equal(gari_collect(2), 1);
    assert_equal(gari_getrefcount(vec), length + 1);
    gari_decref(vec);
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
}

/* ---- Beside gari's own threads ------------------------------------------------------------ */

static bool all_disposed(void *arg)
{
    return disposed_count() == *(long *)arg;
}

static void check_that_cycles_are_freed_unasked(gari_mode mode)
{
    use_mode(mode);
    long made = 0;
    /* On a slow machine it may take more before a collection is due, or before its thread gets a turn. */
    bool collected = false;
    for (size_t i = 0; i < SCALED(100000) || (!collected && i < 10000000); i++) {
        make_garbage_ring(&watched_type, 3);
        made += 3;
        if (i % 1000 == 999)
            collected = stats_now().generation[0].collections > 0;
    }
    cr_assert(collected);
    gari_collect(2);
    cr_assert(wait_until(all_disposed, &made, 20), "%ld of %ld disposed", disposed_count(), made);
    gari_stats stats = stats_now();
    assert_equal(stats.freed_by_cycles, made);
    assert_nothing_left();
}

Test(cycles, are_freed_by_background_threads)
{
    check_that_cycles_are_freed_unasked(GARI_MODE_BACKGROUND);
}

Test(cycles, are_freed_by_allocating_threads_in_inline_mode)
{
    check_that_cycles_are_freed_unasked(GARI_MODE_INLINE);
}
