/* What follows the proof: the members are nobody's but ours. Nobody can reach them, nobody holds a
 * borrowed pointer, so plain stores do, and their memory can be used again at once. */
#include "concurrency/cancel.h"
#include "lib/collector/collector.h"
#include "lib/collector/distant.h"
#include "lib/collector/seeds.h"
#include "lib/object/candidate.h"
#include "lib/object/death.h"
#include "lib/object/free.h"
#include "lib/object/limbo.h"

/* Members are fetched so far ahead. */
#define AHEAD 8u

/* The version goes up and the count to zero. Returns the word as it was. */
static inline uint64_t commit(gari_object *object)
{
    GARI_PERTURB_EACH("commit.zero");
    uint64_t *word = gari__word_of(object);
    uint64_t old = gari__load_relaxed(word);
    gari__checked_death(object);
    gari__store_release(word, (old & ~GARI__COUNT_MASK) + GARI__VERSION_ONE);
    return old;
}

size_t gari__phase_commit(struct gari__pass *pass, size_t budget)
{
    for (; pass->member < pass->member_count && budget > 0; pass->member++, budget--)
        (void)commit(pass->members[pass->member].object);
    if (pass->member == pass->member_count) {
        pass->phase = (pass->words & GARI__HAS_WEAK) ? GARI__CLEAR : GARI__DISPOSE;
        pass->member = 0;
    }
    return budget;
}

