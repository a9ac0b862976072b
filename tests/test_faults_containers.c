/* Every request that the containers make of the system refused in turn: see test_faults.c. */
#include "lib/gari_containers.h"
#include "tests/support_faults.h"

#include <errno.h>
#include <stdio.h>

TestSuite(faults_containers, .timeout = 300);

static void count_entry(const void *key, size_t size, void *object, void *arg)
{
    check(size == sizeof(int) && ((struct node *)object)->value == *(const int *)key);
    ++*(long *)arg;
}

static void weak_containers(void)
{
    enum { KEYS = 20 };
    struct node *node[KEYS];
    gari_weakmap *map = gari_weakmap_new();
    gari_weakset *set = gari_weakset_new();
    long in_map = 0, in_set = 0, visited = 0;
    for (int i = 0; i < KEYS; i++) {
        node[i] = try_node(&watched_type, i);
        if (node[i] && map && i % 2) {
            int error = gari_weakmap_set(map, &i, sizeof i, node[i]);
            check(error == 0 || error == ENOMEM);
            in_map += error == 0;
        } else if (node[i] && map) {
            struct node *got = gari_weakmap_setdefault(map, &i, sizeof i, node[i]);
            check(!got || got == node[i]);
            in_map += got != NULL;
            gari_decref(got);
        }
        in_set += node[i] && set && gari_weakset_add(set, node[i]) == 0;
    }
    if (map) {
        check((long)gari_weakmap_count(map) == in_map);
        check(gari_weakmap_each(map, count_entry, &visited) == ENOMEM || visited == in_map);
    }
    check(!set || (long)gari_weakset_count(set) == in_set);
    for (int i = 0; i < KEYS; i++) {
        if (i % 3 == 0 && map)
            gari_weakmap_remove(map, &i, sizeof i);
        gari_decref(node[i]);
    }
    check(!map || gari_weakmap_count(map) == 0);
    check(!set || gari_weakset_count(set) == 0);
    gari_decref(map);
    gari_decref(set);
    gari_collect(2);
}

static int by_value(void *a, void *b, void *arg)
{
    (void)arg;
    long x = ((struct node *)a)->value, y = ((struct node *)b)->value;
    return (x > y) - (x < y);
}

static void containers(void)
{
    gari_list *list = gari_list_new(), *other = NULL;
    gari_map *map = gari_map_new();
    size_t length = 0, keys = 0;
    for (int i = 0; i < 60; i++) {
        struct node *node = try_node(&watched_type, 60 - i);
        if (list && node)
            length +=
                !refused(i % 7 ? gari_list_append(list, node) : gari_list_insert(list, 0, node));
        char text[8];
        snprintf(text, sizeof text, "%d", i);
        if (map && node)
            keys += !refused(
                gari_map_put(map, i % 2 ? gari_key_string(text) : gari_key_integer(i), node));
        gari_bytes *bytes = gari_bytes_format("%d and %d", i, i);
        check(!bytes || gari_bytes_length(bytes) > 5);
        gari_decref(bytes);
        gari_decref(node);
    }
    if (list) {
        check(gari_list_length(list) == length);
        refused(gari_list_append(list, list)); /* a cycle */
        gari_decref((gari_object *)gari_list_pop(list));
        length = gari_list_length(list);
        if (length && !refused(gari_list_sort(list, by_value, NULL)))
            check(gari_list_length(list) == length);
        other = gari_list_slice(list, 0, SIZE_MAX);
        gari_array *array = gari_list_to_array(list);
        check(!array || gari_array_length(array) == length);
        gari_decref(array);
        if (other)
            refused(gari_list_extend(list, other));
        gari_list_iter it;
        gari_list_iter_begin(&it, list);
        while (gari_list_iter_next(&it))
            check(it.value != NULL);
        gari_list_iter_end(&it);
    }
    if (map) {
        check(gari_map_length(map) == keys);
        for (int i = 0; i < 60; i += 2)
            gari_decref((gari_object *)gari_map_take(map, gari_key_integer(i)));
        refused(gari_map_put(map, gari_key_integer(1), map));
    }
    gari_decref(other);
    gari_decref(list);
    gari_decref(map);
    gari_collect(2);
}

WALK(faults_containers, weak_containers, 50)
WALK(faults_containers, containers, 10)
