/* growth: what the collector costs as the live heap, the mutation or the threads grow.
 *
 * --live N       nodes of three references and 8 bytes, one cycle through all and two random ones
 *                each, held by a table (1,000,000)
 * --rings R      rings of 4, made and dropped, per second of all threads together (100,000)
 * --rewires W    random edges of random live nodes, replaced, per second of all threads together (0)
 * --threads T    (1)
 * --seconds S    measured (10), after --warm S (3)
 *
 * The rates are kept, so what changes from run to run is the cost. `others` are the threads that are
 * not mutators: gari's own. Work that mutators do for the collector is part of their CPU; `helped`
 * counts it. The same rates with --idle 1 draw the numbers and sleep but touch nothing: what the
 * load generator itself costs. */
#include "bench/gari_live.h"

#define RING 4
#define TICK_NS 1000000 /* a thread catches up with its rates this often */

static double rings_rate, rewires_rate; /* of one thread, per second */
static int idle;
static int stop;
static uint64_t rings_done[BENCH_MAX_THREADS], rewires_done[BENCH_MAX_THREADS];

static void make_and_drop_ring(void)
{
    struct node *first = gari_peer_new(&node_type), *last = first;
    for (int i = 1; i < RING; i++) {
        struct node *node = gari_peer_new(&node_type);
        gari_init(&node->refs[1], gari_incref(last));
        gari_init(&last->refs[0], node);
        last = node;
    }
    gari_init(&last->refs[0], gari_incref(first));
    gari_init(&first->refs[1], gari_incref(last));
    gari_decref(first);
}

static void rewire(uint64_t *random)
{
    uint64_t edge = 1 + (bench_random(random) & 1);
    gari_read_begin();
    struct node *from = pick(random), *to = pick(random);
    if (!idle)
        gari_store(&from->refs[edge], to);
    gari_read_end();
}

static void run(int thread)
{
    uint64_t random = 1234567 + (uint64_t)thread * 7919, start = bench_now(), rings = 0,
             rewires = 0;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        double seconds = (double)(bench_now() - start) / 1e9;
        for (; (double)rings < seconds * rings_rate; rings++)
            if (!idle)
                make_and_drop_ring();
        for (; (double)rewires < seconds * rewires_rate; rewires++)
            rewire(&random);
        __atomic_store_n(&rings_done[thread], rings, __ATOMIC_RELAXED);
        __atomic_store_n(&rewires_done[thread], rewires, __ATOMIC_RELAXED);
        struct timespec tick = {0, TICK_NS};
        nanosleep(&tick, NULL);
    }
}

struct moment {
    uint64_t now, process_ns, mutators_ns, rings, rewires;
    gari_stats stats;
};

static struct moment look(int threads)
{
    struct moment moment = {.now = bench_now(),
                            .process_ns = bench_clock(CLOCK_PROCESS_CPUTIME_ID),
                            .stats = gari_peer_stats()};
    for (int i = 0; i < threads; i++) {
        clockid_t clock;
        bench_check(pthread_getcpuclockid(bench_workers[i].thread, &clock) == 0, "no thread clock");
        moment.mutators_ns += bench_clock(clock);
        moment.rings += __atomic_load_n(&rings_done[i], __ATOMIC_RELAXED);
        moment.rewires += __atomic_load_n(&rewires_done[i], __ATOMIC_RELAXED);
    }
    return moment;
}

static void sleep_for(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

static void put(const struct moment *a, const struct moment *b)
{
    double seconds = (double)(b->now - a->now) / 1e9;
    double process = (double)(b->process_ns - a->process_ns);
    double mutators = (double)(b->mutators_ns - a->mutators_ns);
    double others = process > mutators ? process - mutators : 0;
    double rings = (double)(b->rings - a->rings), rewires = (double)(b->rewires - a->rewires);
    uint64_t examined = 0, collected = 0;
    for (int i = 0; i < 3; i++) {
        examined += b->stats.generation[i].examined - a->stats.generation[i].examined;
        collected += b->stats.generation[i].collected - a->stats.generation[i].collected;
    }
    bench_put("others_percent_of_core", others / seconds / 1e7);
    bench_put("mutators_percent_of_core", mutators / seconds / 1e7);
    bench_put("rings_s", rings / seconds);
    bench_put("rewires_s", rewires / seconds);
    if (rings > 0)
        bench_put("others_ns_per_ring_node", others / rings / RING);
    if (rewires > 0) {
        bench_put("others_ns_per_rewire", others / rewires);
        bench_put("examined_per_rewire", (double)examined / rewires);
    }
    bench_put("examined", (double)examined);
    bench_put("collected", (double)collected);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"collections_0", "collections_1", "collections_2"};
        bench_put(names[i], (double)(b->stats.generation[i].collections -
                                     a->stats.generation[i].collections));
    }
    bench_put("grace_periods", (double)(b->stats.grace_periods - a->stats.grace_periods));
    bench_put("helped", (double)(b->stats.helped - a->stats.helped));
    bench_put("heap_mb", (double)b->stats.heap_bytes / 1e6);
    bench_put("heap_peak_mb", (double)b->stats.heap_peak_bytes / 1e6);
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv,
                    " --live --rings --rewires --threads --seconds --warm --idle --mode ");
    int threads = bench_threads_wanted();
    long nodes = bench_long("--live", 1000000);
    rings_rate = bench_number("--rings", 100000) / threads;
    rewires_rate = bench_number("--rewires", 0) / threads;
    idle = bench_long("--idle", 0) != 0;
    bench_check(nodes > 0, "--live must be 1 or more");
    gari_peer_configure();
    build_live((size_t)nodes);
    gari_collect(2); /* the build's own candidates are not what is measured */
    struct bench_job job = {NULL, run};
    bench_start(threads, job);
    sleep_for(bench_number("--warm", 3));
    struct moment begin = look(threads);
    sleep_for(bench_number("--seconds", 10));
    struct moment end = look(threads);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    bench_join(threads);
    put(&begin, &end);
    bench_end();
    gari_decref(live);
    gari_peer_end();
    return 0;
}
