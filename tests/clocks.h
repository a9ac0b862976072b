/* The clocks as a test wants them. What the library asks the system for by clock_gettime it asks here; a
 * clock for which the test has an answer tells that, the others what the system says. One file of a program
 * includes this. */
#ifndef GARI_TESTS_CLOCKS_H
#define GARI_TESTS_CLOCKS_H

#include "concurrency/atomics.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t clock_answer(void);

static clock_answer *clock_answers[CLOCK_THREAD_CPUTIME_ID + 1]; /* atomically */

/* In nanoseconds. NULL: the system's. */
static inline void answer_clock(clockid_t clock, clock_answer *answer)
{
    gari__store_release(&clock_answers[clock], answer);
}

static inline uint64_t system_clock(clockid_t clock)
{
    struct timespec now;
    syscall(SYS_clock_gettime, clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    clock_answer *answer = clock_id >= 0 && clock_id <= CLOCK_THREAD_CPUTIME_ID
                               ? gari__load_acquire(&clock_answers[clock_id])
                               : NULL;
    if (!answer)
        return (int)syscall(SYS_clock_gettime, clock_id, tp);
    uint64_t ns = answer();
    *tp = (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
                            .tv_nsec = (long)(ns % 1000000000u)};
    return 0;
}

static inline uint64_t always_busy(void)
{
    return system_clock(CLOCK_MONOTONIC) * 1024;
}

static inline uint64_t never_ran(void)
{
    return 0;
}

/* As if the service's threads filled as many processors as there can be, and no thread that asks for its own
 * share had any. */
static inline void fill_all_processors(void)
{
    answer_clock(CLOCK_PROCESS_CPUTIME_ID, always_busy);
    answer_clock(CLOCK_THREAD_CPUTIME_ID, never_ran);
}

#endif
