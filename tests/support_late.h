/* What the tests of late death share: trees that are given back so. */
#ifndef GARI_TESTS_SUPPORT_LATE_H
#define GARI_TESTS_SUPPORT_LATE_H

#include "tests/support.h"

struct tree {
    gari_object header;
    long value;
    GARI_REF(struct tree) left, right;
    gari_ref any;
};
extern const gari_type tree_type;

struct tree *new_tree(const gari_type *type);
/* 2^depth - 1 objects. */
struct tree *build_tree(const gari_type *type, int depth);

#endif
