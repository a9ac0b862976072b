/* What the end of a garbage set with finalizers or weak references needs besides the plain one's
 * (docs/lifecycle.md): a part of the set is put aside while its finalizers run, proved again, and what
 * the second proof refuses is given back. */
#include "concurrency/clock.h"
#include "lib/collector/collector.h"
#include "lib/collector/walk.h"
#include "lib/heap/memory.h"
#include "lib/object/candidate.h"
#include "lib/object/death.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t finalized;
    struct gari__finalize_set *ready; /* their finalizers have run; read without the lock */
    size_t outstanding;               /* sets whose finalizers have not all run */
} aside = {.lock = PTHREAD_MUTEX_INITIALIZER, .finalized = PTHREAD_COND_INITIALIZER};

static void put_aside(struct gari__pass *pass, gari_object *object, uint32_t *state)
{
    *state |= GARI__ASIDE;
    pass->aside_count++;
    pass->out_of_memory |= !gari__queue_add(pass, object);
}

static GARI__INLINE void aside_edge(gari_slot *slot, void *arg)
{
    struct gari__pass *pass = arg;
    gari_object *target = gari__load_acquire(&slot->pointer);
    uint32_t *state = target ? gari__scratch_at(pass, target) : NULL;
    if (state && (*state & (GARI__MEMBER | GARI__ASIDE)) == GARI__MEMBER)
        put_aside(pass, target, state);
}

/* Marks the members that are to be finalized, and what they reach: their finalizers may look at it or
 * bring it back. The others are not reached by those, so nothing is waited for on their account. */
size_t gari__phase_split(struct gari__pass *pass, size_t budget)
{
    for (; pass->member < pass->member_count && budget > 0; pass->member++, budget--) {
        struct gari__member *member = &pass->members[pass->member];
        if (!(member->word & GARI__UNFINALIZED))
            continue;
        uint32_t *state = gari__scratch_at(pass, member->object);
        if (!(*state & GARI__ASIDE))
            put_aside(pass, member->object, state);
    }
    budget = gari__walk(pass, budget, gari__queue_pop, aside_edge);
    if (budget == 0 || pass->out_of_memory)
        return budget;
    if (pass->aside_count == 0) {
        gari__proof_next(pass);
        return budget;
    }
    struct gari__finalize_set *set = gari__memory_new(sizeof *set);
    struct gari__member *members = gari__memory_new(pass->aside_count * sizeof *members);
    if (!set || !members) {
        gari__memory_free(set);
        gari__memory_free(members);
        pass->out_of_memory = true;
        return budget;
    }
    set->members = members;
    set->generation = pass->generation;
    pass->set = set;
    pass->kept = pass->member = 0;
    pass->phase = GARI__SET_ASIDE;
    return budget;
}

static bool is_garbage(gari_object *owner, void *arg)
{
    const uint32_t *state = gari__scratch_at(arg, owner);
    return state && (*state & (GARI__MEMBER | GARI__ASIDE));
}

static struct gari__callback *append(struct gari__callback *list, struct gari__callback *more)
{
    struct gari__callback **end = &list;
    while (*end)
        end = &(*end)->next;
    *end = more;
    return list;
}

static void hand_over(struct gari__pass *pass)
{
    struct gari__finalize_set *set = pass->set;
    pass->set = NULL;
    gari__mutex_lock(&aside.lock);
    aside.outstanding++;
    gari__mutex_unlock(&aside.lock);
    GARI_PERTURB_AT("finalize.queue");
    if (set->touched)
        gari__upcall_finalized(set);
    else
        gari__finalize_queue_set(set);
    pass->member_count = pass->kept;
    gari__proof_next(pass);
}

/* A reference to what the proof has seen, and to nothing else: a weak get may have given it out since,
 * and then it may even be dead, and its slot another object. */
static bool hold(const struct gari__member *member)
{
    uint64_t *word = gari__word_of(member->object), old = gari__load_relaxed(word);
    do {
        if (!gari__same_references(old, member->word) && !GARI_MUTANT(HOLD_BLINDLY))
            return false;
        GARI_PERTURB_AT("finalize.hold");
    } while (!gari__cas_acq_rel(word, &old, old + GARI__VERSION_ONE + GARI__COUNT_ONE));
    return true;
}

/* Takes a reference to each of them: from here on others see that the set lives. */
size_t gari__phase_set_aside(struct gari__pass *pass, size_t budget)
{
    struct gari__finalize_set *set = pass->set;
    for (; pass->member < pass->member_count && budget > 0; pass->member++, budget--) {
        struct gari__member *member = &pass->members[pass->member];
        uint32_t *state = gari__scratch_at(pass, member->object);
        if (!(*state & GARI__ASIDE)) {
            pass->members[pass->kept++] = *member;
            continue;
        }
        if (hold(member))
            set->members[set->count++] = *member;
        else
            set->touched = true;
        *state = (*state & ~GARI__MEMBER) | GARI__LIVE;
        if (member->word & GARI__HAS_WEAK)
            gari__weak_untag(member->object);
        GARI_PERTURB_POINT();
    }
    if (pass->member < pass->member_count)
        return budget;
    if (set->at == 0 && pass->tagged && gari__gate_is_broken())
        set->touched = true; /* who has a member of the rest may reach this */
    for (; set->at < set->count && budget > 0; set->at++, budget--) {
        struct gari__member *member = &set->members[set->at];
        if (!set->touched && (member->word & GARI__HAS_WEAK))
            set->callbacks = append(gari__weak_clear_callbacks(member->object, is_garbage, pass),
                                    set->callbacks);
    }
    if (set->at == set->count) {
        set->at = 0;
        hand_over(pass);
    }
    return budget;
}

