/* The statistics add up. */
#include "tests/support.h"

#include <errno.h>
#include <stdlib.h>

TestSuite(accounting, .timeout = 60);

static gari_stats checked_stats(void)
{
    gari_stats stats = stats_now();
    assert_equal(stats.allocated,
                 stats.freed_by_count + stats.freed_by_cycles + stats.objects_live);
    cr_assert(stats.heap_bytes <= stats.heap_peak_bytes);
    cr_assert(stats.bytes_live <= stats.heap_bytes);
    assert_equal(stats.freed_by_cycles, stats.generation[0].collected +
                                            stats.generation[1].collected +
                                            stats.generation[2].collected);
    return stats;
}

Test(accounting, of_a_fresh_library_is_all_zero)
{
    use_manual_mode();
    gari_stats stats = checked_stats();
    assert_equal(stats.allocated, 0);
    assert_equal(stats.objects_live, 0);
    assert_equal(stats.bytes_live, 0);
    assert_equal(stats.objects_waiting, 0);
    assert_nothing_left();
}

Test(accounting, counts_objects_and_their_bytes)
{
    use_manual_mode();
    struct node *node[100];
    for (size_t i = 0; i < 100; i++) {
        node[i] = new_node(&node_type, 0);
        gari_stats stats = checked_stats();
        assert_equal(stats.allocated, i + 1);
        assert_equal(stats.objects_live, i + 1);
        cr_assert(stats.bytes_live >= (i + 1) * sizeof(struct node));
        assert_at_most(stats.bytes_live, (i + 1) * (sizeof(struct node) + 16));
    }
    for (size_t i = 0; i < 100; i++) {
        gari_decref(node[i]);
        gari_stats stats = checked_stats();
        assert_equal(stats.freed_by_count, i + 1);
        assert_equal(stats.objects_live, 99 - i);
    }
    assert_equal(checked_stats().bytes_live, 0);
    assert_nothing_left();
}

Test(accounting, tells_deaths_by_count_from_deaths_by_cycle)
{
    use_manual_mode();
    make_garbage_ring(&node_type, 10);
    gari_decref(new_chain(&node_type, 5));
    gari_decref(new_leaf(0));
    assert_equal(checked_stats().freed_by_count, 6);
    assert_equal(checked_stats().freed_by_cycles, 0);
    assert_equal(checked_stats().objects_live, 10);
    gari_collect(2);
    assert_equal(checked_stats().freed_by_count, 6);
    assert_equal(checked_stats().freed_by_cycles, 10);
    assert_equal(checked_stats().objects_live, 0);
    assert_nothing_left();
}

Test(accounting, adds_up_when_a_cycle_takes_leaves_along)
{
    use_manual_mode();
    struct node *ring = new_ring(&node_type, 3);
    gari_move(&ring->any, new_leaf(0));
    gari_decref(ring);
    assert_equal(gari_collect(2), 3);
    gari_stats stats = checked_stats();
    assert_equal(stats.objects_live, 0);
    assert_equal(stats.bytes_live, 0);
    assert_equal(stats.freed_by_count + stats.freed_by_cycles, 4);
    assert_nothing_left();
}

Test(accounting, shows_the_dead_that_wait_for_a_grace_period)
{
    use_manual_mode();
    for (int i = 0; i < 100; i++)
        gari_decref(new_node(&watched_type, 0));
    gari_stats stats = checked_stats();
    assert_equal(stats.objects_live, 0);
    assert_equal(stats.objects_waiting + (uint64_t)reclaimed_count(), 100);
    cr_assert(stats.bytes_waiting >= stats.objects_waiting * sizeof(struct node));
    settle();
    stats = checked_stats();
    assert_equal(stats.objects_waiting, 0);
    assert_equal(stats.bytes_waiting, 0);
    assert_equal(reclaimed_count(), 100);
    cr_assert(stats.grace_periods > 0);
    cr_assert(stats.grace_longest_ns > 0);
    assert_nothing_left();
}

Test(accounting, adds_up_after_random_work)
{
    use_manual_mode();
    enum { SLOTS = 500 };
    struct node *slot[SLOTS] = {0};
    uint64_t random = 99;
    for (size_t i = 0; i < SCALED(400000); i++) {
        size_t which = next_random(&random) % SLOTS;
        if (!slot[which]) {
            slot[which] = new_node(&node_type, 0);
        } else if (next_random(&random) % 3) {
            gari_decref(slot[which]);
            slot[which] = NULL;
        } else {
            gari_store(&slot[which]->next, slot[next_random(&random) % SLOTS]);
        }
        if (i % 20000 == 0) {
            gari_collect((int)(i / 20000 % 3));
            checked_stats();
        }
    }
    for (size_t i = 0; i < SLOTS; i++)
        gari_decref(slot[i]);
    settle();
    gari_stats stats = checked_stats();
    assert_equal(stats.objects_live, 0);
    assert_equal(stats.bytes_live, 0);
    assert_equal(stats.objects_waiting, 0);
    assert_nothing_left();
}

enum { THREADS = 4 };

static void *work(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < SCALED(20000); i++) {
        make_garbage_ring(&node_type, 2);
        gari_decref(new_chain(&node_type, 3));
        gari_decref(new_leaf(0));
    }
    return NULL;
}

Test(accounting, adds_up_over_threads_and_after_their_exit)
{
    use_mode(GARI_MODE_BACKGROUND);
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++)
        thread[i] = start_thread(work, NULL);
    for (int i = 0; i < THREADS; i++)
        join_thread(thread[i]);
    gari_collect(2);
    gari_stats stats = checked_stats();
    assert_equal(stats.allocated, THREADS * SCALED(20000) * 6);
    assert_equal(stats.freed_by_count, THREADS * SCALED(20000) * 4);
    assert_equal(stats.freed_by_cycles, THREADS * SCALED(20000) * 2);
    assert_equal(stats.bytes_live, 0);
    assert_nothing_left();
}

static struct gate attached = GATE_CLOSED, leave = GATE_CLOSED;

static void *attach_and_wait(void *arg)
{
    (void)arg;
    gari_decref(new_leaf(0));
    gate_open(&attached);
    gate_wait(&leave);
    return NULL;
}

Test(accounting, knows_how_many_threads_are_attached)
{
    use_manual_mode();
    gari_decref(new_leaf(0));
    uint64_t before = stats_now().threads;
    assert_equal(before, 1);
    pthread_t thread = start_thread(attach_and_wait, NULL);
    gate_wait(&attached);
    assert_equal(stats_now().threads, before + 1);
    gate_open(&leave);
    join_thread(thread);
    assert_equal(stats_now().threads, before);
    assert_nothing_left();
}

Test(accounting, refuses_a_size_that_it_does_not_know)
{
    use_manual_mode();
    gari_stats stats = {.struct_size = 0};
    assert_equal(gari_get_stats(&stats), EINVAL);
    stats.struct_size = sizeof stats + 8;
    assert_equal(gari_get_stats(&stats), EINVAL);
    stats.struct_size = SIZE_MAX;
    assert_equal(gari_get_stats(&stats), EINVAL);
    assert_nothing_left();
}
