/* gari's background thread, and what the threads of the service do for the collector. */
#include "concurrency/clock.h"
#include "concurrency/grace.h"
#include "concurrency/perturb.h"
#include "concurrency/rcu.h"
#include "lib/collector/collector.h"
#include "lib/collector/crowd.h"
#include "lib/collector/events.h"
#include "lib/collector/seeds.h"
#include "lib/object/candidate.h"
#include "lib/object/death.h"
#include "lib/object/limbo.h"
#include "lib/object/waiting.h"

#include <sched.h>

/* Edges in one slice of the background thread, between two moments at which others get the lock. */
#define WORKER_BUDGET 8192u
/* About 20 microseconds of a mutator's time. */
#define HELP_BUDGET 512u
/* So much allocated since a young collection was due: the collector is outrun. */
#define OUTRUN_BYTES (2 * GARI__NURSERY_BYTES)
/* The same in limbo: more than one bin's worth of slots, so that what waits gets less. */
#define LIMBO_BUDGET 1024u
#define HELP_EVERY 16
#define HELP_WAIT_NS 20000u
#define LOCK_SPIN_NS 100000u
#define LIMBO_TICK_NS 2000000u
#define CANDIDATE_TICK_NS 100000000u
/* While a pass rests: it may do so for longer. */
#define REST_TICK_NS 5000000u
/* In manual mode allocation drives a grace period when so much waits for one. */
#define MANUAL_LIMBO_BYTES ((uint64_t)4 << 20)
#define MANUAL_LIMBO_DEFERRED 4096u
#define MANUAL_LATE_BYTES ((uint64_t)4 << 20)
/* A thread puts what died late under way when it has allocated so much since the last time. */
#define LATE_BYTES ((uint64_t)128 << 10)
/* While threads free what died late themselves, the background thread leaves it to them: unless so much
 * waits, and for so long after the last time. */
#define TENDED_BYTES ((uint64_t)4 << 20)
#define TENDED_NS (4 * LIMBO_TICK_NS)
/* After a thread has been refused. */
#define RETRY_NS 100000000u

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool started;       /* all threads that the mode asks for; atomically */
    uint64_t retry_ns;  /* not before this time; atomically */
    uint64_t tended_ns; /* when a mutator last freed what died late; atomically */
    uint64_t turns;     /* odd while the thread may have dead objects in hand; atomically */
    bool has_thread;    /* written under the lock, read without */
    bool kicked;        /* written under the lock, read without */
    bool stop;
    bool asleep; /* waits for a kick or its time; written under the lock, read without */
    bool
        barred; /* a shutdown is going on: callbacks must not start the threads again; atomically */
    pthread_t thread;
    pthread_t barrer; /* who shuts down */
} worker = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

/* Takes the lock, ahead of the mutators (help_collect). A helping mutator has it for no longer than
 * a sleep and its end would take, so this looks again for a while before it sleeps. */
static void lock_first(void)
{
    uint64_t begin = gari__now_ns();
    gari__store_relaxed(&gari__collector.wanted_ns, begin);
    while (!gari__collector_trylock()) {
        if (gari__now_ns() - begin > LOCK_SPIN_NS) {
            gari__collector_lock();
            break;
        }
        sched_yield();
    }
    gari__store_relaxed(&gari__collector.wanted_ns, 0);
}

/* The background thread's while it takes apart or frees what is dead: a fork waits for it, so that the
 * child does not lose what it has in hand. Not for ever, for a callback may wait for the forking thread. */
static pthread_mutex_t hands = PTHREAD_MUTEX_INITIALIZER;

/* Where the service's threads fill all processors this one would only compete with them: they do the
 * collector's work, in small slices. If none has since the last time, they have other things to do, and it
 * does one. */
static bool leaves_it_to_others(bool crowded)
{
    static uint64_t seen;
    uint64_t helped = gari__load_relaxed(&gari__collector.helped);
    bool others = helped != seen;
    seen = helped;
    return crowded && others;
}

/* Whether mutators see to limbo: what this thread freed would come back to them from another core. */
static bool is_tended(void)
{
    uint64_t last = gari__load_relaxed(&worker.tended_ns);
    return last && gari__now_ns() - last < TENDED_NS &&
           gari__limbo_read_stats().bytes < TENDED_BYTES;
}

