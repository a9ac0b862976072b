#include "lib/object/weak.h"

#include "lib/heap/memory.h"
#include "lib/object/count.h"
#include "lib/object/finalize.h"

#define LOCKS 64

/* A lock for each of so many parts of the address space: an object's control block, its list of
 * callbacks, and the table entry that leads there. Nothing is called while one is held. */
static pthread_mutex_t locks[LOCKS] = {[0 ... LOCKS - 1] = PTHREAD_MUTEX_INITIALIZER};

/* The one open proof: its number << 2 | state. */
static uint64_t gate; /* atomically */
enum gate_states { SHUT, OPEN, BROKEN, DECIDED };
#define GATE_STATE(g) ((enum gate_states)((g)&3))

static pthread_mutex_t *lock_of(const gari_object *object)
{
    pthread_mutex_t *lock = &locks[(uintptr_t)object / 16 * 0x9e3779b97f4a7c15u >> 58];
    pthread_mutex_lock(lock);
    return lock;
}

/* The object's entry, or NULL when no object of its block has ever had a weak reference. */
static struct gari__weak **entry_of(const gari_object *object)
{
    struct gari__block *block = gari__block_of(object);
    void **table = gari__load_acquire(&block->weak);
    return table ? (struct gari__weak **)&table[gari__slot_of(block, object)] : NULL;
}

static bool make_table(struct gari__block *block)
{
    void **table = gari__memory_new(block->slots * sizeof *table), **none = NULL;
    if (!table)
        return false;
    if (!gari__cas_strong_acq_rel(&block->weak, &none, table))
        gari__memory_free(table);
    return true;
}

struct gari__weak *gari__weak_hold(gari_object *object)
{
    struct gari__weak **entry = entry_of(object);
    if (!entry && make_table(gari__block_of(object)))
        entry = entry_of(object);
    if (!entry)
        return NULL;
    pthread_mutex_t *lock = lock_of(object);
    struct gari__weak *weak = *entry;
    if (weak) {
        gari__fetch_add_relaxed(&weak->refs, 1);
    } else if ((weak = gari__memory_new(sizeof *weak)) != NULL) {
        weak->place = object;
        weak->refs = 2; /* the object's and the caller's */
        gari__store_relaxed(&weak->target, (uintptr_t)object);
        *entry = weak;
        /* A proof that has the object among its suspects sees that its word has changed. */
        gari__fetch_or_acq_rel(gari__word_of(object), GARI__HAS_WEAK);
    }
    pthread_mutex_unlock(lock);
    return weak;
}

void gari__weak_release(struct gari__weak *weak)
{
    if (gari__fetch_sub_acq_rel(&weak->refs, 1) == 1)
        gari__memory_free(weak);
}

/* Passes the gate: the object that may be counted up now, or NULL when it is dead. In a section, to the
 * end of which the proof that is open now cannot be decided, or has been before (docs/protocol.md). */
static gari_object *pass_gate(struct gari__weak *weak)
{
    for (;;) {
        GARI_PERTURB_AT("weak.read");
        /* Acquire: pairs with gari__weak_tag (a tag's gate is seen open) and the death's emptying. */
        uintptr_t target = gari__load_acquire(&weak->target);
        if (!(target & GARI__WEAK_TAG) || GARI_MUTANT(WEAK_NO_GATE))
            return (gari_object *)(target & ~GARI__WEAK_TAG);
        GARI_PERTURB_AT("gate.look");
        GARI_PERTURB_STEP(WEAK_TAG);
        uint64_t now = gari__load_acquire(&gate);
        gari_object *object = (gari_object *)(target & ~GARI__WEAK_TAG);
        switch (GATE_STATE(now)) {
        case OPEN:
            GARI_PERTURB_AT("gate.break");
            /* Acquire-release: pairs with gari__gate_decide; one of the two wins. */
            if (gari__cas_strong_acq_rel(&gate, &now, (now & ~(uint64_t)3) | BROKEN))
                return object;
            break;
        case DECIDED:
            /* Decided over this tag, unless it has been taken back since: what is to be finalized is
             * untagged before the decision. */
            GARI_PERTURB_AT("weak.null");
            if (gari__load_acquire(&weak->target) == target && gari__load_acquire(&gate) == now)
                return NULL;
            break;
        default:
            return object;
        }
    }
}

gari_object *gari__weak_get(struct gari__weak *weak)
{
    GARI_PERTURB_AT("weak.begin");
    gari__section_begin();
    gari_object *object = pass_gate(weak);
    GARI_PERTURB_AT("weak.try_incref");
    GARI_PERTURB_STEP(WEAK_READ);
    if (object && !gari__count_try_up(object))
        object = NULL;
    gari__section_end();
    return object;
}

void gari__callback_release(struct gari__callback *callback)
{
    if (gari__fetch_sub_acq_rel(&callback->refs, 1) == 1) {
        gari__weak_release(callback->weak);
        gari__memory_free(callback);
    }
}

bool gari__callback_begin(struct gari__callback *callback)
{
    return gari__exchange_acq_rel(&callback->state, GARI__CALLBACK_OVER) != GARI__CALLBACK_OVER;
}

void gari__callback_arm(struct gari__weak *weak, struct gari__callback *callback)
{
    pthread_mutex_t *lock = lock_of(weak->place);
    gari__fetch_add_relaxed(&weak->refs, 1);
    callback->weak = weak;
    callback->refs = 2;
    callback->prev = NULL;
    callback->next = weak->callbacks;
    if (weak->callbacks)
        weak->callbacks->prev = callback;
    weak->callbacks = callback;
    pthread_mutex_unlock(lock);
}

