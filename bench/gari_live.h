/* The live graph of pause and growth, on gari: nodes of three references and 8 bytes, one cycle
 * through all and two random references each, held by a table. The table is an object and never
 * changes, so what is borrowed from it stays held after the section. */
#ifndef BENCH_GARI_LIVE_H
#define BENCH_GARI_LIVE_H

#include "bench/gari_peer.h"

struct node {
    gari_object header;
    GARI_REF(struct node) refs[3];
    uint64_t payload;
};
static const gari_type node_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, refs[0], refs[1], refs[2]));

struct table {
    gari_object header;
    size_t length;
    GARI_REF(struct node) items[];
};
static const gari_type table_type =
    GARI_TYPE(struct table, .items = GARI_REF_ITEMS(struct table, length, items));

static struct table *live;

/* In a read section. */
static inline struct node *pick(uint64_t *random)
{
    return gari_borrow(&live->items[bench_below(random, live->length)]);
}

static void build_live(size_t count)
{
    uint64_t random = 99;
    live = gari_new_items(&table_type, count);
    bench_check(live != NULL, "out of memory");
    for (size_t i = 0; i < count; i++)
        gari_init(&live->items[i], gari_peer_new(&node_type));
    for (size_t i = 0; i < count; i++) {
        gari_read_begin();
        struct node *node = gari_borrow(&live->items[i]);
        gari_store(&node->refs[0], gari_borrow(&live->items[(i + 1) % count]));
        gari_store(&node->refs[1], pick(&random));
        gari_store(&node->refs[2], pick(&random));
        gari_read_end();
    }
}

#endif
