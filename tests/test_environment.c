/* The environment and the profiles. */
#include "tests/support.h"

#include "lib/collector/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(environment, .timeout = 60);

static void use_first(void)
{
    gari_decref(new_leaf(0));
}

Test(environment, sets_thresholds)
{
    setenv("GARI_THRESHOLD", "5,6,7", 1);
    assert_equal(strlen(printed_by(use_first)), 0);
    assert_thresholds(5, 6, 7);
    assert_nothing_left();
}

Test(environment, may_set_the_first_threshold_alone)
{
    setenv("GARI_THRESHOLD", "5000", 1);
    gari_decref(new_leaf(0));
    assert_thresholds(5000, 10, 10);
    assert_nothing_left();
}

Test(environment, has_the_last_word_over_the_configuration)
{
    setenv("GARI_THRESHOLD", "5,6", 1);
    setenv("GARI_MODE", "manual", 1);
    gari_config config = GARI_CONFIG_INIT;
    config.threshold[2] = 99;
    config.mode = GARI_MODE_INLINE;
    assert_equal(gari_configure(&config), 0);
    for (int i = 0; i < 5000; i++)
        make_garbage_ring(&watched_type, 1);
    assert_equal(disposed_count(), 0); /* the mode is manual */
    assert_thresholds(5, 6, 99);
    assert_nothing_left();
}

Test(environment, gives_way_to_calls_that_come_later)
{
    setenv("GARI_THRESHOLD", "5,6,7", 1);
    setenv("GARI_DEBUG", "stats", 1);
    gari_decref(new_leaf(0));
    assert_equal(gari_get_debug(), GARI_DEBUG_STATS);
    gari_set_threshold(1, 2, 3);
    gari_set_debug(0);
    gari_decref(new_leaf(0));
    assert_thresholds(1, 2, 3);
    assert_equal(gari_get_debug(), 0);
    assert_nothing_left();
}

Test(environment, leaves_alone_what_it_does_not_mention)
{
    setenv("GARI_DEBUG", "collectable,saveall", 1);
    gari_set_threshold(1, 2, 3);
    gari_set_memory_limit(12345678);
    gari_decref(new_leaf(0));
    assert_thresholds(1, 2, 3);
    assert_equal(gari_get_memory_limit(), 12345678);
    assert_equal(gari_get_debug(), GARI_DEBUG_COLLECTABLE | GARI_DEBUG_SAVEALL);
    assert_nothing_left();
}

Test(environment, names_every_debug_flag)
{
    setenv("GARI_DEBUG", "stats,leak,uncollectable", 1);
    gari_decref(new_leaf(0));
    assert_equal(gari_get_debug(), GARI_DEBUG_STATS | GARI_DEBUG_LEAK);
    gari_set_debug(0);
    assert_nothing_left();
}

static void expect_limit(const char *value, size_t bytes)
{
    setenv("GARI_MEMORY_LIMIT", value, 1);
    assert_equal(strlen(printed_by(use_first)), 0);
    assert_equal(gari_get_memory_limit(), bytes);
    assert_nothing_left();
}

Test(environment, sets_a_memory_limit_in_bytes)
{
    expect_limit("123456789", 123456789);
}

Test(environment, sets_a_memory_limit_in_megabytes)
{
    expect_limit("64M", (size_t)64 << 20);
}

Test(environment, sets_a_memory_limit_in_gigabytes)
{
    expect_limit("2g", (size_t)2 << 30);
}

Test(environment, sets_a_memory_limit_that_holds)
{
    setenv("GARI_MODE", "manual", 1);
    setenv("GARI_MEMORY_LIMIT", "4M", 1);
    gari_decref(new_leaf(0));
    cr_assert(gari_new_items(&text_type, 8 << 20) == NULL);
    assert_nothing_left();
}

Test(environment, memory_limit_may_follow_the_cgroup)
{
    setenv("GARI_MEMORY_LIMIT", "cgroup", 1);
    assert_equal(strlen(printed_by(use_first)), 0);
    size_t limit = gari__cgroup_limit("/proc/self/cgroup", "/sys/fs/cgroup");
    size_t share = limit == SIZE_MAX ? 0 : limit - limit / 8;
    assert_equal(gari_get_memory_limit(), share);
    gari_set_memory_limit(77);
    assert_equal(gari_get_memory_limit(), 77);
    gari_set_memory_limit(GARI_LIMIT_CGROUP);
    assert_equal(gari_get_memory_limit(), share);
    assert_nothing_left();
}

/* ---- What is refused ---------------------------------------------------------------------- */

