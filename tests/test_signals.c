/* Signals that come in the middle of any call, and whose handlers do not call gari, harm nothing. */
#include "lib/gari_containers.h"
#include "tests/support.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

TestSuite(signals, .timeout = 120);

enum { THREADS = 3 };
static atomic_long handled;
static atomic_bool stop;
static GARI_ROOT(struct node) root;
static gari_list *list;

static void handle(int signal)
{
    (void)signal;
    atomic_fetch_add(&handled, 1);
}

/* A timer that signals the calling thread alone. */
static timer_t start_timer(long ns)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    timer_t timer;
    check(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    struct itimerspec often = {{0, ns}, {0, ns}};
    check(timer_settime(timer, 0, &often, NULL) == 0);
    return timer;
}

static void *be_busy(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    timer_t timer = start_timer(SANITIZED ? 500000 : 50000);
    while (!atomic_load(&stop)) {
        uint64_t x = next_random(&seed);
        make_garbage_ring(&watched_type, 1 + x % 4);
        struct node *node = new_node(&watched_type, 0);
        gari_store(&node->next, node);
        gari_store(&root, node);
        struct node *other = gari_load(&root);
        gari_weakref *weak = gari_weakref_new((gari_object *)node, NULL, NULL);
        gari_decref((struct node *)gari_weakref_get(weak));
        gari_decref(weak);
        gari_list_append(list, node);
        if (gari_list_length(list) > 20)
            gari_list_clear(list);
        gari_decref(other);
        gari_decref(node);
        if (x % 64 == 0)
            gari_collect((int)(x / 64 % 3));
        if (x % 64 == 1)
            gari_step(50);
        if (x % 1024 == 2) {
            gari_objects objects;
            if (gari_get_objects(0, &objects) == 0)
                gari_objects_release(&objects);
        }
    }
    timer_delete(timer);
    return NULL;
}

static void check_mode(gari_mode mode)
{
    struct sigaction action = {.sa_handler = handle}; /* no SA_RESTART: system calls see EINTR */
    check(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGALRM, &action, NULL) == 0);
    use_mode(mode);
    gari_set_memory_limit(GARI_LIMIT_CGROUP);
    list = gari_list_new();
    /* And one for the process, which goes to whatever thread takes it. */
    struct itimerval often = {{0, 200}, {0, 200}};
    check(setitimer(ITIMER_REAL, &often, NULL) == 0);
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        thread[i] = start_thread(be_busy, (void *)(i + 1));
    struct timespec end, now;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += 2;
    do {
        usleep(1000);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec);
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        join_thread(thread[i]);
    gari_store(&root, NULL);
    gari_decref(list);
    settle();
    assert_nothing_left();
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    assert_equal(reclaimed_count(), disposed_count());
    printf("%ld signals handled\n", atomic_load(&handled));
    cr_assert(atomic_load(&handled) > 500, "only %ld signals", atomic_load(&handled));
}

Test(signals, at_a_high_rate_in_manual_mode)
{
    check_mode(GARI_MODE_MANUAL);
}

Test(signals, at_a_high_rate_in_inline_mode)
{
    check_mode(GARI_MODE_INLINE);
}

Test(signals, at_a_high_rate_in_the_background)
{
    check_mode(GARI_MODE_BACKGROUND);
}

/* A line of a file of /proc, of the tasks whose names begin with "gari". */
static int for_garis_threads(void (*look)(const char *line), const char *begins)
{
    int threads = 0;
    DIR *folder = opendir("/proc/self/task");
    check(folder != NULL);
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char path[300], line[256];
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file)
            continue;
        bool mine = false;
        while (fgets(line, sizeof line, file)) {
            if (strncmp(line, "Name:", 5) == 0)
                mine = strncmp(line, "Name:\tgari", 10) == 0;
            else if (mine && strncmp(line, begins, strlen(begins)) == 0)
                look(line + strlen(begins));
        }
        threads += mine;
        fclose(file);
    }
    closedir(folder);
    return threads;
}

static void check_blocked(const char *mask)
{
    unsigned long long blocked = strtoull(mask, NULL, 16);
    /* All but SIGKILL, SIGSTOP and the two that the C library keeps for itself. */
    unsigned long long wanted = ~0ull & ~(1ull << 8) & ~(1ull << 18) & ~(3ull << 31);
    check((blocked & wanted) == wanted);
}

static void finalize(void *self)
{
    (void)self;
}

static const gari_type finalized_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = finalize);

/* An emulator, or valgrind, has masks of its own for the threads. */
Test(signals, are_blocked_in_garis_own_threads, .disabled = EMULATED)
{
    use_mode(GARI_MODE_BACKGROUND);
    make_garbage_ring(&finalized_type, 3);
    gari_collect(2);
    assert_equal(for_garis_threads(check_blocked, "SigBlk:"), 3);
    assert_nothing_left();
}
