/* Threads come and go: what they made outlives them, what they leave is used by others. */
#include "tests/support.h"

#include <stdatomic.h>
#include <stdlib.h>

TestSuite(threads, .timeout = 120);

enum { KILOBYTE = 1024, THREADS = 64, EACH = 10 };

/* ---- Objects outlive their makers --------------------------------------------------------- */

static void make_ring_of_100(void *arg)
{
    *(struct node **)arg = new_ring(&watched_type, 100);
}

Test(threads, objects_outlive_the_thread_that_made_them)
{
    use_manual_mode();
    struct node *ring;
    run_in_thread(make_ring_of_100, &ring);
    settle();
    assert_equal(ring_length(ring), 100);
    gari_decref(gari_incref(ring));
    assert_equal(gari_collect(2), 0);
    gari_decref(ring);
    assert_equal(gari_collect(2), 100);
    assert_nothing_left();
}

static void drop_ring(void *arg)
{
    gari_decref(*(struct node **)arg);
}

Test(threads, objects_made_in_one_dropped_in_another_collected_in_a_third)
{
    use_manual_mode();
    struct node *ring;
    run_in_thread(make_ring_of_100, &ring);
    run_in_thread(drop_ring, &ring);
    assert_equal(gari_collect(2), 100);
    assert_nothing_left();
}

static void drop_array(void *arg)
{
    struct node **node = arg;
    for (size_t i = 0; i < 10000; i++)
        gari_decref(node[i]);
}

Test(threads, objects_made_here_die_there)
{
    use_manual_mode();
    static struct node *node[10000];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 10000; i++)
            node[i] = new_node(&watched_type, i);
        run_in_thread(drop_array, node);
        assert_equal(disposed_count(), 10000 * (round + 1));
        settle();
        assert_equal(reclaimed_count(), 10000 * (round + 1));
    }
    assert_nothing_left();
}

/* ---- Partly used blocks of threads that have gone ----------------------------------------- */

static void make_one(void *arg)
{
    *(struct node **)arg = new_node(&node_type, 0);
}

Test(threads, that_come_one_after_the_other_share_their_blocks)
{
    use_manual_mode();
    struct node *node[THREADS];
    run_in_thread(make_one, &node[0]);
    uint64_t first = stats_now().heap_bytes;
    for (int i = 1; i < THREADS; i++)
        run_in_thread(make_one, &node[i]);
    assert_at_most(stats_now().heap_bytes, first + 64 * KILOBYTE); /* not 63 blocks */
    for (int i = 0; i < THREADS; i++)
        gari_decref(node[i]);
    assert_nothing_left();
}

static pthread_barrier_t all_here;
static GARI_ROOT(struct node) kept[THREADS][EACH];

static void *be_here(void *arg)
{
    (void)arg;
    gari_read_begin();
    gari_read_end();
    gari_decref(new_leaf(0));
    pthread_barrier_wait(&all_here);
    return NULL;
}

static void *make_a_few(void *arg)
{
    size_t me = (size_t)(uintptr_t)arg;
    for (int i = 0; i < EACH; i++)
        gari_move(&kept[me][i], new_node(&node_type, i));
    pthread_barrier_wait(&all_here);
    return NULL;
}

