#include "lib/collector/seeds.h"

#include "concurrency/perturb.h"
#include "concurrency/word.h"
#include "lib/collector/pass.h"
#include "lib/object/candidate.h"

static struct gari__block *lists[2]; /* [0] young, [1] old only; through gathered_next */

static void put_back(struct gari__block *block, int list)
{
    block->gathered_next = lists[list];
    lists[list] = block;
}

void gari__seeds_put_back(struct gari__block *block, bool has_young)
{
    put_back(block, has_young ? 0 : 1);
}

void gari__seeds_release(struct gari__block *block)
{
    struct gari__kind *kind = gari__load_relaxed(&block->kind);
    /* From here on the block may go. Release: pairs with gari__block_is_quiet. */
    gari__store_release(&block->gathered, false);
    gari__block_unhold(kind, block);
}

void gari__seeds_take_dirty(void)
{
    struct gari__block *block = gari__candidates_take_dirty();
    while (block) {
        struct gari__block *next = gari__load_relaxed(&block->dirty_next);
        bool listed = gari__load_relaxed(&block->gathered);
        gari__store_relaxed(&block->gathered, true);
        GARI_PERTURB_EACH("dirty.take");
        /* Sequentially consistent: pairs with list_dirty in candidate.c, as the reading of the bits
         * does. After this store the block may be listed as dirty again. */
        (void)gari__exchange_seq_cst(&block->dirty, false);
        if (!listed)
            put_back(block, 0);
        else
            block->gathered_young = true;
        block = next;
    }
    /* Blocks on the old list that have got new candidates move over. */
    struct gari__block *old = lists[1];
    lists[1] = NULL;
    while (old) {
        struct gari__block *next = old->gathered_next;
        put_back(old, old->gathered_young ? 0 : 1);
        old->gathered_young = false;
        old = next;
    }
}

struct gari__block *gari__seeds_detach(bool old_too)
{
    struct gari__block *all = lists[0];
    lists[0] = NULL;
    if (!old_too)
        return all;
    while (lists[1]) {
        struct gari__block *block = lists[1];
        lists[1] = block->gathered_next;
        block->gathered_next = all;
        all = block;
    }
    return all;
}

bool gari__seeds_any(bool old_too)
{
    return lists[0] || (old_too && lists[1]);
}

/* Whether the block has a candidate that is alive and born before the epoch; dead ones on the way
 * lose their bits. *kept: some bits stay. */
static bool find_waiting(struct gari__block *block, uint64_t epoch, bool *kept)
{
    for (uint32_t slot = 0; slot < block->slots; slot++) {
        uint64_t bits = gari__load_seq_cst(&block->candidates[slot / 64]) >> (slot % 64);
        if (bits == 0) {
            slot |= 63;
            continue;
        }
        slot += (uint32_t)__builtin_ctzll(bits);
        /* Cleared before the word is read, as everywhere: the slot may be born again and become a
         * candidate at any moment, and that bit must not be lost. */
        uint64_t bit = (uint64_t)1 << (slot % 64);
        gari__fetch_and_acq_rel(&block->candidates[slot / 64], ~bit);
        if (!gari__is_alive(gari__load_acquire((uint64_t *)gari__slot_at(block, slot))))
            continue;
        gari__fetch_or_acq_rel(&block->candidates[slot / 64], bit);
        *kept = true;
        if (gari__born_before(gari__load_relaxed(&block->side[slot].birth), epoch))
            return true;
    }
    return false;
}

bool gari__seeds_waiting(uint64_t epoch)
{
    for (int list = 0; list < 2; list++) {
        struct gari__block **link = &lists[list];
        while (*link) {
            struct gari__block *block = *link;
            bool kept = false;
            if (find_waiting(block, epoch, &kept))
                return true;
            if (kept) {
                link = &block->gathered_next;
            } else {
                *link = block->gathered_next;
                gari__seeds_release(block);
            }
        }
    }
    return false;
}

const struct gari__block *gari__seeds_first(int list)
{
    return lists[list];
}
