#include "concurrency/grace.h"

#include "concurrency/atomics.h"
#include "concurrency/clock.h"
#include "concurrency/perturb.h"
#include "concurrency/rcu.h"
#include "concurrency/thread.h"

#include <errno.h>
#include <pthread.h>

char gari__grace_token;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t asked;  /* the thread waits here for a ticket to serve */
    pthread_cond_t passed; /* others wait here for a ticket to pass */
    uint64_t started;      /* grace periods begun; under the lock */
    uint64_t wanted;       /* the highest ticket given out; under the lock */
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
    if (!GARI_MUTANT(NO_GRACE))
        urcu_bp_synchronize_rcu();
    gari__tsan_acquire(&gari__grace_token);
}

/* Runs one grace period. Called and returns with the lock held. */
static void drive(void)
{
    grace.driving = true;
    grace.started = grace.completed + 1;
    pthread_mutex_unlock(&grace.lock);

    uint64_t begin = gari__now_ns();
    gari__grace_synchronize();
    uint64_t took = gari__now_ns() - begin;

    pthread_mutex_lock(&grace.lock);
    grace.driving = false;
    /* Release: pairs with gari__grace_passed. */
    gari__store_release(&grace.completed, grace.started);
    if (took > grace.longest_ns)
        grace.longest_ns = took;
    pthread_cond_broadcast(&grace.passed);
}

uint64_t gari__grace_ticket(void)
{
    /* The lock orders what the caller did before against the beginning of the grace period: the
     * driver raises `started` under it. */
    pthread_mutex_lock(&grace.lock);
    uint64_t ticket = grace.started + 1;
    if (ticket > grace.wanted) {
        grace.wanted = ticket;
        if (grace.has_thread)
            pthread_cond_signal(&grace.asked);
    }
    pthread_mutex_unlock(&grace.lock);
    return ticket;
}

bool gari__grace_passed(uint64_t ticket)
{
    return gari__load_acquire(&grace.completed) >= ticket;
}

bool gari__grace_wait(uint64_t ticket, uint64_t timeout_ns)
{
    struct timespec until = {0, 0};
    if (timeout_ns) {
        uint64_t at = gari__now_ns() + timeout_ns;
        until.tv_sec = (time_t)(at / 1000000000u);
        until.tv_nsec = (long)(at % 1000000000u);
    }
    pthread_mutex_lock(&grace.lock);
    while (grace.completed < ticket) {
        if (!grace.has_thread && !grace.driving) {
            drive();
        } else if (timeout_ns == 0) {
            pthread_cond_wait(&grace.passed, &grace.lock);
        } else if (pthread_cond_clockwait(&grace.passed, &grace.lock, CLOCK_MONOTONIC, &until) ==
                   ETIMEDOUT) {
            break;
        }
    }
    bool passed = grace.completed >= ticket;
    pthread_mutex_unlock(&grace.lock);
    return passed;
}

static void *grace_main(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&grace.lock);
    for (;;) {
        while (grace.wanted <= grace.completed && !grace.stop)
            pthread_cond_wait(&grace.asked, &grace.lock);
        if (grace.driving) {
            pthread_cond_wait(&grace.passed, &grace.lock);
            continue;
        }
        if (grace.wanted <= grace.completed)
            break;
        drive();
    }
    pthread_mutex_unlock(&grace.lock);
    return NULL;
}

bool gari__grace_start(void)
{
    pthread_mutex_lock(&grace.lock);
    if (!grace.has_thread) {
        grace.stop = false;
        grace.has_thread = gari__thread_create(&grace.thread, "gari-grace", grace_main);
    }
    bool running = grace.has_thread;
    pthread_mutex_unlock(&grace.lock);
    return running;
}

void gari__grace_stop(void)
{
    pthread_mutex_lock(&grace.lock);
    bool running = grace.has_thread;
    grace.stop = true;
    pthread_cond_signal(&grace.asked);
    pthread_mutex_unlock(&grace.lock);
    if (!running)
        return;
    pthread_join(grace.thread, NULL);
    pthread_mutex_lock(&grace.lock);
    grace.has_thread = false;
    /* Whoever waits must now drive for himself. */
    pthread_cond_broadcast(&grace.passed);
    pthread_mutex_unlock(&grace.lock);
}

bool gari__grace_has_thread(void)
{
    pthread_mutex_lock(&grace.lock);
    bool running = grace.has_thread;
    pthread_mutex_unlock(&grace.lock);
    return running;
}

struct gari__grace_stats gari__grace_read_stats(void)
{
    pthread_mutex_lock(&grace.lock);
    struct gari__grace_stats stats = {grace.completed, grace.longest_ns};
    pthread_mutex_unlock(&grace.lock);
    return stats;
}
