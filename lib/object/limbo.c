#include "lib/object/limbo.h"

#include "concurrency/cancel.h"
#include "concurrency/fatal.h"
#include "concurrency/grace.h"
#include "concurrency/look.h"
#include "lib/heap/memory.h"
#include "lib/object/count.h"
#include "lib/object/death.h"
#include "lib/object/edges.h"
#include "lib/object/free.h"
#include "lib/object/late.h"
#include "lib/object/waiting.h"

#include <errno.h>

/* Enough to share a grace period among many, little enough to stay in a core's L2 cache. */
#define SEAL_BYTES ((size_t)256 << 10)
#define SEAL_DEFERRED 1024u
#define BATCHES 16u

struct deferred {
    void (*fn)(void *arg);
    void *arg;
    struct deferred *next;
};

struct batch {
    uint64_t ticket;
    struct gari__block *blocks; /* through batch_next */
    struct deferred *deferred;
};

static struct {
    pthread_mutex_t lock; /* guards all but the counters */
    struct batch batches[BATCHES];
    unsigned first, count;    /* the sealed batches, a ring, oldest first */
    struct gari__block *ripe; /* through batch_next */
    struct deferred *ripe_deferred;
    struct deferred *deferred; /* not yet sealed */
    uint64_t last_ticket;      /* written under the lock, read without */
    uint64_t
        next_ticket; /* of the oldest batch, 0: there is none; written under the lock, read without */
    unsigned unsealed_deferred;
    uint64_t deferred_count; /* waiting; atomically */
} limbo = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The lock is held. */
static void note_next(void)
{
    uint64_t ticket = limbo.count ? limbo.batches[limbo.first].ticket : 0;
    gari__store_relaxed(&limbo.next_ticket, ticket);
}

/* The lock is held. */
static void seal(void)
{
    if (limbo.count == BATCHES || (!gari__waiting_any(GARI__LIMBO) && !limbo.deferred))
        return;
    limbo.unsealed_deferred = 0;
    struct gari__block *mine = NULL;
    struct gari__block *block = gari__waiting_take_blocks(GARI__LIMBO);
    while (block) {
        struct gari__block *next = gari__load_relaxed(&block->waiting_next[GARI__LIMBO]);
        if (block->in_batch) {
            /* An earlier batch has not finished with it; the next seal will take it. */
            gari__waiting_relist(GARI__LIMBO, block);
        } else {
            block->in_batch = true;
            block->batch_head = gari__waiting_take(GARI__LIMBO, block);
            block->batch_next = mine;
            mine = block;
        }
        block = next;
    }
    if (!mine && !limbo.deferred)
        return;
    struct batch *batch = &limbo.batches[(limbo.first + limbo.count++) % BATCHES];
    batch->blocks = mine;
    batch->deferred = limbo.deferred;
    limbo.deferred = NULL;
    GARI_PERTURB_AT("reap.retire");
    /* Everything in the batch had reached zero, and been let go of, before this. The grace period begins at once, so that
     * threads which come to rest from here on need not be asked. */
    batch->ticket = GARI_MUTANT(NO_REUSE_GRACE) ? 0 : gari__grace_begin();
    gari__store_relaxed(&limbo.last_ticket, batch->ticket);
    note_next();
}

void gari__limbo_seal(void)
{
    gari__mutex_lock(&limbo.lock);
    seal();
    gari__mutex_unlock(&limbo.lock);
}

bool gari__limbo_seal_idle(void)
{
    if (!gari__mutex_trylock(&limbo.lock))
        return false;
    bool idle = limbo.count == 0;
    if (idle)
        seal();
    gari__mutex_unlock(&limbo.lock);
    return idle;
}

