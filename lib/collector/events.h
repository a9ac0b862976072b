/* Telling the service when collections start and stop, with no lock of gari held.
 *
 * What is to be told is noted under the collector's lock, and delivered later by whoever comes by
 * without it: one thread at a time, in the order of the notes. A collection that could not be noted
 * from its start to its stop is not told of at all. */
#ifndef GARI_COLLECTOR_EVENTS_H
#define GARI_COLLECTOR_EVENTS_H

#include "lib/object/self.h"

/* Notes the start of a collection; false when nobody listens or too much waits already: then its stop
 * must not be noted. `asked`: it was asked for by a callback. Any thread, waits for nothing. */
bool gari__events_start(int generation, bool asked);
/* Notes the stop of a collection whose start was. */
void gari__events_stop(const gari_collection *collection, bool asked);

/* Whether something is noted that has not been delivered. */
bool gari__events_any(void);

/* Calls the callbacks for what is noted, unless another thread is at it, or the caller is in a read
 * section or a callback. Returns whether something is left (a hint). Without any lock. */
bool gari__events_deliver(struct gari__object_thread *self);

/* The same, and waits until all that was noted before the call has been delivered by somebody. */
void gari__events_finish(struct gari__object_thread *self);

void gari__events_before_fork(void);
/* In the child. `mine`: the forking thread is in a listener; `promised`: how many stops are owed. */
void gari__events_after_fork(bool mine, unsigned promised);

#endif
