#include "tests/support_fork.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- What dies ---------------------------------------------------------------------------- */

atomic_int finalized, called;

static void count_finalize(void *self)
{
    (void)self;
    atomic_fetch_add(&finalized, 1);
}

void count_call(void *arg)
{
    (void)arg;
    atomic_fetch_add(&called, 1);
}

const gari_type finalized_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = count_finalize);

/* ---- A child and what it does ------------------------------------------------------------- */

#if THREAD_SANITIZED
/* LLVM 14's runtime keeps what it knows of a thread at the end of that thread's stack, and in the child of
 * a fork it still reads this, of threads that do not exist there, when another thread comes to their slot
 * (it has 256, used in turn; SlotAttachAndLock). By then glibc may have unmapped their stacks: of unused
 * ones it keeps 40 MB, which five of the usual 8 MB exceed. Of these it keeps all. */
static void __attribute__((constructor)) have_small_stacks(void)
{
    pthread_attr_t attributes;
    check(pthread_attr_init(&attributes) == 0);
    check(pthread_attr_setstacksize(&attributes, 1024 * 1024) == 0);
    check(pthread_setattr_default_np(&attributes) == 0);
    pthread_attr_destroy(&attributes);
}
#endif

void prepare_child(void)
{
    signal(SIGABRT, SIG_DFL);
    alarm(SANITIZED ? 120 : 60);
}

static int status_of(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        check(errno == EINTR);
    return status;
}

void wait_for_child(pid_t child)
{
    cr_assert(child > 0, "fork: %s", strerror(errno));
    int status = status_of(child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with status %#x",
              (unsigned)status);
}

struct node *kept;

void *make_and_drop(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        make_garbage_ring(&watched_type, 5);
        gari_decref(new_chain(&watched_type, 50));
    }
    return NULL;
}

void live(bool others, int generations)
{
    check(ring_length(kept) == LENGTH);
    long before = disposed_count();
    for (int i = 0; i < 200; i++)
        make_garbage_ring(&watched_type, 5);
    gari_decref(new_chain(&watched_type, 500));
    gari_collect(2);
    check(disposed_count() - before >= 1500);
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        thread[i] = start_thread(make_and_drop, NULL);
    for (int i = 0; i < 2; i++)
        join_thread(thread[i]);
    if (generations > 0) {
        pid_t child = fork();
        check(child >= 0);
        if (child == 0) {
            alarm(SANITIZED ? 120 : 60);
            live(others, generations - 1);
            _exit(0);
        }
        int status = status_of(child);
        check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    check(ring_length(kept) == LENGTH);
    before = disposed_count();
    gari_decref(kept);
    gari_collect(2);
    check(others || disposed_count() - before >= LENGTH);
    gari_stats stats = stats_now();
    check(stats.threads <= 2); /* this one, and the one that forked, if it is another */
    size_t left = gari_shutdown(NULL, NULL);
    check(others || left == 0);
    if (!others)
        check(reclaimed_count() == disposed_count());
    /* And once more. */
    make_garbage_ring(&node_type, 10);
    /* Under GARI_STRESS it may have been collected before. */
    check(gari_collect(2) >= 10 || stressed);
    check(gari_shutdown(NULL, NULL) <= left);
}

void fork_and_live(bool others, int generations)
{
    pid_t child = fork();
    if (child == 0) {
        prepare_child();
        live(others, generations);
        _exit(0);
    }
    wait_for_child(child);
}

void end_parent(void)
{
    assert_equal(ring_length(kept), LENGTH);
    gari_decref(kept);
    gari_collect(2);
    assert_nothing_left();
    assert_equal(reclaimed_count(), disposed_count());
}

static void live_alone(void *arg)
{
    (void)arg;
    live(false, 1);
}

void fork_unattached(void *arg)
{
    (void)arg;
    pid_t child = fork();
    if (child == 0) {
        prepare_child();
        /* A thread that is going away may not collect. */
        run_in_thread(live_alone, NULL);
        _exit(0);
    }
    int status = status_of(child);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
