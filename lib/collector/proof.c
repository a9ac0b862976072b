/* The proof: G is garbage if V1, V2, V3, a grace period and RC all agree (docs/protocol.md).
 *
 * Every step here is a pass of its own over all members; that each is finished before the next
 * begins is part of the argument, and so is the order of the reads: each is an acquire. */
#include "concurrency/clock.h"
#include "concurrency/grace.h"
#include "concurrency/word.h"
#include "lib/collector/pass.h"
#include "lib/object/count.h"
#include "lib/object/edges.h"

/* Rounds on a shrinking set before the rest is left for another pass. */
#define ATTEMPTS 16u

/* Two looks at a word lie closer than its version can wrap: 2^32 new references to one object take
 * more than four seconds at one a nanosecond. */
#define LOOK_NS 1000000000u
#define LOOK_LIMIT_NS 4000000000u

static void exclude(struct gari__pass *pass, gari_object *object, uint32_t *state)
{
    *state = (*state & ~GARI__MEMBER) | GARI__LIVE;
    gari__queue_push(pass, object);
}

static void exclude_edge(gari_slot *slot, void *arg)
{
    struct gari__pass *pass = arg;
    gari_object *target = gari__load_acquire(&slot->pointer);
    struct gari__block *block;
    uint32_t *state = target ? gari__scratch_at(pass, target, &block) : NULL;
    if (state && (*state & GARI__MEMBER))
        exclude(pass, target, state);
}

static void end_phase(struct gari__pass *pass, enum gari__phases next)
{
    pass->phase = next;
    pass->member = 0;
    GARI_PERTURB_POINT();
}

static void begin_again(struct gari__pass *pass)
{
    if (++pass->attempts <= ATTEMPTS) {
        end_phase(pass, GARI__V1);
        return;
    }
    pass->undecided = true;
    pass->phase = GARI__END;
}

/* What was excluded takes with it all that it reaches, and the proof begins anew with V1 and a new
 * grace period on what is left: the safe way to shrink (design.md section 5). */
static void shrink(struct gari__pass *pass)
{
    if (GARI_MUTANT(BAD_SHRINK))
        pass->queue.count = 0;
    while (!pass->out_of_memory && (pass->queue.current = gari__queue_pop(&pass->queue)) != NULL) {
        while (pass->queue.current)
            gari__walk_some(pass, exclude_edge);
    }
    if (pass->out_of_memory) {
        /* Not all that the excluded reach is known: nothing may be concluded. */
        pass->undecided = true;
        pass->phase = GARI__END;
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < pass->member_count; i++) {
        struct gari__block *block;
        if (*gari__scratch_at(pass, pass->members[i].object, &block) & GARI__MEMBER)
            pass->members[kept++] = pass->members[i];
    }
    pass->member_count = kept;
    pass->failed = false;
    if (kept == 0) {
        pass->phase = GARI__END;
        return;
    }
    begin_again(pass);
    if (GARI_MUTANT(BAD_SHRINK))
        pass->phase = GARI__COMMIT;
}

static void count_edge(gari_slot *slot, void *arg)
{
    struct gari__pass *pass = arg;
    gari_object *target = gari__load_acquire(&slot->pointer);
    struct gari__block *block;
    uint32_t *state = target ? gari__scratch_at(pass, target, &block) : NULL;
    if (state && (*state & GARI__MEMBER))
        ++*state;
}

static void clear_edges(struct gari__pass *pass, gari_object *object)
{
    struct gari__block *block;
    *gari__scratch_at(pass, object, &block) &= ~GARI__EDGES_MASK;
}

static size_t v1(struct gari__pass *pass, size_t budget)
{
    if (pass->member == 0) {
        pass->looked_ns = gari__now_ns();
        for (size_t i = 0; GARI_MUTANT(INTERLEAVED_V1) && i < pass->member_count; i++)
            clear_edges(pass, pass->members[i].object);
    }
    for (; pass->member < pass->member_count && budget > 0; budget--) {
        struct gari__member *member = &pass->members[pass->member];
        member->word = gari__load_acquire(gari__word_of(member->object));
        if (gari__is_alive(member->word) && !(member->word & GARI__IMMORTAL)) {
            pass->member++;
            if (GARI_MUTANT(INTERLEAVED_V1)) {
                pass->queue.current = member->object;
                while (pass->queue.current)
                    gari__walk_some(pass, count_edge);
                GARI_PERTURB_POINT();
            } else {
                clear_edges(pass, member->object);
            }
            continue;
        }
        /* Dying by itself: not ours to free. Immortal: never to be freed. */
        struct gari__block *block;
        uint32_t *state = gari__scratch_at(pass, member->object, &block);
        *state = (*state & ~GARI__MEMBER) | GARI__LIVE;
        *member = pass->members[--pass->member_count];
    }
    if (pass->member == pass->member_count) {
        pass->look = pass->member_count;
        end_phase(pass, GARI_MUTANT(INTERLEAVED_V1) ? GARI__V3 : GARI__V2);
        if (pass->member_count == 0)
            pass->phase = GARI__END;
    }
    return budget;
}

