/* The refcount word: version | count | flags, one atomic 64-bit word per object.
 *
 *    63            32 31          7 6      0
 *   +----------------+-------------+--------+
 *   |    version     |    count    | flags  |
 *   +----------------+-------------+--------+
 *
 * Every creation of a counted reference adds one to the version, so a word that is the same at two
 * looks says that nothing was counted in between (rule R4, and the proof in docs/protocol.md). The
 * version outlives the object: freed memory keeps it and the next allocation adds one (R7). Two
 * looks must lie closer than 2^32 references of one object; the proof re-reads its words so often
 * (GARI__LOOK_NS in collector/proof.c).
 *
 * A count that reaches its upper half makes the object immortal. Leaf objects carry LEAF so that a
 * decref need not ask the type whether the object can be in a cycle. */
#ifndef GARI_CONCURRENCY_WORD_H
#define GARI_CONCURRENCY_WORD_H

#include "concurrency/atomics.h"

/* The object's bit among the candidates (object/candidate.h) is set, or will be before the section ends
 * in which this was. A pass that takes the bit away takes this away too before it reads the object. */
#define GARI__CANDIDATE ((uint64_t)1 << 0)
/* The type is GARI_TYPE_HOT: who gives a reference back may keep it (object/kept.h). */
#define GARI__HOT ((uint64_t)1 << 1)
#define GARI__IMMORTAL ((uint64_t)1 << 2)
#define GARI__LEAF ((uint64_t)1 << 3)
/* The object has a control block for its weak references (object/weak.h): its death has somebody to
 * tell, and there is a way to it that is not a reference. Set once, stays for life. */
#define GARI__HAS_WEAK ((uint64_t)1 << 4)
/* The type has a finalizer, and it has not been run. It holds the object: at count zero it still
 * lives, and whoever brought it there takes the flag and a reference, in one step, and finalizes. */
#define GARI__UNFINALIZED ((uint64_t)1 << 5)

/* The object may have been reachable in more ways than one: it has had a second reference, or its one
 * reference has left a field, or it was a candidate. Set by the same step that gives such a reference
 * back or takes it; stays for life. Without it, an object whose count is 1 has been reachable through
 * that one place only, ever (object/late.h). */
#define GARI__SHARED ((uint64_t)1 << 6)

#define GARI__COUNT_SHIFT 7
#define GARI__COUNT_ONE ((uint64_t)1 << GARI__COUNT_SHIFT)
#define GARI__COUNT_MASK (((uint64_t)1 << 32) - GARI__COUNT_ONE)
#define GARI__COUNT_HIGH ((uint64_t)1 << 31)
#define GARI__VERSION_ONE ((uint64_t)1 << 32)
#define GARI__VERSION_MASK (~(uint64_t)0 << 32)

static inline uint64_t gari__count_of(uint64_t word)
{
    return (word & GARI__COUNT_MASK) >> GARI__COUNT_SHIFT;
}

/* Whether a counted reference can be made from a borrowed pointer. Once false it stays so for the
 * object's life. */
static inline bool gari__is_alive(uint64_t word)
{
    return (word & (GARI__COUNT_MASK | GARI__IMMORTAL | GARI__UNFINALIZED)) != 0;
}

/* Whether somebody has a counted reference. */
static inline bool gari__is_counted(uint64_t word)
{
    return (word & (GARI__COUNT_MASK | GARI__IMMORTAL)) != 0;
}

/* What the proof compares: all but CANDIDATE, which comes and goes and says nothing about references. */
static inline bool gari__same_references(uint64_t a, uint64_t b)
{
    return ((a ^ b) & ~GARI__CANDIDATE) == 0;
}

#endif
