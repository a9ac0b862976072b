/* Containers used by several threads at a time, beside the collector. */
#include "lib/gari_containers.h"
#include "tests/support.h"

#include <errno.h>
#include <stdatomic.h>

TestSuite(container_threads, .timeout = 300);

enum { THREADS = 4 };

static gari_list *list;
static gari_map *map;
static atomic_int writers;
static atomic_long sum;

static void run_threads(void *(*run)(void *arg))
{
    pthread_t thread[THREADS];
    atomic_store(&writers, THREADS);
    for (intptr_t i = 0; i < THREADS; i++)
        thread[i] = start_thread(run, (void *)i);
    for (int i = 0; i < THREADS; i++)
        join_thread(thread[i]);
}

static void *append_many(void *arg)
{
    for (long i = 0; i < (long)SCALED(20000); i++) {
        struct node *node = new_node(&watched_type, (intptr_t)arg * 1000000 + i);
        check(gari_list_append(list, node) == 0);
        gari_decref(node);
    }
    return NULL;
}

static int by_value(void *a, void *b, void *arg)
{
    (void)arg;
    return (((struct node *)a)->value > ((struct node *)b)->value) -
           (((struct node *)a)->value < ((struct node *)b)->value);
}

Test(container_threads, append_to_one_list_and_nothing_is_lost)
{
    list = gari_list_new();
    run_threads(append_many);
    assert_equal(gari_list_length(list), THREADS * SCALED(20000));
    assert_equal(gari_list_sort(list, by_value, NULL), 0);
    for (size_t i = 0; i < THREADS * SCALED(20000); i++) {
        struct node *node = gari_list_get(list, i);
        check(node->value == (long)(i / SCALED(20000) * 1000000 + i % SCALED(20000)));
        gari_decref(node);
    }
    gari_decref(list);
    assert_nothing_left();
    assert_equal(disposed_count(), THREADS * SCALED(20000));
}

/* Two put in what two take out. */
static void *produce_or_consume(void *arg)
{
    long goal = (long)SCALED(20000);
    if ((intptr_t)arg % 2) {
        for (long i = 1; i <= goal; i++) {
            struct node *node = new_node(&watched_type, i);
            check(gari_list_insert(list, 0, node) == 0);
            gari_decref(node);
        }
        atomic_fetch_sub(&writers, 1);
        return NULL;
    }
    for (;;) {
        bool last = atomic_load(&writers) == THREADS / 2;
        struct node *node = gari_list_pop(list);
        if (node)
            atomic_fetch_add(&sum, node->value);
        else if (last)
            return NULL;
        gari_decref(node);
    }
}

Test(container_threads, hand_elements_on_each_once)
{
    list = gari_list_new();
    run_threads(produce_or_consume);
    long goal = (long)SCALED(20000);
    assert_equal(atomic_load(&sum), goal * (goal + 1));
    assert_equal(gari_list_length(list), 0);
    gari_decref(list);
    assert_nothing_left();
    assert_equal(disposed_count(), 2 * goal);
}

/* Everybody asks for the same keys: for each there is one winner, and all get his value. */
enum { KEYS = 2000 };
static _Atomic(struct node *) winners[KEYS];

static void *intern(void *arg)
{
    (void)arg;
    for (int i = 0; i < KEYS; i++) {
        struct node *mine = new_node(&node_type, i);
        gari_bytes *key = gari_bytes_format("key %d", i);
        struct node *value = gari_map_get_or_put(map, gari_key_object(key), mine);
        struct node *expected = NULL;
        check(value && value->value == i);
        check(atomic_compare_exchange_strong(&winners[i], &expected, value) || expected == value);
        gari_decref(key);
        gari_decref(mine);
        gari_decref(value);
    }
    return NULL;
}

Test(container_threads, agree_on_one_value_for_each_key)
{
    map = gari_map_new();
    run_threads(intern);
    assert_equal(gari_map_length(map), KEYS);
    gari_decref(map);
    assert_nothing_left();
}

/* Readers look for keys that are always there while others come and go around them. */
static void *read_or_write(void *arg)
{
    uint64_t random = (uint64_t)(intptr_t)arg + 1;
    if ((intptr_t)arg < 2) {
        struct node *node = new_node(&node_type, 0);
        for (size_t i = 0; i < SCALED(200000); i++) {
            int64_t key = (int64_t)(next_random(&random) % 500) * 2 + 1;
            if (next_random(&random) % 2)
                check(gari_map_put(map, gari_key_integer(key), node) == 0);
            else
                gari_map_remove(map, gari_key_integer(key));
        }
        gari_decref(node);
        atomic_fetch_sub(&writers, 1);
        return NULL;
    }
    do {
        int64_t key = (int64_t)(next_random(&random) % 50) * 2;
        struct node *node = gari_map_get(map, gari_key_integer(key));
        check(node && node->value == key);
        gari_decref(node);
        gari_read_begin();
        node = gari_map_borrow(map, gari_key_integer(key));
        check(node && node->value == key);
        gari_read_end();
        int met = 0;
        gari_map_iter it;
        gari_map_iter_begin(&it, map);
        while (gari_map_iter_next(&it))
            met += it.key.integer % 2 == 0;
        gari_map_iter_end(&it);
        check(met == 50);
    } while (atomic_load(&writers) > THREADS - 2);
    return NULL;
}

Test(container_threads, find_what_stays_while_the_rest_changes)
{
    map = gari_map_new();
    for (int64_t i = 0; i < 100; i += 2) {
        struct node *node = new_node(&node_type, i);
        gari_map_put(map, gari_key_integer(i), node);
        gari_decref(node);
    }
    run_threads(read_or_write);
    gari_decref(map);
    assert_nothing_left();
}
