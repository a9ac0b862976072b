/* V2: the members' edges are counted. Each that leads to a member accounts for one of the references that V1
 * has found there; what is left are references from outside. */
#include "lib/collector/distant.h"

static GARI__INLINE void subtract(struct gari__pass *pass, gari_object *target, uint32_t *state)
{
    if (!(*state & GARI__MEMBER))
        return;
    if (gari__unlikely((*state & GARI__NUMBER_MASK) == 0)) {
        /* More edges than references: threads are at work here. */
        pass->matched--;
        pass->failed = true;
        gari__proof_exclude(pass, target, state);
        return;
    }
    if ((--*state & GARI__NUMBER_MASK) == 0)
        pass->matched++;
}

static __attribute__((noinline)) void subtract_distant(struct gari__pass *pass)
{
    gari__distant_settle(pass, subtract);
}

/* A reference to a target that is not in the block in hand, or is no member, or has more edges than
 * references. */
static __attribute__((noinline)) void subtract_odd(struct gari__pass *pass, gari_object *target)
{
    gari__distant_meet(pass, target, subtract, subtract_distant);
}

static GARI__INLINE gari_object *look(gari_slot *slot)
{
    GARI_PERTURB_EACH("proof.v2");
    GARI_PERTURB_STEP(V2_EDGE);
    return gari__load_acquire(&slot->pointer);
}

static GARI__INLINE void subtract_edge(gari_slot *slot, void *arg)
{
    gari_object *target = look(slot);
    if (target)
        subtract_odd(arg, target);
}

/* The same where some members' traverse has failed. Their next call need not name what this one does: it is
 * marked, to be spared with them. */
static GARI__INLINE void subtract_named(gari_slot *slot, void *arg)
{
    struct gari__pass *pass = arg;
    gari_object *target = look(slot);
    uint32_t *state = target ? gari__scratch_at(pass, target) : NULL;
    if (!state || !(*state & GARI__MEMBER))
        return;
    if (pass->names)
        *state |= GARI__NAMED;
    subtract(pass, target, state);
}

/* The same as subtract_edge. Returns whether the target has no more references that are not accounted for. */
static GARI__INLINE size_t subtract_field(struct gari__pass *pass, const struct gari__near *near,
                                          char *field)
{
    gari_object *target = look((gari_slot *)(void *)field);
    if (!target)
        return 0;
    if (gari__likely(gari__is_near(near, target))) {
        uint32_t *state = &near->scratch[gari__near_slot(near, target)];
        uint32_t before = *state, number = before & GARI__MEMBER_NUMBER;
        if (gari__likely(number > GARI__MEMBER)) {
            *state = before - 1;
            return number == GARI__MEMBER + 1;
        }
    }
    subtract_odd(pass, target);
    return 0;
}

/* The next members, as long as they lie in the block in hand and have their references in fields at fixed
 * offsets: what is made together lies together. The same as a walk does, with all that is the block's in
 * registers. Returns what is left of the budget. */
static GARI__INLINE size_t subtract_many(struct gari__pass *pass, size_t left,
                                         const uint32_t fields)
{
    const struct gari__near near = pass->near;
    const uint32_t *offsets = near.shape->type.refs.offset;
    const struct gari__member *const first = &pass->members[pass->member];
    const struct gari__member *const end = first + gari__members_for(pass, left, fields);
    const struct gari__member *member = first;
    size_t matched = 0;
    for (; member < end; member++) {
        char *object = (char *)member->object;
        if (!gari__is_near(&near, member->object) ||
            !gari__is_alive(gari__load_acquire(gari__word_of(member->object))))
            break;
        GARI_PERTURB_STEP(V2_MEMBER);
        if (fields == 2) {
            matched += subtract_field(pass, &near, object + offsets[0]);
            matched += subtract_field(pass, &near, object + offsets[1]);
        } else {
            for (uint32_t i = 0; i < fields; i++)
                matched += subtract_field(pass, &near, object + offsets[i]);
        }
    }
    size_t count = (size_t)(member - first), cost = count * (1 + fields);
    pass->member += count;
    pass->matched += matched;
    return cost < left ? left - cost : 0;
}

/* Each by itself, for the sake of its registers; with two fields, which is what lists and trees have, the
 * loop over them is none. */
static __attribute__((noinline)) size_t subtract_pairs(struct gari__pass *pass, size_t left)
{
    return subtract_many(pass, left, 2);
}

static __attribute__((noinline)) size_t subtract_plain(struct gari__pass *pass, size_t left)
{
    return subtract_many(pass, left, pass->near.shape->type.refs.count);
}

static GARI__INLINE size_t subtract_run(struct gari__pass *pass, size_t left)
{
    const struct gari__near *near = &pass->near;
    if (!near->bytes || !near->shape->plain)
        return left;
    return near->shape->type.refs.count == 2 ? subtract_pairs(pass, left)
                                             : subtract_plain(pass, left);
}

static gari_object *next_naming(struct gari__pass *pass)
{
    gari_object *object = gari__member_next(pass);
    const uint32_t *state = object ? gari__scratch_at(pass, object) : NULL;
    pass->names = state && (*state & GARI__STUCK);
    return object;
}

/* Mutant: V1's look is taken when V2 comes to the member. */
static gari_object *reread_next(struct gari__pass *pass)
{
    if (!gari__member_next(pass))
        return NULL;
    struct gari__member *member = &pass->members[pass->member - 1];
    uint64_t before = gari__count_of(member->word);
    member->word = gari__load_acquire(gari__word_of(member->object));
    *gari__scratch_at(pass, member->object) +=
        (uint32_t)gari__count_of(member->word) - (uint32_t)before;
    GARI_PERTURB_POINT();
    return member->object;
}

size_t gari__proof_subtract(struct gari__pass *pass, size_t budget)
{
    if (GARI_MUTANT(INTERLEAVED_V1))
        return gari__walk_runs(pass, budget, gari__no_run, reread_next, subtract_edge,
                               subtract_distant);
    if (pass->sift)
        return gari__walk(pass, budget, next_naming, subtract_named);
    return gari__walk_runs(pass, budget, subtract_run, gari__member_next, subtract_edge,
                           subtract_distant);
}
