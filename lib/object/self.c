#include "lib/object/self.h"

#include "concurrency/fatal.h"
#include "lib/heap/memory.h"
#include "lib/object/candidate.h"
#include "lib/object/death.h"

uint16_t gari__birth_stamp = 1;
bool gari__collector_asleep;
bool gari__count_calls;

static struct gari__object_thread shared_record;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void attach(struct gari__thread *record)
{
    pthread_mutex_init(&((struct gari__object_thread *)record)->drain_lock, NULL);
    record->counted = gari__load_relaxed(&gari__count_calls) && !record->shared;
}

static void leave(struct gari__thread *record)
{
    gari__upcall_left((struct gari__object_thread *)record);
}

static void detach(struct gari__thread *record)
{
    struct gari__object_thread *self = (struct gari__object_thread *)record;
    gari__candidates_file(self, self);
    gari__deaths_run(self, GARI__DEATH_BUDGET);
    gari__bins_disown(&self->heap);
    self->alarm = 0;
    self->never_help = false;
    self->calls_setting = 0;
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
