/* The public face of the collector. */
#include "lib/collector/collector.h"

#include "concurrency/fatal.h"
#include "concurrency/grace.h"
#include "concurrency/rcu.h"
#include "lib/collector/seeds.h"
#include "lib/object/candidate.h"
#include "lib/object/death.h"
#include "lib/object/limbo.h"
#include "lib/object/waiting.h"

#include <errno.h>

#undef gari_generation

struct gari__collector gari__collector = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
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
    gari__store_relaxed(&gari__collector.used, true);
}

size_t gari__upcall_limit(void)
{
    return gari__load_relaxed(&gari__collector.limit);
}

static void fatal_in_section(const char *call)
{
    if (gari__in_section())
        gari__fatal("%s called inside a read section: it would wait for that section to end", call);
}

/* Whether the call may wait for a grace period and for the collector's lock. Not in a callback; and
 * not on the shared record, for which a thread in a read section may be waiting. */
static bool may_collect(const struct gari__object_thread *self)
{
    return !self->collecting && !self->callbacks && !self->unwinding && !self->heap.thread.shared;
}

bool gari__upcall_exhausted(struct gari__object_thread *self)
{
    if (!may_collect(self) || gari__in_section())
        return false;
    gari__drive_collection(self, 2);
    gari__drive_finalizers(self, gari__finalizers_by_hand());
    gari__drive_tidy(self);
    return true;
}

int gari_configure(const gari_config *config)
{
    if (config->struct_size != sizeof *config || config->mode < GARI_MODE_BACKGROUND ||
        config->mode > GARI_MODE_MANUAL)
        return EINVAL;
    for (int i = 0; i < 3; i++) {
        if (config->threshold[i] < 0)
            return EINVAL;
    }
    if (gari__load_relaxed(&gari__collector.used))
        return EBUSY;
    gari__collector.mode = config->mode;
    gari__store_relaxed(&gari__collector.limit, config->memory_limit);
    return gari_set_threshold(config->threshold[0], config->threshold[1], config->threshold[2]);
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
    if (!may_collect(self)) {
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
    }
    gari__leave(self);
    return collected;
}

bool gari_step(size_t budget)
{
    gari__fork_check("gari_step");
    struct gari__object_thread *self = gari__enter("gari_step");
    if (!may_collect(self)) {
        gari__leave(self);
        return false;
    }
    fatal_in_section("gari_step");
    gari__worker_ensure("gari_step");
    uint64_t ticket = 0;
    budget = budget ? budget : 1;
    bool more = gari__deaths_run(self, budget) == 0;
    pthread_mutex_lock(&gari__collector.lock);
    enum gari__slice slice = gari__drive_slice(self, budget, true, true, &ticket);
    pthread_mutex_unlock(&gari__collector.lock);
    if (slice == GARI__SLICE_WAITS)
        gari__grace_wait(ticket, gari__grace_has_thread() ? 1000000u : 0);
    if (slice == GARI__SLICE_IDLE && !more && gari__limbo_any()) {
        gari__limbo_seal();
        gari__grace_wait(gari__limbo_last_ticket(), gari__grace_has_thread() ? 1000000u : 0);
        gari__limbo_free(self, budget);
        more = gari__limbo_any();
    }
    bool by_hand = gari__finalizers_by_hand();
    if (by_hand)
        gari__finalize_run(self, budget);
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
    int64_t net = (int64_t)(gari__schedule_net(NULL) - gari__load_relaxed(&schedule->base));
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
    return gari__load_relaxed(&schedule->enabled);
}

void gari_set_memory_limit(size_t bytes)
{
    gari__store_relaxed(&gari__collector.limit, bytes);
}

int gari_generation(const gari_object *object)
{
    struct gari__block *block = gari__block_of(object);
    uint64_t epoch = gari__load_relaxed(&gari__epoch);
    uint16_t birth = gari__load_relaxed(&block->side[gari__slot_of(block, object)].birth);
    int64_t age = (int16_t)(uint16_t)((uint16_t)epoch - birth);
    for (int generation = 0; generation < 2; generation++) {
        if (age <= (int64_t)(epoch - gari__load_relaxed(&schedule->began[generation])))
            return generation;
    }
    return 2;
}
