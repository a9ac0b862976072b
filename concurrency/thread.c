#include "concurrency/thread.h"

#include "concurrency/fatal.h"
#include "concurrency/fault.h"
#include "concurrency/lock.h"
#include "concurrency/look.h"
#include "concurrency/rcu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

__thread struct gari__thread *gari__self;

/* How often this thread's record was given back. Each attachment needs one more round of thread-local
 * destructors, of which there are PTHREAD_DESTRUCTOR_ITERATIONS (4); the last are left to others, and
 * ThreadSanitizer's runtime does not survive code that it has instrumented in the very last. */
#define ATTACHMENTS 2
static __thread int detached;

static struct gari__thread_layout layout;
static pthread_key_t exit_key;
static struct gari__thread *registry;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t shared_lock;    /* recursive: callbacks call gari again */
static __thread unsigned shared_depth; /* how often the calling thread has it */
static pid_t process;                  /* as the handlers of fork() know it; atomically */

static void on_exit_of_thread(void *record)
{
    (void)record;
    detached++;
    gari__section_prepare(); /* liburcu's own destructor may have been first */
    gari__thread_detach();
}

static void init_shared_lock(void)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&shared_lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
}

void gari__thread_setup(const struct gari__thread_layout *wanted)
{
    layout = *wanted;
    gari__mutex_lock(&registry_lock); /* whoever counts threads need not have come by here */
    layout.shared->shared = true;
    layout.shared->in_use = true;
    gari__mutex_unlock(&registry_lock);
    layout.attach(layout.shared);
    gari__store_release(&registry, layout.shared);

    init_shared_lock();
    gari__store_relaxed(&process, getpid());
    if (pthread_key_create(&exit_key, on_exit_of_thread) != 0)
        gari__fatal("no thread-specific key is left for gari's thread exit");
}

void gari__fork_check(const char *call)
{
    pid_t known = gari__load_relaxed(&process);
    if (gari__unlikely(known && getpid() != known))
        gari__fatal(
            "%s called in a process that was made by _Fork, vfork or clone: without the handlers "
            "of pthread_atfork gari's state is not fit for use there; use fork",
            call);
}

static struct gari__thread *take_record(void)
{
    gari__mutex_lock(&registry_lock);
    struct gari__thread *record = gari__load_relaxed(&registry);
    while (record && record->in_use)
        record = record->next;
    if (record)
        record->in_use = true;
    gari__mutex_unlock(&registry_lock);
    return record;
}

struct gari__thread *gari__thread_attach(void)
{
    struct gari__thread *record = take_record();
    bool reused = record != NULL;
    if (!reused)
        record = layout.allocate(layout.size);
    if (record && (gari__fault(GARI__FAULT_EXIT) || pthread_setspecific(exit_key, record) != 0)) {
        if (reused) {
            gari__mutex_lock(&registry_lock);
            record->in_use = false;
            gari__mutex_unlock(&registry_lock);
        } else {
            layout.release(record);
        }
        record = NULL;
    }
    if (!record)
        return NULL;
    layout.attach(record);
    if (!reused) {
        gari__mutex_lock(&registry_lock);
        record->in_use = true;
        record->next = gari__load_relaxed(&registry);
        /* Release: pairs with gari__thread_first. */
        gari__store_release(&registry, record);
        gari__mutex_unlock(&registry_lock);
    }
    gari__self = record;
    return record;
}

struct gari__thread *gari__thread_enter_slow(const char *call)
{
    gari__fork_check(call);
    struct gari__thread *record = detached < ATTACHMENTS ? gari__thread_attach() : NULL;
    if (record)
        return record;
    pthread_mutex_lock(&shared_lock);
    shared_depth++;
    return layout.shared;
}

void gari__thread_leave_slow(struct gari__thread *self)
{
    if (self->shared) {
        shared_depth--;
        pthread_mutex_unlock(&shared_lock);
    } else {
        layout.leave(self);
    }
}

struct gari__thread *gari__thread_first(void)
{
    return gari__load_acquire(&registry);
}

void gari__thread_lock(void)
{
    gari__mutex_lock(&registry_lock);
}

void gari__thread_unlock(void)
{
    gari__mutex_unlock(&registry_lock);
}

size_t gari__thread_count(void)
{
    size_t count = 0;
    gari__mutex_lock(&registry_lock);
    for (struct gari__thread *t = gari__load_relaxed(&registry); t; t = t->next)
        count += t->in_use && !t->shared && !t->own;
    gari__mutex_unlock(&registry_lock);
    return count;
}

void gari__thread_is_own(void)
{
    gari__mutex_lock(&registry_lock);
    if (gari__self)
        gari__self->own = true;
    gari__mutex_unlock(&registry_lock);
}

void gari__thread_detach(void)
{
    struct gari__thread *record = gari__self;
    if (!record) {
        gari__reader_rest();
        return;
    }
    layout.detach(record);
    gari__self = NULL;
    pthread_setspecific(exit_key, NULL);
    gari__mutex_lock(&registry_lock);
    record->in_use = false;
    record->own = false;
    gari__mutex_unlock(&registry_lock);
    gari__reader_rest(); /* perhaps for good */
}

static struct gari__thread_style style;

void gari__thread_set_style(const struct gari__thread_style *wanted)
{
    style = *wanted;
}

/* In the new thread: on Linux a nice value is the thread's own. */
static void *be_nice(void *main)
{
    if (setpriority(PRIO_PROCESS, 0, style.nice) != 0)
        gari__say("a nice value of %d is refused to gari's threads: %s", style.nice,
                  strerror(errno));
    return ((void *(*)(void *))(uintptr_t)main)(NULL);
}

bool gari__thread_create(pthread_t *thread, const char *name, void *(*main)(void *))
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = gari__fault(GARI__FAULT_THREAD) ? EAGAIN
                 : style.nice ? pthread_create(thread, NULL, be_nice, (void *)(uintptr_t)main)
                              : pthread_create(thread, NULL, main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return false;
    char full[16]; /* the most that the system takes; the end is cut off */
    snprintf(full, sizeof full, "%.9s%s", style.name[0] ? style.name : "gari", name + 4);
    pthread_setname_np(*thread, full);
    if (style.has_cpus &&
        (failed = pthread_setaffinity_np(*thread, sizeof style.cpus, &style.cpus)) != 0)
        gari__say("the processors asked for are refused to gari's threads: %s", strerror(failed));
    return true;
}

void gari__threads_before_fork(void)
{
    gari__mutex_pass(&registry_lock);
}

bool gari__thread_is_gone(const struct gari__thread *record)
{
    return record != gari__self && !(record->shared && shared_depth);
}

void gari__threads_after_fork(void)
{
    gari__store_relaxed(&process, getpid());
    gari__mutex_renew(&registry_lock);
    /* A recursive lock knows its owner by a number that has changed. */
    init_shared_lock();
    for (unsigned i = 0; i < shared_depth; i++)
        pthread_mutex_lock(&shared_lock);
    for (struct gari__thread *t = registry; t; t = t->next) {
        if (gari__thread_is_gone(t)) {
            t->in_use = t->shared;
            t->own = false;
        }
    }
}
