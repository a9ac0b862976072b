/* Automatic collection on and off. */
#include "tests/support.h"

TestSuite(enable, .timeout = 60);

Test(enable, is_on_at_the_start)
{
    cr_assert(gari_is_enabled());
    assert_nothing_left();
}

Test(enable, and_disable_return_the_former_state)
{
    use_manual_mode();
    cr_assert(gari_enable());
    cr_assert(gari_disable());
    cr_assert(!gari_is_enabled());
    cr_assert(!gari_disable());
    cr_assert(!gari_enable());
    cr_assert(gari_is_enabled());
    assert_nothing_left();
}

static void check_that_a_disabled_collector_starts_nothing(gari_mode mode)
{
    use_mode(mode);
    gari_disable();
    for (size_t i = 0; i < SCALED(100000); i++)
        make_garbage_ring(&watched_type, 2);
    assert_equal(all_collections(), 0);
    assert_equal(disposed_count(), 0);
    struct leaf *leaf = new_leaf(0); /* deaths are as prompt */
    gari_decref(leaf);
    assert_equal(disposed_count(), 1);
    assert_equal(gari_collect(2), 2 * SCALED(100000)); /* asked for, it works */
    assert_equal(all_collections(), 1);
    cr_assert(!gari_is_enabled());
    assert_nothing_left();
}

Test(enable, off_starts_no_collection_in_the_background)
{
    check_that_a_disabled_collector_starts_nothing(GARI_MODE_BACKGROUND);
}

Test(enable, off_starts_no_collection_in_inline_mode)
{
    check_that_a_disabled_collector_starts_nothing(GARI_MODE_INLINE);
}

Test(enable, off_starts_no_collection_in_a_step)
{
    use_manual_mode();
    gari_disable();
    for (int i = 0; i < 1000; i++)
        make_garbage_ring(&watched_type, 2);
    for (int i = 0; i < 100; i++)
        gari_step(1000);
    assert_equal(all_collections(), 0);
    gari_enable();
    while (gari_step(1000))
        continue;
    assert_equal(all_collections(), 1);
    assert_equal(disposed_count(), 2000);
    assert_nothing_left();
}

static bool two_hundred_thousand(void *arg)
{
    (void)arg;
    return disposed_count() == (long)(2 * SCALED(100000));
}

Test(enable, on_again_collects_in_the_background_what_piled_up)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_disable();
    for (size_t i = 0; i < SCALED(100000); i++)
        make_garbage_ring(&watched_type, 2);
    assert_equal(disposed_count(), 0);
    gari_enable();
    cr_assert(wait_until(two_hundred_thousand, NULL, 20), "%ld disposed", disposed_count());
    assert_nothing_left();
}
