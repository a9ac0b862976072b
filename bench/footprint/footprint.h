/* footprint: what a live object takes, and what a heap takes beyond its live objects while it is
 * churned.
 *
 * --nodes N     of two references and 8 bytes of payload (10,000,000), in rings of 4, held by a table
 * --churn C     then rings are replaced, one at random after the other, C nodes for each that lives
 *               (2). Each ring replaced is cyclic garbage, and the live set stays the same.
 *
 * The table is allocated and touched first, and not counted. A peer defines, before it includes
 * this: footprint_begin(rings) (the table), footprint_put(place): makes a ring there, dropping what
 * was there; footprint_collect; footprint_end. */
#ifndef BENCH_FOOTPRINT_H
#define BENCH_FOOTPRINT_H

static size_t footprint_rings;
static double footprint_churn;
static double footprint_base, footprint_live, footprint_peak, footprint_build_ns;

static void footprint_run(int thread)
{
    (void)thread;
    uint64_t random = 5, start = bench_now();
    for (size_t i = 0; i < footprint_rings; i++)
        footprint_put(i);
    footprint_build_ns = (double)(bench_now() - start);
    footprint_collect();
    footprint_live = bench_resident();
    bench_forget_peak();
    size_t replace = (size_t)((double)footprint_rings * footprint_churn);
    for (size_t i = 0; i < replace; i++)
        footprint_put(bench_below(&random, footprint_rings));
    footprint_peak = bench_resident_peak();
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv, " --nodes --churn --mode ");
    footprint_rings = (size_t)bench_number("--nodes", 1e7) / FOOTPRINT_RING;
    footprint_churn = bench_number("--churn", 2);
    footprint_begin(footprint_rings);
    footprint_base = bench_resident();
    struct bench_job job = {NULL, footprint_run};
    bench_start(1, job);
    bench_join(1);
    double nodes = (double)(footprint_rings * FOOTPRINT_RING);
    bench_put("bytes_per_node", (footprint_live - footprint_base) / nodes);
    bench_put("build_ns_per_node", footprint_build_ns / nodes);
    bench_put("peak_over_live",
              (footprint_peak - footprint_base) / (footprint_live - footprint_base));
    footprint_end();
    bench_end();
    return 0;
}

#endif
