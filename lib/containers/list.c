#include "lib/containers/list.h"

#include "lib/containers/array.h"

#include <errno.h>

const gari_type gari__store_type = {
    .struct_size = sizeof(gari_type),
    .name = "gari_list's store",
    .size = sizeof(struct gari__store),
    .align = _Alignof(struct gari__store),
    .items = GARI_REF_ITEMS(struct gari__store, length, items),
};

static void reclaim(void *self)
{
    pthread_mutex_destroy(&((struct gari__list *)self)->lock);
}

static const gari_type list_type = {
    .struct_size = sizeof(gari_type),
    .name = "gari_list",
    .size = sizeof(struct gari__list),
    .align = _Alignof(struct gari__list),
    .refs = GARI_REFS(struct gari__list, store),
    .reclaim = reclaim,
};

gari_list *gari_list_new(void)
{
    struct gari__list *list = gari_new(&list_type);
    if (list)
        pthread_mutex_init(&list->lock, NULL);
    return (gari_list *)list;
}

bool gari_is_list(const void *object)
{
    return gari__shape_of(object)->identity == &list_type;
}

/* ---- Reading: no lock --------------------------------------------------------------------- */

size_t gari_list_length(gari_list *list)
{
    gari__section_begin();
    size_t used = gari__store_used(gari_borrow(&gari__list_of(list)->store));
    gari__section_end();
    return used;
}

/* An empty field below `used`: if the store is still the list's, its last element has just been popped
 * (or the list is dying), so there was a moment without an element of that number. If it is not, it
 * has died and says nothing. */
void *gari_list_borrow(gari_list *list, size_t index)
{
    struct gari__list *self = gari__list_of(list);
    struct gari__store *store = gari_borrow(&self->store), *now;
    for (;; store = now) {
        if (index >= gari__store_used(store))
            return NULL;
        void *object = gari_borrow(&store->items[index]);
        if (object)
            return object;
        now = gari_borrow(&self->store);
        if (now == store)
            return NULL;
    }
}

void *gari_list_get(gari_list *list, size_t index)
{
    gari_object *object = NULL, *dead;
    gari__section_begin();
    do {
        dead = object;
        object = gari_list_borrow(list, index);
        /* Dead, it has left the list meanwhile; if it is still there, the list is dead too. */
    } while (object && !gari__count_try_up(object) && object != dead);
    bool alive = object && object != dead;
    gari__section_end();
    return alive ? object : NULL;
}

size_t gari_list_index(gari_list *list, const void *object)
{
    /* Owned, the store keeps what it has. */
    struct gari__store *store = gari_load(&gari__list_of(list)->store);
    size_t used = gari__store_used(store), index = 0;
    while (index < used && gari_borrow(&store->items[index]) != object)
        index++;
    gari_decref(store);
    return object && index < used ? index : GARI_NOT_FOUND;
}

bool gari_list_contains(gari_list *list, const void *object)
{
    return gari_list_index(list, object) != GARI_NOT_FOUND;
}

void gari_list_iter_begin(gari_list_iter *iter, gari_list *list)
{
    struct gari__store *store = gari_load(&gari__list_of(list)->store);
    *iter = (gari_list_iter){NULL, store, 0, gari__store_used(store)};
}

bool gari_list_iter_next(gari_list_iter *iter)
{
    struct gari__store *store = iter->store_;
    gari_object *before = iter->value;
    iter->value = NULL;
    while (!iter->value && iter->next_ < iter->end_)
        iter->value = gari_load(&store->items[iter->next_++]);
    gari_decref(before);
    return iter->value != NULL;
}

void gari_list_iter_end(gari_list_iter *iter)
{
    gari_object *value = iter->value, *store = iter->store_;
    *iter = (gari_list_iter){0};
    gari_decref(value);
    gari_decref(store);
}

gari_array *gari_list_to_array(gari_list *list)
{
    struct gari__elements elements;
    if (gari__list_snapshot(gari__list_of(list), 0, SIZE_MAX, "gari_list_to_array", &elements) != 0)
        return NULL;
    gari_array *array = gari_array_new(elements.count);
    for (size_t i = 0; array && i < elements.count; i++)
        gari_init(gari_array_at(array, i), elements.item[i]);
    if (array)
        elements.count = 0; /* the array has them */
    gari__elements_drop(&elements);
    return array;
}

/* ---- Writing ------------------------------------------------------------------------------ */

/* No element has such a number, and gari__list_edit means something else by these. */
static bool is_number(size_t index)
{
    return index < GARI__LIST_LAST;
}

int gari_list_append(gari_list *list, void *object)
{
    if (!object)
        return EINVAL;
    struct gari__edit edit = {
        .call = "gari_list_append", .at = GARI__LIST_END, .item = &object, .count = 1};
    return gari__list_edit(gari__list_of(list), &edit);
}

int gari_list_insert(gari_list *list, size_t index, void *object)
{
    if (!object)
        return EINVAL;
    if (!is_number(index))
        return ERANGE;
    struct gari__edit edit = {.call = "gari_list_insert", .at = index, .item = &object, .count = 1};
    return gari__list_edit(gari__list_of(list), &edit);
}

int gari_list_set(gari_list *list, size_t index, void *object)
{
    struct gari__list *self = gari__list_of(list);
    if (!object)
        return EINVAL;
    struct gari__object_thread *thread = gari__lock(&self->lock, "gari_list_set");
    struct gari__store *store = gari__list_store(self);
    bool there = index < gari__store_used(store);
    if (there) {
        self->changes++;
        gari__slot_put(thread, GARI__SLOT(&store->items[index]), object, "gari_list_set");
    }
    gari__unlock(thread, &self->lock);
    return there ? 0 : ERANGE;
}

/* Removes one element, which is returned in *removed, owned. */
static int take(gari_list *list, size_t at, const void *find, const char *call, void **removed)
{
    struct gari__edit edit = {
        .call = call, .at = at, .find = find, .remove = 1, .removed = removed};
    *removed = NULL;
    return gari__list_edit(gari__list_of(list), &edit);
}

void *gari_list_pop(gari_list *list)
{
    void *removed;
    take(list, GARI__LIST_LAST, NULL, "gari_list_pop", &removed);
    return removed;
}

void *gari_list_take(gari_list *list, size_t index)
{
    void *removed = NULL;
    if (is_number(index))
        take(list, index, NULL, "gari_list_take", &removed);
    return removed;
}

int gari_list_erase(gari_list *list, size_t index)
{
    void *removed;
    if (!is_number(index))
        return ERANGE;
    int error = take(list, index, NULL, "gari_list_erase", &removed);
    gari_decref((gari_object *)removed);
    return error;
}

int gari_list_remove(gari_list *list, const void *object)
{
    void *removed;
    if (!object || take(list, 0, object, "gari_list_remove", &removed) != 0)
        return ENOENT;
    gari_decref((gari_object *)removed);
    return 0;
}

int gari_list_reserve(gari_list *list, size_t room)
{
    struct gari__edit edit = {.call = "gari_list_reserve", .at = GARI__LIST_END, .room = room};
    return gari__list_edit(gari__list_of(list), &edit);
}

void gari_list_clear(gari_list *list)
{
    struct gari__edit edit = {.call = "gari_list_clear", .remove = SIZE_MAX};
    gari__list_edit(gari__list_of(list), &edit);
}
