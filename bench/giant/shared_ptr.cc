// giant on std::shared_ptr.
#include "bench/driver.h"

#include <memory>

struct node {
    std::shared_ptr<node> left, right;
    uint64_t payload;
};

static std::shared_ptr<node> root;

static std::shared_ptr<node> build(size_t nodes)
{
    auto made = std::make_shared<node>();
    made->payload = nodes--;
    if (nodes > 0)
        made->left = build((nodes + 1) / 2);
    if (nodes > 1)
        made->right = build(nodes / 2);
    return made;
}

static void giant_begin()
{
}
static void giant_build(size_t nodes)
{
    root = build(nodes);
}
static void giant_drop()
{
    root.reset();
}
static inline void giant_small()
{
    auto made = std::make_shared<node>();
    node *raw = made.get();
    BENCH_KEEP(raw);
}
static long giant_left()
{
    return 0;
}
static void giant_end()
{
}
#include "bench/giant/giant.h"
