/* The proof: G is garbage if V1, V2, V3, a grace period and RC all agree (docs/protocol.md).
 *
 * Every step here is over all members, and finished before the next begins; that is part of the
 * argument, and so is the order of the reads: each is an acquire. SCAN's reading of the words is the
 * first V1: all of it lies before V2. */
#include "concurrency/clock.h"
#include "concurrency/grace.h"
#include "concurrency/look.h"
#include "lib/collector/distant.h"

/* Rounds on a shrinking set before the rest is left for another pass. */
#define ATTEMPTS 16u

/* Two looks at a word lie closer than its version can wrap: 2^32 new references to one object take
 * more than four seconds at one a nanosecond. From the end of one to the beginning of the next it is a second. */
#define LOOK_NS 1000000000u
#define LOOK_LIMIT_NS 4000000000u

/* Whether a version may have wrapped in a word since a look at all of them that began then. */
static bool too_late(uint64_t looked_ns)
{
    return gari__now_ns() - looked_ns > LOOK_LIMIT_NS;
}

/* Members are read in the order of their places in memory; how far ahead they are fetched. */
#define AHEAD 8u

void gari__proof_exclude(struct gari__pass *pass, gari_object *object, uint32_t *state)
{
    *state = (*state & ~GARI__MEMBER) | GARI__LIVE;
    if (!gari__queue_add(pass, object))
        pass->recount = true;
}

static GARI__INLINE void exclude(struct gari__pass *pass, gari_object *target, uint32_t *state)
{
    if (*state & GARI__MEMBER)
        gari__proof_exclude(pass, target, state);
}

static __attribute__((noinline)) void exclude_distant(struct gari__pass *pass)
{
    gari__distant_settle(pass, exclude);
}

static GARI__INLINE void exclude_edge(gari_slot *slot, void *arg)
{
    GARI_PERTURB_EACH("shrink.walk");
    gari_object *target = gari__load_acquire(&slot->pointer);
    if (target)
        gari__distant_meet(arg, target, exclude, exclude_distant);
}

static void end_phase(struct gari__pass *pass, enum gari__phases next)
{
    pass->phase = next;
    pass->member = 0;
    GARI_PERTURB_POINT();
}

static void begin_v2(struct gari__pass *pass)
{
    GARI_PERTURB_STEP(V1_END);
    pass->look = pass->member_count;
    pass->look_end_ns = gari__now_ns();
    pass->queue.current = NULL; /* V2 may have been left in the middle of an object */
    pass->queue.at = 0;
    pass->matched = 0;
    pass->counted = pass->recount = pass->hesitant = false;
    end_phase(pass, pass->member_count ? GARI__V2 : GARI__END);
}

/* The proof has failed: its tags are taken back before anything else is done. */
static void leave_proof(struct gari__pass *pass, enum gari__phases next)
{
    if (pass->tagged) {
        gari__gate_shut();
        pass->tagged = false;
        pass->next = next;
        next = GARI__UNTAG;
    }
    end_phase(pass, next);
}

static void begin_again(struct gari__pass *pass)
{
    pass->sifted = pass->split = pass->reported = false;
    if (++pass->attempts <= ATTEMPTS) {
        GARI_PERTURB_STEP(V1_BEGIN);
        leave_proof(pass, GARI__V1);
        return;
    }
    pass->undecided = true;
    leave_proof(pass, GARI__END);
}

void gari__proof_begin(struct gari__pass *pass)
{
    pass->kept = 0;
    if (pass->demoted)
        end_phase(pass, GARI__COMPACT);
    else if (gari__now_ns() - pass->looked_ns > LOOK_NS)
        begin_again(pass); /* the scan took long: its words are old */
    else
        begin_v2(pass);
}

/* What was excluded takes with it all that it reaches. If it is V3 that has refused it, the edges that V2
 * has counted to what is left all come from there, or from what has been looked at again: then the proof
 * goes on (compact). Otherwise it begins anew, with V1 and a new grace period. */
static void begin_shrink(struct gari__pass *pass)
{
    GARI_PERTURB_AT("shrink");
    if (GARI_MUTANT(BAD_SHRINK))
        pass->queue.count = 0;
    pass->queue.current = NULL;
    pass->queue.at = 0;
    leave_proof(pass, GARI__SHRINK);
}

