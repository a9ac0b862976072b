/* The hash map: gari_map. */
#include "lib/gari_containers.h"
#include "tests/support_nodes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

TestSuite(map, .timeout = 120);

/* The key has that value, or none if it is NULL. */
static void assert_has(gari_map *map, gari_key key, const struct node *value)
{
    struct node *found = gari_map_get(map, key);
    cr_assert(found == value);
    gari_decref(found);
    assert_equal(gari_map_contains(map, key), value != NULL);
    gari_read_begin();
    cr_assert(gari_map_borrow(map, key) == value);
    gari_read_end();
}

Test(map, is_empty_at_first)
{
    make_nodes();
    gari_map *map = gari_map_new();
    cr_assert(gari_is_map(map) && !gari_is_bytes(map) && gari_is_tracked(map));
    assert_equal(gari_map_length(map), 0);
    assert_has(map, gari_key_integer(0), NULL);
    assert_has(map, gari_key_string(""), NULL);
    assert_has(map, gari_key_object(nodes[0]), NULL);
    cr_assert(gari_map_take(map, gari_key_integer(1)) == NULL);
    assert_equal(gari_map_remove(map, gari_key_integer(1)), ENOENT);
    assert_equal(gari_map_replace(map, gari_key_integer(1), nodes[0]), ENOENT);
    gari_map_clear(map);
    gari_map_iter it;
    gari_map_iter_begin(&it, map);
    cr_assert(!gari_map_iter_next(&it));
    gari_map_iter_end(&it);
    gari_decref(map);
    drop_nodes();
}

Test(map, has_integers_strings_and_objects_side_by_side)
{
    make_nodes();
    gari_map *map = gari_map_new();
    assert_equal(gari_map_put(map, gari_key_integer(1), nodes[1]), 0);
    assert_equal(gari_map_put(map, gari_key_integer(-1), nodes[2]), 0);
    assert_equal(gari_map_put(map, gari_key_string("1"), nodes[3]), 0);
    assert_equal(gari_map_put(map, gari_key_data("1\0", 2), nodes[4]), 0);
    assert_equal(gari_map_put(map, gari_key_object(nodes[5]), nodes[5]), 0);
    assert_equal(gari_map_put(map, gari_key_integer((int64_t)nodes[5]), nodes[6]), 0);
    assert_equal(gari_map_length(map), 6);
    assert_has(map, gari_key_integer(1), nodes[1]);
    assert_has(map, gari_key_integer(-1), nodes[2]);
    assert_has(map, gari_key_string("1"), nodes[3]);
    assert_has(map, gari_key_data("1\0", 2), nodes[4]);
    assert_has(map, gari_key_object(nodes[5]), nodes[5]);
    assert_has(map, gari_key_integer((int64_t)nodes[5]), nodes[6]);
    assert_has(map, gari_key_object(nodes[6]), NULL);
    assert_equal(gari_getrefcount(nodes[5]), 3); /* as a key and as a value */
    gari_decref(map);
    drop_nodes();
}

Test(map, copies_a_string_and_shares_a_gari_bytes)
{
    make_nodes();
    gari_map *map = gari_map_new();
    char text[] = "key";
    assert_equal(gari_map_put(map, gari_key_string(text), nodes[0]), 0);
    text[0] = 'X';
    gari_bytes *bytes = gari_bytes_from_string("key"), *other = gari_bytes_from_string("other");
    assert_has(map, gari_key_object(bytes), nodes[0]);
    assert_equal(gari_map_put(map, gari_key_object(other), nodes[1]), 0);
    assert_equal(gari_getrefcount(bytes), 1);
    assert_equal(gari_getrefcount(other), 2);
    assert_has(map, gari_key_string("other"), nodes[1]);
    assert_equal(gari_map_remove(map, gari_key_string("other")), 0);
    assert_equal(gari_getrefcount(other), 1); /* the key goes at once too */
    gari_decref(bytes);
    gari_decref(other);
    gari_decref(map);
    drop_nodes();
}

