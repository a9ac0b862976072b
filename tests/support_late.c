#include "tests/support_late.h"

const gari_type tree_type = GARI_TYPE(struct tree, .refs = GARI_REFS(struct tree, left, right, any),
                                      .flags = GARI_TYPE_LATE);

struct tree *new_tree(const gari_type *type)
{
    struct tree *tree = gari_new(type);
    check(tree != NULL);
    return tree;
}

struct tree *build_tree(const gari_type *type, int depth)
{
    struct tree *tree = new_tree(type);
    if (depth > 1) {
        gari_init(&tree->left, build_tree(type, depth - 1));
        gari_init(&tree->right, build_tree(type, depth - 1));
    }
    return tree;
}
