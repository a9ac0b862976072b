/* giant on gari. */
#include "bench/gari_peer.h"

struct node {
    gari_object header;
    GARI_REF(struct node) left, right;
    uint64_t payload;
};
static const gari_type node_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, left, right), .flags = GARI_TYPE_LATE);

static struct node *root;

static void giant_begin(void)
{
    gari_peer_configure();
}

static struct node *build(size_t nodes)
{
    struct node *node = gari_peer_new(&node_type);
    node->payload = nodes--;
    if (nodes > 0)
        gari_init(&node->left, build((nodes + 1) / 2));
    if (nodes > 1)
        gari_init(&node->right, build(nodes / 2));
    return node;
}

static void giant_build(size_t nodes)
{
    root = build(nodes);
}

static void giant_drop(void)
{
    gari_decref(root);
}

static inline void giant_small(void)
{
    gari_decref((struct node *)gari_peer_new(&node_type));
}

/* What is taken apart is live no more, although its memory may still wait for a grace period. */
static long giant_left(void)
{
    return (long)gari_peer_stats().objects_live;
}

static void giant_end(void);
#include "bench/giant/giant.h"

static void giant_end(void)
{
    bench_put("longest_wait_us", (double)gari_peer_stats().longest_wait_ns / 1e3);
    gari_peer_end();
}
