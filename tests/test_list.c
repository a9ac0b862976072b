/* The growable list: gari_list. */
#include "lib/gari_containers.h"
#include "tests/support_nodes.h"

#include <errno.h>

TestSuite(list, .timeout = 120);

/* The list holds the nodes with these numbers, whichever way one looks. */
static void assert_list(gari_list *list, const int *numbers, size_t count)
{
    assert_equal(gari_list_length(list), count);
    for (size_t i = 0; i < count; i++) {
        struct node *node = gari_list_get(list, i);
        cr_assert(node == nodes[numbers[i]], "element %zu is %ld, expected %d", i,
                  node ? node->value : -1, numbers[i]);
        gari_decref(node);
    }
    cr_assert(gari_list_get(list, count) == NULL && gari_list_get(list, SIZE_MAX) == NULL);
    gari_list_iter it;
    gari_list_iter_begin(&it, list);
    size_t met = 0;
    for (; gari_list_iter_next(&it); met++)
        cr_assert(met < count && it.value == nodes[numbers[met]]);
    assert_equal(met, count);
    gari_list_iter_end(&it);
}
#define LIST(list, ...)                                                                            \
    assert_list(list, (int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int))

static gari_list *list_of(const int *numbers, size_t count)
{
    gari_list *list = gari_list_new();
    for (size_t i = 0; i < count; i++)
        assert_equal(gari_list_append(list, nodes[numbers[i]]), 0);
    return list;
}
#define LIST_OF(...) list_of((int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int))

Test(list, has_references_of_its_own)
{
    make_nodes();
    gari_list *list = LIST_OF(1, 2, 1);
    assert_equal(gari_getrefcount(nodes[1]), 3);
    assert_equal(gari_getrefcount(nodes[2]), 2);
    gari_decref(list);
    drop_nodes();
}

static int never(void *a, void *b, void *arg)
{
    (void)a, (void)b, (void)arg;
    check(false);
    return 0;
}

Test(list, is_empty_at_first)
{
    make_nodes();
    gari_list *list = gari_list_new();
    cr_assert(gari_is_list(list) && !gari_is_array(list) && gari_is_tracked(list));
    assert_list(list, NULL, 0);
    cr_assert(gari_list_pop(list) == NULL && gari_list_take(list, 0) == NULL);
    assert_equal(gari_list_erase(list, 0), ERANGE);
    assert_equal(gari_list_set(list, 0, nodes[0]), ERANGE);
    assert_equal(gari_list_insert(list, 1, nodes[0]), ERANGE);
    assert_equal(gari_list_remove(list, nodes[0]), ENOENT);
    assert_equal(gari_list_sort(list, never, NULL), 0);
    assert_equal(gari_list_reverse(list), 0);
    gari_list_clear(list);
    gari_decref(list);
    drop_nodes();
}

Test(list, refuses_null)
{
    make_nodes();
    gari_list *list = LIST_OF(1);
    assert_equal(gari_list_append(list, NULL), EINVAL);
    assert_equal(gari_list_insert(list, 0, NULL), EINVAL);
    assert_equal(gari_list_set(list, 0, NULL), EINVAL);
    assert_equal(gari_list_remove(list, NULL), ENOENT);
    cr_assert(!gari_list_contains(list, NULL));
    LIST(list, 1);
    gari_decref(list);
    drop_nodes();
}

Test(list, inserts_erases_and_replaces)
{
    make_nodes();
    gari_list *list = LIST_OF(1, 3);
    assert_equal(gari_list_insert(list, 1, nodes[2]), 0);
    assert_equal(gari_list_insert(list, 0, nodes[0]), 0);
    assert_equal(gari_list_insert(list, 4, nodes[4]), 0);
    assert_equal(gari_list_insert(list, 6, nodes[4]), ERANGE);
    assert_equal(gari_list_insert(list, SIZE_MAX, nodes[4]), ERANGE);
    assert_equal(gari_list_insert(list, SIZE_MAX - 1, nodes[4]), ERANGE);
    LIST(list, 0, 1, 2, 3, 4);
    assert_equal(gari_list_set(list, 2, nodes[9]), 0);
    assert_equal(gari_list_erase(list, 0), 0);
    LIST(list, 1, 9, 3, 4);
    assert_equal(gari_list_erase(list, 4), ERANGE);
    assert_equal(gari_list_erase(list, SIZE_MAX), ERANGE);
    assert_equal(gari_list_erase(list, SIZE_MAX - 1), ERANGE);
    struct node *taken = gari_list_take(list, 1), *popped = gari_list_pop(list);
    cr_assert(taken == nodes[9] && popped == nodes[4]);
    assert_equal(gari_getrefcount(taken), 2);
    assert_equal(gari_getrefcount(popped), 2);
    gari_decref(taken);
    gari_decref(popped);
    LIST(list, 1, 3);
    gari_decref(list);
    drop_nodes();
}

