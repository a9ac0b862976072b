/* The operation of pause on plain pointers, made with NEW(size). A peer defines drop_ring before. */
#ifndef BENCH_PAUSE_PLAIN_H
#define BENCH_PAUSE_PLAIN_H

static struct node **live;
static size_t live_length;
static struct node **slots[BENCH_MAX_THREADS];

static void *new_or_fail(size_t size)
{
    void *memory = NEW(size);
    bench_check(memory != NULL, "out of memory");
    return memory;
}

static inline struct node *pick(uint64_t *random)
{
    return live[bench_below(random, live_length)];
}

static void build_live(size_t count)
{
    uint64_t random = 99;
    live_length = count;
    live = new_or_fail(count * sizeof(*live));
    for (size_t i = 0; i < count; i++)
        live[i] = new_or_fail(sizeof(*live[i]));
    for (size_t i = 0; i < count; i++) {
        live[i]->refs[0] = live[(i + 1) % count];
        live[i]->refs[1] = pick(&random);
        live[i]->refs[2] = pick(&random);
    }
}

static void pause_prepare(int thread)
{
    slots[thread] = new_or_fail(PAUSE_SLOTS * sizeof(*slots[thread]));
    memset(slots[thread], 0, PAUSE_SLOTS * sizeof(*slots[thread]));
}

static inline void pause_operation(int thread, uint64_t *random, uint64_t stamp)
{
    struct node *ring[PAUSE_RING];
    for (int i = 0; i < PAUSE_RING; i++) {
        ring[i] = new_or_fail(sizeof(*ring[i]));
        ring[i]->payload = stamp;
    }
    for (int i = 0; i < PAUSE_RING; i++) {
        ring[i]->refs[0] = ring[(i + 1) % PAUSE_RING];
        ring[i]->refs[1] = ring[(i + PAUSE_RING - 1) % PAUSE_RING];
        ring[i]->refs[2] = pick(random);
    }
    struct node **slot = &slots[thread][bench_below(random, PAUSE_SLOTS)];
    if (*slot)
        drop_ring(*slot);
    *slot = ring[0];
    uint64_t edge = 1 + (bench_random(random) & 1);
    struct node *from = pick(random), *to = pick(random);
    __atomic_store_n(&from->refs[edge], to, __ATOMIC_RELAXED);
}

#endif