static void unlink_callback(struct gari__weak *weak, struct gari__callback *callback)
{
    if (callback->prev)
        callback->prev->next = callback->next;
    else
        weak->callbacks = callback->next;
    if (callback->next)
        callback->next->prev = callback->prev;
    callback->next = callback->prev = NULL;
}

bool gari__callback_cancel(struct gari__callback *callback)
{
    pthread_mutex_t *lock = lock_of(callback->weak->place);
    int state = gari__exchange_acq_rel(&callback->state, GARI__CALLBACK_OVER);
    callback->owner = NULL;
    if (state == GARI__CALLBACK_ARMED)
        unlink_callback(callback->weak, callback);
    pthread_mutex_unlock(lock);
    if (state == GARI__CALLBACK_ARMED)
        gari__callback_release(callback); /* the list's */
    return state != GARI__CALLBACK_OVER;
}

/* Takes the list of a dead object, the latest first, as in CPython. Under the lock. */
static struct gari__callback *take_callbacks(struct gari__weak *weak)
{
    struct gari__callback *list = weak->callbacks;
    weak->callbacks = NULL;
    for (struct gari__callback *callback = list; callback; callback = callback->next)
        gari__store_relaxed(&callback->state, GARI__CALLBACK_QUEUED);
    return list;
}

struct gari__callback *gari__weak_clear(gari_object *object)
{
    struct gari__weak **entry = entry_of(object);
    pthread_mutex_t *lock = lock_of(object);
    struct gari__weak *weak = *entry;
    *entry = NULL;
    GARI_PERTURB_AT("weak.clear");
    /* Release: pairs with pass_gate; whoever still reads the old value is in a section that the memory
     * of the object waits for. */
    gari__store_release(&weak->target, 0);
    struct gari__callback *list = take_callbacks(weak);
    pthread_mutex_unlock(lock);
    gari__weak_release(weak);
    return list;
}

void gari__weak_died(gari_object *object)
{
    gari__finalize_queue_callbacks(gari__weak_clear(object));
}

void gari__gate_open(void)
{
    GARI_PERTURB_AT("gate.open");
    gari__store_release(&gate, ((gari__load_relaxed(&gate) >> 2) + 1) << 2 | OPEN);
}

bool gari__gate_decide(void)
{
    uint64_t number = gari__load_relaxed(&gate) & ~(uint64_t)3;
    uint64_t open = number | OPEN;
    GARI_PERTURB_AT("gate.decide");
    return gari__cas_strong_acq_rel(&gate, &open, number | DECIDED) || GARI_MUTANT(WEAK_NO_GATE);
}

bool gari__gate_is_broken(void)
{
    return GATE_STATE(gari__load_acquire(&gate)) == BROKEN;
}

void gari__gate_shut(void)
{
    GARI_PERTURB_AT("gate.shut");
    gari__store_release(&gate, (gari__load_relaxed(&gate) & ~(uint64_t)3) | SHUT);
}

/* The object may have died by count, and its slot been born again, since it was last seen. */
static void retag(gari_object *object, bool tagged)
{
    struct gari__weak **entry = entry_of(object);
    pthread_mutex_t *lock = lock_of(object);
    struct gari__weak *weak = entry ? *entry : NULL;
    uintptr_t target = weak ? gari__load_relaxed(&weak->target) : 0;
    /* Release: whoever acquires the tag sees the gate that it is for. Only this and a death write here,
     * both under the lock. */
    if (target)
        gari__store_release(&weak->target,
                            tagged ? target | GARI__WEAK_TAG : target & ~GARI__WEAK_TAG);
    pthread_mutex_unlock(lock);
}

void gari__weak_tag(gari_object *object)
{
    GARI_PERTURB_EACH("gate.tag");
    retag(object, true);
}

void gari__weak_untag(gari_object *object)
{
    GARI_PERTURB_EACH("gate.untag");
    retag(object, false);
}

struct gari__callback *gari__weak_clear_callbacks(gari_object *object,
                                                  bool (*is_member)(gari_object *owner, void *arg),
                                                  void *arg)
{
    struct gari__weak **entry = entry_of(object);
    struct gari__callback *list = NULL, *dropped = NULL, *callback;
    pthread_mutex_t *lock = lock_of(object);
    struct gari__weak *weak = *entry;
    struct gari__callback **end = &list;
    while ((callback = weak->callbacks) != NULL) {
        weak->callbacks = callback->next;
        gari_weakref *owner = callback->owner;
        /* An owner's dispose takes its callback out of the list, under this lock: it is still there. */
        if (owner)
            gari__store_release(&owner->cleared_, 1);
        if (owner && is_member((gari_object *)owner, arg)) {
            gari__store_relaxed(&callback->state, GARI__CALLBACK_OVER);
            callback->next = dropped;
            dropped = callback;
        } else {
            gari__store_relaxed(&callback->state, GARI__CALLBACK_QUEUED);
            callback->next = NULL;
            *end = callback;
            end = &callback->next;
        }
    }
    pthread_mutex_unlock(lock);
    while ((callback = dropped) != NULL) {
        dropped = callback->next;
        gari__callback_release(callback);
    }
    return list;
}
