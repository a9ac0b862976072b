/* What containers do to reference fields while they hold their lock: the operations of
 * object/field.c but for the end, where those work off deaths, and so may call back into the very
 * container. Here whatever dies is left with the thread's record, for gari__unlock to deal with.
 *
 * This is all there is: a field is filled with a reference that was counted for it, and what leaves
 * a field is uncounted or handed to the caller as his. No counted reference goes from one field to
 * another; that is how containers keep rule R8 (docs/containers.md). */
#ifndef GARI_CONTAINERS_SLOTS_H
#define GARI_CONTAINERS_SLOTS_H

#include "lib/object/count.h"
#include "lib/object/death.h"

#define GARI__SLOT(f) (&(f)->gari_slot_)

/* The lock of one container. The thread's record comes first: threads without one share a locked
 * one, and whoever has that may come by a dispose callback to want the container's lock. */
static inline struct gari__object_thread *gari__lock(pthread_mutex_t *lock, const char *call)
{
    struct gari__object_thread *self = gari__enter(call);
    gari__container_begin(self);
    pthread_mutex_lock(lock);
    GARI_PERTURB_POINT();
    return self;
}

static inline void gari__unlock(struct gari__object_thread *self, pthread_mutex_t *lock)
{
    GARI_PERTURB_POINT();
    pthread_mutex_unlock(lock);
    gari__container_end(self);
    gari__settle(self, NULL);
    gari__leave(self);
}

/* What has left a field, in the section in which it did (R3). */
static inline void gari__slot_dropped(struct gari__object_thread *self, gari_object *old)
{
    GARI_PERTURB_AT("drop");
    gari__checked_no_edge(old);
    if (old && gari__count_down(self, old, "a container"))
        gari__death_push(self, old);
}

/* One reference of the caller's less. The section is for the object, should others drop the last one
 * while it is made a candidate. */
static inline void gari__owned_drop(struct gari__object_thread *self, gari_object *object,
                                    const char *call)
{
    if (!object)
        return;
    gari__section_begin();
    if (gari__count_down(self, object, call))
        gari__death_push(self, object);
    gari__section_end();
}

/* Fills or empties a field with a copy of a reference that the caller owns; gari_store. */
static inline void gari__slot_put(struct gari__object_thread *self, gari_slot *slot,
                                  gari_object *object, const char *call)
{
    gari__section_begin();
    GARI_PERTURB_AT("store.count");
    if (object)
        gari__count_up(object, call); /* before it is visible (R2) */
    GARI_PERTURB_AT("store.exchange");
    gari__checked_stores(slot);
    gari_object *old = gari__exchange_acq_rel(&slot->pointer, object);
    gari__checked_edge(object, call);
    gari__slot_dropped(self, old);
    gari__section_end();
}

/* Fills a field with a new store, stealing the reference; gari_move. What the store refers to is not
 * owned by the caller, so it may become part of a garbage cycle here and now: a candidate. */
static inline void gari__slot_publish(struct gari__object_thread *self, gari_slot *slot,
                                      gari_object *object)
{
    gari__section_begin();
    GARI_PERTURB_AT("move.exchange");
    gari__checked_stores(slot);
    gari_object *old = gari__exchange_acq_rel(&slot->pointer, object);
    gari__checked_edge(object, "a container");
    if (object && !GARI_MUTANT(MOVE_NO_CANDIDATE))
        gari__suspect_moved(self, object);
    gari__slot_dropped(self, old);
    gari__section_end();
}

/* A counted copy of what the field holds, or NULL. Under the lock nobody replaces it, but if the
 * container itself is only borrowed it may be dying. */
static inline gari_object *gari__slot_copy(gari_slot *slot)
{
    GARI_PERTURB_AT("borrow.read");
    gari_object *object = gari__load_acquire(&slot->pointer);
    return object && gari__count_try_up(object) ? object : NULL;
}

#endif
