/* When a collection starts by itself. */
#include "tests/support.h"

#include <errno.h>

TestSuite(thresholds, .timeout = 60);

static bool has_collected(void *arg)
{
    (void)arg;
    return all_collections() > 0;
}

static struct node *kept[5000];

static void keep_nodes(int from, int to)
{
    for (int i = from; i < to; i++)
        kept[i] = new_node(&node_type, i);
}

static void drop_nodes(int from, int to)
{
    for (int i = from; i < to; i++)
        gari_decref(kept[i]);
}

/* ---- Setting and getting ------------------------------------------------------------------ */

Test(thresholds, are_700_10_10_by_default)
{
    assert_thresholds(700, 10, 10);
    assert_nothing_left();
}

Test(thresholds, can_be_set)
{
    use_manual_mode();
    assert_equal(gari_set_threshold(1, 2, 3), 0);
    assert_thresholds(1, 2, 3);
    assert_equal(gari_set_threshold(0, 0, 0), 0);
    assert_thresholds(0, 0, 0);
    assert_nothing_left();
}

Test(thresholds, that_are_negative_are_refused_and_change_nothing)
{
    use_manual_mode();
    assert_equal(gari_set_threshold(-1, 2, 3), EINVAL);
    assert_equal(gari_set_threshold(1, -2, 3), EINVAL);
    assert_equal(gari_set_threshold(1, 2, -3), EINVAL);
    assert_thresholds(700, 10, 10);
    assert_nothing_left();
}

Test(thresholds, come_from_the_configuration)
{
    gari_config config = GARI_CONFIG_INIT;
    config.mode = GARI_MODE_MANUAL;
    config.threshold[0] = 5;
    config.threshold[1] = 6;
    config.threshold[2] = 7;
    assert_equal(gari_configure(&config), 0);
    assert_thresholds(5, 6, 7);
    assert_nothing_left();
}

/* ---- The first generation ----------------------------------------------------------------- */

static void check_that_nothing_starts_at_the_threshold(gari_mode mode)
{
    use_mode(mode);
    keep_nodes(0, 700);
    for (size_t i = 0; i < SCALED(100000); i++) { /* time, and calls that might start one */
        gari_decref(kept[i % 700]);
        kept[i % 700] = new_node(&node_type, 0);
    }
    assert_equal(all_collections(), 0);
    drop_nodes(0, 700);
    assert_nothing_left();
}

Test(thresholds, that_are_reached_but_not_passed_start_nothing_in_the_background)
{
    check_that_nothing_starts_at_the_threshold(GARI_MODE_BACKGROUND);
}

Test(thresholds, that_are_reached_but_not_passed_start_nothing_in_inline_mode)
{
    check_that_nothing_starts_at_the_threshold(GARI_MODE_INLINE);
}

Test(thresholds, that_are_passed_start_a_collection_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    keep_nodes(0, 701);
    cr_assert(wait_until(has_collected, NULL, 20));
    cr_assert(collections_of(0) >= 1);
    drop_nodes(0, 701);
    assert_nothing_left();
}

Test(thresholds, that_are_passed_start_a_collection_in_inline_mode)
{
    use_mode(GARI_MODE_INLINE);
    int made = 701;
    keep_nodes(0, made);
    /* Allocation does the work in slices; it must not take ever more objects. */
    while (collections_of(0) == 0 && made < 5000) {
        for (int i = 0; i < 1000 && collections_of(0) == 0; i++)
            gari_decref(new_node(&node_type, 0));
        keep_nodes(made, made + 1);
        made++;
    }
    cr_assert(collections_of(0) >= 1);
    drop_nodes(0, made);
    assert_nothing_left();
}

Test(thresholds, count_garbage_cycles_as_what_was_not_deallocated)
{
    use_mode(GARI_MODE_BACKGROUND);
    for (int i = 0; i < 400; i++)
        make_garbage_ring(&watched_type, 2);
    cr_assert(wait_until(has_collected, NULL, 20));
    assert_nothing_left();
    assert_equal(disposed_count(), 800);
}

static void make_two_hundred(void *arg)
{
    struct node **node = arg;
    for (int i = 0; i < 200; i++)
        node[i] = new_node(&node_type, 0);
}

Test(thresholds, are_counted_over_all_threads)
{
    use_mode(GARI_MODE_BACKGROUND);
    for (int i = 0; i < 4; i++)
        run_in_thread(make_two_hundred, &kept[i * 200]);
    cr_assert(wait_until(has_collected, NULL, 20));
    drop_nodes(0, 800);
    assert_nothing_left();
}

Test(thresholds, ignore_untracked_objects)
{
    use_mode(GARI_MODE_BACKGROUND);
    static struct leaf *leaf[5000];
    for (int i = 0; i < 5000; i++)
        leaf[i] = new_leaf(i);
    for (size_t i = 0; i < SCALED(100000); i++)
        gari_decref(new_leaf(0));
    assert_equal(all_collections(), 0);
    for (int i = 0; i < 5000; i++)
        gari_decref(leaf[i]);
    assert_nothing_left();
}

static void churn_one_by_one(void)
{
    for (size_t i = 0; i < SCALED(1000000); i++)
        gari_decref(new_node(&node_type, 0));
}

static void churn_by_the_hundred(void)
{
    for (size_t i = 0; i < SCALED(1000000) / 500; i++) {
        keep_nodes(0, 500);
        drop_nodes(0, 500);
    }
}

static void churn_chains(void)
{
    for (size_t i = 0; i < SCALED(1000000) / 500; i++)
        gari_decref(new_chain(&node_type, 500));
}

static void check_that_it_starts_nothing(gari_mode mode, void (*churn)(void))
{
    use_mode(mode);
    churn();
    assert_equal(all_collections(), 0);
    assert_nothing_left();
}

