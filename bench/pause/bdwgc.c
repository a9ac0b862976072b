/* pause on bdwgc. --incremental 1: its incremental mode, which learns of writes by page protection. */
#define GC_THREADS 1
#include <gc.h>

#include "bench/driver.h"

#include "bench/pause/shape.h"

struct node {
    struct node *refs[3];
    uint64_t payload;
};

static inline void drop_ring(struct node *ring)
{
    (void)ring;
}

#define NEW(size) GC_MALLOC(size)
#include "bench/pause/plain.h"

static void pause_begin(uint64_t count)
{
    GC_INIT();
    if (bench_long("--incremental", 0))
        GC_enable_incremental();
    build_live(count);
}
static void pause_end(void)
{
    bench_put("collections", (double)GC_get_gc_no());
}
#define PAUSE_ARGUMENTS "--incremental "
#include "bench/pause/pause.h"