void gari__limbo_put(struct gari__object_thread *self, struct gari__block *block, uint32_t head,
                     uint32_t tail, uint32_t count, size_t load)
{
    struct gari__tally *tally = &self->heap.tally;
    gari__own_add(&tally->limbo_in, count);
    gari__own_add(&tally->limbo_in_bytes, count * gari__slot_bytes(block));
    gari__waiting_push(GARI__LIMBO, block, head, tail);
    /* Sequentially consistent, after the push: pairs with sleep_for in collector/worker.c. */
    if (gari__load_seq_cst(&gari__collector_asleep))
        gari__upcall_wake();
    self->unsealed += load;
    if (self->unsealed < SEAL_BYTES)
        return;
    /* Somebody who holds the lock seals or frees; the next note will try again. */
    if (gari__mutex_trylock(&limbo.lock)) {
        seal();
        gari__mutex_unlock(&limbo.lock);
        self->unsealed = 0;
    }
}

/* Takes over a batch whose grace period is over when the one before it has been freed: a giant's batch has
 * thousands of blocks, and none of them is looked at here. The lock is held. */
static void ripen(void)
{
    while (limbo.count && !limbo.ripe && !limbo.ripe_deferred &&
           gari__grace_passed(limbo.batches[limbo.first].ticket)) {
        struct batch *batch = &limbo.batches[limbo.first];
        limbo.ripe = batch->blocks;
        batch->blocks = NULL;
        while (batch->deferred) {
            struct deferred *call = batch->deferred;
            batch->deferred = call->next;
            call->next = limbo.ripe_deferred;
            limbo.ripe_deferred = call;
        }
        limbo.first = (limbo.first + 1) % BATCHES;
        limbo.count--;
    }
    note_next();
}

static void sweep_edge(gari_slot *slot, void *arg)
{
    struct gari__object_thread *self = arg;
    gari_object *target = gari__load_relaxed(&slot->pointer);
    if (!target || GARI_MUTANT(NO_SWEEP))
        return;
    GARI_PERTURB_AT("reap.sweep");
    gari__store_relaxed(&slot->pointer, NULL);
    GARI_PERTURB_AT("reap.count");
    gari__checked_no_edge(target);
    if (gari__count_down(self, target, "the sweep of a dead object's fields"))
        gari__death_push(self, target);
}

/* Looks at what a borrower has stored into a large object while it was dying. Returns false when the
 * budget ran out in the middle of it. */
static bool sweep_large(struct gari__object_thread *self, struct gari__block *block,
                        const struct gari__shape *shape, gari_object *object, size_t *budget)
{
    size_t at = block->resume;
    while (at != GARI__EDGES_DONE) {
        if (*budget == 0) {
            block->resume = at;
            return false;
        }
        gari__section_begin();
        size_t next = gari__edges(shape, object, at, GARI__EDGES_IN_SECTION, sweep_edge, self);
        gari__section_end();
        size_t cost = next == GARI__EDGES_DONE ? 0 : next - at;
        *budget -= cost < *budget ? cost : *budget;
        at = next;
    }
    return true;
}

/* The same for the objects of the list from slot on, as many as fit into one section. Returns their
 * number. */
static size_t sweep_small(struct gari__object_thread *self, struct gari__block *block,
                          const struct gari__shape *shape, uint32_t slot, size_t most)
{
    size_t objects = 0, edges = 0;
    gari__section_begin();
    for (; slot && objects < most && edges < GARI__EDGES_IN_SECTION; objects++) {
        gari_object *object = gari__slot_at(block, slot - 1);
        slot = gari__load_relaxed(&block->side[slot - 1].link);
        /* Edges that are not NULL are rare: they were emptied when the object died. */
        for (size_t at = 0; at != GARI__EDGES_DONE;) {
            size_t next = gari__edges(shape, object, at, GARI__EDGES_IN_SECTION, sweep_edge, self);
            edges += next == GARI__EDGES_DONE ? shape->type.refs.count : next - at;
            at = next;
            if (at != GARI__EDGES_DONE) {
                gari__section_end();
                gari__section_begin();
            }
        }
    }
    gari__section_end();
    return objects;
}

