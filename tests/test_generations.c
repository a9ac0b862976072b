/* Generations: which objects a collection looks at, how survivors age, how collections are counted.
 * As in CPython. */
#include "tests/support.h"

TestSuite(generations, .timeout = 60);

static void assert_counts(size_t count0, size_t count1, size_t count2)
{
    size_t count[3];
    gari_get_count(count);
    assert_equal(count[0], count0);
    assert_equal(count[1], count1);
    assert_equal(count[2], count2);
}

/* ---- Ages --------------------------------------------------------------------------------- */

Test(generations, a_new_object_belongs_to_generation_0)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    assert_equal(gari_generation(node), 0);
    gari_decref(node);
    assert_nothing_left();
}

Test(generations, a_new_object_belongs_to_generation_0_whatever_was_collected_before)
{
    use_manual_mode();
    for (int i = 0; i < 9; i++) {
        gari_collect(i % 3);
        struct node *node = new_node(&node_type, 0);
        assert_equal(gari_generation(node), 0);
        gari_decref(node);
    }
    assert_nothing_left();
}

static void check_ages(const int *collections, const int *ages, int number)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    for (int i = 0; i < number; i++) {
        gari_collect(collections[i]);
        assert_equal(gari_generation(node), ages[i]);
    }
    gari_decref(node);
    assert_nothing_left();
}

Test(generations, a_survivor_of_a_young_collection_moves_to_generation_1_and_stays_there)
{
    check_ages((int[]){0, 0, 0, 0}, (int[]){1, 1, 1, 1}, 4);
}

Test(generations, a_survivor_of_a_collection_of_generation_1_moves_to_generation_2)
{
    check_ages((int[]){1, 0, 1, 2}, (int[]){2, 2, 2, 2}, 4);
}

Test(generations, a_survivor_of_a_full_collection_moves_to_generation_2)
{
    check_ages((int[]){2, 0, 1, 2}, (int[]){2, 2, 2, 2}, 4);
}

Test(generations, a_survivor_climbs_one_generation_at_a_time)
{
    check_ages((int[]){0, 1, 2, 0}, (int[]){1, 2, 2, 2}, 4);
}

Test(generations, objects_of_different_ages_are_told_apart)
{
    use_manual_mode();
    struct node *old = new_node(&node_type, 0);
    gari_collect(1);
    struct node *middle = new_node(&node_type, 1);
    gari_collect(0);
    struct node *young = new_node(&node_type, 2);
    assert_equal(gari_generation(old), 2);
    assert_equal(gari_generation(middle), 1);
    assert_equal(gari_generation(young), 0);
    gari_decref(old);
    gari_decref(middle);
    gari_decref(young);
    assert_nothing_left();
}

/* More than 16 bits can count. */
static void collect_often(int generation)
{
    for (size_t i = 0; i < SCALED(200000); i++)
        gari_collect(generation);
}

Test(generations, the_old_stay_old_however_many_young_collections_follow)
{
    use_manual_mode();
    struct node *old = new_node(&watched_type, 0);
    gari_collect(1);
    collect_often(0);
    assert_equal(gari_generation(old), 2);
    gari_move(&old->next, old);
    assert_equal(gari_collect(0), 0);
    assert_equal(gari_collect(1), 0);
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
}

Test(generations, generation_1_stays_apart_however_many_young_collections_follow)
{
    use_manual_mode();
    struct node *middle = new_node(&watched_type, 0);
    collect_often(0);
    struct node *young = new_node(&watched_type, 1);
    assert_equal(gari_generation(middle), 1);
    assert_equal(gari_generation(young), 0);
    gari_move(&middle->next, middle);
    gari_move(&young->next, young);
    assert_equal(gari_collect(0), 1);
    assert_equal(gari_collect(1), 1);
    assert_nothing_left();
}

Test(generations, the_old_stay_old_however_many_full_collections_follow)
{
    use_manual_mode();
    struct node *old = new_node(&watched_type, 0);
    collect_often(2);
    struct node *young = new_node(&watched_type, 1);
    assert_equal(gari_generation(old), 2);
    assert_equal(gari_generation(young), 0);
    gari_move(&old->next, old);
    gari_move(&young->next, young);
    assert_equal(gari_collect(0), 1);
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
}

/* ---- Which garbage a collection finds ----------------------------------------------------- */

Test(generations, each_collection_finds_garbage_that_was_just_born)
{
    for (int generation = 0; generation <= 2; generation++) {
        use_manual_mode();
        make_garbage_ring(&watched_type, 3);
        assert_equal(gari_collect(generation), 3);
        assert_nothing_left();
    }
}

