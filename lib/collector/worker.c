/* gari's background thread, and what the threads of the service do for the collector. */
#include "concurrency/clock.h"
#include "concurrency/grace.h"
#include "concurrency/rcu.h"
#include "lib/collector/collector.h"
#include "lib/collector/events.h"
#include "lib/collector/seeds.h"
#include "lib/object/candidate.h"
#include "lib/object/death.h"
#include "lib/object/limbo.h"
#include "lib/object/waiting.h"

#include <errno.h>
#include <sched.h>

/* Edges in one slice of the background thread, between two moments at which others get the lock. */
#define WORKER_BUDGET 8192u
/* About 20 microseconds of a mutator's time. */
#define HELP_BUDGET 512u
/* So much allocated since a young collection was due: the collector is outrun. */
#define OUTRUN_BYTES (2 * GARI__NURSERY_BYTES)
#define HELP_EVERY 16
#define HELP_WAIT_NS 20000u
#define LOCK_SPIN_NS 100000u
#define LIMBO_TICK_NS 2000000u
#define CANDIDATE_TICK_NS 100000000u
/* In manual mode allocation drives a grace period when so much waits for one. */
#define MANUAL_LIMBO_BYTES ((uint64_t)4 << 20)
#define MANUAL_LIMBO_DEFERRED 4096u
#define LATE_BYTES ((uint64_t)256 << 10)

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool started;    /* atomically */
    uint64_t turns;  /* odd while the thread may have dead objects in hand; atomically */
    bool has_thread; /* written under the lock, read without */
    bool kicked;
    bool stop;
    bool asleep; /* waits for a kick or its time; written under the lock, read without */
    bool
        barred; /* a shutdown is going on: callbacks must not start the threads again; atomically */
    pthread_t thread;
} worker = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

/* Takes the lock, ahead of the mutators (help_collect). A helping mutator has it for no longer than
 * a sleep and its end would take, so this looks again for a while before it sleeps. */
static void lock_first(void)
{
    uint64_t begin = gari__now_ns();
    gari__store_relaxed(&gari__collector.wanted_ns, begin);
    while (pthread_mutex_trylock(&gari__collector.lock) != 0) {
        if (gari__now_ns() - begin > LOCK_SPIN_NS) {
            pthread_mutex_lock(&gari__collector.lock);
            break;
        }
        sched_yield();
    }
    gari__store_relaxed(&gari__collector.wanted_ns, 0);
}

/* A bit of everything that waits. Returns how long the thread may sleep, UINT64_MAX: for ever. */
static uint64_t work(struct gari__object_thread *self)
{
    uint64_t ticket = 0;
    enum gari__slice slice;
    bool much;
    do {
        /* First what is dead already: it may be all that made a collection look due. */
        bool dying = gari__waiting_any(GARI__DYING) && gari__deaths_run(self, WORKER_BUDGET) == 0;
        lock_first();
        slice = gari__drive_slice(self, WORKER_BUDGET, !dying || gari__schedule_debt() > 0, false,
                                  &ticket);
        pthread_mutex_unlock(&gari__collector.lock);
        gari__events_deliver(self);
        if (slice == GARI__SLICE_WAITS)
            gari__grace_wait(ticket, LIMBO_TICK_NS);
        much = gari__limbo_any() && gari__limbo_free(self, WORKER_BUDGET) == 0;
    } while (slice == GARI__SLICE_WORKED || much);
    if (slice == GARI__SLICE_WAITS)
        return 0;
    if (gari__waiting_any(GARI__DYING))
        return 0;
    if (gari__limbo_any()) {
        gari__limbo_seal();
        return LIMBO_TICK_NS;
    }
    pthread_mutex_lock(&gari__collector.lock);
    bool candidates = gari__candidates_any() || gari__seeds_any(true);
    pthread_mutex_unlock(&gari__collector.lock);
    return candidates ? CANDIDATE_TICK_NS : UINT64_MAX;
}

static void sleep_for(uint64_t ns)
{
    uint64_t at = gari__now_ns() + ns;
    struct timespec until = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
    pthread_mutex_lock(&worker.lock);
    gari__store_relaxed(&worker.asleep, true);
    if (ns == UINT64_MAX) {
        /* Pairs with gari__stage and gari__limbo_put: either they see the flag, or this look sees
         * their work. */
        (void)gari__exchange_seq_cst(&gari__collector_asleep, true);
        bool nothing = !gari__limbo_any() && !gari__candidates_any();
        while (nothing && !worker.kicked && !worker.stop)
            pthread_cond_wait(&worker.wake, &worker.lock);
        gari__store_relaxed(&gari__collector_asleep, false);
    } else {
        while (!worker.kicked && !worker.stop &&
               pthread_cond_clockwait(&worker.wake, &worker.lock, CLOCK_MONOTONIC, &until) !=
                   ETIMEDOUT)
            ;
    }
    worker.kicked = false;
    gari__store_relaxed(&worker.asleep, false);
    pthread_mutex_unlock(&worker.lock);
}

