/* The public face of the collector. */
#include "lib/collector/collector.h"

#include "concurrency/fatal.h"
#include "concurrency/grace.h"
#include "concurrency/rcu.h"
#include "lib/collector/cgroup.h"
#include "lib/collector/config.h"
#include "lib/collector/events.h"
#include "lib/collector/seeds.h"
#include "lib/object/candidate.h"
#include "lib/object/checked.h"
#include "lib/object/death.h"
#include "lib/object/kept.h"
#include "lib/object/limbo.h"
#include "lib/object/waiting.h"

#include <errno.h>

/* For who has lost his processor while he takes or gives back what he keeps. */
#define STEP_PATIENCE_NS 1000000u

#undef gari_generation

struct gari__collector gari__collector = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .slice = PTHREAD_MUTEX_INITIALIZER,
    .pass = {[GARI__YOUNG] = {.which = GARI__YOUNG}, [GARI__OLD] = {.which = GARI__OLD}},
    .schedule = {.threshold = {700, 10, 10},
                 .enabled = true,
                 .began = {1, 1, 1},
                 .tick_epoch = {1, 1, 1, 1},
                 .queued = -1},
};

static struct gari__schedule *const schedule = &gari__collector.schedule;

void gari__upcall_start(void)
{
    gari__fork_setup();
    gari__config_start();
    gari__store_relaxed(&gari__collector.used, true);
}

size_t gari__upcall_limit(void)
{
    size_t limit = gari__load_relaxed(&gari__collector.limit);
    return gari__unlikely(limit == GARI_LIMIT_CGROUP) ? gari__cgroup_share() : limit;
}

static void fatal_in_section(const char *call)
{
    if (gari__in_section())
        gari__fatal("%s called inside a read section: it would wait for that section to end", call);
}

bool gari__may_wait(const struct gari__object_thread *self)
{
    return !self->collecting && !self->callbacks && !self->unwinding && !self->heap.thread.shared;
}

bool gari__may_collect(const struct gari__object_thread *self)
{
    return gari__may_wait(self) && !self->reporting;
}

bool gari__upcall_exhausted(struct gari__object_thread *self)
{
    if (!gari__may_collect(self) || gari__in_section())
        return false;
    gari__drive_collection(self, 2);
    gari__drive_finalizers(self, gari__finalizers_by_hand());
    gari__drive_tidy(self);
    gari__checked_release();
    gari__events_deliver(self);
    return true;
}

/* A collection asked for where it cannot be done: later, by whoever can. */
static void queue_collection(int generation)
{
    int queued = gari__load_relaxed(&schedule->queued);
    while (queued < generation && !gari__cas_acq_rel(&schedule->queued, &queued, generation))
        ;
    gari__upcall_wake();
}

size_t gari_collect(int generation)
{
    if (generation < 0 || generation > 2)
        gari__fatal("gari_collect(%d): generations are 0, 1 and 2", generation);
    gari__fork_check("gari_collect");
    struct gari__object_thread *self = gari__enter("gari_collect");
    size_t collected = 0;
    if (!gari__may_collect(self)) {
        if (!self->reporting_asked)
            queue_collection(generation);
    } else {
        fatal_in_section("gari_collect");
        gari__worker_ensure("gari_collect");
        collected = gari__drive_collection(self, generation);
        bool by_hand = gari__finalizers_by_hand();
        collected += gari__drive_finalizers(self, by_hand);
        gari__drive_tidy(self);
        if (by_hand && gari__finalize_any()) {
            /* Of what has died only now. */
            gari__finalize_run(self, GARI__FINALIZE_SOME);
            gari__drive_tidy(self);
        }
        gari__events_finish(self);
    }
    gari__leave(self);
    return collected;
}

static enum gari__slice slice_of_step(struct gari__object_thread *self, size_t budget,
                                      uint64_t *ticket)
{
    gari__collector_lock();
    enum gari__slice slice = gari__drive_slice(self, budget, true, true, ticket);
    gari__collector_unlock();
    return slice;
}

