/* Candidates: tracked objects that may have become part of a garbage cycle.
 *
 * Whoever drops a reference and leaves others, or makes an external reference an edge, sees to it that
 * CANDIDATE is set in the object's word, in that step or after it; and who has set it also sets the
 * object's bit in its block and lists the block as dirty, before the section ends. A pass takes the bit
 * away, then the flag, then it reads the object. So who finds the flag set has nothing to do: whoever
 * takes it away sees what he did. And the flag is first: were it set after the bit, it could stay without
 * one (docs/protocol.md, "No candidate is lost").
 *
 * A sweep leaves both, but for those of what it reclaims.
 *
 * Neither is a hold: the bit may come to point at another object, which is then looked at for nothing. */
#ifndef GARI_OBJECT_CANDIDATE_H
#define GARI_OBJECT_CANDIDATE_H

#include "concurrency/perturb.h"
#include "concurrency/word.h"
#include "lib/object/self.h"

/* Whether it can be in a garbage cycle, and nobody has noted that yet. */
static inline bool gari__needs_suspicion(uint64_t word)
{
    return (word & (GARI__CANDIDATE | GARI__LEAF | GARI__IMMORTAL)) == 0;
}

/* Sets the flag, and the bit if it was not set. In the section of the step that made the object a
 * candidate; it may be dying meanwhile. */
void gari__suspect(struct gari__object_thread *self, gari_object *object);

/* The same when that step itself is about to set the flag: begins before it, and ends after it, with the
 * bit if it did. A fork may come in between: then the child sets the bit. All of it is in one section, so
 * that the child does not find an object there that is gone. */
static inline void gari__suspect_begin(struct gari__object_thread *self, gari_object *object)
{
    gari__store_relaxed(&self->suspecting, object);
}
static inline void gari__suspect_end_nothing(struct gari__object_thread *self)
{
    /* Release: after the bit. */
    gari__store_release(&self->suspecting, (gari_object *)NULL);
}
void gari__suspect_end(struct gari__object_thread *self, gari_object *object);

/* Sets the bit alone. In a section in which the object was alive, or while the collector holds the block. */
void gari__candidate_keep(struct gari__block *block, uint32_t slot);

static inline bool gari__candidate_bit(const struct gari__block *block, uint32_t slot)
{
    return gari__load_relaxed(gari__candidates_of(block, slot)) >> (slot % 64) & 1;
}

/* Whether any candidate waits to be gathered. Sequentially consistent: pairs with the listing. */
bool gari__candidates_any(void);

/* Takes all dirty blocks, linked through dirty_next; they stay marked dirty. */
struct gari__block *gari__candidates_take_dirty(void);

/* The collector has the block in a list of its own, all in it is old and so are its candidates. If it is not listed as
 * dirty, it is marked as if it were, so that whoever makes an old object a candidate has nothing to list. False: it
 * is listed. */
bool gari__candidates_settle(struct gari__block *block);
/* Something is born in the block, which is then not all old any more: it is listed as dirty, if it was settled. */
void gari__candidates_unsettle(struct gari__block *block);
/* The same for who is about to read all its bits; it is not listed. True: it was settled. */
bool gari__candidates_open(struct gari__block *block);

/* The first dirty block, for the heap's check, while nobody else is at work. */
const struct gari__block *gari__candidates_first_dirty(void);

/* In the child of a fork: lists anew what is dirty. Called with NULL first, then for each block. */
void gari__candidates_after_fork(struct gari__block *block);
/* And ends what a thread that is gone has begun. */
void gari__suspect_after_fork(struct gari__object_thread *gone);

#endif
