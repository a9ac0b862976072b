#include "lib/object/count.h"

#include "concurrency/fatal.h"
#include "lib/object/death.h"
#include "lib/object/finalize.h"
#include "lib/object/kept.h"

#undef gari_incref
#undef gari_decref
#undef gari_try_incref
#undef gari_getrefcount
#undef gari_generation
#undef gari_is_tracked
#undef gari_type_of
#undef gari_is_finalized

void gari__fatal_dead(const gari_object *object, const char *call)
{
    const struct gari__shape *shape = gari__shape_of(object);
    gari__fatal("%s: the object at %p of type '%s' is dead: its count is 0, more references were "
                "given back than taken%s",
                call, (const void *)object, shape->type.name, gari__checked_story(object));
}

void gari__make_immortal(gari_object *object)
{
    gari__fetch_or_acq_rel(gari__word_of(object), GARI__IMMORTAL);
}

bool gari__count_try_up(gari_object *object)
{
    uint64_t *word = gari__word_of(object);
    uint64_t old = gari__load_relaxed(word);
    uint64_t step = GARI__VERSION_ONE + GARI__COUNT_ONE;
    if (GARI_MUTANT(NO_VERSION))
        step = GARI__COUNT_ONE;
    GARI_PERTURB_AT("try_incref");
    do {
        if (!gari__is_alive(old) && !GARI_MUTANT(RAISE_DEAD))
            return false;
    } while (!gari__cas_acq_rel(word, &old, old + step));
    if (gari__unlikely(old & GARI__COUNT_HIGH))
        gari__make_immortal(object);
    return true;
}

/* Finalizers come first: the flag holds the object. Others may count it up (a borrower, a weak get) and
 * down again; whoever finds it at zero with the flag and takes the flag for a reference, in one step,
 * finalizes it. The object's memory stays until the end of the section. */
static void claim(struct gari__object_thread *self, gari_object *object, uint64_t word)
{
    while (!gari__is_counted(word) && (word & GARI__UNFINALIZED)) {
        uint64_t claimed = (word & ~GARI__UNFINALIZED) + GARI__VERSION_ONE + GARI__COUNT_ONE;
        GARI_PERTURB_AT("claim");
        if (gari__cas_acq_rel(gari__word_of(object), &word, claimed)) {
            gari__finalize_claimed(self, object);
            return;
        }
    }
}

bool gari__count_last(struct gari__object_thread *self, gari_object *object, uint64_t old)
{
    if (old & GARI__IMMORTAL)
        return false;
    if (old & GARI__UNFINALIZED) {
        claim(self, object, old - GARI__COUNT_ONE);
        return false;
    }
    gari__weak_died(object);
    return true;
}

bool gari__count_down_unshared(struct gari__object_thread *self, gari_object *object,
                               const char *call)
{
    uint64_t *word = gari__word_of(object);
    uint64_t old = gari__load_relaxed(word), now;
    GARI_PERTURB_AT("suspect");
    GARI_PERTURB_STEP(UNSHARED);
    do {
        if (old & GARI__SHARED) { /* meanwhile */
            gari__suspect_end_nothing(self);
            return gari__count_down(self, object, call);
        }
        if (gari__unlikely(!gari__is_counted(old)))
            gari__fatal_dead(object, call);
        now = old - GARI__COUNT_ONE;
        if (gari__count_of(old) > 1)
            now |= (GARI_MUTANT(LATE_UNSHARED) ? 0 : GARI__SHARED) |
                   (gari__needs_suspicion(old) ? GARI__CANDIDATE : 0);
        if (now & GARI__CANDIDATE)
            gari__suspect_begin(self, object);
    } while (!gari__cas_acq_rel(word, &old, now));
    if (now & ~old & GARI__CANDIDATE)
        gari__suspect_end(self, object);
    else
        gari__suspect_end_nothing(self);
    if (gari__count_of(old) > 1) {
        gari__checked_owned(object, call);
        return (old & GARI__HOT) && gari__kept_settle(self, object);
    }
    if (gari__unlikely(old & (GARI__IMMORTAL | GARI__UNFINALIZED | GARI__HAS_WEAK)))
        return gari__count_last(self, object, old);
    return true;
}

gari_object *gari_incref(gari_object *object)
{
    struct gari__object_thread *self = gari__keeper();
    if (gari__unlikely(self != NULL) && gari__kept_take(self, object))
        return object;
    GARI_PERTURB_AT("incref");
    if (object)
        gari__count_up(object, "gari_incref");
    return object;
}