bool gari_step(size_t budget)
{
    gari__fork_check("gari_step");
    struct gari__object_thread *self = gari__enter("gari_step");
    if (!gari__may_collect(self)) {
        gari__leave(self);
        return false;
    }
    fatal_in_section("gari_step");
    gari__worker_ensure("gari_step");
    uint64_t ticket = 0;
    budget = budget ? budget : 1;
    gari__kept_take_back(self, STEP_PATIENCE_NS);
    bool more = gari__deaths_run(self, budget) == 0;
    enum gari__slice slice = slice_of_step(self, budget, &ticket);
    /* What follows the wait is done at once: if steps are seconds apart the proof would be too old by the next. */
    if (slice == GARI__SLICE_WAITS &&
        gari__grace_wait(ticket, gari__grace_has_thread() ? 1000000u : 0))
        slice = slice_of_step(self, budget, &ticket);
    gari__worker_remind();
    if (slice == GARI__SLICE_IDLE && !more && gari__limbo_any()) {
        gari__limbo_seal();
        gari__grace_wait(gari__limbo_last_ticket(), gari__grace_has_thread() ? 1000000u : 0);
        gari__limbo_free(self, budget, false);
        more = gari__limbo_any();
    }
    bool by_hand = gari__finalizers_by_hand();
    if (by_hand)
        gari__finalize_run(self, budget);
    gari__events_deliver(self);
    more = more || slice != GARI__SLICE_IDLE || gari__waiting_any(GARI__DYING) ||
           gari__aside_any() || (by_hand && gari__finalize_any());
    gari__leave(self);
    return more;
}

int gari_set_threshold(int threshold0, int threshold1, int threshold2)
{
    if (threshold0 < 0 || threshold1 < 0 || threshold2 < 0)
        return EINVAL;
    gari__store_relaxed(&schedule->threshold[0], threshold0);
    gari__store_relaxed(&schedule->threshold[1], threshold1);
    gari__store_relaxed(&schedule->threshold[2], threshold2);
    return 0;
}

void gari_get_threshold(int threshold[3])
{
    for (int i = 0; i < 3; i++)
        threshold[i] = gari__load_relaxed(&schedule->threshold[i]);
}

void gari_get_count(size_t count[3])
{
    int64_t net = (int64_t)(gari__schedule_net(NULL) - gari__load_relaxed(&schedule->shown_base));
    count[0] = net > 0 ? (size_t)net : 0;
    count[1] = gari__load_relaxed(&schedule->count[1]);
    count[2] = gari__load_relaxed(&schedule->count[2]);
}

bool gari_enable(void)
{
    return gari__exchange_acq_rel(&schedule->enabled, true);
}

bool gari_disable(void)
{
    return gari__exchange_acq_rel(&schedule->enabled, false);
}

bool gari_is_enabled(void)
{
    return gari__load_relaxed(&schedule->enabled) && gari__load_relaxed(&schedule->pauses) == 0;
}

void gari_pause_begin(void)
{
    gari__fetch_add_relaxed(&schedule->pauses, 1);
}

void gari_pause_end(void)
{
    if (gari__fetch_sub_relaxed(&schedule->pauses, 1) == 0)
        gari__fatal("gari_pause_end without gari_pause_begin");
}

bool gari_thread_never_help(bool never)
{
    struct gari__object_thread *self = gari__enter("gari_thread_never_help");
    bool before = self->never_help;
    self->never_help = never && !self->heap.thread.shared;
    gari__leave(self);
    return before;
}

void gari_set_memory_limit(size_t bytes)
{
    gari__store_relaxed(&gari__collector.limit, bytes);
}

size_t gari_get_memory_limit(void)
{
    return gari__upcall_limit();
}

int gari__generation_of(const struct gari__block *block, uint32_t slot)
{
    uint64_t epoch = gari__load_relaxed(&gari__epoch);
    uint64_t frozen = gari__load_relaxed(&schedule->frozen);
    uint16_t birth = gari__load_relaxed(&block->side[slot].birth);
    int64_t age = (int16_t)(uint16_t)((uint16_t)epoch - birth);
    if (frozen && age > (int64_t)(epoch - frozen))
        return GARI_PERMANENT;
    for (int generation = 0; generation < 2; generation++) {
        if (age <= (int64_t)(epoch - gari__load_relaxed(&schedule->began[generation])))
            return generation;
    }
    return 2;
}

int gari_generation(const gari_object *object)
{
    gari__checked_object(object, "gari_generation");
    struct gari__block *block = gari__block_of(object);
    return gari__generation_of(block, gari__slot_of(block, object));
}
