/* counts on gari. --tracked 0: an object without references, at which the collector never looks; by
 * default one with two, as most are. --hot 1: of a type that threads count for themselves. */
#include "bench/gari_peer.h"

struct node {
    gari_object header;
    GARI_REF(struct node) left, right;
    uint64_t payload;
};
struct leaf {
    gari_object header;
    uint64_t payload[3];
};
static const gari_type node_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, left, right));
static const gari_type hot_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, left, right), .flags = GARI_TYPE_HOT);
static const gari_type leaf_type = GARI_TYPE(struct leaf);

typedef gari_object *object_ref;
static const gari_type *counted_type;

static object_ref object_make(void)
{
    return gari_peer_new(counted_type);
}

static inline void object_pair(object_ref object)
{
    gari_incref(object);
    gari_decref(object);
}

static void counts_begin(void);
static void counts_end(void);
#define COUNTS_ARGUMENTS "--tracked --hot "
#include "bench/counts/counts.h"

static void counts_begin(void)
{
    gari_peer_configure();
    counted_type = bench_long("--hot", 0)       ? &hot_type
                   : bench_long("--tracked", 1) ? &node_type
                                                : &leaf_type;
}

static void counts_end(void)
{
    for (unsigned i = 0; i < counts_number; i++) {
        bench_check(gari_getrefcount(counts_objects[i]) == 1, "a count is wrong");
        gari_decref(counts_objects[i]);
    }
    gari_peer_end();
}
