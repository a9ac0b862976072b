/* Grace periods as tickets.
 *
 * A ticket names a grace period that begins after the ticket was taken; it has passed when every
 * read section that was open when it was taken has ended. Many tickets share one grace period. A
 * thread of gari's own does the waiting (liburcu blocks all signals meanwhile, and a mutator must
 * not wait at all); where there is none (manual mode, thread creation failed), whoever waits does
 * it. */
#ifndef GARI_CONCURRENCY_GRACE_H
#define GARI_CONCURRENCY_GRACE_H

#include <stdbool.h>
#include <stdint.h>

struct gari__grace_stats {
    uint64_t periods;
    uint64_t longest_ns;
};

/* Takes a ticket and asks for its grace period. Never waits for one; may be called in a section. */
uint64_t gari__grace_ticket(void);
/* The same without asking: for who will look for it (look.h), or ask later. */
uint64_t gari__grace_note(void);
void gari__grace_ask(uint64_t ticket);

/* For looks: a grace period begins now, and is over. In between there may be others. Its number is also the ticket of
 * whatever its caller has done before. */
uint64_t gari__grace_begin(void);
void gari__grace_end(uint64_t number);

/* How many have begun: the number of the last one. Atomically. */
extern uint64_t gari__grace_begun;

/* Whether the ticket's grace period is over (acquire: pairs with the end of the wait, so that what
 * readers did in their sections happened before). */
bool gari__grace_passed(uint64_t ticket);

/* Waits until it is, at most timeout_ns (0: for ever, and the only choice that can drive a grace
 * period itself). Not in a section. Returns whether it has passed. */
bool gari__grace_wait(uint64_t ticket, uint64_t timeout_ns);

/* Starts gari's grace thread; false when the system gives none. Stopping it completes all tickets. */
bool gari__grace_start(void);
void gari__grace_stop(void);
bool gari__grace_has_thread(void);

struct gari__grace_stats gari__grace_read_stats(void);

/* fork(): liburcu has been seen to by the caller. */
void gari__grace_before_fork(void);
void gari__grace_after_fork(void);

#endif
