#include "lib/object/death.h"

#include "concurrency/cancel.h"
#include "concurrency/clock.h"
#include "lib/object/count.h"
#include "lib/object/edges.h"
#include "lib/object/finalize.h"
#include "lib/object/late.h"
#include "lib/object/limbo.h"
#include "lib/object/waiting.h"

/* Edges of a very large object that are dropped before those that died of it are looked at. */
#define PART 64u
/* Deaths outstanding from which on a call's time is taken. */
#define TIMED 8u

static pthread_mutex_t pop_lock = PTHREAD_MUTEX_INITIALIZER;

static void leave_dying(gari_object *object)
{
    struct gari__block *block = gari__block_of(object);
    uint32_t slot = gari__slot_of(block, object) + 1;
    gari__waiting_push(GARI__DYING, block, slot, slot);
}

void gari__death_push(struct gari__object_thread *self, gari_object *object)
{
    gari__checked_death(object);
    if (gari__unlikely(self->dying_count == GARI__DYING_ROOM))
        leave_dying(object);
    else
        self->dying[self->dying_count++] = object;
}

void gari__death_flush(struct gari__object_thread *self)
{
    if (self->run_count == 0)
        return;
    gari__limbo_put(self, self->run_block, self->run_head, self->run_tail, self->run_count,
                    self->run_load);
    self->run_count = 0;
    self->run_load = 0;
}

void gari__death_retire(struct gari__object_thread *self, gari_object *object)
{
    struct gari__block *block = gari__block_of(object);
    uint32_t slot = gari__slot_of(block, object);
    if (self->run_block != block || self->run_count == 0) {
        gari__death_flush(self);
        self->run_block = block;
        self->run_head = 0;
        self->run_tail = slot + 1;
    }
    gari__store_relaxed(&block->side[slot].link, (uint16_t)self->run_head);
    self->run_head = slot + 1;
    self->run_count++;
    self->run_load += gari__slot_bytes(block);
}

/* What has died of something else's death may die late only if that itself did not: what is late has
 * waited for its grace period once. */
static inline bool dies_late(const gari_object *object)
{
    struct gari__block *block = gari__block_of(object);
    return gari__shape_of_block(block)->late && block->slots > 1;
}

static void drop_edge(gari_slot *slot, void *arg)
{
    struct gari__object_thread *self = arg;
    if (gari__load_relaxed(&slot->pointer) == NULL)
        return;
    GARI_PERTURB_EACH("reap.drop");
    /* A borrower may be storing here at this moment: what he replaces is his to drop. */
    gari_object *target = gari__exchange_acq_rel(&slot->pointer, NULL);
    if (!target)
        return;
    self->edges_dropped++;
    GARI_PERTURB_EACH("reap.count");
    gari__checked_visit(slot, target);
    gari__checked_no_edge(target);
    if (!gari__count_down(self, target, "the death of an object that refers to it"))
        return;
    if (!self->apart_late && !self->after_grace && gari__unlikely(dies_late(target)))
        gari__late_retire(self, target);
    else
        gari__death_push(self, target);
}

/* An object so large that it is taken apart in parts goes below those that have just died of it, so
 * that they are disposed of first. */
static void push_below(struct gari__object_thread *self, gari_object *object, uint32_t base)
{
    if (self->dying_count == GARI__DYING_ROOM) {
        leave_dying(object);
        return;
    }
    self->dying[self->dying_count++] = self->dying[base];
    self->dying[base] = object;
}

/* Takes one object, the last of the dying, apart. Returns the edges that it cost: those dropped, and
 * an eighth of the fields that were empty. */
static GARI__INLINE size_t take_apart(struct gari__object_thread *self)
{
    uint32_t base = --self->dying_count;
    gari_object *object = self->dying[base];
    struct gari__block *block = gari__block_of(object);
    const struct gari__shape *shape = gari__shape_of_block(block);
    bool alone = block->slots == 1;
    size_t at = alone ? block->resume : 0;
    if (at == 0) {
        gari__checked_apart(shape, object);
        GARI_OBSERVE(shape, object);
    }
    if (shape->type.dispose && at == 0) {
        int cancel = gari__cancel_off();
        self->callbacks++;
        shape->type.dispose(object);
        self->callbacks--;
        gari__cancel_restore(cancel);
    }
    size_t walked = 0, before = self->edges_dropped;
    self->apart_late = shape->late;
    while (shape->tracked && at != GARI__EDGES_DONE) {
        if (alone && walked >= PART) {
            block->resume = at;
            push_below(self, object, base);
            return self->edges_dropped - before + walked / 8;
        }
        gari__section_begin();
        size_t most = alone ? PART : GARI__EDGES_IN_SECTION;
        size_t next = gari__edges(shape, object, at, most, drop_edge, self);
        gari__section_end();
        walked += next == GARI__EDGES_DONE ? 0 : next - at;
        at = next;
    }
    if (alone)
        block->resume = 0;
    size_t cost = self->edges_dropped - before + walked / 8;

    struct gari__tally *tally = &self->heap.tally;
    gari__own_add(&tally->freed_by_count, 1);
    gari__own_add(&tally->freed_bytes, gari__size_of(shape, object));
    if (shape->tracked)
        gari__own_add(&tally->tracked_freed, 1);

    GARI_PERTURB_EACH("reap.retire");
    gari__death_retire(self, object);
    return cost;
}

