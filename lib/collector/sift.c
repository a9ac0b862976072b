/* Between the proof and the end of what it proved: some garbage is not to be freed.
 *
 * It runs before anything is finalized, for what may not be taken apart; and once more on what is left
 * for the end, when the debug flags want that shown or saved. (Finalizers come before SAVEALL, as in
 * CPython.)
 *
 * What may not be taken apart (its type forbids it, or its traverse failed) is spared, with all that
 * it reaches, or has named when V2 asked; the rest is still garbage, for nothing that is spared refers to it. The proof stays open
 * meanwhile, but of what is spared the words may change: nobody else's verdict hangs on them. */
#include "lib/collector/collector.h"
#include "lib/collector/debug.h"
#include "lib/collector/garbage.h"
#include "lib/collector/walk.h"

void gari_traverse_failed(const void *object)
{
    gari__checked_traverse_failed();
    struct gari__object_thread *self = gari__enter("gari_traverse_failed");
    struct gari__pass *pass = gari__pass_stepping;
    if (self->collecting && pass) {
        uint32_t *state = gari__scratch_at(pass, (gari_object *)(uintptr_t)object);
        /* SHRINK: what V2 has seen it refer to, and this call has not named, does not leave the set. */
        pass->recount = true;
        /* What it refers to was to live on with it, and nothing has refused that: all is given up. */
        bool late = pass->phase == GARI__SPARE_REACHED || pass->phase == GARI__SPLIT;
        pass->out_of_memory |= late && state && !(*state & GARI__STUCK);
        if (state) {
            pass->hesitant |= !(*state & GARI__STUCK);
            *state |= GARI__STUCK;
            pass->sift = true;
        }
    }
    gari__leave(self);
}

/* Its traverse has failed, or its type forbids that it is taken apart. */
static bool is_stuck(const gari_object *object, uint32_t state)
{
    return (state & GARI__STUCK) || (gari__shape_of(object)->type.flags & GARI_TYPE_NO_CLEAR);
}

static void spare_member(struct gari__pass *pass, gari_object *object, uint32_t *state)
{
    *state = (*state & ~GARI__MEMBER) | GARI__LIVE;
    pass->out_of_memory |= !gari__queue_add(pass, object);
}

static size_t spare(struct gari__pass *pass, size_t budget)
{
    if (pass->member == 0)
        pass->stuck = 0;
    for (; pass->member < pass->member_count && budget > 0; pass->member++, budget--) {
        gari_object *object = pass->members[pass->member].object;
        uint32_t *state = gari__scratch_at(pass, object);
        bool stuck = is_stuck(object, *state);
        pass->stuck += stuck;
        if (stuck || (*state & GARI__NAMED))
            spare_member(pass, object, state);
    }
    if (pass->member == pass->member_count) {
        pass->phase = GARI__SPARE_REACHED;
        pass->queue.current = NULL;
        pass->queue.at = 0;
    }
    return budget;
}

static GARI__INLINE void spare_edge(gari_slot *slot, void *arg)
{
    struct gari__pass *pass = arg;
    gari_object *target = gari__load_acquire(&slot->pointer);
    uint32_t *state = target ? gari__scratch_at(pass, target) : NULL;
    if (state && (*state & GARI__MEMBER))
        spare_member(pass, target, state);
}

static size_t spare_reached(struct gari__pass *pass, size_t budget)
{
    budget = gari__walk(pass, budget, gari__queue_pop, spare_edge);
    if (budget == 0 || pass->out_of_memory)
        return budget;
    /* All are listed or none: one that was not would be held by those that are, and not be found
     * again. For want of memory the collection is given up. */
    bool save_all = pass->debug & GARI_DEBUG_SAVEALL;
    pass->out_of_memory = !gari__garbage_room(save_all ? pass->member_count : pass->stuck);
    pass->phase = GARI__SORT;
    pass->member = pass->kept = 0;
    return budget;
}

/* Somebody may have cleared the list since there was room; what then cannot be listed stays a
 * candidate. */
static bool list(struct gari__pass *pass, gari_object *object)
{
    bool listed = gari__garbage_add(object);
    pass->undecided |= !listed;
    return listed;
}

/* What is spared leaves the members; SAVEALL spares all. */
static void sort_one(struct gari__pass *pass, struct gari__member *member)
{
    gari_object *object = member->object;
    uint32_t *state = gari__scratch_at(pass, object);
    bool save_all = pass->debug & GARI_DEBUG_SAVEALL;
    if (pass->tagged && (member->word & GARI__HAS_WEAK) &&
        (!(*state & GARI__MEMBER) || (save_all && pass->reported)))
        gari__weak_untag(object); /* it lives on */
    if (!(*state & GARI__MEMBER)) {
        pass->uncollectable++;
        if (pass->debug & GARI_DEBUG_UNCOLLECTABLE)
            gari__debug_object("uncollectable", object);
        if (is_stuck(object, *state) || save_all)
            list(pass, object);
        return;
    }
    if (pass->reported && (pass->debug & GARI_DEBUG_COLLECTABLE))
        gari__debug_object("collectable", object);
    if (save_all && pass->reported) {
        *state = (*state & ~GARI__MEMBER) | GARI__LIVE;
        pass->collected += list(pass, object);
    } else {
        /* Those that leave come after the others: a set that was put aside is held by references of
         * ours, which go back at the end. */
        struct gari__member stays = *member;
        *member = pass->members[pass->kept];
        pass->members[pass->kept++] = stays;
    }
}

static size_t sort(struct gari__pass *pass, size_t budget)
{
    for (; pass->member < pass->member_count && budget > 0; pass->member++, budget--)
        sort_one(pass, &pass->members[pass->member]);
    if (pass->member < pass->member_count)
        return budget;
    pass->member_count = pass->kept;
    gari__proof_next(pass);
    return budget;
}

size_t gari__phase_sift(struct gari__pass *pass, size_t budget)
{
    switch (pass->phase) {
    case GARI__SPARE:
        return spare(pass, budget);
    case GARI__SPARE_REACHED:
        return spare_reached(pass, budget);
    default:
        return sort(pass, budget);
    }
}
