/* giant: the last reference to a tree of millions of nodes is dropped; how long is the longest call,
 * then and until all of it is gone?
 *
 * --nodes N     (10,000,000) in a complete binary tree with 8 bytes of payload
 * --seconds S   how long the thread goes on afterwards (3)
 *
 * After the drop the same thread makes and drops single nodes, back to back, so that work which a
 * call leaves to later calls is found in those; a round of them goes before, as the noise of the
 * machine. A peer defines, before it includes this: giant_begin; giant_build(n); giant_drop;
 * giant_small (makes and drops one node); giant_left: nodes not yet given back, or -1 when the peer
 * cannot say; giant_end. */
#ifndef BENCH_GIANT_H
#define BENCH_GIANT_H

#include "bench/histogram.h"

#include <sys/resource.h>

static struct histogram giant_before, giant_after;
static uint64_t giant_run_ns;
static double giant_drop_ns, giant_gone_ns, giant_nodes;

/* The longest call until all is gone during which the thread was not preempted: what others on the machine
 * add is left out as far as the kernel counts it. */
static uint64_t giant_kept_ns;

static long giant_preemptions(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

static uint64_t giant_calls(struct histogram *times, uint64_t run_ns)
{
    uint64_t start = bench_now(), before = start, gone = 0;
    long preempted = giant_preemptions();
    giant_kept_ns = 0;
    for (unsigned i = 1; before - start < run_ns; i++) {
        giant_small();
        uint64_t now = bench_now();
        histogram_add(times, now - before);
        if (gone == 0 && (now - before > giant_kept_ns || i % 1024 == 0)) {
            long again = giant_preemptions();
            if (again == preempted && now - before > giant_kept_ns)
                giant_kept_ns = now - before;
            preempted = again;
            now = bench_now();
        }
        before = now;
        /* Seldom, so that looking is not what is measured, and outside the timing. */
        if (gone == 0 && i % 65536 == 1) {
            if (giant_left() == 0)
                gone = now - start;
            before = bench_now();
        }
    }
    return gone;
}

static void giant_run(int thread)
{
    (void)thread;
    giant_build((size_t)giant_nodes);
    giant_calls(&giant_before, giant_run_ns / 3);
    uint64_t start = bench_now();
    giant_drop();
    giant_drop_ns = (double)(bench_now() - start);
    uint64_t gone = giant_calls(&giant_after, giant_run_ns);
    giant_gone_ns = gone ? giant_drop_ns + (double)gone : 0;
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv, " --nodes --seconds --mode ");
    giant_nodes = bench_number("--nodes", 1e7);
    giant_run_ns = (uint64_t)(bench_number("--seconds", 3) * 1e9);
    giant_begin();
    struct bench_job job = {NULL, giant_run};
    bench_start(1, job);
    bench_join(1);
    double longest =
        giant_drop_ns > (double)giant_after.max ? giant_drop_ns : (double)giant_after.max;
    bench_put("drop_us", giant_drop_ns / 1e3);
    bench_put("longest_us", longest / 1e3);
    double kept = giant_drop_ns > (double)giant_kept_ns ? giant_drop_ns : (double)giant_kept_ns;
    bench_put("longest_kept_us", kept / 1e3);
    bench_put("p9999_us", (double)histogram_percentile(&giant_after, 0.9999) / 1e3);
    bench_put("noise_max_us", (double)giant_before.max / 1e3);
    bench_put("noise_p9999_us", (double)histogram_percentile(&giant_before, 0.9999) / 1e3);
    if (giant_gone_ns > 0)
        bench_put("gone_after_ms", giant_gone_ns / 1e6);
    giant_end();
    bench_end();
    return 0;
}

#endif