/* Takes over a few of the dying objects that lie in the blocks. */
static bool fetch_dying(struct gari__object_thread *self)
{
    if (!gari__waiting_any(GARI__DYING) || self->own_deaths_only || !gari__mutex_trylock(&pop_lock))
        return false;
    struct gari__block *block = gari__waiting_pop_block(GARI__DYING);
    gari__mutex_unlock(&pop_lock);
    if (!block)
        return false;
    uint32_t slot = gari__waiting_take(GARI__DYING, block);
    while (slot && self->dying_count < GARI__DYING_ROOM / 2) {
        self->dying[self->dying_count++] = gari__slot_at(block, slot - 1);
        slot = gari__load_relaxed(&block->side[slot - 1].link);
    }
    if (slot) {
        uint32_t tail = slot, next;
        while ((next = gari__load_relaxed(&block->side[tail - 1].link)) != 0)
            tail = next;
        gari__waiting_push(GARI__DYING, block, slot, tail);
    }
    return true;
}

/* Whose deaths are worked off, and what becomes of objects that are found to need finalizing. */
enum manner {
    OWN,    /* this thread's alone; the caller sees to the rest */
    SETTLE, /* this thread's, which are finalized here; then what others have left */
    HELP    /* all; what needs finalizing is queued, for it may block */
};

static size_t see_to_claimed(struct gari__object_thread *self, size_t budget);

static size_t run(struct gari__object_thread *self, size_t budget, enum manner manner)
{
    self->unwinding = true;
    self->manner = (uint8_t)manner;
    uint64_t begin = 0;
    for (;;) {
        while (budget > 0 && self->dying_count) {
            size_t cost = take_apart(self);
            cost += cost == 0;
            budget -= cost < budget ? cost : budget;
            /* A short cascade is not worth two looks at the clock. */
            if (!begin && self->dying_count > TIMED)
                begin = gari__now_ns();
        }
        if (budget == 0 || self->manner == OWN || (self->manner == SETTLE && self->claimed_count) ||
            !fetch_dying(self))
            break;
        self->manner = HELP;
    }
    if (self->dying_count) {
        do
            leave_dying(self->dying[--self->dying_count]);
        while (self->dying_count);
        gari__upcall_wake();
    }
    gari__death_flush(self);
    if (begin)
        gari__upcall_waited(begin);
    self->unwinding = false;
    if (gari__unlikely(self->claimed_count))
        return see_to_claimed(self, budget);
    return budget;
}

/* Finalizes what this call has brought to zero, if this is a place for it. No dead object is in the
 * thread's hand meanwhile, so a finalizer that blocks holds up nobody but those behind it. */
static size_t finalize_here(struct gari__object_thread *self, size_t budget)
{
    while (budget > 0 && self->claimed_count > self->claimed_base &&
           gari__finalize_may_run_here(self)) {
        gari_object *object = self->claimed[--self->claimed_count];
        uint32_t base = self->claimed_base;
        self->claimed_base = self->claimed_count;
        gari__finalize_one(self, object);
        self->claimed_base = base;
        budget = run(self, budget - 1, OWN);
    }
    return budget;
}

static size_t see_to_claimed(struct gari__object_thread *self, size_t budget)
{
    enum manner manner = (enum manner)self->manner;
    if (manner == OWN)
        return budget;
    if (manner == SETTLE) {
        budget = finalize_here(self, budget);
        /* Too deep: the loop of a finalizer further up goes on with it. */
        if (self->finalizing >= GARI__FINALIZE_DEPTH)
            return budget;
    }
    gari__finalize_queue_claimed(self);
    if (manner == SETTLE && budget > 0 && gari__waiting_any(GARI__DYING))
        return run(self, budget, HELP);
    return budget;
}

size_t gari__deaths_run(struct gari__object_thread *self, size_t budget)
{
    /* A callback has dropped a reference: the loop further up takes it, so the stack stays flat. */
    return self->unwinding ? budget : run(self, budget, HELP);
}

void gari__settle_slow(struct gari__object_thread *self, gari_object *dead)
{
    if (dead && !self->after_grace && gari__unlikely(dies_late(dead)))
        gari__late_retire(self, dead);
    else if (dead)
        gari__death_push(self, dead);
    if (self->unwinding)
        return;
    self->own_deaths_only = self->never_help;
    run(self, GARI__DEATH_BUDGET, SETTLE);
    self->own_deaths_only = false;
}

void gari__deaths_before_fork(void)
{
    gari__mutex_pass(&pop_lock);
}

void gari__deaths_after_fork(void)
{
    gari__mutex_renew(&pop_lock);
}