Test(generations, a_young_collection_leaves_older_garbage_alone)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 3);
    gari_collect(0);
    gari_decref(ring);
    assert_equal(gari_collect(0), 0);
    assert_equal(gari_collect(1), 3);

    ring = new_ring(&watched_type, 3);
    gari_collect(1);
    gari_decref(ring);
    assert_equal(gari_collect(0), 0);
    assert_equal(gari_collect(1), 0);
    assert_equal(gari_collect(2), 3);
    assert_nothing_left();
}

Test(generations, garbage_that_spans_old_and_young_waits_for_a_full_collection)
{
    use_manual_mode();
    struct node *old = new_node(&watched_type, 0);
    gari_collect(2);
    struct node *young = new_node(&watched_type, 1);
    gari_store(&old->next, young);
    gari_store(&young->next, old);
    assert_equal(gari_generation(old), 2);
    assert_equal(gari_generation(young), 0);
    gari_decref(old);
    gari_decref(young);
    assert_equal(gari_collect(0), 0);
    assert_equal(gari_collect(1), 0);
    assert_equal(gari_collect(1), 0);
    assert_equal(disposed_count(), 0);
    assert_equal(gari_collect(2), 2);
    assert_nothing_left();
}

Test(generations, garbage_that_spans_old_and_young_dies_whichever_member_was_dropped_last)
{
    for (int order = 0; order < 2; order++) {
        use_manual_mode();
        struct node *old = new_node(&node_type, 0);
        gari_collect(2);
        struct node *young = new_node(&node_type, 1);
        gari_move(&young->next, gari_incref(old));
        gari_move(&old->next, gari_incref(young));
        gari_decref(order ? old : young);
        assert_equal(gari_collect(0), 0);
        gari_decref(order ? young : old);
        assert_equal(gari_collect(0), 0);
        assert_equal(gari_collect(2), 2);
        assert_nothing_left();
    }
}

Test(generations, garbage_that_spans_generations_0_and_1_dies_in_a_collection_of_1)
{
    use_manual_mode();
    struct node *middle = new_node(&watched_type, 0);
    gari_collect(0);
    struct node *young = new_node(&watched_type, 1);
    gari_store(&middle->next, young);
    gari_store(&young->next, middle);
    gari_decref(middle);
    gari_decref(young);
    assert_equal(gari_collect(0), 0);
    assert_equal(gari_collect(1), 2);
    assert_nothing_left();
}

Test(generations, a_long_ring_of_all_ages_dies_in_a_full_collection)
{
    use_manual_mode();
    struct node *first = new_node(&watched_type, 0);
    struct node *last = gari_incref(first);
    for (int i = 1; i < 300; i++) {
        struct node *node = new_node(&watched_type, i);
        gari_store(&last->next, node);
        gari_decref(last);
        last = node;
        if (i % 10 == 0)
            gari_collect(i / 10 % 3);
    }
    gari_store(&last->next, first);
    gari_decref(last);
    gari_decref(first);
    assert_equal(gari_collect(0), 0);
    assert_equal(gari_collect(2), 300);
    assert_nothing_left();
}

Test(generations, a_young_ring_held_by_old_garbage_dies_with_it)
{
    use_manual_mode();
    struct node *old = new_ring(&watched_type, 3);
    gari_collect(2);
    gari_move(&old->any, new_ring(&watched_type, 4));
    gari_decref(old);
    assert_equal(gari_collect(0), 0);
    assert_equal(gari_collect(1), 0);
    assert_equal(gari_collect(2), 7);
    assert_nothing_left();
}

Test(generations, a_young_ring_that_holds_an_old_tail_dies_in_a_young_collection)
{
    use_manual_mode();
    struct node *tail = new_chain(&watched_type, 5);
    gari_collect(2);
    struct node *ring = new_ring(&watched_type, 2);
    gari_move(&ring->any, tail);
    gari_decref(ring);
    assert_equal(gari_collect(0), 2); /* the tail is outside: it dies by its counts */
    finish_pending();
    assert_equal(disposed_count(), 7);
    assert_nothing_left();
}

Test(generations, garbage_that_was_live_in_many_collections_is_found_at_last)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 10);
    for (int i = 0; i < 100; i++) {
        gari_decref(gari_incref(ring));
        assert_equal(gari_collect(i % 3), 0);
    }
    gari_decref(ring);
    assert_equal(gari_collect(2), 10);
    assert_nothing_left();
}

/* ---- Counters ----------------------------------------------------------------------------- */

Test(generations, counters_start_at_zero)
{
    use_manual_mode();
    assert_counts(0, 0, 0);
    assert_nothing_left();
}

