/* What the tests of sweeps share: rings by the thousand, until so many collections have swept. */
#ifndef GARI_TESTS_SUPPORT_SWEEP_H
#define GARI_TESTS_SUPPORT_SWEEP_H

#include "tests/support.h"

#define SWEEPS (SANITIZED ? 5 : 20)
#define ROUNDS 10000

/* How many collections have swept. */
uint64_t swept(void);

/* Rings of several sizes, all within a block, but for a few of each; so many that a collection comes every
 * few calls. */
void make_rings(void);

/* Plays the round, between two calls of make_rings, until SWEEPS collections have swept; returns how often. */
size_t play(void (*round)(size_t number));

/* Nothing is asked for: collections of all generations come as they are due. */
void make_rings_until(bool (*done)(void));

/* Nodes of watched_type that a test has made; and whether all of them are gone. */
extern long watched_made;
bool all_are_disposed_of(void);

#endif
