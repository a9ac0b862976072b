/* demo on bdwgc: the example's graph, with lib/gari.h replaced by bdwgc_gari.h. */
#include "bench/demo/graph.h"

static void demo_begin(void)
{
    GC_INIT();
}

static void demo_end(void)
{
    bench_put("collections", (double)GC_get_gc_no());
}
#include "bench/demo/demo.h"
