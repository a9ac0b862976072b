/* Late death: when memory comes back, in which mode, and what the figures say of it meanwhile. */
#include "tests/support_late.h"

TestSuite(late_memory, .timeout = 120);

enum { KILOBYTE = 1024, MEGABYTE = 1024 * KILOBYTE };

Test(late_memory, figures_are_exact_at_every_step)
{
    use_manual_mode();
    struct tree *root = build_tree(&tree_type, 8);
    uint64_t bytes = stats_now().bytes_live;
    gari_decref(root);
    gari_stats stats = stats_now();
    assert_equal(stats.objects_live, 254);
    assert_equal(stats.bytes_live, bytes / 255 * 254);
    assert_equal(stats.freed_by_count, 1);
    assert_equal(stats.objects_waiting, 1);
    finish_pending();
    stats = stats_now();
    assert_equal(stats.objects_live, 0);
    assert_equal(stats.bytes_live, 0);
    assert_equal(stats.freed_by_count, 255);
    assert_equal(stats.objects_waiting, 0);
    assert_equal(stats.bytes_waiting, 0);
    assert_nothing_left();
}

/* Of trees of 190 KB, 76 or 228 MB in all, one or a few are there at a time; where gari's threads drive
 * grace periods or do the work, as many as the machine takes to give those a turn. */
static void reuse(gari_mode mode, bool by_root)
{
    bool background = mode == GARI_MODE_BACKGROUND;
    size_t most = background ? 96 : mode == GARI_MODE_INLINE ? 40 : 16;
    use_mode(mode);
    GARI_ROOT(struct tree) root = {{NULL}};
    for (size_t i = 0; i < SCALED(background ? 1200 : 400); i++) {
        struct tree *tree = build_tree(&tree_type, 12);
        if (by_root)
            gari_move(&root, tree);
        else
            gari_decref(tree);
    }
    gari_store(&root, NULL);
    if (!SANITIZED)
        assert_at_most(stats_now().heap_peak_bytes, most * MEGABYTE);
    assert_nothing_left();
}

Test(late_memory, memory_is_used_again_in_manual_mode)
{
    reuse(GARI_MODE_MANUAL, false);
}

Test(late_memory, memory_of_candidates_is_used_again_in_manual_mode)
{
    reuse(GARI_MODE_MANUAL, true);
}

Test(late_memory, memory_is_used_again_in_inline_mode)
{
    reuse(GARI_MODE_INLINE, false);
}

Test(late_memory, memory_of_candidates_is_used_again_in_inline_mode)
{
    reuse(GARI_MODE_INLINE, true);
}

Test(late_memory, memory_is_used_again_in_the_background)
{
    reuse(GARI_MODE_BACKGROUND, false);
}

Test(late_memory, memory_of_candidates_is_used_again_in_the_background)
{
    reuse(GARI_MODE_BACKGROUND, true);
}

static bool nothing_lives(void *unused)
{
    (void)unused;
    return stats_now().objects_live == 0;
}

/* The background thread leaves late trees to those who make them for as long as they do so, not longer. */
Test(late_memory, what_a_thread_dropped_before_it_went_to_sleep_is_given_back_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    for (size_t i = 0; i < SCALED(2000); i++)
        gari_decref(build_tree(&tree_type, 8));
    gari_decref(build_tree(&tree_type, 14));
    cr_assert(wait_until(nothing_lives, NULL, 30));
    assert_nothing_left();
}

Test(late_memory, what_waits_is_given_back_before_the_memory_limit_refuses)
{
    gari_config config = GARI_CONFIG_INIT;
    config.mode = GARI_MODE_MANUAL;
    config.memory_limit = MEGABYTE;
    assert_equal(gari_configure(&config), 0);
    for (int i = 0; i < 50; i++) {
        gari_decref(build_tree(&tree_type, 12)); /* 190 KB */
        struct text *text = gari_new_items(&text_type, 700 * KILOBYTE);
        cr_assert(text != NULL, "round %d", i);
        gari_decref(text);
    }
    assert_nothing_left();
}

static void drop_it(void *arg)
{
    gari_decref((struct tree *)arg);
}

Test(late_memory, trees_may_be_dropped_by_another_thread)
{
    use_mode(GARI_MODE_BACKGROUND);
    for (size_t i = 0; i < SCALED(100); i++)
        run_in_thread(drop_it, build_tree(&tree_type, 10));
    gari_collect(2);
    assert_nothing_left();
    gari_stats stats = stats_now();
    assert_equal(stats.allocated, stats.freed_by_count);
}

Test(late_memory, shutdown_gives_back_what_waits)
{
    use_manual_mode();
    gari_decref(build_tree(&tree_type, 14));
    assert_nothing_left();
    assert_equal(stats_now().heap_bytes, 0);
}