static size_t v2(struct gari__pass *pass, size_t budget)
{
    while (pass->member < pass->member_count && budget > 0) {
        if (!pass->queue.current)
            pass->queue.current = pass->members[pass->member].object;
        size_t cost = gari__walk_some(pass, count_edge);
        budget -= cost < budget ? cost : budget;
        if (!pass->queue.current)
            pass->member++;
    }
    if (pass->member == pass->member_count)
        end_phase(pass, GARI__V3);
    return budget;
}

static size_t v3(struct gari__pass *pass, size_t budget)
{
    for (; pass->member < pass->member_count && budget > 0; pass->member++, budget--) {
        struct gari__member *member = &pass->members[pass->member];
        struct gari__block *block;
        uint32_t *state = gari__scratch_at(pass, member->object, &block);
        if ((*state & GARI__EDGES_MASK) != gari__count_of(member->word)) {
            exclude(pass, member->object, state);
            pass->failed = true;
        }
    }
    if (pass->member < pass->member_count)
        return budget;
    if (pass->failed) {
        shrink(pass);
        return budget;
    }
    end_phase(pass, GARI__GRACE);
    pass->ticket = GARI_MUTANT(NO_GRACE) ? 0 : gari__grace_ticket();
    pass->look = pass->member_count;
    return budget;
}

/* RC, and the looks on the way to it: has any word changed since V1? */
static bool recheck(struct gari__pass *pass, size_t *at, size_t *budget)
{
    for (; *at<pass->member_count && * budget> 0; ++*at, --*budget) {
        struct gari__member *member = &pass->members[*at];
        uint64_t word = gari__load_acquire(gari__word_of(member->object));
        if (!gari__same_references(word, member->word) && !GARI_MUTANT(NO_RECHECK)) {
            struct gari__block *block;
            exclude(pass, member->object, gari__scratch_at(pass, member->object, &block));
            pass->failed = true;
        }
    }
    return *at == pass->member_count;
}

static size_t rc(struct gari__pass *pass, size_t budget)
{
    if (!recheck(pass, &pass->member, &budget))
        return budget;
    uint64_t now = gari__now_ns();
    if (pass->failed)
        shrink(pass);
    else if (now - pass->looked_ns > LOOK_LIMIT_NS)
        begin_again(pass);
    else
        end_phase(pass, GARI__COMMIT);
    return budget;
}

/* Between V1 and RC, every second or so: a look at all the words, in slices. */
static size_t look_again(struct gari__pass *pass, size_t budget)
{
    if (pass->look == pass->member_count) {
        pass->look = 0;
        pass->looked_ns = gari__now_ns();
    }
    if (recheck(pass, &pass->look, &budget) && pass->failed) {
        pass->queue.current = NULL;
        pass->queue.at = 0;
        shrink(pass);
    }
    return budget;
}

static bool wants_look(const struct gari__pass *pass)
{
    return pass->look < pass->member_count || gari__now_ns() - pass->looked_ns > LOOK_NS;
}

bool gari__proof_waits(const struct gari__pass *pass)
{
    return pass->phase == GARI__GRACE && !gari__grace_passed(pass->ticket) && !wants_look(pass);
}

size_t gari__phase_proof(struct gari__pass *pass, size_t budget)
{
    switch (pass->phase) {
    case GARI__V1:
        return v1(pass, budget);
    case GARI__V2:
        if (wants_look(pass))
            return look_again(pass, budget);
        return v2(pass, budget);
    case GARI__V3:
        return v3(pass, budget);
    case GARI__GRACE:
        if (wants_look(pass))
            return look_again(pass, budget);
        if (!gari__grace_passed(pass->ticket))
            return 0;
        end_phase(pass, GARI__RC);
        return budget;
    default:
        return rc(pass, budget);
    }
}
