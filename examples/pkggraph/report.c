#include "examples/pkggraph/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BAR_WIDTH 40

/* 1234567 as 1,234,567, in whatever locale. */
struct grouped {
    char text[32];
};

static struct grouped group(uint64_t value)
{
    struct grouped grouped;
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, value);
    char *out = grouped.text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = 0;
    return grouped;
}

static struct grouped duration(uint64_t ns)
{
    struct grouped grouped;
    if (ns < 10000)
        snprintf(grouped.text, sizeof(grouped.text), "%" PRIu64 " ns", ns);
    else if (ns < 10000000)
        snprintf(grouped.text, sizeof(grouped.text), "%.1f us", (double)ns / 1e3);
    else if (ns < UINT64_C(10000000000))
        snprintf(grouped.text, sizeof(grouped.text), "%.1f ms", (double)ns / 1e6);
    else
        snprintf(grouped.text, sizeof(grouped.text), "%.1f s", (double)ns / 1e9);
    return grouped;
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1024 * 1024);
}

/* ---- Loading ------------------------------------------------------------------------------ */

static bool bar_is_drawn;

void report_progress(const char *step, size_t done, size_t total, void *arg)
{
    static uint64_t drawn_ns;
    (void)arg;
    if (!isatty(STDERR_FILENO) || total == 0)
        return;
    uint64_t now = service_now_ns();
    if (bar_is_drawn && now - drawn_ns < 30000000)
        return;
    drawn_ns = now;
    bar_is_drawn = true;
    int filled = (int)(done * BAR_WIDTH / total);
    fprintf(stderr, "\r%-9s [", step);
    for (int i = 0; i < BAR_WIDTH; i++)
        fputc(i < filled ? '#' : '.', stderr);
    fprintf(stderr, "] %3d%%", (int)(done * 100 / total));
    fflush(stderr);
}

void report_progress_end(void)
{
    if (bar_is_drawn)
        fprintf(stderr, "\r%*s\r", BAR_WIDTH + 20, "");
    bar_is_drawn = false;
}

void report_sources(const struct sources *sources, uint64_t took_ns)
{
    printf("read      %zu file%s, %.1f MiB of text, in %s\n", sources->count,
           sources->count == 1 ? "" : "s", mib(sources->bytes), duration(took_ns).text);
    for (size_t i = 0; i < sources->count; i++)
        printf("          %s\n", sources->items[i].name);
}

void report_first_load(const struct service *service)
{
    const struct first_load *first = &service->first;
    printf("parsed    %s package names, %s versions, %s relations, in %s\n",
           group(first->packages).text, group(first->versions).text, group(first->relations).text,
           duration(first->parse_ns).text);
    printf("built     %s objects of %.1f MiB, in %s\n", group(first->objects).text,
           mib(first->bytes), duration(first->build_ns).text);
    fflush(stdout);
}

/* ---- While it runs ------------------------------------------------------------------------ */

void report_second(const struct service *service, unsigned second, uint64_t *lookups)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < service->running; i++)
        total += atomic_load_explicit(&service->readers[i].lookups, memory_order_relaxed);
    gari_stats stats = {.struct_size = sizeof(stats)};
    gari_get_stats(&stats);
    printf("%4u s  %9s lookups/s  %10s live  %11s collected  %6.1f MiB  reload %" PRIu64 ": %s\n",
           second, group(total - *lookups).text, group(stats.objects_live).text,
           group(stats.freed_by_count + stats.freed_by_cycles).text, mib(stats.heap_bytes),
           service->reloads.count, duration(service->reloads.last_ns).text);
    fflush(stdout);
    *lookups = total;
}

/* ---- The table ---------------------------------------------------------------------------- */

static void put_latency(const char *name, const struct histogram *times, double seconds)
{
    printf("  %-22s %12s %11s %11s %11s %11s\n", name,
           group((uint64_t)((double)times->count / seconds + 0.5)).text,
           duration(histogram_percentile(times, 0.5)).text,
           duration(histogram_percentile(times, 0.99)).text,
           duration(histogram_percentile(times, 0.999)).text, duration(times->max).text);
}

