#include "lib/object/kept.h"

#include "concurrency/clock.h"
#include "concurrency/look.h"
#include "lib/object/count.h"
#include "lib/object/death.h"

#include <sched.h>

/* As often as references are taken back without being asked for. */
#define TICK_NS 10000000u
/* How long it is waited for threads that are at their tables: each for some instructions, but one may have
 * lost its processor there. */
#define PATIENCE_NS 300000000u

bool gari__kept_any;

/* Of who takes back; no grace period is waited for under it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_ns; /* atomically */

/* So many references that somebody kept, at least one. */
static void give_back(struct gari__object_thread *self, gari_object *object, size_t count)
{
    static const char call[] = "gari_decref";
    gari__section_begin();
    if (count > 1) {
        /* The last of them is still counted, so nothing can come of this. */
        uint64_t less = (uint64_t)(count - 1) << GARI__COUNT_SHIFT;
        uint64_t old = gari__fetch_sub_acq_rel(gari__word_of(object), less);
        if (gari__unlikely(gari__count_of(old) < count))
            gari__fatal_dead(object, call);
    }
    GARI_PERTURB_AT("kept.back");
    if (gari__count_down(self, object, call))
        gari__death_push(self, object);
    gari__section_end();
}

/* The thread, which kept nothing, does. It may be the only thing that the collector would ever wake up for. */
static void announce(void)
{
    GARI_PERTURB_AT("kept.tell");
    /* Sequentially consistent: pairs with gari__kept_take_back, which takes this away before it looks at
     * `used`, and, with the look, with sleep_for in collector/worker.c. */
    if (!gari__exchange_seq_cst(&gari__kept_any, true) &&
        gari__load_seq_cst(&gari__collector_asleep))
        gari__upcall_wake();
}

/* Puts the object in. Returns what had to go for it. In this order: a child of which the thread is no part
 * finds nothing twice. */
static struct gari__kept enter(struct gari__keeping *keeping, gari_object *object)
{
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
    gari__store_release(&kept->count, 1);
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
    if (!gari__kept_begin(keeping)) {
        gari__kept_end(keeping);
        return false;
    }
    struct gari__kept *kept = gari__kept_find(keeping, object), old = {NULL, 0};
    bool first = keeping->used == 0;
    GARI_PERTURB_AT("kept.give");
    if (!kept) {
        old = enter(keeping, object);
    } else if (gari__count_of(word) > kept->count + 1) {
        kept->count++;
    } else { /* all that is left of it, perhaps: then it dies now */
        old = (struct gari__kept){object, kept->count + 1};
        kept->count = 0;
    }
    gari__kept_end(keeping);
    if (first)
        announce();
    if (old.count) {
        give_back(self, old.object, old.count);
        gari__settle(self, NULL);
    }
    return true;
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
            if (kept.count)
                give_back(self, kept.object, kept.count);
        }
    }
}

void gari__kept_release(struct gari__object_thread *self)
{
    struct gari__keeping *keeping = &self->keeping;
    if (!gari__load_relaxed(&keeping->used))
        return;
    /* Under the lock nobody bars it; and who has left it barred will find it empty. */
    gari__mutex_lock(&lock);
    empty(self, keeping);
    gari__store_relaxed(&keeping->barred, false);
    gari__mutex_unlock(&lock);
}

static struct gari__keeping *keeping_of(struct gari__thread *record)
{
    return &((struct gari__object_thread *)record)->keeping;
}

/* Bars those who keep something. False: there are none. */
static bool bar(void)
{
    bool any = false;
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        struct gari__keeping *keeping = keeping_of(t);
        if (!gari__load_relaxed(&keeping->used))
            continue;
        GARI_PERTURB_AT("kept.bar");
        gari__store_relaxed(&keeping->barred, true);
        any = true;
    }
    return any;
}

/* True: somebody is at his table. */
static bool empty_barred(struct gari__object_thread *self)
{
    bool left = false;
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        struct gari__keeping *keeping = keeping_of(t);
        if (!gari__load_relaxed(&keeping->barred))
            continue;
        GARI_PERTURB_AT("kept.look");
        /* Acquire: pairs with the end of what the thread did at its table. */
        if (gari__load_acquire(&keeping->busy) && !GARI_MUTANT(KEPT_BUSY)) {
            left = true;
            continue;
        }
        empty(self, keeping);
        /* Release: pairs with the look at `barred`. */
        gari__store_release(&keeping->barred, false);
    }
    return left;
}

void gari__kept_take_back(struct gari__object_thread *self, bool patiently)
{
    if (!gari__load_seq_cst(&gari__kept_any))
        return;
    gari__section_prepare();
    uint64_t begin = gari__now_ns();
    bool left;
    do {
        gari__mutex_lock(&lock);
        /* Before it is looked who keeps what: who puts something in from now on says so again. */
        (void)gari__exchange_seq_cst(&gari__kept_any, false);
        left = bar() &&
               ((!GARI_MUTANT(KEPT_NO_BARRIER) && !gari__readers_barrier()) || empty_barred(self));
        if (left)
            (void)gari__exchange_seq_cst(&gari__kept_any, true);
        gari__mutex_unlock(&lock);
        if (left && patiently)
            sched_yield();
    } while (left && patiently && gari__now_ns() - begin < PATIENCE_NS);
    gari__store_relaxed(&last_ns, gari__now_ns());
}

void gari__kept_tick(struct gari__object_thread *self)
{
    if (gari__load_relaxed(&gari__kept_any) &&
        gari__now_ns() - gari__load_relaxed(&last_ns) >= TICK_NS)
        gari__kept_take_back(self, false);
}

size_t gari__kept_of(struct gari__object_thread *self, const gari_object *object)
{
    struct gari__keeping *keeping = &self->keeping;
    size_t count = 0;
    if (gari__kept_begin(keeping)) {
        const struct gari__kept *kept = gari__kept_find(keeping, object);
        count = kept ? kept->count : 0;
    }
    gari__kept_end(keeping);
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
    gari__store_relaxed(&keeping->barred, false);
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
