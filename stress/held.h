/* Threads that are held at a step of the protocol and let go, and collections on such a thread: for the
 * programs that play one interleaving exactly. Each is one file. */
#ifndef GARI_STRESS_HELD_H
#define GARI_STRESS_HELD_H

#include "concurrency/clock.h"
#include "concurrency/perturb.h"
#include "stress/common.h"

#include <pthread.h>
#include <time.h>

#define COME_NS ((uint64_t)10000000000u)
/* How long something is watched that must not happen. */
#define WATCH_NS ((uint64_t)200000000)

static inline void nap(void)
{
    nanosleep(&(struct timespec){0, 100000}, NULL);
}

static inline bool comes_to(enum gari__steps step, uint64_t within_ns)
{
    uint64_t end = gari__now_ns() + within_ns;
    while (!gari__is_held(step)) {
        if (gari__now_ns() > end)
            return false;
        nap();
    }
    return true;
}

static inline void await(enum gari__steps step)
{
    if (!comes_to(step, COME_NS))
        stress_fail("nobody comes to step %d; the schedule has to be played in another way",
                    (int)step);
}

/* From one held step to the next. */
static inline void go_on(enum gari__steps from, enum gari__steps to)
{
    gari__hold(to);
    gari__let_go(from);
    await(to);
}

static inline pthread_t start(void *(*body)(void *arg), void *arg)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, arg) != 0)
        stress_fail("the system gives no thread");
    return thread;
}

static bool collected; /* atomically */

static inline void *collect(void *arg)
{
    (void)arg;
    gari_collect(2);
    gari__store_release(&collected, true);
    return NULL;
}

static inline pthread_t start_collection(void)
{
    gari__store_release(&collected, false);
    return start(collect, NULL);
}

/* Starts a collection and waits until it has come to the step. */
static inline pthread_t collect_up_to(enum gari__steps step)
{
    gari__hold(step);
    pthread_t collector = start_collection();
    await(step);
    return collector;
}

static inline void collect_on_from(enum gari__steps step, pthread_t collector)
{
    gari__let_go(step);
    pthread_join(collector, NULL);
}

/* Counts one invariant, or ends the program: the first violation is the one to look at. */
static inline void demand(bool holds, const char *what)
{
    if (!holds)
        stress_fail("not so: %s", what);
    stress_check(holds, "%s", what);
}

#endif
