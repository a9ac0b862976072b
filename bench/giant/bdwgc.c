/* giant on bdwgc: dropping is nothing, a collection finds the tree while others allocate. */
#define GC_THREADS 1
#include <gc.h>

#include "bench/driver.h"

struct node {
    struct node *left, *right;
    uint64_t payload;
};

static struct node *root;

static struct node *build(size_t nodes)
{
    struct node *node = GC_MALLOC(sizeof(*node));
    bench_check(node != NULL, "out of memory");
    node->payload = nodes--;
    if (nodes > 0)
        node->left = build((nodes + 1) / 2);
    if (nodes > 1)
        node->right = build(nodes / 2);
    return node;
}

static void giant_begin(void)
{
    GC_INIT();
}
static void giant_build(size_t nodes)
{
    root = build(nodes);
}
static void giant_drop(void)
{
    root = NULL;
}
static inline void giant_small(void)
{
    struct node *node = GC_MALLOC(sizeof(*node));
    BENCH_KEEP(node);
}
static long giant_left(void)
{
    return -1;
}
static void giant_end(void)
{
    bench_put("collections", (double)GC_get_gc_no());
}
#include "bench/giant/giant.h"
