/* demo on bdwgc: the example's graph, with lib/gari.h replaced by bdwgc_gari.h. */
#include "bench/driver.h"

#include "examples/pkggraph/lookup.h"

static archive_root current;

static void demo_begin(void)
{
    GC_INIT();
}

static void demo_load(const struct catalog *catalog, uint64_t serial)
{
    struct archive *archive = index_build(catalog, serial, NULL, NULL);
    bench_check(archive != NULL, "out of memory");
    gari_move(&current, archive);
}

static archive_root *demo_current(void)
{
    return &current;
}

static void demo_withdraw(void)
{
    gari_move(&current, NULL);
}

static void demo_end(void)
{
    bench_put("collections", (double)GC_get_gc_no());
}
#include "bench/demo/demo.h"
