/* reads under userspace-rcu's bulletproof flavour, inlined as its own users may have it. --way 0: a
 * read section with nothing in it. --way 1: one that reads the shared object. */
#include "bench/reads/reads.h"

#define _LGPL_SOURCE
#include <urcu/urcu-bp.h>

struct object {
    uint64_t value;
};
static struct object *shared;

static void reads_begin(void)
{
    bench_check(reads_way < 2, "--way must be 0 or 1");
    struct object *object = malloc(sizeof(*object));
    bench_check(object != NULL, "out of memory");
    object->value = READS_VALUE;
    rcu_assign_pointer(shared, object);
}

static void reads_run(int thread)
{
    if (reads_way == 0)
        READS_LOOP({
            urcu_bp_read_lock();
            BENCH_CLOBBER();
            urcu_bp_read_unlock();
        });
    else
        READS_LOOP({
            urcu_bp_read_lock();
            sum += rcu_dereference(shared)->value;
            BENCH_CLOBBER();
            urcu_bp_read_unlock();
        });
}

static void reads_end(void)
{
    free(shared);
}
