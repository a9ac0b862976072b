/* trees by hand: malloc, free, and an atomic count in each node, decremented at its death (the
 * program runs on whichever malloc is preloaded). With UNCOUNTED, no counts: the limit. */
#include "bench/driver.h"

#include <stdatomic.h>

struct node {
#ifndef UNCOUNTED
    _Atomic uint64_t count;
#endif
    struct node *left, *right;
};

typedef struct node *tree;

static tree tree_build(int depth)
{
    struct node *node = malloc(sizeof(*node));
    bench_check(node != NULL, "out of memory");
#ifndef UNCOUNTED
    atomic_init(&node->count, 1);
#endif
    node->left = depth > 0 ? tree_build(depth - 1) : NULL;
    node->right = depth > 0 ? tree_build(depth - 1) : NULL;
    return node;
}

static long tree_walk(tree node)
{
    return node->left ? 1 + tree_walk(node->left) + tree_walk(node->right) : 1;
}

static void drop(struct node *node)
{
#ifndef UNCOUNTED
    if (atomic_fetch_sub_explicit(&node->count, 1, memory_order_acq_rel) != 1)
        return;
#endif
    if (node->left) {
        drop(node->left);
        drop(node->right);
    }
    free(node);
}

static void tree_drop(tree *node)
{
    drop(*node);
}

static void trees_begin(void)
{
}
static void trees_finish(void)
{
}
static void trees_end(void)
{
}
#include "bench/trees/trees.h"
