/* trees on bdwgc: GC_MALLOC, never freed. */
#define GC_THREADS 1
#include <gc.h>

#include "bench/driver.h"

struct node {
    struct node *left, *right;
};

typedef struct node *tree;

static tree tree_build(int depth)
{
    struct node *node = GC_MALLOC(sizeof(*node)); /* zeroed */
    bench_check(node != NULL, "out of memory");
    if (depth > 0) {
        node->left = tree_build(depth - 1);
        node->right = tree_build(depth - 1);
    }
    return node;
}

static long tree_walk(tree node)
{
    return node->left ? 1 + tree_walk(node->left) + tree_walk(node->right) : 1;
}

static void tree_drop(tree *node)
{
    *node = NULL;
}

static void trees_begin(void)
{
    GC_INIT();
}
static void trees_finish(void)
{
}
static void trees_end(void)
{
    bench_put("collections", (double)GC_get_gc_no());
}
#include "bench/trees/trees.h"
