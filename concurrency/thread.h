/* Threads that use gari: a record each, found by a thread-local pointer, listed in a registry.
 *
 * A thread attaches at first use. At its exit the record is emptied by `detach` and kept for the
 * next thread, so that the collector can walk the registry at any time and thousands of short-lived
 * threads cost the memory of as many records as were ever alive at once. The layers above make
 * their per-thread state by embedding struct gari__thread at the start of theirs.
 *
 * Calls that come after the record was given back (from destructors of other thread-local values),
 * and those of a thread for which no record could be allocated, share one record behind a lock:
 * every use of a record is bracketed by gari__thread_enter and gari__thread_leave. */
#ifndef GARI_CONCURRENCY_THREAD_H
#define GARI_CONCURRENCY_THREAD_H

#include "concurrency/atomics.h"

#include <pthread.h>
#include <sched.h>

struct gari__thread {
    struct gari__thread *next; /* registry; never unlinked; read without a lock */
    bool in_use;               /* under the registry lock */
    bool own;                  /* a thread of gari's; under the registry lock */
    union {
        struct {
            bool shared;  /* the record of those that have none */
            bool counted; /* layout.leave wants to know of each call; the owner's */
        };
        uint16_t leaves_slowly; /* either: one comparison at the end of each call */
    };
};

struct gari__thread_layout {
    size_t size;                                 /* of the embedding record */
    void *(*allocate)(size_t size);              /* zeroed, or NULL */
    void (*release)(void *memory);               /* what allocate gave; for an attach that failed */
    void (*attach)(struct gari__thread *record); /* prepares a new or reused record */
    void (*detach)(struct gari__thread *record); /* empties it: everything goes to others */
    void (*leave)(struct gari__thread *record);  /* the end of a call, if the record is `counted` */
    struct gari__thread *shared;                 /* static memory for the shared record */
};

extern __thread struct gari__thread *gari__self;

/* Once, before any thread enters. */
void gari__thread_setup(const struct gari__thread_layout *wanted);

/* Gives the calling thread, which has none, a record of its own, or returns NULL: for gari's own threads,
 * which do without the shared one. */
struct gari__thread *gari__thread_attach(void);

struct gari__thread *gari__thread_enter_slow(const char *call);
void gari__thread_leave_slow(struct gari__thread *self);

/* The calling thread's record; `call` names the API function for a sentence. */
static inline struct gari__thread *gari__thread_enter(const char *call)
{
    struct gari__thread *self = gari__self;
    if (gari__unlikely(self == NULL))
        self = gari__thread_enter_slow(call);
    return self;
}

static inline void gari__thread_leave(struct gari__thread *self)
{
    if (gari__unlikely(self->leaves_slowly))
        gari__thread_leave_slow(self);
}

/* The first record; follow next. Records stay where they are for the life of the process. */
struct gari__thread *gari__thread_first(void);

/* While held, no record is attached or detached. */
void gari__thread_lock(void);
void gari__thread_unlock(void);

/* Attached now: the users' threads; neither gari's own nor the shared record. */
size_t gari__thread_count(void);
/* The calling thread, which has a record, is one of gari's own. */
void gari__thread_is_own(void);

/* Gives the calling thread's record back now instead of at its exit. */
void gari__thread_detach(void);

/* Fatal in a child of which gari has not been told (_Fork, vfork, clone). A system call. */
void gari__fork_check(const char *call);

void gari__threads_before_fork(void);
/* In the child: records of other threads are free to be taken. */
void gari__threads_after_fork(void);
/* In the child, before that: whether the record's thread is not the one that called fork. */
bool gari__thread_is_gone(const struct gari__thread *record);

/* How gari's own threads are to look to the system. */
struct gari__thread_style {
    char name[10]; /* what their names begin with; empty: "gari" */
    int nice;      /* 0: as their starter's */
    bool has_cpus;
    cpu_set_t cpus;
};

/* For the threads that are created from now on. Before they are, or while none runs. */
void gari__thread_set_style(const struct gari__thread_style *wanted);

/* A thread of gari's own: named (`name` begins with "gari"), all signals blocked, joinable. False when
 * there is none. */
bool gari__thread_create(pthread_t *thread, const char *name, void *(*main)(void *));

#endif
