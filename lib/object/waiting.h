/* Lists of objects that wait: for being taken apart (GARI__DYING), for a grace period
 * (GARI__LIMBO), for being taken apart after one (GARI__RIPE).
 *
 * The objects of a block are linked through its side array; the blocks that have some are linked
 * through their descriptors. So waiting takes no memory and cannot fail, and whoever has time can
 * take over what any thread has left, without that thread. */
#ifndef GARI_OBJECT_WAITING_H
#define GARI_OBJECT_WAITING_H

#include "lib/heap/block.h"

/* Adds the slots linked from head to tail. Any thread, never waits. */
void gari__waiting_push(int what, struct gari__block *block, uint32_t head, uint32_t tail);

/* Whether any block is listed (a hint). */
bool gari__waiting_any(int what);

/* Takes one listed block off the list, or NULL. Only one thread at a time may pop or take all. */
struct gari__block *gari__waiting_pop_block(int what);

/* Takes all listed blocks, linked through waiting_next; read that before gari__waiting_take. */
struct gari__block *gari__waiting_take_blocks(int what);

/* Takes the objects of a block that was taken off the list: from here on it can be listed again. */
uint32_t gari__waiting_take(int what, struct gari__block *block);

/* Lists a block again of which nothing was taken. */
void gari__waiting_relist(int what, struct gari__block *block);

/* ---- For the heap's check, while nobody else is at work ---- */

/* The first block of the list; follow waiting_next. */
const struct gari__block *gari__waiting_first(int what);
/* The block's list, and whether the block is said to be listed. */
uint32_t gari__waiting_head(int what, const struct gari__block *block, bool *listed);

#endif
