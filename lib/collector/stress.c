#include "lib/collector/stress.h"

#include "concurrency/rcu.h"
#include "lib/collector/collector.h"
#include "lib/collector/events.h"

static struct {
    uint64_t every, seed;
    uint64_t setting; /* counted up by each change */
    uint64_t threads; /* sequences begun under it */
} stress;             /* all atomically */

void gari__stress_set(unsigned every, unsigned seed)
{
    gari__store_relaxed(&stress.every, (uint64_t)every);
    gari__store_relaxed(&stress.seed, (uint64_t)seed);
    gari__stress_restart();
    gari__store_relaxed(&gari__count_calls, every != 0);
    gari__thread_lock();
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next)
        t->counted = every != 0 && !t->shared;
    gari__thread_unlock();
}

void gari__stress_restart(void)
{
    gari__store_relaxed(&stress.threads, 0);
    gari__fetch_add_relaxed(&stress.setting, 1);
}

/* SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
 * OOPSLA 2014). */
static uint64_t next_random(struct gari__object_thread *self)
{
    uint64_t z = self->calls_random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* The next collection comes at one of the next 2 * every - 1 calls: each as likely as any. */
static void draw(struct gari__object_thread *self)
{
    self->calls_left = 1 + next_random(self) % (2 * gari__load_relaxed(&stress.every) - 1);
}

/* Threads are numbered as they come to their first call that counts: a program whose threads come one
 * after the other has the same sequences each time. */
static void begin(struct gari__object_thread *self, uint64_t setting)
{
    uint64_t number = gari__fetch_add_relaxed(&stress.threads, 1);
    self->calls_setting = setting;
    self->calls_random = gari__load_relaxed(&stress.seed) << 32 | number;
    draw(self);
}

/* As gari_collect, but it waits for nobody else's callbacks: one that blocks would hold up every call. */
static void collect(struct gari__object_thread *self, int generation)
{
    gari__worker_ensure("GARI_STRESS");
    gari__drive_collection(self, generation);
    if (gari__finalizers_by_hand())
        gari__drive_finalizers(self, true);
    gari__drive_tidy(self);
    gari__events_deliver(self);
}

void gari__upcall_left(struct gari__object_thread *self)
{
    /* What gari's own threads do, and callbacks, which may run there, depends on the schedule; so it
     * does not count. Nor does what is called between the last collection and the end. */
    if (!gari__may_collect(self) || self->heap.thread.own || gari__worker_barred() ||
        gari__load_relaxed(&stress.every) == 0)
        return;
    uint64_t setting = gari__load_relaxed(&stress.setting);
    if (self->calls_setting != setting)
        begin(self, setting);
    if (self->calls_left > 0)
        self->calls_left--;
    /* One that falls into a read section is due at the first call after it. */
    if (self->calls_left > 0 || gari__in_section())
        return;
    static const int generations[4] = {0, 0, 1, 2};
    int generation = generations[next_random(self) % 4];
    draw(self);
    collect(self, generation);
}
