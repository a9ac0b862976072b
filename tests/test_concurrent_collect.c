/* Several threads that collect at once: each garbage object is freed once and counted once. */
#include "tests/support.h"

#include <stdatomic.h>

TestSuite(concurrent_collect, .timeout = 120);

enum { THREADS = 4 };

static atomic_ulong made, returned;
static pthread_barrier_t all_here;

static void *make_and_collect(void *arg)
{
    int generation = (int)(intptr_t)arg;
    for (size_t round = 0; round < SCALED(200); round++) {
        for (size_t length = 1; length <= 10; length++) {
            make_garbage_ring(&watched_type, length);
            atomic_fetch_add(&made, length);
        }
        pthread_barrier_wait(&all_here);
        atomic_fetch_add(&returned, gari_collect(generation));
    }
    return NULL;
}

static void run(int generation)
{
    pthread_t thread[THREADS];
    pthread_barrier_init(&all_here, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        thread[i] = start_thread(make_and_collect,
                                 (void *)(intptr_t)(generation >= 0 ? generation : i % 3));
    for (int i = 0; i < THREADS; i++)
        join_thread(thread[i]);
    atomic_fetch_add(&returned, gari_collect(2));
    pthread_barrier_destroy(&all_here);
}

static uint64_t collected(void)
{
    gari_stats stats = stats_now();
    assert_equal(stats.freed_by_cycles, stats.generation[0].collected +
                                            stats.generation[1].collected +
                                            stats.generation[2].collected);
    return stats.freed_by_cycles;
}

Test(concurrent_collect, counts_each_garbage_object_once_in_all)
{
    use_manual_mode();
    run(2);
    assert_equal(atomic_load(&returned), atomic_load(&made));
    assert_equal(collected(), atomic_load(&made));
    assert_equal(disposed_count(), atomic_load(&made));
    assert_nothing_left();
    assert_equal(reclaimed_count(), atomic_load(&made));
}

Test(concurrent_collect, of_different_generations_counts_each_garbage_object_once_in_all)
{
    use_manual_mode();
    run(-1);
    assert_equal(atomic_load(&returned), atomic_load(&made));
    assert_equal(collected(), atomic_load(&made));
    assert_equal(disposed_count(), atomic_load(&made));
    assert_nothing_left();
}

static void check_beside_automatic_collection(gari_mode mode)
{
    use_mode(mode);
    run(2);
    cr_assert(atomic_load(&returned) <= atomic_load(&made));
    gari_collect(2); /* an automatic one that freed the rest has ended by then */
    assert_equal(collected(), atomic_load(&made));
    assert_equal(disposed_count(), atomic_load(&made));
    assert_nothing_left();
    assert_equal(reclaimed_count(), atomic_load(&made));
}

Test(concurrent_collect, beside_the_background_collector_frees_each_garbage_object_once)
{
    check_beside_automatic_collection(GARI_MODE_BACKGROUND);
}

Test(concurrent_collect, beside_inline_collections_frees_each_garbage_object_once)
{
    check_beside_automatic_collection(GARI_MODE_INLINE);
}

/* ---- Collections beside threads that work ------------------------------------------------- */

static atomic_int working;
static GARI_ROOT(struct node) root[16];

static void *work(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (size_t i = 0; i < SCALED(40000); i++) {
        struct node *ring = new_ring(&watched_type, 1 + next_random(&random) % 5);
        atomic_fetch_add(&made, ring_length(ring));
        struct node *other = gari_load(&root[next_random(&random) % 16]);
        if (other) {
            check(ring_length(other) >= 1);
            /* What the other ring was linked to goes, so that no endless chain stays alive. */
            gari_store(&other->any, next_random(&random) % 2 ? ring : NULL);
            gari_store(&ring->any, other);
        }
        gari_decref(other);
        gari_move(&root[next_random(&random) % 16], ring);
        if (next_random(&random) % 8 == 0)
            gari_store(&root[next_random(&random) % 16], NULL);
    }
    atomic_fetch_sub(&working, 1);
    return NULL;
}

Test(concurrent_collect, beside_threads_that_rewire_a_graph_frees_what_they_drop_and_no_more)
{
    use_manual_mode();
    pthread_t thread[3];
    atomic_store(&working, 3);
    for (uintptr_t i = 0; i < 3; i++)
        thread[i] = start_thread(work, (void *)(i + 1));
    for (int i = 0; atomic_load(&working) > 0; i++)
        gari_collect(i % 3);
    for (int i = 0; i < 3; i++)
        join_thread(thread[i]);
    for (int i = 0; i < 16; i++)
        gari_store(&root[i], NULL);
    assert_nothing_left();
    assert_equal(disposed_count(), atomic_load(&made));
    assert_equal(reclaimed_count(), atomic_load(&made));
}
