/* Driving passes: one slice at a time, or a collection to its end. */
#include "concurrency/clock.h"
#include "concurrency/grace.h"
#include "lib/collector/collector.h"
#include "lib/collector/events.h"
#include "lib/collector/seeds.h"
#include "lib/heap/segment.h"
#include "lib/object/candidate.h"
#include "lib/object/death.h"
#include "lib/object/kept.h"
#include "lib/object/limbo.h"
#include "lib/object/waiting.h"

#define WHOLE_BUDGET ((size_t)1 << 16)
#define DUE_BUDGET ((size_t)1 << 13)
#define TIDY_ROUNDS 64
/* For so long at least it waits for what the background thread has in hand; on a busy machine that
 * thread may not run for some time slices. */
#define TIDY_NS 300000000u
#define FINALIZE_ROUNDS 8
/* How long gari_collect waits for the finalizers of what it has found. */
#define FINALIZE_WAIT_NS 50000000u

/* A pass that is paced rests after each slice, so that it has its share of time and no more. */
static enum gari__progress paced_step(struct gari__pass *pass, struct gari__object_thread *self,
                                      size_t budget)
{
    if (!pass->paced)
        return gari__pass_step(pass, self, budget);
    uint64_t begin = gari__thread_cpu_ns();
    enum gari__progress progress = gari__pass_step(pass, self, budget);
    uint64_t worked = gari__thread_cpu_ns() - begin;
    pass->rest_ns = gari__now_ns() + worked * (GARI__PATIENCE_SHARE - 1);
    return progress;
}

/* Not while a proof is open, for which the other pass may come to wait. That young collections are late is no
 * reason to hurry: mutators who help with those would walk the old graph besides. */
static bool rests(struct gari__pass *pass)
{
    if (pass->phase == GARI__IDLE || !pass->paced || gari__pass_in_proof(pass))
        return false;
    pass->paced = !gari__schedule_has_grown() && !gari__schedule_old_is_late();
    return pass->paced && gari__now_ns() < pass->rest_ns;
}

/* One step of the pass, or of the other one while that has the proof. */
static enum gari__slice step(struct gari__pass *pass, struct gari__object_thread *self,
                             size_t budget, uint64_t *ticket)
{
    self->collecting = true;
    enum gari__progress progress = paced_step(pass, self, budget);
    if (progress == GARI__BLOCKED) {
        pass = &gari__collector.pass[!pass->which];
        progress = paced_step(pass, self, budget);
    }
    self->collecting = false;
    bool old_open = gari__collector.pass[GARI__OLD].phase != GARI__IDLE;
    gari__store_relaxed(&gari__collector.old_open, old_open);
    /* Sequentially consistent: see gari__worker_remind. */
    (void)gari__exchange_seq_cst(
        &gari__collector.open,
        old_open || gari__collector.pass[GARI__YOUNG].phase != GARI__IDLE || gari__aside_any());
    if (progress == GARI__FINISHED)
        gari__schedule_finished(pass);
    if (progress == GARI__WAITING)
        *ticket = pass->ticket;
    return progress == GARI__WAITING ? GARI__SLICE_WAITS : GARI__SLICE_WORKED;
}

/* A set whose finalizers have run comes before anything new. */
static bool resume_finalized(struct gari__pass *pass)
{
    struct gari__finalize_set *set = pass->phase == GARI__IDLE ? gari__aside_take() : NULL;
    if (set)
        gari__pass_resume(pass, set);
    return set != NULL;
}

enum gari__slice gari__drive_slice(struct gari__object_thread *self, size_t budget, bool begin,
                                   bool eager, uint64_t *ticket)
{
    struct gari__pass *young = &gari__collector.pass[GARI__YOUNG];
    struct gari__pass *old = &gari__collector.pass[GARI__OLD];
    resume_finalized(young);
    if (young->phase == GARI__IDLE && begin) {
        bool whole = true, paced = false;
        bool asked = gari__load_relaxed(&gari__collector.schedule.queued) >= 0;
        int due = gari__schedule_due(&whole);
        if (due < 0 && old->phase == GARI__IDLE) {
            /* What becomes dirty in the course of a round is for the next one: otherwise threads that are faster
             * than this would keep it from ever looking further. */
            static bool begun;
            size_t room = budget;
            if (!gari__seeds_take_dirty(&begun, &room))
                return GARI__SLICE_WORKED;
            begun = false;
            due = gari__schedule_impatient(eager, &whole);
            paced = due == 2 && !eager;
        }
        if (due == 2 && old->phase != GARI__IDLE)
            due = -1;
        if (due >= 0) {
            struct gari__pass *pass = gari__schedule_begin(due, whole, asked);
            /* Also if nothing more is done for now: see step. */
            (void)gari__exchange_seq_cst(&gari__collector.open, true);
            pass->asked = asked;
            pass->paced = paced;
            pass->announced = gari__events_start(due, asked);
            if (pass->announced)
                return GARI__SLICE_WORKED; /* the service is told before more is done */
        }
    }
    bool resting = !eager && rests(old);
    if (old->phase == GARI__IDLE || resting) {
        if (young->phase != GARI__IDLE)
            return step(young, self, budget, ticket);
        return resting ? GARI__SLICE_RESTS : GARI__SLICE_IDLE;
    }
    if (young->phase == GARI__IDLE)
        return step(old, self, budget, ticket);
    /* Both are open: they take turns, so that neither starves the other, and while one waits for its
     * grace period the other works. */
    struct gari__pass *first = gari__collector.old_turn ? old : young;
    gari__collector.old_turn = !gari__collector.old_turn;
    enum gari__slice slice = step(first, self, budget, ticket);
    struct gari__pass *second = &gari__collector.pass[!first->which];
    uint64_t second_ticket;
    if (slice == GARI__SLICE_WAITS && second->phase != GARI__IDLE &&
        step(second, self, budget, &second_ticket) == GARI__SLICE_WORKED)
        slice = GARI__SLICE_WORKED;
    return slice;
}

