#include "lib/object/candidate.h"

#include "lib/object/count.h"

#include <assert.h>

static struct gari__block *dirty_blocks;

/* A block that is marked as dirty. */
static void push(struct gari__block *block)
{
    struct gari__block *first = gari__load_relaxed(&dirty_blocks);
    do {
        gari__store_relaxed(&block->dirty_next, first);
    } while (!gari__cas_seq_cst(&dirty_blocks, &first, block));
}

/* True: it was not listed. */
static bool list_dirty(struct gari__block *block)
{
    GARI_PERTURB_AT("dirty.list");
    /* Sequentially consistent on both sides (the setting of the bit; seeds.c): either the collector has
     * not yet taken `dirty` down, and will see the bit when it reads the bits after that, or we list the
     * block again. */
    if (gari__load_seq_cst(&block->dirty) || gari__exchange_seq_cst(&block->dirty, true))
        return false;
    push(block);
    return true;
}

bool gari__candidates_settle(struct gari__block *block)
{
    if (gari__exchange_seq_cst(&block->dirty, true))
        return false;
    GARI_PERTURB_STEP(SETTLE);
    GARI_PERTURB_EACH("settle.mark");
    (void)gari__exchange_seq_cst(&block->settled, true);
    return true;
}

void gari__candidates_unsettle(struct gari__block *block)
{
    if (gari__exchange_seq_cst(&block->settled, false))
        push(block);
}

bool gari__candidates_open(struct gari__block *block)
{
    /* Sequentially consistent: as in gari__seeds_take_dirty. Whoever else finds it settled lists it, and it stays
     * marked. */
    if (!gari__load_relaxed(&block->settled) || !gari__exchange_seq_cst(&block->settled, false))
        return false;
    GARI_PERTURB_STEP(OPEN);
    GARI_PERTURB_EACH("settle.open");
    (void)gari__exchange_seq_cst(&block->dirty, false);
    return true;
}

void gari__candidate_keep(struct gari__block *block, uint32_t slot)
{
    if (GARI_MUTANT(LIST_FIRST)) {
        list_dirty(block);
        GARI_PERTURB_STEP(SUSPECT);
    }
    GARI_PERTURB_AT("suspect.bit");
    /* Release: pairs with the collector's taking of the bit. Sequentially consistent: see list_dirty. */
    gari__fetch_or_seq_cst(gari__candidates_of(block, slot), (uint64_t)1 << (slot % 64));
    if (GARI_MUTANT(LIST_FIRST) || !list_dirty(block))
        return;
    GARI_PERTURB_AT("dirty.wake");
    /* It may be the only thing that the collector would ever wake up for. Sequentially consistent, with
     * the listing: pairs with sleep_for in collector/worker.c. */
    if (gari__load_seq_cst(&gari__collector_asleep))
        gari__upcall_wake();
}

static void set_bit(gari_object *object)
{
    struct gari__block *block = gari__block_of(object);
    gari__candidate_keep(block, gari__slot_of(block, object));
}

void gari__suspect_end(struct gari__object_thread *self, gari_object *object)
{
    assert(gari__in_section());
    if (!GARI_MUTANT(LIST_FIRST))
        GARI_PERTURB_STEP(SUSPECT);
    set_bit(object);
    gari__suspect_end_nothing(self);
}

void gari__suspect(struct gari__object_thread *self, gari_object *object)
{
    assert(gari__in_section());
    gari__suspect_begin(self, object);
    if (GARI_MUTANT(BIT_FIRST)) {
        set_bit(object);
        GARI_PERTURB_STEP(SUSPECT);
    }
    GARI_PERTURB_AT("suspect");
    /* Whoever takes the flag away sees what was done before this, whether it was set or not. */
    uint64_t old = gari__fetch_or_acq_rel(gari__word_of(object), GARI__CANDIDATE | GARI__SHARED);
    if (!(old & GARI__CANDIDATE) && !GARI_MUTANT(BIT_FIRST))
        gari__suspect_end(self, object);
    else
        gari__suspect_end_nothing(self);
}

bool gari__candidates_any(void)
{
    return gari__load_seq_cst(&dirty_blocks) != NULL;
}

struct gari__block *gari__candidates_take_dirty(void)
{
    return gari__exchange_acq_rel(&dirty_blocks, (struct gari__block *)NULL);
}

const struct gari__block *gari__candidates_first_dirty(void)
{
    return gari__load_acquire(&dirty_blocks);
}

static bool has_candidates(const struct gari__block *block)
{
    uint64_t all = 0;
    for (uint32_t first = 0; first < block->slots; first += 64)
        all |= gari__load_relaxed(gari__candidates_of(block, first));
    return all != 0;
}

void gari__candidates_after_fork(struct gari__block *block)
{
    /* Whoever took it from the list holds the collector's lock; somebody may not have listed it yet, or
     * not even marked it. */
    if (!block) {
        gari__store_relaxed(&dirty_blocks, NULL);
        return;
    }
    gari__store_relaxed(&block->settled, false);
    if (gari__exchange_acq_rel(&block->dirty, false) || has_candidates(block))
        list_dirty(block);
}

void gari__suspect_after_fork(struct gari__object_thread *gone)
{
    gari_object *object = gone->suspecting;
    gone->suspecting = NULL;
    if (!object || GARI_MUTANT(NO_BIT_IN_CHILD) ||
        !(gari__load_relaxed(gari__word_of(object)) & GARI__CANDIDATE))
        return;
    struct gari__block *block = gari__block_of(object);
    uint32_t slot = gari__slot_of(block, object);
    gari__fetch_or_seq_cst(gari__candidates_of(block, slot), (uint64_t)1 << (slot % 64));
}
