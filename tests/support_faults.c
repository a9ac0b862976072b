#include "tests/support_faults.h"

#include "concurrency/fault.h"
#include "lib/gari_containers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct tally tally;

/* ---- What is tried ------------------------------------------------------------------------ */

bool refused(int error)
{
    check(error == 0 || error == ENOMEM);
    return error != 0;
}

struct node *try_node(const gari_type *type, long value)
{
    struct node *node = gari_new(type);
    if (!node)
        return NULL;
    check(node->value == 0 && gari_getrefcount(node) == 1);
    node->value = value;
    atomic_fetch_add(&tally.made, type == &watched_type);
    return node;
}

struct node *try_ring(const gari_type *type, size_t length)
{
    struct node *first = try_node(type, 0);
    if (!first)
        return NULL;
    struct node *last = gari_incref(first);
    for (size_t i = 1; i < length; i++) {
        struct node *node = try_node(type, (long)i);
        if (!node)
            break;
        gari_store(&last->next, node);
        gari_store(&node->prev, last);
        gari_decref(last);
        last = node;
    }
    gari_store(&last->next, first);
    gari_move(&first->prev, last);
    return first;
}

void count_defer(void *arg)
{
    check(arg == &tally.defers_called);
    atomic_fetch_add(&tally.defers_called, 1);
}

void try_defer(void)
{
    atomic_fetch_add(&tally.defers_taken, !refused(gari_defer(count_defer, &tally.defers_called)));
}

static struct node *brought_back;
static atomic_bool over;

void drop_brought_back(void)
{
    gari_decref(__atomic_exchange_n(&brought_back, NULL, __ATOMIC_ACQ_REL));
}

static void finalize(void *self)
{
    struct node *node = self;
    check(gari_is_finalized(node));
    gari_decref(try_node(&watched_type, 1));
    if (node->value == 3 && !atomic_load(&over))
        __atomic_store_n(&brought_back, gari_incref(node), __ATOMIC_RELEASE);
}

const gari_type final_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = finalize);

/* ---- What is true afterwards -------------------------------------------------------------- */

struct census {
    gari_objects all;
    size_t *edges;
    size_t mask;
    size_t *at; /* number + 1 in `all`, by address */
};

static size_t *find(const struct census *census, const gari_object *object)
{
    size_t at = (uintptr_t)object / 8 * 0x9e3779b97f4a7c15u >> 20 & census->mask;
    while (census->at[at] && census->all.items[census->at[at] - 1] != object)
        at = (at + 1) & census->mask;
    return &census->at[at];
}

/* That every tracked object has as many references as there are edges to it, the list's own, and, in
 * all, so many that C variables hold. Nobody else is at work. */
static void check_counts(size_t held)
{
    struct census census = {.mask = 63};
    check(gari_get_objects(GARI_ALL, &census.all) == 0);
    while (census.mask < 2 * census.all.count)
        census.mask = 2 * census.mask + 1;
    census.at = calloc(census.mask + 1, sizeof *census.at);
    census.edges = calloc(census.all.count + 1, sizeof *census.edges);
    for (size_t i = 0; i < census.all.count; i++)
        *find(&census, census.all.items[i]) = i + 1;
    for (size_t i = 0; i < census.all.count; i++) {
        gari_objects targets;
        check((gari_get_referents)(census.all.items[i], &targets) == 0);
        for (size_t j = 0; j < targets.count; j++) {
            size_t number = *find(&census, targets.items[j]);
            check(number || !(gari_is_tracked)(targets.items[j]));
            if (number)
                census.edges[number - 1]++;
        }
        gari_objects_release(&targets);
    }
    size_t external = 0;
    for (size_t i = 0; i < census.all.count; i++) {
        size_t count = (gari_getrefcount)(census.all.items[i]);
        check(count >= census.edges[i] + 1);
        external += count - census.edges[i] - 1;
    }
    check(external == held);
    free(census.at);
    free(census.edges);
    gari_objects_release(&census.all);
}

