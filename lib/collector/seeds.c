#include "lib/collector/seeds.h"

#include "concurrency/perturb.h"
#include "concurrency/word.h"
#include "lib/collector/pass.h"
#include "lib/object/candidate.h"

/* Those with young candidates, and those with old ones only. LOOKED: of the one before it, what
 * gari__seeds_waiting has looked at since it was last through with all. */
enum lists { YOUNG, YOUNG_LOOKED, OLD, OLD_LOOKED };
#define LISTS GARI__SEED_LISTS

static struct {
    struct gari__block *first; /* through gathered_next, gathered_prev */
    size_t length;
    uint32_t turn; /* how often it has been detached; blocks that say less belong to a pass */
} lists[LISTS];

/* What each pass has still to look at: the lists that it has detached, through gathered_next. */
static struct gari__block *detached[GARI__PASSES][LISTS];

/* Blocks that have been dirty and are to be listed here; they are still marked. Through dirty_next. */
static struct gari__block *taken;

/* How many blocks are listed, and whether any are taken. Atomically: written under the collector's lock.
 * Sequentially consistent: see gari__worker_remind. */
static size_t count;

static void add_count(size_t more)
{
    (void)gari__exchange_seq_cst(&count, gari__load_relaxed(&count) + more);
}

static void put(struct gari__block *block, enum lists list)
{
    add_count(1);
    lists[list].length++;
    block->gathered_list = (uint8_t)list;
    block->gathered_turn = lists[list].turn;
    block->gathered_prev = NULL;
    block->gathered_next = lists[list].first;
    if (lists[list].first)
        lists[list].first->gathered_prev = block;
    lists[list].first = block;
}

static void unlink_listed(struct gari__block *block)
{
    gari__store_relaxed(&count, gari__load_relaxed(&count) - 1);
    lists[block->gathered_list].length--;
    if (block->gathered_prev)
        block->gathered_prev->gathered_next = block->gathered_next;
    else
        lists[block->gathered_list].first = block->gathered_next;
    if (block->gathered_next)
        block->gathered_next->gathered_prev = block->gathered_prev;
}

