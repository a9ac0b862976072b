/* Lists and maps. */
#include "tests/fuzz/machine.h"

#include <errno.h>

static void expect_error(int error, int expected, const char *call)
{
    if (error != expected)
        fuzz_fail("%s returns %d, and should return %d", call, error, expected);
}

static int compare(void *a, void *b, void *arg)
{
    (void)arg;
    int first = model_find(a), second = model_find(b);
    return (first > second) - (first < second);
}

static void order(int list, bool sort)
{
    struct model_object *object = model_of(list);
    if (sort)
        expect_error(gari_list_sort(object->address, compare, NULL), 0, "gari_list_sort");
    else
        expect_error(gari_list_reverse(object->address), 0, "gari_list_reverse");
    for (unsigned i = 0; i < object->edges; i++) {
        for (unsigned j = i + 1; j < object->edges; j++) {
            if (sort ? object->edge[j] >= object->edge[i] : j != object->edges - 1 - i || j < i)
                continue;
            int swapped = object->edge[i];
            object->edge[i] = object->edge[j];
            object->edge[j] = swapped;
        }
    }
}

/* Puts some of another list's elements, or none, in the place of some of this one's. */
static void splice(const struct fuzz_operation *op, int list)
{
    struct model_object *object = model_of(list);
    int from = machine_at(op->b);
    bool has_other = from != NONE && model_of(from)->kind == LIST;
    unsigned at = op->more % (object->edges + 1), count = op->field;
    int fresh[EDGES];
    unsigned length = has_other ? model_of(from)->edges : 0;
    if (count > object->edges - at)
        count = object->edges - at;
    if (object->edges - count + length > EDGES)
        return;
    for (unsigned i = 0; i < length; i++) {
        fresh[i] = model_of(from)->edge[i];
        model_hold(fresh[i]);
    }
    int gone[EDGES];
    for (unsigned i = 0; i < count; i++)
        gone[i] = model_list_take(list, at);
    for (unsigned i = 0; i < length; i++)
        model_list_insert(list, at + i, fresh[i]);
    for (unsigned i = 0; i < length; i++)
        model_release(fresh[i]);
    for (unsigned i = 0; i < count; i++)
        model_release(gone[i]);
    expect_error(
        gari_list_splice(object->address, at, count, has_other ? model_of(from)->address : NULL), 0,
        "gari_list_splice");
}

static void slice(const struct fuzz_operation *op, int list)
{
    const struct model_object *object = model_of(list);
    int o = model_new(LIST);
    if (o == NONE)
        return;
    unsigned from = op->field, to = from + op->more % 8;
    for (unsigned i = from; i < to && i < object->edges; i++)
        model_list_insert(o, i - from, object->edge[i]);
    model_of(o)->address = gari_list_slice(object->address, from, to);
    if (!model_of(o)->address)
        fuzz_fail("no memory");
    machine_set(op->b, o);
}

static void list_operation(const struct fuzz_operation *op, int list)
{
    struct model_object *object = model_of(list);
    int o = machine_at(op->b);
    unsigned at = op->code == OP_APPEND ? object->edges : op->more % (EDGES + 1);
    bool is_there = at < object->edges;
    switch (op->code) {
    case OP_APPEND:
    case OP_INSERT:
        if (o == NONE || object->edges == EDGES)
            return;
        if (at <= object->edges)
            model_list_insert(list, at, o);
        if (op->code == OP_APPEND)
            expect_error(gari_list_append(object->address, machine_address(o)), 0,
                         "gari_list_append");
        else
            expect_error(gari_list_insert(object->address, at, machine_address(o)),
                         at < object->edges ? 0 : ERANGE, "gari_list_insert");
        return;
    case OP_LIST_SET:
        if (o == NONE)
            return;
        if (is_there)
            model_set_edge(list, at, o);
        expect_error(gari_list_set(object->address, at, machine_address(o)), is_there ? 0 : ERANGE,
                     "gari_list_set");
        return;
    case OP_POP: {
        int last = object->edges ? model_list_take(list, object->edges - 1) : NONE;
        machine_expect(gari_list_pop(object->address), last, "gari_list_pop");
        machine_set(op->b, last);
        return;
    }
    case OP_LIST_TAKE: {
        int taken = is_there ? model_list_take(list, at) : NONE;
        if (op->field % 2) {
            if (taken != NONE)
                model_release(taken);
            expect_error(gari_list_erase(object->address, at), is_there ? 0 : ERANGE,
                         "gari_list_erase");
            return;
        }
        machine_expect(gari_list_take(object->address, at), taken, "gari_list_take");
        machine_set(op->b, taken);
        return;
    }
    case OP_SPLICE:
        splice(op, list);
        return;
    case OP_ORDER:
        order(list, op->field % 2);
        return;
    case OP_SLICE:
        slice(op, list);
        return;
    default:
        while (object->edges)
            model_release(model_list_take(list, object->edges - 1));
        gari_list_clear(object->address);
        return;
    }
}

