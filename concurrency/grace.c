#include "concurrency/grace.h"

#include "concurrency/atomics.h"
#include "concurrency/cancel.h"
#include "concurrency/clock.h"
#include "concurrency/lock.h"
#include "concurrency/perturb.h"
#include "concurrency/rcu.h"
#include "concurrency/thread.h"

char gari__grace_token;
uint64_t gari__grace_begun;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t asked;  /* the thread waits here for a ticket to serve */
    pthread_cond_t passed; /* others wait here for a ticket to pass */
    uint64_t wanted;       /* the highest ticket asked for; under the lock */
    uint64_t completed;    /* written under the lock, read without */
    bool driving;          /* somebody is inside gari__grace_synchronize */
    bool has_thread;
    bool stop;
    pthread_t thread;
    uint64_t longest_ns;
} grace = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .asked = PTHREAD_COND_INITIALIZER,
    .passed = PTHREAD_COND_INITIALIZER,
};

static void gari__grace_synchronize(void)
{
    /* liburcu sleeps in a cancellation point, with its lock, when it meets a long section. */
    int cancel = gari__cancel_off();
    if (!GARI_MUTANT(NO_GRACE))
        urcu_bp_synchronize_rcu();
    gari__cancel_restore(cancel);
    gari__tsan_acquire(&gari__grace_token);
}

/* The lock is held. Grace periods overlap; one that is over ends all that began before it. */
static void complete(uint64_t number)
{
    /* Release: pairs with gari__grace_passed. */
    if (number > grace.completed)
        gari__store_release(&grace.completed, number);
}

/* The lock is held. The number of a grace period that begins now. */
static uint64_t begin_next(void)
{
    uint64_t number = gari__load_relaxed(&gari__grace_begun) + 1;
    /* Release: pairs with gari__reader_rest. */
    gari__store_release(&gari__grace_begun, number);
    return number;
}

/* Runs one grace period. Called and returns with the lock held. */
static void drive(void)
{
    grace.driving = true;
    uint64_t number = begin_next();
    gari__mutex_unlock(&grace.lock);

    uint64_t begin = gari__now_ns();
    gari__grace_synchronize();
    uint64_t took = gari__now_ns() - begin;

    gari__mutex_lock(&grace.lock);
    grace.driving = false;
    complete(number);
    if (took > grace.longest_ns)
        grace.longest_ns = took;
    pthread_cond_broadcast(&grace.passed);
}

uint64_t gari__grace_begin(void)
{
    gari__mutex_lock(&grace.lock);
    uint64_t number = begin_next();
    gari__mutex_unlock(&grace.lock);
    return number;
}

void gari__grace_end(uint64_t number)
{
    gari__mutex_lock(&grace.lock);
    complete(number);
    pthread_cond_broadcast(&grace.passed);
    gari__mutex_unlock(&grace.lock);
}

/* The lock is held. */
static void ask(uint64_t ticket)
{
    if (ticket > grace.wanted) {
        grace.wanted = ticket;
        if (grace.has_thread)
            pthread_cond_signal(&grace.asked);
    }
}

void gari__grace_ask(uint64_t ticket)
{
    gari__mutex_lock(&grace.lock);
    ask(ticket);
    gari__mutex_unlock(&grace.lock);
}

uint64_t gari__grace_note(void)
{
    /* The lock orders what the caller did before against the beginning of the grace period: who begins
     * one counts up under it. */
    gari__mutex_lock(&grace.lock);
    uint64_t ticket = gari__grace_begun + 1;
    gari__mutex_unlock(&grace.lock);
    return ticket;
}

uint64_t gari__grace_ticket(void)
{
    gari__mutex_lock(&grace.lock);
    uint64_t ticket = gari__grace_begun + 1;
    ask(ticket);
    gari__mutex_unlock(&grace.lock);
    return ticket;
}

bool gari__grace_passed(uint64_t ticket)
{
    return gari__load_acquire(&grace.completed) >= ticket;
}

bool gari__grace_wait(uint64_t ticket, uint64_t timeout_ns)
{
    uint64_t until = timeout_ns ? gari__now_ns() + timeout_ns : 0;
    gari__mutex_lock(&grace.lock);
    if (grace.completed < ticket)
        ask(ticket);
    while (grace.completed < ticket) {
        if (!grace.has_thread && !grace.driving) {
            drive();
        } else if (timeout_ns == 0) {
            gari__cond_wait(&grace.passed, &grace.lock);
        } else if (!gari__cond_wait_until(&grace.passed, &grace.lock, until)) {
            break;
        }
    }
    bool passed = grace.completed >= ticket;
    gari__mutex_unlock(&grace.lock);
    return passed;
}

static void *grace_main(void *unused)
{
    (void)unused;
    gari__mutex_lock(&grace.lock);
    for (;;) {
        while (grace.wanted <= grace.completed && !grace.stop)
            gari__cond_wait(&grace.asked, &grace.lock);
        if (grace.driving) {
            gari__cond_wait(&grace.passed, &grace.lock);
            continue;
        }
        if (grace.wanted <= grace.completed)
            break;
        drive();
    }
    gari__mutex_unlock(&grace.lock);
    return NULL;
}

bool gari__grace_start(void)
{
    gari__mutex_lock(&grace.lock);
    if (!grace.has_thread) {
        grace.stop = false;
        grace.has_thread = gari__thread_create(&grace.thread, "gari-grace", grace_main);
    }
    bool running = grace.has_thread;
    gari__mutex_unlock(&grace.lock);
    return running;
}

void gari__grace_stop(void)
{
    gari__mutex_lock(&grace.lock);
    bool running = grace.has_thread;
    grace.stop = true;
    pthread_cond_signal(&grace.asked);
    gari__mutex_unlock(&grace.lock);
    if (!running)
        return;
    pthread_join(grace.thread, NULL);
    gari__mutex_lock(&grace.lock);
    grace.has_thread = false;
    /* Whoever waits must now drive for himself. */
    pthread_cond_broadcast(&grace.passed);
    gari__mutex_unlock(&grace.lock);
}

bool gari__grace_has_thread(void)
{
    gari__mutex_lock(&grace.lock);
    bool running = grace.has_thread;
    gari__mutex_unlock(&grace.lock);
    return running;
}

void gari__grace_before_fork(void)
{
    gari__mutex_pass(&grace.lock);
}

/* A grace period that was being waited for is waited for anew, under a new number, which ends the old
 * one too. */
void gari__grace_after_fork(void)
{
    gari__mutex_renew(&grace.lock);
    gari__cond_renew(&grace.asked);
    gari__cond_renew(&grace.passed);
    grace.driving = grace.has_thread = grace.stop = false;
}

struct gari__grace_stats gari__grace_read_stats(void)
{
    gari__mutex_lock(&grace.lock);
    struct gari__grace_stats stats = {grace.completed, grace.longest_ns};
    gari__mutex_unlock(&grace.lock);
    return stats;
}
