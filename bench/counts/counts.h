/* counts: one reference more and one less, over and over.
 *
 * --threads T   all on the same objects, which the first thread makes (1)
 * --objects N   taken in turn: 1 or 64 in the published table (1)
 * --pairs P     in all (50,000,000)
 *
 * A peer defines, before it includes this: object_ref (a pointer), object_make, object_pair (the two
 * operations), counts_begin, counts_end, and COUNTS_ARGUMENTS (names of its own, or ""). */
#ifndef BENCH_COUNTS_H
#define BENCH_COUNTS_H

#define COUNTS_MAX_OBJECTS 64 /* a power of two */

static object_ref counts_objects[COUNTS_MAX_OBJECTS];
static unsigned counts_number;
static uint64_t counts_pairs; /* of each thread */

static void counts_prepare(int thread)
{
    if (thread == 0)
        for (unsigned i = 0; i < counts_number; i++)
            counts_objects[i] = object_make();
}

static void counts_run(int thread)
{
    (void)thread;
    if (counts_number == 1) {
        object_ref object = counts_objects[0];
        for (uint64_t i = 0; i < counts_pairs; i++)
            object_pair(object);
        return;
    }
    for (uint64_t i = 0; i < counts_pairs; i++)
        object_pair(counts_objects[i & (counts_number - 1)]);
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv, " --threads --objects --pairs --mode " COUNTS_ARGUMENTS);
    int threads = bench_threads_wanted();
    counts_number = (unsigned)bench_long("--objects", 1);
    bench_check(counts_number >= 1 && counts_number <= COUNTS_MAX_OBJECTS &&
                    (counts_number & (counts_number - 1)) == 0,
                "--objects must be a power of two up to 64");
    counts_pairs = (uint64_t)bench_long("--pairs", 50000000) / (uint64_t)threads;
    counts_begin();
    struct bench_job job = {counts_prepare, counts_run};
    bench_start(threads, job);
    uint64_t start = bench_join(threads).start_ns;
    double ns = (double)(bench_now() - start);
    double pairs = (double)counts_pairs * threads;
    bench_put("ns_per_pair", ns / pairs);
    bench_put("Mpairs_s", pairs / ns * 1e3);
    bench_end();
    counts_end();
    return 0;
}

#endif
