/* Pauses of the automatic collection: nested, scoped, over all threads. And threads that never help. */
#include "tests/support.h"

#include <stdatomic.h>

TestSuite(pause, .timeout = 60);

Test(pause, ends_where_it_ends)
{
    use_manual_mode();
    cr_assert(gari_is_enabled());
    gari_pause_begin();
    cr_assert(!gari_is_enabled());
    gari_pause_begin();
    gari_pause_end();
    cr_assert(!gari_is_enabled());
    gari_pause_end();
    cr_assert(gari_is_enabled());
    assert_nothing_left();
}

Test(pause, leaves_the_switch_alone_and_the_other_way_round)
{
    use_manual_mode();
    gari_pause_begin();
    cr_assert(gari_enable()); /* it was, and is, switched on */
    cr_assert(!gari_is_enabled());
    cr_assert(gari_disable());
    gari_pause_end();
    cr_assert(!gari_is_enabled());
    cr_assert(!gari_enable());
    cr_assert(gari_is_enabled());
    assert_nothing_left();
}

static void leave_by_return(void)
{
    GARI_PAUSED
    {
        GARI_PAUSED
        {
            cr_assert(!gari_is_enabled());
            return;
        }
    }
}

Test(pause, has_a_scoped_form_that_may_be_left_in_any_way)
{
    use_manual_mode();
    int rounds = 0;
    GARI_PAUSED
    {
        rounds++;
        cr_assert(!gari_is_enabled());
    }
    assert_equal(rounds, 1);
    cr_assert(gari_is_enabled());
    for (int i = 0; i < 3; i++) {
        GARI_PAUSED
        {
            if (i == 0)
                continue;
            if (i == 1)
                break;
            rounds++;
        }
        cr_assert(gari_is_enabled());
    }
    assert_equal(rounds, 2);
    leave_by_return();
    cr_assert(gari_is_enabled());
    assert_nothing_left();
}

static void end_without_begin(void)
{
    gari_pause_end();
}

Test(pause, that_was_not_begun_cannot_end)
{
    assert_mentions(fatal_sentence(end_without_begin), "gari_pause_end");
}

static void check_that_nothing_starts_in_a_pause(gari_mode mode)
{
    use_mode(mode);
    GARI_PAUSED
    {
        for (size_t i = 0; i < SCALED(100000); i++)
            make_garbage_ring(&watched_type, 2);
        assert_equal(all_collections(), 0);
        assert_equal(disposed_count(), 0);
    }
    for (size_t i = 0; i < 100000 && all_collections() == 0; i++)
        gari_decref(new_node(&node_type, 0)); /* inline mode needs somebody who allocates */
    for (int i = 0; i < 5000 && disposed_count() == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    cr_assert(disposed_count() > 0);
    assert_nothing_left();
    assert_equal(disposed_count(), 2 * SCALED(100000));
}

Test(pause, starts_nothing_in_the_background)
{
    check_that_nothing_starts_in_a_pause(GARI_MODE_BACKGROUND);
}

Test(pause, starts_nothing_in_inline_mode)
{
    check_that_nothing_starts_in_a_pause(GARI_MODE_INLINE);
}

static void *pause_often(void *arg)
{
    for (size_t i = 0; i < SCALED(1000000); i++) {
        gari_pause_begin();
        check(!gari_is_enabled());
        gari_pause_end();
    }
    return arg;
}

/* What a check of the switch and a restoring of it by two threads would get wrong. */
Test(pause, of_many_threads_leave_it_on)
{
    use_manual_mode();
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        thread[i] = start_thread(pause_often, NULL);
    for (int i = 0; i < 4; i++)
        join_thread(thread[i]);
    cr_assert(gari_is_enabled());
    assert_nothing_left();
}

/* ---- Threads that never help -------------------------------------------------------------- */

Test(pause, never_help_is_said_for_a_thread_and_returns_what_was)
{
    use_manual_mode();
    cr_assert(!gari_thread_never_help(true));
    cr_assert(gari_thread_never_help(true));
    cr_assert(gari_thread_never_help(false));
    cr_assert(!gari_thread_never_help(false));
    assert_nothing_left();
}

static void check_the_default(void *arg)
{
    (void)arg;
    check(!gari_thread_never_help(true));
}

Test(pause, never_help_ends_with_its_thread)
{
    use_manual_mode();
    for (int i = 0; i < 3; i++)
        run_in_thread(check_the_default, NULL);
    assert_nothing_left();
}

static void churn_without_helping(void *arg)
{
    bool *never = arg;
    gari_thread_never_help(*never);
    for (size_t i = 0; i < SCALED(100000); i++)
        make_garbage_ring(&watched_type, 2);
}

Test(pause, a_thread_that_never_helps_starts_nothing_in_inline_mode)
{
    use_mode(GARI_MODE_INLINE);
    bool never = true;
    run_in_thread(churn_without_helping, &never);
    assert_equal(all_collections(), 0);
    assert_equal(stats_now().helped, 0);
    never = false;
    for (int i = 0; i < 20 && all_collections() == 0; i++) /* one may not come to its end */
        run_in_thread(churn_without_helping, &never);
    cr_assert(all_collections() > 0);
    cr_assert(stats_now().helped > 0);
    assert_nothing_left();
}

static bool all_died(void *arg)
{
    return disposed_count() == *(long *)arg;
}

Test(pause, a_thread_that_never_helps_leaves_its_garbage_to_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    bool never = true;
    run_in_thread(churn_without_helping, &never);
    long all = (long)(2 * SCALED(100000));
    cr_assert(wait_until(all_died, &all, 30));
    assert_equal(stats_now().helped, 0);
    assert_nothing_left();
}

static void drop_a_leaf(void *arg)
{
    long *own = arg;
    gari_thread_never_help(true);
    struct leaf *leaf = new_leaf(0);
    long before = disposed_count();
    gari_decref(leaf);
    *own = disposed_count() - before;
}

/* Manual mode: what is past a call's budget is left for anybody's next call. */
Test(pause, a_thread_that_never_helps_sees_to_its_own_dead_only)
{
    use_manual_mode();
    struct node *chain = new_chain(&watched_type, 100000);
    gari_decref(chain);
    long before = disposed_count(), own = 0;
    cr_assert(before < 100000);
    run_in_thread(drop_a_leaf, &own);
    assert_equal(own, 1);
    assert_nothing_left();
    assert_equal(disposed_count(), 100001);
}
