/* What the regression gate counts: the hot paths, one after the other, on one thread in manual mode,
 * so that every run executes the same instructions. bench/gate.sh runs it under callgrind.
 *
 * Each operation is first done unmeasured, so that blocks and tables are there; then a dump of
 * callgrind's counters, with the operation's name and how often it was done, ends it. */
#include "lib/gari.h"

#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

struct node {
    gari_object header;
    GARI_REF(struct node) left, right;
    uint64_t payload;
};
static const gari_type node_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, left, right));
/* Of which whole structures die at once, after a grace period. */
static const gari_type late_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, left, right), .flags = GARI_TYPE_LATE);

/* Of which a thread keeps what it gives back. */
static const gari_type hot_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, left, right), .flags = GARI_TYPE_HOT);

struct leaf {
    gari_object header;
    uint64_t payload[3];
};
static const gari_type leaf_type = GARI_TYPE(struct leaf);

static struct node *a, *b, *hot;
static GARI_ROOT(struct node) root, hot_root;
static uint64_t sum;

static void *make(const gari_type *type)
{
    void *object = gari_new(type);
    if (!object) {
        fprintf(stderr, "gate: out of memory\n");
        exit(1);
    }
    return object;
}

static void settle(void)
{
    gari_collect(2);
    while (gari_step(1000000))
        continue;
}

/* ---- The operations: each does `count` of what it is named after ------------------------------ */

static void loop_alone(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        __asm__ volatile("" : "+r"(i));
}

static void pair(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        gari_incref(a);
        gari_decref(a);
    }
}

/* Last of all: before, no type of the process is hot. */
static void make_hot(void)
{
    if (hot)
        return;
    hot = make(&hot_type);
    gari_store(&hot_root, hot);
}

static void hot_pair(unsigned count)
{
    make_hot();
    for (unsigned i = 0; i < count; i++) {
        gari_incref(hot);
        gari_decref(hot);
    }
}

static void new_and_drop(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        gari_decref((struct node *)make(&node_type));
}

static void new_and_drop_leaf(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        gari_decref((struct leaf *)make(&leaf_type));
}

static void section(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        gari_read_begin();
        gari_read_end();
    }
}

static void borrowed_read(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        gari_read_begin();
        sum += gari_borrow(&root)->payload;
        gari_read_end();
    }
}

static void owned_read(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct node *node = gari_load(&root);
        sum += node->payload;
        gari_decref(node);
    }
}

static void hot_owned_read(unsigned count)
{
    make_hot();
    for (unsigned i = 0; i < count; i++) {
        struct node *node = gari_load(&hot_root);
        sum += node->payload;
        gari_decref(node);
    }
}

static void store(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        gari_store(&a->left, i & 1 ? a : b);
    gari_store(&a->left, NULL);
}

static struct node *tree(const gari_type *type, int depth)
{
    struct node *node = make(type);
    if (depth > 0) {
        gari_init(&node->left, tree(type, depth - 1));
        gari_init(&node->right, tree(type, depth - 1));
    }
    return node;
}

/* Trees of 1,023 nodes, until all are taken apart. */
static void trees(const gari_type *type, unsigned count)
{
    for (unsigned i = 0; i < count; i += 1023)
        gari_decref(tree(type, 9));
    while (gari_step(1000000))
        continue;
}

static void tree_node(unsigned count)
{
    trees(&node_type, count);
}

static void late_tree_node(unsigned count)
{
    trees(&late_type, count);
}

/* Rings of 10, built, dropped and collected. */
static void ring_node(unsigned count)
{
    for (unsigned i = 0; i < count; i += 10) {
        struct node *first = make(&node_type), *last = first;
        for (int k = 1; k < 10; k++) {
            struct node *node = make(&node_type);
            gari_init(&node->right, gari_incref(last));
            gari_init(&last->left, node);
            last = node;
        }
        gari_init(&last->left, gari_incref(first));
        gari_init(&first->right, gari_incref(last));
        gari_decref(first);
    }
    settle();
}

/* ---- Measuring -------------------------------------------------------------------------------- */

static const struct operation {
    const char *name;
    void (*run)(unsigned count);
    unsigned count;
} operations[] = {
    {"loop_alone", loop_alone, 20000},         {"incref_decref", pair, 20000},
    {"new_drop", new_and_drop, 50000},         {"new_drop_leaf", new_and_drop_leaf, 50000},
    {"read_section", section, 20000},          {"borrowed_read", borrowed_read, 20000},
    {"owned_read", owned_read, 20000},         {"store", store, 20000},
    {"tree_node", tree_node, 1023 * 50},       {"late_tree_node", late_tree_node, 1023 * 200},
    {"ring_node", ring_node, 50000},           {"hot_incref_decref", hot_pair, 20000},
    {"hot_owned_read", hot_owned_read, 20000},
};

static void measure(const struct operation *operation)
{
    char description[100];
    operation->run(operation->count);
    settle();
    CALLGRIND_ZERO_STATS;
    operation->run(operation->count);
    snprintf(description, sizeof(description), "%s %u", operation->name, operation->count);
    CALLGRIND_DUMP_STATS_AT(description);
    settle();
}

int main(void)
{
    gari_config config = GARI_CONFIG_INIT;
    config.mode = GARI_MODE_MANUAL;
    if (gari_configure(&config) != 0)
        return 1;
    a = make(&node_type);
    b = make(&node_type);
    gari_store(&root, a);
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        measure(&operations[i]);
    printf("compiler %s\n", __VERSION__);
    gari_store(&root, NULL);
    gari_store(&hot_root, NULL);
    gari_decref(hot);
    gari_decref(a);
    gari_decref(b);
    return gari_shutdown(NULL, NULL) != 0;
}
