/* Limbo: memory of dead objects waits for a grace period before it is used again (R6).
 *
 * Retired objects gather in their blocks' LIMBO lists. Sealing takes all of them as one batch under
 * one grace-period ticket; a batch whose ticket has passed is ripe, and whoever has time frees its
 * objects in bounded slices: looks at their fields once more, calls reclaim, puts the slots back.
 * gari_defer's callbacks wait in the same way. */
#ifndef GARI_OBJECT_LIMBO_H
#define GARI_OBJECT_LIMBO_H

#include "lib/object/self.h"

/* Objects that one slice of a user's thread frees at most. */
#define GARI__LIMBO_BUDGET 256u

struct gari__limbo_stats {
    uint64_t objects;
    uint64_t bytes;
    uint64_t deferred; /* calls */
};

/* Objects of one block, linked from head to tail, that nothing holds any more, wait for a grace period
 * from here on. `load` is what they count for when it is time to seal a batch. */
void gari__limbo_put(struct gari__object_thread *self, struct gari__block *block, uint32_t head,
                     uint32_t tail, uint32_t count, size_t load);

/* Puts what waits under a ticket. */
void gari__limbo_seal(void);

/* The same if no batch is under way: for threads that see to it themselves. Never waits. Returns
 * whether there is none that was not just sealed. */
bool gari__limbo_seal_idle(void);

/* Frees up to `budget` objects of ripe batches and runs ripe deferred calls. Outside of gari's
 * sections. Returns the budget that is left: more than 0 when nothing is ripe. `patient`: it looks for the
 * grace period only in a way that interrupts nobody. */
size_t gari__limbo_free(struct gari__object_thread *self, size_t budget, bool patient);

/* What the oldest sealed batch waits for, or 0 (a hint). */
uint64_t gari__limbo_next_ticket(void);

/* Whether anything waits in limbo, ripe or not. */
bool gari__limbo_any(void);

/* The ticket of the youngest sealed batch: when it has passed, all sealed batches are ripe. */
uint64_t gari__limbo_last_ticket(void);

struct gari__limbo_stats gari__limbo_read_stats(void);

/* Calls visit for every block of a batch, for the heap's check, while nobody else is at work. */
void gari__limbo_walk(void (*visit)(const struct gari__block *block, void *arg), void *arg);

void gari__limbo_before_fork(void);
/* In the child, before the records are forgotten: counts what waits, but for what lies in the blocks'
 * own lists, which gari__limbo_recount adds. `self` is the forking thread's record or NULL. */
void gari__limbo_after_fork(const struct gari__object_thread *self);
void gari__limbo_recount(const struct gari__block *block, size_t objects);

#endif
