#include "tests/fuzz/things.h"

#include <stdlib.h>
#include <string.h>

struct thing {
    gari_object header;
    int number;
    gari_ref a, b, c;
};

struct vec {
    gari_object header;
    int number;
    size_t length;
    gari_ref items[];
};

struct slots {
    size_t length;
    gari_ref slot[];
};

struct store {
    gari_object header;
    int number;
    struct slots *slots; /* atomically */
};

gari_ref things_root[ROOTS];
int things_root_holds[ROOTS];

static unsigned deferred; /* atomically */

/* ---- Callbacks ---------------------------------------------------------------------------- */

static void check_emptied(int o)
{
    for (int w = 0; w < model.objects; w++) {
        struct model_object *weak = model_of(w);
        if ((weak->kind == WEAKREF || weak->kind == ARMED) && weak->target == o && weak->live &&
            gari_weakref_get(weak->address))
            fuzz_fail("%s %d gives out object %d, which is being disposed of",
                      fuzz_kind_name(weak->kind), w, o);
    }
}

static void disposed(int number)
{
    model_on_dispose(number);
    check_emptied(number);
    things_check_fields(number, "while it is disposed of");
    model_on_disposed(number);
}

static void dispose_thing(void *self)
{
    disposed(((struct thing *)self)->number);
}

static void reclaim_thing(void *self)
{
    struct thing *thing = self;
    if (gari_borrow(&thing->a) || gari_borrow(&thing->b) || gari_borrow(&thing->c))
        fuzz_fail("reclaim finds a reference in %d", thing->number);
    model_on_reclaim(thing->number);
}

static void set_root(unsigned i, int o)
{
    int old = things_root_holds[i];
    if (o != NONE)
        model_hold(o);
    things_root_holds[i] = o;
    if (old != NONE)
        model_release(old);
    gari_store(&things_root[i], o == NONE ? NULL : model_of(o)->address);
}

static void finalize_thing(void *self)
{
    struct thing *thing = self;
    int o = thing->number;
    model_on_finalize(o);
    if (!gari_is_finalized(thing))
        fuzz_fail("final %d is not finalized in its finalizer", o);
    things_check_fields(o, "while it is finalized");
    struct model_object *object = model_of(o);
    bool queues = model.queues;
    model.queues = true;
    unsigned root = object->action / 8 % ROOTS;
    switch (object->action % 8) {
    case 1:
        set_root(root, o);
        break;
    case 2:
        set_root(root, object->edge[0]);
        break;
    case 3:
        model_set_edge(o, 1, NONE);
        gari_store(&thing->b, NULL);
        break;
    case 4: {
        int fresh = things_new(object->action & 8 ? FINAL : WATCHED, object->action / 16);
        if (fresh == NONE)
            break;
        model_set_edge(o, 2, fresh);
        gari_store(&thing->c, model_of(fresh)->address);
        model_set_edge(fresh, 0, o);
        gari_store(things_field(fresh, 0), thing);
        model_release(fresh);
        gari_decref((gari_object *)model_of(fresh)->address);
        break;
    }
    case 5:
        if (gari_collect(2) != 0)
            fuzz_fail("gari_collect in a finalizer has collected");
        break;
    case 6:
        set_root(root, NONE);
        break;
    case 7: {
        gari_object *target = gari_load(&thing->a);
        gari_decref(target);
        break;
    }
    default:
        break;
    }
    model.queues = queues;
    model_on_finalized(o);
}

static void traverse_store(void *self, gari_visit visit, void *arg)
{
    struct store *store = self;
    struct slots *slots = __atomic_load_n(&store->slots, __ATOMIC_ACQUIRE);
    for (size_t i = 0; slots && i < slots->length; i++)
        GARI_VISIT(&slots->slot[i], visit, arg);
}

static void dispose_store(void *self)
{
    disposed(((struct store *)self)->number);
}

static void reclaim_store(void *self)
{
    struct store *store = self;
    for (size_t i = 0; i < store->slots->length; i++) {
        if (gari_borrow(&store->slots->slot[i]))
            fuzz_fail("reclaim finds a reference in %d", store->number);
    }
    model_on_reclaim(store->number);
    free(store->slots);
}

void things_callback(void *w)
{
    int number = (int)((uintptr_t)w - 1);
    model_on_callback(number);
    struct model_object *weak = model_of(number);
    if (weak->kind == ARMED && weak->live && gari_weakref_get(weak->address))
        fuzz_fail("armed %d is not empty in its callback", number);
}

void *things_callback_arg(int w)
{
    return (void *)((uintptr_t)w + 1); /* NOLINT: a number, not an address */
}

/* ---- Types -------------------------------------------------------------------------------- */

static const gari_type node_type =
    GARI_TYPE(struct thing, .refs = GARI_REFS(struct thing, a, b, c));
static const gari_type watched_type =
    GARI_TYPE(struct thing, .refs = GARI_REFS(struct thing, a, b, c), .dispose = dispose_thing,
              .reclaim = reclaim_thing);
static const gari_type final_type =
    GARI_TYPE(struct thing, .refs = GARI_REFS(struct thing, a, b, c), .finalize = finalize_thing,
              .dispose = dispose_thing);
static const gari_type stuck_type =
    GARI_TYPE(struct thing, .refs = GARI_REFS(struct thing, a, b, c), .dispose = dispose_thing,
              .flags = GARI_TYPE_NO_CLEAR);
static const gari_type vec_type =
    GARI_TYPE(struct vec, .items = GARI_REF_ITEMS(struct vec, length, items));
