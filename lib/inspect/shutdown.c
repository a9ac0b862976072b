/* The end: no threads, no garbage, and a list of what is left. */
#include "concurrency/cancel.h"
#include "concurrency/fatal.h"
#include "concurrency/rcu.h"
#include "concurrency/word.h"
#include "lib/collector/collector.h"
#include "lib/collector/events.h"
#include "lib/collector/stress.h"
#include "lib/object/checked.h"
#include "lib/object/finalizer.h"

/* Garbage may hold garbage of which nothing was known before, above all what may not be taken apart; each
 * round frees a layer. The bound is for callbacks that make more of it for ever. */
#define ROUNDS 64

struct census {
    void (*report)(const gari_type *type, size_t objects, size_t bytes, void *arg);
    void *arg;
    const struct gari__shape *shape; /* the type being counted */
    const struct gari__shape *next;  /* a type with a higher address that has objects left */
    size_t objects, bytes;
};

/* Counts the objects of one type, and finds the next type, in the order of their addresses: a walk
 * for each type that is left, and no table that could fail to grow. */
static void count_block(struct gari__block *block, void *arg)
{
    struct census *census = arg;
    const struct gari__kind *kind = gari__load_relaxed(&block->kind);
    if (!kind || (uintptr_t)kind->shape < (uintptr_t)census->shape)
        return;
    const struct gari__shape *shape = kind->shape;
    if (census->next && census->next != shape && (uintptr_t)shape > (uintptr_t)census->next)
        return;
    uint32_t carved = gari__load_acquire(&block->carved);
    for (uint32_t slot = 0; slot < carved; slot++) {
        const void *object = gari__slot_at(block, slot);
        if (!gari__is_alive(gari__load_relaxed((const uint64_t *)object)))
            continue;
        if (shape != census->shape) {
            census->next = shape;
            return;
        }
        census->objects++;
        census->bytes += gari__size_of(shape, object);
    }
}

static size_t count_left(struct census *census)
{
    size_t left = 0;
    for (;;) {
        census->next = NULL;
        census->objects = census->bytes = 0;
        gari__runs_walk(count_block, census);
        left += census->objects;
        if (census->objects && census->report)
            census->report(census->shape->identity, census->objects, census->bytes, census->arg);
        if (!census->next)
            return left;
        census->shape = census->next;
    }
}

static void trim(struct gari__kind *kind, void *unused)
{
    (void)unused;
    gari__kind_trim(kind);
    while (gari__segments_return())
        ;
}

static void disown_all(void)
{
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next)
        gari__bins_disown((struct gari__heap_thread *)t);
}

size_t gari_shutdown(void (*report)(const gari_type *type, size_t objects, size_t bytes, void *arg),
                     void *arg)
{
    gari__fork_check("gari_shutdown");
    if (gari__in_section())
        gari__fatal("gari_shutdown called inside a read section: it would wait for that section to "
                    "end");
    struct gari__object_thread *self = gari__enter("gari_shutdown");
    if (self->collecting || self->callbacks || self->reporting)
        gari__fatal("gari_shutdown called from a callback");
    int cancel = gari__cancel_off(); /* joining is a cancellation point */
    gari__worker_stop();
    unsigned debug = gari_get_debug();
    gari_set_debug(debug & ~GARI_DEBUG_SAVEALL); /* now all is to be freed */
    gari_unfreeze();
    gari_garbage_clear();
    gari__finalizers_stop();
    gari__finalizers_at_exit();
    uint64_t done = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        gari__drive_collection(self, 2);
        gari__drive_finalizers(self, true);
        gari__events_finish(self); /* who is told may look at the list */
        /* What each collection lists anew dies of this unless it is in a cycle itself, and what it held
         * may be garbage then: so it is part of the round, and the round's callbacks come after it. */
        gari_garbage_clear();
        gari__drive_tidy(self);
        gari__finalize_run(self, GARI__FINALIZE_SOME);
        struct gari__tally sum = gari__tally_sum();
        /* A finalizer that has brought its object back may have made other garbage. */
        uint64_t now = sum.freed_by_count + sum.freed_by_cycles + gari__finalize_called();
        if (now == done && !gari__finalize_any())
            break;
        done = now;
    }
    gari_set_debug(debug);
    gari__checked_release();
    disown_all();
    gari__kinds_walk(trim, NULL);
    struct census census = {.report = report, .arg = arg};
    size_t left = count_left(&census);
    gari__leave(self);
    gari__thread_detach();
    gari__stress_restart();
    gari__store_relaxed(&gari__collector.used, false);
    gari__worker_allow();
    gari__cancel_restore(cancel);
    return left;
}
