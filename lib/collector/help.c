/* What the threads of the service do of gari's work: slices of a collection when they outrun its own thread
 * or there is none, and a bit of what is dead when they come for memory. */
#include "concurrency/clock.h"
#include "concurrency/grace.h"
#include "concurrency/look.h"
#include "concurrency/rcu.h"
#include "lib/collector/collector.h"
#include "lib/collector/crowd.h"
#include "lib/collector/events.h"
#include "lib/object/candidate.h"
#include "lib/object/death.h"
#include "lib/object/kept.h"
#include "lib/object/limbo.h"
#include "lib/object/waiting.h"

#include <sched.h>

/* About 10 microseconds of a mutator's time, more where memory is far, */
#define HELP_BUDGET 512u
/* and how long it goes on. */
#define HELP_NS 20000u
/* So much allocated since a young collection was due: the collector is outrun. */
#define OUTRUN_BYTES (4 * GARI__NURSERY_BYTES)
/* The same in limbo: more than one bin's worth of slots, so that what waits gets less. But what hangs on it may
 * be in no cache: after each part it looks whether that has taken long. */
#define LIMBO_BUDGET 1024u
#define LIMBO_PART 256u
#define LIMBO_NS 40000u
#define HELP_EVERY 16
#define HELP_WAIT_NS 20000u
/* With so much waiting nobody is patient; and in manual mode allocation drives the grace period. */
#define MUCH_LIMBO_BYTES ((uint64_t)4 << 20)
#define MUCH_LIMBO_DEFERRED 4096u
#define MANUAL_LATE_BYTES ((uint64_t)4 << 20)
/* A thread puts what died late under way when it has allocated so much since the last time. */
#define LATE_BYTES ((uint64_t)128 << 10)
/* So often it looks at a grace period without more ado: once for each block that it takes slots from. */
#define PATIENT_LOOKS 2u

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
            (!gari__worker_exists() || gari__crowded()));
}

static void note_help(uint64_t begin)
{
    gari__upcall_waited(begin);
    gari__fetch_add_relaxed(&gari__collector.helped, 1);
}

/* Three times as many edges as have been allocated, if those objects have nothing else: somewhat more than
 * it takes to collect them; twice that while a pass over the old is open, which takes every other slice. What a slice
 * had no time for is still owed in the next. */
#define EDGES_EACH 3u
#define EDGES_EACH_OLD 6u
#define MOST_OWED 16384u

static uint64_t edges_owed(struct gari__object_thread *self, uint64_t allocated, uint64_t each)
{
    uint64_t edges = each * (allocated - self->help_mark) / sizeof(gari_slot);
    return edges < MOST_OWED ? edges : MOST_OWED;
}

/* Works off what the thread owes, one part at least, as long as it may. The collector's lock is held. */
static enum gari__slice work_off(struct gari__object_thread *self, uint64_t *ticket)
{
    uint64_t begin = gari__now_ns();
    uint64_t allocated = gari__load_relaxed(&self->heap.tally.allocated_bytes);
    uint64_t each = gari__load_relaxed(&gari__collector.old_open) ? EDGES_EACH_OLD : EDGES_EACH;
    uint64_t owed = edges_owed(self, allocated, each);
    bool untold = gari__events_any();
    enum gari__slice slice;
    do {
        slice = gari__drive_slice(self, HELP_BUDGET, true, false, ticket);
        owed -= owed < HELP_BUDGET ? owed : HELP_BUDGET;
        /* A callback that is to hear of a pass does so before more is done. */
    } while (slice == GARI__SLICE_WORKED && owed > 0 && (untold || !gari__events_any()) &&
             gari__now_ns() - begin < HELP_NS);
    if (slice != GARI__SLICE_WORKED)
        owed = 0;
    self->help_mark = allocated - owed * sizeof(gari_slot) / each;
    return slice;
}

/* A bounded moment, without sleeping, which takes longer. But who is far ahead sleeps: the thread that drives the
 * grace period may be one that does not run beside him. */
static void wait_for_grace(uint64_t ticket, uint64_t debt)
{
    if (debt >= 4 * OUTRUN_BYTES || !gari__grace_has_thread()) {
        gari__grace_wait(ticket, HELP_WAIT_NS);
        return;
    }
    uint64_t begin = gari__now_ns();
    while (!gari__grace_look(ticket, false) && gari__now_ns() - begin < HELP_WAIT_NS)
        sched_yield();
}

static uint64_t patience_for(uint64_t debt)
{
    return debt < 2 * OUTRUN_BYTES ? 0 : debt < 4 * OUTRUN_BYTES ? HELP_WAIT_NS : 4 * HELP_WAIT_NS;
}

/* A slice of the collection for a mutator. While somebody else is at it there is nothing to help
 * with, and a mutator that has outrun the collector waits for its turn, a bounded moment, so that
 * garbage cannot grow faster than it is collected. */
