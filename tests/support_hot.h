/* What the tests of hot types share: types that count their deaths, and a thread that keeps a reference to what the
 * root has, and then does nothing. */
#ifndef GARI_TESTS_SUPPORT_HOT_H
#define GARI_TESTS_SUPPORT_HOT_H

#include "tests/support.h"

#include <stdatomic.h>

/* The checked build keeps nothing. */
#ifdef GARI_CHECKED
enum { KEEPS = false };
#else
enum { KEEPS = true };
#endif

extern const gari_type hot_type, hot_leaf_type;

/* How many objects of these types have died. */
extern atomic_int hot_deaths;
void count_hot_death(void *self);
bool one_has_died(void *arg);

/* More objects of hot_type than a thread keeps references to. */
enum { MANY = 2000, MOST_KEPT = 256 };
extern struct node *hot_nodes[MANY];

typedef GARI_ROOT(struct node) node_root;
extern node_root hot_root;

/* Takes a reference from the root and gives it back. */
void keep(void);

/* A thread that does so, once it has; it ends when it is told to. */
pthread_t start_keeper(void);
void end_keeper(pthread_t keeper);

/* The same with a new object that only the root has. */
pthread_t start_with_kept(const gari_type *type);

#endif