static void map_operation(const struct fuzz_operation *op, int m)
{
    struct model_object *map = model_of(m);
    int o = machine_at(op->b);
    unsigned i = op->more % KEYS;
    gari_key key = things_key(i);
    int old = map->edge[i];
    switch (op->code) {
    case OP_PUT: {
        if (o == NONE)
            return;
        bool puts = op->field == 0 || op->field == 3 || (op->field == 1) == (old == NONE);
        if (op->field == 3) {
            /* get_or_put */
            int is = old == NONE ? o : old;
            if (old == NONE)
                model_set_edge(m, i, o);
            model_hold(is);
            machine_expect(gari_map_get_or_put(map->address, key, machine_address(o)), is,
                           "gari_map_get_or_put");
            machine_set(op->b, is);
            return;
        }
        if (puts)
            model_set_edge(m, i, o);
        int error = op->field == 0   ? gari_map_put(map->address, key, machine_address(o))
                    : op->field == 1 ? gari_map_put_if_absent(map->address, key, machine_address(o))
                                     : gari_map_replace(map->address, key, machine_address(o));
        expect_error(error, puts ? 0 : op->field == 1 ? EEXIST : ENOENT, "gari_map_put");
        return;
    }
    case OP_MAP_TAKE: {
        if (op->field % 2) {
            model_set_edge(m, i, NONE);
            expect_error(gari_map_remove(map->address, key), old == NONE ? ENOENT : 0,
                         "gari_map_remove");
            return;
        }
        int taken = model_take_edge(m, i);
        machine_expect(gari_map_take(map->address, key), taken, "gari_map_take");
        machine_set(op->b, taken);
        return;
    }
    case OP_CLEAR:
        for (i = 0; i < KEYS; i++)
            model_set_edge(m, i, NONE);
        gari_map_clear(map->address);
        return;
    default:
        return;
    }
}

/* An iteration meets exactly what is there. */
static void look(const struct fuzz_operation *op, int o)
{
    const struct model_object *object = model_of(o);
    things_check_fields(o, "when it is looked at");
    if (object->kind == LIST) {
        gari_list_iter it;
        unsigned i = 0;
        gari_list_iter_begin(&it, object->address);
        for (; gari_list_iter_next(&it); i++)
            machine_expect(it.value, i < object->edges ? object->edge[i] : NONE, "iteration");
        gari_list_iter_end(&it);
        if (i != object->edges)
            fuzz_fail("iteration over list %d: %u elements, not %u", o, i, object->edges);
        int sought = machine_at(op->b);
        bool has = false;
        for (i = 0; i < object->edges; i++)
            has |= object->edge[i] == sought;
        if (sought != NONE && gari_list_contains(object->address, machine_address(sought)) != has)
            fuzz_fail("gari_list_contains is wrong about object %d", sought);
    }
    if (object->kind == MAP) {
        gari_map_iter it;
        unsigned met = 0, length = 0;
        gari_map_iter_begin(&it, object->address);
        for (; gari_map_iter_next(&it); met++) {
            int value = model_find(it.value);
            bool found = false;
            for (unsigned i = 0; i < KEYS; i++)
                found |= value != NONE && object->edge[i] == value;
            if (!found)
                fuzz_fail("iteration over map %d meets %p", o, it.value);
        }
        gari_map_iter_end(&it);
        for (unsigned i = 0; i < KEYS; i++)
            length += object->edge[i] != NONE;
        if (met != length || gari_map_length(object->address) != length)
            fuzz_fail("map %d: %u keys met, length %zu, not %u", o, met,
                      gari_map_length(object->address), length);
    }
}

bool machine_container(const struct fuzz_operation *op)
{
    if (op->code < OP_APPEND || op->code > OP_LOOK)
        return false;
    int o = machine_at(op->a);
    if (o == NONE)
        return true;
    if (op->code == OP_LOOK)
        look(op, o);
    else if (model_of(o)->kind == LIST)
        list_operation(op, o);
    else if (model_of(o)->kind == MAP)
        map_operation(op, o);
    return true;
}
