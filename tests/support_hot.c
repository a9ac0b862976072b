#include "tests/support_hot.h"

atomic_int hot_deaths;

void count_hot_death(void *self)
{
    (void)self;
    atomic_fetch_add(&hot_deaths, 1);
}

bool one_has_died(void *arg)
{
    (void)arg;
    return atomic_load(&hot_deaths) > 0;
}

const gari_type hot_type = GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any),
                                     .dispose = count_hot_death, .flags = GARI_TYPE_HOT);
const gari_type hot_leaf_type =
    GARI_TYPE(struct leaf, .dispose = count_hot_death, .flags = GARI_TYPE_HOT);

struct node *hot_nodes[MANY];
node_root hot_root;

static struct gate has_kept = GATE_CLOSED, may_end = GATE_CLOSED;

void keep(void)
{
    struct node *node = gari_load(&hot_root);
    gari_incref(node);
    gari_decref(node);
    gari_decref(node);
}

static void *keep_and_wait(void *arg)
{
    keep();
    gate_open(&has_kept);
    gate_wait(&may_end);
    return arg;
}

pthread_t start_keeper(void)
{
    has_kept.open = may_end.open = false;
    pthread_t thread = start_thread(keep_and_wait, NULL);
    gate_wait(&has_kept);
    return thread;
}

void end_keeper(pthread_t keeper)
{
    gate_open(&may_end);
    join_thread(keeper);
}

pthread_t start_with_kept(const gari_type *type)
{
    gari_move(&hot_root, new_node(type, 0));
    return start_keeper();
}