/* A bit of everything that waits. Returns how long the thread may sleep, UINT64_MAX: for ever. */
static uint64_t work(struct gari__object_thread *self)
{
    uint64_t ticket = 0;
    enum gari__slice slice;
    bool crowded, leave, much;
    do {
        crowded = gari__crowd_look();
        leave = leaves_it_to_others(crowded);
        /* First what is dead already: it may be all that made a collection look due. */
        pthread_mutex_lock(&hands);
        bool dying = gari__waiting_any(GARI__DYING) && gari__deaths_run(self, WORKER_BUDGET) == 0;
        pthread_mutex_unlock(&hands);
        slice = GARI__SLICE_IDLE;
        if (!leave) {
            lock_first();
            slice = gari__drive_slice(self, WORKER_BUDGET, !dying || gari__schedule_debt() > 0,
                                      false, &ticket);
            gari__collector_unlock();
        }
        gari__events_deliver(self);
        if (slice == GARI__SLICE_WAITS)
            gari__grace_wait(ticket, LIMBO_TICK_NS);
        pthread_mutex_lock(&hands);
        much = gari__limbo_any() && !is_tended() && gari__limbo_free(self, WORKER_BUDGET) == 0;
        pthread_mutex_unlock(&hands);
    } while (!crowded && (slice == GARI__SLICE_WORKED || much));
    if (crowded && (leave || slice != GARI__SLICE_IDLE))
        return LIMBO_TICK_NS;
    if (slice == GARI__SLICE_WAITS)
        return 0;
    if (gari__waiting_any(GARI__DYING))
        return 0;
    if (gari__limbo_any()) {
        if (!is_tended())
            gari__limbo_seal();
        if (!gari__grace_has_thread())
            gari__grace_wait(gari__limbo_last_ticket(), 0);
        return LIMBO_TICK_NS;
    }
    if (gari__finalizers_retry())
        return CANDIDATE_TICK_NS;
    if (slice == GARI__SLICE_RESTS)
        return REST_TICK_NS;
    gari__collector_lock();
    bool candidates = gari__candidates_any() || gari__seeds_any(true);
    gari__collector_unlock();
    return candidates ? CANDIDATE_TICK_NS : UINT64_MAX;
}

/* Whether somebody else's turn at the passes has left work for the next. */
static bool left_behind(void)
{
    return gari__load_seq_cst(&gari__collector.open) || gari__seeds_listed();
}

static void sleep_for(uint64_t ns)
{
    gari__mutex_lock(&worker.lock);
    gari__store_relaxed(&worker.asleep, true);
    if (ns == UINT64_MAX) {
        GARI_PERTURB_AT("worker.sleep");
        /* Pairs with gari__candidate_keep, gari__limbo_put and gari__worker_remind: either they see the
         * flag, or this look sees their work. */
        (void)gari__exchange_seq_cst(&gari__collector_asleep, true);
        GARI_PERTURB_AT("worker.look");
        bool more = gari__limbo_any() || gari__candidates_any(), left = left_behind();
        while (!more && !left && !worker.kicked && !worker.stop)
            gari__cond_wait(&worker.wake, &worker.lock);
        gari__store_relaxed(&gari__collector_asleep, false);
        ns = !more && left ? CANDIDATE_TICK_NS : 0;
    }
    uint64_t at = gari__now_ns() + ns;
    while (ns && !worker.kicked && !worker.stop &&
           gari__cond_wait_until(&worker.wake, &worker.lock, at))
        ;
    gari__store_relaxed(&worker.kicked, false);
    gari__store_relaxed(&worker.asleep, false);
    gari__mutex_unlock(&worker.lock);
}

/* A record for the thread; while there is no memory for one, mutators that outrun the collector do the
 * work, and this tries again. NULL: the thread is to stop. */
static struct gari__object_thread *attach(void)
{
    struct gari__thread *record;
    bool stop = false;
    while (!stop && (record = gari__thread_attach()) == NULL) {
        gari__mutex_lock(&worker.lock);
        stop = worker.stop;
        if (!stop)
            gari__cond_wait_until(&worker.wake, &worker.lock, gari__now_ns() + RETRY_NS);
        gari__mutex_unlock(&worker.lock);
    }
    return stop ? NULL : (struct gari__object_thread *)record;
}

