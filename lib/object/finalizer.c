/* gari_finalize: functions to be called when an object dies, or at exit. */
#include "lib/object/finalizer.h"

#include "concurrency/fatal.h"
#include "concurrency/fault.h"
#include "concurrency/lock.h"
#include "lib/heap/memory.h"
#include "lib/object/count.h"
#include "lib/object/weak.h"

#include <stdlib.h>
#include <unistd.h>

#undef gari_finalize_new

struct record {
    struct gari__callback callback; /* first: it is what frees the memory */
    void (*fn)(void *arg);
    void *arg;
    /* The registry, in the order of creation; under its lock. */
    bool registered, at_exit;
    struct record *newer, *older;
};

static struct {
    pthread_mutex_t lock;
    struct record *newest;
    pid_t process; /* whose exit it is; 0: not known to it yet */
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The record is called or detached: the registry's hold on it ends. */
static void forget(struct record *record)
{
    gari__mutex_lock(&registry.lock);
    bool registered = record->registered;
    if (registered) {
        *(record->newer ? &record->newer->older : &registry.newest) = record->older;
        if (record->older)
            record->older->newer = record->newer;
        record->registered = false;
    }
    gari__mutex_unlock(&registry.lock);
    if (registered)
        gari__callback_release(&record->callback);
}

/* The object has died, and the queue calls. */
static void run(void *arg)
{
    struct record *record = arg;
    forget(record);
    record->fn(record->arg);
}

static bool give_up(struct record *record)
{
    if (!gari__callback_cancel(&record->callback))
        return false;
    forget(record);
    return true;
}

void gari__finalizers_at_exit(void)
{
    for (;;) {
        gari__mutex_lock(&registry.lock);
        struct record *record = registry.newest;
        while (record && !record->at_exit)
            record = record->older;
        if (record) {
            record->at_exit = false;
            gari__fetch_add_relaxed(&record->callback.refs, 1);
        }
        gari__mutex_unlock(&registry.lock);
        if (!record)
            return;
        if (give_up(record))
            record->fn(record->arg);
        gari__callback_release(&record->callback);
    }
}

/* The exit of a child that was forked is not the one that is meant. */
static void at_exit(void)
{
    if (registry.process == getpid())
        gari__finalizers_at_exit();
}

/* That at_exit will be called. */
static bool prepare_exit(void)
{
    gari__mutex_lock(&registry.lock);
    if (!registry.process && !gari__fault(GARI__FAULT_EXIT) && atexit(at_exit) == 0)
        registry.process = getpid();
    bool ready = registry.process != 0;
    gari__mutex_unlock(&registry.lock);
    return ready;
}

static void enroll(struct record *record)
{
    gari__mutex_lock(&registry.lock);
    record->registered = record->at_exit = true;
    record->older = registry.newest;
    if (record->older)
        record->older->newer = record;
    registry.newest = record;
    gari__mutex_unlock(&registry.lock);
}

static void let_go(void *self)
{
    gari_finalize *finalize = self;
    struct record *record = finalize->record_;
    gari__callback_release(&record->callback);
}

static const gari_type handle_type = {.struct_size = sizeof(gari_type),
                                      .name = "gari_finalize",
                                      .size = sizeof(gari_finalize),
                                      .align = __alignof__(gari_finalize),
                                      .reclaim = let_go};

gari_finalize *gari_finalize_new(gari_object *object, void (*fn)(void *arg), void *arg)
{
    struct gari__object_thread *self = gari__enter("gari_finalize_new");
    if (!object || !fn)
        gari__fatal("gari_finalize_new: the object or the function is NULL");
    if (!gari__is_counted(gari__load_relaxed(gari__word_of(object))))
        gari__fatal_dead(object, "gari_finalize_new");
    struct record *record = prepare_exit() ? gari__memory_new(sizeof *record) : NULL;
    struct gari__weak *weak = record ? gari__weak_hold(object) : NULL;
    gari_finalize *handle = weak ? gari_new(&handle_type) : NULL;
    if (handle) {
        record->fn = fn;
        record->arg = arg;
        record->callback.fn = run;
        record->callback.arg = record;
        handle->record_ = record;
        gari__callback_arm(weak, &record->callback);
        /* The handle's and the list's, and now the registry's. */
        gari__fetch_add_relaxed(&record->callback.refs, 1);
        enroll(record);
    } else {
        gari__memory_free(record);
    }
    if (weak)
        gari__weak_release(weak);
    gari__leave(self);
    return handle;
}

bool gari_finalize_detach(gari_finalize *finalize)
{
    return give_up(finalize->record_);
}

bool gari_finalize_call(gari_finalize *finalize)
{
    struct record *record = finalize->record_;
    if (!give_up(record))
        return false;
    record->fn(record->arg);
    return true;
}

bool gari_finalize_alive(const gari_finalize *finalize)
{
    const struct record *record = finalize->record_;
    return gari__load_acquire(&record->callback.state) != GARI__CALLBACK_OVER;
}

void gari_finalize_set_atexit(gari_finalize *finalize, bool at_exit)
{
    struct record *record = finalize->record_;
    gari__mutex_lock(&registry.lock);
    record->at_exit = at_exit && record->registered;
    gari__mutex_unlock(&registry.lock);
}

void gari__finalizers_before_fork(void)
{
    gari__mutex_pass(&registry.lock);
}

void gari__finalizers_after_fork(void)
{
    gari__mutex_renew(&registry.lock);
}
