/* rings on gari. A ring is built with gari_init; what gari_new returns becomes the edge that leads to
 * the node, so only the edges back and the one that closes the ring are counted up. */
#include "bench/gari_peer.h"

struct node {
    gari_object header;
    GARI_REF(struct node) next, prev;
    uint64_t payload;
};
static const gari_type node_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev));

struct table {
    gari_object header;
    size_t length;
    GARI_REF(struct node) items[];
};
static const gari_type table_type =
    GARI_TYPE(struct table, .items = GARI_REF_ITEMS(struct table, length, items));
static struct table *live;

static struct node *ring_make(long k, uint64_t value)
{
    struct node *first = gari_peer_new(&node_type), *last = first;
    first->payload = value;
    for (long i = 1; i < k; i++) {
        struct node *node = gari_peer_new(&node_type);
        node->payload = value + (uint64_t)i;
        gari_init(&node->prev, gari_incref(last));
        gari_init(&last->next, node);
        last = node;
    }
    gari_init(&last->next, gari_incref(first));
    gari_init(&first->prev, gari_incref(last));
    return first;
}

static uint64_t ring_last(struct node *ring)
{
    gari_read_begin();
    uint64_t payload = gari_borrow(&ring->prev)->payload;
    gari_read_end();
    return payload;
}

static void ring_drop(struct node *ring)
{
    gari_decref(ring);
}

static void live_make(long count)
{
    size_t n = (size_t)count;
    uint64_t random = 9;
    live = gari_new_items(&table_type, n);
    bench_check(live != NULL, "out of memory");
    for (size_t i = 0; i < n; i++)
        gari_init(&live->items[i], gari_peer_new(&node_type));
    for (size_t i = 0; i < n; i++) {
        gari_read_begin();
        struct node *node = gari_borrow(&live->items[i]);
        gari_store(&node->next, gari_borrow(&live->items[bench_below(&random, n)]));
        gari_store(&node->prev, gari_borrow(&live->items[bench_below(&random, n)]));
        gari_read_end();
    }
}

static void rings_begin(void)
{
    gari_peer_configure();
}

static void rings_collect(void)
{
    gari_collect(2);
}

static void rings_end(void);
#include "bench/rings/rings.h"

static void rings_end(void)
{
    gari_stats stats = gari_peer_stats();
    bench_put("heap_peak_mb", (double)stats.heap_peak_bytes / 1e6);
    bench_put("live_objects_mb", (double)stats.bytes_live / 1e6);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"collections_0", "collections_1", "collections_2"};
        bench_put(names[i], (double)stats.generation[i].collections);
    }
    bench_check(stats.objects_live == (live ? live->length + 1 : 0), "rings are left");
    if (live)
        gari_decref(live);
    live = NULL;
    gari_peer_end();
}
