/* Memory of the dead is used again after a grace period, and what is not needed goes back to the
 * system. */
#include "tests/support.h"

#include "lib/heap/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(memory_reuse, .timeout = 60);

enum { KILOBYTE = 1024, MEGABYTE = 1024 * KILOBYTE };

static void make(struct node **node, size_t number)
{
    for (size_t i = 0; i < number; i++)
        node[i] = new_node(&node_type, (long)i);
}

static void drop(struct node **node, size_t number)
{
    for (size_t i = 0; i < number; i++)
        gari_decref(node[i]);
}

enum { NUMBER = 100000 };

static void drop_all(void *node)
{
    drop(node, NUMBER);
}

static void drop_elsewhere(void *node)
{
    run_in_thread(drop_all, node);
}

static void check_that_memory_comes_back(void (*drop_them)(void *node), uint64_t slack)
{
    use_manual_mode();
    struct node **node = calloc(NUMBER, sizeof *node);
    make(node, NUMBER);
    uint64_t full = stats_now().heap_bytes;
    for (int round = 0; round < 5; round++) {
        drop_them(node);
        settle();
        make(node, NUMBER);
        assert_at_most(stats_now().heap_bytes, full + slack);
    }
    drop_all(node);
    free(node);
    assert_nothing_left();
}

Test(memory_reuse, as_many_objects_as_before_fit_into_the_memory_of_the_dead)
{
    check_that_memory_comes_back(drop_all, 64 * KILOBYTE);
}

Test(memory_reuse, memory_freed_by_another_thread_comes_back_to_its_maker)
{
    check_that_memory_comes_back(drop_elsewhere, 256 * KILOBYTE);
}

Test(memory_reuse, holes_among_the_living_are_filled_first)
{
    use_manual_mode();
    struct node **node = calloc(NUMBER, sizeof *node);
    make(node, NUMBER);
    uint64_t full = stats_now().heap_bytes;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < NUMBER; i++)
            if (i % 10 != 0)
                gari_decref(node[i]);
        settle();
        for (size_t i = 0; i < NUMBER; i++)
            if (i % 10 != 0)
                node[i] = new_node(&node_type, (long)i);
        assert_at_most(stats_now().heap_bytes, full + 64 * KILOBYTE);
        for (size_t i = 0; i < NUMBER; i++)
            check(node[i]->value == (long)i);
    }
    drop(node, NUMBER);
    free(node);
    assert_nothing_left();
}

Test(memory_reuse, memory_of_garbage_cycles_is_used_again)
{
    use_manual_mode();
    make_garbage_ring(&node_type, 100000);
    gari_collect(2);
    settle();
    uint64_t peak = stats_now().heap_peak_bytes;
    for (int round = 0; round < 5; round++) {
        make_garbage_ring(&node_type, 100000);
        assert_equal(gari_collect(2), 100000);
        settle();
    }
    assert_at_most(stats_now().heap_peak_bytes, peak + peak / 8);
    assert_nothing_left();
}

Test(memory_reuse, an_empty_heap_is_small)
{
    use_manual_mode();
    const size_t number = SCALED(1000000);
    struct node **node = calloc(number, sizeof *node);
    make(node, number);
    uint64_t full = stats_now().heap_bytes;
    cr_assert(full >= number * sizeof(struct node));
    drop(node, number);
    settle();
    assert_at_most(stats_now().heap_bytes, 512 * KILOBYTE);
    cr_assert(stats_now().heap_peak_bytes >= full);
    free(node);
    assert_nothing_left();
    assert_at_most(stats_now().heap_bytes, 512 * KILOBYTE);
}

static bool heap_is_small(void *arg)
{
    (void)arg;
    return stats_now().heap_bytes <= MEGABYTE;
}

Test(memory_reuse, an_empty_heap_becomes_small_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    const size_t number = SCALED(1000000);
    struct node **node = calloc(number, sizeof *node);
    make(node, number);
    drop(node, number);
    cr_assert(wait_until(heap_is_small, NULL, 20), "heap_bytes is still %llu",
              (unsigned long long)stats_now().heap_bytes);
    free(node);
    assert_nothing_left();
}

/* The process really has it, not only gari's books. */
static uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total, resident;
    check(file && fscanf(file, "%lu %lu", &total, &resident) == 2);
    fclose(file);
    return (uint64_t)resident * 4096;
}

