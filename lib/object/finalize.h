/* Finalizers, and the queue of what is to be called later: finalizers of objects that died where no
 * user's code may run, or in a cycle, and callbacks of weak references.
 *
 * By count: the flag UNFINALIZED holds an object whose count has come to zero; the thread that brought
 * it there claims it (count.c) and finalizes it at the end of the same call, outside of sections, when
 * that call is the user's own; otherwise it is queued. Then it drops the claimed reference, and if
 * nobody has brought the object back, it dies.
 *
 * Whoever works the queue off (gari's finalizer thread, gari_run_finalizers) holds no lock and no dead
 * object while a callback runs. */
#ifndef GARI_OBJECT_FINALIZE_H
#define GARI_OBJECT_FINALIZE_H

#include "lib/object/self.h"
#include "lib/object/weak.h"

/* Finalizers that drop the last reference to what has a finalizer: so many run inside each other. */
#define GARI__FINALIZE_DEPTH 4u

/* Called at most before the collector goes on: a finalizer may make more of its kind for ever. */
#define GARI__FINALIZE_SOME ((size_t)1 << 16)

/* An object that the collector works on, and its word as last seen. */
struct gari__member {
    gari_object *object;
    uint64_t word;
};

/* A garbage set that waits aside, each member with a reference that is the set's, while its finalizers
 * run. */
struct gari__finalize_set {
    struct gari__finalize_set *next;
    struct gari__member *members;
    size_t count, at;
    int generation;
    bool touched; /* somebody got hold of a member meanwhile: nothing is to be finalized */
    struct gari__callback *callbacks; /* to be called when it is over */
};

/* The calling thread owns the last reference to an object that is to be finalized. In a section. */
void gari__finalize_claimed(struct gari__object_thread *self, gari_object *object);

/* Whether the thread is where a user's finalizer may run: in a call of the user's own. */
bool gari__finalize_may_run_here(const struct gari__object_thread *self);

/* Calls the finalizer and drops the reference; what dies of it is in the thread's record then. */
void gari__finalize_one(struct gari__object_thread *self, gari_object *object);

/* Puts what the thread has claimed into the queue. */
void gari__finalize_queue_claimed(struct gari__object_thread *self);

/* Puts a list of callbacks, or a set, into the queue. */
void gari__finalize_queue_callbacks(struct gari__callback *list);
void gari__finalize_queue_set(struct gari__finalize_set *set);

/* Calls at most `most` finalizers and callbacks of the queue. Outside of sections, locks and callbacks.
 * Returns how many were called. */
size_t gari__finalize_run(struct gari__object_thread *self, size_t most);

/* Whether anything is queued, and how much (a set counts as one); and how many have been called. */
bool gari__finalize_any(void);
uint64_t gari__finalize_waiting(void);
uint64_t gari__finalize_called(void);

/* ---- For the heap's check, while nobody else is at work ---- */

/* Calls visit for every object that a list of sets holds. */
void gari__finalize_sets_walk(const struct gari__finalize_set *set,
                              void (*visit)(const gari_object *object, void *arg), void *arg);
/* The same for the sets in the queue. Returns the block of which the queue has taken objects over, or
 * NULL; *slot is the head of their list. */
const struct gari__block *gari__finalize_walk(void (*visit)(const gari_object *object, void *arg),
                                              void *arg, uint32_t *slot);

/* Whether finalizers run only where the service calls gari_run_finalizers. */
extern bool gari__finalize_queued_only;

#endif
