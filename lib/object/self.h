/* What a thread has of its own at the level of objects: deaths not yet worked off, memory not yet handed
 * to limbo. As soon as the owner's call returns, others find all of it in the blocks. */
#ifndef GARI_OBJECT_SELF_H
#define GARI_OBJECT_SELF_H

#include "concurrency/lock.h"
#include "concurrency/rcu.h"
#include "lib/object/shape.h"

#define GARI__DYING_ROOM 256u
#define GARI__CLAIMED_ROOM 64u
#define GARI__SHAPE_CACHE 32u

struct gari__finalize_set;

/* What a thread keeps of objects of hot types (kept.h). */
#define GARI__KEPT_BITS 7
#define GARI__KEPT_SETS (1u << GARI__KEPT_BITS)
#define GARI__KEPT_WAYS 2u

struct gari__keeping {
    unsigned used; /* entries with an object; atomically */
    unsigned turn; /* which way was replaced last */
    bool busy;     /* the thread is at its table; atomically */
    bool barred;   /* it must not be; atomically */
    struct gari__kept {
        gari_object *object; /* atomically */
        uint32_t count;      /* references to it, perhaps none, in units of GARI__KEPT_ONE */
    } table[GARI__KEPT_SETS][GARI__KEPT_WAYS];
};

struct gari__object_thread {
    struct gari__heap_thread heap;

    uint64_t looked_ns; /* when that was last done in vain (collector/schedule.c) */
    /* The shapes and bins of the types used last. */
    struct gari__cached {
        const gari_type *type; /* atomically: gari_type_retire takes it away */
        /* What gari_new takes slots from without much ado: the bin, or one that never has any. */
        struct gari__bin *fast;
        uint64_t birth_step;         /* as the shape has it */
        uint64_t size, room;         /* of an object, and of its slot in a bin */
        struct gari__births *births; /* the tally's that counts it */
        struct gari__shape *shape;
        struct gari__bin *bin; /* of a type of fixed size, or NULL */
    } cache[GARI__SHAPE_CACHE];

    /* What this thread is making a candidate at this moment: it may have the flag and not yet the bit.
     * For a child that somebody else forks. Atomically. */
    gari_object *suspecting;

    /* Objects whose count this thread has brought to zero: dead ones, and those that are still to be
     * finalized, each with a reference that is this thread's. Empty between calls; `pending` is both
     * numbers in one word. */
    union {
        struct {
            uint32_t dying_count;
            uint32_t claimed_count;
        };
        uint64_t pending;
    };
    size_t edges_dropped; /* ever, for budgets */
    bool unwinding;       /* deaths are being worked off further up this stack, */
    uint8_t manner;       /* in this manner (death.c) */
    unsigned callbacks;   /* depth of user callbacks on this stack */
    bool collecting;      /* this thread holds the collector's lock */
    bool reporting;       /* it is in a callback that reports a collection, */
    bool reporting_asked; /* one that was asked for by such a callback */
    bool never_help;      /* it does no work that others have left */
    bool own_deaths_only; /* for the length of a call */
    gari_object *dying[GARI__DYING_ROOM];
    gari_object *claimed[GARI__CLAIMED_ROOM];
    uint32_t claimed_base; /* below it: claimed further up this stack */
    unsigned finalizing;   /* how many of the callbacks on this stack are finalizers */

    /* What the thread has in hand while it calls a user's function, for a child that this forks, or in
     * which it does not exist. */
    struct gari__block *ripe_block;         /* limbo.c; written under its lock */
    uint64_t ripe_objects;                  /* of a type with reclaim */
    bool deferred_call;                     /* limbo.c: one of gari_defer's */
    bool queued_call;                       /* finalize.c: something of the queue, */
    struct gari__finalize_set *set_in_hand; /* perhaps of a set; written under the queue's lock */
    bool promised;                          /* collector: the report of a stop is owed */
    bool in_container;                      /* under the lock of a container; atomically */