Test(list, finds_and_removes_by_identity)
{
    make_nodes();
    gari_list *list = LIST_OF(5, 6, 5, 7);
    assert_equal(gari_list_index(list, nodes[5]), 0);
    assert_equal(gari_list_index(list, nodes[7]), 3);
    assert_equal(gari_list_index(list, nodes[8]), GARI_NOT_FOUND);
    cr_assert(gari_list_contains(list, nodes[6]));
    assert_equal(gari_list_remove(list, nodes[5]), 0);
    LIST(list, 6, 5, 7);
    assert_equal(gari_list_remove(list, nodes[7]), 0);
    assert_equal(gari_list_remove(list, nodes[7]), ENOENT);
    LIST(list, 6, 5);
    gari_decref(list);
    drop_nodes();
}

Test(list, extends_and_splices)
{
    make_nodes();
    gari_list *list = LIST_OF(0, 1, 2, 3), *other = LIST_OF(10, 11), *none = gari_list_new();
    assert_equal(gari_list_extend(list, other), 0);
    LIST(list, 0, 1, 2, 3, 10, 11);
    assert_equal(gari_list_extend(list, none), 0);
    assert_equal(gari_list_extend(none, none), 0);
    assert_list(none, NULL, 0);
    assert_equal(gari_list_splice(list, 1, 2, other), 0);
    LIST(list, 0, 10, 11, 3, 10, 11);
    assert_equal(gari_list_splice(list, 3, 100, NULL), 0);
    LIST(list, 0, 10, 11);
    assert_equal(gari_list_splice(list, 3, 5, other), 0);
    LIST(list, 0, 10, 11, 10, 11);
    assert_equal(gari_list_splice(list, 6, 0, other), ERANGE);
    assert_equal(gari_list_splice(list, SIZE_MAX, 0, other), ERANGE);
    assert_equal(gari_list_splice(list, 0, SIZE_MAX, NULL), 0);
    assert_list(list, NULL, 0);
    LIST(other, 10, 11);
    gari_decref(list);
    gari_decref(other);
    gari_decref(none);
    drop_nodes();
}

Test(list, can_be_put_into_itself_twice_over)
{
    make_nodes();
    gari_list *list = LIST_OF(1, 2);
    assert_equal(gari_list_extend(list, list), 0);
    LIST(list, 1, 2, 1, 2);
    assert_equal(gari_list_splice(list, 1, 2, list), 0);
    LIST(list, 1, 1, 2, 1, 2, 2);
    gari_decref(list);
    drop_nodes();
}

Test(list, gives_slices_and_arrays)
{
    make_nodes();
    gari_list *list = LIST_OF(0, 1, 2, 3);
    gari_list *middle = gari_list_slice(list, 1, 3), *none = gari_list_slice(list, 3, 1);
    gari_list *all = gari_list_slice(list, 0, SIZE_MAX);
    LIST(middle, 1, 2);
    LIST(all, 0, 1, 2, 3);
    assert_list(none, NULL, 0);
    gari_array *array = gari_list_to_array(list), *empty = gari_list_to_array(none);
    assert_equal(gari_array_length(array), 4);
    assert_equal(gari_array_length(empty), 0);
    gari_read_begin();
    for (size_t i = 0; i < 4; i++)
        cr_assert(gari_borrow(gari_array_at(array, i)) == nodes[i]);
    gari_read_end();
    gari_object *objects[] = {GARI_OBJECT(list), GARI_OBJECT(middle), GARI_OBJECT(none),
                              GARI_OBJECT(all),  GARI_OBJECT(array),  GARI_OBJECT(empty)};
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        gari_decref(objects[i]);
    drop_nodes();
}

