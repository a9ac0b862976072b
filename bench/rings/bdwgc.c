/* rings on bdwgc: dropped, and one forced collection at the end of the round. */
#define GC_THREADS 1
#include <gc.h>

#include "bench/driver.h"

#define NEW(size) GC_MALLOC(size)
#include "bench/rings/plain.h"

static void ring_drop(struct node *ring)
{
    (void)ring;
}

static void rings_begin(void)
{
    GC_INIT();
}
static void rings_collect(void)
{
    GC_gcollect();
}
static void rings_end(void)
{
    bench_put("collections", (double)GC_get_gc_no());
}
#include "bench/rings/rings.h"
