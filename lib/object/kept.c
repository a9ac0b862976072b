#include "lib/object/kept.h"

#include "concurrency/clock.h"
#include "concurrency/look.h"
#include "lib/object/death.h"

#include <sched.h>

/* About how many at most by a thread that has come for memory. */
#define TICK_BUDGET 512u
/* At whether a thread has left its table. */
#define LOOKS 1000

bool gari__kept_any;
__thread struct gari__object_thread *gari__keeping_thread;

/* Of who takes back; no grace period is waited for under it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_ns; /* atomically */

/* In a section. So many references that somebody kept, at least one, in units of GARI__KEPT_ONE. True: as of
 * gari__count_down. */
static bool count_down(struct gari__object_thread *self, gari_object *object, uint32_t count)
{
    static const char call[] = "gari_decref";
    if (count > GARI__KEPT_ONE) {
        /* The last of them is still counted, so nothing can come of this. */
        uint64_t less = count - GARI__KEPT_ONE;
        uint64_t old = gari__fetch_sub_acq_rel(gari__word_of(object), less);
        if (gari__unlikely((old & GARI__COUNT_MASK) < count && !(old & GARI__IMMORTAL)))
            gari__fatal_dead(object, call);
    }
    GARI_PERTURB_AT("kept.back");
    return gari__count_down(self, object, call);
}

static void give_back(struct gari__object_thread *self, struct gari__kept kept)
{
    if (kept.count == 0)
        return;
    gari__section_begin();
    if (count_down(self, kept.object, kept.count))
        gari__death_push(self, kept.object);
    gari__section_end();
}

/* Somebody keeps something who may not have before. Once in a tick that wakes the background thread, so that it
 * does not sleep for longer than one. */
static void announce(void)
{
    GARI_PERTURB_AT("kept.tell");
    /* Sequentially consistent: pairs with gari__kept_take_back, which takes this away before it looks at
     * `used`, and, with the look, with sleep_for in collector/worker.c. */
    if (!gari__exchange_seq_cst(&gari__kept_any, true) ||
        gari__load_seq_cst(&gari__collector_asleep))
        gari__upcall_wake();
}

/* Puts the object in. Returns what had to go for it. In this order: a child of which the thread is no part
 * finds nothing twice. */
static struct gari__kept enter(struct gari__object_thread *self, gari_object *object)
{
    struct gari__keeping *keeping = &self->keeping;
    struct gari__kept *set = gari__kept_set(keeping, object), *kept = NULL;
    for (size_t way = 0; way < GARI__KEPT_WAYS; way++) {
        if (set[way].count == 0)
            kept = &set[way];
    }
    if (!kept)
        kept = &set[++keeping->turn % GARI__KEPT_WAYS];
    struct gari__kept old = *kept;
    gari__store_release(&kept->count, 0);
    gari__store_release(&kept->object, object);
    gari__store_release(&kept->count, GARI__KEPT_ONE);
    gari__keeping_thread = self;
    if (!old.object)
        gari__store_relaxed(&keeping->used, keeping->used + 1);
    return old;
}

bool gari__kept_give(struct gari__object_thread *self, gari_object *object, uint64_t word)
{
    struct gari__keeping *keeping = &self->keeping;
    if (gari__count_of(word) <= 1 || (word & GARI__IMMORTAL) || self->heap.thread.shared ||
        !gari__has_barrier())
        return false;
    bool first = false, keeps = gari__kept_begin(keeping);
    struct gari__kept old = {NULL, 0};
    GARI_PERTURB_AT("kept.give");
    if (keeps) {
        struct gari__kept *kept = gari__kept_find(keeping, object);
        if (!kept) {
            first = keeping->used == 0;
            old = enter(self, object);
        } else if (gari__kept_has_room(kept, word)) {
            kept->count += GARI__KEPT_ONE;
        } else {
            keeps = false;
        }
    }
    gari__kept_end(keeping);
    if (first)
        announce();
    give_back(self, old);
    if (keeps)
        gari__settle(self, NULL);
    return keeps;
}

bool gari__kept_settle(struct gari__object_thread *self, gari_object *object)
{
    struct gari__keeping *keeping = &self->keeping;
    if (!gari__load_relaxed(&keeping->used))
        return false;
    uint32_t count = 0;
    if (gari__kept_begin(keeping)) {
        struct gari__kept *kept = gari__kept_find(keeping, object);
        /* Of what is not kept the memory may be gone: for an object without references there is no section. */
        if (kept && kept->count > 0 &&
            kept->count >= (gari__load_relaxed(gari__word_of(object)) & GARI__COUNT_MASK)) {
            count = kept->count;
            kept->count = 0;
        }
    }
    gari__kept_end(keeping);
    return count && count_down(self, object, count);
}

/* Gives back all that is in a table that nobody else works on. */
static void empty(struct gari__object_thread *self, struct gari__keeping *keeping)
{
    for (size_t set = 0; keeping->used && set < GARI__KEPT_SETS; set++) {
        for (size_t way = 0; way < GARI__KEPT_WAYS; way++) {
            struct gari__kept kept = keeping->table[set][way];
            if (!kept.object)
                continue;
            gari__store_relaxed(&keeping->table[set][way].object, NULL);
            keeping->table[set][way].count = 0;
            gari__store_relaxed(&keeping->used, keeping->used - 1);
            give_back(self, kept);
        }
    }
}

