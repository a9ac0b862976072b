/* reads: T threads take a shared object, read a field of it, and drop it, for a while.
 *
 * --threads T   (1)
 * --ms M        how long (1000)
 * --way W       which of the peer's ways (0); see the peer
 *
 * A peer defines reads_begin(way), reads_end(), and reads_run(thread), which calls READS_LOOP with
 * what one read does; `sum` is what it adds to. */
#ifndef BENCH_READS_H
#define BENCH_READS_H

#include "bench/driver.h"

static int reads_stop;
static int reads_way;
static struct {
    uint64_t reads;
    uint64_t apart[15];
} reads_done[BENCH_MAX_THREADS];

#define READS_VALUE 5

/* Looks at the clock (a flag) every 64 reads. */
#define READS_LOOP(...)                                                                            \
    do {                                                                                           \
        uint64_t reads = 0, sum = 0;                                                               \
        while (!__atomic_load_n(&reads_stop, __ATOMIC_RELAXED)) {                                  \
            for (int k = 0; k < 64; k++) {                                                         \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
            reads += 64;                                                                           \
        }                                                                                          \
        bench_check(sum == 0 || sum == reads * READS_VALUE, "a read was wrong");                   \
        reads_done[thread].reads = reads;                                                          \
    } while (0)

static void reads_begin(void);
static void reads_run(int thread);
static void reads_end(void);

int main(int argc, char **argv)
{
    bench_arguments(argc, argv, " --threads --ms --way --mode ");
    int threads = bench_threads_wanted();
    long ms = bench_long("--ms", 1000);
    reads_way = (int)bench_long("--way", 0);
    reads_begin();
    struct bench_job job = {NULL, reads_run};
    bench_start(threads, job);
    usleep((useconds_t)ms * 1000);
    __atomic_store_n(&reads_stop, 1, __ATOMIC_RELAXED);
    uint64_t end = bench_now();
    double ns = (double)(end - bench_join(threads).start_ns);
    double reads = 0;
    for (int i = 0; i < threads; i++)
        reads += (double)reads_done[i].reads;
    bench_put("Mreads_s", reads / ns * 1e3);
    bench_put("ns_per_read", ns * threads / reads);
    bench_end();
    reads_end();
    return 0;
}

#endif
