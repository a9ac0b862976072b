/* pause on gari. The slots belong to one thread and are plain pointers that own. */
#include "bench/gari_live.h"
#include "bench/pause/shape.h"

static struct node **slots[BENCH_MAX_THREADS];

static void pause_begin(uint64_t count)
{
    gari_peer_configure();
    build_live(count);
}

static void pause_prepare(int thread)
{
    slots[thread] = calloc(PAUSE_SLOTS, sizeof(*slots[thread]));
    bench_check(slots[thread] != NULL, "out of memory");
}

/* A node that will be referred to: its count, which is in no cache, is fetched meanwhile. */
static inline struct node *pick_ahead(uint64_t *random)
{
    struct node *node = pick(random);
    __builtin_prefetch(node, 1);
    return node;
}

static inline void pause_operation(int thread, uint64_t *random, uint64_t stamp)
{
    struct node *ring[PAUSE_RING], *target[PAUSE_RING], *from, *to;
    gari_read_begin();
    for (int i = 0; i < PAUSE_RING; i++)
        target[i] = pick_ahead(random);
    from = pick_ahead(random);
    to = pick_ahead(random);
    gari_read_end(); /* the table holds them all */
    uint64_t edge = 1 + (bench_random(random) & 1);
    for (int i = 0; i < PAUSE_RING; i++) {
        ring[i] = gari_peer_new(&node_type);
        ring[i]->payload = stamp;
    }
    gari_read_begin();
    __builtin_prefetch(gari_borrow(&from->refs[edge]), 1);
    gari_read_end();
    for (int i = 0; i < PAUSE_RING; i++) {
        gari_init(&ring[i]->refs[1], gari_incref(ring[(i + PAUSE_RING - 1) % PAUSE_RING]));
        gari_init(&ring[i]->refs[2], gari_incref(target[i]));
    }
    /* What gari_new returned for the others becomes an edge. */
    for (int i = 0; i < PAUSE_RING - 1; i++)
        gari_init(&ring[i]->refs[0], ring[i + 1]);
    gari_init(&ring[PAUSE_RING - 1]->refs[0], gari_incref(ring[0]));
    struct node **slot = &slots[thread][bench_below(random, PAUSE_SLOTS)];
    struct node *replaced = *slot;
    *slot = ring[0];
    if (replaced)
        gari_decref(replaced);
    gari_store(&from->refs[edge], to);
}

static void pause_end(void);
#define PAUSE_ARGUMENTS ""
#include "bench/pause/pause.h"

static void pause_end(void)
{
    gari_stats stats = gari_peer_stats();
    bench_put("heap_peak_mb", (double)stats.heap_peak_bytes / 1e6);
    static const char *const names[][4] = {
        {"collections_0", "examined_0", "collected_0", "time_0_s"},
        {"collections_1", "examined_1", "collected_1", "time_1_s"},
        {"collections_2", "examined_2", "collected_2", "time_2_s"},
    };
    for (int i = 0; i < 3; i++) {
        const gari_generation_stats *of = &stats.generation[i];
        bench_put(names[i][0], (double)of->collections);
        bench_put(names[i][1], (double)of->examined);
        bench_put(names[i][2], (double)of->collected);
        bench_put(names[i][3], (double)of->time_ns / 1e9);
    }
    bench_put("helped", (double)stats.helped);
    bench_put("longest_wait_us", (double)stats.longest_wait_ns / 1e3);
    for (int i = 0; i < BENCH_MAX_THREADS; i++) {
        for (int k = 0; slots[i] && k < PAUSE_SLOTS; k++)
            if (slots[i][k])
                gari_decref(slots[i][k]);
        free(slots[i]);
    }
    gari_decref(live);
    gari_peer_end();
}