Test(map, puts_under_conditions)
{
    make_nodes();
    gari_map *map = gari_map_new();
    gari_key key = gari_key_string("k");
    assert_equal(gari_map_put(map, key, NULL), EINVAL);
    assert_equal(gari_map_put_if_absent(map, key, nodes[1]), 0);
    assert_equal(gari_map_put_if_absent(map, key, nodes[2]), EEXIST);
    assert_has(map, key, nodes[1]);
    assert_equal(gari_map_replace(map, key, nodes[3]), 0);
    assert_has(map, key, nodes[3]);
    assert_equal(gari_map_put(map, key, nodes[4]), 0);
    assert_has(map, key, nodes[4]);
    assert_equal(gari_map_length(map), 1);
    struct node *present = gari_map_get_or_put(map, key, nodes[5]);
    cr_assert(present == nodes[4]);
    gari_decref(present);
    struct node *put = gari_map_get_or_put(map, gari_key_string("l"), nodes[5]);
    cr_assert(put == nodes[5] && gari_map_get_or_put(map, key, NULL) == NULL);
    gari_decref(put);
    assert_equal(gari_map_remove_if(map, key, nodes[5]), ENOENT);
    assert_equal(gari_map_remove_if(map, key, NULL), ENOENT);
    assert_equal(gari_map_remove_if(map, key, nodes[4]), 0);
    struct node *taken = gari_map_take(map, gari_key_string("l"));
    cr_assert(taken == nodes[5]);
    assert_equal(gari_getrefcount(taken), 2);
    gari_decref(taken);
    assert_equal(gari_map_length(map), 0);
    gari_decref(map);
    drop_nodes();
}

static void null_key(void)
{
    gari_map_contains(gari_map_new(), gari_key_object(NULL));
}

Test(map, names_the_call_with_a_null_key)
{
    assert_mentions(fatal_sentence(null_key), "gari_map_contains");
}

/* Every operation, against a plain array; with keys of all kinds. */
Test(map, does_what_a_table_by_number_does)
{
    make_nodes();
    enum { KEYS = 500 };
    static struct node *model[KEYS];
    static struct node *objects[KEYS];
    for (int i = 0; i < KEYS; i++)
        objects[i] = new_node(&node_type, i);
    gari_map *map = gari_map_new();
    size_t live = 0;
    uint64_t random = 5;
    for (size_t step = 0; step < SCALED(100000); step++) {
        /* Now many keys, now few. */
        size_t range = step / 5000 % 2 ? KEYS : 20;
        size_t k = next_random(&random) % range;
        struct node *value = nodes[next_random(&random) % NODES], *before = model[k];
        char text[40];
        snprintf(text, sizeof text, "a key with the number %zu", k);
        gari_key key = k % 3 == 0   ? gari_key_integer((int64_t)k << 32)
                       : k % 3 == 1 ? gari_key_string(text)
                                    : gari_key_object(objects[k]);
        struct node *found;
        switch (next_random(&random) % 7) {
        case 0:
        case 1:
            assert_equal(gari_map_put(map, key, value), 0);
            model[k] = value;
            break;
        case 2:
            assert_equal(gari_map_put_if_absent(map, key, value), before ? EEXIST : 0);
            model[k] = before ? before : value;
            break;
        case 3:
            assert_equal(gari_map_replace(map, key, value), before ? 0 : ENOENT);
            model[k] = before ? value : NULL;
            break;
        case 4:
            found = gari_map_take(map, key);
            cr_assert(found == before);
            gari_decref(found);
            model[k] = NULL;
            break;
        case 5:
            assert_equal(gari_map_remove(map, key), before ? 0 : ENOENT);
            model[k] = NULL;
            break;
        default:
            assert_has(map, key, before);
        }
        live += model[k] != NULL;
        live -= before != NULL;
        if (step % 1000 == 0) {
            assert_equal(gari_map_length(map), live);
            size_t met = 0;
            gari_map_iter it;
            gari_map_iter_begin(&it, map);
            for (; gari_map_iter_next(&it); met++) {
                size_t n = it.key.kind == GARI_KEY_INTEGER ? (size_t)(it.key.integer >> 32)
                           : it.key.kind == GARI_KEY_OBJECT
                               ? (size_t)((struct node *)it.key.object)->value
                               : 0;
                if (it.key.kind == GARI_KEY_STRING)
                    cr_assert(sscanf(it.key.data, "a key with the number %zu", &n) == 1 &&
                              strlen(it.key.data) == it.key.length);
                cr_assert(n < KEYS && model[n] == it.value);
            }
            assert_equal(met, live);
            gari_map_iter_end(&it);
        }
    }
    for (int i = 0; i < KEYS; i++)
        gari_decref(objects[i]);
    gari_decref(map);
    drop_nodes();
}

