#include "lib/object/waiting.h"

/* A block's word: head of its list, and whether the block is on the list of blocks. */
#define HEAD_MASK 0xffffu
#define LISTED 0x10000u

static struct gari__block *blocks[GARI__WAITS];

void gari__waiting_relist(int what, struct gari__block *block)
{
    struct gari__block *first = gari__load_relaxed(&blocks[what]);
    do {
        gari__store_relaxed(&block->waiting_next[what], first);
        /* Release: pairs with the acquire of whoever takes the list. */
    } while (!gari__cas_seq_cst(&blocks[what], &first, block));
}

void gari__waiting_push(int what, struct gari__block *block, uint32_t head, uint32_t tail)
{
    uint32_t old = gari__load_relaxed(&block->waiting[what]);
    do {
        gari__store_relaxed(&block->side[tail - 1].link, (uint16_t)(old & HEAD_MASK));
        /* Release: the slots' links and the objects' last words. Sequentially consistent, as is the
         * listing of the block, for whoever goes on to look whether the collector sleeps. */
    } while (!gari__cas_seq_cst(&block->waiting[what], &old, head | LISTED));
    if (!(old & LISTED))
        gari__waiting_relist(what, block);
}

bool gari__waiting_any(int what)
{
    return gari__load_seq_cst(&blocks[what]) != NULL;
}

struct gari__block *gari__waiting_pop_block(int what)
{
    struct gari__block *first = gari__load_acquire(&blocks[what]);
    /* No other thread takes blocks off, so one that is first here has not left and come back. */
    while (first && !gari__cas_acq_rel(&blocks[what], &first,
                                       gari__load_relaxed(&first->waiting_next[what])))
        ;
    return first;
}

struct gari__block *gari__waiting_take_blocks(int what)
{
    return gari__exchange_acq_rel(&blocks[what], (struct gari__block *)NULL);
}

uint32_t gari__waiting_take(int what, struct gari__block *block)
{
    return gari__exchange_acq_rel(&block->waiting[what], 0u) & HEAD_MASK;
}

const struct gari__block *gari__waiting_first(int what)
{
    return gari__load_acquire(&blocks[what]);
}

uint32_t gari__waiting_head(int what, const struct gari__block *block, bool *listed)
{
    uint32_t word = gari__load_acquire(&block->waiting[what]);
    *listed = word & LISTED;
    return word & HEAD_MASK;
}
