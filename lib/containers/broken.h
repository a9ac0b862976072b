/* Containers as they must not be: each mutant moves counted references from field to field without
 * a word (R8), the way one would without a collector. For the stress programs; nothing in other
 * builds. */
#ifndef GARI_CONTAINERS_BROKEN_H
#define GARI_CONTAINERS_BROKEN_H

#include "concurrency/perturb.h"
#include "lib/containers/list.h"
#include "lib/containers/table.h"

#ifdef GARI_PERTURB

/* Each returns whether it did the work in the right one's place. Under the list's lock. */
bool gari__broken_edit(struct gari__store *store, size_t used, struct gari__edit *edit);
bool gari__broken_splice(struct gari__list *list, struct gari__list *other);
bool gari__broken_sort(struct gari__list *list, int (*compare)(void *a, void *b, void *arg),
                       void *arg);
bool gari__broken_rehash(struct gari__object_thread *self, struct gari__table *table);

#define GARI_BROKEN_EDIT(store, used, edit) gari__broken_edit(store, used, edit)
#define GARI_BROKEN_SPLICE(list, other)                                                            \
    gari__broken_splice(gari__list_of(list), gari__list_of(other))
#define GARI_BROKEN_SORT(list, compare, arg) gari__broken_sort(gari__list_of(list), compare, arg)
#define GARI_BROKEN_REHASH(self, table) gari__broken_rehash(self, table)

#else

#define GARI_BROKEN_EDIT(store, used, edit) false
#define GARI_BROKEN_SPLICE(list, other) false
#define GARI_BROKEN_SORT(list, compare, arg) false
#define GARI_BROKEN_REHASH(self, table) false

#endif
#endif