static void expect_refusal(const char *variable, const char *value)
{
    setenv(variable, value, 1);
    const char *printed = printed_by(use_first);
    char sentence[256];
    snprintf(sentence, sizeof sentence, "gari: %s=%s is refused: ", variable, value);
    assert_mentions(printed, sentence);
    cr_assert(strchr(printed, '\n') == printed + strlen(printed) - 1, "more than one line: %s",
              printed);
    assert_thresholds(700, 10, 10);
    assert_equal(gari_get_memory_limit(), 0);
    assert_equal(gari_get_debug(), 0);
    assert_nothing_left();
}

#define REFUSES(name, variable, value)                                                             \
    Test(environment, refuses_##name)                                                              \
    {                                                                                              \
        expect_refusal(variable, value);                                                           \
    }

REFUSES(thresholds_that_are_negative, "GARI_THRESHOLD", "700,-1,10")
REFUSES(thresholds_that_are_no_numbers, "GARI_THRESHOLD", "7x0")
REFUSES(thresholds_with_nothing_after_the_comma, "GARI_THRESHOLD", "700,")
REFUSES(too_many_thresholds, "GARI_THRESHOLD", "1,2,3,4")
REFUSES(thresholds_beyond_an_int, "GARI_THRESHOLD", "2147483648")
REFUSES(empty_thresholds, "GARI_THRESHOLD", "")
REFUSES(debug_flags_that_there_are_not, "GARI_DEBUG", "stats,everything")
REFUSES(empty_debug_flags, "GARI_DEBUG", "")
REFUSES(modes_that_there_are_not, "GARI_MODE", "fast")
REFUSES(memory_limits_with_an_unknown_unit, "GARI_MEMORY_LIMIT", "64X")
REFUSES(memory_limits_with_two_units, "GARI_MEMORY_LIMIT", "64MB")
REFUSES(memory_limits_that_overflow, "GARI_MEMORY_LIMIT", "9999999999T")
REFUSES(memory_limits_below_zero, "GARI_MEMORY_LIMIT", "-1")
REFUSES(nice_values_out_of_range, "GARI_NICE", "20")
REFUSES(processors_that_are_no_numbers, "GARI_CPUS", "all")
REFUSES(ranges_of_processors_that_go_back, "GARI_CPUS", "3-1")
REFUSES(thread_names_that_are_too_long, "GARI_THREAD_NAME", "much-too-long")
REFUSES(stress_without_an_interval, "GARI_STRESS", "seed:5")
REFUSES(stress_with_an_interval_that_is_no_number, "GARI_STRESS", "every:often")
REFUSES(stress_with_two_intervals, "GARI_STRESS", "every:5,every:6")
REFUSES(stress_with_words_that_there_are_not, "GARI_STRESS", "every:5,at:6")
REFUSES(stress_with_nothing_after_the_comma, "GARI_STRESS", "every:5,")
REFUSES(stress_below_zero, "GARI_STRESS", "every:-1")
REFUSES(empty_stress, "GARI_STRESS", "")
REFUSES(profiles_that_there_are_not, "GARI_PROFILE", "gaming")

Test(environment, is_complained_of_once)
{
    setenv("GARI_MODE", "fast", 1);
    cr_assert(strlen(printed_by(use_first)) > 0);
    assert_nothing_left();
    gari_config config = GARI_CONFIG_INIT;
    assert_equal(gari_configure(&config), 0);
    assert_equal(strlen(printed_by(use_first)), 0);
    assert_nothing_left();
}

/* ---- Profiles ----------------------------------------------------------------------------- */

Test(environment, profiles_fill_in_a_configuration)
{
    gari_config config = GARI_CONFIG_INIT;
    config.debug = GARI_DEBUG_STATS;
    assert_equal(gari_config_profile(&config, GARI_PROFILE_THROUGHPUT), 0);
    assert_equal(config.mode, GARI_MODE_INLINE);
    cr_assert(config.threshold[0] > 700);
    assert_equal(config.debug, GARI_DEBUG_STATS);
    assert_equal(gari_config_profile(&config, GARI_PROFILE_BATCH), 0);
    assert_equal(config.mode, GARI_MODE_BACKGROUND);
    assert_equal(gari_config_profile(&config, GARI_PROFILE_LONG_RUNNING), 0);
    cr_assert(config.memory_limit == GARI_LIMIT_CGROUP);
    assert_equal(config.threshold[0], 700);
    assert_equal(gari_config_profile(&config, (gari_profile)0), EINVAL);
    assert_equal(gari_config_profile(&config, (gari_profile)4), EINVAL);
    config.debug = 0;
    assert_equal(gari_configure(&config), 0);
    assert_nothing_left();
}

Test(environment, may_name_a_profile_and_refine_it)
{
    setenv("GARI_PROFILE", "batch", 1);
    setenv("GARI_THRESHOLD", "123", 1);
    gari_decref(new_leaf(0));
    gari_config batch = GARI_CONFIG_INIT;
    gari_config_profile(&batch, GARI_PROFILE_BATCH);
    assert_thresholds(123, batch.threshold[1], batch.threshold[2]);
    assert_nothing_left();
}
