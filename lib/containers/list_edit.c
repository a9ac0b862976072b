/* Changing a list: the one function that does it, in place where that is one field, by a new store
 * otherwise. Memory is got without the lock, for getting it may run callbacks. */
#include "lib/containers/list.h"

#include "lib/containers/broken.h"
#include "lib/heap/memory.h"

#include <errno.h>

/* Elements that a store is made for: a good half more, so that appending is O(1) amortised and an
 * erase, which copies anyway, gives memory back. */
static size_t room_for(size_t count)
{
    size_t room;
    return __builtin_add_overflow(count, count / 2 + 4, &room) ? count : room;
}

/* Puts a copy of what the field holds at the end of the new store, which nobody else sees. */
static void copy(struct gari__store *fresh, gari_ref *from)
{
    gari_object *object = gari__slot_copy(GARI__SLOT(from));
    if (object)
        gari_slot_init(GARI__SLOT(&fresh->items[fresh->used++]), object);
}

/* The elements as they will be, in a new store. Nothing is read from it and nothing in it is moved:
 * each field is written once. */
static void fill(struct gari__store *fresh, struct gari__store *old, size_t used, size_t at,
                 const struct gari__edit *edit)
{
    for (size_t i = 0; i < at; i++)
        copy(fresh, &old->items[i]);
    for (size_t i = 0; i < edit->count; i++) {
        gari__count_up(edit->item[i], edit->call);
        gari_slot_init(GARI__SLOT(&fresh->items[fresh->used++]), edit->item[i]);
    }
    for (size_t i = at + edit->remove; i < used; i++)
        copy(fresh, &old->items[i]);
}

/* Without memory for a new store: shifts what is behind the removed ones, each by a copy that
 * replaces another, so that nothing that stays is missing from the store at any moment. */
static void erase_in_place(struct gari__object_thread *self, struct gari__store *store, size_t used,
                           size_t at, const struct gari__edit *edit)
{
    for (size_t i = at; i + edit->remove < used; i++) {
        gari_object *object = gari__slot_copy(GARI__SLOT(&store->items[i + edit->remove]));
        gari__slot_put(self, GARI__SLOT(&store->items[i]), object, edit->call);
        gari__owned_drop(self, object, edit->call);
    }
    gari__store_release(&store->used, used - edit->remove);
    for (size_t i = used - edit->remove; i < used; i++)
        gari__slot_put(self, GARI__SLOT(&store->items[i]), NULL, edit->call);
}

static size_t length_of(const struct gari__store *store)
{
    return store ? store->length : 0;
}

static bool changes_in_place(const struct gari__store *store, size_t used, size_t at,
                             const struct gari__edit *edit)
{
    if (edit->room > length_of(store))
        return false;
    if (edit->remove == 0)
        return at == used && length_of(store) - used >= edit->count;
    /* The last one; but not if the store has become much too large. */
    return edit->remove == 1 && edit->count == 0 && at + 1 == used &&
           (store->length < 64 || used > store->length / 4);
}

static void change_in_place(struct gari__object_thread *self, struct gari__store *store,
                            size_t used, const struct gari__edit *edit)
{
    if (edit->remove == 1) {
        gari__store_release(&store->used, used - 1);
        gari_object *object = gari_slot_take(GARI__SLOT(&store->items[used - 1]));
        if (edit->removed)
            *edit->removed = object;
        else
            gari__owned_drop(self, object, edit->call);
        return;
    }
    for (size_t i = 0; i < edit->count; i++)
        gari__slot_put(self, GARI__SLOT(&store->items[used + i]), edit->item[i], edit->call);
    /* Release: who sees the number sees the elements. */
    if (edit->count)
        gari__store_release(&store->used, used + edit->count);
}

enum outcome { DONE, NO_SUCH, CHANGED, NEEDS_ROOM };

/* Turns the place that is wanted into a number, and cuts what is to be removed to what there is.
 * False when there is no such place. */
static bool locate(struct gari__store *store, size_t used, struct gari__edit *edit)
{
    if (edit->find) {
        edit->at = 0;
        while (edit->at < used && gari_borrow(&store->items[edit->at]) != edit->find)
            edit->at++;
    } else if (edit->at == GARI__LIST_END) {
        edit->at = used;
    } else if (edit->at == GARI__LIST_LAST && used > 0) {
        edit->at = used - 1;
    }
    if (edit->at > used || (edit->removed && edit->at == used))
        return false;
    if (edit->remove > used - edit->at)
        edit->remove = used - edit->at;
    return true;
}

/* Under the lock. Takes *fresh if it is needed and large enough; says in *room how large it has to
 * be. */