Test(memory_reuse, heap_bytes_agree_with_what_the_process_uses, .disabled = SANITIZED)
{
    use_manual_mode();
    const size_t number = 1000000;
    struct node **node = calloc(number, sizeof *node);
    memset(node, 1, number * sizeof *node);
    gari_decref(new_node(&node_type, 0));
    uint64_t resident = resident_bytes(), heap = stats_now().heap_bytes;
    make(node, number);
    uint64_t resident_more = resident_bytes() - resident, heap_more = stats_now().heap_bytes - heap;
    cr_assert(resident_more < heap_more + heap_more / 10 && heap_more < resident_more * 11 / 10,
              "the process grew by %llu, heap_bytes by %llu", (unsigned long long)resident_more,
              (unsigned long long)heap_more);
    drop(node, number);
    settle();
    assert_at_most(resident_bytes(), resident + resident_more / 4);
    free(node);
    assert_nothing_left();
}

/* Segments with small pages go back in pieces, each time when something is freed. Of all of them no more
 * stays than one that is kept, one on its way, and the tables. */
Test(memory_reuse, a_small_heap_goes_back_to_the_system_in_pieces, .disabled = SANITIZED)
{
    use_manual_mode();
    const size_t number = 350000;
    struct node **node = calloc(number, sizeof *node);
    memset(node, 1, number * sizeof *node);
    gari_decref(new_node(&node_type, 0));
    uint64_t resident = resident_bytes();
    for (int round = 0; round < 3; round++) {
        make(node, number);
        cr_assert(resident_bytes() > resident + 12 * MEGABYTE);
        drop(node, number);
        settle();
        assert_at_most(resident_bytes(), resident + 6 * MEGABYTE);
    }
    free(node);
    assert_nothing_left();
}

/* While a thread attends to what is leaving, who frees it does not wait for the system; it is returned by that
 * thread, or when there would be more than there has been. */
enum { RUNS = 400, IN_SEGMENT = 5, RUN_PAGES = (GARI__PAGES - 1) / IN_SEGMENT };

static void take_runs(char **run, int number, size_t pages)
{
    for (int i = 0; i < number; i++) {
        run[i] = gari__run_new(NULL, pages, 0);
        cr_assert(run[i] != NULL);
        memset(run[i], 1, pages * GARI__PAGE_SIZE);
    }
}

static void free_runs(char **run, int number, size_t pages)
{
    for (int i = 0; i < number; i++) {
        if (run[i])
            gari__run_free(run[i], pages);
        run[i] = NULL;
    }
}

Test(memory_reuse, what_is_leaving_waits_for_who_attends_to_it, .disabled = SANITIZED)
{
    use_manual_mode();
    gari_decref(new_node(&node_type, 0));
    static char *run[RUNS];
    const uint64_t resident = resident_bytes();
    const uint64_t full = (uint64_t)RUNS * RUN_PAGES * GARI__PAGE_SIZE;
    gari__segments_attend(true);
    take_runs(run, RUNS, RUN_PAGES);
    free_runs(run, RUNS, RUN_PAGES);
    cr_assert(resident_bytes() > resident + full * 3 / 4);
    take_runs(run, RUNS, RUN_PAGES);
    assert_at_most(resident_bytes(), resident + full * 9 / 8);
    free_runs(run, RUNS, RUN_PAGES);
    gari__segments_attend(false);
    take_runs(run, RUNS, RUN_PAGES);
    free_runs(run, RUNS, RUN_PAGES);
    assert_at_most(resident_bytes(), resident + full / 4);
    assert_nothing_left();
}

/* Half of the segments are leaving, the others have holes that are too small for what is made then. */
Test(memory_reuse, what_is_leaving_makes_way_for_new_segments, .disabled = SANITIZED)
{
    enum { WIDE = 80 };
    use_manual_mode();
    gari_decref(new_node(&node_type, 0));
    static char *run[RUNS], *wide[WIDE];
    const uint64_t resident = resident_bytes();
    const uint64_t full = (uint64_t)RUNS * RUN_PAGES * GARI__PAGE_SIZE;
    gari__segments_attend(true);
    take_runs(run, RUNS, RUN_PAGES);
    free_runs(run, RUNS / 2, RUN_PAGES);
    for (int i = RUNS / 2 + 1; i < RUNS; i += 2)
        free_runs(&run[i], 1, RUN_PAGES);
    take_runs(wide, WIDE, 2 * RUN_PAGES);
    assert_at_most(resident_bytes(), resident + full * 9 / 8);
    free_runs(wide, WIDE, 2 * RUN_PAGES);
    free_runs(run, RUNS, RUN_PAGES);
    gari__segments_attend(false);
    while (gari__segments_return())
        continue;
    assert_nothing_left();
}

