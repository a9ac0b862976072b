#include "concurrency/look.h"

#include "concurrency/clock.h"
#include "concurrency/grace.h"
#include "concurrency/lock.h"
#include "concurrency/perturb.h"
#include "concurrency/rcu.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

/* More threads with sections at a time than that, and there are no more looks. */
#define READERS 512u
/* A grace period that is held up for so long is liburcu's. */
#define PATIENCE_NS 1000000u

/* Of each thread that has had a section. liburcu gives the words of threads that are gone to others and never
 * unmaps them. Filled from the front, never emptied. */
static struct reader {
    unsigned long *word; /* liburcu's, which counts its open sections in the low half; atomically */
    /* Whether it rests; and above that which grace period had begun when it last did so. Written by the thread that
     * has the word; atomically. */
    uint64_t rest;
} __attribute__((aligned(64))) readers[READERS];
#define RESTING 1u
#define REST_SHIFT 1

static bool blind; /* no looks are possible; atomically */

__thread const void *gari__reader = &blind;
static __thread struct reader *mine; /* or NULL */

static struct {
    pthread_mutex_t lock;
    uint64_t number; /* of the grace period that is under way, or 0 */
    uint64_t begin_ns;
    bool asked;  /* liburcu's has been asked for */
    bool rested; /* everybody was found to rest */
    unsigned count;
    unsigned long *open[READERS]; /* who has not yet been seen outside of sections */
} look = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Held while a thread registers with liburcu, and during a fork: liburcu 0.13 has a lock there that its
 * urcu_bp_before_fork does not take, so that it could stay taken in the child for ever. Comes before
 * liburcu's other locks and all of gari's. */
static pthread_mutex_t registering = PTHREAD_MUTEX_INITIALIZER;

static bool is_open(unsigned long *reader)
{
    /* Acquire: pairs with the end of the section, which on x86 is a release as it is; elsewhere the
     * second barrier makes it one. */
    return gari__load_acquire(reader) & URCU_BP_GP_CTR_NEST_MASK;
}

/* With that store in front. The exchange is a full barrier on x86-64; elsewhere loads may come before its store, and
 * liburcu's, as in its own sections, is one. ThreadSanitizer sees the exchange, and needs no more: what the two sides
 * hand over goes by the acquire and release of `rest` and `blind`. */
static void store_and_barrier(uint64_t *place, uint64_t value)
{
    (void)gari__exchange_seq_cst(place, value);
#ifndef __x86_64__
    cmm_smp_mb();
#endif
}

static void full_barrier(void)
{
    uint64_t anything;
    store_and_barrier(&anything, 0);
}

static struct reader *find_reader(unsigned long *word)
{
    for (unsigned i = 0; i < READERS; i++) {
        unsigned long *there = gari__load_relaxed(&readers[i].word);
        /* Before the first section: who has not seen it here after its barrier is seen by that section. */
        if (!there && gari__cas_strong_acq_rel(&readers[i].word, &there, word))
            return &readers[i];
        if (there == word)
            return &readers[i];
    }
    return NULL;
}

/* A section is about to begin. */
static void begin_again(struct reader *reader)
{
    uint64_t rest = gari__load_relaxed(&reader->rest);
    GARI_PERTURB_AT("rest.end");
    if (!GARI_MUTANT(REST_FOREVER))
        rest &= ~(uint64_t)RESTING;
    /* Either who looks sees this, or what he has done before is seen in the section. */
    store_and_barrier(&reader->rest, rest);
}

struct urcu_bp_reader *gari__reader_list(void)
{
    if (!URCU_TLS(urcu_bp_reader)) {
        pthread_mutex_lock(&registering);
        urcu_bp_read_lock();
        urcu_bp_read_unlock();
        pthread_mutex_unlock(&registering);
    }
    struct urcu_bp_reader *reader = URCU_TLS(urcu_bp_reader);
    /* The counter is the first thing there. */
    unsigned long *word = (unsigned long *)(void *)reader;
    if (!mine || gari__load_relaxed(&mine->word) != word)
        mine = find_reader(word);
    if (mine) {
        begin_again(mine);
    } else {
        gari__store_relaxed(&blind, true);
        full_barrier();
    }
    gari__reader = word;
    return reader;
}

void gari__reader_rest(void)
{
    unsigned long *word = (unsigned long *)(void *)URCU_TLS(urcu_bp_reader);
    if (word && is_open(word))
        return;
    gari__reader = &blind; /* the next section begins with gari__reader_list */
    if (!word || !mine || gari__load_relaxed(&mine->word) != word)
        return;
    /* Acquire: pairs with the beginning of a grace period. What had been done before it is seen by sections from here
     * on. */
    uint64_t begun = gari__load_acquire(&gari__grace_begun);
    GARI_PERTURB_AT("rest.say");
    /* Release: pairs with all_have_rested. */
    gari__store_release(&mine->rest, begun << REST_SHIFT | RESTING);
}

