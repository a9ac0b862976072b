#include "stress/common_options.h"

#include "concurrency/clock.h"
#include "concurrency/perturb.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND ((uint64_t)1000000000)

static unsigned passed, failed;

/* Worker 0 is the main thread. */
static struct stress_worker workers[STRESS_MOST_WORKERS + 1];
static const char *phase = "start"; /* atomically */
/* Of the present stress_run, and the last one that has passed. Atomically. */
static uint64_t deadline_ns, passed_ns;
static unsigned shares = 1;
static uint64_t collections_seen; /* by stress_collect; atomically */

static void nap(long nanoseconds)
{
    nanosleep(&(struct timespec){0, nanoseconds}, NULL);
}

/* ---- Verdicts ----------------------------------------------------------------------------- */

static void print_end(void)
{
    if (failed)
        printf("replay: %s\n", stress_replay);
    printf("%u passed, %u failed\n", passed, failed);
    fflush(stdout);
}

void stress_fail(const char *format, ...)
{
    static bool failing;
    /* The first violation is the one to look at; the others wait for the end. */
    while (gari__exchange_acq_rel(&failing, true))
        nap(100000000);
    va_list args;
    va_start(args, format);
    printf("FAILED in %s: ", gari__load_acquire(&phase));
    vprintf(format, args);
    printf("\n");
    va_end(args);
    failed++;
    print_end();
    if (stress.abort)
        abort();
    _exit(1);
}

bool stress_check(bool holds, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (holds)
        printf("ok: ");
    else
        printf("FAILED in %s: ", gari__load_acquire(&phase));
    vprintf(format, args);
    printf("\n");
    va_end(args);
    holds ? passed++ : failed++;
    if (!holds && stress.abort)
        abort();
    return holds;
}

/* A crash gets its replay command and last line too; then it goes on as it would have. */
static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
static struct sigaction before[sizeof crashes / sizeof *crashes];

static void put(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(1);
}

static void on_crash(int number)
{
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        sigaction(crashes[i], &before[i], NULL);
    if (failed)
        return; /* stress_fail's own abort */
    put("FAILED in ");
    put(gari__load_acquire(&phase));
    put(": a crash\nreplay: ");
    put(stress_replay);
    put("\n0 passed, 1 failed\n");
    /* Returns to the fault, or to abort, and so to whoever was to be told before. */
    (void)number;
}

static void catch_crashes(void)
{
    struct sigaction action = {.sa_handler = on_crash};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        sigaction(crashes[i], &action, &before[i]);
}

/* ---- Workers ------------------------------------------------------------------------------ */

void (*stress_report)(FILE *file);

/* One line for make soak: what has been done, and what gari says of itself. */
static void print_progress(uint64_t now)
{
    static uint64_t begun_ns, next_ns;
    begun_ns = begun_ns ? begun_ns : now;
    if (stress.progress == 0 || now < next_ns)
        return;
    next_ns = now + stress.progress * SECOND;
    uint64_t operations = 0;
    for (unsigned i = 0; i <= STRESS_MOST_WORKERS; i++)
        operations += gari__load_relaxed(&workers[i].operations);
    gari_stats stats = stress_stats();
    uint64_t collected = 0;
    for (unsigned i = 0; i < 3; i++)
        collected += stats.generation[i].collections;
    printf("progress seconds=%.1f operations=%lu collections=%lu cycles=%lu live=%lu waiting=%lu "
           "heap=%lu waited_ns=%lu",
           (double)(now - begun_ns) / (double)SECOND, (unsigned long)operations,
           (unsigned long)collected, (unsigned long)stats.freed_by_cycles,
           (unsigned long)stats.objects_live, (unsigned long)stats.objects_waiting,
           (unsigned long)stats.heap_bytes, (unsigned long)stats.longest_wait_ns);
    if (stress_report)
        stress_report(stdout);
    printf("\n");
    fflush(stdout);
}

