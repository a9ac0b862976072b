/* reads with a count by hand. --way 0: nothing at all, a bare load (the limit; nobody could ever
 * free the object). --way 1: an atomic count (unsafe if anybody replaced the object meanwhile; what
 * counting alone costs). --way 2: the count, taken under a pthread_rwlock. */
#include "bench/reads/reads.h"

#include <stdatomic.h>

struct object {
    _Alignas(64) _Atomic uint64_t count;
    uint64_t value;
};
static struct object *_Atomic shared;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

static void reads_begin(void)
{
    bench_check(reads_way < 3, "--way must be 0, 1 or 2");
    struct object *object = aligned_alloc(64, sizeof(*object));
    bench_check(object != NULL, "out of memory");
    object->value = READS_VALUE;
    atomic_init(&object->count, 1);
    atomic_store(&shared, object);
}

static inline void drop(struct object *object)
{
    atomic_fetch_sub_explicit(&object->count, 1, memory_order_acq_rel);
}

static void reads_run(int thread)
{
    if (reads_way == 0)
        READS_LOOP({
            sum += atomic_load_explicit(&shared, memory_order_acquire)->value;
            BENCH_CLOBBER();
        });
    else if (reads_way == 1)
        READS_LOOP({
            struct object *object = atomic_load_explicit(&shared, memory_order_acquire);
            atomic_fetch_add_explicit(&object->count, 1, memory_order_acq_rel);
            sum += object->value;
            drop(object);
        });
    else
        READS_LOOP({
            pthread_rwlock_rdlock(&lock);
            struct object *object = atomic_load_explicit(&shared, memory_order_relaxed);
            atomic_fetch_add_explicit(&object->count, 1, memory_order_acq_rel);
            pthread_rwlock_unlock(&lock);
            sum += object->value;
            drop(object);
        });
}

static void reads_end(void)
{
    bench_check(atomic_load(&atomic_load(&shared)->count) == 1, "a count is wrong");
    free(atomic_load(&shared));
}
