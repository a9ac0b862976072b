/* Schedule noise and deliberate faults for the stress programs; nothing in other builds.
 *
 * GARI_PERTURB_AT(NAME) stands before each atomic step of the protocol and sometimes yields, spins or
 * sleeps there, so that rare schedules happen often. NAME is what the models call that step
 * (docs/model.md; //tests/model:steps compares the two). GARI_PERTURB_EACH(NAME) is the same for steps
 * that come in large numbers, and rarer; GARI_PERTURB_POINT() for places that the models do not know.
 * GARI_PERTURB_STEP(X) stands at those that a program may hold, so that it
 * can play one schedule exactly. GARI_MUTANT(X) is true when the program has asked for rule X to be
 * broken: it shows that the programs notice. */
#ifndef GARI_CONCURRENCY_PERTURB_H
#define GARI_CONCURRENCY_PERTURB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gari__mutants {
    GARI__MUTANT_NONE,
    GARI__MUTANT_NO_GRACE,
    GARI__MUTANT_NO_REUSE_GRACE,
    GARI__MUTANT_NO_RECHECK,
    GARI__MUTANT_TAKE_NO_BUMP,
    GARI__MUTANT_LATE_DECREF,
    GARI__MUTANT_NO_VERSION,
    GARI__MUTANT_REBORN_VERSION,
    GARI__MUTANT_FORGOTTEN_VERSION,
    GARI__MUTANT_INTERLEAVED_V1,
    GARI__MUTANT_BAD_SHRINK,
    GARI__MUTANT_TWO_PROOFS,
    GARI__MUTANT_MOVE_NO_CANDIDATE,
    GARI__MUTANT_LATE_CLEAR,
    GARI__MUTANT_LATE_FLAG,
    GARI__MUTANT_BIT_FIRST,
    GARI__MUTANT_LIST_FIRST,
    GARI__MUTANT_NO_BIT_IN_CHILD,
    GARI__MUTANT_STAMP_UNSEEN,
    GARI__MUTANT_SETTLED_BLINDLY,
    GARI__MUTANT_OPENED_LATE,
    GARI__MUTANT_OPENED_BLINDLY,
    GARI__MUTANT_NO_SWEEP,
    GARI__MUTANT_LOST_FREE,
    GARI__MUTANT_LATE_COUNT,
    GARI__MUTANT_EARLY_DROP,
    GARI__MUTANT_EARLY_BIRTH,
    GARI__MUTANT_RAISE_DEAD,
    GARI__MUTANT_TWO_PLACES,
    GARI__MUTANT_WALK_IN_PROOF,
    GARI__MUTANT_INSERT_MOVES,
    GARI__MUTANT_ERASE_MOVES,
    GARI__MUTANT_SPLICE_MOVES,
    GARI__MUTANT_SORT_MOVES,
    GARI__MUTANT_REHASH_MOVES,
    GARI__MUTANT_WEAK_NO_GATE,
    GARI__MUTANT_WEAK_LATE_TAG,
    GARI__MUTANT_WEAK_NO_GRACE,
    GARI__MUTANT_HOLD_BLINDLY,
    GARI__MUTANT_NO_SECOND_PROOF,
    GARI__MUTANT_FINALIZE_TWICE,
    GARI__MUTANT_LATE_UNSHARED,
    GARI__MUTANT_LATE_UNQUIET,
    GARI__MUTANT_LATE_IN_WALK,
    GARI__MUTANT_LATE_LOOKUP,
    GARI__MUTANT_NO_RECOUNT,
    GARI__MUTANT_NO_SWEEP_WAIT,
    GARI__MUTANT_KEPT_BUSY,
    GARI__MUTANT_KEPT_NO_BARRIER,
    GARI__MUTANT_REST_FOREVER,
    GARI__MUTANT_AGAIN_BLINDLY,
    GARI__MUTANTS
};

