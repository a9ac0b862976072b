/* Counting: the steps on the refcount word from which everything else is made.
 *
 * All of these are acquire-release read-modify-writes: an update publishes what its thread did to
 * the object before (release), and whoever brings the count to zero, or examines the word, sees it
 * (acquire). */
#ifndef GARI_OBJECT_COUNT_H
#define GARI_OBJECT_COUNT_H

#include "concurrency/perturb.h"
#include "concurrency/rcu.h"
#include "concurrency/word.h"
#include "lib/object/candidate.h"
#include "lib/object/checked.h"
#include "lib/object/self.h"

static inline uint64_t *gari__word_of(const gari_object *object)
{
    return (uint64_t *)(uintptr_t)&object->header.bits;
}

__attribute__((noreturn, cold)) void gari__fatal_dead(const gari_object *object, const char *call);
__attribute__((cold)) void gari__make_immortal(gari_object *object);

/* One more counted reference; the caller holds one or is about to publish the object. */
static inline void gari__count_up(gari_object *object, const char *call)
{
    gari__checked_object(object, call);
    uint64_t step = GARI__VERSION_ONE + GARI__COUNT_ONE;
    if (GARI_MUTANT(NO_VERSION))
        step = GARI__COUNT_ONE;
    uint64_t old = gari__fetch_add_acq_rel(gari__word_of(object), step);
    if (gari__unlikely(!gari__is_counted(old)))
        gari__fatal_dead(object, call);
    if (gari__unlikely(old & GARI__COUNT_HIGH))
        gari__make_immortal(object);
}

/* An edge has become an external reference: the count stays, the version tells (R4). In the section
 * of the step that removed the edge. */
static inline void gari__count_moved(gari_object *object)
{
    uint64_t *word = gari__word_of(object);
    uint64_t old = gari__load_relaxed(word);
    if (GARI_MUTANT(TAKE_NO_BUMP))
        return;
    while (!(old & GARI__SHARED)) {
        if (gari__cas_acq_rel(word, &old, (old | GARI__SHARED) + GARI__VERSION_ONE))
            return;
    }
    gari__fetch_add_acq_rel(word, GARI__VERSION_ONE);
}

/* From borrowed to owned, in the section of the borrow (R5). */
bool gari__count_try_up(gari_object *object);

/* An external reference has become an edge, which changes no word; so the flag is not only looked at. */
static inline void gari__suspect_moved(struct gari__object_thread *self, gari_object *object)
{
    if (!(gari__load_relaxed(gari__word_of(object)) & (GARI__LEAF | GARI__IMMORTAL)))
        gari__suspect(self, object);
}

/* The count has come to zero by `old` minus one, and something else holds the object or wants to know. */
__attribute__((cold)) bool gari__count_last(struct gari__object_thread *self, gari_object *object,
                                            uint64_t old);

/* A reference to an object of a hot type has gone, not the last, in the section in which it went, if it had to be in
 * one: if all that is left of it is what the calling thread keeps (kept.h), that goes too. True: as of
 * gari__count_down. */
__attribute__((cold)) bool gari__kept_settle(struct gari__object_thread *self, gari_object *object);

/* gari__count_down of an object that is not SHARED: if a reference is left it is now, and if it is
 * tracked, a candidate, all in the one step. */
bool gari__count_down_unshared(struct gari__object_thread *self, gari_object *object,
                               const char *call);

/* One counted reference less, in a section. True when it was the last: the caller owns the death and
 * must hand the object to gari__death_push. An object that is still to be finalized goes to the
 * thread's list of those instead, and lives. */
static inline bool gari__count_down(struct gari__object_thread *self, gari_object *object,
                                    const char *call)
{
    gari__checked_object(object, call);
    if (gari__unlikely(!(gari__load_relaxed(gari__word_of(object)) & GARI__SHARED)))
        return gari__count_down_unshared(self, object, call);
    uint64_t old = gari__fetch_sub_acq_rel(gari__word_of(object), GARI__COUNT_ONE);
    if (gari__likely((old & GARI__COUNT_MASK) > GARI__COUNT_ONE)) {
        gari__checked_owned(object, call);
        if (gari__needs_suspicion(old))
            gari__suspect(self, object);
        return gari__unlikely(old & GARI__HOT) && gari__kept_settle(self, object);
    }
    if (gari__unlikely(!gari__is_counted(old)))
        gari__fatal_dead(object, call);
    if (gari__unlikely(old & (GARI__IMMORTAL | GARI__UNFINALIZED | GARI__HAS_WEAK)))
        return gari__count_last(self, object, old);
    return true;
}

#endif
