/* pause with counts by hand and without a collector: every reference to a live node is counted, as whoever
 * wants to know the moment of its death must, and the ring that is replaced is freed by hand. Shows how
 * much of a counting program's time the counts are: on gari each of them is counted too. */
#include "bench/driver.h"

#include "bench/pause/shape.h"

#include <stdatomic.h>

struct node {
    _Atomic uint64_t count;
    struct node *_Atomic refs[3];
    uint64_t payload;
};

static struct node **live;
static size_t live_length;
static struct node **slots[BENCH_MAX_THREADS];

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    bench_check(memory != NULL, "out of memory");
    return memory;
}

static inline struct node *pick(uint64_t *random)
{
    return live[bench_below(random, live_length)];
}

/* A node that will be counted: its count, which is in no cache, is fetched meanwhile. */
static inline struct node *pick_ahead(uint64_t *random)
{
    struct node *node = pick(random);
    __builtin_prefetch(node, 1);
    return node;
}

static inline struct node *retain(struct node *node)
{
    atomic_fetch_add_explicit(&node->count, 1, memory_order_relaxed);
    return node;
}

/* Nobody's last: the table holds them all. */
static inline void release(struct node *node)
{
    bench_check(atomic_fetch_sub_explicit(&node->count, 1, memory_order_acq_rel) > 1,
                "a live node has died");
}

static inline struct node *look(struct node *_Atomic *ref)
{
    return atomic_load_explicit(ref, memory_order_relaxed);
}

static inline void set(struct node *node, int ref, struct node *target)
{
    atomic_init(&node->refs[ref], target);
}

static void pause_begin(uint64_t count)
{
    uint64_t random = 99;
    live_length = count;
    live = allocate(count * sizeof *live);
    for (size_t i = 0; i < count; i++) {
        live[i] = allocate(sizeof *live[i]);
        atomic_init(&live[i]->count, 1);
    }
    for (size_t i = 0; i < count; i++) {
        set(live[i], 0, retain(live[(i + 1) % count]));
        set(live[i], 1, retain(pick(&random)));
        set(live[i], 2, retain(pick(&random)));
    }
}

static void pause_prepare(int thread)
{
    slots[thread] = allocate(PAUSE_SLOTS * sizeof *slots[thread]);
    memset(slots[thread], 0, PAUSE_SLOTS * sizeof *slots[thread]);
}

static inline void drop_ring(struct node *ring)
{
    for (int i = 0; i < PAUSE_RING; i++) {
        struct node *next = look(&ring->refs[0]);
        release(look(&ring->refs[2]));
        free(ring);
        ring = next;
    }
}

static inline void pause_operation(int thread, uint64_t *random, uint64_t stamp)
{
    struct node *ring[PAUSE_RING], *target[PAUSE_RING];
    struct node **slot = &slots[thread][bench_below(random, PAUSE_SLOTS)], *replaced = *slot;
    for (int i = 0; i < PAUSE_RING; i++)
        target[i] = pick_ahead(random);
    struct node *from = pick_ahead(random), *to = pick_ahead(random), *dropped = replaced;
    for (int i = 0; dropped && i < PAUSE_RING; i++, dropped = look(&dropped->refs[0]))
        __builtin_prefetch(look(&dropped->refs[2]), 1);
    uint64_t edge = 1 + (bench_random(random) & 1);
    for (int i = 0; i < PAUSE_RING; i++) {
        ring[i] = allocate(sizeof *ring[i]);
        ring[i]->payload = stamp;
    }
    __builtin_prefetch(look(&from->refs[edge]), 1);
    for (int i = 0; i < PAUSE_RING; i++) {
        atomic_init(&ring[i]->count, 2);
        set(ring[i], 0, ring[(i + 1) % PAUSE_RING]);
        set(ring[i], 1, ring[(i + PAUSE_RING - 1) % PAUSE_RING]);
        set(ring[i], 2, retain(target[i]));
    }
    if (replaced)
        drop_ring(replaced);
    *slot = ring[0];
    release(atomic_exchange_explicit(&from->refs[edge], retain(to), memory_order_acq_rel));
}

static void pause_end(void)
{
}
#define PAUSE_ARGUMENTS ""
#include "bench/pause/pause.h"