/* Frees up to budget objects of a ripe block. Returns what is left of the budget. */
static size_t free_ripe(struct gari__object_thread *self, struct gari__block *block, size_t budget)
{
    const struct gari__shape *shape = gari__shape_of_block(block);
    if (shape->late && block->slots > 1) {
        uint32_t first = block->batch_head;
        gari__mutex_lock(&limbo.lock);
        block->in_batch = false;
        self->ripe_block = NULL;
        gari__mutex_unlock(&limbo.lock);
        return gari__late_free(self, block, first, budget);
    }
    struct gari__free_run run = {0};
    uint32_t slot = block->batch_head;
    size_t objects = 0;
    if (shape->type.reclaim)
        self->ripe_objects = gari__waiting_count(block, slot);
    while (slot && budget > 0) {
        size_t swept = 1;
        if (shape->tracked && block->slots == 1) {
            if (!sweep_large(self, block, shape, gari__slot_at(block, 0), &budget))
                break;
        } else if (shape->tracked) {
            swept = sweep_small(self, block, shape, slot, budget);
        }
        budget -= swept < budget ? swept : budget;
        objects += swept;
        self->callbacks++;
        for (; swept > 0; swept--) {
            gari_object *object = gari__slot_at(block, slot - 1);
            slot = gari__load_relaxed(&block->side[slot - 1].link);
            gari__free_slot(&run, block, shape, object);
        }
        self->callbacks--;
    }
    uint64_t bytes = objects * gari__slot_bytes(block);
    gari__mutex_lock(&limbo.lock);
    block->batch_head = slot;
    if (slot) {
        block->batch_next = limbo.ripe;
        limbo.ripe = block;
    } else {
        block->in_batch = false;
    }
    self->ripe_block = NULL;
    gari__mutex_unlock(&limbo.lock);
    /* Last: with all its slots free the block may go. */
    gari__free_run_flush(&run);
    gari__own_add(&self->heap.tally.limbo_out_bytes, bytes);
    /* Release: pairs with waiting_now, which must not see an object leave that it has not seen come. */
    gari__store_release(&self->heap.tally.limbo_out, self->heap.tally.limbo_out + objects);
    return budget;
}

size_t gari__limbo_free(struct gari__object_thread *self, size_t budget, bool patient)
{
    uint64_t ticket = gari__load_relaxed(&limbo.next_ticket);
    if (ticket)
        gari__grace_look(ticket, patient);
    while (budget > 0 && gari__mutex_trylock(&limbo.lock)) {
        ripen();
        struct deferred *call = limbo.ripe_deferred;
        struct gari__block *block = NULL, *again = NULL;
        if (call)
            limbo.ripe_deferred = call->next;
        else if ((block = limbo.ripe) != NULL)
            limbo.ripe = block->batch_next;
        else if (gari__waiting_any(GARI__RIPE))
            again = gari__waiting_pop_block(GARI__RIPE);
        self->ripe_block = block;
        gari__mutex_unlock(&limbo.lock);
        if (call) {
            self->callbacks++;
            int cancel = gari__cancel_off();
            self->deferred_call = true;
            call->fn(call->arg);
            self->deferred_call = false;
            gari__cancel_restore(cancel);
            self->callbacks--;
            gari__memory_free(call);
            gari__fetch_sub_relaxed(&limbo.deferred_count, 1);
            budget--;
        } else if (block) {
            budget = free_ripe(self, block, budget);
        } else if (again) {
            budget = gari__late_free(self, again, gari__waiting_take(GARI__RIPE, again), budget);
        } else {
            break;
        }
    }
    if (self->pending) {
        /* What dies of this has waited once: a chain through late objects and others must not cost a
         * grace period for each of its links. */
        bool before = self->after_grace;
        self->after_grace = true;
        gari__deaths_run(self, GARI__DEATH_BUDGET);
        self->after_grace = before;
    }
    return budget;
}

/* Objects leave after they have come, so whoever sums up those that left first never gets fewer than
 * wait. */
static struct gari__limbo_stats waiting_now(void)
{
    struct gari__limbo_stats now = {0};
    for (int came = 0; came <= 1; came++) {
        for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
            const struct gari__tally *tally = &((struct gari__heap_thread *)t)->tally;
            if (came) {
                now.objects += gari__load_relaxed(&tally->limbo_in);
                now.bytes += gari__load_relaxed(&tally->limbo_in_bytes);
            } else {
                now.objects -= gari__load_acquire(&tally->limbo_out);
                now.bytes -= gari__load_relaxed(&tally->limbo_out_bytes);
            }
        }
    }
    return now;
}