static size_t shrink(struct gari__pass *pass, size_t budget)
{
    budget =
        gari__walk_runs(pass, budget, gari__no_run, gari__queue_pop, exclude_edge, exclude_distant);
    if (budget > 0 && !pass->out_of_memory) {
        pass->kept = 0;
        end_phase(pass, GARI__COMPACT);
    }
    return budget;
}

static inline void swap(struct gari__member *a, struct gari__member *b)
{
    struct gari__member old = *a;
    *a = *b;
    *b = old;
}

static void begin_grace(struct gari__pass *pass)
{
    end_phase(pass, GARI__GRACE);
    GARI_PERTURB_AT("proof.grace");
    /* It is looked for at each slice: liburcu, when it meets a section, sleeps for 10 ms. */
    pass->ticket = GARI_MUTANT(NO_GRACE) ? 0 : gari__grace_note();
    pass->look = pass->member_count;
}

static void begin_tags(struct gari__pass *pass)
{
    gari__gate_open();
    pass->tagged = true;
    end_phase(pass, GARI__TAG);
}

/* Every member has as many references as V2 has found edges. */
static void end_v3(struct gari__pass *pass)
{
    pass->counted = false;
    GARI_PERTURB_STEP(V3_END);
    if ((pass->words & GARI__HAS_WEAK) && !GARI_MUTANT(WEAK_LATE_TAG))
        begin_tags(pass);
    else
        begin_grace(pass);
}

/* Of what has left since V3 all has been looked at, and not too long after V1 for the next look. */
static bool goes_on(const struct gari__pass *pass)
{
    return pass->counted && (!pass->recount || GARI_MUTANT(NO_RECOUNT)) &&
           !too_late(pass->looked_ns);
}

/* Of the members from `at` on; `budget` at most. */
static size_t members_left(const struct gari__pass *pass, size_t at, size_t budget)
{
    size_t left = pass->member_count - at;
    return left < budget ? left : budget;
}

/* Moves those on that still are members, of the next ones as far as they lie in one block; with `held` the others
 * come behind them, to be released. Returns how many it has looked at. */
static GARI__INLINE size_t keep_members(struct gari__pass *pass, size_t most, const bool held)
{
    struct gari__member *const first = &pass->members[pass->member], *const end = first + most;
    gari__come_near(pass, first->object);
    const struct gari__near near = pass->near;
    struct gari__member *member = first, *kept = &pass->members[pass->kept];
    /* The first is not near where a block has one object. */
    do {
        if (near.scratch[gari__near_slot(&near, member->object)] & GARI__MEMBER) {
            if (held)
                swap(member, kept);
            else
                *kept = *member;
            kept++;
        }
    } while (++member < end && gari__is_near(&near, member->object));
    pass->kept = (size_t)(kept - pass->members);
    return (size_t)(member - first);
}

static size_t compact(struct gari__pass *pass, size_t budget)
{
    while (pass->member < pass->member_count && budget > 0) {
        size_t most = members_left(pass, pass->member, budget);
        size_t done = pass->held ? keep_members(pass, most, true) : keep_members(pass, most, false);
        pass->member += done;
        budget -= done;
    }
    if (pass->member < pass->member_count)
        return budget;
    pass->member_count = pass->kept;
    if (pass->demoted) {
        pass->demoted = false;
        gari__proof_begin(pass);
    } else if (pass->kept == 0) {
        pass->phase = GARI__END;
    } else if (goes_on(pass)) {
        end_v3(pass);
    } else {
        begin_again(pass);
        if (GARI_MUTANT(BAD_SHRINK))
            pass->phase = GARI__COMMIT;
    }
    pass->failed = false;
    return budget;
}

