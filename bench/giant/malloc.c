/* giant by hand: malloc, free, and an atomic count in each node. The drop frees everything, as such
 * programs do. */
#include "bench/driver.h"

#include <stdatomic.h>

struct node {
    _Atomic uint64_t count;
    struct node *left, *right;
    uint64_t payload;
};

static struct node *root;

static struct node *make(void)
{
    struct node *node = malloc(sizeof(*node));
    bench_check(node != NULL, "out of memory");
    atomic_init(&node->count, 1);
    node->left = node->right = NULL;
    return node;
}

static struct node *build(size_t nodes)
{
    struct node *node = make();
    node->payload = nodes--;
    if (nodes > 0)
        node->left = build((nodes + 1) / 2);
    if (nodes > 1)
        node->right = build(nodes / 2);
    return node;
}

static void drop(struct node *node)
{
    if (!node || atomic_fetch_sub_explicit(&node->count, 1, memory_order_acq_rel) != 1)
        return;
    drop(node->left);
    drop(node->right);
    free(node);
}

static void giant_begin(void)
{
}
static void giant_build(size_t nodes)
{
    root = build(nodes);
}
static void giant_drop(void)
{
    drop(root);
}
static inline void giant_small(void)
{
    struct node *node = make();
    BENCH_KEEP(node);
    drop(node);
}
static long giant_left(void)
{
    return 0;
}
static void giant_end(void)
{
}
#include "bench/giant/giant.h"
