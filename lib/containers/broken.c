#include "lib/containers/broken.h"

#ifdef GARI_PERTURB

/* From one field to another, without a section, a version or a count. */
static void move(gari_ref *to, gari_ref *from)
{
    gari_object *object = gari__load_relaxed(&GARI__SLOT(from)->pointer);
    gari__store_release(&GARI__SLOT(to)->pointer, object);
    GARI_PERTURB_POINT();
}

static void empty(gari_ref *field)
{
    gari__store_release(&GARI__SLOT(field)->pointer, (gari_object *)NULL);
}

static void insert(struct gari__store *store, size_t used, const struct gari__edit *edit)
{
    for (size_t i = used; i > edit->at; i--)
        move(&store->items[i], &store->items[i - 1]);
    gari__count_up(edit->item[0], edit->call);
    gari__store_release(&GARI__SLOT(&store->items[edit->at])->pointer,
                        (gari_object *)edit->item[0]);
    gari__store_release(&store->used, used + 1);
}

/* The reference is given to the caller as it is: the edge has become external, and no word tells. */
static void erase(struct gari__store *store, size_t used, const struct gari__edit *edit)
{
    *edit->removed = gari__load_relaxed(&GARI__SLOT(&store->items[edit->at])->pointer);
    for (size_t i = edit->at; i + 1 < used; i++)
        move(&store->items[i], &store->items[i + 1]);
    empty(&store->items[used - 1]);
    gari__store_release(&store->used, used - 1);
}

bool gari__broken_edit(struct gari__store *store, size_t used, struct gari__edit *edit)
{
    if (GARI_MUTANT(INSERT_MOVES) && store && edit->count == 1 && edit->remove == 0 &&
        edit->at < used && used < store->length) {
        insert(store, used, edit);
        return true;
    }
    if (GARI_MUTANT(ERASE_MOVES) && store && edit->removed) {
        erase(store, used, edit);
        return true;
    }
    return false;
}

/* The elements of the other list become this one's, store to store. */
bool gari__broken_splice(struct gari__list *list, struct gari__list *other)
{
    if (!GARI_MUTANT(SPLICE_MOVES) || list == other)
        return false;
    struct gari__list *first = list < other ? list : other, *second = list < other ? other : list;
    pthread_mutex_lock(&first->lock);
    pthread_mutex_lock(&second->lock);
    struct gari__store *from = gari__list_store(other), *to = gari__list_store(list);
    size_t count = gari__store_used(from), used = gari__store_used(to);
    bool fits = from && to && count <= to->length - used;
    for (size_t i = 0; fits && i < count; i++) {
        move(&to->items[used + i], &from->items[i]);
        empty(&from->items[i]);
    }
    if (fits) {
        gari__store_release(&to->used, used + count);
        gari__store_release(&from->used, 0);
    }
    pthread_mutex_unlock(&second->lock);
    pthread_mutex_unlock(&first->lock);
    return fits;
}

/* An insertion sort of the store itself. */
bool gari__broken_sort(struct gari__list *list, int (*compare)(void *a, void *b, void *arg),
                       void *arg)
{
    if (!GARI_MUTANT(SORT_MOVES))
        return false;
    pthread_mutex_lock(&list->lock);
    struct gari__store *store = gari__list_store(list);
    size_t used = gari__store_used(store);
    for (size_t i = 1; i < used; i++) {
        gari_object *object = gari_borrow(&store->items[i]);
        size_t at = i;
        for (; at > 0 && compare(gari_borrow(&store->items[at - 1]), object, arg) > 0; at--)
            move(&store->items[at], &store->items[at - 1]);
        gari__store_release(&GARI__SLOT(&store->items[at])->pointer, object);
    }
    pthread_mutex_unlock(&list->lock);
    return true;
}

/* The table is put in order where it stands, at each new key. */
bool gari__broken_rehash(struct gari__object_thread *self, struct gari__table *table)
{
    enum { MOST = 4096 };
    static __thread struct gari__entry *kept[MOST];
    if (!GARI_MUTANT(REHASH_MOVES) || !table || table->length > MOST)
        return false;
    size_t count = 0, mask = table->length - 1;
    for (size_t i = 0; i < table->length; i++) {
        struct gari__entry *entry = gari_borrow(&table->slots[i]);
        if (entry && gari_borrow(&entry->value)) {
            kept[count++] = entry;
            gari__store_release(&GARI__SLOT(&table->slots[i])->pointer, (gari_object *)NULL);
            GARI_PERTURB_POINT();
        } else if (entry) {
            gari__slot_put(self, GARI__SLOT(&table->slots[i]), NULL, "gari_map");
        }
    }
    table->used = count;
    while (count > 0) {
        struct gari__entry *entry = kept[--count];
        size_t at = entry->hash & mask;
        while (gari_borrow(&table->slots[at]))
            at = (at + 1) & mask;
        gari__store_release(&GARI__SLOT(&table->slots[at])->pointer, &entry->header);
        GARI_PERTURB_POINT();
    }
    return true;
}

#else

/* ISO C wants a translation unit to declare something. */
typedef int gari__broken_is_off;

#endif
