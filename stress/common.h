/* What the stress programs share: options, workers with a watchdog, verdicts.
 *
 * A program is main -> stress_begin -> stress_run (workers loop on stress_tick until the time is
 * up)
 * -> stress_settle -> stress_check for every invariant -> stress_end. A violation met by a worker
 * ends the process at once: stress_fail. The last line of output is always `N passed, N failed`. */
#ifndef GARI_STRESS_COMMON_H
#define GARI_STRESS_COMMON_H

#include "concurrency/atomics.h"
#include "lib/gari.h"

#include <stdio.h>

struct stress_options {
    double seconds;
    unsigned threads;
    uint64_t seed;
    unsigned perturb;
    unsigned watchdog;
    unsigned progress; /* seconds between two lines; 0: none */
    gari_mode mode;
    const char *mutant;
    bool plain;
    bool steps; /* at the end, says which were come to */
    bool abort;
};

extern struct stress_options stress;

/* What a program adds to a line of --progress: " name=number" for each figure. NULL: nothing. */
extern void (*stress_report)(FILE *file);

struct stress_worker {
    unsigned index;      /* from 0 */
    uint64_t random;     /* never 0 */
    uint64_t operations; /* atomically */
    bool running;        /* atomically */
};

/* Reads the options, prints the seed, configures gari and starts the watchdog. `about` is one line
 * for --help. */
void stress_begin(int argc, char **argv, double seconds, const char *about);

/* Runs `count` workers until they return, which they do when their time is up. */
void stress_run(unsigned count, void (*work)(struct stress_worker *worker));

/* That there will be so many calls of stress_run, which share the time. */
void stress_share(unsigned runs);

/* Notes progress. False when the time is up. */
bool stress_tick(struct stress_worker *worker);

/* The same for the main thread, between phases. */
void stress_phase(const char *name);

uint64_t stress_random(struct stress_worker *worker);
/* Below n, n > 0. */
unsigned stress_below(struct stress_worker *worker, unsigned n);
/* True about once in n times. */
bool stress_once_in(struct stress_worker *worker, unsigned n);
/* Holds the thread up, sometimes: a spin, rarely a yield, very rarely a sleep. Rarely, for a grace
 * period that meets a delayed section takes ten milliseconds (liburcu polls), and slow grace
 * periods mean few proofs. */
void stress_dawdle(struct stress_worker *worker);

/* For a worker that does nothing but collect: until the time is up. */
void stress_collect(struct stress_worker *worker);
/* Waits until the collection at work has ended, so that another one begins, and then up to another
 * 100 microseconds; no longer than a slow grace period. To be called in a section, after the last
 * reference to something has gone that is still borrowed: the next proof will then be about that. */
void stress_await_proof(struct stress_worker *worker);

/* ---- Verdicts ----------------------------------------------------------------------------- */

/* Ends the process: an invariant is broken. */
__attribute__((noreturn, format(printf, 1, 2))) void stress_fail(const char *format, ...);

/* Counts one invariant as passed or failed. Returns holds. */
__attribute__((format(printf, 2, 3))) bool stress_check(bool holds, const char *format, ...);

/* With no worker left, collects until `live` objects are left and no memory waits, or gives up
 * (5 s, 20 collections). Counts one invariant: that garbage is found by gari_collect(2). */
void stress_settle(uint64_t live);

/* gari_shutdown must leave nothing; prints the last line; returns the exit status. */
int stress_end(void);

gari_stats stress_stats(void);

/* Fails when gari_new has found no memory. */
void *stress_new(void *object);
#define STRESS_NEW(type) stress_new(gari_new(type))
#define STRESS_NEW_ITEMS(type, length) stress_new(gari_new_items((type), (length)))

#endif