void gari__reader_check(void)
{
    if (gari__unlikely((const void *)URCU_TLS(urcu_bp_reader) != gari__reader))
        gari__reader_list();
}

bool gari__readers_barrier(void)
{
    /* Where the system has no membarrier, liburcu's sections have barriers of their own. */
    if (!urcu_bp_has_sys_membarrier) {
        full_barrier();
        return true;
    }
    return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) == 0;
}

bool gari__has_barrier(void)
{
    return urcu_bp_has_sys_membarrier;
}

/* Whether every reader rests, or has since the grace period of that number began. */
static bool all_have_rested(uint64_t number)
{
    full_barrier();
    const unsigned long *own = (unsigned long *)(void *)URCU_TLS(urcu_bp_reader);
    for (unsigned i = 0; i < READERS; i++) {
        unsigned long *word = gari__load_acquire(&readers[i].word);
        if (!word)
            break;
        GARI_PERTURB_AT("rest.look");
        /* Acquire: pairs with gari__reader_rest, before which its sections had ended. */
        uint64_t rest = gari__load_acquire(&readers[i].rest);
        if (!(rest & RESTING) && rest >> REST_SHIFT < number && (word != own || is_open(word)))
            return false;
    }
    return !gari__load_seq_cst(&blind);
}

/* A grace period begins. The lock is held. */
static bool begin(void)
{
    look.number = gari__grace_begin();
    look.asked = false;
    look.count = 0;
    look.rested = all_have_rested(look.number);
    if (look.rested)
        return true;
    if (!gari__readers_barrier()) {
        gari__store_relaxed(&blind, true);
        return false;
    }
    for (unsigned i = 0; i < READERS; i++) {
        unsigned long *word = gari__load_acquire(&readers[i].word);
        if (!word)
            break;
        if (is_open(word))
            look.open[look.count++] = word;
    }
    if (look.count)
        look.begin_ns = gari__now_ns();
    return true;
}

static void go_on(void)
{
    unsigned open = 0;
    for (unsigned i = 0; i < look.count; i++)
        if (is_open(look.open[i]))
            look.open[open++] = look.open[i];
    look.count = open;
}

/* The ticket's grace period has been begun by who took it. */
static bool is_over_without_a_look(uint64_t ticket)
{
    if (gari__load_acquire(&gari__grace_begun) < ticket || !all_have_rested(ticket))
        return false;
    gari__tsan_acquire(&gari__grace_token);
    gari__grace_end(ticket);
    return true;
}

bool gari__grace_look(uint64_t ticket, bool patient)
{
    if (gari__grace_passed(ticket) || is_over_without_a_look(ticket))
        return true;
    if (gari__load_relaxed(&blind)) {
        gari__grace_ask(ticket);
        return false;
    }
    if (patient || !gari__mutex_trylock(&look.lock))
        return false;
    bool sees = true;
    /* Another one, that began later, may have ended it. What is held up then, and what has been asked for, is a
     * new matter. */
    if (look.number && gari__grace_passed(look.number))
        look.number = 0;
    if (look.number)
        go_on();
    else
        sees = begin();
    sees = sees && !gari__load_seq_cst(&blind);
    bool over = sees && (look.count == 0 || GARI_MUTANT(NO_GRACE));
#ifndef __x86_64__
    over = over && (look.rested || gari__readers_barrier());
#endif
    if (over) {
        gari__tsan_acquire(&gari__grace_token);
        gari__grace_end(look.number);
        look.number = 0;
    } else if (!sees || (!look.asked && gari__now_ns() - look.begin_ns > PATIENCE_NS)) {
        look.asked = true;
        gari__grace_ask(ticket);
    }
    gari__mutex_unlock(&look.lock);
    return gari__grace_passed(ticket);
}

void gari__readers_before_fork(void)
{
    gari__section_prepare(); /* the caller itself */
    pthread_mutex_lock(&registering);
}

void gari__readers_after_fork(void)
{
    pthread_mutex_unlock(&registering);
}

void gari__looks_before_fork(void)
{
    gari__mutex_pass(&look.lock);
}

/* In the child those who were in sections are gone. */
void gari__looks_after_fork(void)
{
    gari__mutex_renew(&look.lock);
    look.number = 0;
    for (unsigned i = 0; i < READERS && readers[i].word; i++)
        if (&readers[i] != mine)
            readers[i].rest |= RESTING;
}
