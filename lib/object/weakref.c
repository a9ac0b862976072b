/* Weak references, as gari's users see them. */
#include "concurrency/fatal.h"
#include "lib/object/count.h"
#include "lib/object/weak.h"

#include "lib/heap/memory.h"

#undef gari_weakref_new

static void no_references(void *self, gari_visit visit, void *arg)
{
    (void)self;
    (void)visit;
    (void)arg;
}

static void disarm(void *self)
{
    gari_weakref *weakref = self;
    gari__callback_cancel(weakref->callback_);
}

/* After the grace period: a borrower may be in gari_weakref_get until then. */
static void let_go(void *self)
{
    gari_weakref *weakref = self;
    gari__weak_release(weakref->weak_);
    if (weakref->callback_)
        gari__callback_release(weakref->callback_);
}

static const gari_type plain_type = {.struct_size = sizeof(gari_type),
                                     .name = "gari_weakref",
                                     .size = sizeof(gari_weakref),
                                     .align = __alignof__(gari_weakref),
                                     .reclaim = let_go};

/* Has no references, but is tracked: so it is known of one with a callback whether it is part of the
 * garbage that its object is part of. */
static const gari_type armed_type = {.struct_size = sizeof(gari_type),
                                     .name = "gari_weakref",
                                     .size = sizeof(gari_weakref),
                                     .align = __alignof__(gari_weakref),
                                     .traverse = no_references,
                                     .dispose = disarm,
                                     .reclaim = let_go};

gari_weakref *gari_weakref_new(gari_object *object, void (*fn)(void *arg), void *arg)
{
    struct gari__object_thread *self = gari__enter("gari_weakref_new");
    if (!object)
        gari__fatal("gari_weakref_new: the object is NULL");
    if (!gari__is_counted(gari__load_relaxed(gari__word_of(object))))
        gari__fatal_dead(object, "gari_weakref_new");
    struct gari__weak *weak = gari__weak_hold(object);
    struct gari__callback *callback = weak && fn ? gari__memory_new(sizeof *callback) : NULL;
    gari_weakref *weakref = NULL;
    if (weak && (callback || !fn))
        weakref = gari_new(fn ? &armed_type : &plain_type);
    if (weakref) {
        weakref->weak_ = weak;
        weakref->callback_ = callback;
        if (callback) {
            callback->fn = fn;
            callback->arg = arg;
            callback->owner = weakref;
            gari__callback_arm(weak, callback);
        }
    } else {
        gari__memory_free(callback);
        if (weak)
            gari__weak_release(weak);
    }
    gari__leave(self);
    return weakref;
}

void *gari_weakref_get(gari_weakref *weakref)
{
    /* Acquire: pairs with gari__weak_clear_callbacks. */
    if (gari__load_acquire(&weakref->cleared_))
        return NULL;
    return gari__weak_get(weakref->weak_);
}

struct gari__weak *gari__weakref_control(const struct gari__shape *shape, const gari_object *object)
{
    bool is_one = shape->identity == &plain_type || shape->identity == &armed_type;
    return is_one ? ((const gari_weakref *)(const void *)object)->weak_ : NULL;
}
