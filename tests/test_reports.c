/* Callbacks at the start and the stop of each collection. */
#include "tests/support.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

TestSuite(reports, .timeout = 60);

static gari_collection seen[1000];
static atomic_int seen_count;

static void record(const gari_collection *collection, void *arg)
{
    (void)arg;
    int at = atomic_fetch_add(&seen_count, 1);
    if (at < 1000)
        seen[at] = *collection;
}

Test(reports, come_at_the_start_and_at_the_stop_with_generation_and_figures)
{
    use_manual_mode();
    assert_equal(gari_callback_add(record, NULL), 0);
    make_garbage_ring(&watched_type, 5);
    gari_collect(1);
    assert_equal(seen_count, 2);
    assert_equal(seen[0].phase, GARI_PHASE_START);
    assert_equal(seen[0].generation, 1);
    assert_equal(seen[0].collected + seen[0].examined + seen[0].duration_ns, 0);
    assert_equal(seen[1].phase, GARI_PHASE_STOP);
    assert_equal(seen[1].generation, 1);
    assert_equal(seen[1].collected, 5);
    assert_equal(seen[1].uncollectable, 0);
    assert_equal(seen[1].candidates, 5);
    assert_equal(seen[1].examined, 5);
    cr_assert(seen[1].duration_ns > 0);
    assert_equal(seen[1].duration_ns, stats_now().generation[1].time_ns);
    cr_assert(gari_callback_remove(record, NULL));
    assert_nothing_left();
}

static void count(const gari_collection *collection, void *arg)
{
    (void)collection;
    ++*(int *)arg;
}

Test(reports, go_to_each_callback_with_its_own_argument)
{
    use_manual_mode();
    int a = 0, b = 0;
    assert_equal(gari_callback_add(count, &a), 0);
    assert_equal(gari_callback_add(count, &b), 0);
    assert_equal(gari_callback_add(count, &b), 0);
    gari_collect(0);
    assert_equal(a, 2);
    assert_equal(b, 4);
    cr_assert(gari_callback_remove(count, &b));
    gari_collect(0);
    assert_equal(a, 4);
    assert_equal(b, 6);
    cr_assert(gari_callback_remove(count, &b));
    cr_assert(!gari_callback_remove(count, &b));
    cr_assert(gari_callback_remove(count, &a));
    gari_collect(0);
    assert_equal(a, 4);
    assert_equal(b, 6);
    assert_nothing_left();
}

Test(reports, need_a_callback)
{
    assert_equal(gari_callback_add(NULL, NULL), EINVAL);
    cr_assert(!gari_callback_remove(record, NULL));
    assert_nothing_left();
}

static void remove_oneself(const gari_collection *collection, void *arg)
{
    count(collection, arg);
    cr_assert(gari_callback_remove(remove_oneself, arg));
}

Test(reports, may_unregister_themselves)
{
    use_manual_mode();
    int first = 0, second = 0, third = 0;
    gari_callback_add(count, &first);
    gari_callback_add(remove_oneself, &second);
    gari_callback_add(count, &third);
    gari_collect(2);
    assert_equal(first, 2);
    assert_equal(second, 1);
    assert_equal(third, 2);
    gari_callback_remove(count, &first);
    gari_callback_remove(count, &third);
    assert_nothing_left();
}

static void allocate(const gari_collection *collection, void *arg)
{
    count(collection, arg);
    for (int i = 0; i < 2000; i++)
        make_garbage_ring(&watched_type, 2);
}

Test(reports, may_allocate_and_make_garbage)
{
    use_mode(GARI_MODE_INLINE);
    int calls = 0;
    gari_callback_add(allocate, &calls);
    for (int i = 0; i < 10; i++)
        gari_collect(0);
    cr_assert(calls >= 20);
    gari_callback_remove(allocate, &calls);
    assert_nothing_left();
    assert_equal(disposed_count(), 4000L * calls);
}

static void collect_again(const gari_collection *collection, void *arg)
{
    count(collection, arg);
    assert_equal(gari_collect(2), 0);
    cr_assert(!gari_step(1000));
}

Test(reports, may_ask_for_a_collection_which_comes_later_and_only_once)
{
    use_manual_mode();
    int calls = 0;
    gari_callback_add(collect_again, &calls);
    gari_collect(0);
    assert_equal(calls, 2);
    for (int i = 0; i < 1000; i++)
        gari_step(1000);
    assert_equal(calls, 4);
    assert_equal(stats_now().generation[2].collections, 1);
    gari_callback_remove(collect_again, &calls);
    assert_nothing_left();
}

static bool two_full(void *arg)
{
    (void)arg;
    return stats_now().generation[2].collections >= 1;
}

Test(reports, that_ask_for_a_collection_do_not_keep_the_background_busy)
{
    use_mode(GARI_MODE_BACKGROUND);
    int calls = 0;
    gari_callback_add(collect_again, &calls);
    gari_collect(0);
    cr_assert(wait_until(two_full, NULL, 20));
    wait_until(two_full, NULL, 0.3);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    assert_at_most(stats_now().generation[2].collections, 2);
    cr_assert(gari_callback_remove(collect_again, &calls));
    assert_nothing_left();
}

