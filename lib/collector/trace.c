/* The guess: which of the objects that the candidates reach are held from outside? Reads words and
 * fields as it comes to them, while threads change both; a wrong guess costs time, nothing else. */
#include "concurrency/clock.h"
#include "lib/collector/distant.h"
#include "lib/collector/seeds.h"

/* What takes about as long as an edge to a near object: to make a block a scratch array, to take a candidate, and to
 * read the word of what has been reached, in such edges; so many bits that are only looked at; and what an edge costs
 * besides if it leads far away, mostly to where nothing is in a cache, the more so in an old heap. */
#define TOUCH_COST 24u
#define SEED_COST 3u
#define LOOK_COST 2u
#define CHOICES 8u
#define FAR_COST 3u
#define FAR_COST_OLD 5u
/* Near edges between two counts of the far ones. */
#define GATHER_PART 128u

/* Whether what was born then, and what was born before it, is too old for the pass. */
static inline bool older(uint16_t stamp, const struct gari__pass *pass)
{
    int16_t age = (int16_t)(uint16_t)((uint16_t)pass->epoch - stamp);
    uint64_t oldest = pass->epoch - pass->since;
    return oldest < GARI__OLDEST && age > (int16_t)oldest;
}

void gari__pass_begin(struct gari__pass *pass, int generation, uint64_t since, uint64_t young_since,
                      uint64_t frozen)
{
    int which = pass->which;
    struct gari__queue queue = pass->queue;
    struct gari__member *members = pass->members;
    size_t room = pass->member_room;
    queue.count = queue.fetch_count = 0;
    queue.current = NULL;
    queue.at = 0;
    GARI_PERTURB_AT("whole.begin");
    *pass = (struct gari__pass){.which = which,
                                .phase = GARI__SEEDING,
                                .generation = generation,
                                .whole = since == 0,
                                .since = since > frozen ? since : frozen,
                                .frozen = frozen,
                                .young_since = young_since,
                                .epoch = gari__epoch,
                                .queue = queue,
                                .members = members,
                                .member_room = room};
}

/* Permanent objects are no candidates: gari_unfreeze makes all of them some. As everywhere the bit is
 * cleared before the object is looked at: the slot may have been born again. */
static void drop_frozen(const struct gari__pass *pass, struct gari__block *block, uint32_t slot)
{
    uint64_t *word = gari__candidates_of(block, slot), bit = (uint64_t)1 << (slot % 64);
    gari__fetch_and_acq_rel(word, ~bit);
    if (!gari__born_before(gari__load_relaxed(&block->side[slot].birth), pass->frozen))
        gari__fetch_or_acq_rel(word, bit);
}

/* Which of the 64 candidates from slot `first` on this pass takes; notes of what age others are. */
static uint64_t choose(struct gari__pass *pass, struct gari__block *block, uint32_t first,
                       uint64_t bits)
{
    /* By what it has in view, not by what is permanent now: that may have come back since it began. */
    if (pass->since == 0)
        return bits;
    uint64_t mine = 0;
    for (; bits; bits &= bits - 1) {
        uint32_t slot = first + (uint32_t)__builtin_ctzll(bits);
        uint16_t birth = gari__load_relaxed(&block->side[slot].birth);
        if (gari__born_between(birth, pass->since, pass->epoch))
            mine |= bits & -bits;
        else if (pass->frozen && gari__born_before(birth, pass->frozen))
            drop_frozen(pass, block, slot);
        else if (gari__born_before(birth, pass->young_since))
            pass->keeps_old = true;
        else
            pass->keeps_young = true; /* left for a young pass: it is of generation 0 or 1 */
    }
    return mine;
}