Test(generations, counter_0_is_tracked_allocations_minus_deallocations)
{
    use_manual_mode();
    struct node *node[10];
    for (size_t i = 0; i < 10; i++) {
        node[i] = new_node(&node_type, 0);
        assert_counts(i + 1, 0, 0);
    }
    struct leaf *leaf = new_leaf(0);
    struct text *text = gari_new_items(&text_type, 10);
    assert_counts(10, 0, 0); /* untracked objects do not count */
    gari_decref(leaf);
    gari_decref(text);
    assert_counts(10, 0, 0);
    for (size_t i = 0; i < 10; i++) {
        gari_decref(node[i]);
        assert_counts(9 - i, 0, 0);
    }
    assert_nothing_left();
}

static void make_seven(void *arg)
{
    struct node **node = arg;
    for (int i = 0; i < 7; i++)
        node[i] = new_node(&node_type, 0);
}

static void drop_three(void *arg)
{
    struct node **node = arg;
    for (int i = 0; i < 3; i++)
        gari_decref(node[i]);
}

Test(generations, counter_0_adds_up_what_all_threads_do)
{
    use_manual_mode();
    struct node *mine = new_node(&node_type, 0);
    struct node *theirs[7];
    run_in_thread(make_seven, theirs);
    assert_counts(8, 0, 0);
    run_in_thread(drop_three, theirs);
    assert_counts(5, 0, 0);
    for (int i = 3; i < 7; i++)
        gari_decref(theirs[i]);
    assert_counts(1, 0, 0);
    gari_decref(mine);
    assert_nothing_left();
}

Test(generations, counter_0_is_never_negative)
{
    use_manual_mode();
    struct node *node[10];
    for (int i = 0; i < 10; i++)
        node[i] = new_node(&node_type, 0);
    gari_collect(0);
    assert_counts(0, 1, 0);
    for (int i = 0; i < 10; i++)
        gari_decref(node[i]);
    assert_counts(0, 1, 0);
    assert_nothing_left();
}

Test(generations, a_collection_of_generation_0_is_counted_for_generation_1)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    for (size_t i = 1; i <= 20; i++) {
        gari_collect(0);
        assert_counts(0, i, 0);
    }
    gari_decref(node);
    assert_nothing_left();
}

Test(generations, a_collection_of_generation_1_is_counted_for_generation_2)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    gari_collect(0);
    gari_collect(0);
    assert_counts(0, 2, 0);
    gari_collect(1);
    assert_counts(0, 0, 1);
    gari_collect(0);
    gari_collect(1);
    assert_counts(0, 0, 2);
    gari_decref(node);
    assert_nothing_left();
}

Test(generations, a_full_collection_resets_all_counters)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    gari_collect(1);
    gari_collect(0);
    struct node *another = new_node(&node_type, 0);
    assert_counts(1, 1, 1);
    gari_collect(2);
    assert_counts(0, 0, 0);
    gari_decref(node);
    gari_decref(another);
    assert_nothing_left();
}

Test(generations, counter_0_is_zero_after_a_collection_that_frees_garbage)
{
    use_manual_mode();
    make_garbage_ring(&node_type, 50);
    assert_counts(50, 0, 0);
    gari_collect(0);
    assert_counts(0, 1, 0);
    assert_nothing_left();
}

Test(generations, finished_collections_and_what_they_freed_are_in_the_statistics)
{
    use_manual_mode();
    for (int generation = 0; generation <= 2; generation++)
        for (int i = 0; i <= generation; i++) {
            make_garbage_ring(&node_type, 5);
            gari_collect(generation);
        }
    gari_stats stats = stats_now();
    for (int generation = 0; generation <= 2; generation++) {
        assert_equal(stats.generation[generation].collections, generation + 1);
        assert_equal(stats.generation[generation].collected, 5 * (generation + 1));
        cr_assert(stats.generation[generation].candidates > 0);
        cr_assert(stats.generation[generation].examined >= (uint64_t)(5 * (generation + 1)));
        cr_assert(stats.generation[generation].time_ns > 0);
        cr_assert(stats.generation[generation].longest_ns > 0);
        cr_assert(stats.generation[generation].longest_ns <= stats.generation[generation].time_ns);
    }
    assert_nothing_left();
}

Test(generations, live_objects_that_nobody_touches_are_not_looked_at_again)
{
    use_manual_mode();
    struct node *ring = new_ring(&node_type, 1000);
    for (int i = 0; i < 3; i++)
        gari_collect(2);
    gari_stats before = stats_now();
    for (int i = 0; i < 10; i++)
        gari_collect(i % 3);
    gari_stats after = stats_now();
    for (int generation = 0; generation <= 2; generation++)
        assert_equal(after.generation[generation].examined, before.generation[generation].examined);
    gari_decref(ring);
    assert_equal(gari_collect(2), 1000);
    assert_nothing_left();
}
