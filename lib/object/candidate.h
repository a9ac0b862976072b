/* Candidates: tracked objects that may have become part of a garbage cycle.
 *
 * An object becomes one in two steps. Staging: the thread that suspects it sets CANDIDATE in its
 * word, which holds the slot, and puts it into its own ring. Filing: whoever empties the ring clears
 * CANDIDATE, in a section, and if the object is alive sets its bit in the block and lists the block
 * as dirty. Order matters: CANDIDATE is cleared before the bit is set, so a reference dropped after
 * the clearing stages the object again, and one dropped before is seen by whoever acquires the bit
 * (docs/protocol.md, "No candidate is lost"). The bit is no hold: it may come to point at another
 * object, which is then looked at for nothing. */
#ifndef GARI_OBJECT_CANDIDATE_H
#define GARI_OBJECT_CANDIDATE_H

#include "lib/object/self.h"

/* Files what the calling thread has staged if its ring is getting full. Outside of gari's sections. */
void gari__candidates_relieve(struct gari__object_thread *self);

static inline bool gari__candidates_full(const struct gari__object_thread *self)
{
    uint32_t staged =
        gari__load_relaxed(&self->staged_head) - gari__load_relaxed(&self->staged_tail);
    return staged > GARI__STAGED_HIGH;
}

/* Files what the thread `of` has staged; `self` is the caller. */
void gari__candidates_file(struct gari__object_thread *self, struct gari__object_thread *of);

/* Files what all threads have staged. */
void gari__candidates_file_all(struct gari__object_thread *self);

/* Waits until whoever is filing an object at this moment is done with it. For the collector, after it
 * has set the counts of a proved set to zero: what is filed later is seen to be dead. (An object filed
 * singly, from a full ring, is in a section that the proof's grace period has waited for.) */
void gari__candidates_quiesce(void);

/* Whether any candidate waits to be filed or gathered (a hint). */
bool gari__candidates_any(void);

/* Sets the object's bit again: an examination came to no result. The collector holds its block. */
void gari__candidate_keep(struct gari__block *block, uint32_t slot);

/* Takes all dirty blocks, linked through dirty_next; they stay marked dirty. */
struct gari__block *gari__candidates_take_dirty(void);

/* The first dirty block, for the heap's check, while nobody else is at work. */
const struct gari__block *gari__candidates_first_dirty(void);

static inline bool gari__candidate_bit(const struct gari__block *block, uint32_t slot)
{
    return gari__load_relaxed(&block->candidates[slot / 64]) >> (slot % 64) & 1;
}

#endif