static void seed(struct gari__pass *pass, struct gari__block *block, uint32_t *scratch,
                 uint32_t slot)
{
    gari_object *object = gari__slot_at(block, slot);
    GARI_PERTURB_EACH("seed.word");
    uint64_t word = gari__load_acquire(gari__word_of(object));
    /* Before anything else of the object is read. Acquire: pairs with those who found the flag set. Who
     * sets it after the look sets the bit after it was taken. If another object has been born here between
     * the two, and is being made a candidate, this takes the flag from that; which is then what is looked at. */
    if ((word & GARI__CANDIDATE) && !GARI_MUTANT(LATE_FLAG))
        word = gari__fetch_and_acq_rel(gari__word_of(object), ~GARI__CANDIDATE);
    if (!gari__is_alive(word) || (word & GARI__IMMORTAL))
        return;
    pass->candidates++;
    pass->has_seeds = true;
    if (!(scratch[slot] & GARI__REACHED)) {
        scratch[slot] |= GARI__REACHED | GARI__SEED;
        if (gari__unlikely(!gari__queue_add(pass, object))) {
            scratch[slot] &= ~GARI__REACHED;
            pass->spilled = true;
        }
    }
}

/* Whether one of those 64 is alive and a candidate: the bits alone do not say so. */
static bool any_flagged(struct gari__block *block, uint32_t first, uint64_t bits)
{
    for (; bits; bits &= bits - 1) {
        uint32_t slot = first + (uint32_t)__builtin_ctzll(bits);
        uint64_t word = gari__load_relaxed((uint64_t *)gari__slot_at(block, slot));
        if ((word & GARI__CANDIDATE) && gari__is_alive(word))
            return true;
    }
    return false;
}

/* Enters the candidates of one block, from pass->slot on, up to its end or that of the budget; notes
 * whether it keeps young ones, old ones. */
static size_t seed_block(struct gari__pass *pass, struct gari__block *block, size_t budget)
{
    uint16_t newest = gari__load_relaxed(&block->last_birth);
    uint32_t first = pass->slot;
    pass->slot = block->slots;
    if (!gari__load_relaxed(&block->scratch[pass->which]) && !gari__tables_take_seeds(pass)) {
        pass->keeps_young = true;
        return budget;
    }
    if (older(newest, pass)) {
        *(gari__born_before(newest, pass->young_since) ? &pass->keeps_old : &pass->keeps_young) =
            true;
        return budget;
    }
    if (!GARI_MUTANT(OPENED_LATE))
        gari__candidates_open(block);
    for (; first < block->slots && budget > 0; first += 64) {
        uint64_t *word = gari__candidates_of(block, first);
        uint64_t bits = gari__load_seq_cst(word);
        if (bits == 0)
            continue;
        size_t cost = 1 + (size_t)__builtin_popcountll(bits) / CHOICES;
        bits = choose(pass, block, first, bits);
        cost += (size_t)__builtin_popcountll(bits) * SEED_COST;
        budget -= cost < budget ? cost : budget;
        if (bits == 0)
            continue;
        if (!gari__load_relaxed(&block->scratch[pass->which]))
            budget -= TOUCH_COST < budget ? TOUCH_COST : budget;
        uint32_t *scratch = gari__pass_touch(pass, block);
        if (!scratch) {
            pass->keeps_young = true;
            return budget;
        }
        pass->may_sweep &= gari__may_be_swept(block);
        /* One is enough for a sweep, which takes none: they stay what they are unless they are reclaimed. */
        if (pass->may_sweep && any_flagged(block, first, bits)) {
            pass->keeps_young = pass->has_left = true;
            return budget;
        }
        GARI_PERTURB_EACH("seed");
        /* Before anything of the objects is read: a reference that goes after this makes its object
         * a candidate again. Acquire: pairs with gari__candidate_keep. */
        if (!GARI_MUTANT(LATE_CLEAR))
            gari__fetch_and_acq_rel(word, ~bits);
        for (uint64_t rest = bits; rest; rest &= rest - 1)
            __builtin_prefetch(gari__slot_at(block, first + (uint32_t)__builtin_ctzll(rest)), 1);
        for (; bits; bits &= bits - 1)
            seed(pass, block, scratch, first + (uint32_t)__builtin_ctzll(bits));
    }
    pass->slot = first < block->slots ? first : block->slots;
    GARI_PERTURB_STEP(SEEDED);
    if (GARI_MUTANT(OPENED_LATE))
        gari__candidates_open(block);
    return budget;
}