static int by_value(void *a, void *b, void *arg)
{
    long x = ((struct node *)a)->value, y = ((struct node *)b)->value, by = *(long *)arg;
    return (int)(x / by - y / by);
}

Test(list, sorts_stably)
{
    make_nodes();
    uint64_t random = 7;
    for (size_t length = 0; length <= NODES; length++) {
        gari_list *list = gari_list_new();
        for (size_t i = 0; i < length; i++)
            gari_list_insert(list, next_random(&random) % (i + 1), nodes[i]);
        int before[NODES], after[NODES];
        for (size_t i = 0; i < length; i++) {
            gari_read_begin();
            before[i] = (int)((struct node *)gari_list_borrow(list, i))->value;
            gari_read_end();
        }
        long ten = 10;
        assert_equal(gari_list_sort(list, by_value, &ten), 0);
        size_t at = 0;
        for (int tens = 0; tens <= NODES / 10; tens++)
            for (size_t i = 0; i < length; i++)
                if (before[i] / 10 == tens)
                    after[at++] = before[i];
        assert_equal(at, length);
        assert_list(list, after, length);
        long one = 1;
        assert_equal(gari_list_sort(list, by_value, &one), 0);
        for (size_t i = 0; i < length; i++)
            after[i] = (int)i;
        assert_list(list, after, length);
        assert_equal(gari_list_reverse(list), 0);
        for (size_t i = 0; i < length; i++)
            after[i] = (int)(length - 1 - i);
        assert_list(list, after, length);
        gari_decref(list);
    }
    drop_nodes();
}

static void sort_without_compare(void)
{
    gari_list *list = gari_list_new();
    gari_list_sort(list, NULL, NULL);
}

Test(list, names_a_missing_comparison)
{
    assert_mentions(fatal_sentence(sort_without_compare), "gari_list_sort");
}

static int meddles(void *a, void *b, void *arg)
{
    struct node *node = gari_list_pop(arg);
    gari_list_insert(arg, 0, node);
    gari_decref(node);
    long one = 1;
    return by_value(a, b, &one);
}

Test(list, that_its_comparison_changes_is_not_sorted)
{
    make_nodes();
    gari_list *list = LIST_OF(3, 1, 2);
    assert_equal(gari_list_sort(list, meddles, list), EBUSY);
    assert_equal(gari_list_length(list), 3);
    gari_decref(list);
    drop_nodes();
}

/* Every operation, against a plain array. */
Test(list, does_what_an_array_does)
{
    make_nodes();
    enum { MOST = 300 };
    int model[2 * MOST];
    size_t count = 0;
    uint64_t random = 99;
    gari_list *list = gari_list_new();
    for (size_t step = 0; step < SCALED(20000); step++) {
        int n = (int)(next_random(&random) % NODES);
        size_t at = next_random(&random) % (count + 1);
        struct node *node;
        switch (next_random(&random) % (count > MOST ? 4 : 7)) {
        case 0:
            node = gari_list_pop(list);
            cr_assert(count == 0 ? !node : node == nodes[model[count - 1]]);
            gari_decref(node);
            count -= count > 0;
            break;
        case 1:
            node = gari_list_take(list, at);
            cr_assert(at == count ? !node : node == nodes[model[at]]);
            gari_decref(node);
            if (at < count) {
                for (size_t i = at; i + 1 < count; i++)
                    model[i] = model[i + 1];
                count--;
            }
            break;
        case 2: {
            size_t remove = next_random(&random) % 20;
            assert_equal(gari_list_splice(list, at, remove, NULL), 0);
            remove = remove < count - at ? remove : count - at;
            for (size_t i = at; i + remove < count; i++)
                model[i] = model[i + remove];
            count -= remove;
            break;
        }
        case 3:
            assert_equal(gari_list_set(list, at, nodes[n]), at < count ? 0 : ERANGE);
            if (at < count)
                model[at] = n;
            break;
        case 4:
        case 5:
            assert_equal(gari_list_append(list, nodes[n]), 0);
            model[count++] = n;
            break;
        default:
            assert_equal(gari_list_insert(list, at, nodes[n]), 0);
            for (size_t i = count++; i > at; i--)
                model[i] = model[i - 1];
            model[at] = n;
        }
        if (step % 100 == 0)
            assert_list(list, model, count);
    }
    assert_list(list, model, count);
    gari_decref(list);
    drop_nodes();
}

