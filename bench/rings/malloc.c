/* rings freed by hand, with perfect knowledge of what is garbage: the floor for any collector on the
 * same malloc (whichever is preloaded). */
#include "bench/driver.h"

#define NEW(size) malloc(size)
#include "bench/rings/plain.h"

static void ring_drop(struct node *ring)
{
    struct node *node = ring->next;
    while (node != ring) {
        struct node *next = node->next;
        free(node);
        node = next;
    }
    free(ring);
}

static void rings_begin(void)
{
}
static void rings_collect(void)
{
}
static void rings_end(void)
{
}
#include "bench/rings/rings.h"
