/* footprint by hand: a node with a count of 8 bytes, freed when its ring is replaced. With UNCOUNTED,
 * no count: the limit. */
#include "bench/driver.h"

#include "bench/footprint/shape.h"

struct node {
#ifndef UNCOUNTED
    uint64_t count;
#endif
    struct node *next, *prev;
    uint64_t payload;
};

#define NEW(size) malloc(size)
#define DROP(node) free(node)
#ifndef UNCOUNTED
#define COUNT(node) ((node)->count = 1)
#else
#define COUNT(node) ((void)(node))
#endif
#include "bench/footprint/plain.h"

static void footprint_begin(size_t rings)
{
    table = malloc(rings * sizeof(*table));
    touch_table(rings);
}
static void footprint_collect(void)
{
}
static void footprint_end(void)
{
}
#include "bench/footprint/footprint.h"
