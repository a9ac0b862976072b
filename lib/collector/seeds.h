/* The collector's own lists of blocks that have candidates: those with young ones, and those with
 * old ones only, which a young collection need not look through. Under the collector's lock. */
#ifndef GARI_COLLECTOR_SEEDS_H
#define GARI_COLLECTOR_SEEDS_H

#include "lib/object/self.h"

/* Takes over blocks that have become dirty, those first that were left the last time; each costs
 * GARI__SEEDS_BLOCK. True: none is left that was dirty at the first call, before which *begun is to be false. */
bool gari__seeds_take_dirty(bool *begun, size_t *budget);
/* A block's descriptor and its lists, in edges: they are in no cache when an old heap is rewired. */
#define GARI__SEEDS_BLOCK 4u

/* Detaches the list of blocks with young candidates, or all lists, for that pass, which then takes one after the
 * other. Each must be put back or released. */
void gari__seeds_detach(int which, bool reversed);
struct gari__block *gari__seeds_next(int which);
/* `young_since`: where generation 2 ends. */
void gari__seeds_put_back(struct gari__block *block, bool has_young, uint64_t young_since);
/* Lets go of a block without candidates. */
void gari__seeds_release(struct gari__block *block);
/* The block has been swept: bits of what is dead go, and if there are no others, the block. Its scratch array
 * still holds it. Returns what that costs, in edges. */
size_t gari__seeds_swept(struct gari__block *block);

/* Whether any block is listed, or to be. */
bool gari__seeds_any(bool old_too);
/* The same of all lists, for who does not have the lock. */
bool gari__seeds_listed(void);

/* Whether a candidate that is alive was born before the epoch; drops dead candidates on the way. Looks
 * at about `budget` slots at most, and goes on from there the next time. */
enum gari__waiting { GARI__NONE_WAITS, GARI__ONE_WAITS, GARI__NOT_KNOWN };
enum gari__waiting gari__seeds_waiting(uint64_t epoch, size_t budget, uint64_t young_since);

/* The first block of each list, for the heap's check. */
#define GARI__SEED_LISTS 4
const struct gari__block *gari__seeds_first(int list);
/* And of those that are still marked as dirty. */
const struct gari__block *gari__seeds_first_taken(void);

/* In the child of a fork, before all that is dirty is listed anew. */
void gari__seeds_after_fork(void);

#endif
