#include "concurrency/lock.h"

#include "concurrency/cancel.h"
#include "concurrency/look.h"

#include <errno.h>

bool gari__forking;
__thread unsigned gari__locks_held;

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* the forking thread's while it is shut */
static __thread bool is_forker; /* other handlers of this thread's fork may use gari meanwhile */

bool gari__gate_is_shut(void)
{
    return gari__load_relaxed(&gari__forking) && !is_forker;
}

void gari__gate_wait(void)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

void gari__gate_pass(pthread_mutex_t *lock)
{
    while (gari__gate_is_shut()) {
        pthread_mutex_unlock(lock);
        gari__gate_wait();
        pthread_mutex_lock(lock);
    }
}

void gari__gate_shut_for_fork(void)
{
    pthread_mutex_lock(&gate);
    is_forker = true;
    (void)gari__exchange_seq_cst(&gari__forking, true);
}

void gari__gate_reopen(bool in_child)
{
    (void)gari__exchange_seq_cst(&gari__forking, false);
    is_forker = false;
    if (in_child)
        gari__mutex_renew(&gate);
    else
        pthread_mutex_unlock(&gate);
}

/* The lock is held again, after a wait: the gate may have been shut meanwhile. */
static void come_back(pthread_mutex_t *lock)
{
    if (gari__unlikely(gari__load_relaxed(&gari__forking)) && gari__locks_held == 1)
        gari__gate_pass(lock);
}

void gari__cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock)
{
    gari__reader_rest();
    int before = gari__cancel_off();
    pthread_cond_wait(cond, lock);
    gari__cancel_restore(before);
    come_back(lock);
}

bool gari__cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t at_ns)
{
    struct timespec until = {(time_t)(at_ns / 1000000000u), (long)(at_ns % 1000000000u)};
    gari__reader_rest();
    int before = gari__cancel_off();
    bool in_time = pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT;
    gari__cancel_restore(before);
    come_back(lock);
    return in_time;
}

void gari__sleep_ns(long ns)
{
    gari__reader_rest();
    struct timespec moment = {0, ns};
    int before = gari__cancel_off();
    nanosleep(&moment, NULL);
    gari__cancel_restore(before);
}
