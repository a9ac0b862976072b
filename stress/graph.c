/* graph: random changes to one graph by all threads while the collector runs.
 *
 * Invariant: an object dies exactly once, and not before its last reference has gone. Threads do
 * every field operation on shared roots, on fields of objects they own, and on fields of objects
 * they borrow; objects have fields at fixed offsets, a trailing array, a traverse callback, or
 * none. Every object met is looked up in the shadow.
 *
 * A violation looks like: an owned object that the shadow says is dead or that has become another
 * one; a borrowed object whose canary changes in the section; dispose called twice; objects that
 * are left when nothing refers to them. Five seconds find gross mistakes, an hour means something.
 */
#include "stress/shadow.h"

#define ROOTS 48
#define HELD 8
#define FIELDS 3
#define MOST_ITEMS 9u
#define MOST_ALIVE 20000u

struct node;
typedef GARI_REF(struct node) node_ref;

/* All four types begin alike; `length` says how many edges there are. */
struct node {
    gari_object header;
    struct stress_tag tag;
    size_t length;
    node_ref edge[];
};

struct fixed {
    gari_object header;
    struct stress_tag tag;
    size_t length;
    node_ref edge[FIELDS];
};

struct leaf {
    gari_object header;
    struct stress_tag tag;
    size_t length;
};

static void dispose(void *self)
{
    struct node *node = self;
    stress_tag_die(&node->tag);
}

static void traverse(void *self, gari_visit visit, void *arg)
{
    struct fixed *node = self;
    for (int i = 0; i < FIELDS; i++)
        GARI_VISIT(&node->edge[i], visit, arg);
}

static const gari_type fixed_type = GARI_TYPE(
    struct fixed, .refs = GARI_REFS(struct fixed, edge[0], edge[1], edge[2]), .dispose = dispose);
static const gari_type traversed_type =
    GARI_TYPE(struct fixed, .traverse = traverse, .dispose = dispose);
static const gari_type items_type =
    GARI_TYPE(struct node, .items = GARI_REF_ITEMS(struct node, length, edge), .dispose = dispose);
static const gari_type leaf_type = GARI_TYPE(struct leaf, .dispose = dispose);

static node_ref roots[ROOTS];

struct held {
    struct node *node;
    uint64_t id;
};

struct hands {
    struct stress_worker *worker;
    struct held held[HELD];
};

static void look(const struct held *held, const char *where)
{
    if (held->node)
        stress_tag_alive(&held->node->tag, held->id, where);
}

/* Steals node. */
static void put(struct held *held, struct node *node)
{
    look(held, "before dropping");
    gari_decref(held->node);
    held->node = node;
    held->id = node ? stress_tag_alive(&node->tag, 0, "a reference just got") : 0;
}

static struct node *make(struct stress_worker *worker)
{
    struct node *node;
    switch (stress_below(worker, 8)) {
    case 0:
        node = STRESS_NEW(&leaf_type);
        break;
    case 1:
    case 2:
        node = STRESS_NEW_ITEMS(&items_type, stress_below(worker, MOST_ITEMS + 1));
        break;
    case 3:
        node = STRESS_NEW(&traversed_type);
        node->length = FIELDS;
        break;
    default:
        node = STRESS_NEW(&fixed_type);
        node->length = FIELDS;
    }
    stress_tag_bear(&node->tag);
    return node;
}

static struct held *any_held(struct hands *hands)
{
    return &hands->held[stress_below(hands->worker, HELD)];
}