static void *worker_main(void *unused)
{
    (void)unused;
    struct gari__object_thread *self = gari__enter("the collector's thread");
    if (self->heap.thread.shared) {
        /* No memory for a record of its own: mutators that outrun the collector do the work. */
        gari__leave(self);
        return NULL;
    }
    gari__thread_is_own();
    for (;;) {
        gari__fetch_add_acq_rel(&worker.turns, 1);
        uint64_t ns = work(self);
        gari__fetch_add_acq_rel(&worker.turns, 1);
        pthread_mutex_lock(&worker.lock);
        bool stop = worker.stop;
        pthread_mutex_unlock(&worker.lock);
        if (stop)
            break;
        if (ns)
            sleep_for(ns);
    }
    gari__leave(self);
    gari__thread_detach();
    return NULL;
}

void gari__worker_ensure(const char *call)
{
    if (gari__likely(gari__load_acquire(&worker.started)) || gari__load_relaxed(&worker.barred))
        return;
    gari__fork_check(call);
    pthread_mutex_lock(&worker.lock);
    if (!worker.started) {
        worker.stop = false;
        if (gari__collector.mode != GARI_MODE_MANUAL)
            gari__grace_start();
        if (gari__collector.mode == GARI_MODE_BACKGROUND)
            gari__store_relaxed(&worker.has_thread,
                                gari__thread_create(&worker.thread, "gari-collector", worker_main));
        gari__store_release(&worker.started, true);
    }
    pthread_mutex_unlock(&worker.lock);
}

uint64_t gari__worker_turns(void)
{
    return gari__load_acquire(&worker.turns);
}

void gari__worker_stop(void)
{
    pthread_mutex_lock(&worker.lock);
    bool has_thread = worker.has_thread;
    gari__store_relaxed(&worker.barred, true);
    worker.stop = true;
    pthread_cond_signal(&worker.wake);
    pthread_mutex_unlock(&worker.lock);
    if (has_thread)
        pthread_join(worker.thread, NULL);
    gari__grace_stop();
    pthread_mutex_lock(&worker.lock);
    gari__store_relaxed(&worker.has_thread, false);
    gari__store_release(&worker.started, false);
    pthread_mutex_unlock(&worker.lock);
}

void gari__worker_allow(void)
{
    gari__store_relaxed(&worker.barred, false);
}

bool gari__worker_barred(void)
{
    return gari__load_relaxed(&worker.barred);
}

void gari__worker_kick(void)
{
    pthread_mutex_lock(&worker.lock);
    worker.kicked = true;
    pthread_cond_signal(&worker.wake);
    pthread_mutex_unlock(&worker.lock);
}

void gari__upcall_wake(void)
{
    if (gari__collector.mode != GARI_MODE_BACKGROUND)
        return;
    gari__worker_ensure("gari");
    gari__worker_kick();
}

void gari__upcall_waited(uint64_t begin)
{
    uint64_t took = gari__now_ns() - begin;
    uint64_t longest = gari__load_relaxed(&gari__collector.longest_wait);
    while (took > longest && !gari__cas_acq_rel(&gari__collector.longest_wait, &longest, took))
        ;
}

static void note_help(uint64_t begin)
{
    gari__upcall_waited(begin);
    gari__fetch_add_relaxed(&gari__collector.helped, 1);
}

/* Whether the background thread, which goes first, is coming for the lock: a mutator that took it
 * between two of its slices would put it to sleep, and do alone what two can do side by side. It is
 * not if the cores are so busy that it has been waiting for long. */
static bool is_wanted(uint64_t now)
{
    uint64_t since = gari__load_relaxed(&gari__collector.wanted_ns);
    return since && now - since < 2 * LOCK_SPIN_NS;
}

/* A slice of the collection for a mutator. While somebody else is at it there is nothing to help
 * with, and a mutator that has outrun the collector waits for its turn, a bounded moment, so that
 * garbage cannot grow faster than it is collected. */