struct small {
    gari_object header;
    long value;
    GARI_REF(struct small) left, right;
};
static const gari_type small_type =
    GARI_TYPE(struct small, .refs = GARI_REFS(struct small, left, right));

Test(memory_reuse, an_object_with_two_references_and_a_number_takes_at_most_40_bytes)
{
    use_manual_mode();
    const size_t number = SCALED(1000000);
    struct small **small = calloc(number, sizeof *small);
    for (size_t i = 0; i < number; i++)
        small[i] = gari_new(&small_type);
    uint64_t heap = stats_now().heap_bytes;
    cr_assert(heap <= 40 * number + 256 * KILOBYTE, "%g bytes an object",
              (double)heap / (double)number);
    for (size_t i = 0; i < number; i++)
        gari_decref(small[i]);
    free(small);
    assert_nothing_left();
}

Test(memory_reuse, many_types_with_few_objects_take_little)
{
    use_manual_mode();
    enum { TYPES = 100 };
    static gari_type type[TYPES];
    gari_object *object[TYPES];
    for (size_t i = 0; i < TYPES; i++) {
        gari_type one = GARI_TYPE(struct small);
        type[i] = one;
        object[i] = gari_new(&type[i]);
    }
    assert_at_most(stats_now().heap_bytes, 1600 * KILOBYTE); /* 64 threads: 100 MB at most */
    for (size_t i = 0; i < TYPES; i++)
        gari_decref(object[i]);
    assert_nothing_left();
}

/* One thread makes, another drops, at the same time and for long; the heap must not grow. */
enum { QUEUE = 1000 };
static GARI_ROOT(struct node) queue[QUEUE];

static void *produce(void *arg)
{
    (void)arg;
    uint64_t random = 1;
    for (size_t i = 0; i < SCALED(1000000); i++)
        gari_move(&queue[next_random(&random) % QUEUE], new_node(&watched_type, 5));
    return NULL;
}

static void *consume(void *arg)
{
    (void)arg;
    uint64_t random = 2;
    for (size_t i = 0; i < SCALED(1000000); i++) {
        struct node *node = gari_take(&queue[next_random(&random) % QUEUE]);
        if (node)
            check(node->value == 5);
        gari_decref(node);
    }
    return NULL;
}

Test(memory_reuse, objects_made_here_and_freed_there_for_long_do_not_grow_the_heap)
{
    use_mode(GARI_MODE_BACKGROUND);
    pthread_t producer = start_thread(produce, NULL), consumer = start_thread(consume, NULL);
    join_thread(producer);
    join_thread(consumer);
    if (!SANITIZED)
        assert_at_most(stats_now().heap_peak_bytes, 24 * MEGABYTE); /* of 48 that were made */
    for (int i = 0; i < QUEUE; i++)
        gari_store(&queue[i], NULL);
    assert_nothing_left();
    assert_equal(disposed_count(), SCALED(1000000));
    assert_equal(reclaimed_count(), SCALED(1000000));
}

/* Runs of pages change hands between the sizes that share a segment and those that have a mapping
 * of their own: the sizes on both sides of 1 MB and 2 MB are where that could go wrong. */
Test(memory_reuse, objects_of_every_size_share_the_heap_without_overlapping)
{
    use_manual_mode();
    enum { SIZES = 24, ROUNDS = 3 };
    for (int round = 0; round < ROUNDS; round++) {
        struct text *blob[SIZES];
        for (int i = 0; i < SIZES; i++) {
            size_t length = (size_t)(i + 1) * 128 * KILOBYTE - 64;
            blob[i] = gari_new_items(&text_type, length);
            check(blob[i] != NULL);
            memset(blob[i]->bytes, i + 1, length);
        }
        for (int i = round % 2; i < SIZES; i += 2) {
            gari_decref(blob[i]);
            blob[i] = NULL;
        }
        settle();
        enum { MOST = 20000 };
        struct node **node = calloc(MOST, sizeof *node);
        make(node, MOST);
        for (int i = 0; i < SIZES; i++) {
            if (!blob[i])
                continue;
            for (size_t at = 0; at < blob[i]->length; at += 512)
                check(blob[i]->bytes[at] == i + 1);
            gari_decref(blob[i]);
        }
        for (size_t i = 0; i < MOST; i++)
            check(node[i]->value == (long)i);
        drop(node, MOST);
        free(node);
        settle();
    }
    assert_nothing_left();
}
