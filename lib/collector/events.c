#include "lib/collector/events.h"

#include "concurrency/cancel.h"
#include "concurrency/rcu.h"
#include "lib/heap/memory.h"

#include <errno.h>

#define ROOM 64u /* two notes a collection */

struct listener {
    gari_callback callback;
    void *arg;
    uint64_t id;  /* in the order of registration */
    bool removed; /* while it ran, from within a callback: whoever runs it frees it */
    struct listener *next;
};

struct note {
    gari_collection collection;
    uint64_t last_id; /* listeners that came later are not told */
    bool asked;
};

static struct {
    pthread_mutex_t lock; /* guards all of this; a leaf */
    pthread_cond_t progress;
    struct listener *listeners; /* by id */
    uint64_t last_id;
    struct note notes[ROOM];
    uint64_t noted, delivered; /* ever; noted also read without the lock */
    unsigned promised;         /* stops of collections whose start is noted */
    bool delivering;
    struct listener *running;
} events = {.lock = PTHREAD_MUTEX_INITIALIZER, .progress = PTHREAD_COND_INITIALIZER};

static void note(const gari_collection *collection, bool asked)
{
    events.notes[events.noted % ROOM] = (struct note){*collection, events.last_id, asked};
    gari__store_relaxed(&events.noted, events.noted + 1);
}

bool gari__events_start(int generation, bool asked)
{
    if (!gari__load_relaxed(&events.listeners))
        return false;
    gari_collection collection = {.phase = GARI_PHASE_START, .generation = generation};
    gari__mutex_lock(&events.lock);
    uint64_t waiting = events.noted - events.delivered + events.promised;
    bool tell = events.listeners && waiting + 2 <= ROOM;
    if (tell) {
        note(&collection, asked);
        events.promised++;
    }
    gari__mutex_unlock(&events.lock);
    return tell;
}

void gari__events_stop(const gari_collection *collection, bool asked)
{
    gari__mutex_lock(&events.lock);
    events.promised--;
    note(collection, asked);
    gari__mutex_unlock(&events.lock);
}

static struct listener *next_listener(uint64_t after, uint64_t last)
{
    struct listener *listener = events.listeners;
    while (listener && listener->id <= after)
        listener = listener->next;
    return listener && listener->id <= last ? listener : NULL;
}

/* With the lock, which it gives up for the calls. */
static void tell_all(struct gari__object_thread *self, const struct note *told)
{
    uint64_t id = 0;
    struct listener *listener;
    while ((listener = next_listener(id, told->last_id)) != NULL) {
        id = listener->id;
        events.running = listener;
        gari__mutex_unlock(&events.lock);
        self->reporting = true;
        self->reporting_asked = told->asked;
        int cancel = gari__cancel_off();
        listener->callback(&told->collection, listener->arg);
        gari__cancel_restore(cancel);
        self->reporting = self->reporting_asked = false;
        gari__mutex_lock(&events.lock);
        events.running = NULL;
        if (listener->removed)
            gari__memory_free(listener);
        pthread_cond_broadcast(&events.progress);
    }
}

static bool may_deliver(const struct gari__object_thread *self)
{
    return !self->collecting && !self->callbacks && !self->unwinding && !self->reporting &&
           !self->heap.thread.shared && !gari__in_section();
}

bool gari__events_any(void)
{
    return gari__load_relaxed(&events.noted) != gari__load_relaxed(&events.delivered);
}

bool gari__events_deliver(struct gari__object_thread *self)
{
    if (!gari__events_any())
        return false;
    if (!may_deliver(self))
        return true;
    gari__mutex_lock(&events.lock);
    if (!events.delivering) {
        events.delivering = true;
        while (events.delivered != events.noted) {
            struct note told = events.notes[events.delivered % ROOM];
            tell_all(self, &told);
            gari__store_relaxed(&events.delivered, events.delivered + 1);
            pthread_cond_broadcast(&events.progress);
        }
        events.delivering = false;
        pthread_cond_broadcast(&events.progress);
    }
    bool left = events.delivered != events.noted;
    gari__mutex_unlock(&events.lock);
    return left;
}

void gari__events_finish(struct gari__object_thread *self)
{
    uint64_t until = gari__load_relaxed(&events.noted);
    while (may_deliver(self) && gari__load_relaxed(&events.delivered) < until) {
        gari__events_deliver(self);
        gari__mutex_lock(&events.lock);
        while (events.delivered < until && events.delivering)
            gari__cond_wait(&events.progress, &events.lock);
        gari__mutex_unlock(&events.lock);
    }
}

int gari_callback_add(gari_callback callback, void *arg)
{
    if (!callback)
        return EINVAL;
    struct listener *listener = gari__memory_new(sizeof *listener);
    if (!listener)
        return ENOMEM;
    gari__mutex_lock(&events.lock);
    *listener = (struct listener){callback, arg, ++events.last_id, false, NULL};
    struct listener **link = &events.listeners;
    while (*link)
        link = &(*link)->next;
    gari__store_relaxed(link, listener);
    gari__mutex_unlock(&events.lock);
    return 0;
}

bool gari_callback_remove(gari_callback callback, void *arg)
{
    struct gari__object_thread *self = gari__enter("gari_callback_remove");
    bool in_callback = self->reporting || self->callbacks;
    gari__mutex_lock(&events.lock);
    struct listener **link = &events.listeners;
    while (*link && ((*link)->callback != callback || (*link)->arg != arg))
        link = &(*link)->next;
    struct listener *listener = *link;
    if (listener) {
        gari__store_relaxed(link, listener->next);
        if (in_callback && events.running == listener) {
            listener->removed = true;
        } else {
            while (events.running == listener)
                gari__cond_wait(&events.progress, &events.lock);
            gari__memory_free(listener);
        }
    }
    gari__mutex_unlock(&events.lock);
    gari__leave(self);
    return listener != NULL;
}

void gari__events_before_fork(void)
{
    gari__mutex_pass(&events.lock);
}

void gari__events_after_fork(bool mine, unsigned promised)
{
    gari__mutex_renew(&events.lock);
    gari__cond_renew(&events.progress);
    events.promised = promised;
    if (!events.delivering || mine)
        return;
    /* Another thread was telling what happened: it does so in the parent. */
    events.delivering = false;
    if (events.running && events.running->removed)
        gari__memory_free(events.running);
    events.running = NULL;
    gari__store_relaxed(&events.delivered, events.delivered + 1);
}