static size_t v1(struct gari__pass *pass, size_t budget)
{
    if (pass->member == 0) {
        pass->looked_ns = gari__now_ns();
        pass->words = 0;
    }
    while (pass->member < pass->member_count && budget > 0) {
        budget--;
        struct gari__member *member = &pass->members[pass->member];
        uint32_t *state = gari__member_state(pass, member->object);
        GARI_PERTURB_EACH("proof.v1");
        member->word = gari__load_acquire(gari__word_of(member->object));
        uint64_t count = gari__count_of(member->word);
        if (gari__is_counted(member->word) && !(member->word & GARI__IMMORTAL) &&
            count <= GARI__NUMBER_MASK) {
            /* Of what has been aside, less the reference that is ours. */
            *state = (*state & ~(GARI__NUMBER_MASK | GARI__NAMED)) | ((uint32_t)count - pass->held);
            pass->words |= member->word;
            pass->member++;
        } else {
            /* Dying by itself: not ours to free. Immortal: never to be freed. */
            *state = (*state & ~GARI__MEMBER) | GARI__LIVE;
            swap(member, &pass->members[--pass->member_count]);
        }
    }
    if (pass->member == pass->member_count)
        begin_v2(pass);
    return budget;
}

static size_t v2(struct gari__pass *pass, size_t budget)
{
    budget = gari__proof_subtract(pass, budget);
    if (budget == 0)
        return 0;
    GARI_PERTURB_STEP(V2_END);
    /* Or more, where something has left since V1. */
    pass->unmatched = GARI_MUTANT(INTERLEAVED_V1) ? SIZE_MAX : pass->member_count - pass->matched;
    if (!pass->hesitant)
        end_phase(pass, GARI__V3);
    else if (pass->failed)
        begin_shrink(pass); /* which comes to V1 too */
    else
        begin_again(pass);
    return budget;
}

/* Looks for members that have references left, as far as the next ones lie in one block. Returns at how many it has
 * looked. */
static GARI__INLINE size_t find_unmatched(struct gari__pass *pass, size_t most)
{
    const struct gari__member *const first = &pass->members[pass->member];
    const struct gari__member *member = first, *const end = first + most;
    gari__come_near(pass, first->object);
    const struct gari__near near = pass->near;
    do {
        uint32_t *state = &near.scratch[gari__near_slot(&near, member->object)];
        if ((*state & GARI__MEMBER_NUMBER) > GARI__MEMBER) {
            pass->failed = true;
            pass->unmatched--;
            gari__proof_exclude(pass, member->object, state);
        }
    } while (++member < end && pass->unmatched > 0 && gari__is_near(&near, member->object));
    return (size_t)(member - first);
}

/* What V2 has counted is read here and nothing else: when as many have been met as V2 has left there are no more. */
static size_t v3(struct gari__pass *pass, size_t budget)
{
    GARI_PERTURB_AT("proof.v3");
    while (pass->unmatched > 0 && pass->member < pass->member_count) {
        if (budget == 0)
            return 0;
        size_t done = find_unmatched(pass, members_left(pass, pass->member, budget));
        pass->member += done;
        budget -= done;
    }
    pass->counted = pass->failed;
    if (pass->failed)
        begin_shrink(pass);
    else
        end_v3(pass);
    return budget;
}

/* Weak gets that begin from here on meet a tag; the grace period waits for those that did not. */
static size_t tag(struct gari__pass *pass, size_t budget)
{
    for (; pass->member < pass->member_count && budget > 0; pass->member++, budget--) {
        struct gari__member *member = &pass->members[pass->member];
        if (member->word & GARI__HAS_WEAK)
            gari__weak_tag(member->object);
    }
    if (pass->member == pass->member_count)
        begin_grace(pass);
    return budget;
}

static size_t untag(struct gari__pass *pass, size_t budget)
{
    for (; pass->member < pass->member_count && budget > 0; pass->member++, budget--) {
        struct gari__member *member = &pass->members[pass->member];
        if (member->word & GARI__HAS_WEAK)
            gari__weak_untag(member->object);
    }
    if (pass->member == pass->member_count)
        end_phase(pass, pass->next);
    return budget;
}

void gari__proof_untag(struct gari__pass *pass)
{
    if (!pass->tagged && pass->phase != GARI__UNTAG)
        return;
    gari__gate_shut();
    pass->tagged = false;
    pass->member = 0;
    untag(pass, SIZE_MAX);
}

