/* Containers out of memory at any moment: the call says so and the container is what it was; or the
 * call does without. Each scenario runs with the nth acquisition of memory and all later ones
 * failing, for n = 1, 2, 3, ... until it runs without a failure. */
#include "concurrency/fault.h"
#include "lib/gari_containers.h"
#include "tests/support.h"

#include <errno.h>

TestSuite(container_failure, .timeout = 300);

enum {
    LARGE = 100000
}; /* elements: their store has a mapping of its own, so it takes memory anew */

static struct node *a, *b;

static void assert_all(gari_list *list, size_t count)
{
    assert_equal(gari_list_length(list), count);
    gari_read_begin();
    for (size_t i = 0; i < count; i++)
        check(gari_list_borrow(list, i) == (i % 2 ? b : a));
    gari_read_end();
}

static gari_list *large_list(size_t count)
{
    gari_list *list = gari_list_new();
    cr_assert(gari_list_reserve(list, count) == 0);
    for (size_t i = 0; i < count; i++)
        gari_list_append(list, i % 2 ? b : a);
    return list;
}

static int by_address(void *x, void *y, void *arg)
{
    (void)arg;
    return (x > y) - (x < y);
}

/* Each of these fails without a trace or succeeds; it is undone after it has succeeded. */
static int try_append(gari_list *list)
{
    int error = gari_list_append(list, a);
    if (!error)
        gari_decref((struct node *)gari_list_pop(list));
    return error;
}

static int try_insert(gari_list *list)
{
    int error = gari_list_insert(list, 7, a);
    if (!error)
        cr_assert(gari_list_erase(list, 7) == 0); /* needs none */
    return error;
}

static int try_extend(gari_list *list)
{
    int error = gari_list_extend(list, list);
    if (!error)
        cr_assert(gari_list_splice(list, LARGE, LARGE, NULL) == 0);
    return error;
}

static int try_sort(gari_list *list)
{
    int error = gari_list_sort(list, by_address, NULL);
    if (!error)
        for (size_t i = 0; i < LARGE; i++)
            check(gari_list_set(list, i, i % 2 ? b : a) == 0);
    return error;
}

static int try_reverse(gari_list *list)
{
    int error = gari_list_reverse(list);
    if (!error)
        for (size_t i = 0; i < LARGE; i++)
            check(gari_list_set(list, i, i % 2 ? b : a) == 0);
    return error;
}

static int try_reserve(gari_list *list)
{
    return gari_list_reserve(list, 3 * LARGE);
}

static int try_slice(gari_list *list)
{
    gari_list *slice = gari_list_slice(list, 0, SIZE_MAX);
    gari_decref(slice);
    return slice ? 0 : ENOMEM;
}

static int try_array(gari_list *list)
{
    gari_array *array = gari_list_to_array(list);
    gari_decref(array);
    return array ? 0 : ENOMEM;
}

static int try_erase(gari_list *list)
{
    gari_object *taken = gari_list_take(list, 0);
    cr_assert(taken == GARI_OBJECT(a));
    gari_decref(taken);
    cr_assert(gari_list_splice(list, 1, 5, NULL) == 0);
    cr_assert(gari_list_remove(list, b) == 0);
    cr_assert(gari_list_length(list) == LARGE - 7);
    return 0;
}

static void sweep_list(int (*try_it)(gari_list *list))
{
    use_manual_mode();
    a = new_node(&watched_type, 0);
    b = new_node(&watched_type, 1);
    int error = ENOMEM;
    long failures = -1;
    for (long n = 1; error; n++, failures++) {
        gari_list *list = large_list(LARGE);
        settle();
        fail_from(n);
        error = try_it(list);
        fail_from(0);
        cr_assert(error == 0 || error == ENOMEM, "error %d", error);
        if (try_it != try_erase)
            assert_all(list, LARGE);
        gari_decref(list);
        settle();
        assert_equal(gari_getrefcount(a), 1);
        assert_equal(gari_getrefcount(b), 1);
    }
    cr_assert(failures > 0 || try_it == try_erase, "nothing needed memory");
    gari_decref(a);
    gari_decref(b);
    assert_nothing_left();
}

Test(container_failure, appending)
{
    sweep_list(try_append);
}
Test(container_failure, inserting)
{
    sweep_list(try_insert);
}
Test(container_failure, extending)
{
    sweep_list(try_extend);
}
Test(container_failure, sorting)
{
    sweep_list(try_sort);
}
Test(container_failure, reversing)
{
    sweep_list(try_reverse);
}
Test(container_failure, reserving)
{
    sweep_list(try_reserve);
}
Test(container_failure, slicing)
{
    sweep_list(try_slice);
}
Test(container_failure, making_an_array)
{
    sweep_list(try_array);
}
Test(container_failure, removing_goes_on_without)
{
    sweep_list(try_erase);
}

