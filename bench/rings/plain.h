/* Rings of plain pointers, made with NEW(size), for the peers that have nothing to count. */
#ifndef BENCH_RINGS_PLAIN_H
#define BENCH_RINGS_PLAIN_H

struct node {
    struct node *next, *prev;
    uint64_t payload;
};
static struct node **live;

static void *new_or_fail(size_t size)
{
    void *memory = NEW(size);
    bench_check(memory != NULL, "out of memory");
    return memory;
}

__attribute__((noinline)) static struct node *ring_make(long k, uint64_t value)
{
    struct node *first = new_or_fail(sizeof(*first)), *last = first;
    first->payload = value;
    for (long i = 1; i < k; i++) {
        struct node *node = new_or_fail(sizeof(*node));
        node->payload = value + (uint64_t)i;
        node->prev = last;
        last->next = node;
        last = node;
    }
    last->next = first;
    first->prev = last;
    return first;
}

static uint64_t ring_last(struct node *ring)
{
    return ring->prev->payload;
}

static void live_make(long count)
{
    size_t n = (size_t)count;
    uint64_t random = 9;
    live = new_or_fail(n * sizeof(*live));
    for (size_t i = 0; i < n; i++)
        live[i] = new_or_fail(sizeof(*live[i]));
    for (size_t i = 0; i < n; i++) {
        live[i]->next = live[bench_below(&random, n)];
        live[i]->prev = live[bench_below(&random, n)];
    }
}

#endif