static bool is_detached(const struct gari__block *block)
{
    return block->gathered_turn != lists[block->gathered_list].turn;
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
        if (!is_all_old(block, young_since) && !GARI_MUTANT(SETTLED_BLINDLY))
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

static void take(struct gari__block *block)
{
    bool listed = gari__load_relaxed(&block->gathered);
    gari__store_relaxed(&block->gathered, true);
    GARI_PERTURB_EACH("dirty.take");
    /* Sequentially consistent: pairs with list_dirty in candidate.c, as the reading of the bits
     * does. After this store the block may be listed as dirty again. */
    (void)gari__exchange_seq_cst(&block->dirty, false);
    if (!listed) {
        put(block, YOUNG);
    } else if (is_detached(block)) {
        block->gathered_young = true;
    } else if (is_old(block)) {
        unlink_listed(block);
        put(block, YOUNG);
    }
}

bool gari__seeds_take_dirty(bool *begun, size_t *budget)
{
    for (;;) {
        while (taken && *budget > 0) {
            struct gari__block *block = taken;
            taken = gari__load_relaxed(&block->dirty_next);
            take(block);
            *budget -= GARI__SEEDS_BLOCK < *budget ? GARI__SEEDS_BLOCK : *budget;
            if (!taken)
                gari__store_relaxed(&count, gari__load_relaxed(&count) - 1);
        }
        if (taken || *begun)
            return !taken;
        *begun = true;
        if (gari__candidates_any()) {
            add_count(1);
            taken = gari__candidates_take_dirty();
        }
    }
}

static struct gari__block *reverse(struct gari__block *list)
{
    struct gari__block *reversed = NULL;
    while (list) {
        struct gari__block *block = list;
        list = block->gathered_next;
        block->gathered_next = reversed;
        reversed = block;
    }
    return reversed;
}

void gari__seeds_detach(int which, bool reversed)
{
    for (int list = YOUNG; list <= (which == GARI__OLD ? OLD_LOOKED : YOUNG_LOOKED); list++) {
        gari__store_relaxed(&count, gari__load_relaxed(&count) - lists[list].length);
        detached[which][list] = reversed ? reverse(lists[list].first) : lists[list].first;
        lists[list].first = NULL;
        lists[list].length = 0;
        lists[list].turn++;
    }
}

struct gari__block *gari__seeds_next(int which)
{
    for (int list = 0; list < LISTS; list++) {
        struct gari__block *block = detached[which][list];
        if (block) {
            detached[which][list] = block->gathered_next;
            return block;
        }
    }
    return NULL;
}

bool gari__seeds_any(bool old_too)
{
    return taken || lists[YOUNG].first || lists[YOUNG_LOOKED].first ||
           (old_too && (lists[OLD].first || lists[OLD_LOOKED].first));
}

bool gari__seeds_listed(void)
{
    return gari__load_seq_cst(&count) != 0;
}

/* Takes the bit of a candidate that is dead; false: it is alive, and keeps it. */
static bool drop_dead(struct gari__block *block, uint32_t slot)
{
    /* Cleared before the word is read, as everywhere: the slot may be born again and become a
     * candidate at any moment, and that bit must not be lost. */
    uint64_t *word = gari__candidates_of(block, slot), bit = (uint64_t)1 << (slot % 64);
    GARI_PERTURB_EACH("look.bit");
    gari__fetch_and_acq_rel(word, ~bit);
    GARI_PERTURB_EACH("look.word");
    if (!gari__is_alive(gari__load_acquire((uint64_t *)gari__slot_at(block, slot))))
        return true;
    gari__fetch_or_acq_rel(word, bit);
    return false;
}

size_t gari__seeds_swept(struct gari__block *block)
{
    /* A pass over the old may have taken it meanwhile, and have let go of it. */
    if (!gari__load_relaxed(&block->gathered) || is_detached(block) || is_old(block))
        return 0;
    bool kept = false;
    size_t cost = 0;
    for (uint32_t first = 0; first < block->slots; first += 64) {
        uint64_t bits = gari__load_seq_cst(gari__candidates_of(block, first));
        cost += 1 + (size_t)__builtin_popcountll(bits);
        for (; bits; bits &= bits - 1) {
            uint32_t slot = first + (uint32_t)__builtin_ctzll(bits);
            if (gari__is_alive(gari__load_relaxed((uint64_t *)gari__slot_at(block, slot))) ||
                !drop_dead(block, slot))
                kept = true;
        }
    }
    if (!kept) {
        unlink_listed(block);
        gari__seeds_release(block);
    }
    return cost;
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
        if (drop_dead(block, slot))
            continue;
        *kept = true;
        return true;
    }
    return false;
}

/* What has been looked at is to be looked at again. */
static void begin_round(void)
{
    for (int list = YOUNG; list <= OLD; list += OLD - YOUNG) {
        while (lists[list + 1].first) {
            struct gari__block *block = lists[list + 1].first;
            unlink_listed(block);
            put(block, (enum lists)list);
        }
    }
}

enum gari__waiting gari__seeds_waiting(uint64_t epoch, size_t budget, uint64_t young_since)
{
    /* Who looks at all does not go on from where others are, for what they have looked at may have got
     * candidates since. */
    if (budget == SIZE_MAX)
        begin_round();
    for (int list = YOUNG; list <= OLD; list += OLD - YOUNG) {
        while (lists[list].first) {
            struct gari__block *block = lists[list].first;
            size_t cost = block->slots;
            bool kept = false;
            /* Who has made something there when it was no longer settled, and still marked, has relied on this. */
            bool young = gari__candidates_open(block) && !is_all_old(block, young_since) &&
                         !GARI_MUTANT(OPENED_BLINDLY);
            bool waits = find_waiting(block, epoch, &kept);
            if (waits && !young)
                return GARI__ONE_WAITS;
            unlink_listed(block);
            if (kept)
                put(block, young ? YOUNG_LOOKED : (enum lists)(list + 1));
            else
                gari__seeds_release(block);
            if (waits)
                return GARI__ONE_WAITS;
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
    return lists[list].first;
}

const struct gari__block *gari__seeds_first_taken(void)
{
    return taken;
}

void gari__seeds_after_fork(void)
{
    if (taken)
        gari__store_relaxed(&count, gari__load_relaxed(&count) - 1);
    taken = NULL;
}
