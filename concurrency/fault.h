/* Faults on demand: what gari asks the system for, it asks for here first, so that a test can make any
 * request fail. One place for each kind of request: memory in heap/memory.c, threads and their exits in
 * thread.c, the process's exit in object/finalizer.c (tests/one_place.sh looks). While nothing is armed
 * it costs a load and a branch, on paths that are about to call the system. */
#ifndef GARI_CONCURRENCY_FAULT_H
#define GARI_CONCURRENCY_FAULT_H

#include "concurrency/atomics.h"

enum gari__fault_kinds {
    GARI__FAULT_TABLE = 1,  /* malloc's memory: records, descriptors, tables */
    GARI__FAULT_PAGES = 2,  /* mapped memory: segments, large objects */
    GARI__FAULT_THREAD = 4, /* a thread of gari's own */
    GARI__FAULT_EXIT = 8,   /* to be called at the exit of a thread or of the process */
    GARI__FAULT_ANY = 15
};

/* Which requests fail: of those of the kinds, counted from 1, number `first` to number `last`, and
 * number `again`. */
struct gari__faults {
    unsigned kinds;
    long first, last;
    long again; /* 0: none */
};

/* What fails from now on; NULL: nothing. */
void gari__faults_arm(const struct gari__faults *faults);
/* Requests counted since then, and how many of them failed. */
long gari__faults_counted(void);
long gari__faults_met(void);

extern unsigned gari__faults_armed; /* the kinds; atomically */
bool gari__fault_slow(void);

/* Whether this request is to fail. */
static inline bool gari__fault(enum gari__fault_kinds kind)
{
    return gari__unlikely(gari__load_relaxed(&gari__faults_armed) & (unsigned)kind) &&
           gari__fault_slow();
}

#endif
