/* rings: doubly linked rings of nodes, made and dropped, which leaves nothing but cycles behind.
 *
 * --threads T   they share the nodes (1)
 * --ring K      nodes of a ring (10)
 * --nodes N     in all (20,000,000); a round of a tenth of that goes before, unmeasured
 * --live L      nodes of a random graph that lives meanwhile (0)
 *
 * All reclamation is inside the timing: a round ends with a full collection.
 *
 * A peer defines, before it includes this: struct node, ring_make(k, value), whose nodes hold value,
 * value + 1 ... and whose result is held; ring_last(node): the payload of the node before it;
 * ring_drop(node); live_make(l); rings_begin, rings_collect, rings_end. */
#ifndef BENCH_RINGS_H
#define BENCH_RINGS_H

static long rings_size;
static long rings_of_thread;
static uint64_t rings_sums[BENCH_MAX_THREADS];

static void rings_run(int thread)
{
    uint64_t sum = 0;
    for (long i = 0; i < rings_of_thread; i++) {
        struct node *ring = ring_make(rings_size, (uint64_t)i);
        sum += ring_last(ring);
        ring_drop(ring);
    }
    rings_sums[thread] = sum;
}

/* Seconds. */
static double rings_round(int threads, double nodes)
{
    struct bench_job job = {NULL, rings_run};
    rings_of_thread = (long)(nodes / (double)rings_size / threads);
    bench_start(threads, job);
    uint64_t start = bench_join(threads).start_ns;
    rings_collect();
    double seconds = (double)(bench_now() - start) / 1e9;
    uint64_t n = (uint64_t)rings_of_thread;
    for (int i = 0; i < threads; i++)
        bench_check(rings_sums[i] == n * (n - 1) / 2 + n * (uint64_t)(rings_size - 1),
                    "a ring was wrong");
    return seconds;
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv, " --threads --ring --nodes --live --mode ");
    int threads = bench_threads_wanted();
    double nodes = bench_number("--nodes", 2e7);
    long live_nodes = bench_long("--live", 0);
    rings_size = bench_long("--ring", 10);
    bench_check(rings_size >= 2, "--ring must be 2 or more");
    rings_begin();
    if (live_nodes)
        live_make(live_nodes);
    double live_bytes = bench_resident();
    rings_round(threads, nodes / 10);
    uint64_t cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    double seconds = rings_round(threads, nodes);
    double made = (double)rings_of_thread * (double)rings_size * threads;
    bench_put("Mnodes_s", made / seconds / 1e6);
    bench_put("wall_s", seconds);
    bench_put("cpu_s", (double)(bench_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e9);
    bench_put("live_mb", live_bytes / 1e6);
    bench_put("peak_mb", bench_resident_peak() / 1e6);
    rings_end();
    bench_end();
    return 0;
}

#endif