void gari__kept_attach(struct gari__object_thread *self)
{
    gari__keeping_thread = gari__load_relaxed(&self->keeping.used) ? self : NULL;
}

bool gari__kept_release(struct gari__object_thread *self)
{
    struct gari__keeping *keeping = &self->keeping;
    gari__keeping_thread = NULL; /* the record may be another thread's next */
    if (!gari__load_relaxed(&keeping->used))
        return false;
    gari__section_prepare();
    gari__mutex_lock(&lock); /* under which nobody bars it */
    empty(self, keeping);
    gari__mutex_unlock(&lock);
    return true;
}

static struct gari__keeping *keeping_of(struct gari__thread *record)
{
    return &((struct gari__object_thread *)record)->keeping;
}

/* Bars those who keep something, until the budget is used up. True: it was before the end. */
static bool bar(size_t budget)
{
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        struct gari__keeping *keeping = keeping_of(t);
        size_t used = gari__load_relaxed(&keeping->used);
        if (used == 0)
            continue;
        if (budget == 0)
            return true;
        GARI_PERTURB_AT("kept.bar");
        gari__store_relaxed(&keeping->barred, true);
        budget -= used < budget ? used : budget;
    }
    return false;
}

/* Whether the thread, which is barred, is not at its table any more. It is there for some instructions, if it does not
 * lose its processor. */
static bool has_left(const struct gari__keeping *keeping)
{
    for (int look = 0; look < LOOKS; look++) {
        /* Acquire: pairs with the end of what the thread did at its table. */
        if (!gari__load_acquire(&keeping->busy))
            return true;
    }
    return GARI_MUTANT(KEPT_BUSY);
}

/* Empties the tables of those that are barred and have left them; all may go on. True: some have not. `passed`: so has
 * the barrier. */
static bool empty_barred(struct gari__object_thread *self, bool passed)
{
    bool left = false;
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        struct gari__keeping *keeping = keeping_of(t);
        if (!gari__load_relaxed(&keeping->barred))
            continue;
        GARI_PERTURB_AT("kept.look");
        if (passed && has_left(keeping))
            empty(self, keeping);
        else
            left = true;
        /* Release: pairs with the look at `barred`. */
        gari__store_release(&keeping->barred, false);
    }
    return left;
}

/* The lock is held. True: something has been left where it was. */
static bool take_back(struct gari__object_thread *self, size_t budget)
{
    /* Before it is looked who keeps what: who puts something in from now on says so again. */
    if (!gari__exchange_seq_cst(&gari__kept_any, false))
        return false;
    bool left = bar(budget);
    left |= empty_barred(self, GARI_MUTANT(KEPT_NO_BARRIER) || gari__readers_barrier());
    if (left)
        announce();
    return left;
}

void gari__kept_take_back(struct gari__object_thread *self, uint64_t patience_ns)
{
    if (!gari__load_relaxed(&gari__hot_used))
        return;
    gari__section_prepare();
    uint64_t begin = gari__now_ns();
    bool left;
    do {
        gari__mutex_lock(&lock);
        left = take_back(self, SIZE_MAX);
        gari__mutex_unlock(&lock);
        if (left)
            sched_yield();
    } while (left && gari__now_ns() - begin < patience_ns);
    gari__store_relaxed(&last_ns, gari__now_ns());
}

void gari__kept_tick(struct gari__object_thread *self, bool bounded)
{
    if (!gari__load_relaxed(&gari__kept_any) ||
        gari__now_ns() - gari__load_relaxed(&last_ns) < GARI__KEPT_TICK_NS)
        return;
    gari__section_prepare();
    if (!gari__mutex_trylock(&lock))
        return;
    bool left = take_back(self, bounded ? TICK_BUDGET : SIZE_MAX);
    gari__mutex_unlock(&lock);
    if (!left || !bounded)
        gari__store_relaxed(&last_ns, gari__now_ns());
}

size_t gari__kept_of(struct gari__object_thread *self, const gari_object *object)
{
    struct gari__keeping *keeping = &self->keeping;
    bool mine = gari__kept_begin(keeping);
    if (!mine) { /* not for long; and under the lock nobody bars it */
        gari__kept_end(keeping);
        gari__mutex_lock(&lock);
    }
    const struct gari__kept *kept = gari__kept_find(keeping, object);
    size_t count = kept ? kept->count >> GARI__COUNT_SHIFT : 0;
    if (mine)
        gari__kept_end(keeping);
    else
        gari__mutex_unlock(&lock);
    return count;
}

void gari__kept_before_fork(void)
{
    gari__mutex_pass(&lock);
}

void gari__kept_after_fork(struct gari__object_thread *gone)
{
    struct gari__keeping *keeping = &gone->keeping;
    gari__store_relaxed(&keeping->busy, false);
    unsigned used = 0;
    for (size_t set = 0; set < GARI__KEPT_SETS; set++)
        for (size_t way = 0; way < GARI__KEPT_WAYS; way++)
            used += keeping->table[set][way].object != NULL;
    gari__store_relaxed(&keeping->used, used);
    if (used)
        gari__store_relaxed(&gari__kept_any, true);
}

void gari__kept_renew(void)
{
    gari__mutex_renew(&lock);
}
