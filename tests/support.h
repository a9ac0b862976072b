/* What the tests share: modes, types, threads, and the sentence of a fatal error.
 *
 * Criterion runs each test in a process of its own, so each starts with a fresh library. Unless a
 * test is about the background it runs in manual mode, where nothing is collected behind its back.
 * Every test ends with assert_nothing_left(). */
#ifndef GARI_TESTS_SUPPORT_H
#define GARI_TESTS_SUPPORT_H

#include "lib/gari.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether this is a build with a sanitizer (or the checked one, which is slow too and takes memory of its
 * own), and whether it is ThreadSanitizer, under which the child
 * of a fork may not start threads. */
#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZED 1
#endif
#endif
#ifndef THREAD_SANITIZED
#define THREAD_SANITIZED 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZED 1
#endif
#endif
#ifndef ADDRESS_SANITIZED
#define ADDRESS_SANITIZED 0
#endif

/* Builds that are as slow for another reason (coverage, valgrind, an emulator) say so themselves. */
#ifndef SANITIZED
#ifdef GARI_CHECKED
#define SANITIZED 1
#else
#define SANITIZED (THREAD_SANITIZED || ADDRESS_SANITIZED)
#endif
#endif

/* In valgrind, or in qemu: threads and signals are not quite the system's. */
#ifndef EMULATED
#define EMULATED 0
#endif

/* Whether the program runs in stress mode. */
extern bool stressed;

/* A size for this run: sanitizers slow everything by an order of magnitude, and so does stress mode. */
#define SCALED(n) ((size_t)(n) / (SANITIZED || stressed ? 20 : 1))

/* ---- Assertions --------------------------------------------------------------------------- */

/* cr_assert_eq, but tells both values. Integers only. */
#define assert_equal(actual, expected)                                                             \
    assert_equal_((long long)(actual), (long long)(expected), #actual, __FILE__, __LINE__)
void assert_equal_(long long actual, long long expected, const char *what, const char *file,
                   int line);

#define assert_at_most(actual, limit)                                                              \
    assert_at_most_((long long)(actual), (long long)(limit), #actual, __FILE__, __LINE__)
void assert_at_most_(long long actual, long long limit, const char *what, const char *file,
                     int line);

/* For threads other than the test's own, where Criterion's assertions cannot stop the test. */
#define check(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))
_Noreturn void check_failed(const char *what, const char *file, int line);

/* ---- The library -------------------------------------------------------------------------- */

void use_mode(gari_mode mode);
void use_manual_mode(void);

gari_stats stats_now(void);
/* So many so far. */
uint64_t collections_of(int generation);
uint64_t all_collections(void);

/* Drives all the work that waits to its end, without starting a collection of cycles. */
void finish_pending(void);

/* A full collection, and everything that follows from it, up to the return of memory. */
void settle(void);

/* gari_check_heap finds nothing. */
#define assert_heap_sound() assert_equal(gari_check_heap(NULL), 0)

/* The heap is sound, and gari_shutdown frees all garbage and finds that no object is left. */
#define assert_nothing_left()                                                                      \
    do {                                                                                           \
        assert_heap_sound();                                                                       \
        assert_equal(gari_shutdown(NULL, NULL), 0);                                                \
    } while (0)

void assert_thresholds(int first, int second, int third);

/* Polls, for work that gari's own threads do. False when `seconds` have passed. */
bool wait_until(bool (*done)(void *arg), void *arg, double seconds);

/* ---- Faults ------------------------------------------------------------------------------- */

/* The nth request from now, and all that follow, fail (concurrency/fault.h); 0: none any more. */
void fail_from(long n);
/* The nth alone, and the one `after` that, if that is not 0. */
void fail_only(long n, long after);

/* ---- Types -------------------------------------------------------------------------------- */

struct node {
    gari_object header;
    long value;
    GARI_REF(struct node) next, prev;
    gari_ref any;
};

/* Two types of the same struct. Nobody can observe the death of a node_type; every death and every
 * reclamation of a watched_type is counted. */
extern const gari_type node_type;
extern const gari_type watched_type;

/* No references: untracked. Watched. */
struct leaf {
    gari_object header;
    long value;
};
extern const gari_type leaf_type;

struct vec {
    gari_object header;
    size_t length;
    gari_ref items[];
};
extern const gari_type vec_type;

struct text {
    gari_object header;
    size_t length;
    char bytes[];
};
extern const gari_type text_type;

/* Deaths and reclamations so far of watched nodes and of leaves. */
long disposed_count(void);
long reclaimed_count(void);

/* gari_new that fails the test when it returns NULL. */
struct node *new_node(const gari_type *type, long value);
struct leaf *new_leaf(long value);
struct vec *new_vec(size_t length);

/* `length` nodes linked by next in a ring. Returns one of them, owned; the ring holds the others.
 * Dropping what is returned makes the whole ring garbage. */
struct node *new_ring(const gari_type *type, size_t length);

/* The same; none of its objects is a candidate. */
struct node *new_still_ring(const gari_type *type, size_t length);

/* The same linked by next and prev. */
struct node *new_double_ring(const gari_type *type, size_t length);

/* `length` nodes linked by next, the last one's next NULL. Returns the first, owned. */
struct node *new_chain(const gari_type *type, size_t length);

/* Takes the rings of nodes on the garbage list apart, and clears it. */
void break_listed_rings(void);

/* Builds a ring and drops it. */
void make_garbage_ring(const gari_type *type, size_t length);

/* Counts the nodes from `first` on along next, back to `first` or to NULL. */
size_t ring_length(struct node *first);

/* ---- Threads ------------------------------------------------------------------------------ */

pthread_t start_thread(void *(*run)(void *arg), void *arg);
void join_thread(pthread_t thread);
void run_in_thread(void (*run)(void *arg), void *arg);

/* In a thread with so small a stack that a recursion over a large structure overflows it. */
void run_on_small_stack(void (*run)(void *arg), void *arg);

/* A door that threads wait at until somebody opens it. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool open;
};
#define GATE_CLOSED                                                                                \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false                                 \
    }
void gate_open(struct gate *gate);
void gate_wait(struct gate *gate);

/* A small generator of pseudo-random numbers (xorshift); seed it with anything but 0. */
uint64_t next_random(uint64_t *state);

/* ---- What is printed ---------------------------------------------------------------------- */

/* To stderr, by the call; up to 8 KB. */
const char *printed_by(void (*run)(void));

/* ---- Fatal errors ------------------------------------------------------------------------- */

/* Runs `misuse` in a child process and expects it to die by abort() after the hook got a sentence
 * that was also written to stderr. Returns the sentence. Call it before any other use of gari. */
const char *fatal_sentence(void (*misuse)(void));

/* That the sentence has the word in it. */
void assert_mentions(const char *sentence, const char *word);

#endif
