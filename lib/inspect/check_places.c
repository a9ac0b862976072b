/* Every slot is in one place: alive and in no list, or dead or free and in exactly one; and every block
 * is where its state says. */
#include "lib/inspect/check.h"

#include "concurrency/word.h"
#include "lib/collector/seeds.h"
#include "lib/object/candidate.h"
#include "lib/object/checked.h"
#include "lib/object/death.h"
#include "lib/object/finalize.h"
#include "lib/object/limbo.h"
#include "lib/object/waiting.h"

/* Of the block's type. */
static const char *type_of(const struct gari__checked_block *it)
{
    return gari__check_shape(it->block)->type.name;
}

/* Puts the slots of a list, linked from head, into a place. Returns their number. */
static uint32_t place_list(struct gari__check *check, struct gari__checked_block *it, uint32_t head,
                           enum gari__places place, const char *list)
{
    uint32_t length = 0;
    for (uint32_t slot = head; slot; slot = gari__load_relaxed(&it->block->side[slot - 1].link)) {
        if (slot > gari__load_relaxed(&it->block->carved)) {
            gari__check_say(check,
                            "%s of the block at %p of type '%s' leads to slot %u, of %u that are "
                            "in use",
                            list, (void *)it->block->base, type_of(it), slot - 1,
                            it->block->carved);
            break;
        }
        struct gari__checked_slot *state = &it->slots[slot - 1];
        if (state->place != GARI__NOWHERE) {
            gari__check_say(check, GARI__OBJECT_FORMAT " is in two places; one is %s",
                            GARI__OBJECT_ARGS(it->block, slot - 1), list);
            break;
        }
        state->place = (uint8_t)place;
        length++;
    }
    return length;
}

static void place_waiting(struct gari__check *check, struct gari__checked_block *it, int what,
                          enum gari__places place, const char *list)
{
    bool listed;
    uint32_t head = gari__waiting_head(what, it->block, &listed);
    place_list(check, it, head, place, list);
    if (listed != it->waits[what] || (head && !listed))
        gari__check_say(check, "the block at %p of type '%s' %s listed for %s", it->block->base,
                        type_of(it), it->waits[what] ? "is wrongly" : "is not", list);
}

static void place_bin(struct gari__check *check, const struct gari__bin *bin)
{
    if (!bin->block) {
        if (bin->free)
            gari__check_say(check, "a thread has free slots of a block that it does not own");
        return;
    }
    struct gari__checked_block *it = gari__check_block(check, bin->block);
    if (!it || gari__load_acquire(&it->block->kind) != bin->kind) {
        gari__check_say(check, "a thread allocates from a block that is not of its type");
        return;
    }
    if (it->owned || GARI__FREED_STATE(gari__load_acquire(&it->block->freed)) != GARI__OWNED)
        gari__check_say(check, "the block at %p of type '%s' has an owner too many",
                        it->block->base, type_of(it));
    it->owned = true;
    place_list(check, it, bin->free, GARI__FREE, "its owner's free list");
}

static void check_thread(struct gari__check *check, const struct gari__object_thread *of)
{
    for (size_t i = 0; i < GARI__BIN_LISTS; i++)
        for (const struct gari__bin *bin = of->heap.bins[i]; bin; bin = bin->next)
            place_bin(check, bin);
    if (of->pending || of->run_count)
        gari__check_say(check, "a thread is in the middle of taking %u objects apart",
                        of->dying_count + of->claimed_count + of->run_count);
}

/* ---- Lists of blocks ----------------------------------------------------------------------- */

struct lists {
    struct gari__check *check;
    const char *name;
    size_t left; /* blocks that a list can have before it is known to go in circles */
};

/* The block of a list, NULL when there is none (more) that can be followed. */
static struct gari__checked_block *listed(struct lists *lists, const struct gari__block *block)
{
    struct gari__checked_block *it = gari__check_block(lists->check, block);
    if (!block || (it && lists->left-- > 0))
        return it;
    gari__check_say(lists->check, "%s %s", lists->name,
                    it ? "goes in circles" : "has a block that is not in use");
    return NULL;
}

static struct lists begin(struct gari__check *check, const char *name)
{
    return (struct lists){check, name, check->block_room};
}

static void mark_batch(const struct gari__block *block, void *arg)
{
    struct gari__checked_block *it = listed(arg, block);
    if (it)
        it->in_batch = true;
}

