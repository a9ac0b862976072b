/* demo: the package archive of examples/pkggraph, read by threads while another one parses and builds
 * it anew and swaps it in. The old archive is then one large cycle that readers may still be in.
 *
 * --threads T     readers (2)
 * --seconds S     (10)
 * --reload-ms M   from the start of one reload to that of the next (1000)
 * --sample N      a made-up archive of N packages; 0: this machine's package lists, or 5000 made up
 *                 when it has none (0)
 *
 * All peers share the parser, the driver and the lookups themselves; what differs is how objects are
 * made, held and given back. A peer defines, before it includes this: demo_begin; demo_load(catalog,
 * serial), which builds an archive and publishes it; demo_current(), the published archive's address
 * as lookup_run wants it; demo_withdraw; demo_end. */
#ifndef BENCH_DEMO_H
#define BENCH_DEMO_H

#include "bench/histogram.h"

#ifdef __cplusplus
extern "C" {
#endif
#include "examples/pkggraph/parse.h"
#include "examples/pkggraph/sample.h"
#include "examples/pkggraph/source.h"
#ifdef __cplusplus
}
#endif

static struct sources demo_sources;
static struct catalog demo_catalog;
static int demo_stop;
static int demo_readers;
static double demo_seconds, demo_reload_ms;
static struct histogram *demo_times; /* by reader */
static struct histogram demo_reloads;
static uint64_t demo_serial;

/* ---- Loading ------------------------------------------------------------------------------ */

static void demo_find_sources(void)
{
    size_t packages = (size_t)bench_long("--sample", 0), found = 0, length = 0;
    const char *lists = "/var/lib/apt/lists";
    if (packages == 0 && access(lists, R_OK) == 0 &&
        sources_read_lists(&demo_sources, lists, &found, NULL, NULL) && found > 0)
        return;
    char *text = sample_make(packages ? packages : SAMPLE_PACKAGES, &length);
    bench_check(text && sources_add_text(&demo_sources, "sample", text, length), "out of memory");
}

/* Milliseconds. */
static double demo_reload(void)
{
    uint64_t start = bench_now();
    catalog_reset(&demo_catalog);
    for (size_t i = 0; i < demo_sources.count; i++) {
        struct parse_error error;
        bench_check(parse_control(demo_sources.items[i].text, demo_sources.items[i].length,
                                  &demo_catalog, NULL, NULL, &error) == PARSE_FINE,
                    "a package list is broken");
    }
    demo_load(&demo_catalog, ++demo_serial);
    return (double)(bench_now() - start) / 1e6;
}

/* ---- Reading ------------------------------------------------------------------------------ */

static uint32_t demo_look_up(struct lookup *lookup, enum lookup_kind kind, uint64_t choice)
{
    enum lookup_result result = lookup_run(lookup, demo_current(), kind, choice);
    bench_check(result != LOOKUP_INCONSISTENT, lookup->wrong);
    bench_check(result != LOOKUP_NO_MEMORY && result != LOOKUP_EMPTY, "a lookup failed");
    return result == LOOKUP_LOST ? 0 : lookup->found;
}

/* Out of eight: five names, two closures, one reverse closure, as in the example. */
static enum lookup_kind demo_kind(uint64_t random)
{
    unsigned pick = random & 7;
    return pick < 5 ? LOOKUP_NAME : pick < 7 ? LOOKUP_NEEDS : LOOKUP_REVERSE;
}

static void demo_read(int thread)
{
    struct lookup lookup;
    memset(&lookup, 0, sizeof(lookup));
    uint64_t random = 77 + (uint64_t)thread;
    while (!__atomic_load_n(&demo_stop, __ATOMIC_RELAXED)) {
        uint64_t choice = bench_random(&random) >> 8, start = bench_now();
        demo_look_up(&lookup, demo_kind(choice), choice >> 3);
        histogram_add(&demo_times[thread], bench_now() - start);
    }
    lookup_free(&lookup);
}

static void demo_sleep_until(uint64_t due)
{
    struct timespec until = {(time_t)(due / 1000000000), (long)(due % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}

static void demo_reload_now_and_then(void)
{
    uint64_t start = bench_now(), end = start + (uint64_t)(demo_seconds * 1e9), next = start;
    for (;;) {
        next += (uint64_t)(demo_reload_ms * 1e6);
        if (next < bench_now()) /* a reload that took too long is not made up for */
            next = bench_now();
        demo_sleep_until(next < end ? next : end);
        if (bench_now() >= end)
            break;
        histogram_add(&demo_reloads, (uint64_t)(demo_reload() * 1e6));
    }
    __atomic_store_n(&demo_stop, 1, __ATOMIC_RELAXED);
}

/* The last thread reloads. */
static void demo_run(int thread)
{
    if (thread < demo_readers)
        demo_read(thread);
    else
        demo_reload_now_and_then();
}

/* What a fixed set of lookups finds: the same on all peers, or one of them is wrong. */
static double demo_check(void)
{
    struct lookup lookup;
    memset(&lookup, 0, sizeof(lookup));
    uint64_t random = 5;
    double found = 0;
    for (int i = 0; i < 800; i++) {
        uint64_t choice = bench_random(&random) >> 8;
        found += demo_look_up(&lookup, demo_kind(choice), choice >> 3) * (double)(i % 7 + 1);
    }
    lookup_free(&lookup);
    return found;
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv, " --threads --seconds --reload-ms --sample --mode ");
    demo_readers = bench_threads_wanted();
    bench_check(demo_readers < BENCH_MAX_THREADS, "--threads must be below 64");
    demo_seconds = bench_number("--seconds", 10);
    demo_reload_ms = bench_number("--reload-ms", 1000);
    demo_times = (struct histogram *)calloc((size_t)demo_readers + 1, sizeof(*demo_times));
    bench_check(demo_times != NULL, "out of memory");
    demo_begin();
    demo_find_sources();
    double before = bench_resident();
    double first_ms = demo_reload();
    /* The catalog is as large for all peers; it is in the peak and not in this. */
    double archive = bench_resident() - before;
    double check = demo_check();
    struct bench_job job = {NULL, demo_run};
    uint64_t cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    bench_start(demo_readers + 1, job);
    struct bench_ran ran = bench_join(demo_readers + 1);
    double seconds = (double)(bench_now() - ran.start_ns) / 1e9;
    double cpu_s = (double)(bench_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e9;
    struct histogram *all = &demo_times[demo_readers];
    for (int i = 0; i < demo_readers; i++)
        histogram_merge(all, &demo_times[i]);
    bench_put("lookups_s", (double)all->count / seconds);
    bench_put("p50_us", (double)histogram_percentile(all, 0.5) / 1e3);
    bench_put("p99_us", (double)histogram_percentile(all, 0.99) / 1e3);
    bench_put("p9999_us", (double)histogram_percentile(all, 0.9999) / 1e3);
    bench_put("max_us", (double)all->max / 1e3);
    bench_put("first_load_ms", first_ms);
    bench_put("reloads", (double)demo_reloads.count);
    bench_put("reload_p50_ms", (double)histogram_percentile(&demo_reloads, 0.5) / 1e6);
    bench_put("reload_max_ms", (double)demo_reloads.max / 1e6);
    bench_put("load_mb", archive / 1e6);
    bench_put("peak_mb", bench_resident_peak() / 1e6);
    bench_put("cores_used", cpu_s / seconds);
    bench_put("check", check);
    demo_withdraw();
    demo_end();
    bench_end();
    catalog_free(&demo_catalog);
    sources_free(&demo_sources);
    free(demo_times);
    return 0;
}

#endif