static const gari_type store_type = GARI_TYPE(struct store, .traverse = traverse_store,
                                              .dispose = dispose_store, .reclaim = reclaim_store);
static const gari_type leaf_type = GARI_TYPE(struct thing);

static struct slots *new_slots(size_t length)
{
    struct slots *slots = calloc(1, sizeof *slots + length * sizeof(gari_ref));
    if (!slots)
        fuzz_fail("no memory");
    slots->length = length;
    return slots;
}

static void *make(enum fuzz_kind kind, int o)
{
    static const gari_type *const types[] = {[NODE] = &node_type,
                                             [WATCHED] = &watched_type,
                                             [FINAL] = &final_type,
                                             [STUCK] = &stuck_type,
                                             [LEAF] = &leaf_type};
    if (kind == VEC) {
        struct vec *vec = gari_new_items(&vec_type, 4);
        if (vec)
            vec->number = o;
        return vec;
    }
    if (kind == STORE) {
        struct store *store = gari_new(&store_type);
        if (!store)
            return NULL;
        store->number = o;
        __atomic_store_n(&store->slots, new_slots(model_of(o)->edges), __ATOMIC_RELEASE);
        return store;
    }
    if (kind == ARRAY)
        return gari_array_new(4);
    if (kind == LIST)
        return gari_list_new();
    if (kind == MAP)
        return gari_map_new();
    if (kind == WEAKMAP)
        return gari_weakmap_new();
    struct thing *thing = gari_new(types[kind]);
    if (thing)
        thing->number = o;
    return thing;
}

int things_new(enum fuzz_kind kind, unsigned action)
{
    int o = model_new(kind);
    if (o == NONE)
        return NONE;
    struct model_object *object = model_of(o);
    object->action = action;
    object->address = make(kind, o);
    fuzz_trace("  new %s %d at %p", fuzz_kind_name(kind), o, object->address);
    if (!object->address)
        fuzz_fail("no memory");
    return o;
}

bool things_has_fields(int o)
{
    enum fuzz_kind kind = model_of(o)->kind;
    return kind <= STORE || kind == ARRAY;
}

gari_ref *things_field(int o, unsigned i)
{
    const struct model_object *object = model_of(o);
    i %= object->edges;
    if (object->kind == VEC)
        return &((struct vec *)object->address)->items[i];
    if (object->kind == STORE)
        return &__atomic_load_n(&((struct store *)object->address)->slots, __ATOMIC_ACQUIRE)
                    ->slot[i];
    if (object->kind == ARRAY)
        return gari_array_at(object->address, i);
    struct thing *thing = object->address;
    return i == 0 ? &thing->a : i == 1 ? &thing->b : &thing->c;
}

static void free_slots(void *slots)
{
    free(slots);
    __atomic_fetch_sub(&deferred, 1, __ATOMIC_RELAXED);
}

/* R8: the references move with the store, which is published by one pointer. */
void things_grow(int o)
{
    struct model_object *object = model_of(o);
    struct store *store = object->address;
    struct slots *old = store->slots;
    if (old->length == EDGES)
        return;
    struct slots *fresh = new_slots(old->length + 1);
    for (size_t i = 0; i < old->length; i++)
        fresh->slot[i] = old->slot[i];
    __atomic_store_n(&store->slots, fresh, __ATOMIC_RELEASE);
    object->edges++;
    __atomic_fetch_add(&deferred, 1, __ATOMIC_RELAXED);
    if (gari_defer(free_slots, old) != 0)
        fuzz_fail("no memory");
}

static void called_later(void *arg)
{
    (void)arg;
    __atomic_fetch_sub(&deferred, 1, __ATOMIC_RELAXED);
}

void things_defer(void)
{
    __atomic_fetch_add(&deferred, 1, __ATOMIC_RELAXED);
    if (gari_defer(called_later, NULL) != 0)
        fuzz_fail("no memory");
}

unsigned things_deferred(void)
{
    return __atomic_load_n(&deferred, __ATOMIC_RELAXED);
}

static void check_edge(int o, unsigned i, const void *found, const char *when)
{
    int expected = model_of(o)->edge[i];
    if (found != (expected == NONE ? NULL : model_of(expected)->address))
        fuzz_fail("%s %d %s: field %u has %p, and should have object %d",
                  fuzz_kind_name(model_of(o)->kind), o, when, i, found, expected);
}

gari_key things_key(unsigned key)
{
    static const char *const names[KEYS] = {"0", "1", "two", "3",
                                            "",  "5", "6",   "a longer key: seven"};
    return key % 2 ? gari_key_string(names[key]) : gari_key_integer(key);
}

void things_check_fields(int o, const char *when)
{
    const struct model_object *object = model_of(o);
    gari_read_begin();
    for (unsigned i = 0; things_has_fields(o) && i < object->edges; i++)
        check_edge(o, i, gari_borrow(things_field(o, i)), when);
    if (object->kind == LIST) {
        if (gari_list_length(object->address) != object->edges)
            fuzz_fail("list %d %s: length %zu, not %u", o, when, gari_list_length(object->address),
                      object->edges);
        for (unsigned i = 0; i < object->edges; i++)
            check_edge(o, i, gari_list_borrow(object->address, i), when);
    }
    for (unsigned i = 0; object->kind == MAP && i < KEYS; i++)
        check_edge(o, i, gari_map_borrow(object->address, things_key(i)), when);
    gari_read_end();
}