static void check_aftermath(gari_mode mode)
{
    atomic_store(&over, true);
    gari_collect(2);
    gari_collect(2); /* of what finalizers have made, and of what the first began */
    finish_pending();
    drop_brought_back();
    if (mode == GARI_MODE_MANUAL)
        check_counts(0);
    struct node *live = new_double_ring(&watched_type, 50);
    atomic_fetch_add(&tally.made, 50);
    struct node *other = new_ring(&node_type, 1000);
    gari_weakref *weak = gari_weakref_new(live, NULL, NULL);
    gari_list *list = gari_list_new();
    check(list && gari_list_append(list, live) == 0);
    for (int generation = 0; generation <= 2; generation++)
        gari_collect(generation);
    check(ring_length(live) == 50 && ring_length(other) == 1000);
    if (mode == GARI_MODE_MANUAL)
        check_counts(3); /* a weak reference without a callback is not tracked */
    gari_decref(other);
    gari_decref(list);
    gari_decref(live);
    gari_collect(2);
    gari_decref(weak);
    size_t left = gari_shutdown(NULL, NULL);
    if (__atomic_load_n(&brought_back, __ATOMIC_ACQUIRE)) {
        drop_brought_back(); /* by a finalizer that had begun before it was over */
        left = gari_shutdown(NULL, NULL);
    }
    check(left == 0);
    check(disposed_count() == atomic_load(&tally.made));
    check(reclaimed_count() == atomic_load(&tally.made));
    check(atomic_load(&tally.called) == atomic_load(&tally.owed_calls));
    check(atomic_load(&tally.defers_called) == atomic_load(&tally.defers_taken));
}

/* ---- Walking ------------------------------------------------------------------------------ */

enum plan { ONLY, FROM, PAIR };

static void arm(enum plan plan, long n, long after)
{
    if (plan == FROM)
        fail_from(n);
    else
        fail_only(n, plan == PAIR ? after : 0);
}

/* Whether nothing had failed. */
static bool run(void (*scenario)(void), gari_mode mode, enum plan plan, long n, long after)
{
    atomic_store(&over, false);
    gari_config config = GARI_CONFIG_INIT;
    config.mode = mode;
    check(gari_configure(&config) == 0);
    arm(plan, n, after);
    scenario();
    bool complete = gari__faults_met() == 0;
    gari__faults_arm(NULL);
    check_aftermath(mode);
    return complete;
}

static bool run_apart(void (*scenario)(void), gari_mode mode, enum plan plan, long n, long after)
{
    if (THREAD_SANITIZED)
        return run(scenario, mode, plan, n, after);
    fflush(NULL);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        alarm(60);
        _exit(run(scenario, mode, plan, n, after) ? 1 : 0);
    }
    int status;
    while (waitpid(child, &status, 0) < 0)
        check(errno == EINTR);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) <= 1,
              "mode %d: request %ld%s refused (and %ld after): ended with status 0x%x", mode, n,
              plan == FROM ? " and all later ones" : "", plan == PAIR ? after : 0, status);
    return WEXITSTATUS(status) == 1;
}

static long runs;

/* Returns the number of requests of the scenario. */
static long walk(void (*scenario)(void), gari_mode mode, enum plan plan, long after)
{
    bool thorough = mode == GARI_MODE_MANUAL && plan != PAIR;
    long n = 1;
    for (; !run_apart(scenario, mode, plan, n, after); n++) {
        cr_assert(n < 100000, "the scenario never completes");
        runs++;
        if (!getenv("EVERY_REQUEST"))
            n += thorough ? SANITIZED * n / 8 : n / (SANITIZED ? 3 : 6);
    }
    return n - 1;
}

void walk_all(void (*scenario)(void), long least)
{
    long requests = walk(scenario, GARI_MODE_MANUAL, ONLY, 0);
    /* In a process that has been used already fewer things are met for the first time. */
    cr_assert(requests >= (THREAD_SANITIZED ? 5 : least),
              "only %ld requests: the scenario tests nothing", requests);
    walk(scenario, GARI_MODE_MANUAL, FROM, 0);
    for (long after = 1; after <= 4; after += after + 1)
        walk(scenario, GARI_MODE_MANUAL, PAIR, after);
    gari_mode modes[] = {GARI_MODE_BACKGROUND, GARI_MODE_INLINE};
    for (int i = 0; i < 2; i++) {
        walk(scenario, modes[i], ONLY, 0);
        walk(scenario, modes[i], FROM, 0);
    }
    /* And one after the other in this process, at whose end LeakSanitizer looks. */
    for (long n = 1; !run(scenario, GARI_MODE_MANUAL, ONLY, n, 0); n++)
        runs++;
    for (long n = 1; !run(scenario, GARI_MODE_BACKGROUND, FROM, n, 0); n++)
        runs++;
    fprintf(stderr, "%ld requests, %ld runs\n", requests, runs);
}