/* Without a grace thread the wait drives the grace period, so it needs no time limit; with one it ends
 * now and then, for a look at the words. */
static void wait_resting(uint64_t ticket)
{
    gari__collector_rest(false);
    gari__grace_wait(ticket, gari__grace_has_thread() ? 500000000u : 0);
    gari__collector_resume();
}

/* Works at a pass until it is idle. */
static void finish(struct gari__pass *pass, struct gari__object_thread *self)
{
    uint64_t ticket = 0;
    while (pass->phase != GARI__IDLE) {
        if (step(pass, self, WHOLE_BUDGET, &ticket) == GARI__SLICE_WAITS)
            wait_resting(ticket);
    }
}

void gari__drive_proofs(struct gari__object_thread *self)
{
    uint64_t ticket = 0;
    for (int which = 0; which < GARI__PASSES; which++) {
        struct gari__pass *pass = &gari__collector.pass[which];
        while (gari__pass_in_proof(pass)) {
            if (step(pass, self, WHOLE_BUDGET, &ticket) == GARI__SLICE_WAITS)
                wait_resting(ticket);
        }
    }
}

void gari__drive_idle(struct gari__object_thread *self)
{
    for (int which = 0; which < GARI__PASSES; which++) {
        struct gari__pass *pass = &gari__collector.pass[which];
        if (pass->phase != GARI__IDLE && pass->phase < GARI__READMIT)
            gari__pass_abandon(pass);
        finish(pass, self);
    }
}

/* What has died late holds what it refers to until its grace period has passed. */
static void await_late(struct gari__object_thread *self)
{
    /* Twice: what is in a block that an earlier batch has not finished with goes with the next one. */
    for (int round = 0; round < 2 && gari__limbo_any(); round++) {
        gari__limbo_seal();
        gari__grace_wait(gari__limbo_last_ticket(), 0);
        while (gari__limbo_free(self, WHOLE_BUDGET, false) == 0)
            ;
    }
    while (gari__segments_return())
        ;
}

void gari__drive_kept(struct gari__object_thread *self)
{
    gari__kept_take_back(self, GARI__KEPT_PATIENCE_NS);
    while (gari__deaths_run(self, WHOLE_BUDGET) == 0)
        ;
}

uint64_t gari__drive_collection(struct gari__object_thread *self, int generation)
{
    gari__drive_kept(self);
    if (gari__load_relaxed(&gari__late_used))
        await_late(self);
    bool announced = gari__events_start(generation, false);
    self->promised = announced;
    gari__events_deliver(self);
    gari__collector_lock();
    struct gari__pass *young = &gari__collector.pass[GARI__YOUNG];
    struct gari__pass *old = &gari__collector.pass[GARI__OLD];
    finish(young, self);
    if (generation == 2 && old->phase != GARI__IDLE) {
        /* It began before the garbage that the caller means; what it has proved it may finish. */
        if (old->phase < GARI__V1)
            gari__pass_abandon(old);
        finish(old, self);
    }
    struct gari__pass *pass = gari__schedule_begin(generation, true, true);
    pass->announced = announced;
    self->promised = false;
    finish(pass, self);
    uint64_t collected = pass->collected;
    /* Who collects the young in a loop hardly lets others have the lock: so he does a slice of what
     * is due besides, and the older generations have their turn. */
    uint64_t ticket;
    if (generation < 2 && gari__collector.mode != GARI_MODE_MANUAL)
        gari__drive_slice(self, DUE_BUDGET, true, false, &ticket);
    gari__collector_unlock();
    gari__worker_remind();
    return collected;
}

uint64_t gari__drive_finalizers(struct gari__object_thread *self, bool by_hand)
{
    uint64_t collected = 0;
    struct gari__pass *young = &gari__collector.pass[GARI__YOUNG];
    for (int round = 0; round < FINALIZE_ROUNDS; round++) {
        size_t called = 0;
        if (by_hand)
            called = gari__finalize_run(self, GARI__FINALIZE_SOME);
        else if (!gari__load_relaxed(&gari__finalize_queued_only))
            gari__aside_wait(FINALIZE_WAIT_NS);
        bool resumed = false;
        /* What finalizers have loaded and given back may be kept. */
        gari__drive_kept(self);
        gari__collector_lock();
        finish(young, self);
        while (resume_finalized(young)) {
            finish(young, self);
            collected += young->collected;
            resumed = true;
        }
        gari__collector_unlock();
        if (!resumed && called == 0)
            break;
    }
    return collected;
}

void gari__drive_tidy(struct gari__object_thread *self)
{
    uint64_t begin = gari__now_ns();
    for (int round = 0; round < TIDY_ROUNDS || gari__now_ns() - begin < TIDY_NS; round++) {
        while (gari__deaths_run(self, WHOLE_BUDGET) == 0)
            ;
        uint64_t turns = gari__worker_turns();
        if (!gari__limbo_any() && !gari__waiting_any(GARI__DYING)) {
            if (turns % 2 == 0 && gari__worker_turns() == turns)
                break;
            gari__sleep_ns(200000);
            continue;
        }
        gari__limbo_seal();
        gari__grace_wait(gari__limbo_last_ticket(), 0);
        while (gari__limbo_free(self, WHOLE_BUDGET, false) == 0)
            ;
    }
}
