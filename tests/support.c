#include "tests/support.h"

#include "concurrency/fault.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

bool stressed;

__attribute__((constructor)) static void look_whether_stressed(void)
{
    stressed = getenv("GARI_STRESS") != NULL;
}

/* ---- Assertions --------------------------------------------------------------------------- */

void assert_equal_(long long actual, long long expected, const char *what, const char *file,
                   int line)
{
    /* Under GARI_STRESS some of it has been collected before, or some is still there that should have
     * been collected by a call before: one of those of the stress has made it older. That all is in
     * the end is said by other assertions. */
    if (stressed && strncmp(what, "gari_collect(", 13) == 0)
        return;
    cr_assert(actual == expected, "%s:%d: %s is %lld, expected %lld", file, line, what, actual,
              expected);
}

void assert_at_most_(long long actual, long long limit, const char *what, const char *file,
                     int line)
{
    cr_assert(actual <= limit, "%s:%d: %s is %lld, expected at most %lld", file, line, what, actual,
              limit);
}

void check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
    fflush(stderr);
    abort();
}

/* ---- The library -------------------------------------------------------------------------- */

void use_mode(gari_mode mode)
{
    gari_config config = GARI_CONFIG_INIT;
    config.mode = mode;
    assert_equal(gari_configure(&config), 0);
}

void use_manual_mode(void)
{
    use_mode(GARI_MODE_MANUAL);
}

gari_stats stats_now(void)
{
    gari_stats stats = {.struct_size = sizeof stats};
    check(gari_get_stats(&stats) == 0);
    return stats;
}

uint64_t collections_of(int generation)
{
    return stats_now().generation[generation].collections;
}

uint64_t all_collections(void)
{
    return collections_of(0) + collections_of(1) + collections_of(2);
}

void finish_pending(void)
{
    bool was_enabled = gari_disable();
    long steps = 0;
    while (gari_step(1u << 20))
        check(++steps < 1000000); /* gari_step never says that it is done */
    if (was_enabled)
        gari_enable();
}

void settle(void)
{
    gari_collect(2);
    finish_pending();
}

void assert_thresholds(int first, int second, int third)
{
    int threshold[3];
    gari_get_threshold(threshold);
    assert_equal(threshold[0], first);
    assert_equal(threshold[1], second);
    assert_equal(threshold[2], third);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

bool wait_until(bool (*done)(void *arg), void *arg, double seconds)
{
    double end = seconds_now() + seconds;
    while (!done(arg)) {
        if (seconds_now() > end)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return true;
}

/* ---- Faults ------------------------------------------------------------------------------- */

void fail_from(long n)
{
    struct gari__faults faults = {.kinds = GARI__FAULT_ANY, .first = n, .last = LONG_MAX};
    gari__faults_arm(n ? &faults : NULL);
}

void fail_only(long n, long after)
{
    struct gari__faults faults = {
        .kinds = GARI__FAULT_ANY, .first = n, .last = n, .again = after ? n + after : 0};
    gari__faults_arm(&faults);
}

/* ---- Types -------------------------------------------------------------------------------- */

static atomic_long disposed, reclaimed;

static void count_dispose(void *self)
{
    (void)self;
    atomic_fetch_add(&disposed, 1);
}

static void count_reclaim(void *self)
{
    (void)self;
    atomic_fetch_add(&reclaimed, 1);
}

const gari_type node_type = GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any));
const gari_type watched_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any),
              .dispose = count_dispose, .reclaim = count_reclaim);
const gari_type leaf_type =
    GARI_TYPE(struct leaf, .dispose = count_dispose, .reclaim = count_reclaim);
const gari_type vec_type =
    GARI_TYPE(struct vec, .items = GARI_REF_ITEMS(struct vec, length, items));
const gari_type text_type = GARI_TYPE(struct text, .items = GARI_ITEMS(struct text, length, bytes));

long disposed_count(void)
{
    return atomic_load(&disposed);
}

long reclaimed_count(void)
{
    return atomic_load(&reclaimed);
}

struct node *new_node(const gari_type *type, long value)
{
    struct node *node = gari_new(type);
    check(node != NULL);
    node->value = value;
    return node;
}

struct leaf *new_leaf(long value)
{
    struct leaf *leaf = gari_new(&leaf_type);
    check(leaf != NULL);
    leaf->value = value;
    return leaf;
}

struct vec *new_vec(size_t length)
{
    struct vec *vec = gari_new_items(&vec_type, length);
    check(vec != NULL);
    return vec;
}

/* Before the last, so that the first of all refers to the others. */
static struct node *new_chain_to(struct node *last, const gari_type *type, size_t length)
{
    struct node *first = last;
    for (size_t i = length - 1; i > 0; i--) {
        struct node *node = new_node(type, (long)i - 1);
        gari_init(&node->next, first);
        first = node;
    }
    return first;
}

struct node *new_chain(const gari_type *type, size_t length)
{
    return new_chain_to(new_node(type, (long)length - 1), type, length);
}

static struct node *new_ring_of(const gari_type *type, size_t length, bool both_ways)
{
    struct node *first = new_node(type, 0);
    struct node *last = gari_incref(first);
    for (size_t i = 1; i < length; i++) {
        struct node *node = new_node(type, (long)i);
        gari_store(&last->next, node);
        if (both_ways)
            gari_store(&node->prev, last);
        gari_decref(last);
        last = node;
    }
    gari_store(&last->next, first);
    if (both_ways)
        gari_store(&first->prev, last);
    gari_decref(last);
    return first;
}

