/* What the words of objects say beside their counts, their ages, candidates' bits, and control blocks
 * of weak references. */
#include "lib/inspect/check.h"

#include "concurrency/word.h"
#include "lib/object/candidate.h"
#include "lib/object/weak.h"

/* Somebody holds on to the control block. */
static void note_holder(const struct gari__weak *weak, void *arg)
{
    struct gari__check *check = arg;
    uint32_t slot;
    const gari_object *target =
        (const gari_object *)(gari__load_acquire(&weak->target) & ~GARI__WEAK_TAG);
    if (!target)
        return;
    struct gari__checked_block *it = gari__check_locate(check, target, &slot);
    if (it && it->block->weak && it->block->weak[slot] == weak)
        it->slots[slot].weak++;
    else
        gari__check_say(check, "a weak reference leads to %p, which is no object that knows of it",
                        (const void *)target);
}

static void note_holders(struct gari__check *check, const struct gari__checked_block *it,
                         uint32_t slot)
{
    const struct gari__shape *shape = gari__check_shape(it->block);
    const gari_object *object = gari__slot_at(it->block, slot);
    const struct gari__weak *weak = gari__weakref_control(shape, object);
    if (weak)
        note_holder(weak, check);
    const char *wrong = gari__weakmap_check(shape, object, note_holder, check);
    if (wrong)
        gari__check_say(check, GARI__OBJECT_FORMAT ": %s", GARI__OBJECT_ARGS(it->block, slot),
                        wrong);
}

static void check_weak(struct gari__check *check, const struct gari__checked_block *it,
                       uint32_t slot)
{
    const struct gari__block *block = it->block;
    uint64_t word = gari__check_word(block, slot);
    const struct gari__weak *weak = block->weak ? block->weak[slot] : NULL;
    if ((weak != NULL) != (gari__is_alive(word) && (word & GARI__HAS_WEAK))) {
        gari__check_say(check, GARI__OBJECT_FORMAT " %s", GARI__OBJECT_ARGS(block, slot),
                        weak ? "has a control block of weak references, and its word denies it"
                             : "has no control block of weak references, as its word says");
        return;
    }
    if (!weak)
        return;
    uint32_t holders = 1 + it->slots[slot].weak;
    const struct gari__callback *before = NULL;
    bool linked = true;
    for (const struct gari__callback *callback = weak->callbacks; callback && linked;
         before = callback, callback = callback->next) {
        linked = callback->prev == before && callback->weak == weak &&
                 callback->state == GARI__CALLBACK_ARMED && callback->refs > 0;
        holders++;
    }
    if (!linked)
        gari__check_say(check, GARI__OBJECT_FORMAT " has a broken list of callbacks",
                        GARI__OBJECT_ARGS(block, slot));
    if ((const void *)weak->place != gari__slot_at(block, slot) ||
        gari__load_acquire(&weak->target) != (uintptr_t)gari__slot_at(block, slot))
        gari__check_say(check, "the weak references of " GARI__OBJECT_FORMAT " lead elsewhere",
                        GARI__OBJECT_ARGS(block, slot));
    if (gari__load_acquire(&weak->refs) < holders)
        gari__check_say(check,
                        "the weak references of " GARI__OBJECT_FORMAT
                        " share a control block with count %u, and %u hold it",
                        GARI__OBJECT_ARGS(block, slot), weak->refs, holders);
}

static void check_flags(struct gari__check *check, const struct gari__checked_block *it,
                        uint32_t slot)
{
    const struct gari__block *block = it->block;
    const struct gari__shape *shape = gari__check_shape(block);
    uint64_t word = gari__check_word(block, slot);
    const char *wrong = NULL;
    if (!(word & GARI__LEAF) != shape->tracked)
        wrong = "is said to be a leaf when it is none, or the other way round";
    else if ((word & GARI__UNFINALIZED) && !shape->type.finalize)
        wrong = "is to be finalized, and its type has no finalizer";
    else if ((word & GARI__UNFINALIZED) && !gari__is_counted(word))
        wrong = "has count 0 and is to be finalized, and nobody sees to it";
    else if ((word & GARI__CANDIDATE) && gari__is_alive(word) &&
             !gari__candidate_bit(block, slot) &&
             gari__generation_of(block, slot) != GARI_PERMANENT)
        wrong = "is said to be a candidate, and has no bit";
    else if ((word & GARI__COUNT_HIGH) && !(word & GARI__IMMORTAL))
        wrong = "has a count beyond which objects are immortal, and is not";
    if (wrong)
        gari__check_say(check, GARI__OBJECT_FORMAT " %s", GARI__OBJECT_ARGS(block, slot), wrong);
}