size_t gari__phase_dispose(struct gari__pass *pass, struct gari__object_thread *self, size_t budget)
{
    for (; pass->member < pass->member_count && budget > 0; budget--) {
        /* Counted first: in the child of a fork that comes in the callback the next one follows. */
        gari_object *object = pass->members[pass->member++].object;
        const struct gari__shape *shape = gari__shape_of(object);
        GARI_OBSERVE(shape, object);
        if (!shape->type.dispose)
            continue;
        self->callbacks++;
        gari__collector_rest(true);
        int cancel = gari__cancel_off();
        shape->type.dispose(object);
        gari__cancel_restore(cancel);
        gari__collector_resume();
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

/* References from members to others, to be given back together: those objects are mostly old and in no cache,
 * and the misses of many at a time cost hardly more than one. */
#define TOGETHER 64u

struct dropping {
    struct gari__pass *pass;
    struct gari__object_thread *self;
    struct gari__free_run run;
    uint64_t objects, bytes;
    unsigned target_count;
    gari_object *targets[TOGETHER];
};

/* In the section in which they were put aside. */
static __attribute__((noinline)) void count_down(struct dropping *dropping)
{
    unsigned count = dropping->target_count;
    uint64_t suspects = 0;
    /* Of those that become candidates first the block is fetched, then the word of the bit. */
    for (unsigned i = 0; i < count; i++) {
        gari_object *target = dropping->targets[i];
        if (gari__needs_suspicion(gari__load_relaxed(gari__word_of(target)))) {
            __builtin_prefetch(gari__block_of(target));
            suspects |= (uint64_t)1 << i;
        }
    }
    for (uint64_t rest = suspects; rest; rest &= rest - 1) {
        const gari_object *target = dropping->targets[__builtin_ctzll(rest)];
        const struct gari__block *block = gari__block_of(target);
        __builtin_prefetch(gari__candidates_of(block, gari__slot_of(block, target)), 1);
    }
    for (unsigned i = 0; i < count; i++) {
        gari_object *target = dropping->targets[i];
        GARI_PERTURB_EACH("reap.count");
        gari__checked_no_edge(target);
        if (gari__count_down(dropping->self, target, "the collector"))
            gari__death_push(dropping->self, target);
    }
    dropping->target_count = 0;
}

/* The member's reference, which holds the target until then. */
static GARI__INLINE void count_down_soon(struct dropping *dropping, gari_object *target)
{
    __builtin_prefetch(target, 1);
    __builtin_prefetch(gari__map_entry(target));
    if (gari__unlikely(dropping->target_count == TOGETHER))
        count_down(dropping);
    dropping->targets[dropping->target_count++] = target;
}

/* Read anew: what V2 saw can be out of date towards objects outside. An edge between members is just
 * forgotten; a member's slot may by now be another object, but an edge to a member that was still in
 * place here was there when the proof closed. */
static GARI__INLINE gari_object *leave(gari_slot *slot)
{
    GARI_PERTURB_EACH("commit.drop");
    return gari__load_relaxed(&slot->pointer);
}

/* Of what has been put aside, what is no member. */
static __attribute__((noinline)) void drop_distant(struct dropping *dropping)
{
    struct gari__pass *pass = dropping->pass;
    uint32_t *state[GARI__DISTANT];
    unsigned count = gari__distant_find(pass, state);
    for (unsigned i = 0; i < count; i++)
        if (!(state[i] && (*state[i] & GARI__MEMBER)))
            count_down_soon(dropping, pass->distant.target[i]);
}

static GARI__INLINE void drop_target(struct dropping *dropping, gari_object *target)
{
    struct gari__pass *pass = dropping->pass;
    const struct gari__near *near = &pass->near;
    if (gari__is_near(near, target)) {
        if (!(near->scratch[gari__near_slot(near, target)] & GARI__MEMBER))
            count_down_soon(dropping, target);
    } else if (!gari__may_be_touched(pass, target)) {
        count_down_soon(dropping, target);
    } else {
        if (gari__distant_full(pass))
            drop_distant(dropping);
        gari__distant_add(pass, target);
    }
}

/* Before the section ends. */
static void drop_rest(struct dropping *dropping)
{
    drop_distant(dropping);
    count_down(dropping);
}

static GARI__INLINE void drop_outgoing(gari_slot *slot, void *arg)
{
    gari_object *target = leave(slot);
    if (target)
        drop_target(arg, target);
}

/* For those whose fields are looked at again: by `reclaim`, or because their memory goes through limbo,
 * which sweeps them. */
static void empty_outgoing(gari_slot *slot, void *arg)
{
    drop_outgoing(slot, arg);
    if (gari__load_relaxed(&slot->pointer)) /* an untouched page of zeros stays one */
        gari__store_relaxed(&slot->pointer, NULL);
}

/* The bits of such slots, of the 64 of which `slot` is one, are to point at nobody any more, before these are
 * anybody's. Who has set the flag has long set the bit, for its section was over before the proof was. Release, with
 * that of gari__block_free: pairs with whoever takes the slot, and may make a candidate there. */
static GARI__INLINE void forget_candidates(struct gari__block *block, uint32_t slot, uint64_t bits)
{
    if (bits)
        gari__fetch_and_acq_rel(gari__candidates_of(block, slot), ~bits);
}

static GARI__INLINE void release_memory(struct dropping *dropping, struct gari__block *block,
                                        const struct gari__shape *shape, gari_object *object)
{
    dropping->objects++;
    dropping->bytes += shape->plain ? shape->type.size : gari__size_of(shape, object);
    GARI_PERTURB_EACH("commit.free");
    uint64_t word = gari__load_relaxed(gari__word_of(object));
    uint32_t slot = gari__slot_of(block, object);
    if (word & GARI__CANDIDATE)
        forget_candidates(block, slot, (uint64_t)1 << (slot % 64));
    if (gari__unlikely(word & GARI__HAS_WEAK) && !GARI_MUTANT(WEAK_NO_GRACE)) {
        /* A weak get that has read the pointer may still look at the word. */
        gari__death_retire(dropping->self, object);
        return;
    }
    gari__free_slot(&dropping->run, block, shape, object);
}

static __attribute__((noinline)) void drop_far(struct dropping *dropping, gari_object *target)
{
    drop_target(dropping, target);
}

/* The same as drop_outgoing. */
static GARI__INLINE void reclaim_field(struct dropping *dropping, const struct gari__near *near,
                                       char *field)
{
    gari_object *target = leave((gari_slot *)(void *)field);
    if (!target)
        return;
    bool known = gari__is_near(near, target) &&
                 (near->scratch[gari__near_slot(near, target)] & GARI__MEMBER);
    if (gari__unlikely(!known))
        drop_far(dropping, target);
}

/* The next members, as long as they lie in the block in hand and have their references in so many fields at
 * fixed offsets: the same as the loop below does, with all that is the block's in registers. Returns what is
 * left of the budget. */
static GARI__INLINE size_t reclaim_many(struct dropping *dropping, size_t left,
                                        const uint32_t fields)
{
    struct gari__pass *pass = dropping->pass;
    const struct gari__near near = pass->near;
    const struct gari__shape *shape = near.shape;
    const uint32_t *offsets = shape->type.refs.offset;
    struct gari__free_run *run = &dropping->run;
    if (run->block != near.block || run->count == 0) {
        gari__free_run_flush(run);
        *run = (struct gari__free_run){near.block, 0, 0, 0};
    }
    struct gari__side *side = near.block->side;
    uint32_t head = run->head;
    /* The candidates among the last of them, of 64 slots. */
    uint32_t group = 0;
    uint64_t bits = 0;
    const struct gari__member *const first = &pass->members[pass->member];
    const struct gari__member *const end = first + gari__members_for(pass, left, fields);
    const struct gari__member *const fetched = (size_t)(end - first) > AHEAD ? end - AHEAD : first;
    const struct gari__member *member = first;
    for (; member < end; member++) {
        gari_object *object = member->object;
        if (!gari__is_near(&near, object) ||
            gari__unlikely(gari__load_relaxed(gari__word_of(object)) & GARI__HAS_WEAK))
            break;
        if (member < fetched)
            __builtin_prefetch(member[AHEAD].object, 1);
        uint64_t word = commit(object);
        GARI_OBSERVE(shape, object);
        if (fields == 2) {
            reclaim_field(dropping, &near, (char *)object + offsets[0]);
            reclaim_field(dropping, &near, (char *)object + offsets[1]);
        } else {
            for (uint32_t i = 0; i < fields; i++)
                reclaim_field(dropping, &near, (char *)object + offsets[i]);
        }
        GARI_PERTURB_EACH("commit.free");
        gari__free_body(near.block, shape, object, gari__load_relaxed(gari__word_of(object)));
        uint32_t at = gari__near_slot(&near, object);
        gari__store_relaxed(&side[at].link, (uint16_t)head);
        head = at + 1;
        if (gari__unlikely(at / 64 != group)) {
            forget_candidates(near.block, group * 64, bits);
            group = at / 64;
            bits = 0;
        }
        bits |= (word & GARI__CANDIDATE) / GARI__CANDIDATE << (at % 64);
    }
    forget_candidates(near.block, group * 64, bits);
    size_t count = (size_t)(member - first), cost = count * (1 + fields);
    if (!run->head && count > 0)
        run->tail = gari__near_slot(&near, first->object) + 1;
    run->head = head;
    run->count += (uint32_t)count;
    pass->member += count;
    dropping->objects += count;
    dropping->bytes += count * shape->type.size;
    return cost < left ? left - cost : 0;
}

/* Each by itself, as in subtract.c. */
static __attribute__((noinline)) size_t reclaim_pairs(struct dropping *dropping, size_t left)
{
    return reclaim_many(dropping, left, 2);
}

static __attribute__((noinline)) size_t reclaim_plain(struct dropping *dropping, size_t left)
{
    return reclaim_many(dropping, left, dropping->pass->near.shape->type.refs.count);
}

static GARI__INLINE size_t reclaim_run(struct dropping *dropping, size_t left)
{
    const struct gari__near *near = &dropping->pass->near;
    if (!near->bytes || !near->shape->plain || near->shape->type.reclaim)
        return left;
    return near->shape->type.refs.count == 2 ? reclaim_pairs(dropping, left)
                                             : reclaim_plain(dropping, left);
}

/* Drops the members' outgoing edges and frees their memory; with `committing` it first takes each
 * one's count to zero, before anything of it is taken apart. */
static inline __attribute__((always_inline)) size_t take_apart(struct gari__pass *pass,
                                                               struct gari__object_thread *self,
                                                               size_t budget, bool committing,
                                                               gari_visit visit)
{
    struct dropping dropping;
    dropping.pass = pass;
    dropping.self = self;
    dropping.run.block = NULL;
    dropping.run.count = 0;
    dropping.objects = dropping.bytes = 0;
    dropping.target_count = 0;
    struct gari__queue *queue = &pass->queue;
    while (pass->member < pass->member_count && budget > 0) {
        size_t room = budget < GARI__EDGES_IN_SECTION ? budget : GARI__EDGES_IN_SECTION;
        size_t left = room;
        /* The section is for the candidates that the edges' targets may become. */
        gari__section_begin();
        while (left > 0 && pass->member < pass->member_count) {
            if (committing && queue->at == 0) {
                size_t before = left;
                left = reclaim_run(&dropping, left);
                if (left < before)
                    continue;
            }
            gari_object *object = pass->members[pass->member].object;
            const struct gari__shape *shape = gari__come_near(pass, object);
            struct gari__block *block = pass->near.block;
            if (committing && queue->at == 0) {
                commit(object);
                GARI_OBSERVE(shape, object);
            }
            size_t to =
                gari__edges(shape, object, queue->at, GARI__EDGES_IN_SECTION, visit, &dropping);
            size_t cost = to == GARI__EDGES_DONE ? 1 + shape->type.refs.count : to - queue->at;
            left -= cost < left ? cost : left;
            queue->at = to == GARI__EDGES_DONE ? 0 : to;
            if (to != GARI__EDGES_DONE)
                continue;
            pass->member++;
            if (!committing && shape->type.reclaim) {
                /* Callbacks are called outside of sections. */
                drop_rest(&dropping);
                gari__section_end();
                gari__collector_rest(true);
                release_memory(&dropping, block, shape, object);
                gari__collector_resume();
                gari__section_begin();
            } else {
                release_memory(&dropping, block, shape, object);
            }
        }
        drop_rest(&dropping);
        gari__section_end();
        budget -= room - left;
    }
    gari__free_run_flush(&dropping.run);
    gari__death_flush(self);
    pass->collected += dropping.objects;
    pass->collected_bytes += dropping.bytes;
    struct gari__tally *tally = &self->heap.tally;
    gari__own_add(&tally->freed_by_cycles, dropping.objects);
    gari__own_add(&tally->freed_bytes, dropping.bytes);
    gari__own_add(&tally->tracked_freed, dropping.objects);
    if (self->pending) {
        size_t most = budget > GARI__DEATH_BUDGET ? budget : GARI__DEATH_BUDGET;
        gari__collector_rest(true);
        size_t cost = most - gari__deaths_run(self, most);
        gari__collector_resume();
        budget -= cost < budget ? cost : budget;
    }
    if (pass->member == pass->member_count) {
        pass->phase = GARI__END;
        pass->member_count = 0;
    }
    return budget;
}

size_t gari__phase_reclaim(struct gari__pass *pass, struct gari__object_thread *self, size_t budget)
{
    return take_apart(pass, self, budget, true, drop_outgoing);
}

size_t gari__phase_drop(struct gari__pass *pass, struct gari__object_thread *self, size_t budget)
{
    self->callbacks++;
    budget = take_apart(pass, self, budget, false, empty_outgoing);
    self->callbacks--;
    return budget;
}

/* Candidates that got no verdict stay candidates. */
static void keep_seeds(struct gari__pass *pass, struct gari__block *block, const uint32_t *scratch)
{
    bool keep = !pass->whole || pass->undecided;
    const uint32_t slots = block->slots;
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (!(scratch[slot] & GARI__SEED))
            continue;
        GARI_PERTURB_EACH("keep");
        uint64_t word = gari__load_relaxed((uint64_t *)gari__slot_at(block, slot));
        if (keep && gari__is_alive(word))
            gari__candidate_keep(block, slot);
        else if (GARI_MUTANT(LATE_FLAG))
            gari__fetch_and_acq_rel((uint64_t *)gari__slot_at(block, slot), ~GARI__CANDIDATE);
        else if (GARI_MUTANT(LATE_CLEAR))
            gari__fetch_and_acq_rel(gari__candidates_of(block, slot),
                                    ~((uint64_t)1 << (slot % 64)));
    }
}

size_t gari__phase_end(struct gari__pass *pass, struct gari__object_thread *self, size_t budget)
{
    if (pass->committed + pass->released < pass->held_count)
        return gari__aside_release(pass, self, budget);
    /* Only now: weak references that died with their objects have taken their callbacks back. */
    gari__finalize_queue_callbacks(pass->calls);
    pass->calls = NULL;
    while (pass->touched && budget > 0) {
        struct gari__block *block = pass->touched;
        uint32_t *scratch = gari__load_relaxed(&block->scratch[pass->which]);
        pass->touched = block->touched_next[pass->which];
        size_t cost = 1;
        if (pass->has_seeds) {
            keep_seeds(pass, block, scratch);
            cost += block->slots / 4;
        }
        if (pass->swept)
            cost += GARI__SEEDS_BLOCK + gari__seeds_swept(block);
        budget -= cost < budget ? cost : budget;
        /* Last: without the hold the block may go. */
        gari__block_set_scratch(block, pass->which, NULL);
        gari__scratch_free(scratch);
    }
    if (!pass->touched)
        pass->phase = GARI__IDLE;
    return budget;
}
