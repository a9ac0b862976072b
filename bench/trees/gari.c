/* trees on gari: built with gari_init, walked by borrowing in a read section a tree. Timed until all
 * that was dropped is taken apart. */
#include "bench/gari_peer.h"

struct node {
    gari_object header;
    GARI_REF(struct node) left, right;
};
static const gari_type node_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, left, right), .flags = GARI_TYPE_LATE);

typedef struct node *tree;

static tree tree_build(int depth)
{
    struct node *node = gari_peer_new(&node_type);
    if (depth > 0) {
        gari_init(&node->left, tree_build(depth - 1));
        gari_init(&node->right, tree_build(depth - 1));
    }
    return node;
}

static long count(struct node *node)
{
    struct node *left = gari_borrow(&node->left);
    return left ? 1 + count(left) + count(gari_borrow(&node->right)) : 1;
}

static long tree_walk(tree node)
{
    gari_read_begin();
    long nodes = count(node);
    gari_read_end();
    return nodes;
}

static void tree_drop(tree *node)
{
    gari_decref(*node);
}

static void trees_begin(void)
{
    gari_peer_configure();
}

/* gari's own thread may be at it as well. */
static void trees_finish(void)
{
    uint64_t start = bench_now();
    while (gari_step(100000) || gari_peer_stats().objects_live > 0)
        bench_check(bench_now() - start < UINT64_C(60000000000), "trees are left");
}

static void trees_end(void);
#include "bench/trees/trees.h"

static void trees_end(void)
{
    bench_put("heap_peak_mb", (double)gari_peer_stats().heap_peak_bytes / 1e6);
    gari_peer_end();
}