static void *watch(void *arg)
{
    (void)arg;
    static uint64_t seen[STRESS_MOST_WORKERS + 1], since_ns[STRESS_MOST_WORKERS + 1];
    for (;;) {
        uint64_t now = gari__now_ns();
        uint64_t deadline = gari__load_relaxed(&deadline_ns);
        if (now >= deadline)
            gari__store_relaxed(&passed_ns, deadline);
        for (unsigned i = 0; i <= STRESS_MOST_WORKERS; i++) {
            uint64_t operations = gari__load_relaxed(&workers[i].operations);
            if (since_ns[i] == 0 || operations != seen[i] ||
                !gari__load_relaxed(&workers[i].running)) {
                seen[i] = operations;
                since_ns[i] = now;
            } else if (now - since_ns[i] > stress.watchdog * SECOND) {
                stress_fail("no progress for %u s: worker %d (-1 is the main thread), %lu "
                            "operations, phase %s",
                            stress.watchdog, (int)i - 1, (unsigned long)operations,
                            gari__load_acquire(&phase));
            }
        }
        print_progress(now);
        nap(10000000);
    }
    return NULL;
}

struct task {
    pthread_t thread;
    struct stress_worker *worker;
    void (*work)(struct stress_worker *worker);
};

static void *run_task(void *arg)
{
    struct task *task = arg;
    task->work(task->worker);
    gari__store_relaxed(&task->worker->running, false);
    return NULL;
}

gari_stats stress_stats(void)
{
    gari_stats stats = {.struct_size = sizeof stats};
    if (gari_get_stats(&stats) != 0)
        stress_fail("gari_get_stats refuses its own size");
    return stats;
}

static uint64_t collections(void)
{
    gari_stats stats = stress_stats();
    return stats.generation[0].collections + stats.generation[1].collections +
           stats.generation[2].collections;
}

/* With no worker left: counts, lists and accounting fit together (lib/gari.h). */
static void check_heap(const char *when)
{
    stress_phase("heap check");
    size_t found = gari_check_heap(NULL);
    /* Where a program has requests for memory refused, the check's own may be among them. */
    for (int retry = 0; found == GARI_UNCHECKED && retry < 20; retry++)
        found = gari_check_heap(NULL);
    stress_check(found == 0, "gari_check_heap %s finds %zu inconsistencies", when, found);
}

