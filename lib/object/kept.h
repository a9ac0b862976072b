/* Per-thread counts of types that are GARI_TYPE_HOT: references that a thread has given back and keeps.
 *
 * A kept reference is an owned one like any other, as far as the count, the collector and its proof are
 * concerned; only its owner is the thread's record, and no longer the user's code. So a thread that gives a
 * reference back and takes one again counts in its own table, without a locked instruction, and writes no
 * cache line of the object's. What this costs is that an object whose last references are kept lives until
 * they are taken back.
 *
 * The table is its thread's, who works on it without a lock. Anybody else first bars the thread from it, has
 * a barrier pass through all processors, and then looks whether the thread is in the middle of something;
 * docs/protocol.md, "Kept references", has the argument. CPython's free-threaded build counts references to
 * types per thread likewise; Refcache (Clements, Kaashoek and Zeldovich, EuroSys 2013) everything, per
 * processor. */
#ifndef GARI_OBJECT_KEPT_H
#define GARI_OBJECT_KEPT_H

#include "lib/object/count.h"

/* Some thread may keep something. Atomically. */
extern bool gari__kept_any;

/* Everybody's are given back, but for those of a thread that has lost its processor at its table: for that it waits so
 * long. Deaths are left in the calling thread's record. */
void gari__kept_take_back(struct gari__object_thread *self, uint64_t patience_ns);
#define GARI__KEPT_PATIENCE_NS 300000000u
/* The same if it has not been done for so long; `bounded`: a part of it. */
#define GARI__KEPT_TICK_NS 10000000u
void gari__kept_tick(struct gari__object_thread *self, bool bounded);
/* The record becomes the calling thread's. In the child of a fork one that is gone may have kept something there. */
void gari__kept_attach(struct gari__object_thread *self);
/* The calling thread's own. False: there were none. */
bool gari__kept_release(struct gari__object_thread *self);
/* How many references to the object the calling thread keeps. */
size_t gari__kept_of(struct gari__object_thread *self, const gari_object *object);

void gari__kept_before_fork(void);
/* In the child, for the record of a thread that does not exist there. */
void gari__kept_after_fork(struct gari__object_thread *gone);
void gari__kept_renew(void);

static inline struct gari__kept *gari__kept_set(struct gari__keeping *keeping,
                                                const gari_object *object)
{
    uint32_t mixed = (uint32_t)(uintptr_t)object * 0x9e3779b1u;
    return keeping->table[mixed >> (32 - GARI__KEPT_BITS)];
}

/* The entry for the object, or NULL. */
static inline struct gari__kept *gari__kept_find(struct gari__keeping *keeping,
                                                 const gari_object *object)
{
    struct gari__kept *set = gari__kept_set(keeping, object);
    for (size_t way = 0; way < GARI__KEPT_WAYS; way++) {
        if (gari__load_relaxed(&set[way].object) == object)
            return &set[way];
    }
    return NULL;
}

/* From here to the end the table is the calling thread's alone, if this returns true. */
static inline bool gari__kept_begin(struct gari__keeping *keeping)
{
    if (GARI_MUTANT(KEPT_NO_BARRIER)) {
        /* What a processor may do where no barrier passes, on purpose: its store waits, and it looks first. */
        bool free = !gari__load_acquire(&keeping->barred);
        GARI_PERTURB_POINT();
        gari__store_relaxed(&keeping->busy, true);
        return free;
    }
    gari__store_relaxed(&keeping->busy, true);
    GARI_PERTURB_AT("kept.busy");
    /* Not to be reordered by the compiler; by the processor it may be, as far as the barrier lets it that who bars
     * the thread has pass in between: either he sees `busy`, or this sees `barred`. */
    gari__compiler_barrier();
    /* Acquire: pairs with the end of the bar. */
    bool free = !gari__load_acquire(&keeping->barred);
    return free;
}

static inline void gari__kept_end(struct gari__keeping *keeping)
{
    /* Release: pairs with the look at `busy`. */
    gari__store_release(&keeping->busy, false);
}

/* In a table: one reference. */
#define GARI__KEPT_ONE ((uint32_t)GARI__COUNT_ONE)

/* The calling thread, if it keeps anything; else NULL, which is all that is looked at where no type is hot. What it
 * kept others may have taken back. */
extern __thread struct gari__object_thread *gari__keeping_thread;

static inline struct gari__object_thread *gari__keeper(void)
{
    return gari__keeping_thread;
}

/* Takes a reference to the object that the calling thread keeps. False: it keeps none. */
static inline bool gari__kept_take(struct gari__object_thread *self, const gari_object *object)
{
    struct gari__keeping *keeping = &self->keeping;
    struct gari__kept *kept = gari__kept_find(keeping, object);
    if (!kept) {
        if (!gari__load_relaxed(&keeping->used))
            gari__keeping_thread = NULL;
        return false;
    }
    bool taken = gari__kept_begin(keeping) && kept->count > 0;
    GARI_PERTURB_AT("kept.take");
    GARI_PERTURB_STEP(KEPT);
    if (gari__likely(taken))
        kept->count -= GARI__KEPT_ONE;
    gari__kept_end(keeping);
    return taken;
}

/* So many references to an object may be in one place: what threads keep must not make it immortal. */
#define GARI__KEPT_MOST (1024 * GARI__KEPT_ONE)

/* Whether one more of that object may be kept, and is not all that is left of it. */
static inline bool gari__kept_has_room(const struct gari__kept *kept, uint64_t word)
{
    /* The count is the upper part of the word's lower half, so the flags below it do not matter. */
    return kept->count < GARI__KEPT_MOST && (uint32_t)word >= kept->count + 2 * GARI__KEPT_ONE;
}

/* Gives a reference to the object, which has an entry, to the thread's table; `word` as below. False: gari__kept_give
 * has to see to it. */
static inline bool gari__kept_give_again(struct gari__object_thread *self,
                                         const gari_object *object, uint64_t word)
{
    struct gari__keeping *keeping = &self->keeping;
    struct gari__kept *kept = NULL;
    if (gari__kept_begin(keeping))
        kept = gari__kept_find(keeping, object);
    bool keeps = kept && gari__kept_has_room(kept, word);
    GARI_PERTURB_AT("kept.give");
    if (gari__likely(keeps))
        kept->count += GARI__KEPT_ONE;
    gari__kept_end(keeping);
    return keeps;
}

/* The thread keeps a reference to the object, of a hot type, instead of giving it back. `word` was read while the
 * reference was the caller's. False: all others, perhaps, are kept by the thread, or it cannot be kept. */
bool gari__kept_give(struct gari__object_thread *self, gari_object *object, uint64_t word);

#endif