/* What is to be finalized has left: the set is dead, unless a weak get has been faster. */
static void conclude(struct gari__pass *pass)
{
    if (GARI_MUTANT(WEAK_LATE_TAG) && !pass->tagged && (pass->words & GARI__HAS_WEAK)) {
        gari__gate_open();
        pass->tagged = true;
        for (size_t i = 0; i < pass->member_count; i++) {
            if (pass->members[i].word & GARI__HAS_WEAK)
                gari__weak_tag(pass->members[i].object);
        }
        GARI_PERTURB_POINT();
    }
    if (pass->tagged && !gari__gate_decide()) {
        /* Which member the weak get is about will show. */
        begin_again(pass);
        return;
    }
    pass->committed = pass->member_count;
    bool simple = !pass->callbacks && !(pass->words & GARI__HAS_WEAK);
    end_phase(pass, simple ? GARI__RECLAIM : GARI__COMMIT);
}

void gari__proof_next(struct gari__pass *pass)
{
    pass->debug = gari_get_debug();
    unsigned shown = pass->debug & (GARI_DEBUG_COLLECTABLE | GARI_DEBUG_SAVEALL);
    if (pass->member_count == 0) {
        leave_proof(pass, GARI__END);
    } else if (pass->sift && !pass->sifted) {
        pass->sifted = true;
        end_phase(pass, GARI__SPARE);
    } else if ((pass->words & GARI__UNFINALIZED) && !pass->held && !pass->split) {
        pass->split = true;
        end_phase(pass, GARI__SPLIT);
    } else if (shown && !pass->reported) {
        pass->reported = true;
        end_phase(pass, GARI__SPARE);
    } else {
        conclude(pass);
    }
}

/* RC, and the looks on the way to it: has any word changed since V1? */
static bool recheck(struct gari__pass *pass, size_t *at, size_t *budget)
{
    const size_t most = members_left(pass, *at, *budget);
    const struct gari__member *member = &pass->members[*at], *const end = member + most;
    const struct gari__member *const fetched = most > AHEAD ? end - AHEAD : member;
    for (; member < end; member++) {
        if (member < fetched)
            __builtin_prefetch(member[AHEAD].object);
        GARI_PERTURB_EACH("proof.rc");
        uint64_t word = gari__load_acquire(gari__word_of(member->object));
        if (gari__unlikely(!gari__same_references(word, member->word)) &&
            !GARI_MUTANT(NO_RECHECK)) {
            gari__proof_exclude(pass, member->object, gari__scratch_at(pass, member->object));
            pass->failed = true;
        }
    }
    *at += most;
    *budget -= most;
    return *at == pass->member_count;
}

static size_t rc(struct gari__pass *pass, size_t budget)
{
    if (!recheck(pass, &pass->member, &budget))
        return budget;
    GARI_PERTURB_STEP(RC_END);
    if (pass->failed)
        begin_shrink(pass);
    else if (too_late(pass->looked_ns))
        begin_again(pass);
    else
        gari__proof_next(pass);
    return budget;
}

/* Between V1 and RC, every second or so: a look at all the words, in slices. If those are so rare that it ends
 * too long after the look before it began, a version may have wrapped between the two. */
static size_t look_again(struct gari__pass *pass, size_t budget)
{
    if (pass->look == pass->member_count) {
        pass->look = 0;
        pass->looked_before_ns = pass->looked_ns;
        pass->looked_ns = gari__now_ns();
    }
    if (!recheck(pass, &pass->look, &budget))
        return budget;
    pass->look_end_ns = gari__now_ns();
    if (pass->failed)
        begin_shrink(pass);
    else if (too_late(pass->looked_before_ns))
        begin_again(pass);
    return budget;
}

static bool wants_look(const struct gari__pass *pass)
{
    return pass->look < pass->member_count || gari__now_ns() - pass->look_end_ns > LOOK_NS;
}

bool gari__proof_waits(const struct gari__pass *pass)
{
    return pass->phase == GARI__GRACE && !gari__grace_look(pass->ticket, false) &&
           !wants_look(pass);
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
    case GARI__TAG:
        return tag(pass, budget);
    case GARI__UNTAG:
        return untag(pass, budget);
    case GARI__SHRINK:
        return shrink(pass, budget);
    case GARI__COMPACT:
        return compact(pass, budget);
    case GARI__GRACE:
        if (wants_look(pass))
            return look_again(pass, budget);
        if (!gari__grace_passed(pass->ticket))
            return 0;
        GARI_PERTURB_STEP(GRACE_END);
        end_phase(pass, GARI__RC);
        return budget;
    default:
        return rc(pass, budget);
    }
}
