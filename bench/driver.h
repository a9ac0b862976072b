/* What every native benchmark program shares, whatever it measures: arguments, clocks, random
 * numbers, memory figures, threads that start together, and the line of results. C11 and C++20, so
 * that all peers do the same work with the same code around it.
 *
 * A program that needs a header to come first (bdwgc's redirects pthread_create) includes it before
 * this one. */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BENCH_MAX_THREADS 64

/* Keeps the compiler from knowing a value, and from keeping memory in registers. */
#define BENCH_KEEP(value) __asm__ volatile("" : "+r"(value) : : "memory")
#define BENCH_CLOBBER() __asm__ volatile("" : : : "memory")

/* ---- Ends with a sentence ------------------------------------------------------------------ */

__attribute__((noreturn, unused)) static void bench_fail(const char *what)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    exit(1);
}

__attribute__((unused)) static inline void bench_check(int fine, const char *what)
{
    if (!fine)
        bench_fail(what);
}

/* ---- Arguments: --name number ... ---------------------------------------------------------- */

static int bench_argc;
static char **bench_argv;

/* `known`: the names, each with a space before and after it. */
__attribute__((unused)) static void bench_arguments(int argc, char **argv, const char *known)
{
    bench_argc = argc;
    bench_argv = argv;
    for (int i = 1; i < argc; i += 2) {
        char name[64];
        snprintf(name, sizeof(name), " %s ", argv[i]);
        if (i + 1 == argc || !strstr(known, name)) {
            fprintf(stderr, "usage: %s [NAME NUMBER]..., names:%s\n", argv[0], known);
            exit(2);
        }
    }
}

__attribute__((unused)) static const char *bench_text(const char *name, const char *otherwise)
{
    for (int i = 1; i + 1 < bench_argc; i += 2)
        if (strcmp(bench_argv[i], name) == 0)
            return bench_argv[i + 1];
    return otherwise;
}

__attribute__((unused)) static double bench_number(const char *name, double otherwise)
{
    const char *text = bench_text(name, NULL);
    if (!text)
        return otherwise;
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || number < 0) {
        fprintf(stderr, "%s %s: not a number from 0 up\n", name, text);
        exit(2);
    }
    return number;
}

__attribute__((unused)) static long bench_long(const char *name, long otherwise)
{
    return (long)bench_number(name, (double)otherwise);
}

__attribute__((unused)) static int bench_threads_wanted(void)
{
    long threads = bench_long("--threads", 1);
    bench_check(threads >= 1 && threads <= BENCH_MAX_THREADS, "--threads must be from 1 to 64");
    return (int)threads;
}

/* ---- The line of results: name=value name=value ... ----------------------------------------- */

__attribute__((unused)) static void bench_put(const char *name, double value)
{
    printf("%s=%.9g ", name, value);
}

__attribute__((unused)) static void bench_end(void)
{
    putchar('\n');
    fflush(stdout);
}

/* ---- Clocks -------------------------------------------------------------------------------- */

__attribute__((unused)) static inline uint64_t bench_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

__attribute__((unused)) static inline uint64_t bench_now(void)
{
    return bench_clock(CLOCK_MONOTONIC);
}

/* ---- Random numbers (xorshift64*) ------------------------------------------------------------ */

__attribute__((unused)) static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

/* From 0 up to but not including n, which is below 2^32. */
__attribute__((unused)) static inline uint64_t bench_below(uint64_t *state, uint64_t n)
{
    return ((bench_random(state) >> 32) * n) >> 32;
}

/* ---- Memory of the process, in bytes --------------------------------------------------------- */

__attribute__((unused)) static double bench_status(const char *key)
{
    char line[256];
    double kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtod(line + strlen(key), NULL);
    if (file)
        fclose(file);
    return kib * 1024;
}

__attribute__((unused)) static double bench_resident(void)
{
    return bench_status("VmRSS:");
}

/* The most since the process began, or since bench_forget_peak. */
__attribute__((unused)) static double bench_resident_peak(void)
{
    return bench_status("VmHWM:");
}

__attribute__((unused)) static void bench_forget_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    bench_check(file && fputs("5", file) >= 0 && fclose(file) == 0,
                "/proc/self/clear_refs cannot be written");
}

/* ---- Threads --------------------------------------------------------------------------------- */

/* What one thread does: first prepare (may be NULL), all threads; then run, all from one moment on.
 */
struct bench_job {
    void (*prepare)(int thread);
    void (*run)(int thread);
};

struct bench_worker {
    pthread_t thread;
    int number;
    uint64_t start_ns; /* when it began to run */
    uint64_t cpu_ns;   /* that run used */
};

static struct bench_worker bench_workers[BENCH_MAX_THREADS];
static struct bench_job bench_current_job;
static pthread_barrier_t bench_barrier;

__attribute__((unused)) static void *bench_work(void *arg)
{
    struct bench_worker *worker = (struct bench_worker *)arg;
    if (bench_current_job.prepare)
        bench_current_job.prepare(worker->number);
    pthread_barrier_wait(&bench_barrier);
    uint64_t cpu_ns = bench_clock(CLOCK_THREAD_CPUTIME_ID);
    worker->start_ns = bench_now();
    bench_current_job.run(worker->number);
    worker->cpu_ns = bench_clock(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
    return NULL;
}

/* Starts the threads, and returns when all are about to run. */
__attribute__((unused)) static void bench_start(int threads, struct bench_job job)
{
    bench_current_job = job;
    pthread_barrier_init(&bench_barrier, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++) {
        bench_workers[i].number = i;
        bench_check(pthread_create(&bench_workers[i].thread, NULL, bench_work, &bench_workers[i]) ==
                        0,
                    "the system gave no more threads");
    }
    pthread_barrier_wait(&bench_barrier);
}

struct bench_ran {
    uint64_t start_ns; /* when the first thread began to run; the caller may have been late */
    uint64_t cpu_ns;   /* that the threads used in all */
};

/* Waits for them to end. */
__attribute__((unused)) static struct bench_ran bench_join(int threads)
{
    struct bench_ran ran = {UINT64_MAX, 0};
    for (int i = 0; i < threads; i++) {
        pthread_join(bench_workers[i].thread, NULL);
        ran.cpu_ns += bench_workers[i].cpu_ns;
        if (bench_workers[i].start_ns < ran.start_ns)
            ran.start_ns = bench_workers[i].start_ns;
    }
    pthread_barrier_destroy(&bench_barrier);
    return ran;
}

#endif
