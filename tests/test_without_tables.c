/* The collector when its tables cannot grow: smaller sets, later; and gari's work when it can have no
 * threads. */
#include "tests/support.h"

#include "concurrency/fault.h"

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

TestSuite(without_tables, .timeout = 120);

/* All memory that is not for objects fails from now on. */
static void refuse(unsigned kinds)
{
    struct gari__faults faults = {.kinds = kinds, .first = 1, .last = LONG_MAX};
    gari__faults_arm(kinds ? &faults : NULL);
}

/* Collects everything, over and over, until so many watched objects have died. Returns how often. */
static int collect_until(long disposed, int most)
{
    int rounds = 0;
    while (disposed_count() < disposed) {
        cr_assert(++rounds <= most, "%d collections, and only %ld of %ld objects are gone", most,
                  disposed_count(), disposed);
        gari_collect(2);
    }
    return rounds;
}

enum { RINGS = 20000 };

Test(without_tables, garbage_is_collected_by_and_by)
{
    use_manual_mode();
    for (int i = 0; i < RINGS; i++)
        make_garbage_ring(&watched_type, 2);
    refuse(GARI__FAULT_TABLE);
    int rounds = collect_until(2 * RINGS, 40);
    cr_assert(rounds > 1, "it has found memory somewhere");
    cr_assert(gari__faults_met() > 0);
    refuse(0);
    assert_nothing_left();
}

Test(without_tables, each_generation_is_collected)
{
    use_manual_mode();
    for (int generation = 0; generation <= 2; generation++) {
        for (int i = 0; i < 500; i++)
            make_garbage_ring(&watched_type, 2);
        refuse(GARI__FAULT_TABLE);
        assert_equal(gari_collect(generation), 1000);
        refuse(0);
    }
    assert_nothing_left();
}

/* Live rings are candidates too, as many as there is garbage, and among it. */
Test(without_tables, garbage_among_what_lives_is_collected_by_and_by)
{
    use_manual_mode();
    struct node **live = calloc(RINGS, sizeof *live);
    for (int i = 0; i < RINGS; i++) {
        live[i] = new_ring(&watched_type, 2);
        make_garbage_ring(&watched_type, 2);
    }
    refuse(GARI__FAULT_TABLE);
    collect_until(2 * RINGS, 80);
    assert_equal(disposed_count(), 2 * RINGS);
    refuse(0);
    for (int i = 0; i < RINGS; i++) {
        check(ring_length(live[i]) == 2);
        gari_decref(live[i]);
    }
    free(live);
    assert_equal(gari_collect(2), 2 * RINGS);
    assert_nothing_left();
}

/* Garbage that refers to a graph too large to be walked: the graph is outside of what is new. */
Test(without_tables, young_garbage_beside_a_large_graph_is_collected)
{
    use_manual_mode();
    struct node *graph = new_double_ring(&node_type, 100000);
    gari_collect(2);
    for (int i = 0; i < 1000; i++) {
        struct node *ring = new_ring(&watched_type, 2);
        gari_store(&ring->any, graph);
        gari_decref(ring);
    }
    refuse(GARI__FAULT_TABLE);
    assert_equal(gari_collect(0), 2000);
    refuse(0);
    gari_decref(graph);
    assert_equal(gari_collect(2), 100000);
    assert_nothing_left();
}

/* An object with more edges than the queue has room for; what it refers to is alive. */
Test(without_tables, more_edges_than_there_is_room_for_hide_nothing)
{
    use_manual_mode();
    enum { WIDE = 20000 };
    struct vec *wide = new_vec(WIDE);
    struct node **kept = calloc(WIDE, sizeof *kept);
    for (int i = 0; i < WIDE; i++) {
        kept[i] = new_node(&node_type, i);
        gari_store(&wide->items[i], kept[i]);
    }
    struct node *ring = new_ring(&watched_type, 3);
    gari_store(&ring->any, wide);
    gari_decref(gari_incref(wide));
    gari_decref(ring);
    refuse(GARI__FAULT_TABLE);
    collect_until(3, 20);
    refuse(0);
    assert_equal(gari_getrefcount(wide), 1);
    for (int i = 0; i < WIDE; i++) {
        assert_equal(gari_getrefcount(kept[i]), 2);
        gari_decref(kept[i]);
    }
    free(kept);
    gari_decref(wide);
    assert_nothing_left();
}

/* The limit: what the reserve does not hold waits for memory, and keeps nothing else waiting. */
Test(without_tables, a_set_too_large_is_tried_again)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, 30000);
    for (int i = 0; i < 1000; i++)
        make_garbage_ring(&watched_type, 2);
    refuse(GARI__FAULT_TABLE);
    collect_until(2000, 40);
    for (int i = 0; i < 5; i++)
        assert_equal(gari_collect(2), 0);
    assert_equal(disposed_count(), 2000);
    refuse(0);
    assert_equal(gari_collect(2), 30000);
    assert_nothing_left();
}