Test(map, grows_and_gives_the_memory_back)
{
    make_nodes();
    gari_map *map = gari_map_new();
    settle();
    uint64_t before = stats_now().bytes_live;
    long most = (long)SCALED(100000);
    for (long i = 0; i < most; i++)
        assert_equal(gari_map_put(map, gari_key_integer(i), nodes[i % NODES]), 0);
    assert_equal(gari_map_length(map), most);
    for (long i = 0; i < most; i++)
        assert_has(map, gari_key_integer(i), nodes[i % NODES]);
    for (long i = 0; i < most; i++)
        assert_equal(gari_map_remove(map, gari_key_integer(i)), 0);
    settle();
    assert_at_most(stats_now().bytes_live, before + 1000);
    gari_decref(map);
    drop_nodes();
}

Test(map, is_iterated_while_it_changes)
{
    make_nodes();
    gari_map *map = gari_map_new();
    for (int i = 0; i < 32; i++)
        gari_map_put(map, gari_key_integer(i), nodes[i]);
    int met[64] = {0};
    gari_map_iter it;
    gari_map_iter_begin(&it, map);
    while (gari_map_iter_next(&it)) {
        met[it.key.integer]++;
        if (it.key.integer < 32) {
            gari_map_put(map, gari_key_integer(it.key.integer + 32), nodes[0]); /* rehashes */
            if (it.key.integer % 2)
                gari_map_remove(map, gari_key_integer(it.key.integer)); /* under its feet */
        }
        cr_assert(it.value == nodes[it.key.integer < 32 ? it.key.integer : 0]);
    }
    gari_map_iter_end(&it);
    for (int i = 0; i < 64; i++)
        cr_assert(i < 32 ? met[i] == 1 : met[i] <= 1, "key %d was met %d times", i, met[i]);
    assert_equal(gari_map_length(map), 48);
    gari_decref(map);
    drop_nodes();
}

Test(map, iterator_keeps_key_and_value_until_its_next_step)
{
    make_nodes();
    gari_map *map = gari_map_new();
    gari_map_put(map, gari_key_string("the key"), nodes[0]);
    gari_map_iter it;
    gari_map_iter_begin(&it, map);
    cr_assert(gari_map_iter_next(&it));
    gari_map_clear(map);
    gari_decref(map);
    settle();
    cr_assert_str_eq(it.key.data, "the key");
    assert_equal(gari_getrefcount((struct node *)it.value), 3); /* test, iterator, entry */
    cr_assert(!gari_map_iter_next(&it) && it.value == NULL);
    gari_map_iter_end(&it);
    drop_nodes();
}

Test(map, in_a_cycle_by_a_value_or_by_a_key_is_collected)
{
    use_manual_mode();
    for (int by_key = 0; by_key < 2; by_key++) {
        gari_map *map = gari_map_new();
        struct node *node = new_node(&watched_type, 0);
        gari_store(&node->any, map);
        gari_map_put(map, by_key ? gari_key_object(node) : gari_key_integer(1),
                     by_key ? (void *)map : node);
        gari_decref(node);
        assert_equal(gari_collect(2), 0);
        gari_decref(map);
        assert_equal(gari_collect(2), 4); /* map, table, entry, node */
    }
    assert_equal(disposed_count(), 2);
    assert_nothing_left();
}

Test(map, outlives_the_death_of_its_last_reference_in_a_section)
{
    make_nodes();
    gari_map *map = gari_map_new();
    for (int i = 0; i < 10; i++)
        gari_map_put(map, gari_key_integer(i), nodes[i]);
    gari_read_begin();
    gari_decref(map);
    gari_map_contains(map, gari_key_integer(1));
    for (int i = 10; i < 40; i++)
        gari_map_put(map, gari_key_integer(i), nodes[i]);
    gari_map_remove(map, gari_key_integer(11));
    gari_read_end();
    settle();
    drop_nodes();
}
