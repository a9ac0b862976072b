#include "lib/object/finalize.h"

#include "lib/object/count.h"
#include "lib/object/death.h"
#include "lib/object/waiting.h"

bool gari__finalize_queued_only;

static struct {
    pthread_mutex_t lock; /* guards the lists */
    struct gari__callback *callbacks, **callbacks_end;
    struct gari__finalize_set *sets, **sets_end;
    /* Objects taken from their block's list. */
    struct gari__block *block;
    uint32_t slot;
    uint64_t waiting; /* atomically */
    uint64_t called;  /* atomically */
} queue = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .callbacks_end = &queue.callbacks,
    .sets_end = &queue.sets,
};

static void note(uint64_t more)
{
    if (gari__fetch_add_acq_rel(&queue.waiting, more) == 0)
        gari__upcall_finalizers();
}

static void queue_object(gari_object *object)
{
    struct gari__block *block = gari__block_of(object);
    uint32_t slot = gari__slot_of(block, object) + 1;
    /* The object is alive and in no other list, so its link is free for this one. */
    gari__waiting_push(GARI__UNFINISHED, block, slot, slot);
    note(1);
}

void gari__finalize_claimed(struct gari__object_thread *self, gari_object *object)
{
    if (gari__unlikely(self->claimed_count == GARI__CLAIMED_ROOM))
        queue_object(object);
    else
        self->claimed[self->claimed_count++] = object;
}

void gari__finalize_queue_claimed(struct gari__object_thread *self)
{
    while (self->claimed_count > self->claimed_base)
        queue_object(self->claimed[--self->claimed_count]);
}

bool gari__finalize_may_run_here(const struct gari__object_thread *self)
{
    /* Not inside other callbacks: those run on gari's threads, and where mutators help. */
    return !self->collecting && !self->heap.thread.shared && self->callbacks == self->finalizing &&
           self->finalizing < GARI__FINALIZE_DEPTH &&
           !gari__load_relaxed(&gari__finalize_queued_only) && !gari__in_section();
}

static void call(struct gari__object_thread *self, void (*fn)(void *arg), void *arg)
{
    self->callbacks++;
    self->finalizing++;
    fn(arg);
    self->finalizing--;
    self->callbacks--;
    gari__fetch_add_relaxed(&queue.called, 1);
}

void gari__finalize_one(struct gari__object_thread *self, gari_object *object)
{
    GARI_PERTURB_AT("finalize.run");
    call(self, gari__shape_of(object)->type.finalize, object);
    GARI_PERTURB_AT("finalize.done");
    gari__section_begin();
    bool died = gari__count_down(self, object, "gari, after the finalizer");
    gari__section_end();
    if (died)
        gari__death_push(self, object);
}

void gari__finalize_queue_callbacks(struct gari__callback *list)
{
    if (!list)
        return;
    uint64_t more = 0;
    pthread_mutex_lock(&queue.lock);
    while (list) {
        struct gari__callback *next = list->next;
        list->next = NULL;
        *queue.callbacks_end = list;
        queue.callbacks_end = &list->next;
        list = next;
        more++;
    }
    pthread_mutex_unlock(&queue.lock);
    note(more);
}

void gari__finalize_queue_set(struct gari__finalize_set *set)
{
    set->next = NULL;
    pthread_mutex_lock(&queue.lock);
    *queue.sets_end = set;
    queue.sets_end = &set->next;
    pthread_mutex_unlock(&queue.lock);
    note(1);
}

static struct gari__callback *pop_callback(void)
{
    pthread_mutex_lock(&queue.lock);
    struct gari__callback *first = queue.callbacks;
    if (first && (queue.callbacks = first->next) == NULL)
        queue.callbacks_end = &queue.callbacks;
    pthread_mutex_unlock(&queue.lock);
    return first;
}

static struct gari__finalize_set *pop_set(void)
{
    pthread_mutex_lock(&queue.lock);
    struct gari__finalize_set *first = queue.sets;
    if (first && (queue.sets = first->next) == NULL)
        queue.sets_end = &queue.sets;
    pthread_mutex_unlock(&queue.lock);
    return first;
}

static gari_object *pop_object(void)
{
    pthread_mutex_lock(&queue.lock);
    if (!queue.slot) {
        queue.block = gari__waiting_pop_block(GARI__UNFINISHED);
        queue.slot = queue.block ? gari__waiting_take(GARI__UNFINISHED, queue.block) : 0;
    }
    gari_object *object = NULL;
    if (queue.slot) {
        object = gari__slot_at(queue.block, queue.slot - 1);
        queue.slot = gari__load_relaxed(&queue.block->side[queue.slot - 1].link);
    }
    pthread_mutex_unlock(&queue.lock);
    return object;
}

/* Finalizes members of the set, of each whose flag still stands, that is at most once in its life. */
static size_t run_set(struct gari__object_thread *self, struct gari__finalize_set *set, size_t most)
{
    size_t called = 0;
    for (; set->at < set->count && called < most; set->at++) {
        gari_object *object = set->members[set->at].object;
        uint64_t *word = gari__word_of(object);
        GARI_PERTURB_AT("finalize.run");
        if ((gari__load_relaxed(word) & GARI__UNFINALIZED) &&
            (GARI_MUTANT(FINALIZE_TWICE) ||
             (gari__fetch_and_acq_rel(word, ~GARI__UNFINALIZED) & GARI__UNFINALIZED))) {
            call(self, gari__shape_of(object)->type.finalize, object);
            called++;
        }
    }
    return called;
}

size_t gari__finalize_run(struct gari__object_thread *self, size_t most)
{
    size_t called = 0;
    while (called < most && gari__finalize_any()) {
        struct gari__callback *callback = pop_callback();
        struct gari__finalize_set *set = callback ? NULL : pop_set();
        gari_object *object = callback || set ? NULL : pop_object();
        if (callback) {
            if (gari__callback_begin(callback)) {
                call(self, callback->fn, callback->arg);
                called++;
            }
            gari__callback_release(callback);
        } else if (set) {
            called += run_set(self, set, most - called);
            if (set->at < set->count) {
                /* Counted anew, so below. */
                gari__finalize_queue_set(set);
            } else {
                gari__upcall_finalized(set);
            }
        } else if (object) {
            gari__finalize_one(self, object);
            called++;
        } else {
            break;
        }
        gari__fetch_sub_acq_rel(&queue.waiting, 1);
        gari__settle(self, NULL);
    }
    return called;
}

bool gari__finalize_any(void)
{
    return gari__load_acquire(&queue.waiting) != 0;
}

uint64_t gari__finalize_waiting(void)
{
    return gari__load_relaxed(&queue.waiting);
}

uint64_t gari__finalize_called(void)
{
    return gari__load_relaxed(&queue.called);
}

void gari__finalize_sets_walk(const struct gari__finalize_set *set,
                              void (*visit)(const gari_object *object, void *arg), void *arg)
{
    for (; set; set = set->next)
        for (size_t i = 0; i < set->count; i++)
            visit(set->members[i].object, arg);
}

const struct gari__block *gari__finalize_walk(void (*visit)(const gari_object *object, void *arg),
                                              void *arg, uint32_t *slot)
{
    pthread_mutex_lock(&queue.lock);
    gari__finalize_sets_walk(queue.sets, visit, arg);
    *slot = queue.slot;
    const struct gari__block *block = queue.slot ? queue.block : NULL;
    pthread_mutex_unlock(&queue.lock);
    return block;
}
