/* Deaths by count: taking dead objects apart, iteratively and in bounded parts.
 *
 * Whoever brings a count to zero owns the death. He calls dispose, empties the fields (which may
 * bring further counts to zero), and retires the memory to limbo. What exceeds the budget of one
 * call is left in the blocks' DYING lists, for the next call of any thread or the collector.
 *
 * A borrower may still store into a field that has been emptied, until the grace period is over; so
 * limbo looks at the fields once more before it frees the slot (R6). */
#ifndef GARI_OBJECT_DEATH_H
#define GARI_OBJECT_DEATH_H

#include "lib/object/self.h"

/* Edges (an object without any counts as one) that one call of a user's thread takes apart at most. */
#define GARI__DEATH_BUDGET 1024u

/* Hands over an object whose last reference is gone. May be called in a section. */
void gari__death_push(struct gari__object_thread *self, gari_object *object);

/* Takes dead objects apart, those of this thread first, then what others have left; leaves nothing
 * in the thread's record: objects that turn out to need finalizing are queued. Outside of gari's sections. Returns the budget that is left: more than 0
 * when nothing waits. */
size_t gari__deaths_run(struct gari__object_thread *self, size_t budget);

/* Retires the memory of an object that nothing holds any more; limbo has it when the thread's
 * record is next emptied, at the latest at the end of the call. */
void gari__death_retire(struct gari__object_thread *self, gari_object *object);

/* Hands what was retired to limbo now. */
void gari__death_flush(struct gari__object_thread *self);

void gari__deaths_before_fork(void);
void gari__deaths_after_fork(void);

void gari__settle_slow(struct gari__object_thread *self, gari_object *dead);

/* The end of every call that may have dropped the last reference, after its section: deals with the object
 * that died (or NULL), and with a bit of what others have left. */
static inline void gari__settle(struct gari__object_thread *self, gari_object *dead)
{
    if (gari__unlikely(dead != NULL || self->pending))
        gari__settle_slow(self, dead);
}

/* Bytes of the block's memory that one of its objects takes. */
static inline size_t gari__slot_bytes(const struct gari__block *block)
{
    return block->slot_size ? block->slot_size : block->pages * GARI__PAGE_SIZE;
}

#endif
