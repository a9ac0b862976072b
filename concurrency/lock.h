/* Locks that fork() may be called beside.
 *
 * A child of fork() has one thread and the memory as it was. What a lock guards must be whole at that
 * moment, whoever holds it. So before a fork the gate is shut: who takes a lock, holding none, waits
 * there; and the forking thread passes through every lock once, outer ones first, so that all who had
 * one have let go (collector/fork.c; docs/processes.md has the argument). In the child all locks are
 * made anew, for some thread may just have been trying one.
 *
 * No user's code runs under these locks, so passing through them does not take long. */
#ifndef GARI_CONCURRENCY_LOCK_H
#define GARI_CONCURRENCY_LOCK_H

#include "concurrency/atomics.h"

#include <pthread.h>

/* The gate is shut; written with sequential consistency. */
extern bool gari__forking;
/* How many of these locks the calling thread has. */
extern __thread unsigned gari__locks_held;

/* Gives the lock up, waits at the gate, and takes it again. */
__attribute__((cold)) void gari__gate_pass(pthread_mutex_t *lock);
/* The same without a lock. */
__attribute__((cold)) void gari__gate_wait(void);
/* Whether the gate is shut for the calling thread. */
bool gari__gate_is_shut(void);

static inline void gari__mutex_lock(pthread_mutex_t *lock)
{
    pthread_mutex_lock(lock);
    /* Relaxed: who shuts the gate passes through the lock afterwards. */
    if (gari__unlikely(gari__load_relaxed(&gari__forking)) && gari__locks_held == 0)
        gari__gate_pass(lock);
    gari__locks_held++;
}

static inline bool gari__mutex_trylock(pthread_mutex_t *lock)
{
    if (pthread_mutex_trylock(lock) != 0)
        return false;
    if (gari__unlikely(gari__load_relaxed(&gari__forking)) && gari__locks_held == 0)
        gari__gate_pass(lock);
    gari__locks_held++;
    return true;
}

static inline void gari__mutex_unlock(pthread_mutex_t *lock)
{
    gari__locks_held--;
    pthread_mutex_unlock(lock);
}

/* Waits with the only lock that the thread has. A thread that is cancelled meanwhile stays until its
 * next cancellation point outside of gari. */
void gari__cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock);
/* The same until that time of gari__now_ns. False when it has passed. */
bool gari__cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t at_ns);

/* Sleeps for so long, or less when a signal comes; not a cancellation point. */
void gari__sleep_ns(long ns);

/* A region under locks that are too many to be passed through: those of containers. `region` is the
 * calling thread's, who makes it known before he takes the lock; a fork waits for it to be false. */
static inline void gari__region_begin(bool *region)
{
    if (gari__locks_held == 0) {
        /* Sequentially consistent on both sides: either the gate is seen to be shut, or whoever shut it
         * sees the region. */
        while ((void)gari__exchange_seq_cst(region, true),
               gari__unlikely(gari__load_seq_cst(&gari__forking)) && gari__gate_is_shut()) {
            gari__store_release(region, false);
            gari__gate_wait();
        }
    }
    gari__locks_held++;
}

static inline void gari__region_end(bool *region)
{
    if (--gari__locks_held == 0)
        gari__store_release(region, false);
}

/* ---- For a fork ---- */

void gari__gate_shut_for_fork(void);
void gari__gate_reopen(bool in_child);

/* Waits until nobody has the lock who took it before the gate was shut. */
static inline void gari__mutex_pass(pthread_mutex_t *lock)
{
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
}

/* In the child: whoever had it, or waited, is not here. */
static inline void gari__mutex_renew(pthread_mutex_t *lock)
{
    pthread_mutex_init(lock, NULL);
}

static inline void gari__cond_renew(pthread_cond_t *cond)
{
    pthread_cond_init(cond, NULL);
}

#endif
