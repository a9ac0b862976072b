// reads on std::shared_ptr. --way 0: std::atomic<std::shared_ptr> (C++20). --way 1: std::atomic_load
// of a plain one (C++11). --way 2: a copy of one that nobody may write to.
#include "bench/reads/reads.h"

#include <atomic>
#include <memory>

struct object {
    uint64_t value;
};
static std::shared_ptr<object> plain;
static std::atomic<std::shared_ptr<object>> current;

static void reads_begin()
{
    bench_check(reads_way < 3, "--way must be 0, 1 or 2");
    plain = std::make_shared<object>();
    plain->value = READS_VALUE;
    current.store(plain);
}

static void reads_run(int thread)
{
    if (reads_way == 0)
        READS_LOOP(sum += current.load()->value);
    else if (reads_way == 1)
        READS_LOOP(sum += std::atomic_load(&plain)->value);
    else
        READS_LOOP(std::shared_ptr<object> copy = plain; sum += copy->value);
}

static void reads_end()
{
}
