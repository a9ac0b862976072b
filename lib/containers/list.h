/* The growable list. Its elements lie in a store, an object of its own with room for more; the list
 * refers to one store, or to none while it is empty.
 *
 *   list->store -> store: used elements, then empty fields up to its length
 *
 * Readers take no lock: they borrow the store and look. Writers hold the list's lock and do one of two
 * things. In place they change one field: fill the next one and then count `used` up (append), count
 * it down and then empty the last one (pop), replace one (set). Everything else fills a new store
 * with counted copies of the elements that stay and publishes it by one exchange; readers have the old
 * list or the new one, and an iterator, which owns a store, keeps what it had. Nothing is ever moved
 * within a store or from one to another (R8).
 *
 * Invariant, while somebody holds the list: fields below `used` of the list's store are not NULL,
 * but for the last one in the moment of a pop. A store that has been replaced may lose its
 * references at any time, when it dies. */
#ifndef GARI_CONTAINERS_LIST_H
#define GARI_CONTAINERS_LIST_H

#include "lib/gari_containers.h"

#include "lib/containers/slots.h"

struct gari__store {
    gari_object header;
    size_t used; /* written under the lock of the list, read by anybody */
    size_t length;
    gari_ref items[];
};

struct gari__list {
    gari_object header;
    GARI_REF(struct gari__store) store;
    uint64_t changes; /* how often it was written to; under the lock */
    pthread_mutex_t lock;
};

extern const gari_type gari__store_type;

static inline struct gari__list *gari__list_of(gari_list *list)
{
    return (struct gari__list *)(void *)list;
}

/* Under the lock: the list's store. It stays, for only the lock's holder replaces it and the caller
 * holds the list. */
static inline struct gari__store *gari__list_store(struct gari__list *list)
{
    return gari_borrow(&list->store);
}

static inline size_t gari__store_used(const struct gari__store *store)
{
    return store ? gari__load_acquire(&store->used) : 0;
}

/* Owned elements outside of the list. */
struct gari__elements {
    void **item;
    size_t count;
    uint64_t changes; /* of the list, when they were taken from it */
};

/* The elements from number `from` to before number `to` at one moment. 0, or ENOMEM; then there is
 * nothing to drop. */
int gari__list_snapshot(struct gari__list *list, size_t from, size_t to, const char *call,
                        struct gari__elements *elements);
void gari__elements_drop(struct gari__elements *elements);

#define GARI__LIST_END SIZE_MAX
#define GARI__LIST_LAST (SIZE_MAX - 1)

/* One change of the list: `count` elements, which the caller owns, take the place of `remove`. */
struct gari__edit {
    const char *call;
    size_t at;        /* or GARI__LIST_END, or GARI__LIST_LAST */
    const void *find; /* at the first element that is this, instead; or NULL */
    size_t remove;
    void *const *item;
    size_t count;
    size_t room;             /* in all, at least */
    const uint64_t *changes; /* the list must not have been written to since; or NULL */
    void **removed;          /* where the one that is removed goes, owned; or NULL */
};

/* 0, ENOMEM (only if count or room is not 0), ERANGE when there is no such place, or with `removed` no
 * such element; EBUSY when there were changes. */
int gari__list_edit(struct gari__list *list, const struct gari__edit *wanted);

#endif