static void mark_lists(struct gari__check *check)
{
    static const char *const waits[] = {"the list of the dying", "the list of limbo",
                                        "the list of the ripe", "the list of the unfinished"};
    struct gari__checked_block *it;
    struct lists lists;
    for (int what = 0; what < GARI__WAITS; what++) {
        lists = begin(check, waits[what]);
        const struct gari__block *block = gari__waiting_first(what);
        for (; (it = listed(&lists, block)) != NULL; block = block->waiting_next[what])
            it->waits[what] = true;
    }
    lists = begin(check, "the list of dirty blocks");
    const struct gari__block *dirty = gari__candidates_first_dirty();
    for (; (it = listed(&lists, dirty)) != NULL; dirty = dirty->dirty_next)
        it->dirty = true;
    lists = begin(check, "what the collector has of the dirty blocks");
    dirty = gari__seeds_first_taken();
    for (; (it = listed(&lists, dirty)) != NULL; dirty = dirty->dirty_next)
        it->dirty = true;
    for (int list = 0; list < GARI__SEED_LISTS; list++) {
        lists = begin(check, "the collector's list of blocks with candidates");
        const struct gari__block *block = gari__seeds_first(list);
        for (; (it = listed(&lists, block)) != NULL; block = block->gathered_next)
            it->gathered = true;
    }
    lists = begin(check, "a batch in limbo");
    gari__limbo_walk(mark_batch, &lists);
}

static void check_kind(struct gari__kind *kind, void *arg)
{
    struct gari__check *check = arg;
    struct lists lists = begin(check, "a type's list of partly used blocks");
    struct gari__checked_block *it;
    const struct gari__block *block = kind->partial, *before = NULL;
    unsigned empty = 0;
    for (; (it = listed(&lists, block)) != NULL; before = block, block = block->partial_next) {
        it->partial = true;
        empty += block->counted_empty;
        if (block->partial_prev != before || gari__load_acquire(&block->kind) != kind)
            gari__check_say(check, "the list of partly used blocks of type '%s' is broken at %p",
                            type_of(it), (void *)block->base);
    }
    if (empty != kind->empty)
        gari__check_say(check, "of type '%s' %u blocks are empty, %u are counted",
                        ((const struct gari__shape *)kind->shape)->type.name, empty, kind->empty);
}

/* ---- Slots --------------------------------------------------------------------------------- */

/* What a slot's word and place say of each other, and what the slot adds to the totals. */
static void check_slot(struct gari__check *check, struct gari__checked_block *it, uint32_t slot)
{
    const struct gari__block *block = it->block;
    const struct gari__shape *shape = gari__check_shape(block);
    struct gari__checked_slot *state = &it->slots[slot];
    uint64_t word = gari__check_word(block, slot);
    bool alive = gari__is_alive(word);
    if (state->place == GARI__FREE) {
        if (word & ~GARI__VERSION_MASK)
            gari__check_say(check, GARI__OBJECT_FORMAT " is in a free list, and its word is 0x%llx",
                            GARI__OBJECT_ARGS(block, slot), (unsigned long long)word);
        return;
    }
    if (!alive && state->place == GARI__NOWHERE)
        gari__check_say(check, GARI__OBJECT_FORMAT " is dead, and in no list",
                        GARI__OBJECT_ARGS(block, slot));
    if (alive && state->place != GARI__NOWHERE && state->place != GARI__IN_UNFINISHED)
        gari__check_say(check,
                        GARI__OBJECT_FORMAT " is alive, and in a list of the dead; its count is "
                                            "%llu",
                        GARI__OBJECT_ARGS(block, slot), (unsigned long long)gari__count_of(word));
    if (!alive && state->place == GARI__IN_UNFINISHED)
        gari__check_say(check, GARI__OBJECT_FORMAT " is dead, and waits to be finalized",
                        GARI__OBJECT_ARGS(block, slot));

    size_t room = block->slot_size
                      ? block->slot_size
                      : (size_t)(block->run + block->pages * GARI__PAGE_SIZE - block->base);
    size_t size = shape->type.size;
    if (shape->has_items) {
        size_t items;
        if (__builtin_mul_overflow(gari__length_of(shape, gari__slot_at(block, slot)),
                                   (size_t)shape->type.items.size, &items) ||
            __builtin_add_overflow(items, shape->type.items.offset, &items))
            items = SIZE_MAX;
        size = items > size ? items : size;
    }
    if (size > room) {
        gari__check_say(check, GARI__OBJECT_FORMAT " has a length of %zu, for which it has no room",
                        GARI__OBJECT_ARGS(block, slot),
                        gari__length_of(shape, gari__slot_at(block, slot)));
        state->unreadable = true;
    }
    if (alive || state->place == GARI__IN_DYING) {
        check->live++;
        check->live_bytes += size;
        check->tracked += shape->tracked;
    } else if (state->place == GARI__IN_LIMBO) {
        check->limbo_objects++;
        check->limbo_bytes += gari__slot_bytes(block);
    }
}

