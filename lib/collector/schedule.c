/* When to collect what (design.md section 6). */
#include "concurrency/clock.h"
#include "concurrency/perturb.h"
#include "lib/collector/collector.h"
#include "lib/collector/debug.h"
#include "lib/collector/events.h"
#include "lib/collector/seeds.h"
#include "lib/object/candidate.h"

/* A heap may grow by so much, beyond the fractions below, without a pass over everything. */
#define GROWTH_SLACK ((uint64_t)8 << 20)

/* How often a thread that cannot yet know looks again. */
#define LOOK_FOR_NS 50000000u
#define LOOK_AGAIN 64
/* Slots, of blocks with candidates, in one look for those that have waited long: tens of microseconds. */
#define LOOK_AT 65536u
/* The same for a thread that comes by so often that this would cost it more than its objects. */
#define LOOK_SELDOM 512
#define LOOK_SELDOM_NS 10000u

static struct gari__schedule *const schedule = &gari__collector.schedule;

uint64_t gari__schedule_net(uint64_t *allocated_bytes)
{
    struct gari__tally sum = gari__tally_sum();
    if (allocated_bytes)
        *allocated_bytes = sum.allocated_bytes;
    return sum.tracked.count - sum.tracked_freed;
}

/* How many tracked objects have been made since the base, less those that are gone. As CPython's count it stops at
 * zero, where the base is lowered: what older objects' deaths took away is not to be made up for. Two threads may
 * see that at once; one of them does it. */
static int64_t net_since_base(uint64_t *bytes_since)
{
    uint64_t bytes, base = gari__load_relaxed(&schedule->base), now = gari__schedule_net(&bytes);
    *bytes_since = bytes - gari__load_relaxed(&schedule->base_bytes);
    uint64_t shown = gari__load_relaxed(&schedule->shown_base);
    if ((int64_t)(now - shown) < 0)
        gari__cas_strong_acq_rel(&schedule->shown_base, &shown, now);
    int64_t net = (int64_t)(now - base);
    if (net >= 0)
        return net;
    gari__cas_strong_acq_rel(&schedule->base, &base, now);
    return 0;
}

static uint64_t live_bytes(void)
{
    struct gari__tally sum = gari__tally_sum();
    return sum.allocated_bytes - sum.freed_bytes;
}

static bool automatic(void)
{
    return gari_is_enabled() && gari__load_relaxed(&schedule->threshold[0]) > 0;
}

static bool exceeded(int generation)
{
    int threshold = gari__load_relaxed(&schedule->threshold[generation]);
    return threshold > 0 && gari__load_relaxed(&schedule->count[generation]) > (uint64_t)threshold;
}

static bool too_soon(uint64_t bytes_since, uint64_t now)
{
    return bytes_since < GARI__NURSERY_BYTES &&
           now - gari__load_relaxed(&schedule->young_ns) < GARI__YOUNG_INTERVAL_NS;
}

int gari__schedule_due(bool *whole)
{
    *whole = true;
    int queued = gari__load_relaxed(&schedule->queued);
    if (queued >= 0)
        return queued;
    if (!automatic())
        return -1;
    bool may_old = gari__load_relaxed(&schedule->threshold[2]) > 0 && gari__seeds_any(true) &&
                   gari__collector.pass[GARI__OLD].phase == GARI__IDLE;
    /* Whatever the counters say: what has been made in a heap that has grown by a quarter may be garbage. */
    bool young_ran = schedule->count[1] + schedule->count[2] > 0;
    if (may_old && young_ran && live_bytes() > schedule->known_live * 5 / 4 + GROWTH_SLACK)
        return 2;
    uint64_t bytes_since;
    if (net_since_base(&bytes_since) <= gari__load_relaxed(&schedule->threshold[0]) ||
        too_soon(bytes_since, gari__now_ns()))
        return -1;
    if (may_old && exceeded(2)) {
        /* A walk of everything only when the heap has grown by a quarter since the last one; until
         * then the younger of the old, a wider range each time, which finds rings that have just
         * outlived generation 1 without walking the graph they point into. */
        *whole = gari__schedule_has_grown();
        return 2;
    }
    return exceeded(1) ? 1 : 0;
}

void gari__schedule_new_epoch(void)
{
    gari__epoch_advance();
    if (gari__epoch - schedule->restamped < GARI__RESTAMP_EVERY)
        return;
    gari__store_relaxed(&schedule->restamped, gari__epoch);
    gari__restamp(schedule->began[1], schedule->frozen);
    if (schedule->frozen && gari__epoch - schedule->frozen > GARI__FROZEN_AGE)
        gari__store_relaxed(&schedule->frozen, gari__epoch - GARI__FROZEN_AGE);
    if (gari__epoch - schedule->began[1] > GARI__BOUNDARY_AGE)
        gari__store_relaxed(&schedule->began[1], gari__epoch - GARI__BOUNDARY_AGE);
    /* A pass so long that stamps have moved on under it cannot tell who is inside. */
    struct gari__pass *old = &gari__collector.pass[GARI__OLD];
    if (old->phase != GARI__IDLE && gari__epoch - old->epoch > GARI__RESTAMP_EVERY)
        old->undecided = true;
}