struct node *new_ring(const gari_type *type, size_t length)
{
    return new_ring_of(type, length, false);
}

struct node *new_still_ring(const gari_type *type, size_t length)
{
    struct node *last = new_node(type, (long)length - 1);
    struct node *first = new_chain_to(last, type, length);
    gari_init(&last->next, gari_incref(first));
    return first;
}

struct node *new_double_ring(const gari_type *type, size_t length)
{
    return new_ring_of(type, length, true);
}

void break_listed_rings(void)
{
    gari_objects objects;
    assert_equal(gari_garbage_get(&objects), 0);
    for (size_t i = 0; i < objects.count; i++)
        gari_store(&((struct node *)objects.items[i])->next, NULL);
    gari_objects_release(&objects);
    gari_garbage_clear();
}

void make_garbage_ring(const gari_type *type, size_t length)
{
    struct node *ring = new_ring(type, length);
    gari_decref(ring);
}

size_t ring_length(struct node *first)
{
    size_t length = 0;
    gari_read_begin();
    struct node *node = first;
    do {
        length++;
        node = gari_borrow(&node->next);
    } while (node && node != first);
    gari_read_end();
    return length;
}

/* ---- Threads ------------------------------------------------------------------------------ */

pthread_t start_thread(void *(*run)(void *arg), void *arg)
{
    pthread_t thread;
    check(pthread_create(&thread, NULL, run, arg) == 0);
    return thread;
}

void join_thread(pthread_t thread)
{
    check(pthread_join(thread, NULL) == 0);
}

struct call {
    void (*run)(void *arg);
    void *arg;
};

static void *run_call(void *arg)
{
    struct call *call = arg;
    call->run(call->arg);
    return NULL;
}

void run_in_thread(void (*run)(void *arg), void *arg)
{
    struct call call = {run, arg};
    join_thread(start_thread(run_call, &call));
}

void run_on_small_stack(void (*run)(void *arg), void *arg)
{
    long smallest = sysconf(_SC_THREAD_STACK_MIN);
    size_t size = SANITIZED ? 1024 * 1024 : 32 * 1024;
    if (smallest > 0 && size < (size_t)smallest)
        size = (size_t)smallest;
    pthread_attr_t attributes;
    pthread_t thread;
    struct call call = {run, arg};
    check(pthread_attr_init(&attributes) == 0);
    check(pthread_attr_setstacksize(&attributes, size) == 0);
    check(pthread_create(&thread, &attributes, run_call, &call) == 0);
    join_thread(thread);
    pthread_attr_destroy(&attributes);
}

void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
}

void gate_wait(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    while (!gate->open)
        pthread_cond_wait(&gate->changed, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D) >> 16;
}

/* ---- What is printed ---------------------------------------------------------------------- */

/* Reads to the end, for whoever writes has closed it or died by then. */
static void read_all(int file, char *text, size_t size)
{
    size_t length = 0;
    while (length < size - 1) {
        ssize_t n = read(file, text + length, size - 1 - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    text[length] = '\0';
    close(file);
}

const char *printed_by(void (*run)(void))
{
    static char text[8192];
    int pipes[2], before = dup(STDERR_FILENO);
    check(before >= 0 && pipe(pipes) == 0);
    dup2(pipes[1], STDERR_FILENO);
    run();
    dup2(before, STDERR_FILENO);
    close(pipes[1]);
    close(before);
    read_all(pipes[0], text, sizeof text);
    return text;
}

/* ---- Fatal errors ------------------------------------------------------------------------- */

static int hook_pipe[2];

static void send_sentence(const char *sentence)
{
    size_t length = strlen(sentence);
    if (write(hook_pipe[1], sentence, length) != (ssize_t)length)
        _exit(2);
}

const char *fatal_sentence(void (*misuse)(void))
{
    static char sentence[1024];
    char printed[8192];
    int error_pipe[2];
    check(pipe(hook_pipe) == 0 && pipe(error_pipe) == 0);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        alarm(20);
        dup2(error_pipe[1], STDERR_FILENO);
        close(error_pipe[0]);
        close(error_pipe[1]);
        close(hook_pipe[0]);
        gari_set_fatal_hook(send_sentence);
        misuse();
        _exit(0);
    }
    close(hook_pipe[1]);
    close(error_pipe[1]);
    read_all(hook_pipe[0], sentence, sizeof sentence);
    read_all(error_pipe[0], printed, sizeof printed);
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        check(errno == EINTR);
    cr_assert(!WIFEXITED(status), "the misuse went unnoticed (exit %d)", WEXITSTATUS(status));
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
              "ended by signal %d rather than by abort(); sentence \"%s\", stderr \"%s\"",
              WTERMSIG(status), sentence, printed);
    cr_assert(sentence[0] != '\0', "the hook got no sentence; stderr \"%s\"", printed);
    cr_assert(strstr(printed, sentence) != NULL, "stderr has \"%s\", the hook got \"%s\"", printed,
              sentence);
    return sentence;
}

void assert_mentions(const char *sentence, const char *word)
{
    cr_assert(strstr(sentence, word) != NULL, "\"%s\" does not mention \"%s\"", sentence, word);
}