static const gari_type other_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any));

/* A small ring, the way round which leads by so much that lives that there is no place for its last
 * member's block. */
Test(without_tables, garbage_that_cannot_be_reached_stays_a_candidate)
{
    use_manual_mode();
    enum { WIDE = 60000 };
    struct vec *wide = new_vec(WIDE + 1);
    struct node **kept = calloc(WIDE, sizeof *kept);
    for (int i = 0; i < WIDE; i++) {
        kept[i] = new_node(&node_type, i);
        gari_store(&wide->items[i], kept[i]);
    }
    struct node *last = new_node(&other_type, 0), *first = new_node(&watched_type, 0);
    gari_store(&last->next, first);
    gari_move(&wide->items[WIDE], last);
    gari_move(&first->any, wide);
    assert_equal(gari_collect(2), 0); /* now none of them is a candidate */
    gari_decref(first);
    refuse(GARI__FAULT_TABLE);
    for (int i = 0; i < 3; i++)
        assert_equal(gari_collect(2), 0);
    refuse(0);
    assert_equal(gari_collect(2), 3);
    assert_equal(disposed_count(), 1);
    for (int i = 0; i < WIDE; i++) {
        assert_equal(gari_getrefcount(kept[i]), 1);
        gari_decref(kept[i]);
    }
    free(kept);
    assert_nothing_left();
}

static atomic_long finalized;

static void count_finalize(void *self)
{
    (void)self;
    atomic_fetch_add(&finalized, 1);
}

static const gari_type final_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = count_finalize);

/* A garbage set with finalizers needs a table of its own, for as long as they run. */
Test(without_tables, finalizers_wait_for_memory)
{
    use_manual_mode();
    make_garbage_ring(&final_type, 10);
    refuse(GARI__FAULT_TABLE);
    gari_collect(2);
    gari_collect(2);
    refuse(0);
    gari_collect(2);
    assert_equal(atomic_load(&finalized), 10);
    assert_nothing_left();
    assert_equal(atomic_load(&finalized), 10);
}

static bool is_disposed(void *arg)
{
    return disposed_count() >= *(long *)arg;
}

/* Nobody asks: what could not be done is done when there is memory. */
Test(without_tables, the_background_tries_again)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_decref(new_node(&watched_type, 0));
    long all = 50001;
    gari_pause_begin();
    make_garbage_ring(&watched_type, 50000);
    refuse(GARI__FAULT_TABLE);
    gari_pause_end();
    gari_collect(2);
    assert_equal(disposed_count(), 1);
    refuse(0);
    cr_assert(wait_until(is_disposed, &all, 30), "%ld", disposed_count());
    assert_nothing_left();
}

/* Tables fail now and then while threads are at work. */
static atomic_long made, rounds;
static atomic_bool over;

static void *make_pairs(void *arg)
{
    while (!atomic_load(&over)) {
        struct node *one = gari_new(&watched_type), *other = gari_new(&watched_type);
        atomic_fetch_add(&made, (one != NULL) + (other != NULL));
        if (one && other) {
            gari_store(&one->next, other);
            gari_store(&other->next, one);
        }
        gari_decref(one);
        gari_decref(other);
        while (atomic_load(&made) > 1000 * atomic_load(&rounds) && !atomic_load(&over))
            sched_yield();
    }
    return arg;
}

static void survive_bursts(gari_mode mode)
{
    use_mode(mode);
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        thread[i] = start_thread(make_pairs, NULL);
    uint64_t random = 1;
    while (atomic_load(&rounds) < (long)SCALED(2000) || atomic_load(&made) < (long)SCALED(50000)) {
        atomic_fetch_add(&rounds, 1);
        long first = 1 + (long)(next_random(&random) % 10);
        struct gari__faults faults = {.kinds = GARI__FAULT_ANY,
                                      .first = first,
                                      .last = first + (long)(next_random(&random) % 10)};
        gari__faults_arm(&faults);
        gari_collect((int)(next_random(&random) % 3));
    }
    gari__faults_arm(NULL);
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++)
        join_thread(thread[i]);
    settle();
    assert_nothing_left();
    assert_equal(disposed_count(), atomic_load(&made));
}

Test(without_tables, tables_that_fail_beside_threads_lose_nothing)
{
    survive_bursts(GARI_MODE_BACKGROUND);
}

Test(without_tables, tables_that_fail_beside_threads_lose_nothing_in_manual_mode)
{
    survive_bursts(GARI_MODE_MANUAL);
}

