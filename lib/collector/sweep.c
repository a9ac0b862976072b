/* The guess of a young collection that expects to find mostly garbage: all young objects in the blocks
 * that have young candidates are suspected, as they lie in memory, and the proof sorts out what lives.
 * Its first look at the words, V1, is this one; V2 counts the edges of all of them; what V3 refuses
 * leaves the set with all that it reaches. That is one walk over the edges where GATHER, SCAN and V2
 * are two, and without looking for what is reached.
 *
 * What is garbage with something that lies in another block is not found here. It is still a candidate,
 * and its next collection, which is older, looks for all that it reaches. So is what is young and not
 * swept: blocks of types that have a traverse callback (a sweep would call it for objects that their
 * maker has not told anybody of), and objects that have a block of their own. One of these among the
 * candidates, and nothing is swept. */
#include "concurrency/clock.h"
#include "lib/collector/walk.h"

/* Slots that cost as much as one edge when there is nothing to be looked at in them. */
#define EMPTY_SLOTS 8u

bool gari__may_be_swept(struct gari__block *block)
{
    return block->slots > 1 && !gari__shape_of_block(block)->type.traverse;
}

enum gari__phases gari__sweep_begin(struct gari__pass *pass)
{
    GARI_PERTURB_AT("sweep.begin");
    /* A late death in progress may have found a block quiet before it had a scratch array
     * (gari__block_is_quiet), and frees without a grace period what would be looked at here. One that begins
     * from here on sees the arrays. They are not waited for: there may always be one. */
    if (gari__walks_barred() && !GARI_MUTANT(NO_SWEEP_WAIT))
        return GARI__GATHER;
    pass->swept = true;
    pass->queue.count = 0;
    pass->block = pass->touched;
    pass->slot = 0;
    GARI_PERTURB_STEP(V1_BEGIN);
    pass->looked_ns = gari__now_ns();
    return GARI__SWEEP;
}

static size_t sweep_block(struct gari__pass *pass, struct gari__block *block, size_t budget)
{
    uint32_t *scratch = gari__load_relaxed(&block->scratch[pass->which]);
    const struct gari__side *side = block->side;
    const uint64_t since = pass->since, epoch = pass->epoch;
    const uint32_t carved = gari__load_acquire(&block->carved), size = block->slot_size;
    uint32_t slot = pass->slot;
    char *place = gari__slot_at(block, slot);
    uint64_t words = 0, candidates = 0;
    size_t cost = 0, most = budget < SIZE_MAX / EMPTY_SLOTS ? budget * EMPTY_SLOTS : SIZE_MAX;
    /* So much room, as long as there is memory. */
    bool grows = true;
    while (grows && pass->member_room - pass->member_count < carved - slot)
        grows = gari__members_grow(pass);
    const size_t before = pass->member_count;
    struct gari__member *member = &pass->members[before], *end = &pass->members[pass->member_room];
    for (; slot < carved && cost < most; slot++, place += size) {
        cost++;
        if (!gari__born_between(gari__load_relaxed(&side[slot].birth), since, epoch))
            continue;
        gari_object *object = (gari_object *)(void *)place;
        GARI_PERTURB_EACH("proof.v1");
        uint64_t word = gari__load_acquire(gari__word_of(object));
        uint64_t count = gari__count_of(word);
        if (count == 0 || count > GARI__NUMBER_MASK || (word & GARI__IMMORTAL))
            continue;
        if (gari__unlikely(member == end)) {
            pass->undecided = pass->members_full = true;
            break;
        }
        *member++ = (struct gari__member){object, word};
        scratch[slot] |= GARI__REACHED | GARI__MEMBER | (uint32_t)count;
        words |= word;
        candidates += (word & GARI__CANDIDATE) != 0;
        cost += EMPTY_SLOTS - 1;
    }
    pass->slot = slot < carved && !pass->members_full ? slot : block->slots;
    pass->member_count = (size_t)(member - pass->members);
    const size_t found = pass->member_count - before;
    pass->examined += found;
    pass->candidates += candidates;
    if (found)
        gari__member_types(pass, gari__shape_of_block(block), words);
    cost /= EMPTY_SLOTS;
    return cost < budget ? budget - cost : 0;
}

size_t gari__phase_sweep(struct gari__pass *pass, size_t budget)
{
    while (pass->block && budget > 0) {
        budget = sweep_block(pass, pass->block, budget);
        if (pass->slot == pass->block->slots) {
            pass->block = pass->block->touched_next[pass->which];
            pass->slot = 0;
            budget -= budget > 0;
        }
    }
    if (!pass->block)
        gari__proof_begin(pass);
    return budget;
}