enum gari__steps {
    GARI__STEP_V1_BEGIN, /* the candidates' closure is gathered, no word has been read for the proof */
    GARI__STEP_V1_END,    /* the members' words are read, none of their fields */
    GARI__STEP_V2_MEMBER, /* V2 comes to a member, or to the end of them; in a section */
    GARI__STEP_V2_EDGE,   /* V2 is about to read a field of a member, which it has seen alive */
    GARI__STEP_V2_END,    /* all fields are read */
    GARI__STEP_V3_END,    /* the set agrees with itself; its grace period has not begun */
    GARI__STEP_GRACE_END, /* it is over; no word has been read again */
    GARI__STEP_RC_END,    /* all words are read again; nothing has been committed */
    GARI__STEP_COMMITTED, /* counts are zero; weak references have not been emptied */
    GARI__STEP_WEAK_TAG, /* a weak get has met a tag and not yet looked at the gate; in a section */
    GARI__STEP_WEAK_READ, /* it is about to count the object up; in the section */
    GARI__STEP_DROP,      /* a replaced reference has left its field and is still counted */
    GARI__STEP_UNSHARED, /* a decref has seen that no other has been there, and has not counted down */
    GARI__STEP_AGAIN, /* a decref has seen that it need not come back to its object, and has not counted down */
    GARI__STEP_SUSPECT, /* an object has been counted down and is half a candidate; in a section */
    GARI__STEP_SETTLE,  /* a block is marked as dirty, and about to be settled */
    GARI__STEP_OPEN,    /* a block is settled no more, and still marked as dirty */
    GARI__STEP_SEEDED,  /* a pass has been through a block's candidates, and not let go of it */
    GARI__STEP_BIRTH,   /* a slot becomes an object; its fields are what they were */
    GARI__STEP_WALK,    /* the collector has ended a section of a walk and begins the next */
    GARI__STEP_LATE, /* a late root's grace period is over; nothing below it has been looked at */
    GARI__STEP_EXCLUSIVE, /* an object below it is found to be exclusive, and is still what it was */
    GARI__STEP_KEPT,      /* a thread has found a reference in its table, and has not taken it */
    GARI__STEP_TRAVERSE,  /* a program's traverse callback is between two fields */
    GARI__STEPS
};

#ifdef GARI_PERTURB

extern int gari__mutant;

/* About `intensity` in 1000 points are delayed; 0 switches the noise off. For the calling thread, and for
 * those that come to their first place later. */
void gari__perturb_seed(uint64_t seed, unsigned intensity);
void gari__perturb(void);

/* What a place counts beside one of those that come in large numbers. */
#define GARI__PERTURB_WEIGHT 32

/* One place in the code. */
struct gari__place {
    const char *step;
    bool reached; /* atomically */
    const struct gari__place *next;
};
/* How far the thread is from its next delay, in weights of places. */
extern __thread int64_t gari__perturb_left;
void gari__perturb_at(struct gari__place *place);
/* The places that some thread has come to, in no order; a step may have several. */
const struct gari__place *gari__perturb_reached(void);

/* False when there is no mutant of that name. */
bool gari__mutant_set(const char *name);
/* NULL-terminated. */
const char *const *gari__mutant_names(void);

/* When set, types have no dispose as far as gari is concerned, so that objects take the ways of those
 * without callbacks; what the type has there is called all the same, when an object's death is
 * certain, and in whatever place that is. */
extern bool gari__plain;

/* Whether collections of generation 0 sweep: as they would, or some of them at random (that is how it
 * begins; with no noise, as they would); or all, if the candidates' blocks allow it. */
extern bool gari__always_sweep;
bool gari__perturb_sweep(bool would);

/* From now on whoever comes to the step waits there. */
void gari__hold(enum gari__steps step);
/* Whether somebody waits there. */
bool gari__is_held(enum gari__steps step);
/* Those who wait go on, and nobody waits there any more. */
void gari__let_go(enum gari__steps step);
/* The first of those who wait goes on. The next who comes waits. */
void gari__let_one_go(enum gari__steps step);
void gari__step(enum gari__steps step);
/* Read relaxed, so that the steps of a program that holds none order nothing. */
extern bool gari__held[GARI__STEPS];

#define GARI_PERTURB_POINT() gari__perturb()
#define GARI_PERTURB_AT(NAME) GARI__PERTURB_PLACE(NAME, GARI__PERTURB_WEIGHT)
#define GARI_PERTURB_EACH(NAME) GARI__PERTURB_PLACE(NAME, 1)
#define GARI__PERTURB_PLACE(NAME, WEIGHT)                                                          \
    do {                                                                                           \
        static struct gari__place place_ = {NAME, false, NULL};                                    \
        if (__builtin_expect((gari__perturb_left -= (WEIGHT)) < 0 ||                               \
                                 !__atomic_load_n(&place_.reached, __ATOMIC_RELAXED),              \
                             0))                                                                   \
            gari__perturb_at(&place_);                                                             \
    } while (0)
#define GARI_PERTURB_STEP(S)                                                                       \
    do {                                                                                           \
        if (__builtin_expect(__atomic_load_n(&gari__held[GARI__STEP_##S], __ATOMIC_RELAXED), 0))   \
            gari__step(GARI__STEP_##S);                                                            \
    } while (0)
#define GARI_OBSERVE(shape, object) ((shape)->observe ? (shape)->observe(object) : (void)0)
#define GARI_MUTANT(M) __builtin_expect(gari__mutant == GARI__MUTANT_##M, 0)
#define GARI_SWEEPS(would) gari__perturb_sweep(would)

#else

#define GARI_PERTURB_POINT() ((void)0)
#define GARI_PERTURB_AT(NAME) ((void)0)
#define GARI_PERTURB_EACH(NAME) ((void)0)
#define GARI_PERTURB_STEP(S) ((void)0)
#define GARI_OBSERVE(shape, object) ((void)0)
#define GARI_MUTANT(M) 0
#define GARI_SWEEPS(would) (would)

#endif
#endif
