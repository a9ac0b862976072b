/* What follows the proof: the members are nobody's but ours. Nobody can reach them, nobody holds a
 * borrowed pointer, so plain stores do, and their memory can be used again at once. */
#include "concurrency/word.h"
#include "lib/collector/pass.h"
#include "lib/collector/seeds.h"
#include "lib/heap/memory.h"
#include "lib/object/candidate.h"
#include "lib/object/count.h"
#include "lib/object/death.h"
#include "lib/object/edges.h"
#include "lib/object/limbo.h"

size_t gari__phase_commit(struct gari__pass *pass, size_t budget)
{
    for (; pass->member < pass->member_count && budget > 0; pass->member++, budget--) {
        uint64_t *word = gari__word_of(pass->members[pass->member].object);
        uint64_t old = gari__load_relaxed(word);
        uint64_t count = old & GARI__COUNT_MASK;
        /* The version goes up and the count to zero. While a ring still points here its owner may
         * clear CANDIDATE at any moment; otherwise the word is ours alone. */
        if (old & GARI__CANDIDATE)
            gari__fetch_add_acq_rel(word, GARI__VERSION_ONE - count);
        else
            gari__store_release(word, old + GARI__VERSION_ONE - count);
    }
    if (pass->member == pass->member_count) {
        /* Somebody may be filing a member that he saw alive just before. */
        gari__candidates_quiesce();
        pass->phase = GARI__DISPOSE;
        pass->member = 0;
    }
    return budget;
}

size_t gari__phase_dispose(struct gari__pass *pass, struct gari__object_thread *self, size_t budget)
{
    for (; pass->member < pass->member_count && budget > 0; pass->member++, budget--) {
        gari_object *object = pass->members[pass->member].object;
        const struct gari__shape *shape = gari__shape_of(object);
        if (!shape->type.dispose)
            continue;
        self->callbacks++;
        shape->type.dispose(object);
        self->callbacks--;
    }
    if (pass->member == pass->member_count) {
        pass->phase = GARI__DROP;
        pass->member = 0;
        pass->queue.current = NULL;
        pass->queue.at = 0;
    }
    return budget;
}

struct dropping {
    struct gari__pass *pass;
    struct gari__object_thread *self;
};

/* Read anew: what V2 saw can be out of date towards objects outside. An edge between members is just
 * forgotten; a member's slot may by now be another object, but an edge to a member that was still in
 * place here was there when the proof closed. */
static void drop_outgoing(gari_slot *slot, void *arg)
{
    struct dropping *dropping = arg;
    gari_object *target = gari__load_relaxed(&slot->pointer);
    struct gari__block *block;
    if (!target)
        return;
    gari__store_relaxed(&slot->pointer, NULL);
    const uint32_t *state = gari__scratch_at(dropping->pass, target, &block);
    if (state && (*state & GARI__MEMBER))
        return;
    if (gari__count_down(dropping->self, target, "the collector"))
        gari__death_push(dropping->self, target);
}

static void release_memory(struct gari__object_thread *self, struct gari__free_run *run,
                           gari_object *object)
{
    struct gari__block *block = gari__block_of(object);
    const struct gari__shape *shape = gari__shape_of_block(block);
    struct gari__tally *tally = &self->heap.tally;
    gari__own_add(&tally->freed_by_cycles, 1);
    gari__own_add(&tally->freed_bytes, gari__size_of(shape, object));
    gari__own_add(&tally->tracked_freed, 1);
    uint64_t *word = gari__word_of(object);
    if ((gari__load_relaxed(word) & GARI__CANDIDATE) &&
        (gari__fetch_or_acq_rel(word, GARI__APART) & GARI__CANDIDATE))
        return; /* whoever empties the ring retires it */
    self->callbacks++;
    gari__free_slot(run, block, shape, object);
    self->callbacks--;
}

size_t gari__phase_drop(struct gari__pass *pass, struct gari__object_thread *self, size_t budget)
{
    struct dropping dropping = {pass, self};
    struct gari__free_run run = {0};
    struct gari__queue *queue = &pass->queue;
    while (pass->member < pass->member_count && budget > 0) {
        gari_object *object = pass->members[pass->member].object;
        const struct gari__shape *shape = gari__shape_of(object);
        gari__candidates_relieve(self);
        /* The section is for the candidates that the edges' targets may become. */
        gari__section_begin();
        size_t next =
            gari__edges(shape, object, queue->at, GARI__EDGES_IN_SECTION, drop_outgoing, &dropping);
        gari__section_end();
        size_t cost = next == GARI__EDGES_DONE ? 1 : next - queue->at;
        budget -= cost < budget ? cost : budget;
        if (next != GARI__EDGES_DONE) {
            queue->at = next;
            continue;
        }
        queue->at = 0;
        release_memory(self, &run, object);
        pass->collected++;
        pass->member++;
    }
    gari__free_run_flush(&run);
    if (self->dying_count)
        budget = gari__deaths_run(self, budget > GARI__DEATH_BUDGET ? budget : GARI__DEATH_BUDGET);
    if (pass->member == pass->member_count) {
        pass->phase = GARI__END;
        pass->member_count = 0;
    }
    return budget;
}

/* Candidates that got no verdict stay candidates. */
static void keep_seeds(struct gari__pass *pass, struct gari__block *block, const uint32_t *scratch)
{
    bool keep = !pass->whole || pass->undecided;
    for (uint32_t slot = 0; slot < block->slots; slot++) {
        if (!(scratch[slot] & GARI__SEED))
            continue;
        uint64_t word = gari__load_relaxed((uint64_t *)gari__slot_at(block, slot));
        if (keep && gari__is_alive(word))
            gari__candidate_keep(block, slot);
        else if (GARI_MUTANT(LATE_CLEAR))
            gari__fetch_and_acq_rel(&block->candidates[slot / 64], ~((uint64_t)1 << (slot % 64)));
    }
}

size_t gari__phase_end(struct gari__pass *pass, size_t budget)
{
    while (pass->touched && budget > 0) {
        struct gari__block *block = pass->touched;
        uint32_t *scratch = gari__load_relaxed(&block->scratch[pass->which]);
        pass->touched = block->touched_next[pass->which];
        keep_seeds(pass, block, scratch);
        size_t cost = 1 + block->slots / 16;
        budget -= cost < budget ? cost : budget;
        /* Last: without the hold the block may go. */
        gari__block_set_scratch(block, pass->which, NULL);
        gari__memory_free(scratch);
    }
    if (!pass->touched)
        pass->phase = GARI__IDLE;
    return budget;
}
