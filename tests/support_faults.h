/* What the tests of refused requests share: calls that may fail, what must be true afterwards, and the walk
 * through a scenario in which every request fails in turn. */
#ifndef GARI_TESTS_SUPPORT_FAULTS_H
#define GARI_TESTS_SUPPORT_FAULTS_H

#include "tests/support.h"

#include <stdatomic.h>

/* ---- What is tried ------------------------------------------------------------------------ */

/* What has been done, and what is to have happened in the end: every object that is `made` and watched is
 * disposed of and reclaimed. */
extern struct tally {
    atomic_long made;
    atomic_long owed_calls, called;
    atomic_long defers_taken, defers_called;
} tally;

/* Whether a call that returned this was refused memory; it can be nothing else. */
bool refused(int error);
struct node *try_node(const gari_type *type, long value);
/* As long a ring as there is memory for; owned by its first node. */
struct node *try_ring(const gari_type *type, size_t length);
/* One that counts in tally.defers_called, which is its argument. */
void try_defer(void);
void count_defer(void *arg);

/* Nodes whose finalizer takes memory; those of value 3 it brings back, until they are dropped. */
extern const gari_type final_type;
void drop_brought_back(void);

/* ---- Walking ------------------------------------------------------------------------------ */

/* The scenario with the nth request refused, for n = 1, 2, ..., in all modes, with all later ones and with
 * one other; after each, that all is as it should be. It has at least so many. */
void walk_all(void (*scenario)(void), long least);

#define WALK(suite, scenario, least)                                                               \
    Test(suite, in_##scenario)                                                                     \
    {                                                                                              \
        walk_all(scenario, least);                                                                 \
    }

#endif
