#include "lib/collector/crowd.h"

#include "concurrency/atomics.h"
#include "concurrency/clock.h"

#include <sched.h>

/* The system counts what runs on another processor at its ticks, some milliseconds apart. */
#define LOOK_NS 40000000u
/* In hundredths of a processor: what may be idle at most, and what others than the background thread use
 * at least beyond all processors but one. One thread of the service beside the background thread on two
 * processors is no crowd, two are. */
#define IDLE_AT_MOST 30
/* That much before a crowd is taken to be over: a virtual machine's processors may be another's for a moment. */
#define IDLE_OVER 60
#define OTHERS_AT_LEAST 15

static struct {
    bool now;      /* atomically; the rest is the background thread's */
    uint64_t wall; /* at the last look: the time, */
    uint64_t all;  /* the processors' time that the process had used, */
    uint64_t own;  /* and this thread */
    int64_t cpus;
} crowd;

static int64_t count_cpus(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count ? count : 1;
}

bool gari__crowd_look(void)
{
    uint64_t now = gari__now_ns();
    if (now - crowd.wall < LOOK_NS)
        return gari__crowded();
    uint64_t all = gari__process_cpu_ns(), own = gari__thread_cpu_ns();
    if (crowd.wall) {
        int64_t wall = (int64_t)(now - crowd.wall) / 100;
        int64_t used = (int64_t)(all - crowd.all) / wall;
        int64_t others = used - (int64_t)(own - crowd.own) / wall;
        bool full = used > crowd.cpus * 100 - (gari__crowded() ? IDLE_OVER : IDLE_AT_MOST);
        gari__store_relaxed(&crowd.now, full && others > (crowd.cpus - 1) * 100 + OTHERS_AT_LEAST);
    } else {
        crowd.cpus = count_cpus();
    }
    crowd.wall = now;
    crowd.all = all;
    crowd.own = own;
    return gari__crowded();
}

bool gari__crowded(void)
{
    return gari__load_relaxed(&crowd.now);
}

void gari__crowd_forget(void)
{
    gari__store_relaxed(&crowd.now, false);
    crowd.wall = 0;
}