bool gari_try_incref(gari_object *object)
{
    gari__checked_object(object, "gari_try_incref");
    struct gari__object_thread *self = gari__keeper();
    if (gari__unlikely(self != NULL) && gari__kept_take(self, object))
        return true;
    return gari__count_try_up(object);
}

/* The ways of gari_decref that call something are functions of their own, so that none saves registers for
 * another's calls. */

static __attribute__((noinline)) void give_back(gari_object *object,
                                                struct gari__object_thread *self, uint64_t word)
{
    bool died;
    if ((word & (GARI__LEAF | GARI__UNFINALIZED)) == GARI__LEAF) {
        /* Not looked at again but by whoever brings it to zero. */
        gari__checked_section_begin();
        died = gari__count_down(self, object, "gari_decref");
        gari__checked_section_end();
    } else {
        /* The section is for the object's memory, should it have to be made a candidate, or be
         * claimed, after somebody else has dropped the last reference. */
        gari__section_begin();
        died = gari__count_down(self, object, "gari_decref");
        gari__section_end();
    }
    gari__settle(self, died ? object : NULL);
    gari__leave(self);
}

/* The same for what somebody else holds too, and is a candidate already, or can be none: nobody looks at it again
 * for this. A compare-and-swap, because all that has to be so still. False: it is not. */
static GARI__INLINE bool give_back_again(gari_object *object, uint64_t word)
{
    if ((word & (GARI__SHARED | GARI__IMMORTAL)) != GARI__SHARED ||
        !(word & (GARI__CANDIDATE | GARI__LEAF)) || gari__count_of(word) <= 1)
        return false;
    gari__checked_object(object, "gari_decref");
    gari__checked_section_begin();
    GARI_PERTURB_POINT();
    GARI_PERTURB_STEP(AGAIN);
    bool given = true;
    if (GARI_MUTANT(AGAIN_BLINDLY))
        (void)gari__fetch_sub_acq_rel(gari__word_of(object), GARI__COUNT_ONE);
    else
        given = gari__cas_strong_acq_rel(gari__word_of(object), &word, word - GARI__COUNT_ONE);
    if (given)
        gari__checked_owned(object, "gari_decref");
    gari__checked_section_end();
    return given;
}

static __attribute__((noinline)) void give_back_slowly(gari_object *object)
{
    struct gari__object_thread *self = gari__enter("gari_decref");
    uint64_t word = gari__load_relaxed(gari__word_of(object));
    if ((word & GARI__HOT) && gari__kept_give(self, object, word))
        gari__leave(self);
    else
        give_back(object, self, word);
}

void gari_decref(gari_object *object)
{
    if (!object)
        return;
    struct gari__object_thread *self = (struct gari__object_thread *)gari__self;
    GARI_PERTURB_AT("decref");
    if (gari__unlikely(!self)) {
        give_back_slowly(object);
        return;
    }
    uint64_t word = gari__load_relaxed(gari__word_of(object));
    bool slowly = self->heap.thread.leaves_slowly;
    if (gari__likely(!(word & GARI__HOT))) {
        if (gari__unlikely(slowly) || !give_back_again(object, word))
            give_back(object, self, word);
    } else if (slowly || !gari__kept_give_again(self, object, word)) {
        give_back_slowly(object);
    }
}

size_t gari_getrefcount(const gari_object *object)
{
    gari__checked_object(object, "gari_getrefcount");
    size_t count = gari__count_of(gari__load_relaxed(gari__word_of(object)));
    struct gari__object_thread *self = gari__keeper();
    return gari__unlikely(self != NULL) ? count - gari__kept_of(self, object) : count;
}

bool gari_is_tracked(const gari_object *object)
{
    gari__checked_object(object, "gari_is_tracked");
    return gari__shape_of(object)->tracked;
}

bool gari_is_finalized(const gari_object *object)
{
    gari__checked_object(object, "gari_is_finalized");
    return gari__shape_of(object)->type.finalize &&
           !(gari__load_relaxed(gari__word_of(object)) & GARI__UNFINALIZED);
}

const gari_type *gari_type_of(const gari_object *object)
{
    gari__checked_object(object, "gari_type_of");
    return gari__shape_of(object)->identity;
}