/* How many epochs ago; negative: not yet. */
static int age(uint16_t stamp)
{
    return (int16_t)(uint16_t)((uint16_t)gari__epoch - stamp);
}

static void check_age(struct gari__check *check, const struct gari__checked_block *it,
                      uint32_t slot)
{
    const struct gari__block *block = it->block;
    int births = age(gari__load_relaxed(&block->side[slot].birth));
    int newest = age(gari__load_relaxed(&block->last_birth));
    if (births < 0)
        gari__check_say(check, GARI__OBJECT_FORMAT " is %d collections too young",
                        GARI__OBJECT_ARGS(block, slot), -births);
    else if (births < (int)GARI__BOUNDARY_AGE && (newest < 0 || newest > births))
        gari__check_say(check, GARI__OBJECT_FORMAT " is younger than the youngest in its block",
                        GARI__OBJECT_ARGS(block, slot));
}

static void check_candidates(struct gari__check *check, const struct gari__checked_block *it)
{
    const struct gari__block *block = it->block;
    bool any = false;
    for (uint32_t slot = 0; slot < block->slots; slot++) {
        if (!gari__candidate_bit(block, slot))
            continue;
        any = true;
        if (!block->tracked || slot >= block->carved)
            gari__check_say(check, GARI__OBJECT_FORMAT " cannot be a candidate",
                            GARI__OBJECT_ARGS(block, slot));
    }
    bool settled = gari__load_relaxed(&block->settled);
    if (gari__load_acquire(&block->dirty) != (it->dirty || settled) || (it->dirty && settled) ||
        gari__load_relaxed(&block->gathered) != it->gathered || (settled && !it->gathered))
        gari__check_say(check,
                        "the block at %p of type '%s' is not on the list of candidates that it is "
                        "said to be on",
                        block->base, gari__check_shape(block)->type.name);
    else if (any && !it->dirty && !it->gathered)
        gari__check_say(check, "the block at %p of type '%s' has candidates, and nobody knows",
                        block->base, gari__check_shape(block)->type.name);
}

static void check_schedule(struct gari__check *check)
{
    const struct gari__schedule *schedule = &gari__collector.schedule;
    bool ahead = schedule->frozen > gari__epoch;
    for (int generation = 0; generation < 3; generation++)
        ahead |= schedule->began[generation] > gari__epoch;
    if (ahead || (uint16_t)gari__epoch != gari__load_relaxed(&gari__birth_stamp))
        gari__check_say(check, "a generation begins after the present epoch");
}

void gari__check_words(struct gari__check *check)
{
    check_schedule(check);
    for (size_t i = 0; i < check->block_room; i++) {
        const struct gari__checked_block *it = &check->blocks[i];
        for (uint32_t slot = 0; it->block && slot < it->block->carved; slot++)
            if (it->slots[slot].place != GARI__FREE)
                note_holders(check, it, slot);
    }
    for (size_t i = 0; i < check->block_room; i++) {
        const struct gari__checked_block *it = &check->blocks[i];
        if (!it->block)
            continue;
        check_candidates(check, it);
        for (uint32_t slot = 0; slot < it->block->carved; slot++) {
            check_weak(check, it, slot);
            if (it->slots[slot].place == GARI__FREE)
                continue;
            check_flags(check, it, slot);
            if (gari__is_alive(gari__check_word(it->block, slot)))
                check_age(check, it, slot);
        }
    }
}
