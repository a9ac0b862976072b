/* counts, biased: the least that a pair costs when an object's owner counts in a word of his own, with
 * plain loads and stores, and others can take that right away by a grace period, without his help
 * (Choi, Shull and Torrellas, PACT 2018, but for the handing over). Each operation announces itself by
 * a read section, sees that the object is its thread's, and updates version and count. Nothing is ever
 * taken away here, and nothing is shared: a bound for gari, not a library.
 *
 * What it would cost others: whoever drops what may be the last reference to another thread's object
 * has to know the owner's word as of now. Without waiting for a grace period he needs a barrier on the
 * owner's processor, membarrier(2): membarrier_us, beside a thread that is running.
 *
 * --called 1   the operations are functions that are called, as a library's are (1) */
#include "bench/driver.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#define _LGPL_SOURCE
#include <urcu/urcu-bp.h>

#define OWNER_MASK UINT64_C(0xffff)
#define COUNT_ONE UINT64_C(0x10000)
#define VERSION_ONE UINT64_C(0x100000000)

struct object {
    _Alignas(64) uint64_t shared, local; /* local: version | count | owner */
    uint64_t payload;
};
typedef struct object *object_ref;
static bool called;
static __thread uint64_t self = 1;

static object_ref object_make(void)
{
    object_ref object = aligned_alloc(64, sizeof(*object));
    bench_check(object != NULL, "out of memory");
    *object = (struct object){0, COUNT_ONE | self, 0};
    return object;
}

static inline void update(object_ref object, uint64_t difference)
{
    urcu_bp_read_lock();
    uint64_t local = __atomic_load_n(&object->local, __ATOMIC_RELAXED);
    if (__builtin_expect((local & OWNER_MASK) == self, 1))
        __atomic_store_n(&object->local, local + difference, __ATOMIC_RELEASE);
    else
        __atomic_fetch_add(&object->shared, difference, __ATOMIC_ACQ_REL);
    urcu_bp_read_unlock();
}

static __attribute__((noinline)) void incref(object_ref object)
{
    update(object, VERSION_ONE + COUNT_ONE);
}

static __attribute__((noinline)) void decref(object_ref object)
{
    update(object, -COUNT_ONE);
    bench_check(object->local >= COUNT_ONE, "a count is wrong"); /* would be its death */
}

static inline void object_pair(object_ref object)
{
    if (called) {
        incref(object);
        decref(object);
        return;
    }
    update(object, VERSION_ONE + COUNT_ONE);
    BENCH_CLOBBER();
    update(object, -COUNT_ONE);
    BENCH_CLOBBER();
}

static void counts_begin(void);
static void counts_end(void);
#define COUNTS_ARGUMENTS "--called "
#include "bench/counts/counts.h"

static void counts_begin(void)
{
    called = bench_long("--called", 1) != 0;
}

static bool stop;

static void *run(void *unused)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        continue;
    return unused;
}

static void put_membarrier(void)
{
    enum { CALLS = 20000 };
    pthread_t other;
    bench_check(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0,
                "no membarrier");
    bench_check(pthread_create(&other, NULL, run, NULL) == 0, "no thread");
    uint64_t start = bench_now();
    for (int i = 0; i < CALLS; i++)
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    bench_put("membarrier_us", (double)(bench_now() - start) / 1e3 / CALLS);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(other, NULL);
}

static void counts_end(void)
{
    put_membarrier();
    for (unsigned i = 0; i < counts_number; i++)
        free(counts_objects[i]);
}
