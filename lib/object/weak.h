/* Weak references: the control block of an object, and the gate of weak gets.
 *
 * An object that has weak references carries HAS_WEAK in its word; its control block hangs from the
 * block's table `weak`, by slot. The control block is shared by all weak references to the object, and
 * by the callbacks that wait for its death; it outlives the object as long as any of them.
 *
 * A weak get reads the control block's pointer to the object and counts it up, in one read section;
 * the pointer is emptied at the death, before the grace period after which the memory is used again.
 * That settles it with a last decref. A collection's commit is the other half: it must not miss a weak
 * get. While a proof has suspects with weak references the pointers in their control blocks carry a
 * tag, put there before the proof's grace period; a weak get that meets a tag goes through the gate,
 * one word for the one proof that is open in the process: it either breaks the proof off or finds that
 * it is decided. docs/protocol.md, "Weak references", has the argument. */
#ifndef GARI_OBJECT_WEAK_H
#define GARI_OBJECT_WEAK_H

#include "lib/object/self.h"

/* Something that is to be called when an object has died: of a weak reference, or of gari_finalize. */
struct gari__callback {
    struct gari__callback *next, *prev; /* of the control block, then of the queue */
    void (*fn)(void *arg);
    void *arg;
    struct gari__weak *weak; /* with a reference of its own */
    gari_weakref *owner;     /* or NULL; under the control block's lock while ARMED */
    int state;               /* atomically */
    uint32_t refs;           /* the owner's and the list's; atomically */
};

enum gari__callback_states {
    GARI__CALLBACK_ARMED,  /* in the list of a control block */
    GARI__CALLBACK_QUEUED, /* the object is dead */
    GARI__CALLBACK_OVER    /* called, being called, or never to be called */
};

struct gari__weak {
    uintptr_t target;         /* the object; GARI__WEAK_TAG; 0 from its death on. Atomically */
    const gari_object *place; /* where it was: finds the lock */
    uint32_t refs;            /* atomically */
    struct gari__callback *callbacks; /* under the lock */
};

#define GARI__WEAK_TAG ((uintptr_t)1)

/* The object's control block, made if need be, with a reference to it; NULL when there is no memory.
 * The caller owns a reference to the object. */
struct gari__weak *gari__weak_hold(gari_object *object);
void gari__weak_release(struct gari__weak *weak);

/* An owned reference to the object, or NULL when it is dead. */
gari_object *gari__weak_get(struct gari__weak *weak);
/* Whether it is dead, without a reference (a hint when true is not yet so). */
static inline bool gari__weak_is_dead(const struct gari__weak *weak)
{
    return gari__load_acquire(&weak->target) == 0;
}

/* Puts a callback into the list of an object that the caller owns a reference to. */
void gari__callback_arm(struct gari__weak *weak, struct gari__callback *callback);
/* Takes the owner's callback back. True when it will not be called and has not been. */
bool gari__callback_cancel(struct gari__callback *callback);
/* Before it is called: true for one thread, once, unless it was cancelled. */
bool gari__callback_begin(struct gari__callback *callback);
void gari__callback_release(struct gari__callback *callback);

/* The object has died by count: weak references read empty from here on, callbacks are queued. */
void gari__weak_died(gari_object *object);

/* ---- For the heap's check, while nobody else is at work ---- */

/* The control block that the object holds on to, if it is a weak reference, or NULL. */
struct gari__weak *gari__weakref_control(const struct gari__shape *shape,
                                         const gari_object *object);
/* If the object is a weak container, calls visit for the control block of each entry. Returns what is
 * wrong with its table, or NULL. */
const char *gari__weakmap_check(const struct gari__shape *shape, const gari_object *object,
                                void (*visit)(const struct gari__weak *weak, void *arg), void *arg);

/* ---- For the collector; of objects in blocks that a pass holds ---- */

/* Opens the gate for a new proof, before tags are set. */
void gari__gate_open(void);
/* Decides the proof: false when a weak get has broken it off. */
bool gari__gate_decide(void);
/* Whether a weak get has broken the open proof off (a hint: it may do so a moment later). */
bool gari__gate_is_broken(void);
/* The proof is given up, or its commit complete. */
void gari__gate_shut(void);

void gari__weak_tag(gari_object *object);
void gari__weak_untag(gari_object *object);

/* A committed member: its weak references read empty; returns its callbacks, to be queued. */
struct gari__callback *gari__weak_clear(gari_object *object);
/* A member that is to be finalized: clears the weak references that have callbacks, and returns those.
 * A callback whose owner is_member says to be garbage itself is dropped. */
struct gari__callback *gari__weak_clear_callbacks(gari_object *object,
                                                  bool (*is_member)(gari_object *owner, void *arg),
                                                  void *arg);

#endif
