#include "lib/object/self.h"

#include "concurrency/fatal.h"
#include "lib/heap/memory.h"
#include "lib/object/candidate.h"
#include "lib/object/death.h"
#include "lib/object/kept.h"

uint16_t gari__birth_stamp = 1;
bool gari__collector_asleep;
bool gari__count_calls;

static struct gari__object_thread shared_record;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void attach(struct gari__thread *record)
{
    record->counted = gari__load_relaxed(&gari__count_calls) && !record->shared;
    gari__kept_attach((struct gari__object_thread *)record);
}

static void leave(struct gari__thread *record)
{
    gari__upcall_left((struct gari__object_thread *)record);
}

static void detach(struct gari__thread *record)
{
    struct gari__object_thread *self = (struct gari__object_thread *)record;
    /* What dies may give back what is kept then. */
    do
        gari__deaths_run(self, GARI__DEATH_BUDGET);
    while (gari__kept_release(self));
    gari__bins_disown(&self->heap);
    self->heap.tally.tracked.alarm = 0;
    self->never_help = false;
    self->calls_setting = 0;
}

void gari__records_before_fork(void)
{
    gari__threads_before_fork();
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        struct gari__object_thread *of = (struct gari__object_thread *)t;
        while (gari__load_seq_cst(&of->in_container))
            sched_yield();
    }
}

/* What the thread had in its hands is lost, as is what it had in its variables. */
static void forget(struct gari__object_thread *gone)
{
    gari__suspect_after_fork(gone);
    gari__kept_after_fork(gone);
    gone->pending = 0;
    gone->run_count = 0;
    gone->claimed_base = 0;
    gone->unwinding = gone->collecting = gone->reporting = gone->reporting_asked = false;
    gone->own_deaths_only = gone->never_help = gone->apart_late = gone->after_grace = false;
    gone->callbacks = gone->finalizing = 0;
    gone->heap.tally.tracked.alarm = 0;
    gone->run_load = gone->unsealed = 0;
    gone->ripe_block = NULL;
    gone->set_in_hand = NULL;
    gone->deferred_call = gone->queued_call = gone->promised = gone->in_container = false;
    gari__bins_after_fork(&gone->heap, (struct gari__heap_thread *)gari__self);
}

void gari__records_after_fork(void)
{
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        struct gari__object_thread *of = (struct gari__object_thread *)t;
        if (gari__thread_is_gone(t))
            forget(of);
    }
    gari__threads_after_fork();
}

static void set_up(void)
{
    static const struct gari__thread_layout layout = {
        .size = sizeof(struct gari__object_thread),
        .allocate = gari__memory_new,
        .release = gari__memory_free,
        .attach = attach,
        .detach = detach,
        .leave = leave,
        .shared = &shared_record.heap.thread,
    };
    gari__thread_setup(&layout);
    gari__upcall_start();
}

struct gari__object_thread *gari__enter_slow(const char *call)
{
    pthread_once(&once, set_up);
    return (struct gari__object_thread *)gari__thread_enter(call);
}

int gari_version(void)
{
    return GARI_VERSION;
}

void gari_set_fatal_hook(void (*hook)(const char *sentence))
{
    gari__set_fatal_hook(hook);
}