static void help_collect(struct gari__object_thread *self)
{
    uint64_t begin = gari__now_ns(), now = begin, ticket, patience = 0;
    while (gari__worker_wants_lock(now) || !gari__collector_trylock()) {
        if (now == begin)
            patience = patience_for(gari__schedule_debt());
        if (now - begin >= patience) {
            if (patience)
                note_help(begin);
            return;
        }
        sched_yield();
        now = gari__now_ns();
    }
    enum gari__slice slice = work_off(self, &ticket);
    gari__collector_unlock();
    /* On the shared record nobody waits: a thread in a read section may be waiting for it. */
    if (slice == GARI__SLICE_WAITS && !gari__in_section() && !self->heap.thread.shared) {
        uint64_t debt = gari__schedule_debt();
        if (debt >= 2 * OUTRUN_BYTES || !gari__grace_has_thread())
            wait_for_grace(ticket, debt);
    }
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

/* There is nothing to be collected: only its time has come. To wake the thread for that costs more than to do it, and
 * where much is allocated it would be woken thousands of times a second. But it is the thread's if it takes long. */
static void collect_nothing(struct gari__object_thread *self)
{
    if (!gari__schedule_restamps_soon()) {
        gari__set_alarm(self, HELP_EVERY);
        help_collect(self);
        if (!gari__load_relaxed(&gari__collector.open))
            return;
    }
    if (!gari__worker_kicked())
        gari__worker_kick();
}

static bool may_help(const struct gari__object_thread *self)
{
    return !self->collecting && !self->callbacks && !self->unwinding && !self->reporting;
}

void gari__upcall_allocated(struct gari__object_thread *self)
{
    bool open = gari__load_relaxed(&gari__collector.open);
    /* Nearly every call where the service fills all processors: what is due is looked at under the lock. */
    if (open && !self->never_help && may_help(self) && is_alone()) {
        gari__set_alarm(self, HELP_EVERY);
        if (gari__worker_sleeps() && !gari__crowded())
            gari__worker_kick();
        help_collect(self);
        return;
    }
    bool due = gari__schedule_check(self);
    if (gari__collector.mode == GARI_MODE_MANUAL || !may_help(self))
        return;
    if (!due && !open)
        return;
    if (self->never_help) {
        if (!open)
            gari__worker_kick();
        return;
    }
    if (!open && !is_alone() && !gari__candidates_any() && !gari__waiting_any(GARI__DYING)) {
        collect_nothing(self);
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
        if (gari__worker_sleeps() && !gari__crowded())
            gari__worker_kick();
        if (!alone && debt < 2 * OUTRUN_BYTES)
            slow_down(debt);
        else
            help_collect(self);
    } else if (!open) {
        gari__worker_kick();
    }
}

static bool much_waits(void)
{
    struct gari__limbo_stats waiting = gari__limbo_read_stats();
    return waiting.bytes > MUCH_LIMBO_BYTES || waiting.deferred > MUCH_LIMBO_DEFERRED;
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
    self->late_sealed = self->late_sealed && gari__limbo_next_ticket() != 0;
    bool held_up = self->late_sealed && allocated - self->late_mark >= MANUAL_LATE_BYTES;
    if (gari__in_section() || self->heap.thread.shared || gari__grace_has_thread() ||
        !(held_up || much_waits()))
        return;
    self->late_waiting = false;
    self->late_mark = allocated;
    gari__limbo_seal();
    gari__grace_wait(gari__limbo_last_ticket(), 0);
    gari__limbo_free(self, HELP_BUDGET, false);
}

/* Whether it is too early to interrupt others for a grace period: those who allocate soon say by themselves that they
 * are in no section. */
static bool is_patient(struct gari__object_thread *self)
{
    uint64_t ticket = gari__limbo_next_ticket();
    if (ticket != self->awaited_ticket) {
        self->awaited_ticket = ticket;
        self->looks = 0;
    }
    return self->looks++ < PATIENT_LOOKS && !much_waits();
}

/* True: it has freed something. */
static bool free_waiting(struct gari__object_thread *self, uint64_t begin)
{
    size_t freed = 0, left;
    bool patient = is_patient(self);
    do {
        left = gari__limbo_free(self, LIMBO_PART, patient);
        freed += LIMBO_PART - left;
    } while (left == 0 && freed < LIMBO_BUDGET && gari__now_ns() - begin < LIMBO_NS);
    return freed > 0;
}

uint64_t gari__upcall_refill(struct gari__object_thread *self)
{
    gari__worker_ensure("gari_new");
    gari__finalizers_retry();
    if (!may_help(self) || self->never_help) {
        gari__reader_rest();
        return 0;
    }
    if (gari__collector.mode == GARI_MODE_INLINE || !gari__worker_exists())
        gari__kept_tick(self, true);
    bool late = is_late_due(self);
    if (late)
        seal_late(self);
    gari__reader_rest();
    bool dying = self->pending || gari__waiting_any(GARI__DYING);
    if (!dying && !gari__limbo_any())
        return 0;
    uint64_t begin = gari__now_ns();
    if (dying)
        gari__deaths_run(self, HELP_BUDGET);
    if (is_alone() && !self->late_waiting)
        gari__limbo_seal_idle();
    if (free_waiting(self, begin) && late)
        gari__worker_leave_limbo(begin);
    wait_alone(self);
    note_help(begin);
    return begin;
}
