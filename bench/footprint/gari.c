/* footprint on gari. The table is plain memory that owns one node of each ring. */
#include "bench/footprint/shape.h"
#include "bench/gari_peer.h"

struct node {
    gari_object header;
    GARI_REF(struct node) next, prev;
    uint64_t payload;
};
static const gari_type node_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev));

static struct node **table;

static void footprint_begin(size_t rings)
{
    gari_peer_configure();
    table = malloc(rings * sizeof(*table));
    bench_check(table != NULL, "out of memory");
    for (size_t i = 0; i < rings; i++)
        __atomic_store_n(&table[i], NULL, __ATOMIC_RELAXED); /* touches every page */
}

static void footprint_put(size_t place)
{
    struct node *first = gari_peer_new(&node_type), *last = first;
    for (int i = 1; i < FOOTPRINT_RING; i++) {
        struct node *node = gari_peer_new(&node_type);
        node->payload = place;
        gari_init(&node->prev, gari_incref(last));
        gari_init(&last->next, node);
        last = node;
    }
    gari_init(&last->next, gari_incref(first));
    gari_init(&first->prev, gari_incref(last));
    struct node *replaced = table[place];
    table[place] = first;
    if (replaced)
        gari_decref(replaced);
}

static gari_stats live_stats;

static void footprint_collect(void)
{
    gari_collect(2);
    live_stats = gari_peer_stats();
}

static void footprint_end(void);
#include "bench/footprint/footprint.h"

static void footprint_end(void)
{
    gari_stats stats = gari_peer_stats();
    double nodes = (double)(footprint_rings * FOOTPRINT_RING);
    bench_check(live_stats.objects_live == footprint_rings * FOOTPRINT_RING, "rings are lost");
    bench_put("heap_bytes_per_node", (double)live_stats.heap_bytes / nodes);
    bench_put("heap_peak_over_live", (double)stats.heap_peak_bytes / (double)live_stats.heap_bytes);
    for (size_t i = 0; i < footprint_rings; i++)
        gari_decref(table[i]);
    free(table);
    gari_peer_end();
}