static void run_all_at_once(void *(*run)(void *arg))
{
    pthread_t thread[THREADS];
    pthread_barrier_init(&all_here, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        thread[i] = start_thread(run, (void *)i);
    for (int i = 0; i < THREADS; i++)
        join_thread(thread[i]);
    pthread_barrier_destroy(&all_here);
}

Test(threads, that_exit_leave_their_partly_used_blocks_to_others)
{
    use_manual_mode();
    run_all_at_once(be_here); /* what threads cost by themselves */
    settle();
    uint64_t before = stats_now().heap_bytes;
    run_all_at_once(make_a_few);
    uint64_t after = stats_now().heap_bytes;
    assert_at_most(after - before, 100 * KILOBYTE * THREADS);
    long spare = (long)(after - before) - THREADS * EACH * (long)(sizeof(struct node) + 16);
    long number = spare > 0 ? spare / 2 / (long)(sizeof(struct node) + 16) : 0;
    struct node *chain = NULL;
    for (long i = 0; i < number; i++) {
        struct node *node = new_node(&node_type, i);
        gari_init(&node->next, chain);
        chain = node;
    }
    assert_at_most(stats_now().heap_bytes,
                   after + (uint64_t)(spare > 0 ? spare / 4 : 0) + 64 * KILOBYTE);
    gari_decref(chain);
    for (int i = 0; i < THREADS; i++)
        for (int j = 0; j < EACH; j++)
            gari_store(&kept[i][j], NULL);
    assert_nothing_left();
}

/* ---- Many short-lived threads ------------------------------------------------------------- */

static void *live_shortly(void *arg)
{
    (void)arg;
    make_garbage_ring(&watched_type, 3);
    gari_decref(new_chain(&watched_type, 5));
    gari_read_begin();
    struct node *shared = gari_borrow(&kept[0][0]);
    if (shared && gari_try_incref(shared))
        gari_decref(shared);
    gari_read_end();
    return NULL;
}

static void run_short_lives(size_t number)
{
    pthread_t thread[4];
    for (size_t i = 0; i < number; i += 4) {
        for (int j = 0; j < 4; j++)
            thread[j] = start_thread(live_shortly, NULL);
        for (int j = 0; j < 4; j++)
            join_thread(thread[j]);
    }
}

static void check_that_short_lives_leave_no_growth(gari_mode mode)
{
    use_mode(mode);
    gari_move(&kept[0][0], new_node(&node_type, 0));
    run_short_lives(200);
    settle();
    uint64_t before = stats_now().heap_bytes;
    run_short_lives(2000);
    settle();
    assert_at_most(stats_now().heap_bytes, before + 128 * KILOBYTE);
    gari_store(&kept[0][0], NULL);
    assert_nothing_left();
    assert_equal(disposed_count(), 2200 * 8);
    assert_equal(reclaimed_count(), 2200 * 8);
}

Test(threads, that_live_shortly_leave_no_growth)
{
    check_that_short_lives_leave_no_growth(GARI_MODE_MANUAL);
}

Test(threads, that_live_shortly_leave_no_growth_beside_the_background_collector)
{
    check_that_short_lives_leave_no_growth(GARI_MODE_BACKGROUND);
}

/* ---- Calls while a thread exits ----------------------------------------------------------- */

static pthread_key_t key_before, key_after;
static atomic_int destructor_runs;

/* Uses gari while the thread's other destructors, gari's among them, run before and after it. */
static void use_gari_late(void *arg)
{
    struct node *node = arg;
    atomic_fetch_add(&destructor_runs, 1);
    struct node *another = new_node(&watched_type, node->value + 1);
    gari_store(&node->next, another);
    gari_read_begin();
    check(gari_borrow(&node->next) == another);
    gari_read_end();
    gari_decref(another);
    make_garbage_ring(&watched_type, 2);
    long value = node->value;
    gari_decref(node);
    if (value % 100 < 2) /* and again, in the next round of destructors */
        pthread_setspecific(value < 100 ? key_before : key_after,
                            new_node(&watched_type, value + 1));
}

static void *exit_with_objects(void *arg)
{
    (void)arg;
    pthread_setspecific(key_before, new_node(&watched_type, 0));
    pthread_setspecific(key_after, new_node(&watched_type, 100));
    return NULL;
}

static void *exit_with_objects_of_others(void *arg)
{
    struct node **node = arg; /* this thread's first call is in its destructors */
    pthread_setspecific(key_before, node[0]);
    pthread_setspecific(key_after, node[1]);
    return NULL;
}

Test(threads, may_use_objects_in_the_destructors_of_their_thread_local_data)
{
    use_manual_mode();
    pthread_key_create(&key_before, use_gari_late); /* gari's own key, if any, is between the two */
    gari_decref(new_node(&watched_type, 0));
    pthread_key_create(&key_after, use_gari_late);
    for (int i = 0; i < 50; i++) {
        join_thread(start_thread(exit_with_objects, NULL));
        struct node *node[2] = {new_node(&watched_type, 0), new_node(&watched_type, 100)};
        join_thread(start_thread(exit_with_objects_of_others, node));
    }
    assert_equal(atomic_load(&destructor_runs), 600);
    settle();
    assert_equal(stats_now().objects_live, 0);
    assert_equal(stats_now().threads, 1);
    assert_nothing_left();
    assert_equal(reclaimed_count(), disposed_count());
}

Test(threads, may_use_objects_in_destructors_beside_the_background_collector)
{
    use_mode(GARI_MODE_BACKGROUND);
    pthread_key_create(&key_before, use_gari_late);
    gari_decref(new_node(&watched_type, 0));
    pthread_key_create(&key_after, use_gari_late);
    for (int i = 0; i < 50; i++)
        join_thread(start_thread(exit_with_objects, NULL));
    assert_equal(atomic_load(&destructor_runs), 300);
    assert_nothing_left();
    assert_equal(reclaimed_count(), disposed_count());
}

static void *exit_and_drop_much(void *arg)
{
    gari_decref((struct node *)arg); /* only begins to take it apart */
    return NULL;
}

Test(threads, that_exit_in_the_middle_of_a_large_death_leave_the_rest_to_others)
{
    use_manual_mode();
    const size_t length = SCALED(200000);
    join_thread(start_thread(exit_and_drop_much, new_chain(&watched_type, length)));
    cr_assert(disposed_count() < (long)length);
    gari_collect(2);
    assert_equal(disposed_count(), length);
    assert_nothing_left();
}