/* All that has become a candidate so far, and perhaps more. False: the budget is used up. */
static bool take_candidates(struct gari__pass *pass, size_t *budget)
{
    if (!gari__seeds_take_dirty(&pass->began_taking, budget))
        return false;
    pass->has_taken = true;
    /* What a pass that was short of memory has tried comes to the head of the list; so the last one comes
     * first now, and all have their turn. */
    gari__seeds_detach(pass->which, gari__tables_were_short());
    pass->block = gari__seeds_next(pass->which);
    return true;
}

size_t gari__phase_seed(struct gari__pass *pass, size_t budget)
{
    if (!pass->has_taken && !take_candidates(pass, &budget))
        return 0;
    while (pass->block && budget > 0) {
        struct gari__block *block = pass->block;
        budget = seed_block(pass, block, budget);
        if (pass->slot < block->slots)
            break;
        pass->block = gari__seeds_next(pass->which);
        /* It may have got candidates where this has been, and been taken from the dirty ones since. */
        if (pass->keeps_young || pass->keeps_old || block->gathered_young)
            gari__seeds_put_back(block, pass->keeps_young, pass->young_since);
        else
            gari__seeds_release(block);
        pass->slot = 0;
        pass->keeps_young = pass->keeps_old = false;
        budget -= GARI__SEEDS_BLOCK < budget ? GARI__SEEDS_BLOCK : budget;
    }
    if (!pass->block) {
        pass->seeded = pass->blocks;
        if (pass->whole) {
            /* Only now: whatever made an object a candidate that was just taken happened before
             * this, so all of that garbage was born before it, and a candidate that is found to be
             * held by a newborn may be dropped. */
            GARI_PERTURB_AT("whole.boundary");
            gari__epoch_advance();
            pass->epoch = gari__epoch;
        }
        pass->phase = pass->may_sweep ? gari__sweep_begin(pass) : GARI__GATHER;
        if (pass->phase == GARI__GATHER && pass->has_left) {
            /* What was left for a sweep is to be taken after all. */
            pass->phase = GARI__SEEDING;
            pass->has_left = pass->may_sweep = pass->began_taking = pass->has_taken = false;
        }
    }
    return budget;
}

static GARI__INLINE void gather(struct gari__pass *pass, gari_object *target,
                                const struct gari__side *side, uint32_t *scratch)
{
    if (!gari__born_between(gari__load_relaxed(&side->birth), pass->since, pass->epoch))
        return;
    uint32_t state = *scratch;
    *scratch = (state | GARI__REACHED) + 1;
    if (!(state & GARI__REACHED) && gari__unlikely(!gari__queue_add(pass, target))) {
        *scratch = state + 1;
        pass->spilled = true;
    }
}

/* The first object of its block that the pass reaches, if it is one that it may look at. */
static __attribute__((noinline)) void gather_first(struct gari__pass *pass,
                                                   struct gari__block *block, uint32_t index,
                                                   gari_object *target)
{
    uint16_t birth = gari__load_relaxed(&block->side[index].birth);
    uint32_t *scratch = NULL;
    if (gari__born_between(birth, pass->since, pass->epoch))
        scratch = gari__scratch_new(pass, block);
    if (scratch)
        gather(pass, target, &block->side[index], &scratch[index]);
}

