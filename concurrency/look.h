/* Grace periods that nobody waits for: they are looked for, by whoever has an interest and time.
 *
 * Threads that come for memory, or are about to sleep, say that they rest: that they are in no section, and
 * will say so before they begin the next one; and which grace period was the last to have begun by then. A
 * look finds it over, for a barrier of its own, when each reader rests, or has done so since it began. (So
 * does quiescent-state-based reclamation, as liburcu's QSBR flavour; here nobody has to.)
 *
 * Otherwise a look notes, after a full barrier on every thread of the process, which readers are in a section;
 * later looks at the same grace period ask whether those have left it. When all have been seen outside,
 * it is over. Mostly nobody is in a section and one call does it, for the price of a system call that interrupts
 * all processors on which the process runs: no
 * thread is woken, and no section is waited for (liburcu sleeps 10 ms when it meets a long one).
 *
 * Which readers there are is known because gari's sections (rcu.h) list them at the thread's first one.
 * Sections that a program makes with liburcu itself are not looked at: they are none of gari's. Where
 * the barrier or the list cannot be had no look succeeds, and liburcu's grace periods remain. */
#ifndef GARI_CONCURRENCY_LOOK_H
#define GARI_CONCURRENCY_LOOK_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the ticket's grace period is over; begins one, or goes on with the one that is under way.
 * Never waits. When that is held up for long, or looks are impossible, it asks the grace thread. `patient`: only if
 * all readers have rested, which interrupts nobody. */
bool gari__grace_look(uint64_t ticket, bool patient);

/* The calling thread rests, unless it is in a section: for where it is about to do something else for a while. What it
 * costs is that its next section begins with a barrier. */
void gari__reader_rest(void);

/* A full barrier on every thread of the process that is running: a system call; where there is none for it, on
 * those that are in a section, or begin or end one, for then these are barriers. False: it cannot be had now. */
bool gari__readers_barrier(void);
/* Whether it is one on every thread. */
bool gari__has_barrier(void);

/* Before liburcu's part of a fork, and after it, in both processes. */
void gari__readers_before_fork(void);
void gari__readers_after_fork(void);
void gari__looks_before_fork(void);
void gari__looks_after_fork(void);

#endif