static enum outcome try_edit(struct gari__object_thread *self, struct gari__list *list,
                             struct gari__edit *edit, struct gari__store **fresh, size_t *room,
                             bool no_memory)
{
    struct gari__store *store = gari__list_store(list);
    size_t used = gari__store_used(store);
    if (edit->changes && *edit->changes != list->changes)
        return CHANGED;
    if (!locate(store, used, edit))
        return NO_SUCH;
    if (GARI_BROKEN_EDIT(store, used, edit))
        return DONE;
    size_t count = used - edit->remove + edit->count;
    bool in_place = changes_in_place(store, used, edit->at, edit);
    bool empties = count == 0 && edit->room == 0;
    size_t least = count > edit->room ? count : edit->room;
    if (!in_place && !empties && !no_memory && (!*fresh || (*fresh)->length < least)) {
        *room = edit->room > count ? edit->room : room_for(count);
        return NEEDS_ROOM;
    }
    list->changes++;
    if (in_place) {
        change_in_place(self, store, used, edit);
        return DONE;
    }
    if (edit->removed)
        *edit->removed = gari__slot_copy(GARI__SLOT(&store->items[edit->at]));
    if (empties) {
        gari__slot_publish(self, GARI__SLOT(&list->store), NULL);
    } else if (no_memory) {
        erase_in_place(self, store, used, edit->at, edit);
    } else {
        fill(*fresh, store, used, edit->at, edit);
        gari__slot_publish(self, GARI__SLOT(&list->store), &(*fresh)->header);
        *fresh = NULL;
    }
    return DONE;
}

int gari__list_edit(struct gari__list *list, const struct gari__edit *wanted)
{
    struct gari__store *fresh = NULL;
    bool no_memory = false;
    for (;;) {
        struct gari__edit edit = *wanted;
        size_t room = 0;
        struct gari__object_thread *self = gari__lock(&list->lock, edit.call);
        enum outcome outcome = try_edit(self, list, &edit, &fresh, &room, no_memory);
        gari__unlock(self, &list->lock);
        if (outcome != NEEDS_ROOM) {
            gari_decref(fresh);
            return outcome == DONE ? 0 : outcome == NO_SUCH ? ERANGE : EBUSY;
        }
        gari_decref(fresh);
        fresh = gari_new_items(&gari__store_type, room);
        if (!fresh && (wanted->count || wanted->room))
            return ENOMEM;
        no_memory = fresh == NULL;
    }
}

/* ---- Several elements at a time ----------------------------------------------------------- */

void gari__elements_drop(struct gari__elements *elements)
{
    for (size_t i = 0; i < elements->count; i++)
        gari_decref((gari_object *)elements->item[i]);
    gari__memory_free(elements->item);
}

int gari__list_snapshot(struct gari__list *list, size_t from, size_t to, const char *call,
                        struct gari__elements *elements)
{
    size_t room = 0;
    *elements = (struct gari__elements){0};
    for (;;) {
        struct gari__object_thread *self = gari__lock(&list->lock, call);
        struct gari__store *store = gari__list_store(list);
        size_t used = gari__store_used(store);
        size_t end = to < used ? to : used, begin = from < end ? from : end;
        bool fits = end - begin <= room;
        if (fits) {
            elements->changes = list->changes;
            for (size_t i = begin; i < end; i++) {
                gari_object *object = gari__slot_copy(GARI__SLOT(&store->items[i]));
                if (object)
                    elements->item[elements->count++] = object;
            }
        }
        gari__unlock(self, &list->lock);
        if (fits)
            return 0;
        room = room_for(end - begin);
        gari__memory_free(elements->item);
        elements->item =
            room > SIZE_MAX / sizeof(void *) ? NULL : gari__memory_new(room * sizeof(void *));
        if (!elements->item)
            return ENOMEM;
    }
}

static int splice(gari_list *list, size_t at, size_t remove, gari_list *other, const char *call)
{
    struct gari__elements elements = {0};
    if (other && GARI_BROKEN_SPLICE(list, other))
        return 0;
    int error = other ? gari__list_snapshot(gari__list_of(other), 0, SIZE_MAX, call, &elements) : 0;
    if (error)
        return error;
    struct gari__edit edit = {
        .call = call, .at = at, .remove = remove, .item = elements.item, .count = elements.count};
    error = gari__list_edit(gari__list_of(list), &edit);
    gari__elements_drop(&elements);
    return error;
}

int gari_list_extend(gari_list *list, gari_list *other)
{
    return splice(list, GARI__LIST_END, 0, other, "gari_list_extend");
}

int gari_list_splice(gari_list *list, size_t at, size_t count, gari_list *other)
{
    if (at >= GARI__LIST_LAST)
        return ERANGE;
    return splice(list, at, count, other, "gari_list_splice");
}

gari_list *gari_list_slice(gari_list *list, size_t from, size_t to)
{
    gari_list *slice = gari_list_new();
    struct gari__elements elements;
    if (!slice)
        return NULL;
    if (gari__list_snapshot(gari__list_of(list), from, to, "gari_list_slice", &elements) != 0) {
        gari_decref(slice);
        return NULL;
    }
    struct gari__edit edit = {.call = "gari_list_slice",
                              .at = GARI__LIST_END,
                              .item = elements.item,
                              .count = elements.count};
    if (gari__list_edit(gari__list_of(slice), &edit) != 0) {
        gari_decref(slice);
        slice = NULL;
    }
    gari__elements_drop(&elements);
    return slice;
}
