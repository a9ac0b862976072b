// counts on std::shared_ptr: a copy, and its end. The process has threads, so the counts are atomic.
#include "bench/driver.h"

#include <memory>

struct object {
    uint64_t payload[3];
};
typedef std::shared_ptr<object> *object_ref;

static object_ref object_make()
{
    return new std::shared_ptr<object>(std::make_shared<object>());
}

static inline void object_pair(object_ref owner)
{
    std::shared_ptr<object> copy = *owner;
    object *raw = copy.get();
    BENCH_KEEP(raw);
}

static void counts_begin()
{
}
static void counts_end();
#define COUNTS_ARGUMENTS ""
#include "bench/counts/counts.h"

static void counts_end()
{
    for (unsigned i = 0; i < counts_number; i++) {
        bench_check(counts_objects[i]->use_count() == 1, "a count is wrong");
        delete counts_objects[i];
    }
}