bool gari__limbo_any(void)
{
    return gari__waiting_any(GARI__LIMBO) || gari__waiting_any(GARI__RIPE) ||
           gari__load_relaxed(&limbo.deferred_count) || waiting_now().objects;
}

uint64_t gari__limbo_next_ticket(void)
{
    return gari__load_relaxed(&limbo.next_ticket);
}

uint64_t gari__limbo_last_ticket(void)
{
    return gari__load_relaxed(&limbo.last_ticket);
}

struct gari__limbo_stats gari__limbo_read_stats(void)
{
    struct gari__limbo_stats now = waiting_now();
    now.deferred = gari__load_relaxed(&limbo.deferred_count);
    return now;
}

void gari__limbo_walk(void (*visit)(const struct gari__block *block, void *arg), void *arg)
{
    gari__mutex_lock(&limbo.lock);
    const struct gari__block *block;
    for (unsigned i = 0; i < limbo.count; i++)
        for (block = limbo.batches[(limbo.first + i) % BATCHES].blocks; block;
             block = block->batch_next)
            visit(block, arg);
    for (block = limbo.ripe; block; block = block->batch_next)
        visit(block, arg);
    gari__mutex_unlock(&limbo.lock);
}

int gari_defer(void (*fn)(void *arg), void *arg)
{
    struct gari__object_thread *self = gari__enter("gari_defer");
    struct deferred *call = gari__memory_new(sizeof *call);
    if (call) {
        call->fn = fn;
        call->arg = arg;
        gari__fetch_add_relaxed(&limbo.deferred_count, 1);
        gari__mutex_lock(&limbo.lock);
        call->next = limbo.deferred;
        limbo.deferred = call;
        if (++limbo.unsealed_deferred >= SEAL_DEFERRED)
            seal();
        gari__mutex_unlock(&limbo.lock);
        gari__upcall_wake();
    }
    gari__leave(self);
    return call ? 0 : ENOMEM;
}

void gari__limbo_before_fork(void)
{
    gari__mutex_pass(&limbo.lock);
}

static void recount_blocks(const struct gari__block *block)
{
    for (; block; block = block->batch_next)
        gari__limbo_recount(block, gari__waiting_count(block, block->batch_head));
}

static void recount_calls(const struct deferred *call)
{
    for (; call; call = call->next)
        limbo.deferred_count++;
}

void gari__limbo_after_fork(const struct gari__object_thread *self)
{
    gari__mutex_renew(&limbo.lock);
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        struct gari__block *block = ((struct gari__object_thread *)t)->ripe_block;
        if (block && gari__thread_is_gone(t)) {
            /* In what order its slots are linked, only that thread knew. */
            block->in_batch = false;
            block->batch_head = 0;
        }
    }
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        struct gari__tally *tally = &((struct gari__heap_thread *)t)->tally;
        tally->limbo_in = tally->limbo_in_bytes = tally->limbo_out = tally->limbo_out_bytes = 0;
    }
    limbo.deferred_count = self && self->deferred_call;
    if (self && self->ripe_block)
        gari__limbo_recount(self->ripe_block, self->ripe_objects);
    for (unsigned i = 0; i < limbo.count; i++) {
        const struct batch *batch = &limbo.batches[(limbo.first + i) % BATCHES];
        recount_blocks(batch->blocks);
        recount_calls(batch->deferred);
    }
    recount_blocks(limbo.ripe);
    recount_calls(limbo.ripe_deferred);
    recount_calls(limbo.deferred);
}

void gari__limbo_recount(const struct gari__block *block, size_t objects)
{
    /* Whosoever's: only the sums count. */
    struct gari__tally *tally = &((struct gari__heap_thread *)gari__thread_first())->tally;
    gari__own_add(&tally->limbo_in, objects);
    gari__own_add(&tally->limbo_in_bytes, objects * gari__slot_bytes(block));
}