/* One operation on a field of a root, an owned object, or a borrowed one. */
static void act(struct hands *hands, node_ref *field)
{
    struct held *held = any_held(hands), *other = any_held(hands);
    look(held, "act");
    look(other, "act");
    switch (stress_below(hands->worker, 8)) {
    case 0:
        put(held, gari_load(field));
        break;
    case 1:
        gari_store(field, held->node);
        break;
    case 2:
        gari_move(field, held->node);
        *held = (struct held){NULL, 0};
        break;
    case 3:
        put(held, gari_take(field));
        break;
    case 4: {
        struct node *old = gari_exchange(field, held->node);
        *held = (struct held){NULL, 0};
        put(held, old);
        break;
    }
    case 5: {
        struct node *expected = other->node;
        if (held == other)
            break;
        if (gari_compare_exchange(field, expected, held->node)) {
            *held = (struct held){NULL, 0};
            put(held, expected);
        }
        break;
    }
    case 6:
        gari_store(field, NULL);
        break;
    default: {
        gari_read_begin();
        struct node *node = gari_borrow(field);
        if (node) {
            uint64_t id = stress_tag_readable(&node->tag, "borrowed");
            stress_dawdle(hands->worker);
            if (gari_try_incref(node)) {
                stress_tag_alive(&node->tag, id, "try_incref");
                put(held, node);
            }
            stress_tag_same(&node->tag, id, "borrowed");
        }
        gari_read_end();
    }
    }
}

/* Walks from a root by borrowed pointers, and acts where it ends. */
static void walk(struct hands *hands)
{
    struct stress_worker *worker = hands->worker;
    gari_read_begin();
    struct node *node = gari_borrow(&roots[stress_below(worker, ROOTS)]);
    struct node *last = NULL;
    uint64_t id = 0;
    for (unsigned steps = stress_below(worker, 8); node && steps > 0; steps--) {
        last = node;
        id = stress_tag_readable(&node->tag, "walk");
        if (node->length == 0)
            break;
        node = gari_borrow(&node->edge[stress_below(worker, (unsigned)node->length)]);
    }
    stress_dawdle(worker);
    if (last) {
        stress_tag_same(&last->tag, id, "end of a walk");
        if (last->length)
            act(hands, &last->edge[stress_below(worker, (unsigned)last->length)]);
        stress_tag_same(&last->tag, id, "after a change to a borrowed object");
    }
    gari_read_end();
}

/* Keeps the graph from growing without end. */
static void thin_out(struct hands *hands)
{
    for (int i = 0; i < ROOTS / 2; i++)
        gari_store(&roots[stress_below(hands->worker, ROOTS)], NULL);
    for (int i = 0; i < HELD; i++)
        put(&hands->held[i], NULL);
    gari_collect((int)stress_below(hands->worker, 3));
}

static void work(struct stress_worker *worker)
{
    struct hands hands = {.worker = worker};
    while (stress_tick(worker)) {
        struct held *held = any_held(&hands);
        switch (stress_below(worker, 8)) {
        case 0:
        case 1:
            put(held, make(worker));
            break;
        case 2:
        case 3:
        case 4:
            look(held, "owned");
            if (held->node && held->node->length) {
                /* Its own reference, for act may give the other one away. */
                struct node *node = gari_incref(held->node);
                act(&hands, &node->edge[stress_below(worker, (unsigned)node->length)]);
                gari_decref(node);
            }
            break;
        case 5:
            act(&hands, &roots[stress_below(worker, ROOTS)]);
            break;
        case 6:
            walk(&hands);
            break;
        default:
            put(held, held->node ? NULL : gari_load(&roots[stress_below(worker, ROOTS)]));
        }
        if (stress_once_in(worker, 2000)) {
            if (stress_births() - stress_deaths() > MOST_ALIVE)
                thin_out(&hands);
            else if (stress_once_in(worker, 16))
                gari_collect((int)stress_below(worker, 3));
            else
                gari_step(1000);
        }
    }
    for (int i = 0; i < HELD; i++)
        put(&hands.held[i], NULL);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 3, "random changes to a shared graph beside the collector");
    stress_run(stress.threads, work);
    for (int i = 0; i < ROOTS; i++)
        gari_store(&roots[i], NULL);
    stress_settle(0);
    stress_check_shadow(0);
    return stress_end();
}
