/* The permanent generation: what was born before the last freeze. */
#include "concurrency/fatal.h"
#include "concurrency/rcu.h"
#include "lib/collector/collector.h"
#include "lib/object/candidate.h"
#include "lib/object/count.h"

static struct gari__object_thread *enter(const char *call, bool *allowed)
{
    gari__fork_check(call);
    struct gari__object_thread *self = gari__enter(call);
    *allowed = gari__may_wait(self);
    if (*allowed && gari__in_section())
        gari__fatal("%s called inside a read section: it may wait for that section to end", call);
    return self;
}

void gari_freeze(void)
{
    bool allowed;
    struct gari__object_thread *self = enter("gari_freeze", &allowed);
    if (allowed) {
        gari__collector_lock();
        gari__schedule_new_epoch();
        gari__store_relaxed(&gari__collector.schedule.frozen, gari__epoch);
        /* A pass that began before goes by its own boundary, and would walk what is permanent now. Only
         * a proof goes on: it has walked, and what it is about is most probably garbage. */
        for (int which = 0; which < GARI__PASSES; which++) {
            struct gari__pass *pass = &gari__collector.pass[which];
            if (pass->phase != GARI__IDLE && pass->phase < GARI__READMIT)
                gari__pass_abandon(pass);
        }
        gari__collector_unlock();
    }
    gari__leave(self);
}

/* A garbage cycle with a frozen member was not found, and its candidates may have been dropped as held
 * from outside, by that member. So each that comes back is one. */
static void make_candidates(struct gari__block *block, void *arg)
{
    (void)arg;
    const struct gari__kind *kind = gari__load_relaxed(&block->kind);
    if (!kind || !kind->tracked)
        return;
    uint32_t carved = gari__load_acquire(&block->carved);
    /* What is alive in a section keeps its block until the end of it; what the collector frees without
     * a grace period, it frees under the lock that is held here. */
    gari__section_begin();
    for (uint32_t slot = 0; slot < carved; slot++) {
        const gari_object *object = gari__slot_at(block, slot);
        if (gari__is_alive(gari__load_acquire(gari__word_of(object))) &&
            gari__generation_of(block, slot) == GARI_PERMANENT)
            gari__candidate_keep(block, slot);
    }
    gari__section_end();
}

void gari_unfreeze(void)
{
    bool allowed;
    struct gari__object_thread *self = enter("gari_unfreeze", &allowed);
    if (allowed) {
        gari__collector_lock();
        if (gari__collector.schedule.frozen)
            gari__runs_walk(make_candidates, NULL);
        gari__store_relaxed(&gari__collector.schedule.frozen, 0);
        /* A pass that is still taking its candidates goes on to leave these alone, for it has only what is
         * newer in view; but it does not drop them. */
        for (int which = 0; which < GARI__PASSES; which++)
            gari__collector.pass[which].frozen = 0;
        gari__collector_unlock();
        gari__upcall_wake();
    }
    gari__leave(self);
}

static void count_frozen(struct gari__block *block, void *arg)
{
    size_t *count = arg;
    const struct gari__kind *kind = gari__load_relaxed(&block->kind);
    if (!kind || !kind->tracked)
        return;
    uint32_t carved = gari__load_acquire(&block->carved);
    for (uint32_t slot = 0; slot < carved; slot++) {
        const gari_object *object = gari__slot_at(block, slot);
        *count += gari__is_alive(gari__load_acquire(gari__word_of(object))) &&
                  gari__generation_of(block, slot) == GARI_PERMANENT;
    }
}

size_t gari_get_freeze_count(void)
{
    bool allowed;
    size_t count = 0;
    struct gari__object_thread *self = enter("gari_get_freeze_count", &allowed);
    if (allowed && gari__load_relaxed(&gari__collector.schedule.frozen)) {
        gari__collector_lock(); /* one walk at a time */
        gari__collector_rest(false);
        gari__runs_walk(count_frozen, &count);
        gari__collector_resume();
        gari__collector_unlock();
    }
    gari__leave(self);
    return count;
}
