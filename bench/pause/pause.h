/* pause: how long single operations take beside a large heap that stays alive and is rewired.
 *
 * Live: N nodes of three references and 8 bytes, one cycle through all and two random references
 * each, all held by a table. One operation: build a ring of 4 nodes (each refers to its two
 * neighbours and to a random live node), put it into one of 1024 slots of the thread, which makes
 * the ring that was there garbage, and replace one random edge of a random live node. Timestamps are
 * back to back: what happens between two operations is part of one of them.
 *
 * --threads T   (1)
 * --live N      (1,000,000)
 * --seconds S   (15)
 * --warm S      before that, unrecorded (3)
 *
 * A peer defines, before it includes this: pause_begin(live), which builds the live graph;
 * pause_prepare(thread); pause_operation(thread, random, stamp); pause_end, which may put results. */
#ifndef BENCH_PAUSE_H
#define BENCH_PAUSE_H

#include "bench/histogram.h"

#define PAUSE_LONG_NS 1000000

struct pause_record {
    struct histogram times;
    uint64_t sum_ns;
    uint64_t long_count;
    uint64_t long_ns;
};

static struct pause_record *pause_records; /* by thread; not where a conservative collector scans */
static uint64_t pause_warm_ns, pause_run_ns;
static uint64_t pause_live;

static inline void pause_add(struct pause_record *record, uint64_t ns)
{
    histogram_add(&record->times, ns);
    record->sum_ns += ns;
    if (ns >= PAUSE_LONG_NS) {
        record->long_count++;
        record->long_ns += ns;
    }
}

static void pause_run(int thread)
{
    struct pause_record *record = &pause_records[thread];
    uint64_t random = 1234567 + (uint64_t)thread * 7919;
    uint64_t before = bench_now(), end = before + pause_warm_ns;
    for (int measured = 0; measured <= 1; measured++) {
        while (before < end) {
            pause_operation(thread, &random, before);
            uint64_t now = bench_now();
            if (measured)
                pause_add(record, now - before);
            before = now;
        }
        end = before + pause_run_ns;
    }
}

static void pause_put(const struct pause_record *all)
{
    static const struct {
        const char *name;
        double fraction;
    } percentiles[] = {{"p50_us", 0.5}, {"p99_us", 0.99}, {"p999_us", 0.999}, {"p9999_us", 0.9999}};
    bench_put("Mops_s", (double)all->times.count * 1e3 / (double)pause_run_ns);
    for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
        bench_put(percentiles[i].name,
                  (double)histogram_percentile(&all->times, percentiles[i].fraction) / 1e3);
    bench_put("max_us", (double)all->times.max / 1e3);
    bench_put("over_1ms", (double)all->long_count);
    bench_put("over_1ms_share", (double)all->long_ns / (double)all->sum_ns);
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv, " --threads --live --seconds --warm --mode " PAUSE_ARGUMENTS);
    int threads = bench_threads_wanted();
    pause_live = (uint64_t)bench_long("--live", 1000000);
    bench_check(pause_live > 0 && pause_live < UINT32_MAX, "--live must be from 1 to 2^32 - 1");
    pause_run_ns = (uint64_t)(bench_number("--seconds", 15) * 1e9);
    pause_warm_ns = (uint64_t)(bench_number("--warm", 3) * 1e9);
    pause_begin(pause_live);
    pause_records = calloc((size_t)threads + 1, sizeof(*pause_records)); /* and for all together */
    bench_check(pause_records != NULL, "out of memory");
    double live_bytes = bench_resident();
    struct bench_job job = {pause_prepare, pause_run};
    uint64_t cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    bench_start(threads, job);
    struct bench_ran ran = bench_join(threads);
    double ns = (double)(bench_now() - ran.start_ns);
    double cpu_ns = (double)(bench_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    struct pause_record *all = &pause_records[threads];
    for (int i = 0; i < threads; i++) {
        histogram_merge(&all->times, &pause_records[i].times);
        all->sum_ns += pause_records[i].sum_ns;
        all->long_count += pause_records[i].long_count;
        all->long_ns += pause_records[i].long_ns;
    }
    pause_put(all);
    bench_put("cores_used", cpu_ns / ns);
    bench_put("cores_others", (cpu_ns - (double)ran.cpu_ns) / ns); /* not the mutators' */
    bench_put("live_mb", live_bytes / 1e6);
    bench_put("peak_mb", bench_resident_peak() / 1e6);
    pause_end();
    bench_end();
    return 0;
}

#endif