    /* Dead objects of one block on their way to limbo; empty between calls. */
    struct gari__block *run_block;
    uint32_t run_head, run_tail, run_count;
    size_t run_load;
    size_t unsealed;   /* the load of what this thread has put into limbo since it last sealed */
    bool late_waiting; /* some of that was of a late type */
    bool late_sealed;  /* such has been sealed by this thread; and perhaps waits */
    bool apart_late;   /* what is being taken apart is of one */
    bool after_grace;  /* it has died of what a grace period has set free */
    /* Bytes allocated when a batch for such was last sealed, and the ticket that it had. */
    uint64_t late_mark, late_ticket;
    uint64_t awaited_ticket; /* of the batch in limbo that it has last looked for, */
    unsigned looks;          /* and how often it has */

    uint64_t help_mark; /* bytes allocated when this thread last did a slice of a collection */

    /* GARI_STRESS (collector/stress.c): the calls left until the next collection, what they are drawn
     * from, and the setting that they belong to, 0: none yet. */
    uint64_t calls_left, calls_random, calls_setting;

    struct gari__keeping keeping;
};

/* Whether the ends of calls are counted, for GARI_STRESS; for the threads that attach from now on. */
extern bool gari__count_calls;

/* Begins and ends a region under the lock of a container; `self` is the caller's record. */
static inline void gari__container_begin(struct gari__object_thread *self)
{
    gari__section_prepare();
    gari__region_begin(&self->in_container);
}

static inline void gari__container_end(struct gari__object_thread *self)
{
    gari__region_end(&self->in_container);
}

void gari__records_before_fork(void);
/* In the child: what threads that do not exist there had is left to others, or lost. */
void gari__records_after_fork(void);

/* The stamp for objects born now: the collector counts it up at each collection. */
extern uint16_t gari__birth_stamp;

/* The calling thread's record; the first call of all sets the library up. */
struct gari__object_thread *gari__enter_slow(const char *call);

static inline struct gari__object_thread *gari__enter(const char *call)
{
    struct gari__thread *self = gari__self;
    if (gari__unlikely(self == NULL))
        return gari__enter_slow(call);
    return (struct gari__object_thread *)self;
}

/* The collector's trigger is looked at after so many tracked allocations from now on. */
static inline void gari__set_alarm(struct gari__object_thread *self, uint64_t allocations)
{
    struct gari__births *births = &self->heap.tally.tracked;
    births->alarm = gari__load_relaxed(&births->count) + allocations;
}

static inline void gari__leave(struct gari__object_thread *self)
{
    gari__thread_leave(&self->heap.thread);
}

/* What the collector does for the layer below it; defined in lib/collector. */

/* The library is used for the first time. */
void gari__upcall_start(void);
/* A bin is empty: a good moment for a bounded slice of whatever work waits. Returns when that began, or
 * 0: there was nothing to do. */
uint64_t gari__upcall_refill(struct gari__object_thread *self);
/* The alarm: is a collection due? Sets the next one. */
void gari__upcall_allocated(struct gari__object_thread *self);
/* Memory or the limit is exhausted: collects everything if it may wait. True when a second try may
 * succeed. */
bool gari__upcall_exhausted(struct gari__object_thread *self);
/* A call on a record that is `counted` ends. */
void gari__upcall_left(struct gari__object_thread *self);
/* A call has just come back from its slow path, which it entered at that time: for the statistics. */
void gari__upcall_waited(uint64_t begin_ns);
/* The queue of finalizers and callbacks is no longer empty. May be called in a section. */
void gari__upcall_finalizers(void);
/* A set that the collector put aside has been finalized. */
void gari__upcall_finalized(struct gari__finalize_set *set);
/* There is work for the background thread. */
void gari__upcall_wake(void);
/* The background thread sleeps with nothing to wait for: whoever makes work must wake it. */
extern bool gari__collector_asleep;
/* The most bytes of heap, 0: no limit. */
size_t gari__upcall_limit(void);

#endif
