/* gari's background thread: what it does, when it sleeps, who wakes it and ends it. */
#include "concurrency/clock.h"
#include "concurrency/grace.h"
#include "concurrency/perturb.h"
#include "lib/collector/collector.h"
#include "lib/collector/crowd.h"
#include "lib/collector/events.h"
#include "lib/collector/seeds.h"
#include "lib/heap/segment.h"
#include "lib/object/candidate.h"
#include "lib/object/death.h"
#include "lib/object/kept.h"
#include "lib/object/limbo.h"
#include "lib/object/waiting.h"

#include <sched.h>

#define LOCK_SPIN_NS 100000u
#define LIMBO_TICK_NS 2000000u
/* Where it would only take a processor from those who do the work. */
#define CROWD_TICK_NS 10000000u
#define CANDIDATE_TICK_NS 100000000u
/* While a pass rests: it may do so for longer. */
#define REST_TICK_NS 5000000u
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

/* Takes the lock, ahead of the mutators (help.c: help_collect). A helping mutator has it for no longer than
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

bool gari__worker_wants_lock(uint64_t now)
{
    uint64_t since = gari__load_relaxed(&gari__collector.wanted_ns);
    return since && now - since < 2 * LOCK_SPIN_NS;
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

void gari__worker_leave_limbo(uint64_t now)
{
    gari__store_relaxed(&worker.tended_ns, now);
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
        gari__kept_tick(self, false);
        bool dying = (self->pending || gari__waiting_any(GARI__DYING)) &&
                     gari__deaths_run(self, GARI__WORKER_BUDGET) == 0;
        pthread_mutex_unlock(&hands);
        slice = GARI__SLICE_IDLE;
        if (!leave) {
            lock_first();
            slice = gari__drive_slice(self, GARI__WORKER_BUDGET,
                                      !dying || gari__schedule_debt() > 0, false, &ticket);
            gari__collector_unlock();
        }
        gari__events_deliver(self);
        if (slice == GARI__SLICE_WAITS)
            gari__grace_wait(ticket, LIMBO_TICK_NS);
        pthread_mutex_lock(&hands);
        much = gari__limbo_any() && !is_tended() &&
               gari__limbo_free(self, GARI__WORKER_BUDGET, false) == 0;
        pthread_mutex_unlock(&hands);
        (void)gari__segments_return();
    } while (!crowded && (slice == GARI__SLICE_WORKED || much));
    if (crowded && (leave || slice != GARI__SLICE_IDLE))
        return leave ? CROWD_TICK_NS : LIMBO_TICK_NS;
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
        bool more =
            gari__limbo_any() || gari__candidates_any() || gari__load_seq_cst(&gari__kept_any);
        bool left = left_behind();
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

/* From here on those who free memory return it themselves. */
static void leave_segments(void)
{
    gari__segments_attend(false);
    while (gari__segments_return())
        ;
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
        gari__segments_attend(true);
        uint64_t ns = work(self);
        if (ns > GARI__KEPT_TICK_NS && gari__load_relaxed(&gari__kept_any))
            ns = GARI__KEPT_TICK_NS;
        if (ns > CROWD_TICK_NS)
            leave_segments();
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
    leave_segments();
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

bool gari__worker_exists(void)
{
    return gari__load_relaxed(&worker.has_thread);
}

bool gari__worker_sleeps(void)
{
    return gari__load_relaxed(&worker.asleep);
}

bool gari__worker_kicked(void)
{
    return gari__load_relaxed(&worker.kicked);
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