bool gari__schedule_restamps_soon(void)
{
    uint64_t since = gari__load_relaxed(&gari__epoch) - gari__load_relaxed(&schedule->restamped);
    return since + 2 >= GARI__RESTAMP_EVERY;
}

/* Epochs begin with collections; where there is none for a while, with ticks, so that a candidate's
 * age can be told. */
static void tick(uint64_t now)
{
    if (now - schedule->tick_ns < GARI__PATIENCE_NS / GARI__PATIENCE_TICKS)
        return;
    schedule->tick_ns = now;
    gari__schedule_new_epoch();
    for (unsigned i = 0; i + 1 < GARI__PATIENCE_TICKS; i++)
        schedule->tick_epoch[i] = schedule->tick_epoch[i + 1];
    schedule->tick_epoch[GARI__PATIENCE_TICKS - 1] = gari__epoch;
}

int gari__schedule_impatient(bool at_once, bool *whole)
{
    *whole = true;
    if (!automatic())
        return -1;
    if (at_once)
        return gari__seeds_waiting(gari__epoch + 1, SIZE_MAX, schedule->began[1]) == GARI__ONE_WAITS
                   ? 2
                   : -1;
    uint64_t now = gari__now_ns();
    if (now - schedule->patience_ns < LOOK_FOR_NS)
        return -1;
    schedule->patience_ns = now;
    tick(now);
    switch (gari__seeds_waiting(schedule->tick_epoch[0], LOOK_AT, schedule->began[1])) {
    case GARI__NONE_WAITS:
        schedule->tried_young = false;
        return -1;
    case GARI__NOT_KNOWN:
        return -1;
    default:
        break;
    }
    if (!schedule->tried_young && now - schedule->tried_ns < GARI__PATIENCE_NS)
        return -1;
    schedule->tried_young = !schedule->tried_young;
    schedule->tried_ns = now;
    return schedule->tried_young ? 1 : 2;
}

bool gari__schedule_has_grown(void)
{
    return live_bytes() > schedule->known_live + schedule->known_live / 4;
}

/* The ruler sequence: every pass reaches back over 1, 2, 1, 4, 1, 2, 1, 8 ... spans, so an object is
 * looked at a logarithmic number of times. */
static uint64_t cohort_since(void)
{
    uint64_t span = (uint64_t)(schedule->threshold[1] + 1) * (uint64_t)(schedule->threshold[2] + 1);
    uint64_t reach = span << __builtin_ctzll(++schedule->cohort);
    return gari__epoch > reach ? gari__epoch - reach : 1;
}

/* A sweep is for a generation that is mostly garbage. Who asks for a collection wants all of it found. */
static void begin_youngest(struct gari__pass *pass, bool asked)
{
    struct gari__tally sum = gari__tally_sum();
    uint64_t born = sum.tracked.count, died = sum.tracked_freed - sum.freed_by_cycles;
    uint64_t made = born - schedule->young_born, gone = died - schedule->young_died;
    schedule->young_alive = made > gone ? made - gone : 0;
    schedule->young_born = born;
    schedule->young_died = died;
    pass->may_sweep = GARI_SWEEPS(schedule->fruitful && !asked);
}

struct gari__pass *gari__schedule_begin(int generation, bool whole, bool asked)
{
    struct gari__pass *pass = &gari__collector.pass[generation == 2 ? GARI__OLD : GARI__YOUNG];
    /* First a new epoch, then the candidates: what was made garbage before is then among them. */
    GARI_PERTURB_AT("young.begin");
    gari__schedule_new_epoch();

    uint64_t since = 0;
    if (generation < 2)
        since = schedule->began[generation];
    else if (!whole)
        since = cohort_since();
    else
        schedule->cohort = 0;

    /* Garbage cycles have candidates: where there are none, all that is alive is known to be. */
    if (gari__collector.pass[GARI__OLD].phase == GARI__IDLE && !gari__seeds_any(true) &&
        !gari__candidates_any())
        schedule->known_live = live_bytes();

    uint64_t bytes, net = gari__schedule_net(&bytes);
    uint64_t now = gari__now_ns();
    gari__store_relaxed(&schedule->shown_base, net);
    gari__store_relaxed(&schedule->base_bytes, bytes);
    if (!asked || generation == 2) {
        gari__store_relaxed(&schedule->base, net);
        gari__store_relaxed(&schedule->young_ns, now);
    }
    for (int younger = 0; younger <= generation; younger++) {
        if (younger < 2 || whole)
            gari__store_relaxed(&schedule->began[younger], gari__epoch);
        gari__store_relaxed(&schedule->count[younger], 0);
    }
    if (generation < 2)
        gari__store_relaxed(&schedule->count[generation + 1], schedule->count[generation + 1] + 1);
    int queued = gari__load_relaxed(&schedule->queued);
    while (queued >= 0 && queued <= generation &&
           !gari__cas_acq_rel(&schedule->queued, &queued, -1))
        ;
    gari__pass_begin(pass, generation, since, schedule->began[1], schedule->frozen);
    if (generation == 0)
        begin_youngest(pass, asked);
    pass->begun_ns = now;
    pass->live_bytes = live_bytes();
    if (generation == 2)
        gari__store_relaxed(&schedule->old_began, pass->live_bytes);
    gari__debug_begin(pass);
    return pass;
}