Test(list, reserves_room_and_gives_it_back)
{
    make_nodes();
    gari_list *list = gari_list_new();
    assert_equal(gari_list_reserve(list, 100000), 0);
    settle();
    uint64_t full = stats_now().bytes_live;
    cr_assert(full >= 800000);
    for (int i = 0; i < 100000; i++)
        assert_equal(gari_list_append(list, nodes[0]), 0);
    settle();
    assert_equal(stats_now().bytes_live, full);
    assert_equal(gari_list_reserve(list, 10), 0);
    for (int i = 0; i < 99990; i++)
        gari_decref((struct node *)gari_list_pop(list));
    settle();
    assert_at_most(stats_now().bytes_live, full - 800000 + 2000);
    assert_equal(gari_list_length(list), 10);
    gari_decref(list);
    drop_nodes();
}

Test(list, is_iterated_as_it_was_while_it_changes)
{
    make_nodes();
    gari_list *list = LIST_OF(0, 1, 2, 3, 4);
    gari_list_iter it;
    gari_list_iter_begin(&it, list);
    cr_assert(gari_list_iter_next(&it) && it.value == nodes[0]);
    gari_list_erase(list, 0); /* behind */
    gari_list_insert(list, 3, nodes[9]);
    cr_assert(gari_list_iter_next(&it) && it.value == nodes[1]);
    gari_list_reverse(list);
    cr_assert(gari_list_iter_next(&it) && it.value == nodes[2]);
    gari_list_clear(list);
    gari_decref(list);
    cr_assert(gari_list_iter_next(&it) && it.value == nodes[3]);
    cr_assert(gari_list_iter_next(&it) && it.value == nodes[4]);
    cr_assert(!gari_list_iter_next(&it) && it.value == NULL);
    cr_assert(!gari_list_iter_next(&it));
    gari_list_iter_end(&it);
    drop_nodes();
}

Test(list, iterated_past_what_is_popped)
{
    make_nodes();
    gari_list *list = LIST_OF(0, 1, 2);
    gari_list_iter it;
    gari_list_iter_begin(&it, list);
    cr_assert(gari_list_iter_next(&it));
    gari_decref((struct node *)gari_list_pop(list));
    gari_list_append(list, nodes[7]);
    cr_assert(gari_list_iter_next(&it) && it.value == nodes[1]);
    cr_assert(gari_list_iter_next(&it) && it.value == nodes[7]);
    gari_list_append(list, nodes[8]);
    cr_assert(!gari_list_iter_next(&it));
    gari_list_iter_end(&it);
    gari_decref(list);
    drop_nodes();
}

Test(list, in_a_cycle_is_collected)
{
    use_manual_mode();
    gari_list *list = gari_list_new();
    struct node *node = new_node(&watched_type, 0);
    gari_store(&node->any, list);
    for (int i = 0; i < 100; i++)
        gari_list_append(list, node);
    gari_list_append(list, list);
    gari_decref(node);
    assert_equal(gari_collect(2), 0);
    gari_decref(list);
    assert_equal(gari_collect(2), 3); /* list, store, node */
    assert_equal(disposed_count(), 1);
    assert_nothing_left();
}

/* The new store must make a candidate: everything else in the cycle has been found live before. */
Test(list, changed_by_a_borrower_after_its_last_reference_is_collected)
{
    use_manual_mode();
    gari_list *list = gari_list_new();
    gari_list_append(list, list);
    gari_list_append(list, list);
    gari_read_begin();
    gari_decref(list);
    gari_list_erase(list, 0);
    gari_read_end();
    assert_equal(gari_collect(2), 2);
    assert_nothing_left();
}

Test(list, outlives_the_death_of_its_last_reference_in_a_section)
{
    make_nodes();
    gari_list *list = LIST_OF(1, 2, 3);
    gari_read_begin();
    gari_decref(list);
    /* Dead: readable, and what is stored into it is not lost track of. */
    gari_list_length(list);
    gari_decref((struct node *)gari_list_get(list, 0));
    gari_list_append(list, nodes[4]);
    gari_list_insert(list, 0, nodes[5]);
    gari_list_sort(list, by_value, &(long){1});
    gari_decref((struct node *)gari_list_pop(list));
    gari_read_end();
    settle();
    drop_nodes();
}
