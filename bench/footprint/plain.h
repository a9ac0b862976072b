/* footprint on plain pointers, made with NEW(size), dropped with DROP(node). */
#ifndef BENCH_FOOTPRINT_PLAIN_H
#define BENCH_FOOTPRINT_PLAIN_H

static struct node **table;

static struct node *make_node(size_t payload)
{
    struct node *node = NEW(sizeof(*node));
    bench_check(node != NULL, "out of memory");
    node->payload = payload;
    COUNT(node);
    return node;
}

static void footprint_put(size_t place)
{
    struct node *first = make_node(place), *last = first;
    for (int i = 1; i < FOOTPRINT_RING; i++) {
        struct node *node = make_node(place);
        node->prev = last;
        last->next = node;
        last = node;
    }
    last->next = first;
    first->prev = last;
    struct node *replaced = table[place];
    table[place] = first;
    if (replaced)
        for (int i = 0; i < FOOTPRINT_RING; i++) {
            struct node *next = replaced->next;
            DROP(replaced);
            replaced = next;
        }
}

static void touch_table(size_t rings)
{
    bench_check(table != NULL, "out of memory");
    for (size_t i = 0; i < rings; i++)
        __atomic_store_n(&table[i], NULL, __ATOMIC_RELAXED); /* touches every page */
}

#endif