/* What could not be called at the exit is not promised. */
Test(without_tables, nothing_is_promised_for_an_exit_that_would_not_tell)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    refuse(GARI__FAULT_EXIT);
    cr_assert(gari_finalize_new(node, count_finalize, NULL) == NULL);
    refuse(0);
    gari_finalize *finalize = gari_finalize_new(node, count_finalize, NULL);
    cr_assert(finalize != NULL);
    gari_decref(finalize);
    gari_decref(node);
    assert_nothing_left();
    assert_equal(atomic_load(&finalized), 1);
}

/* ---- No threads --------------------------------------------------------------------------- */

/* The service does a little something now and then. */
static bool is_disposed_meanwhile(void *arg)
{
    make_garbage_ring(&node_type, 1);
    return is_disposed(arg);
}

static int threads_now(void)
{
    int tasks = -2; /* . and .. */
    DIR *folder = opendir("/proc/self/task");
    check(folder != NULL);
    while (readdir(folder))
        tasks++;
    closedir(folder);
    return tasks;
}

static bool has_threads(void *number)
{
    make_garbage_ring(&node_type, 1);
    return threads_now() >= *(int *)number;
}

/* Allocation does the work; the heap stays bounded, finalizers are called. */
static void live_without_threads(gari_mode mode)
{
    int threads = threads_now(); /* a sanitizer may have its own */
    refuse(GARI__FAULT_THREAD);
    use_mode(mode);
    size_t most = 0;
    for (int i = 0; i < (int)SCALED(400000); i++) {
        make_garbage_ring(i % 100 ? &watched_type : &final_type, 3);
        size_t now = stats_now().heap_bytes;
        most = now > most ? now : most;
    }
    cr_assert(gari__faults_met() > 0);
    assert_at_most(most, 32 << 20);
    cr_assert(disposed_count() > 0);
    gari_collect(2); /* and who asks is served */
    assert_equal(disposed_count(), SCALED(400000) / 100 * 99 * 3);
    assert_equal(atomic_load(&finalized), SCALED(400000) / 100 * 3);

    /* As soon as there are threads, they do what is theirs. */
    refuse(0);
    long disposed = disposed_count() + 5;
    make_garbage_ring(&watched_type, 5);
    threads += mode == GARI_MODE_BACKGROUND ? 2 : 1;
    cr_assert(wait_until(has_threads, &threads, 30));
    if (mode == GARI_MODE_BACKGROUND)
        cr_assert(wait_until(is_disposed_meanwhile, &disposed, 30));
    assert_nothing_left();
}

Test(without_threads, the_background_mode_works_inline, .timeout = 120)
{
    live_without_threads(GARI_MODE_BACKGROUND);
}

Test(without_threads, the_inline_mode_drives_its_own_grace_periods, .timeout = 120)
{
    live_without_threads(GARI_MODE_INLINE);
}

static bool is_finalized(void *number)
{
    for (int i = 0; i < 200; i++) /* in inline mode allocation finds the garbage */
        make_garbage_ring(&node_type, 1);
    return atomic_load(&finalized) == *(long *)number;
}

/* What was to be finalized while there was no thread for it is, as soon as there is; nobody asks. */
static void finalize_later(gari_mode mode)
{
    refuse(GARI__FAULT_THREAD);
    use_mode(mode);
    long rings = (long)SCALED(20000), all = 2 * rings;
    for (long i = 0; i < rings; i++)
        make_garbage_ring(&final_type, 2);
    cr_assert(stats_now().finalizers_waiting > 0 && atomic_load(&finalized) == 0);
    refuse(0);
    cr_assert(wait_until(is_finalized, &all, 60), "%ld", atomic_load(&finalized));
    assert_nothing_left();
}

Test(without_threads, finalizers_wait_in_inline_mode, .timeout = 120)
{
    finalize_later(GARI_MODE_INLINE);
}

Test(without_threads, finalizers_wait_in_the_background, .timeout = 120)
{
    finalize_later(GARI_MODE_BACKGROUND);
}

/* A collector's thread, but none for grace periods: the second is refused. */
static void live_with_the(long nth)
{
    struct gari__faults faults = {
        .kinds = GARI__FAULT_THREAD, .first = nth, .last = nth, .again = nth + 2};
    gari__faults_arm(&faults);
    use_mode(GARI_MODE_BACKGROUND);
    long disposed = 0;
    for (int i = 0; i < 5; i++) {
        make_garbage_ring(&watched_type, 1000);
        disposed += 1000;
        cr_assert(wait_until(is_disposed_meanwhile, &disposed, 30));
    }
    make_garbage_ring(&final_type, 3);
    gari_collect(2);
    refuse(0);
    assert_nothing_left();
    assert_equal(atomic_load(&finalized), 3);
}

Test(without_threads, all_but_the_first_come_later, .timeout = 120)
{
    live_with_the(1);
}

Test(without_threads, all_but_the_second_come_later, .timeout = 120)
{
    live_with_the(2);
}
