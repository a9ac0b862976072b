/* Bins: where a thread takes slots from. One bin for each kind that the thread has used, each with
 * a block of its own and a list of free slots that nobody else touches: allocation needs no atomic
 * read-modify-write. A thread's first block of a kind is small, each further one twice as large up
 * to 64 KB, so that many threads with many types stay cheap. */
#ifndef GARI_HEAP_BIN_H
#define GARI_HEAP_BIN_H

#include "concurrency/thread.h"
#include "lib/heap/block.h"

struct gari__bin {
    uint32_t free; /* index + 1 of the first free slot, linked through side */
    uint32_t slot_size;
    /* Of the block's slots and side[], for such an index: a slot before the first. */
    uintptr_t origin;
    struct gari__side *side;
    uint16_t stamp; /* what the block's last_birth was when the owner last set it */
    struct gari__block *block;
    struct gari__kind *kind;
    uint32_t next_pages;
    struct gari__bin *next;
};

#define GARI__BIN_LISTS 64
#define GARI__BLOCK_PAGES 8u

/* Births, ever, and the number of them at which the owner looks whether there is something to do. */
struct gari__births {
    uint64_t count;
    uint64_t alarm;
};

/* What the owner counts and others read: allocation and death, in objects and bytes. The tracked
 * ones drive the collector's trigger. Written with gari__own_add only. */
struct gari__tally {
    struct gari__births tracked, untracked;
    uint64_t allocated_bytes;
    uint64_t freed_by_count;
    uint64_t freed_by_cycles;
    uint64_t freed_bytes;
    uint64_t tracked_freed;
    /* Objects and bytes that have gone to limbo, and that have left it. */
    uint64_t limbo_in, limbo_in_bytes;
    uint64_t limbo_out, limbo_out_bytes;
};

struct gari__heap_thread {
    struct gari__thread thread;
    struct gari__tally tally;
    struct gari__bin *bins[GARI__BIN_LISTS];
};

/* Finds the thread's bin for the kind, making one at first use; NULL when there is no memory. */
struct gari__bin *gari__bin_find(struct gari__heap_thread *self, struct gari__kind *kind);

/* Gets free slots for an empty bin from its block. False when that has none. */
bool gari__bin_refill_own(struct gari__bin *bin);

/* Gets free slots for an empty bin: those that others have put back, an adopted block's, a new
 * block's. False when there is no memory or the limit forbids a new block. */
bool gari__bin_refill(struct gari__bin *bin, size_t limit);

/* A block for one object of that size, owned by nobody: FULL, its slot in use. */
struct gari__block *gari__block_for_one(struct gari__kind *kind, size_t size, size_t limit);

/* Gives up all blocks of the thread's bins. */
void gari__bins_disown(struct gari__heap_thread *self);

/* The same in the child of a fork, for a thread that does not exist there. */
void gari__bins_after_fork(struct gari__heap_thread *gone, const struct gari__heap_thread *self);

/* Sums the tallies of all threads, past and present. */
struct gari__tally gari__tally_sum(void);

static inline struct gari__bin *gari__bin_get(struct gari__heap_thread *self,
                                              struct gari__kind *kind)
{
    struct gari__bin *bin = self->bins[(uintptr_t)kind / 64 % GARI__BIN_LISTS];
    while (bin && bin->kind != kind)
        bin = bin->next;
    return bin ? bin : gari__bin_find(self, kind);
}

/* Takes a slot; the bin has one. Returns its index. */
static inline uint32_t gari__bin_pop(struct gari__bin *bin)
{
    uint32_t slot = bin->free - 1;
    bin->free = gari__load_relaxed(&bin->side[slot + 1].link);
    return slot;
}

#endif
