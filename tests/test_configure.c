/* gari_configure: before the first use, or after gari_shutdown. */
#include "tests/support.h"

#include <errno.h>
#include <limits.h>

TestSuite(configure, .timeout = 60);

static const gari_config fresh = GARI_CONFIG_INIT;

Test(configure, defaults_are_background_no_limit_and_the_usual_thresholds)
{
    assert_equal(fresh.struct_size, sizeof(gari_config));
    assert_equal(fresh.mode, GARI_MODE_BACKGROUND);
    assert_equal(fresh.memory_limit, 0);
    assert_equal(fresh.threshold[0], 700);
    assert_equal(fresh.threshold[1], 10);
    assert_equal(fresh.threshold[2], 10);
    assert_equal(gari_configure(&fresh), 0);
    assert_nothing_left();
}

Test(configure, is_not_needed)
{
    make_garbage_ring(&watched_type, 3);
    gari_collect(2);
    assert_nothing_left();
    assert_equal(disposed_count(), 3);
}

Test(configure, may_be_called_again_before_the_first_use)
{
    use_mode(GARI_MODE_BACKGROUND);
    use_mode(GARI_MODE_INLINE);
    use_mode(GARI_MODE_MANUAL);
    make_garbage_ring(&watched_type, 1);
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
}

Test(configure, is_too_late_after_the_first_use)
{
    use_manual_mode();
    gari_decref(new_leaf(0));
    assert_equal(gari_configure(&fresh), EBUSY);
    assert_nothing_left();
}

static void first_use(void *arg)
{
    (void)arg;
    gari_read_begin();
    gari_read_end();
    gari_decref(new_leaf(0));
}

Test(configure, is_too_late_after_another_threads_first_use)
{
    use_manual_mode();
    run_in_thread(first_use, NULL);
    assert_equal(gari_configure(&fresh), EBUSY);
    assert_nothing_left();
}

Test(configure, is_too_late_after_a_collection)
{
    use_manual_mode();
    gari_collect(0);
    assert_equal(gari_configure(&fresh), EBUSY);
    assert_nothing_left();
}

static void expect_invalid(gari_config config)
{
    assert_equal(gari_configure(&config), EINVAL);
}

Test(configure, refuses_values_out_of_range)
{
    gari_config config = fresh;
    config.mode = (gari_mode)3;
    expect_invalid(config);
    config.mode = (gari_mode)99;
    expect_invalid(config);
    config.mode = (gari_mode)-1;
    expect_invalid(config);
    for (int i = 0; i < 3; i++) {
        config = fresh;
        config.threshold[i] = -1;
        expect_invalid(config);
        config.threshold[i] = INT_MIN;
        expect_invalid(config);
    }
    assert_nothing_left();
}

/* From a program that was compiled when the struct ended before stress_every. */
Test(configure, takes_the_sizes_that_it_once_had)
{
    gari_config config = fresh;
    config.struct_size = offsetof(gari_config, stress_every);
    config.threshold[0] = 123;
    config.mode = GARI_MODE_MANUAL;
    config.stress_every = 1; /* is not there for it */
    assert_equal(gari_configure(&config), 0);
    int threshold[3];
    gari_get_threshold(threshold);
    assert_equal(threshold[0], 123);
    gari_decref(new_leaf(1));
    assert_equal(all_collections(), 0);
    assert_nothing_left();
}

/* From a program that was built with version 0.1, whose struct ended with the thresholds. */
Test(configure, takes_the_size_of_the_first_version)
{
    gari_config config = GARI_CONFIG_INIT;
    config.struct_size = 40;
    config.mode = GARI_MODE_MANUAL;
    config.threshold[2] = 77;
    config.debug = 0xffffffff; /* what lies behind it is no part of it */
    config.cpus = (const char *)1;
    assert_equal(gari_configure(&config), 0);
    assert_thresholds(700, 10, 77);
    assert_equal(gari_get_debug(), 0);
    assert_nothing_left();
}

Test(configure, refuses_a_size_that_it_does_not_know)
{
    gari_config config = fresh;
    config.struct_size = 0;
    expect_invalid(config);
    config.struct_size = 4;
    expect_invalid(config);
    config.struct_size = sizeof config + 8;
    expect_invalid(config);
    assert_nothing_left();
}

Test(configure, leaves_everything_as_it_was_when_it_refuses)
{
    use_manual_mode();
    gari_config config = fresh;
    config.mode = GARI_MODE_INLINE;
    config.threshold[0] = 5;
    config.threshold[2] = -1;
    expect_invalid(config);
    int threshold[3];
    gari_get_threshold(threshold);
    assert_equal(threshold[0], 700);
    for (int i = 0; i < 5000; i++)
        make_garbage_ring(&watched_type, 1);
    assert_equal(disposed_count(), 0); /* the mode is still manual */
    assert_nothing_left();
}

Test(configure, is_allowed_again_after_shutdown)
{
    for (int round = 0; round < 6; round++) {
        use_mode((gari_mode)(round % 3));
        make_garbage_ring(&watched_type, 10);
        gari_collect(2);
        assert_nothing_left();
        assert_equal(disposed_count(), 10 * (round + 1));
    }
}

Test(configure, makes_no_threads_in_manual_mode)
{
    use_manual_mode();
    for (int i = 0; i < 5000; i++)
        make_garbage_ring(&watched_type, 2);
    gari_step(100);
    gari_collect(2);
    assert_equal(stats_now().threads, 1);
    assert_nothing_left();
}

Test(configure, version_of_the_library_is_that_of_the_header)
{
    assert_equal(gari_version(), GARI_VERSION);
    assert_nothing_left();
}