static void *worker_main(void *unused)
{
    (void)unused;
    struct gari__object_thread *self = attach();
    if (!self)
        return NULL;
    gari__thread_is_own();
    for (;;) {
        gari__fetch_add_acq_rel(&worker.turns, 1);
        uint64_t ns = work(self);
        gari__fetch_add_acq_rel(&worker.turns, 1);
        gari__mutex_lock(&worker.lock);
        bool stop = worker.stop;
        gari__mutex_unlock(&worker.lock);
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
    if (gari__likely(gari__load_acquire(&worker.started)) || gari__load_relaxed(&worker.barred) ||
        (gari__load_relaxed(&worker.retry_ns) &&
         gari__now_ns() < gari__load_relaxed(&worker.retry_ns)))
        return;
    gari__fork_check(call);
    gari__mutex_lock(&worker.lock);
    if (!worker.started) {
        worker.stop = false;
        bool all = true;
        if (gari__collector.mode != GARI_MODE_MANUAL)
            all = gari__grace_start();
        if (gari__collector.mode == GARI_MODE_BACKGROUND && !worker.has_thread) {
            gari__store_relaxed(&worker.has_thread,
                                gari__thread_create(&worker.thread, "gari-collector", worker_main));
            all &= worker.has_thread;
            /* Whoever makes work tries to wake it, and so tries again. */
            gari__store_relaxed(&gari__collector_asleep, !worker.has_thread);
        }
        gari__store_relaxed(&worker.retry_ns, all ? 0 : gari__now_ns() + RETRY_NS);
        gari__store_release(&worker.started, all);
    }
    gari__mutex_unlock(&worker.lock);
    /* In the child of a fork they have been waiting for a thread. */
    if (gari__finalize_any())
        gari__upcall_finalizers();
}

uint64_t gari__worker_turns(void)
{
    return gari__load_acquire(&worker.turns);
}

void gari__worker_stop(void)
{
    gari__mutex_lock(&worker.lock);
    bool has_thread = worker.has_thread;
    gari__store_relaxed(&worker.barred, true);
    worker.barrer = pthread_self();
    worker.stop = true;
    pthread_cond_signal(&worker.wake);
    gari__mutex_unlock(&worker.lock);
    if (has_thread)
        pthread_join(worker.thread, NULL);
    gari__grace_stop();
    gari__crowd_forget();
    gari__mutex_lock(&worker.lock);
    gari__store_relaxed(&worker.has_thread, false);
    gari__store_relaxed(&worker.retry_ns, 0);
    gari__store_release(&worker.started, false);
    gari__mutex_unlock(&worker.lock);
}

void gari__worker_allow(void)
{
    gari__store_relaxed(&worker.barred, false);
}

bool gari__worker_barred(void)
{
    return gari__load_relaxed(&worker.barred);
}

bool gari__worker_hands_before_fork(void)
{
    if (!gari__load_acquire(&worker.started) || pthread_equal(worker.thread, pthread_self()))
        return false;
    uint64_t begin = gari__now_ns();
    while (pthread_mutex_trylock(&hands) != 0) {
        if (gari__now_ns() - begin > GARI__FORK_PATIENCE_NS)
            return false;
        sched_yield();
    }
    return true;
}

void gari__worker_hands_after_fork(void)
{
    pthread_mutex_unlock(&hands);
}

void gari__worker_before_fork(void)
{
    gari__mutex_pass(&worker.lock);
}

void gari__worker_after_fork(void)
{
    gari__mutex_renew(&worker.lock);
    gari__cond_renew(&worker.wake);
    gari__mutex_renew(&hands);
    worker.turns += worker.turns % 2;
    gari__crowd_forget();
    worker.started = worker.has_thread = worker.kicked = worker.stop = worker.asleep = false;
    if (worker.barred && !pthread_equal(worker.barrer, pthread_self()))
        worker.barred = false;
    /* As if the thread slept: the first who makes work starts it. */
    gari__store_relaxed(&gari__collector_asleep, true);
}

void gari__worker_kick(void)
{
    gari__mutex_lock(&worker.lock);
    gari__store_relaxed(&worker.kicked, true);
    pthread_cond_signal(&worker.wake);
    gari__mutex_unlock(&worker.lock);
}

void gari__worker_remind(void)
{
    if (gari__load_seq_cst(&gari__collector_asleep) && left_behind())
        gari__upcall_wake();
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

/* Whether mutators do all the work: the mode says so, or there is no thread for it, or no processor for
 * the thread. */
static bool is_alone(void)
{
    return gari__collector.mode == GARI_MODE_INLINE ||
           (gari__collector.mode == GARI_MODE_BACKGROUND &&
            (!gari__load_relaxed(&worker.has_thread) || gari__crowded()));
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

/* Twice as many edges as have been allocated since the last time, if those objects have nothing else. */
static size_t help_budget(struct gari__object_thread *self)
{
    uint64_t allocated = gari__load_relaxed(&self->heap.tally.allocated_bytes);
    uint64_t edges = 2 * (allocated - self->help_mark) / sizeof(gari_slot);
    self->help_mark = allocated;
    return edges < HELP_BUDGET ? HELP_BUDGET : edges < WORKER_BUDGET ? edges : WORKER_BUDGET;
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
    while (is_wanted(now) || !gari__collector_trylock()) {
        if (now - begin >= patience) {
            if (patience)
                note_help(begin);
            return;
        }
        sched_yield();
        now = gari__now_ns();
    }
    enum gari__slice slice = gari__drive_slice(self, help_budget(self), true, false, &ticket);
    gari__collector_unlock();
    /* On the shared record nobody waits: a thread in a read section may be waiting for it. */
    if (slice == GARI__SLICE_WAITS && !gari__in_section() && !self->heap.thread.shared &&
        (debt >= 2 * OUTRUN_BYTES || !gari__grace_has_thread()))
        gari__grace_wait(ticket, HELP_WAIT_NS);
    note_help(begin);
    gari__worker_remind();
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
    if (!open && !is_alone() && !gari__candidates_any() && !gari__waiting_any(GARI__DYING)) {
        /* There is nothing to be collected: only its time has come. No reason to wait for the thread. */
        if (!gari__load_relaxed(&worker.kicked))
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
    bool alone = is_alone();
    if (alone || debt >= OUTRUN_BYTES) {
        gari__set_alarm(self, HELP_EVERY);
        if (gari__load_relaxed(&worker.asleep) && !gari__crowded())
            gari__worker_kick();
        if (!alone && debt < 2 * OUTRUN_BYTES)
            slow_down(debt);
        else /* about 32 edges of work for each small object: more than it costs */
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
static bool is_late_due(struct gari__object_thread *self)
{
    uint64_t allocated = gari__load_relaxed(&self->heap.tally.allocated_bytes);
    if (!self->late_waiting || allocated - self->late_mark < LATE_BYTES)
        return false;
    uint64_t ticket = gari__limbo_last_ticket();
    if (ticket == self->late_ticket)
        return true;
    /* Another thread has sealed one meanwhile: of what all had. */
    self->late_ticket = ticket;
    self->late_mark = allocated;
    return false;
}

/* What dies late is reused soonest by those who made it, while it is in their core's cache: they put a
 * batch under way every so often, and mostly find in the same call that it is ripe. */
static void seal_late(struct gari__object_thread *self)
{
    if (gari__limbo_seal_idle()) {
        self->late_waiting = false;
        self->late_sealed = true;
        self->late_mark = gari__load_relaxed(&self->heap.tally.allocated_bytes);
        self->late_ticket = gari__limbo_last_ticket();
    }
}

/* Nobody else drives grace periods, and one is held up: by a section of another thread's. */
static void wait_alone(struct gari__object_thread *self)
{
    uint64_t allocated = gari__load_relaxed(&self->heap.tally.allocated_bytes);
    self->late_sealed = self->late_sealed && gari__limbo_under_way();
    bool held_up = self->late_sealed && allocated - self->late_mark >= MANUAL_LATE_BYTES;
    if (gari__in_section() || self->heap.thread.shared || gari__grace_has_thread() ||
        !(held_up || much_waits()))
        return;
    self->late_waiting = false;
    self->late_mark = allocated;
    gari__limbo_seal();
    gari__grace_wait(gari__limbo_last_ticket(), 0);
    gari__limbo_free(self, HELP_BUDGET);
}

uint64_t gari__upcall_refill(struct gari__object_thread *self)
{
    gari__worker_ensure("gari_new");
    gari__finalizers_retry();
    if (!may_help(self) || self->never_help)
        return 0;
    bool late = is_late_due(self);
    if (late)
        seal_late(self);
    bool dying = gari__waiting_any(GARI__DYING);
    if (!dying && !gari__limbo_any())
        return 0;
    uint64_t begin = gari__now_ns();
    if (dying)
        gari__deaths_run(self, HELP_BUDGET);
    if (is_alone() && !self->late_waiting)
        gari__limbo_seal_idle();
    if (gari__limbo_free(self, LIMBO_BUDGET) < LIMBO_BUDGET && late)
        gari__store_relaxed(&worker.tended_ns, begin);
    wait_alone(self);
    note_help(begin);
    return begin;
}
