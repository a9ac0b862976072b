#include "lib/collector/seeds.h"

#include "concurrency/perturb.h"
#include "concurrency/word.h"
#include "lib/collector/pass.h"
#include "lib/object/candidate.h"

/* Those with young candidates, and those with old ones only. LOOKED: of the one before it, what
 * gari__seeds_waiting has looked at since it was last through with all. */
enum lists { YOUNG, YOUNG_LOOKED, OLD, OLD_LOOKED, DETACHED };
_Static_assert(DETACHED == GARI__SEED_LISTS, "the last is no list");

static struct gari__block *lists[GARI__SEED_LISTS]; /* through gathered_next, gathered_prev */

/* How many are listed. Atomically: written under the collector's lock. Sequentially consistent: see
 * gari__worker_remind. */
static size_t count;

static void put(struct gari__block *block, enum lists list)
{
    (void)gari__exchange_seq_cst(&count, gari__load_relaxed(&count) + 1);
    block->gathered_list = (uint8_t)list;
    block->gathered_prev = NULL;
    block->gathered_next = lists[list];
    if (lists[list])
        lists[list]->gathered_prev = block;
    lists[list] = block;
}

static void unlink_listed(struct gari__block *block)
{
    gari__store_relaxed(&count, gari__load_relaxed(&count) - 1);
    if (block->gathered_prev)
        block->gathered_prev->gathered_next = block->gathered_next;
    else
        lists[block->gathered_list] = block->gathered_next;
    if (block->gathered_next)
        block->gathered_next->gathered_prev = block->gathered_prev;
}

static bool is_old(const struct gari__block *block)
{
    return block->gathered_list == OLD || block->gathered_list == OLD_LOOKED;
}

static bool is_all_old(const struct gari__block *block, uint64_t young_since)
{
    return gari__born_before(gari__load_seq_cst(&block->last_birth), young_since);
}

void gari__seeds_put_back(struct gari__block *block, bool has_young, uint64_t young_since)
{
    bool young = has_young || block->gathered_young;
    put(block, young ? YOUNG : OLD);
    block->gathered_young = false;
    if (young)
        gari__candidates_open(block);
    else if (is_all_old(block, young_since) && gari__candidates_settle(block)) {
        GARI_PERTURB_EACH("settle.look");
        /* Sequentially consistent on both sides: either whoever is about to be the first of an epoch to make
         * something there finds it settled, or this finds its stamp. */
        if (!is_all_old(block, young_since))
            gari__candidates_unsettle(block);
    }
}

void gari__seeds_release(struct gari__block *block)
{
    struct gari__kind *kind = gari__load_relaxed(&block->kind);
    block->gathered_young = false;
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
        if (!listed) {
            put(block, YOUNG);
        } else if (block->gathered_list == DETACHED) {
            block->gathered_young = true;
        } else if (is_old(block)) {
            unlink_listed(block);
            put(block, YOUNG);
        }
        block = next;
    }
}

struct gari__block *gari__seeds_detach(bool old_too)
{
    struct gari__block *all = NULL;
    for (int list = YOUNG; list <= (old_too ? OLD_LOOKED : YOUNG_LOOKED); list++) {
        while (lists[list]) {
            struct gari__block *block = lists[list];
            lists[list] = block->gathered_next;
            gari__store_relaxed(&count, gari__load_relaxed(&count) - 1);
            block->gathered_list = DETACHED;
            block->gathered_next = all;
            all = block;
        }
    }
    return all;
}

bool gari__seeds_any(bool old_too)
{
    return lists[YOUNG] || lists[YOUNG_LOOKED] || (old_too && (lists[OLD] || lists[OLD_LOOKED]));
}

bool gari__seeds_listed(void)
{
    return gari__load_seq_cst(&count) != 0;
}

/* Whether the block has a candidate that is alive and born before the epoch; of such as are born before
 * it, dead ones lose their bits. *kept: some bits stay. */
static bool find_waiting(struct gari__block *block, uint64_t epoch, bool *kept)
{
    for (uint32_t slot = 0; slot < block->slots; slot++) {
        uint64_t bits = gari__load_seq_cst(gari__candidates_of(block, slot)) >> (slot % 64);
        if (bits == 0) {
            slot |= 63;
            continue;
        }
        slot += (uint32_t)__builtin_ctzll(bits);
        if (!gari__born_before(gari__load_relaxed(&block->side[slot].birth), epoch)) {
            *kept = true;
            continue;
        }
        /* Cleared before the word is read, as everywhere: the slot may be born again and become a
         * candidate at any moment, and that bit must not be lost. */
        uint64_t bit = (uint64_t)1 << (slot % 64);
        GARI_PERTURB_EACH("look.bit");
        gari__fetch_and_acq_rel(gari__candidates_of(block, slot), ~bit);
        GARI_PERTURB_EACH("look.word");
        if (!gari__is_alive(gari__load_acquire((uint64_t *)gari__slot_at(block, slot))))
            continue;
        gari__fetch_or_acq_rel(gari__candidates_of(block, slot), bit);
        *kept = true;
        return true;
    }
    return false;
}

/* What has been looked at is to be looked at again. */
static void begin_round(void)
{
    for (int list = YOUNG; list <= OLD; list += OLD - YOUNG) {
        while (lists[list + 1]) {
            struct gari__block *block = lists[list + 1];
            unlink_listed(block);
            put(block, (enum lists)list);
        }
    }
}

enum gari__waiting gari__seeds_waiting(uint64_t epoch, size_t budget)
{
    /* Who looks at all does not go on from where others are, for what they have looked at may have got
     * candidates since. */
    if (budget == SIZE_MAX)
        begin_round();
    for (int list = YOUNG; list <= OLD; list += OLD - YOUNG) {
        while (lists[list]) {
            struct gari__block *block = lists[list];
            size_t cost = block->slots;
            bool kept = false;
            gari__candidates_open(block);
            if (find_waiting(block, epoch, &kept))
                return GARI__ONE_WAITS;
            unlink_listed(block);
            if (kept)
                put(block, (enum lists)(list + 1));
            else
                gari__seeds_release(block);
            if (cost >= budget)
                return GARI__NOT_KNOWN;
            budget -= cost;
        }
    }
    begin_round();
    return GARI__NONE_WAITS;
}

const struct gari__block *gari__seeds_first(int list)
{
    return lists[list];
}
