/* fork(): the child has one thread, the one that called it, and goes on with the heap as it was
 * (docs/processes.md has the argument).
 *
 * Before: no grace period is under way, and no thread has a lock under which something is half done.
 * After, in the child: the locks are made anew; lists from which a thread may have taken something, or
 * to which it may have been about to add it, are put together again from what lies in the blocks; what
 * was counted on the way is counted again. gari's threads are started again when there is work. */
#include "concurrency/clock.h"
#include "concurrency/fatal.h"
#include "concurrency/grace.h"
#include "concurrency/look.h"
#include "concurrency/rcu.h"
#include "lib/collector/collector.h"
#include "lib/collector/events.h"
#include "lib/collector/garbage.h"
#include "lib/collector/seeds.h"
#include "lib/object/candidate.h"
#include "lib/object/checked.h"
#include "lib/object/death.h"
#include "lib/object/finalizer.h"
#include "lib/object/kept.h"
#include "lib/object/limbo.h"
#include "lib/object/waiting.h"

static struct gari__object_thread *own_record(void)
{
    return (struct gari__object_thread *)gari__self;
}

/* So that the child does not lose what other threads have in hand in callbacks of the collector. */
static void wait_for_callbacks(void)
{
    uint64_t begin = gari__now_ns();
    bool mine = own_record() && own_record()->collecting;
    while (gari__load_acquire(&gari__collector.calling) && !mine &&
           gari__now_ns() - begin < GARI__FORK_PATIENCE_NS)
        sched_yield();
}

static bool has_hands;

static void before_fork(void)
{
    /* liburcu waits for the grace period that is under way, and that for the section. */
    if (gari__in_section())
        gari__fatal("fork called inside a read section: it would wait for that section to end");
    /* First: who waits for a lock of gari's may be in a section. From here on signals are blocked. */
    gari__readers_before_fork();
    urcu_bp_before_fork();
    has_hands = gari__worker_hands_before_fork();
    wait_for_callbacks();
    gari__gate_shut_for_fork();
    /* Whoever takes one of these locks while he has another has it in this order. */
    gari__records_before_fork();
    gari__kept_before_fork();
    gari__mutex_pass(&gari__collector.slice);
    gari__walks_before_fork();
    gari__limbo_before_fork();
    gari__worker_before_fork();
    gari__finalizer_thread_before_fork();
    gari__finalize_before_fork();
    gari__finalizers_before_fork();
    gari__aside_before_fork();
    gari__events_before_fork();
    gari__garbage_before_fork();
    gari__deaths_before_fork();
    gari__weak_before_fork();
    gari__checked_before_fork();
    gari__shapes_before_fork();
    gari__blocks_before_fork();
    gari__segments_before_fork();
    gari__looks_before_fork();
    gari__grace_before_fork();
}

static void after_fork_in_parent(void)
{
    gari__gate_reopen(false);
    if (has_hands)
        gari__worker_hands_after_fork();
    urcu_bp_after_fork_parent();
    gari__readers_after_fork();
}

static void see_to_block(struct gari__block *block, void *arg)
{
    (void)arg;
    if (!gari__load_relaxed(&block->kind))
        return;
    size_t count[GARI__WAITS];
    gari__candidates_after_fork(block);
    gari__waiting_after_fork(block, count);
    gari__limbo_recount(block, count[GARI__LIMBO] + count[GARI__RIPE]);
    gari__finalize_recount(count[GARI__UNFINISHED]);
}

static void renew_collector(const struct gari__object_thread *self)
{
    bool open = gari__aside_any();
    unsigned promised = self && self->promised;
    for (int which = 0; which < GARI__PASSES; which++) {
        const struct gari__pass *pass = &gari__collector.pass[which];
        open |= pass->phase != GARI__IDLE;
        promised += pass->phase != GARI__IDLE && pass->announced;
    }
    gari__store_relaxed(&gari__collector.open, open);
    gari__store_relaxed(&gari__collector.old_open,
                        gari__collector.pass[GARI__OLD].phase != GARI__IDLE);
    gari__store_relaxed(&gari__collector.wanted_ns, 0);
    gari__store_relaxed(&gari__collector.calling, self && self->collecting);
    gari__mutex_renew(&gari__collector.slice);
    gari__mutex_renew(&gari__collector.lock);
    /* In a callback of the collector's, who holds the lock and goes on after it. */
    if (self && self->collecting)
        pthread_mutex_lock(&gari__collector.lock);
    gari__events_after_fork(self && self->reporting, promised);
}

static void after_fork_in_child(void)
{
    struct gari__object_thread *self = own_record();
    gari__segments_after_fork();
    gari__blocks_after_fork();
    gari__shapes_after_fork();
    gari__checked_after_fork();
    gari__weak_after_fork();
    gari__deaths_after_fork();
    gari__garbage_after_fork();
    gari__finalizers_after_fork();
    gari__grace_after_fork();
    gari__looks_after_fork();
    gari__limbo_after_fork(self);
    gari__aside_after_fork(gari__finalize_after_fork(self));
    renew_collector(self);
    gari__kept_renew();
    gari__records_after_fork();
    gari__seeds_after_fork();
    gari__candidates_after_fork(NULL);
    gari__waiting_after_fork(NULL, NULL);
    gari__runs_walk(see_to_block, NULL);
    gari__worker_after_fork();
    gari__finalizer_thread_after_fork();
    gari__gate_reopen(true);
    urcu_bp_after_fork_child();
    gari__readers_after_fork();
}

void gari__fork_setup(void)
{
    static bool done;
    if (!gari__load_relaxed(&done)) {
        gari__store_relaxed(&done, true);
        if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0)
            gari__fatal("no memory for the handlers of fork");
    }
}
