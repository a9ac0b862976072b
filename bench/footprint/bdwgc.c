/* footprint on bdwgc. */
#define GC_THREADS 1
#include <gc.h>

#include "bench/driver.h"

#include "bench/footprint/shape.h"

struct node {
    struct node *next, *prev;
    uint64_t payload;
};

#define NEW(size) GC_MALLOC(size)
#define DROP(node) ((void)(node))
#define COUNT(node) ((void)(node))
#include "bench/footprint/plain.h"

static void footprint_begin(size_t rings)
{
    GC_INIT();
    table = GC_MALLOC_UNCOLLECTABLE(rings * sizeof(*table));
    touch_table(rings);
}
static void footprint_collect(void)
{
    GC_gcollect();
}
static void footprint_end(void)
{
    bench_put("collections", (double)GC_get_gc_no());
}
#include "bench/footprint/footprint.h"