Test(thresholds, are_not_passed_by_a_million_nodes_made_and_dropped_in_the_background)
{
    check_that_it_starts_nothing(GARI_MODE_BACKGROUND, churn_one_by_one);
}

Test(thresholds, are_not_passed_by_a_million_nodes_made_and_dropped_in_inline_mode)
{
    check_that_it_starts_nothing(GARI_MODE_INLINE, churn_one_by_one);
}

Test(thresholds, are_not_passed_while_hundreds_live_and_a_million_die_in_the_background)
{
    check_that_it_starts_nothing(GARI_MODE_BACKGROUND, churn_by_the_hundred);
}

Test(thresholds, are_not_passed_while_hundreds_live_and_a_million_die_in_inline_mode)
{
    check_that_it_starts_nothing(GARI_MODE_INLINE, churn_by_the_hundred);
}

Test(thresholds, are_not_passed_by_chains_of_hundreds_that_are_dropped_in_the_background)
{
    check_that_it_starts_nothing(GARI_MODE_BACKGROUND, churn_chains);
}

Test(thresholds, are_not_passed_by_chains_of_hundreds_that_are_dropped_in_inline_mode)
{
    check_that_it_starts_nothing(GARI_MODE_INLINE, churn_chains);
}

static void check_that_a_lowered_threshold_applies(gari_mode mode)
{
    use_mode(mode);
    keep_nodes(0, 100);
    assert_equal(all_collections(), 0);
    assert_equal(gari_set_threshold(50, 10, 10), 0);
    keep_nodes(100, 200);
    for (size_t i = 0; i < SCALED(20000) && all_collections() == 0; i++)
        gari_decref(new_node(&node_type, 0)); /* inline mode needs somebody who allocates */
    cr_assert(wait_until(has_collected, NULL, 20));
    drop_nodes(0, 200);
    assert_nothing_left();
}

Test(thresholds, that_are_lowered_apply_at_once_in_the_background)
{
    check_that_a_lowered_threshold_applies(GARI_MODE_BACKGROUND);
}

Test(thresholds, that_are_lowered_apply_at_once_in_inline_mode)
{
    check_that_a_lowered_threshold_applies(GARI_MODE_INLINE);
}

/* As in CPython, whose count stops at zero. */
Test(thresholds, need_not_make_up_for_the_deaths_of_older_objects)
{
    use_mode(GARI_MODE_INLINE);
    keep_nodes(0, 5000);
    gari_collect(2);
    uint64_t before = all_collections();
    drop_nodes(0, 5000);
    keep_nodes(0, 3 * 701);
    /* It may wait a moment: two collections are 10 ms apart. */
    for (int i = 0; i < 2000 && all_collections() == before; i++)
        for (int j = 0; j < 1000; j++)
            gari_decref(new_node(&node_type, 0));
    cr_assert(all_collections() > before);
    drop_nodes(0, 3 * 701);
    assert_nothing_left();
}

Test(thresholds, start_nothing_by_themselves_in_manual_mode)
{
    use_manual_mode();
    keep_nodes(0, 5000);
    assert_equal(all_collections(), 0);
    drop_nodes(0, 5000);
    assert_nothing_left();
}

/* ---- The older generations ---------------------------------------------------------------- */

static bool never(void *arg)
{
    (void)arg;
    return false;
}

/* Steps in manual mode start what is due, on this thread. A collection that is due within 10 ms of
 * the one before may wait for more allocation. */
static void pass_threshold_of_ten(int round)
{
    wait_until(never, NULL, 0.02);
    keep_nodes(round * 11, round * 11 + 11);
    uint64_t before = all_collections();
    for (int i = 0; i < 1000000 && gari_step(1000); i++)
        continue;
    assert_equal(all_collections(), before + 1);
}

Test(thresholds, of_generation_1_count_collections_of_generation_0)
{
    use_manual_mode();
    assert_equal(gari_set_threshold(10, 2, 0), 0);
    for (int round = 0; round < 8; round++) {
        pass_threshold_of_ten(round);
        /* More than two of generation 0, then one of generation 1: every fourth. */
        assert_equal(collections_of(1), (round + 1) / 4);
        assert_equal(collections_of(0), round + 1 - (round + 1) / 4);
    }
    assert_equal(collections_of(2), 0);
    drop_nodes(0, 88);
    assert_nothing_left();
}

Test(thresholds, of_zero_switch_off_the_automatic_collection_of_generation_1)
{
    use_manual_mode();
    assert_equal(gari_set_threshold(10, 0, 0), 0);
    for (int round = 0; round < 8; round++)
        pass_threshold_of_ten(round);
    assert_equal(collections_of(0), 8);
    assert_equal(collections_of(1), 0);
    assert_equal(collections_of(2), 0);
    drop_nodes(0, 88);
    assert_nothing_left();
}

static void check_that_zero_switches_all_off(gari_mode mode)
{
    use_mode(mode);
    assert_equal(gari_set_threshold(0, 1, 1), 0);
    keep_nodes(0, 5000);
    for (size_t i = 0; i < SCALED(100000); i++)
        make_garbage_ring(&watched_type, 2);
    assert_equal(all_collections(), 0);
    assert_equal(gari_collect(2), 2 * SCALED(100000)); /* asked for, it works */
    drop_nodes(0, 5000);
    assert_nothing_left();
}

Test(thresholds, of_zero_for_generation_0_switch_all_off_in_the_background)
{
    check_that_zero_switches_all_off(GARI_MODE_BACKGROUND);
}

Test(thresholds, of_zero_for_generation_0_switch_all_off_in_inline_mode)
{
    check_that_zero_switches_all_off(GARI_MODE_INLINE);
}