static void help_collect(struct gari__object_thread *self, uint64_t debt)
{
    uint64_t begin = gari__now_ns(), now = begin, ticket;
    uint64_t patience = debt < 2 * OUTRUN_BYTES   ? 0
                        : debt < 4 * OUTRUN_BYTES ? HELP_WAIT_NS
                                                  : 4 * HELP_WAIT_NS;
    while (is_wanted(now) || pthread_mutex_trylock(&gari__collector.lock) != 0) {
        if (now - begin >= patience) {
            if (patience)
                note_help(begin);
            return;
        }
        sched_yield();
        now = gari__now_ns();
    }
    enum gari__slice slice = gari__drive_slice(self, HELP_BUDGET, true, false, &ticket);
    pthread_mutex_unlock(&gari__collector.lock);
    /* On the shared record nobody waits: a thread in a read section may be waiting for it. */
    if (slice == GARI__SLICE_WAITS && debt >= 2 * OUTRUN_BYTES && !gari__in_section() &&
        !self->heap.thread.shared)
        gari__grace_wait(ticket, HELP_WAIT_NS);
    note_help(begin);
    if (gari__events_deliver(self))
        gari__worker_kick(); /* not here, in a read section; perhaps there is a thread for it */
}

/* A mutator that is a little faster than the collector is slowed down a little: the further ahead,
 * the longer it waits, so both come to run at one speed. Only beyond that it does the work itself. */
static void slow_down(uint64_t debt)
{
    uint64_t begin = gari__now_ns();
    uint64_t wait = (debt - OUTRUN_BYTES) * HELP_WAIT_NS / OUTRUN_BYTES;
    do
        sched_yield();
    while (gari__now_ns() - begin < wait);
    gari__upcall_waited(begin);
}

static bool may_help(const struct gari__object_thread *self)
{
    return !self->collecting && !self->callbacks && !self->unwinding && !self->reporting;
}

void gari__upcall_allocated(struct gari__object_thread *self)
{
    bool due = gari__schedule_check(self);
    if (gari__collector.mode == GARI_MODE_MANUAL || !may_help(self))
        return;
    bool open = gari__load_relaxed(&gari__collector.open);
    if (!due && !open)
        return;
    if (self->never_help) {
        if (!open)
            gari__worker_kick();
        return;
    }
    uint64_t debt = gari__schedule_debt();
    if (!open && debt == 0 && gari__waiting_any(GARI__DYING)) {
        /* What is dead already may be all that made a collection look due. */
        gari__deaths_run(self, GARI__DEATH_BUDGET);
        gari__set_alarm(self, HELP_EVERY);
        return;
    }
    if (gari__collector.mode == GARI_MODE_INLINE || debt >= OUTRUN_BYTES) {
        gari__set_alarm(self, HELP_EVERY);
        if (gari__load_relaxed(&worker.asleep))
            gari__worker_kick();
        if (gari__collector.mode == GARI_MODE_BACKGROUND && debt < 2 * OUTRUN_BYTES &&
            gari__load_relaxed(&worker.has_thread))
            slow_down(debt);
        else /* about 32 edges of work for each allocation: more than any object costs */
            help_collect(self, debt);
    } else if (!open) {
        gari__worker_kick();
    }
}

static bool much_waits(void)
{
    struct gari__limbo_stats waiting = gari__limbo_read_stats();
    return waiting.bytes > MANUAL_LIMBO_BYTES || waiting.deferred > MANUAL_LIMBO_DEFERRED;
}

/* Without knowing how much hangs on what waits: so much has been allocated since. */
static bool much_dies_late(struct gari__object_thread *self)
{
    uint64_t allocated = gari__load_relaxed(&self->heap.tally.allocated_bytes);
    if (!self->late_waiting || allocated - self->late_mark < LATE_BYTES)
        return false;
    self->late_mark = allocated;
    /* A root that was a candidate when it died is not in limbo before its ring is emptied. */
    gari__candidates_file(self, self);
    return true;
}

void gari__upcall_refill(struct gari__object_thread *self)
{
    gari__worker_ensure("gari_new");
    if (!may_help(self) || self->never_help)
        return;
    bool much_late = much_dies_late(self);
    if (!gari__limbo_any() && !gari__waiting_any(GARI__DYING))
        return;
    uint64_t begin = gari__now_ns();
    if (gari__waiting_any(GARI__DYING))
        gari__deaths_run(self, HELP_BUDGET);
    /* What dies late is reused soonest by those who made it, and its size is not known: so they keep a
     * batch of it under way. */
    if (gari__collector.mode == GARI_MODE_INLINE || self->late_waiting)
        gari__limbo_seal_idle();
    gari__limbo_free(self, HELP_BUDGET);
    if (gari__collector.mode == GARI_MODE_MANUAL && !gari__in_section() &&
        !self->heap.thread.shared && (much_waits() || much_late)) {
        self->late_waiting = false;
        gari__limbo_seal();
        gari__grace_wait(gari__limbo_last_ticket(), 0);
        gari__limbo_free(self, HELP_BUDGET);
    }
    note_help(begin);
}