size_t gari__phase_clear(struct gari__pass *pass, size_t budget)
{
    if (pass->member == 0)
        GARI_PERTURB_STEP(COMMITTED);
    for (; pass->member < pass->member_count && budget > 0; pass->member++, budget--) {
        gari_object *object = pass->members[pass->member].object;
        if (gari__load_relaxed(gari__word_of(object)) & GARI__HAS_WEAK)
            pass->calls = append(gari__weak_clear(object), pass->calls);
    }
    if (pass->member == pass->member_count) {
        gari__gate_shut();
        pass->tagged = false;
        pass->phase = GARI__DISPOSE;
        pass->member = 0;
    }
    return budget;
}

void gari__upcall_finalized(struct gari__finalize_set *set)
{
    GARI_PERTURB_AT("finalize.done");
    gari__mutex_lock(&aside.lock);
    set->next = aside.ready;
    gari__store_relaxed(&aside.ready, set);
    aside.outstanding--;
    gari__store_relaxed(&gari__collector.open, true);
    pthread_cond_broadcast(&aside.finalized);
    gari__mutex_unlock(&aside.lock);
    gari__upcall_wake();
}

struct gari__finalize_set *gari__aside_take(void)
{
    gari__mutex_lock(&aside.lock);
    struct gari__finalize_set *set = aside.ready;
    if (set)
        gari__store_relaxed(&aside.ready, set->next);
    gari__mutex_unlock(&aside.lock);
    return set;
}

void gari__aside_walk(void (*visit)(const gari_object *object, void *arg), void *arg)
{
    gari__mutex_lock(&aside.lock);
    gari__finalize_sets_walk(aside.ready, visit, arg);
    gari__mutex_unlock(&aside.lock);
}

bool gari__aside_any(void)
{
    return gari__load_relaxed(&aside.ready) != NULL;
}

void gari__aside_wait(uint64_t ns)
{
    uint64_t at = gari__now_ns() + ns;
    gari__mutex_lock(&aside.lock);
    while (aside.outstanding && gari__cond_wait_until(&aside.finalized, &aside.lock, at))
        ;
    gari__mutex_unlock(&aside.lock);
}

void gari__aside_before_fork(void)
{
    gari__mutex_pass(&aside.lock);
}

void gari__aside_after_fork(size_t outstanding)
{
    gari__mutex_renew(&aside.lock);
    gari__cond_renew(&aside.finalized);
    aside.outstanding = outstanding;
}

void gari__pass_resume(struct gari__pass *pass, struct gari__finalize_set *set)
{
    struct gari__queue queue = pass->queue;
    queue.count = queue.fetch_count = 0;
    queue.current = NULL;
    queue.at = 0;
    gari__memory_free(pass->members);
    *pass = (struct gari__pass){.which = pass->which,
                                .phase = set->touched ? GARI__END : GARI__READMIT,
                                .generation = set->generation,
                                .epoch = gari__epoch,
                                .begun_ns = gari__now_ns(),
                                .queue = queue,
                                .members = set->members,
                                .member_count = set->count,
                                .member_room = set->count,
                                .callbacks = true,
                                .held = 1,
                                .held_count = set->count,
                                .calls = set->callbacks};
    gari__memory_free(set);
}

size_t gari__phase_readmit(struct gari__pass *pass, size_t budget)
{
    for (; pass->member < pass->member_count && budget > 0; pass->member++, budget--) {
        gari_object *object = pass->members[pass->member].object;
        struct gari__block *block = gari__block_of(object);
        uint32_t *scratch = gari__pass_touch(pass, block);
        if (!scratch) {
            pass->out_of_memory = true;
            return budget;
        }
        scratch[gari__slot_of(block, object)] |= GARI__REACHED | GARI__MEMBER;
    }
    if (pass->member == pass->member_count) {
        pass->member = 0;
        pass->phase = GARI__V1;
        if (GARI_MUTANT(NO_SECOND_PROOF)) {
            pass->committed = pass->member_count;
            pass->words = GARI__HAS_WEAK;
            pass->phase = GARI__COMMIT;
        }
    }
    return budget;
}

size_t gari__aside_release(struct gari__pass *pass, struct gari__object_thread *self, size_t budget)
{
    while (pass->committed + pass->released < pass->held_count && budget > 0) {
        gari__section_begin();
        for (size_t some = GARI__EDGES_IN_SECTION;
             some > 0 && budget > 0 && pass->committed + pass->released < pass->held_count;
             some--, budget--) {
            gari_object *object = pass->members[pass->committed + pass->released++].object;
            GARI_PERTURB_EACH("finalize.let-go");
            if (gari__count_down(self, object, "the collector, after the finalizers"))
                gari__death_push(self, object);
        }
        gari__section_end();
        if (self->pending) {
            gari__collector_rest(true);
            gari__deaths_run(self, GARI__DEATH_BUDGET);
            gari__collector_resume();
        }
    }
    return budget;
}
