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
#pragma GCC diagnostic pop

#include <stdbool.h>

extern char gari__grace_token;

static inline void gari__section_begin(void)
{
    urcu_bp_read_lock();
}

static inline void gari__section_end(void)
{
    gari__tsan_release(&gari__grace_token);
    urcu_bp_read_unlock();
}

/* Has liburcu know the calling thread, before a lock is taken under which sections begin: a fork holds
 * liburcu's registry while it waits for such locks. */
static inline void gari__section_prepare(void)
{
    urcu_bp_read_lock();
    urcu_bp_read_unlock();
}

static inline bool gari__in_section(void)
{
    return urcu_bp_read_ongoing() != 0;
}

#endif
