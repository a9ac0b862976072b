// trees on std::shared_ptr: make_shared, walked through plain pointers.
#include "bench/driver.h"

#include <memory>

struct node {
    std::shared_ptr<node> left, right;
};

typedef std::shared_ptr<node> tree;

static tree tree_build(int depth)
{
    tree made = std::make_shared<node>();
    if (depth > 0) {
        made->left = tree_build(depth - 1);
        made->right = tree_build(depth - 1);
    }
    return made;
}

static long count(const node *from)
{
    return from->left ? 1 + count(from->left.get()) + count(from->right.get()) : 1;
}

static long tree_walk(const tree &root)
{
    return count(root.get());
}

static void tree_drop(tree *root)
{
    root->reset();
}

static void trees_begin()
{
}
static void trees_finish()
{
}
static void trees_end()
{
}
#include "bench/trees/trees.h"
