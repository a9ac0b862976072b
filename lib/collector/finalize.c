/* Where finalizers run: gari's own thread for them, or the service's. */
#include "lib/object/finalize.h"
#include "concurrency/clock.h"
#include "concurrency/fatal.h"
#include "concurrency/rcu.h"
#include "lib/collector/collector.h"
#include "lib/object/death.h"

#include <errno.h>
#include <sched.h>

/* After the thread has been refused. */
#define RETRY_NS 100000000u

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* the thread waits here */
    bool started, has_thread, stop;
    uint64_t retry_ns; /* a thread was refused: again from this time on, if not 0; atomically */
    pthread_t thread;
    void (*notify)(void *arg); /* this and the next under the lock */
    void *arg;
} finalizer = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void *finalizer_main(void *unused)
{
    (void)unused;
    struct gari__thread *record;
    gari__mutex_lock(&finalizer.lock);
    /* Without memory for a record it cannot work: it tries again. */
    while ((record = gari__thread_attach()) == NULL && !finalizer.stop)
        gari__cond_wait_until(&finalizer.wake, &finalizer.lock, gari__now_ns() + RETRY_NS);
    struct gari__object_thread *self = (struct gari__object_thread *)record;
    if (self)
        gari__thread_is_own();
    while (!finalizer.stop) {
        if (!gari__finalize_any() || gari__load_relaxed(&gari__finalize_queued_only)) {
            gari__cond_wait(&finalizer.wake, &finalizer.lock);
            continue;
        }
        gari__mutex_unlock(&finalizer.lock);
        if (gari__finalize_run(self, 64) == 0)
            sched_yield(); /* others have taken it, or are about to put it there */
        gari__mutex_lock(&finalizer.lock);
    }
    gari__mutex_unlock(&finalizer.lock);
    if (self)
        gari__thread_detach();
    return NULL;
}

/* Under the lock. */
static void ensure_thread(void)
{
    if (finalizer.started || gari__collector.mode == GARI_MODE_MANUAL ||
        gari__load_relaxed(&gari__finalize_queued_only) || gari__worker_barred())
        return;
    finalizer.stop = false;
    finalizer.has_thread = gari__thread_create(&finalizer.thread, "gari-finalizer", finalizer_main);
    finalizer.started = finalizer.has_thread;
    gari__store_relaxed(&finalizer.retry_ns, finalizer.has_thread ? 0 : gari__now_ns() + RETRY_NS);
}

bool gari__finalizers_retry(void)
{
    uint64_t at = gari__load_relaxed(&finalizer.retry_ns);
    if (gari__likely(at == 0) || gari__worker_barred())
        return false;
    if (gari__now_ns() >= at) {
        gari__mutex_lock(&finalizer.lock);
        ensure_thread();
        gari__mutex_unlock(&finalizer.lock);
    }
    return gari__load_relaxed(&finalizer.retry_ns) != 0;
}

void gari__upcall_finalizers(void)
{
    gari__mutex_lock(&finalizer.lock);
    ensure_thread();
    pthread_cond_signal(&finalizer.wake);
    void (*notify)(void *) = finalizer.notify;
    void *arg = finalizer.arg;
    gari__mutex_unlock(&finalizer.lock);
    if (notify)
        notify(arg);
}

bool gari__finalizers_by_hand(void)
{
    if (gari__load_relaxed(&gari__finalize_queued_only))
        return false;
    gari__mutex_lock(&finalizer.lock);
    bool by_hand = !finalizer.has_thread;
    gari__mutex_unlock(&finalizer.lock);
    return by_hand;
}

void gari__finalizers_stop(void)
{
    gari__mutex_lock(&finalizer.lock);
    bool has_thread = finalizer.has_thread;
    finalizer.stop = true;
    pthread_cond_signal(&finalizer.wake);
    gari__mutex_unlock(&finalizer.lock);
    if (has_thread)
        pthread_join(finalizer.thread, NULL);
    gari__mutex_lock(&finalizer.lock);
    finalizer.started = finalizer.has_thread = false;
    gari__store_relaxed(&finalizer.retry_ns, 0);
    gari__mutex_unlock(&finalizer.lock);
}

int gari_set_finalizers(gari_finalizers where, void (*notify)(void *arg), void *arg)
{
    if (where != GARI_FINALIZERS_THREAD && where != GARI_FINALIZERS_QUEUED)
        return EINVAL;
    gari__mutex_lock(&finalizer.lock);
    gari__store_relaxed(&gari__finalize_queued_only, where == GARI_FINALIZERS_QUEUED);
    finalizer.notify = notify;
    finalizer.arg = arg;
    if (gari__finalize_any())
        ensure_thread();
    pthread_cond_signal(&finalizer.wake);
    gari__mutex_unlock(&finalizer.lock);
    return 0;
}

size_t gari_run_finalizers(size_t max)
{
    gari__fork_check("gari_run_finalizers");
    if (gari__in_section())
        gari__fatal("gari_run_finalizers called inside a read section: what it calls may block");
    struct gari__object_thread *self = gari__enter("gari_run_finalizers");
    size_t called = 0;
    if (!self->collecting && !self->callbacks && !self->unwinding && !self->heap.thread.shared)
        called = gari__finalize_run(self, max);
    gari__leave(self);
    return called;
}

void gari__finalizer_thread_before_fork(void)
{
    gari__mutex_pass(&finalizer.lock);
}

void gari__finalizer_thread_after_fork(void)
{
    gari__mutex_renew(&finalizer.lock);
    gari__cond_renew(&finalizer.wake);
    finalizer.started = finalizer.has_thread = finalizer.stop = false;
}
