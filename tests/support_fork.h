/* What the tests of fork share: a child that does with gari everything that a process does. */
#ifndef GARI_TESTS_SUPPORT_FORK_H
#define GARI_TESTS_SUPPORT_FORK_H

#include "tests/support.h"

#include <stdatomic.h>
#include <sys/types.h>

enum { LENGTH = 50 };
extern struct node *kept; /* a ring of LENGTH watched nodes, owned by the test */

/* In a child: it ends at once when something is wrong, or never ends. */
void prepare_child(void);
/* Everything that a process does with gari. `others`: threads that do not exist here may have owned
 * something. `generations`: so many children, children's children ... do it too. */
void live(bool others, int generations);
/* In the parent: the child has come to a good end. */
void wait_for_child(pid_t child);
void end_parent(void);

/* All of that. */
void fork_and_live(bool others, int generations);
/* For threads that are not the test's own, which has `kept` and waits. */
void fork_unattached(void *arg);

/* Makes garbage of watched nodes; for threads. */
void *make_and_drop(void *arg);

/* Nodes whose finalizer counts, and a callback that does. */
extern const gari_type finalized_type;
extern atomic_int finalized, called;
void count_call(void *arg);

#endif
