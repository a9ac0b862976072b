/* counts by hand: a C11 atomic in each object. --atomic 0: a plain load and store instead, which only
 * one thread may do (the limit of what any scheme for owners can reach). */
#include "bench/driver.h"

#include <stdatomic.h>

struct object {
    _Alignas(64) _Atomic uint64_t count;
    uint64_t payload;
};
typedef struct object *object_ref;
static int atomically;

static object_ref object_make(void)
{
    object_ref object = aligned_alloc(64, sizeof(*object));
    bench_check(object != NULL, "out of memory");
    atomic_init(&object->count, 1);
    return object;
}

static inline void object_pair(object_ref object)
{
    if (atomically) {
        atomic_fetch_add_explicit(&object->count, 1, memory_order_acq_rel);
        atomic_fetch_sub_explicit(&object->count, 1, memory_order_acq_rel);
        return;
    }
    uint64_t count = atomic_load_explicit(&object->count, memory_order_relaxed);
    atomic_store_explicit(&object->count, count + 1, memory_order_relaxed);
    BENCH_CLOBBER();
    count = atomic_load_explicit(&object->count, memory_order_relaxed);
    atomic_store_explicit(&object->count, count - 1, memory_order_relaxed);
    BENCH_CLOBBER();
}

static void counts_begin(void);
static void counts_end(void);
#define COUNTS_ARGUMENTS "--atomic "
#include "bench/counts/counts.h"

static void counts_begin(void)
{
    atomically = bench_long("--atomic", 1) != 0;
}

static void counts_end(void)
{
    for (unsigned i = 0; i < counts_number; i++) {
        bench_check(atomic_load(&counts_objects[i]->count) == 1, "a count is wrong");
        free(counts_objects[i]);
    }
}
