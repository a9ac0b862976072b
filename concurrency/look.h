/* Grace periods that nobody waits for: they are looked for, by whoever has an interest and time.
 *
 * A look notes, after a full barrier on every thread of the process, which readers are in a section;
 * later looks at the same grace period ask whether those have left it. When all have been seen outside,
 * it is over. Mostly nobody is in a section and one call does it, for the price of a system call: no
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
 * Never waits. When that is held up for long, or looks are impossible, it asks the grace thread. */
bool gari__grace_look(uint64_t ticket);

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
