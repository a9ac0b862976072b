/* What the tests of the containers put into them. */
#ifndef GARI_TESTS_SUPPORT_NODES_H
#define GARI_TESTS_SUPPORT_NODES_H

#include "tests/support.h"

enum { NODES = 64 };
extern struct node *nodes[NODES]; /* of values 0, 1, ... */

/* In manual mode. */
void make_nodes(void);
/* Nobody else has a reference to a node any more, and nothing is left. */
void drop_nodes(void);

#endif
