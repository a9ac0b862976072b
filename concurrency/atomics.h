/* Atomic operations by name and order; nothing else in gari touches the compiler's builtins.
 *
 * The builtins (rather than <stdatomic.h>) keep the public header usable from C++ and let plain
 * fields be read atomically where a comment says so. There are no stand-alone fences on purpose:
 * ThreadSanitizer does not model them, and every order in gari can be tied to the operation that
 * needs it. docs/memory-ordering.md lists the pairs. */
#ifndef GARI_CONCURRENCY_ATOMICS_H
#define GARI_CONCURRENCY_ATOMICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define gari__load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define gari__load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define gari__store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define gari__store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define gari__exchange_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
/* Sequentially consistent: for the one pattern that needs it, "I have written mine; do I see yours?"
 * on both sides: work put out against going to sleep, a reference dropped against a candidate's bit
 * taken. */
#define gari__load_seq_cst(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define gari__exchange_seq_cst(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define gari__fetch_sub_seq_cst(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_SEQ_CST)
#define gari__fetch_and_seq_cst(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define gari__fetch_or_seq_cst(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define gari__fetch_add_acq_rel(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define gari__fetch_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define gari__fetch_sub_acq_rel(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL)
#define gari__fetch_sub_relaxed(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define gari__fetch_or_acq_rel(p, v) __atomic_fetch_or((p), (v), __ATOMIC_ACQ_REL)
#define gari__fetch_and_acq_rel(p, v) __atomic_fetch_and((p), (v), __ATOMIC_ACQ_REL)

/* On failure *expected holds the value seen, read with acquire. May fail spuriously. */
#define gari__cas_acq_rel(p, expected, v)                                                          \
    __atomic_compare_exchange_n((p), (expected), (v), true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
/* The same, but fails only when the values differ. */
#define gari__cas_strong_acq_rel(p, expected, v)                                                   \
    __atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

#define gari__cas_seq_cst(p, expected, v)                                                          \
    __atomic_compare_exchange_n((p), (expected), (v), true, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE)

/* Orders nothing for the processor: the other side has a barrier for both (concurrency/look.h). */
#define gari__compiler_barrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* A counter that one thread writes and others read: no locked instruction. */
static inline void gari__own_add(uint64_t *counter, uint64_t n)
{
    gari__store_relaxed(counter, gari__load_relaxed(counter) + n);
}

/* For what a loop does for each object: a call would cost as much as the rest of it. */
#define GARI__INLINE inline __attribute__((always_inline))

#define gari__likely(x) __builtin_expect(!!(x), 1)
#define gari__unlikely(x) __builtin_expect(!!(x), 0)

#endif