Test(container_failure, removing_without_memory_leaves_the_right_elements)
{
    use_manual_mode();
    enum { COUNT = 150000 };
    static struct leaf *leaves[COUNT];
    gari_list *list = gari_list_new();
    for (long i = 0; i < COUNT; i++) {
        leaves[i] = new_leaf(i);
        gari_list_append(list, leaves[i]);
    }
    settle();
    fail_from(1);
    cr_assert(gari_list_erase(list, 10) == 0);
    cr_assert(gari_list_splice(list, 100, 900, NULL) == 0);
    gari_object *taken = gari_list_take(list, 0);
    fail_from(0);
    cr_assert(taken == GARI_OBJECT(leaves[0]));
    gari_decref(taken);
    assert_equal(gari_list_length(list), COUNT - 902);
    for (size_t i = 0, n = 1; i < COUNT - 902; i++, n++) {
        n += n == 10;
        n = n == 101 ? 1001 : n;
        struct leaf *leaf = gari_list_get(list, i);
        check(leaf == leaves[n]);
        gari_decref(leaf);
    }
    gari_decref(list);
    settle();
    for (long i = 0; i < COUNT; i++) {
        check(gari_getrefcount(leaves[i]) == 1);
        gari_decref(leaves[i]);
    }
    assert_nothing_left();
}

enum { MANY = SANITIZED ? 600 : 3000 }; /* keys */

/* Fills a map until memory fails, and finds in it what was put in without an error. */
Test(container_failure, putting_into_a_map)
{
    use_manual_mode();
    a = new_node(&watched_type, 0);
    int64_t done = 0;
    for (long n = 1; done < MANY; n++) {
        gari_map *map = gari_map_new();
        settle();
        fail_from(n);
        int error = 0;
        for (done = 0; done < MANY && !error; done += !error) {
            char text[300];
            for (size_t i = 0; i < sizeof text; i++)
                text[i] = (char)(i % 3 ? done : done >> 8);
            error = done % 2 ? gari_map_put(map, gari_key_data(text, sizeof text), a)
                             : gari_map_put(map, gari_key_integer(done), a);
        }
        cr_assert(error == 0 || error == ENOMEM, "error %d", error);
        assert_equal(gari_map_length(map), done);
        /* What needs no memory goes on. */
        if (done > 0) {
            cr_assert(gari_map_put(map, gari_key_integer(0), a) == 0);
            cr_assert(gari_map_replace(map, gari_key_integer(0), a) == 0);
        }
        for (int64_t i = 0; i < done; i += 2)
            cr_assert(gari_map_contains(map, gari_key_integer(i)));
        for (int64_t i = 0; i < done; i += 2)
            cr_assert(gari_map_remove(map, gari_key_integer(i)) == 0);
        assert_equal(gari_map_length(map), done / 2);
        fail_from(0);
        gari_decref(map);
        settle();
        assert_equal(gari_getrefcount(a), 1);
    }
    gari_decref(a);
    assert_nothing_left();
}

/* The limit of the heap is met like the end of memory. */
Test(container_failure, at_the_memory_limit)
{
    use_manual_mode();
    a = new_node(&watched_type, 0);
    gari_list *list = gari_list_new();
    gari_map *map = gari_map_new();
    gari_set_memory_limit(8u << 20);
    size_t count = 0;
    while (gari_list_append(list, a) == 0)
        cr_assert(++count < 10000000);
    assert_equal(gari_list_length(list), count);
    gari_list_clear(list);
    int64_t keys = 0;
    while (gari_map_put(map, gari_key_integer(keys), a) == 0)
        cr_assert(++keys < 10000000);
    assert_equal(gari_map_length(map), keys);
    cr_assert(count > 100000 && keys > 10000);
    gari_map_clear(map);
    cr_assert(gari_list_append(list, a) == 0);
    gari_decref(list);
    gari_decref(map);
    gari_decref(a);
    gari_set_memory_limit(0);
    assert_nothing_left();
}

enum { MAPPED = 2 << 20 }; /* bytes: a mapping of their own */

Test(container_failure, of_a_new_key_leaves_a_map_as_it_was)
{
    use_manual_mode();
    gari_map *map = gari_map_new();
    struct node *node = new_node(&watched_type, 0);
    static char long_key[MAPPED];
    assert_equal(gari_map_put(map, gari_key_string("short"), node), 0);
    fail_from(1);
    assert_equal(gari_map_put(map, gari_key_data(long_key, MAPPED), node), ENOMEM);
    fail_from(0);
    assert_equal(gari_map_length(map), 1);
    assert_equal(gari_getrefcount(node), 2);
    gari_decref(map);
    assert_equal(gari_getrefcount(node), 1);
    gari_decref(node);
    assert_nothing_left();
}

Test(container_failure, of_long_bytes_is_null)
{
    use_manual_mode();
    static char long_text[MAPPED];
    gari_bytes *bytes = gari_bytes_new(long_text, MAPPED);
    fail_from(1);
    cr_assert(gari_bytes_concat(bytes, bytes) == NULL);
    fail_from(0);
    gari_decref(bytes);
    assert_nothing_left();
}

Test(container_failure, does_not_keep_a_map_from_growing_empty)
{
    use_manual_mode();
    gari_map *map = gari_map_new();
    struct node *node = new_node(&watched_type, 0);
    for (int i = 0; i < 5000; i++)
        assert_equal(gari_map_put(map, gari_key_integer(i), node), 0);
    fail_from(1); /* no shorter table can be had */
    for (int i = 0; i < 5000; i++)
        assert_equal(gari_map_remove(map, gari_key_integer(i)), 0);
    fail_from(0);
    assert_equal(gari_map_length(map), 0);
    assert_equal(gari_getrefcount(node), 1);
    assert_equal(gari_map_put(map, gari_key_integer(1), node), 0);
    gari_decref(map);
    gari_decref(node);
    assert_nothing_left();
}