void stress_run(unsigned count, void (*work)(struct stress_worker *worker))
{
    static struct task tasks[STRESS_MOST_WORKERS];
    if (count > STRESS_MOST_WORKERS)
        stress_fail("at most %u threads", STRESS_MOST_WORKERS);
    stress_phase("work");
    uint64_t length = (uint64_t)(stress.seconds / shares * (double)SECOND);
    gari__store_relaxed(&deadline_ns, gari__now_ns() + length);
    gari__store_relaxed(&workers[0].running, false);
    for (unsigned i = 0; i < count; i++) {
        struct stress_worker *worker = &workers[i + 1];
        worker->index = i;
        worker->random = (stress.seed * 0x9e3779b97f4a7c15u ^ (i + 1) * 0xbf58476d1ce4e5b9u) | 1;
        gari__store_relaxed(&worker->running, true);
        tasks[i] = (struct task){.worker = worker, .work = work};
        if (pthread_create(&tasks[i].thread, NULL, run_task, &tasks[i]) != 0)
            stress_fail("the system gives no thread");
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(tasks[i].thread, NULL);
    gari__fetch_add_relaxed(&workers[0].operations, 1);
    gari__store_relaxed(&workers[0].running, true);
    check_heap("after work");
    stress_phase("after work");
    uint64_t operations = 0;
    for (unsigned i = 1; i <= count; i++)
        operations += gari__load_relaxed(&workers[i].operations);
    printf("%lu operations, %lu collections, %lu grace periods\n", (unsigned long)operations,
           (unsigned long)collections(), (unsigned long)stress_stats().grace_periods);
}

void stress_share(unsigned runs)
{
    shares = runs;
}

bool stress_tick(struct stress_worker *worker)
{
    gari__own_add(&worker->operations, 1);
    return gari__load_relaxed(&passed_ns) != gari__load_relaxed(&deadline_ns);
}

void stress_phase(const char *name)
{
    gari__store_release(&phase, name);
    gari__fetch_add_relaxed(&workers[0].operations, 1);
}

uint64_t stress_random(struct stress_worker *worker)
{
    uint64_t x = worker->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    worker->random = x;
    return x * 0x2545f4914f6cdd1du;
}

unsigned stress_below(struct stress_worker *worker, unsigned n)
{
    return (unsigned)((stress_random(worker) >> 32) * n >> 32);
}

bool stress_once_in(struct stress_worker *worker, unsigned n)
{
    return stress_below(worker, n) == 0;
}

void stress_dawdle(struct stress_worker *worker)
{
    unsigned choice = stress_below(worker, 1024);
    if (choice >= 1023)
        nap((long)stress_below(worker, 100000));
    else if (choice >= 1016)
        sched_yield();
    else if (choice >= 900)
        for (unsigned i = stress_below(worker, 1000); i > 0; i--)
            __asm__ __volatile__("" ::: "memory");
}

/* Steps rather than calls of gari_collect: those also wait for the memory of the dead, so less of
 * the time would be proofs. */
void stress_collect(struct stress_worker *worker)
{
    while (stress_tick(worker)) {
        if (stress_once_in(worker, 50))
            gari_collect((int)stress_below(worker, 3));
        else
            gari_step(1u << stress_below(worker, 20));
        gari__store_relaxed(&collections_seen, collections());
    }
}

void stress_await_proof(struct stress_worker *worker)
{
    uint64_t seen = gari__load_relaxed(&collections_seen), end = gari__now_ns() + 11000000;
    while (gari__load_relaxed(&collections_seen) == seen && gari__now_ns() < end)
        sched_yield();
    end = gari__now_ns() + stress_below(worker, 1u << stress_below(worker, 17));
    while (gari__now_ns() < end)
        continue;
}

/* ---- Beginning and end -------------------------------------------------------------------- */

void stress_begin(int argc, char **argv, double seconds, const char *about)
{
    stress.seconds = seconds;
    stress_read_options(argc, argv, about);
    gari__plain = stress.plain;
    gari__perturb_seed(stress.seed, stress.perturb);
    catch_crashes();
    gari_config config = GARI_CONFIG_INIT;
    config.mode = stress.mode;
    if (gari_configure(&config) != 0)
        stress_fail("gari_configure refuses the mode");
    gari__store_relaxed(&workers[0].running, true);
    pthread_t watchdog;
    if (pthread_create(&watchdog, NULL, watch, NULL) != 0 || pthread_detach(watchdog) != 0)
        stress_fail("the system gives no thread");
}

void stress_settle(uint64_t live)
{
    uint64_t end = gari__now_ns() + 5 * SECOND;
    gari_stats stats;
    for (int round = 0;; round++) {
        stress_phase("settle");
        gari_collect(2);
        for (int i = 0; i < 1000 && gari_step(100000); i++)
            continue;
        stats = stress_stats();
        if (stats.objects_live == live && stats.objects_waiting == 0)
            break;
        if (round >= 20 && gari__now_ns() > end)
            break;
        nap(round < 10 ? 1000000 : 20000000);
    }
    stress_check(stats.objects_live == live && stats.objects_waiting == 0,
                 "all garbage is found: %lu objects alive (expected %lu), %lu waiting",
                 (unsigned long)stats.objects_live, (unsigned long)live,
                 (unsigned long)stats.objects_waiting);
    check_heap("at rest");
}

static void report_left(const gari_type *type, size_t objects, size_t bytes, void *arg)
{
    (void)arg;
    printf("left: %zu objects of type %s, %zu bytes\n", objects, type->name, bytes);
}

int stress_end(void)
{
    stress_phase("shutdown");
    size_t left = gari_shutdown(report_left, NULL);
    gari_stats stats = stress_stats();
    stress_check(left == 0 && stats.objects_live == 0 && stats.objects_waiting == 0 &&
                     stats.heap_bytes == 0,
                 "gari_shutdown leaves nothing: %zu objects found, %lu alive, %lu waiting, %lu "
                 "bytes of heap",
                 left, (unsigned long)stats.objects_live, (unsigned long)stats.objects_waiting,
                 (unsigned long)stats.heap_bytes);
    for (const struct gari__place *place = stress.steps ? gari__perturb_reached() : NULL; place;
         place = place->next)
        printf("step: %s\n", place->step);
    check_heap("after gari_shutdown");
    print_end();
    return failed ? 1 : 0;
}

void *stress_new(void *object)
{
    if (!object)
        stress_fail("gari_new finds no memory");
    return object;
}
