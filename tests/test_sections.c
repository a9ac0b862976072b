/* Calls inside a read section, while another thread waits for that section to end. */
#include "tests/support.h"

static void *collect(void *arg)
{
    make_garbage_ring(&watched_type, 3);
    gari_collect(2);
    return arg;
}

/* What the collection waits for is this section: any wait for the collection would be for ever. */
static void call_everything_that_is_allowed(gari_mode mode)
{
    use_mode(mode);
    struct node *node = new_node(&watched_type, 0);
    gari_read_begin();
    pthread_t thread = start_thread(collect, NULL);
    for (int i = 0; i < 2000; i++) {
        stats_now();
        struct node *other = new_node(&watched_type, i);
        gari_store(&node->next, other);
        gari_move(&node->prev, other);
        gari_decref(gari_take(&node->next));
        struct timespec pause = {0, 10000};
        nanosleep(&pause, NULL);
    }
    gari_read_end();
    join_thread(thread);
    gari_store(&node->prev, NULL);
    gari_decref(node);
    assert_nothing_left();
}

Test(sections, of_readers_do_not_wait_for_a_collection_in_manual_mode, .timeout = 30)
{
    call_everything_that_is_allowed(GARI_MODE_MANUAL);
}

Test(sections, of_readers_do_not_wait_for_a_collection_in_inline_mode, .timeout = 30)
{
    call_everything_that_is_allowed(GARI_MODE_INLINE);
}

Test(sections, of_readers_do_not_wait_for_a_collection_in_the_background, .timeout = 30)
{
    call_everything_that_is_allowed(GARI_MODE_BACKGROUND);
}
