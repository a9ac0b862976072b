/* Read sections: the one place that includes liburcu for readers, and grace.c for waiting.
 *
 * The bulletproof flavour registers threads by itself, so a library can use it without asking
 * anything of its user's threads; inlined it costs under a nanosecond. Under ThreadSanitizer it is
 * called, not inlined (inlined it would be instrumented and reported), and the happens-before edge
 * that its barriers give, which the tool cannot see, is stated here and in gari__grace_synchronize:
 * the end of a section releases the token, the end of a grace period acquires it. */
#ifndef GARI_CONCURRENCY_RCU_H
#define GARI_CONCURRENCY_RCU_H

#include "concurrency/sanitizer.h"

/* Under AddressSanitizer it is called too: liburcu 0.13.2 keeps its readers' slots misaligned (fixed in
 * 0.13.4), which UndefinedBehaviorSanitizer, always on with it here, reports of inlined code. */
#if !defined(GARI__TSAN) && !defined(GARI__ASAN)
#ifndef _LGPL_SOURCE
#define _LGPL_SOURCE
#endif
#endif
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wshadow"
#include <urcu-bp.h>
#include <urcu/static/urcu-bp.h> /* the readers' words, for look.c: also where it is called */
#pragma GCC diagnostic pop

#include <stdbool.h>

extern char gari__grace_token;

/* What liburcu had for the thread when it was last listed (look.h); or something that is never that. */
extern __thread const void *gari__reader;
struct urcu_bp_reader;
/* Lists the thread: it is about to begin its first section, or its first since liburcu forgot it. Returns
 * what liburcu has for it. */
__attribute__((cold)) struct urcu_bp_reader *gari__reader_list(void);
/* The same if it is. */
void gari__reader_check(void);

static inline void gari__section_begin(void)
{
#ifdef _LGPL_SOURCE
    /* As urcu_bp_read_lock; but its first step, to look whether liburcu knows the thread, is gari's. */
    struct urcu_bp_reader *reader = URCU_TLS(urcu_bp_reader);
    if (__builtin_expect((const void *)reader != gari__reader, 0))
        reader = gari__reader_list();
    cmm_barrier();
    unsigned long open = reader->ctr;
    if (__builtin_expect((open & URCU_BP_GP_CTR_NEST_MASK) == 0, 1)) {
        _CMM_STORE_SHARED(reader->ctr, _CMM_LOAD_SHARED(urcu_bp_gp.ctr));
        urcu_bp_smp_mb_slave();
    } else {
        _CMM_STORE_SHARED(reader->ctr, open + URCU_BP_GP_COUNT);
    }
#else
    gari__reader_check();
    urcu_bp_read_lock();
#endif
}

static inline void gari__section_end(void)
{
#ifdef _LGPL_SOURCE
    /* As urcu_bp_read_unlock, which finds the reader twice. */
    struct urcu_bp_reader *reader = URCU_TLS(urcu_bp_reader);
    urcu_bp_smp_mb_slave();
    _CMM_STORE_SHARED(reader->ctr, reader->ctr - URCU_BP_GP_COUNT);
    cmm_barrier();
#else
    gari__tsan_release(&gari__grace_token);
    urcu_bp_read_unlock();
#endif
}

/* Has liburcu know the calling thread, before a lock is taken under which sections begin: a fork holds
 * liburcu's registry while it waits for such locks. */
static inline void gari__section_prepare(void)
{
    gari__section_begin();
    gari__section_end();
}

/* Unlike urcu_bp_read_ongoing it leaves a thread that liburcu does not know as it is: only gari__reader_list gives it
 * something, perhaps what it had before, by which gari__reader would take it to be listed. */
static inline bool gari__in_section(void)
{
    /* The counter is the first thing there, and the thread's own. */
    const unsigned long *word = (const unsigned long *)(const void *)URCU_TLS(urcu_bp_reader);
    return word && (*word & URCU_BP_GP_CTR_NEST_MASK) != 0;
}

#endif