static void look_around(const gari_collection *collection, void *arg)
{
    gari_objects objects;
    gari_stats stats = stats_now();
    cr_assert(stats.allocated > 0);
    assert_equal(gari_get_objects(GARI_ALL, &objects), 0);
    gari_objects_release(&objects);
    assert_equal(gari_garbage_get(&objects), 0);
    gari_objects_release(&objects);
    gari_freeze();
    gari_unfreeze();
    count(collection, arg);
}

Test(reports, may_look_for_objects)
{
    use_mode(GARI_MODE_BACKGROUND);
    int calls = 0;
    struct node *ring = new_ring(&node_type, 100);
    gari_callback_add(look_around, &calls);
    gari_collect(2);
    gari_collect(0);
    cr_assert(gari_callback_remove(look_around, &calls));
    cr_assert(calls >= 4);
    gari_decref(ring);
    assert_nothing_left();
}

/* ---- Many threads ------------------------------------------------------------------------- */

static atomic_int inside, starts, stops, out_of_turn;

static void check_turns(const gari_collection *collection, void *arg)
{
    (void)arg;
    if (atomic_fetch_add(&inside, 1) != 0)
        atomic_fetch_add(&out_of_turn, 1);
    if (collection->phase == GARI_PHASE_START)
        atomic_fetch_add(&starts, 1);
    else if (atomic_fetch_add(&stops, 1) >= atomic_load(&starts))
        atomic_fetch_add(&out_of_turn, 1);
    atomic_fetch_sub(&inside, 1);
}

static void *churn_and_collect(void *arg)
{
    long thread = (long)arg;
    for (size_t i = 0; i < SCALED(2000) + 100; i++) {
        make_garbage_ring(&watched_type, 3);
        if (i % 50 == (size_t)thread)
            gari_collect((int)(i % 3));
    }
    return NULL;
}

Test(reports, come_one_at_a_time_and_starts_before_stops_whoever_collects)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_callback_add(check_turns, NULL);
    pthread_t thread[4];
    for (long i = 0; i < 4; i++)
        thread[i] = start_thread(churn_and_collect, (void *)i);
    for (int i = 0; i < 4; i++)
        join_thread(thread[i]);
    gari_collect(2);
    cr_assert(gari_callback_remove(check_turns, NULL));
    cr_assert(starts > 0);
    assert_equal(out_of_turn, 0);
    assert_nothing_left();
}

static atomic_bool busy, entered, leave;

static void be_slow(const gari_collection *collection, void *arg)
{
    (void)collection;
    (void)arg;
    atomic_store(&busy, true);
    atomic_store(&entered, true);
    while (!atomic_load(&leave))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    atomic_store(&busy, false);
}

static void *collect_once(void *arg)
{
    gari_collect(0);
    return arg;
}

static void *let_go_soon(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    atomic_store(&leave, true);
    return arg;
}

static bool has_entered(void *arg)
{
    (void)arg;
    return atomic_load(&entered);
}

/* Of collections that find nothing to be looked at, which those begin who allocate: none is left begun when they
 * have other things to do. */
static bool all_have_stopped(void *unused)
{
    (void)unused;
    return seen_count > 0 && seen_count % 2 == 0;
}

static void *make_objects(void *unused)
{
    (void)unused;
    struct node *last = NULL;
    for (int i = 0; i < 30000; i++) {
        struct node *node = new_node(&watched_type, i);
        gari_init(&node->next, last);
        last = node;
    }
    cr_assert(wait_until(all_have_stopped, NULL, 20), "after %d reports", seen_count);
    gari_decref(last);
    return NULL;
}

Test(reports, come_of_every_stop_though_there_is_nothing_to_collect)
{
    use_mode(GARI_MODE_BACKGROUND);
    assert_equal(gari_callback_add(record, NULL), 0);
    for (int i = 0; i < 5; i++)
        make_objects(NULL);
    cr_assert(gari_callback_remove(record, NULL));
    assert_nothing_left();
}

Test(reports, do_not_run_any_more_once_they_are_removed)
{
    use_manual_mode();
    gari_callback_add(be_slow, NULL);
    pthread_t collecting = start_thread(collect_once, NULL);
    cr_assert(wait_until(has_entered, NULL, 20));
    pthread_t releasing = start_thread(let_go_soon, NULL);
    cr_assert(gari_callback_remove(be_slow, NULL));
    cr_assert(!atomic_load(&busy));
    join_thread(collecting);
    join_thread(releasing);
    assert_nothing_left();
}

static void *make_garbage_and_help(void *arg)
{
    for (size_t i = 0; i < SCALED(400000); i++)
        make_garbage_ring(&watched_type, 2);
    return arg;
}

/* Makes garbage while it waits: what there was may have been less than a collection begins for. */
static bool another_has_ended(void *before)
{
    for (int i = 0; i < 1000; i++)
        make_garbage_ring(&watched_type, 2);
    return stats_now().generation[0].collections > *(uint64_t *)before && disposed_count() > 0;
}

Test(reports, that_take_their_time_stop_no_collection)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_callback_add(be_slow, NULL);
    pthread_t collecting = start_thread(collect_once, NULL);
    cr_assert(wait_until(has_entered, NULL, 20));
    uint64_t before = stats_now().generation[0].collections;
    join_thread(start_thread(make_garbage_and_help, NULL));
    cr_assert(wait_until(another_has_ended, &before, 20));
    cr_assert(atomic_load(&busy));
    atomic_store(&leave, true);
    join_thread(collecting);
    cr_assert(gari_callback_remove(be_slow, NULL));
    assert_nothing_left();
}