static __attribute__((noinline)) void gather_distant(struct gari__pass *pass)
{
    struct gari__distant *distant = &pass->distant;
    struct gari__block *block[GARI__DISTANT];
    unsigned count = distant->count, inside = 0;
    for (unsigned i = 0; i < count; i++) {
        block[i] = gari__block_of(distant->target[i]);
        __builtin_prefetch(block[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        struct gari__block *there = block[i];
        if (!there->tracked || older(gari__load_relaxed(&there->last_birth), pass))
            continue;
        gari_object *target = distant->target[i];
        uint32_t index = gari__slot_of(there, target);
        uint32_t *scratch = gari__load_relaxed(&there->scratch[pass->which]);
        __builtin_prefetch(&there->side[index]);
        if (gari__likely(scratch != NULL))
            __builtin_prefetch(&scratch[index], 1);
        distant->target[inside] = target;
        block[inside++] = there;
    }
    for (unsigned i = 0; i < inside; i++) {
        gari_object *target = distant->target[i];
        uint32_t index = gari__slot_of(block[i], target);
        uint32_t *scratch = gari__load_relaxed(&block[i]->scratch[pass->which]);
        if (gari__likely(scratch != NULL))
            gather(pass, target, &block[i]->side[index], &scratch[index]);
        else
            gather_first(pass, block[i], index, target);
    }
    distant->count = 0;
}

static GARI__INLINE void gather_edge(gari_slot *slot, void *arg)
{
    struct gari__pass *pass = arg;
    GARI_PERTURB_EACH("gather");
    gari_object *target = gari__load_acquire(&slot->pointer);
    if (!target)
        return;
    gari__checked_visit(slot, target);
    const struct gari__near *near = &pass->near;
    if (gari__is_near(near, target)) {
        uint32_t index = gari__near_slot(near, target);
        gather(pass, target, &near->side[index], &near->scratch[index]);
        return;
    }
    pass->far++;
    if (gari__distant_full(pass))
        gather_distant(pass);
    gari__distant_add(pass, target);
}

/* Puts what did not fit into the queue there, from where the pass is in the touched blocks on, until it
 * is full again. */
static size_t requeue(struct gari__pass *pass, size_t budget)
{
    while (pass->block && budget > 0) {
        struct gari__block *block = pass->block;
        uint32_t *scratch = gari__load_relaxed(&block->scratch[pass->which]);
        for (; pass->slot < block->slots; pass->slot++) {
            uint32_t state = scratch[pass->slot];
            if ((state & GARI__REACHED) || !(state & (GARI__SEED | GARI__NUMBER_MASK)))
                continue;
            if (!gari__queue_add(pass, gari__slot_at(block, pass->slot))) {
                /* With no room at all it would never end. */
                pass->out_of_memory = pass->queue.count == 0;
                return budget;
            }
            scratch[pass->slot] |= GARI__REACHED;
        }
        pass->block = block->touched_next[pass->which];
        pass->slot = 0;
        size_t cost = 1 + block->slots / 16;
        budget -= cost < budget ? cost : budget;
    }
    return budget;
}

/* As gari__walk returns. */
static size_t gather_queued(struct gari__pass *pass, size_t budget)
{
    const size_t far_cost = pass->which == GARI__OLD ? FAR_COST_OLD : FAR_COST;
    size_t left = 0;
    while (left == 0 && budget > 0) {
        size_t part = budget < GATHER_PART ? budget : GATHER_PART;
        pass->far = 0;
        left =
            gari__walk_runs(pass, part, gari__no_run, gari__queue_pop, gather_edge, gather_distant);
        size_t cost = part - left + pass->far * far_cost;
        budget -= cost < budget ? cost : budget;
    }
    return left > 0 && budget == 0 ? 1 : budget;
}

size_t gari__phase_gather(struct gari__pass *pass, size_t budget)
{
    budget = gather_queued(pass, budget);
    while (gari__unlikely(pass->spilled || pass->block) && budget > 0 && !pass->out_of_memory) {
        if (!pass->block) {
            pass->spilled = false;
            pass->block = pass->touched;
            pass->slot = 0;
        }
        budget = requeue(pass, budget);
        budget = gather_queued(pass, budget);
    }
    if (budget > 0 && !pass->out_of_memory) {
        GARI_PERTURB_STEP(V1_BEGIN);
        pass->phase = GARI__SCAN;
        pass->block = pass->touched;
        pass->slot = 0;
        pass->looked_ns = gari__now_ns();
    }
    return budget;
}

static GARI__INLINE void live(struct gari__pass *pass, gari_object *target, uint32_t *state)
{
    if ((*state & (GARI__REACHED | GARI__LIVE)) != GARI__REACHED)
        return;
    if (*state & GARI__MEMBER)
        pass->demoted = true;
    *state = (*state & ~GARI__MEMBER) | GARI__LIVE;
    gari__queue_add(pass, target);
}

static __attribute__((noinline)) void live_distant(struct gari__pass *pass)
{
    gari__distant_settle(pass, live);
}

static GARI__INLINE void live_edge(gari_slot *slot, void *arg)
{
    gari_object *target = gari__load_acquire(&slot->pointer);
    if (target)
        gari__distant_meet(arg, target, live, live_distant);
}

/* Members that have turned out to be live make room for others. */
static void drop_demoted(struct gari__pass *pass)
{
    size_t kept = 0;
    for (size_t i = 0; i < pass->member_count; i++) {
        if (*gari__scratch_at(pass, pass->members[i].object) & GARI__MEMBER)
            pass->members[kept++] = pass->members[i];
    }
    pass->member_count = kept;
    pass->members_full = pass->demoted = false;
}

/* Looks at the block's objects up to one that is held from outside: what that reaches comes first, so
 * that little is taken for a member that is not. */
static size_t scan_block(struct gari__pass *pass, struct gari__block *block, size_t budget)
{
    uint32_t *scratch = gari__load_relaxed(&block->scratch[pass->which]);
    uint32_t slot = pass->slot, begin = slot;
    uint64_t words = 0;
    for (; slot < block->slots && budget > 0 && pass->queue.count == 0; slot++) {
        uint32_t state = scratch[slot];
        if ((state & (GARI__REACHED | GARI__LIVE)) != GARI__REACHED)
            continue;
        budget -= LOOK_COST < budget ? LOOK_COST : budget;
        pass->examined++;
        gari_object *object = gari__slot_at(block, slot);
        GARI_PERTURB_EACH("scan.live");
        GARI_PERTURB_EACH("proof.v1");
        uint64_t word = gari__load_acquire(gari__word_of(object));
        uint64_t count = gari__count_of(word);
        if (!gari__is_counted(word)) {
            /* Dying by itself, or about to be finalized: not ours to free. */
            scratch[slot] = state | GARI__LIVE;
        } else if ((word & GARI__IMMORTAL) || count > (state & GARI__NUMBER_MASK) ||
                   !gari__member_add(pass, object, word)) {
            scratch[slot] = state | GARI__LIVE;
            gari__queue_add(pass, object);
        } else {
            scratch[slot] = (state & ~GARI__NUMBER_MASK) | GARI__MEMBER | (uint32_t)count;
            words |= word;
        }
    }
    pass->slot = slot;
    if (words)
        gari__member_types(pass, gari__shape_of_block(block), words);
    size_t cost = (slot - begin) / 16; /* an empty stretch costs something too */
    return cost < budget ? budget - cost : 0;
}

size_t gari__phase_scan(struct gari__pass *pass, size_t budget)
{
    while (budget > 0 && !pass->out_of_memory) {
        budget =
            gari__walk_runs(pass, budget, gari__no_run, gari__queue_pop, live_edge, live_distant);
        if (budget == 0 || pass->out_of_memory)
            break;
        if (gari__unlikely(pass->members_full && pass->demoted))
            drop_demoted(pass);
        if (!pass->block) {
            gari__proof_begin(pass);
            break;
        }
        budget = scan_block(pass, pass->block, budget);
        if (pass->slot == pass->block->slots) {
            pass->block = pass->block->touched_next[pass->which];
            pass->slot = 0;
            budget -= budget > 0;
        }
    }
    return budget;
}
