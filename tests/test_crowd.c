/* Where the service's threads fill all processors, those that allocate do the collector's slices, and the
 * background thread leaves it to them (lib/collector/crowd.c). How busy the processors are is what the test
 * says. */
#include "concurrency/atomics.h"
#include "lib/collector/collector.h"
#include "lib/collector/crowd.h"
#include "tests/clocks.h"
#include "tests/support.h"

#include <sched.h>

TestSuite(crowd, .timeout = 120);

static long all_processors; /* in hundredths of one */

/* ---- What is a crowd ---------------------------------------------------------------------- */

static struct {
    uint64_t wall, all, own;
} ns = {.wall = 1000000000u};

static uint64_t wall_ns(void)
{
    return ns.wall;
}

static uint64_t all_ns(void)
{
    return ns.all;
}

static uint64_t own_ns(void)
{
    return ns.own;
}

/* The test's thread is the background thread, and has the clocks in hand. */
static void begin(void)
{
    use_manual_mode();
    cpu_set_t set;
    cr_assert(sched_getaffinity(0, sizeof set, &set) == 0);
    all_processors = 100L * CPU_COUNT(&set);
    answer_clock(CLOCK_MONOTONIC, wall_ns);
    answer_clock(CLOCK_PROCESS_CPUTIME_ID, all_ns);
    answer_clock(CLOCK_THREAD_CPUTIME_ID, own_ns);
    cr_assert(!gari__crowd_look()); /* there is nothing yet to compare with */
}

static void end(void)
{
    answer_clock(CLOCK_MONOTONIC, NULL);
    answer_clock(CLOCK_PROCESS_CPUTIME_ID, NULL);
    answer_clock(CLOCK_THREAD_CPUTIME_ID, NULL);
    assert_nothing_left();
}

/* What the service's threads and the background thread use meanwhile, in hundredths of a processor. */
static bool look_after(uint64_t ms, long service, long background)
{
    ns.wall += ms * 1000000;
    ns.all += ms * 10000 * (uint64_t)(service + background);
    ns.own += ms * 10000 * (uint64_t)background;
    bool crowded = gari__crowd_look();
    cr_assert(gari__crowded() == crowded);
    return crowded;
}

Test(crowd, is_a_service_that_fills_all_processors)
{
    begin();
    cr_assert(look_after(100, all_processors, 0));
    end();
}

Test(crowd, is_no_service_with_a_processor_to_spare_for_the_background_thread)
{
    begin();
    cr_assert(!look_after(100, all_processors - 100, 100));
    cr_assert(!look_after(100, 0, 100));
    end();
}

Test(crowd, is_a_service_that_shares_the_last_processor_with_the_background_thread)
{
    begin();
    cr_assert(look_after(100, all_processors - 50, 50));
    cr_assert(!look_after(100, all_processors - 100 + 15, 85));
    cr_assert(look_after(100, all_processors - 100 + 16, 84));
    end();
}

Test(crowd, leaves_less_than_a_third_of_a_processor_idle)
{
    begin();
    cr_assert(!look_after(100, all_processors - 30, 0));
    cr_assert(look_after(100, all_processors - 29, 0));
    end();
}

Test(crowd, is_over_when_there_is_none_any_more)
{
    begin();
    cr_assert(look_after(100, all_processors, 0));
    bool crowded = true;
    for (int looks = 0; crowded && looks < 10; looks++)
        crowded = look_after(100, all_processors / 2, 0);
    cr_assert(!crowded);
    end();
}

/* The system does not count more finely what other threads use. */
Test(crowd, is_looked_for_every_40_ms)
{
    begin();
    cr_assert(!look_after(39, all_processors, 0));
    cr_assert(look_after(1, all_processors, 0));
    cr_assert(look_after(39, all_processors, 0));
    cr_assert(look_after(20, all_processors, 0));
    end();
}

Test(crowd, is_forgotten_with_the_background_thread)
{
    begin();
    cr_assert(look_after(100, all_processors, 0));
    gari__crowd_forget();
    cr_assert(!gari__crowded());
    cr_assert(!look_after(100, all_processors, 0)); /* there is nothing to compare with */
    cr_assert(look_after(100, all_processors, 0));
    end();
}

/* ---- Who does the work -------------------------------------------------------------------- */

static __thread bool is_test;
static bool helping; /* atomically */

/* The background thread asks in each of its turns, before it sees whether somebody else has done a slice since
 * the last one. */
static uint64_t time_goes_by(void)
{
    if (!is_test && gari__load_relaxed(&helping))
        gari__fetch_add_relaxed(&gari__collector.helped, 1);
    return system_clock(CLOCK_MONOTONIC);
}

static bool crowded(void *unused)
{
    (void)unused;
    return gari__crowded();
}

static uint64_t collections(void)
{
    gari_stats stats = stats_now();
    return stats.generation[0].collections + stats.generation[1].collections +
           stats.generation[2].collections;
}

static bool has_collected(void *unused)
{
    (void)unused;
    return collections() > 0;
}

static bool has_turned(void *turns)
{
    return gari__worker_turns() >= *(uint64_t *)turns;
}

/* Nothing is collected until gari_enable; and as far as the background thread can see, others do slices all the
 * time. */
static void begin_in_a_crowd(void)
{
    is_test = true;
    helping = true;
    answer_clock(CLOCK_MONOTONIC, time_goes_by);
    fill_all_processors();
    use_mode(GARI_MODE_BACKGROUND);
    gari_disable();
    make_garbage_ring(&node_type, 2); /* for which the thread wakes now and then */
    cr_assert(wait_until(crowded, NULL, 60));
}

Test(crowd, background_thread_leaves_it_to_others_while_they_do_it)
{
    begin_in_a_crowd();
    for (int i = 0; i < 1000; i++)
        make_garbage_ring(&node_type, 2);
    gari_enable(); /* a collection is due */
    uint64_t turns = gari__worker_turns() + 50;
    cr_assert(wait_until(has_turned, &turns, 60));
    cr_assert(!gari__load_seq_cst(&gari__collector.open));
    assert_equal(collections(), 0);
    gari__store_relaxed(&helping, false);
    cr_assert(wait_until(has_collected, NULL, 60));
    assert_nothing_left();
}

Test(crowd, those_who_allocate_do_it_before_they_are_ahead_of_the_collector)
{
    begin_in_a_crowd();
    gari_enable();
    for (int i = 0; collections() == 0 && gari__schedule_debt() == 0; i++) {
        make_garbage_ring(&node_type, 2);
        if (i > 1000) /* a grace period takes its time */
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    cr_assert(collections() > 0);
    assert_nothing_left();
}