static void check_block(struct gari__check *check, struct gari__checked_block *it)
{
    const struct gari__block *block = it->block;
    uint64_t freed = gari__load_acquire(&block->freed);
    uint32_t state = GARI__FREED_STATE(freed);
    uint32_t listed =
        place_list(check, it, GARI__FREED_HEAD(freed), GARI__FREE, "its block's free list");
    place_waiting(check, it, GARI__DYING, GARI__IN_DYING, "being taken apart");
    place_waiting(check, it, GARI__LIMBO, GARI__IN_LIMBO, "a grace period");
    place_waiting(check, it, GARI__RIPE, GARI__IN_LIMBO, "being taken apart after it");
    place_waiting(check, it, GARI__UNFINISHED, GARI__IN_UNFINISHED, "being finalized");
    if (block->in_batch)
        place_list(check, it, block->batch_head, GARI__IN_LIMBO, "a batch in limbo");
    if (block->in_batch != it->in_batch)
        gari__check_say(check, "the block at %p of type '%s' is %s a batch in limbo", block->base,
                        type_of(it), it->in_batch ? "wrongly in" : "said to be in");
    if (listed != GARI__FREED_COUNT(freed))
        gari__check_say(check, "the free list of the block at %p of type '%s' has %u slots, not %u",
                        (void *)block->base, type_of(it), listed, GARI__FREED_COUNT(freed));
    if (state > GARI__PARTIAL || (state == GARI__OWNED) != it->owned ||
        (state == GARI__PARTIAL) != it->partial || block->in_partial != it->partial)
        gari__check_say(check, "the block at %p of type '%s' is not where its state %u says",
                        (void *)block->base, type_of(it), state);
    if (state == GARI__PARTIAL &&
        block->counted_empty != (listed == gari__load_relaxed(&block->carved)))
        gari__check_say(check, "the block at %p of type '%s' is %s as empty", (void *)block->base,
                        type_of(it), block->counted_empty ? "counted" : "not counted");
    if (block->scratch[GARI__YOUNG] || block->scratch[GARI__OLD])
        gari__check_say(check, "the block at %p of type '%s' is held by a pass, and none is open",
                        (void *)block->base, type_of(it));
}

#ifdef GARI_CHECKED
static void place_quarantined(const gari_object *object, void *arg)
{
    uint32_t slot;
    struct gari__checked_block *it = gari__check_locate(arg, object, &slot);
    if (it)
        it->slots[slot].place = GARI__FREE;
    else
        gari__check_say(arg, "the quarantine has %p, which is no object", (const void *)object);
}
#endif

static void nothing(const gari_object *object, void *arg)
{
    (void)object;
    (void)arg;
}

void gari__check_places(struct gari__check *check)
{
    mark_lists(check);
#ifdef GARI_CHECKED
    gari__checked_walk(place_quarantined, check);
#endif
    gari__kinds_walk(check_kind, check);
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next)
        check_thread(check, (const struct gari__object_thread *)t);
    uint32_t slot;
    struct gari__checked_block *taken =
        gari__check_block(check, gari__finalize_walk(nothing, NULL, &slot));
    if (taken)
        place_list(check, taken, slot, GARI__IN_UNFINISHED, "the queue of finalizers");
    for (size_t i = 0; i < check->block_room; i++) {
        struct gari__checked_block *it = &check->blocks[i];
        if (!it->block)
            continue;
        check_block(check, it);
        uint32_t carved = gari__load_relaxed(&it->block->carved);
        for (slot = 0; slot < carved; slot++)
            check_slot(check, it, slot);
    }
}