static void report(const struct gari__pass *pass, uint64_t took)
{
    gari_collection collection = {.phase = GARI_PHASE_STOP,
                                  .generation = pass->generation,
                                  .collected = pass->collected,
                                  .uncollectable = pass->uncollectable,
                                  .candidates = pass->candidates,
                                  .examined = pass->examined,
                                  .duration_ns = took};
    if (pass->announced)
        gari__events_stop(&collection, pass->asked);
    gari__debug_end(pass, took);
}

/* Under 1,024 ns, under 2,048 ns, ...; the last takes the rest. */
static unsigned bucket_of(uint64_t ns)
{
    unsigned bucket = ns < 1024 ? 0 : 54u - (unsigned)__builtin_clzll(ns);
    return bucket < GARI_TIME_BUCKETS ? bucket : GARI_TIME_BUCKETS - 1;
}

void gari__schedule_finished(struct gari__pass *pass)
{
    uint64_t now = gari__now_ns();
    uint64_t took = now - pass->begun_ns;
    gari_generation_stats *stats = &gari__collector.stats[pass->generation];
    /* A set that has been finalized is the end of a collection that is counted already. */
    if (!pass->held)
        gari__own_add(&stats->collections, 1);
    gari__own_add(&stats->collected, pass->collected);
    gari__own_add(&stats->candidates, pass->candidates);
    gari__own_add(&stats->uncollectable, pass->uncollectable);
    gari__own_add(&stats->histogram[bucket_of(took)], 1);
    gari__own_add(&stats->examined, pass->examined);
    gari__own_add(&stats->time_ns, took);
    if (took > stats->longest_ns)
        gari__store_relaxed(&stats->longest_ns, took);
    if (pass->swept)
        gari__own_add(&gari__collector.swept, 1);
    if (pass->generation == 0 && !pass->held) {
        uint64_t looked_at = pass->swept ? pass->examined : schedule->young_alive;
        schedule->fruitful = pass->collected && pass->collected >= looked_at / 2 &&
                             pass->blocks - pass->seeded <= pass->blocks / 8;
    }
    if (pass->whole) {
        /* What is left of what there was when it began. What has been made since may be as short-lived
         * as what it found, of which some may have been made since too. */
        schedule->known_live =
            pass->live_bytes > pass->collected_bytes ? pass->live_bytes - pass->collected_bytes : 0;
        gari__store_relaxed(&schedule->whole_live, schedule->known_live);
    }
    report(pass, took);
}

/* A heap that has grown far beyond what the last whole pass left alive, and far since the open one began:
 * the old pass is late. */
static uint64_t old_debt(uint64_t live)
{
    if (!gari__load_relaxed(&gari__collector.old_open))
        return 0;
    uint64_t left = 27 * gari__load_relaxed(&schedule->whole_live) / 20;
    uint64_t begun = 10 * gari__load_relaxed(&schedule->old_began) / 9;
    uint64_t expected = (left > begun ? left : begun) + GROWTH_SLACK;
    return live > expected ? live - expected : 0;
}

bool gari__schedule_old_is_late(void)
{
    return old_debt(live_bytes()) > 0;
}

uint64_t gari__schedule_debt(void)
{
    struct gari__tally sum = gari__tally_sum();
    uint64_t since = sum.allocated_bytes - gari__load_relaxed(&schedule->base_bytes);
    uint64_t young = since > GARI__NURSERY_BYTES ? since - GARI__NURSERY_BYTES : 0;
    uint64_t old = old_debt(sum.allocated_bytes - sum.freed_bytes);
    return old > young ? old : young;
}

bool gari__schedule_check(struct gari__object_thread *self)
{
    gari__set_alarm(self, LOOK_AGAIN);
    if (gari__load_relaxed(&schedule->queued) >= 0)
        return true;
    if (!automatic())
        return false;
    uint64_t bytes_since;
    int64_t left = gari__load_relaxed(&schedule->threshold[0]) - net_since_base(&bytes_since);
    if (left < 0) {
        uint64_t time = gari__now_ns();
        bool soon = too_soon(bytes_since, time);
        if (soon && time - self->looked_ns < LOOK_SELDOM_NS)
            gari__set_alarm(self, LOOK_SELDOM);
        self->looked_ns = time;
        return !soon;
    }
    /* Alone a thread comes back exactly when the threshold is passed; several share what is left. */
    size_t threads = gari__thread_count();
    uint64_t share = (uint64_t)left / (threads ? threads : 1) + 1;
    gari__set_alarm(self, threads > 1 && share < 16 ? 16 : share);
    return false;
}