static void put_latencies(const struct service *service, double seconds)
{
    static const char *const names[LOOKUP_KINDS] = {"a package by name", "all that it needs",
                                                    "all that needs it"};
    static struct histogram all, times; /* static: large */
    printf("\n  %-22s %12s %11s %11s %11s %11s\n", "lookups", "per second", "p50", "p99", "p99.9",
           "max");
    for (unsigned kind = 0; kind < LOOKUP_KINDS; kind++) {
        times = (struct histogram){0};
        for (unsigned i = 0; i < service->running; i++)
            histogram_merge(&times, &service->readers[i].times[kind]);
        put_latency(names[kind], &times, seconds);
        histogram_merge(&all, &times);
    }
    put_latency("together", &all, seconds);
}

static void put_reloads(const struct reloads *reloads)
{
    uint64_t count = reloads->count;
    printf("  %-36s %s", "reloads", group(count).text);
    if (count > 0)
        printf(" (mean %s, longest %s)", duration(reloads->total_ns / count).text,
               duration(reloads->longest_ns).text);
    if (reloads->given_up > 0)
        printf(", %s given up for want of memory", group(reloads->given_up).text);
    putchar('\n');
}

static void put_memory(const struct service *service, const gari_stats *stats)
{
    const struct first_load *first = &service->first;
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    printf("  %-36s %s objects, %.1f MiB of heap\n", "one archive", group(first->objects).text,
           mib(first->heap_bytes));
    printf("  %-36s %.1f MiB, %.2f archives\n", "peak of the heap", mib(stats->heap_peak_bytes),
           first->heap_bytes ? (double)stats->heap_peak_bytes / (double)first->heap_bytes : 0.0);
    printf("  %-36s %.1f MiB\n", "peak of the process, texts included",
           mib((uint64_t)usage.ru_maxrss * 1024));
}

uint64_t report_table(const struct service *service, const struct outcome *outcome)
{
    const gari_stats *stats = &outcome->at_end;
    double seconds = (double)outcome->served_ns / 1e9;
    uint64_t found = 0, sections = 0, lost = 0, inconsistencies = 0, collections = 0;
    for (unsigned i = 0; i < service->running; i++) {
        const struct reader *reader = &service->readers[i];
        found += reader->found;
        sections += reader->sections;
        lost += reader->lost;
        inconsistencies += reader->inconsistencies;
    }
    for (unsigned i = 0; i < 3; i++)
        collections += stats->generation[i].collections;
    put_latencies(service, seconds);
    printf("\n  %-36s %s, in %s read sections by %u threads\n", "packages visited",
           group(found).text, group(sections).text, service->running);
    put_reloads(&service->reloads);
    put_memory(service, stats);
    printf("  %-36s %s\n", "objects made", group(stats->allocated).text);
    printf("  %-36s %s\n", "freed by their count", group(stats->freed_by_count).text);
    printf("  %-36s %s, in %s collections\n", "freed by the cycle collector",
           group(stats->freed_by_cycles).text, group(collections).text);
    printf("  %-36s %s\n", "longest wait of a thread for gari",
           duration(outcome->longest_wait_ns).text);
    printf("  %-36s %s\n", "longest grace period", duration(stats->grace_longest_ns).text);
    if (lost > 0)
        printf("  %-36s %s\n", "lookups whose archive died", group(lost).text);
    printf("  %-36s %s\n", "inconsistencies that readers saw", group(inconsistencies).text);
    printf("  %-36s %s\n", "objects left at the end", group(outcome->left).text);
    return inconsistencies;
}

void report_left(const gari_type *type, size_t objects, size_t bytes, void *arg)
{
    (void)arg;
    fprintf(stderr, "pkggraph: left at the end: %zu objects of %s, %zu bytes\n", objects,
            type->name, bytes);
}
