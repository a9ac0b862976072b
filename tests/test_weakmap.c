/* Weak-value map and weak set. */
#include "tests/support.h"

#include <stdatomic.h>
#include <string.h>

TestSuite(weakmap, .timeout = 120);

Test(weakmap, finds_what_lives_and_not_what_has_died)
{
    use_manual_mode();
    gari_weakmap *map = gari_weakmap_new();
    struct node *node = new_node(&watched_type, 1);
    assert_equal(gari_weakmap_set(map, "one", 3, node), 0);
    struct node *found = gari_weakmap_get(map, "one", 3);
    cr_assert(found == node);
    gari_decref(found);
    cr_assert(gari_weakmap_get(map, "on", 2) == NULL);
    assert_equal(gari_weakmap_count(map), 1);
    gari_decref(node);
    assert_equal(disposed_count(), 1);
    cr_assert(gari_weakmap_get(map, "one", 3) == NULL);
    assert_equal(gari_weakmap_count(map), 0);
    gari_decref(map);
    assert_nothing_left();
}

Test(weakmap, replaces_and_removes)
{
    use_manual_mode();
    gari_weakmap *map = gari_weakmap_new();
    struct node *a = new_node(&node_type, 1), *b = new_node(&node_type, 2);
    gari_weakmap_set(map, "k", 1, a);
    gari_weakmap_set(map, "k", 1, b);
    struct node *found = gari_weakmap_get(map, "k", 1);
    cr_assert(found == b);
    gari_decref(found);
    cr_assert(gari_weakmap_remove(map, "k", 1));
    cr_assert(!gari_weakmap_remove(map, "k", 1));
    cr_assert(gari_weakmap_get(map, "k", 1) == NULL);
    gari_decref(a);
    gari_decref(b);
    gari_decref(map);
    assert_nothing_left();
}

Test(weakmap, setdefault_gives_everybody_the_same_object)
{
    use_manual_mode();
    gari_weakmap *map = gari_weakmap_new();
    struct node *a = new_node(&node_type, 1), *b = new_node(&node_type, 2);
    struct node *first = gari_weakmap_setdefault(map, "k", 1, a);
    struct node *second = gari_weakmap_setdefault(map, "k", 1, b);
    cr_assert(first == a && second == a);
    assert_equal(gari_getrefcount(a), 3);
    gari_decref(first);
    gari_decref(second);
    gari_decref(a);
    struct node *third = gari_weakmap_setdefault(map, "k", 1, b);
    cr_assert(third == b);
    gari_decref(third);
    gari_decref(b);
    gari_decref(map);
    assert_nothing_left();
}

static void add_values(const void *key, size_t size, void *object, void *arg)
{
    long n;
    check(size == sizeof n);
    memcpy(&n, key, size);
    check(((struct node *)object)->value == n);
    *(long *)arg += n;
}

Test(weakmap, grows_shrinks_and_is_walked)
{
    use_manual_mode();
    const long many = (long)SCALED(20000);
    gari_weakmap *map = gari_weakmap_new();
    struct vec *kept = new_vec((size_t)many);
    for (long i = 0; i < many; i++) {
        struct node *node = new_node(&node_type, i);
        assert_equal(gari_weakmap_set(map, &i, sizeof i, node), 0);
        if (i % 2)
            gari_store(&kept->items[i], node);
        gari_decref(node);
    }
    assert_equal(gari_weakmap_count(map), many / 2);
    for (long i = 0; i < many; i++) {
        struct node *found = gari_weakmap_get(map, &i, sizeof i);
        cr_assert((found != NULL) == (i % 2 == 1));
        gari_decref(found);
    }
    long sum = 0;
    assert_equal(gari_weakmap_each(map, add_values, &sum), 0);
    assert_equal(sum, many / 2 * (many / 2));
    gari_decref(kept);
    finish_pending();
    assert_equal(gari_weakmap_count(map), 0);
    gari_decref(map);
    assert_nothing_left();
}

Test(weakmap, of_objects_in_cycles_forgets_them_with_the_cycle)
{
    use_manual_mode();
    gari_weakmap *map = gari_weakmap_new();
    struct node *ring = new_ring(&node_type, 4);
    gari_weakmap_set(map, "r", 1, ring);
    gari_decref(ring);
    struct node *found = gari_weakmap_get(map, "r", 1);
    cr_assert(found == ring);
    gari_decref(found);
    assert_equal(gari_collect(2), 4);
    cr_assert(gari_weakmap_get(map, "r", 1) == NULL);
    gari_decref(map);
    assert_nothing_left();
}

static void count_visit(void *object, void *arg)
{
    check(object != NULL);
    ++*(long *)arg;
}

Test(weakmap, as_a_set)
{
    use_manual_mode();
    gari_weakset *set = gari_weakset_new();
    struct node *nodes[50];
    for (int i = 0; i < 50; i++) {
        nodes[i] = new_node(&node_type, i);
        assert_equal(gari_weakset_add(set, nodes[i]), 0);
        assert_equal(gari_weakset_add(set, nodes[i]), 0);
    }
    assert_equal(gari_weakset_count(set), 50);
    cr_assert(gari_weakset_contains(set, nodes[3]));
    assert_equal(gari_getrefcount(nodes[3]), 1);
    cr_assert(gari_weakset_discard(set, nodes[3]));
    cr_assert(!gari_weakset_discard(set, nodes[3]));
    cr_assert(!gari_weakset_contains(set, nodes[3]));
    for (int i = 0; i < 25; i++)
        gari_decref(nodes[i]);
    long seen = 0;
    assert_equal(gari_weakset_each(set, count_visit, &seen), 0);
    assert_equal(seen, 25);
    finish_pending();
    /* Memory that is used again is another object. */
    struct node *other = new_node(&node_type, 0);
    cr_assert(!gari_weakset_contains(set, other));
    gari_weakset_add(set, other);
    cr_assert(gari_weakset_contains(set, other));
    gari_decref(other);
    for (int i = 25; i < 50; i++)
        gari_decref(nodes[i]);
    assert_equal(gari_weakset_count(set), 0);
    gari_decref(set);
    assert_nothing_left();
}

/* ---- Many threads: a cache of shared objects ---------------------------------------------- */

static gari_weakmap *cache;
static atomic_long made;

static void *use_cache(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (size_t i = 0; i < SCALED(40000); i++) {
        long key = (long)(next_random(&random) % 16);
        struct node *node = gari_weakmap_get(cache, &key, sizeof key);
        if (!node) {
            struct node *fresh = new_node(&watched_type, key);
            atomic_fetch_add(&made, 1);
            node = gari_weakmap_setdefault(cache, &key, sizeof key, fresh);
            check(node != NULL);
            gari_decref(fresh);
        }
        check(node->value == key);
        gari_decref(node);
    }
    return NULL;
}

Test(weakmap, serves_many_threads)
{
    use_mode(GARI_MODE_BACKGROUND);
    cache = gari_weakmap_new();
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        threads[i] = start_thread(use_cache, (void *)(i * 77 + 1));
    for (int i = 0; i < 4; i++)
        join_thread(threads[i]);
    gari_decref(cache);
    assert_nothing_left();
    assert_equal(disposed_count(), atomic_load(&made));
}
