/* Whatever gari asks the system for may be refused, at any moment (concurrency/fault.h): every scenario
 * runs with the nth request failing, for n = 1, 2, 3, ... until none fails; with all failing from the nth
 * on; and with two that fail. After each the heap is looked at, used again, and found empty at the end.
 *
 * Most walks take longer and longer steps; with EVERY_REQUEST in the environment none does.
 *
 * Each run has a process of its own, in which nothing of the library has been set up before; but under
 * ThreadSanitizer, which refuses threads to such a process. */
#include "lib/gari_containers.h"
#include "tests/support.h"

#include "concurrency/fault.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(faults, .timeout = 300);

static atomic_long made, finalized, called, owed_calls;

/* ---- What is tried ------------------------------------------------------------------------ */

static struct node *try_node(const gari_type *type, long value)
{
    struct node *node = gari_new(type);
    if (!node)
        return NULL;
    check(node->value == 0 && gari_getrefcount(node) == 1);
    node->value = value;
    atomic_fetch_add(&made, type == &watched_type);
    return node;
}

/* As long a ring as there is memory for; owned by its first node. */
static struct node *try_ring(const gari_type *type, size_t length)
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

static void objects_and_cycles(void)
{
    gari_decref(try_ring(&watched_type, 3));
    struct node *a = try_node(&watched_type, 1), *b = try_node(&watched_type, 2);
    if (a && b) {
        gari_store(&a->next, b);
        gari_decref(gari_exchange(&a->prev, gari_incref(b)));
        gari_move(&b->next, gari_take(&a->prev));
        check(!gari_compare_exchange(&a->next, NULL, NULL));
        check(gari_getrefcount(b) == 3 && gari_getrefcount(a) == 1);
    }
    gari_collect(0);
    gari_decref(a);
    struct vec *vec = gari_new_items(&vec_type, 50000); /* a mapping of its own */
    if (vec)
        gari_store(&vec->items[49999], vec);
    gari_decref(vec);
    struct text *text = gari_new_items(&text_type, 100);
    check(!text || text->length == 100);
    gari_decref(text);
    gari_decref(b);
    gari_decref(try_ring(&watched_type, 3000));
    gari_collect(1);
    gari_decref(try_ring(&node_type, 30));
    for (int i = 0; i < 5; i++)
        gari_step(1000);
    gari_collect(2);
}

static GARI_ROOT(struct node) root;

static void *use_in_thread(void *arg)
{
    gari_read_begin();
    struct node *borrowed = gari_borrow(&root);
    check(!borrowed || borrowed->value == 77);
    gari_read_end();
    gari_decref((struct node *)arg);
    gari_decref(try_ring(&watched_type, 5));
    gari_move(&root, try_node(&watched_type, 77));
    return NULL;
}

static void threads(void)
{
    for (int i = 0; i < 3; i++) {
        struct node *node = try_node(&watched_type, 0);
        pthread_t one = start_thread(use_in_thread, node);
        pthread_t other = start_thread(use_in_thread, NULL);
        gari_collect(i % 3);
        join_thread(one);
        join_thread(other);
    }
    gari_store(&root, NULL);
    gari_collect(2);
}

static void count_call(void *arg)
{
    (void)arg;
    atomic_fetch_add(&called, 1);
}

static void weak_references(void)
{
    gari_set_finalizers(GARI_FINALIZERS_QUEUED, NULL, NULL);
    struct node *ring = try_ring(&watched_type, 5), *lone = try_node(&watched_type, 9);
    gari_weakref *weak[4] = {0};
    for (int i = 0; i < 4; i++) {
        struct node *node = i % 2 ? lone : ring;
        weak[i] = node ? gari_weakref_new(node, i < 2 ? count_call : NULL, NULL) : NULL;
        atomic_fetch_add(&owed_calls, weak[i] && i < 2);
        struct node *got = weak[i] ? gari_weakref_get(weak[i]) : NULL;
        check(!weak[i] || got == node);
        gari_decref(got);
    }
    if (ring) /* goes with what it refers to, and does not call */
        gari_move(&ring->any, gari_weakref_new(ring, count_call, NULL));
    gari_finalize *finalize = lone ? gari_finalize_new(lone, count_call, NULL) : NULL;
    atomic_fetch_add(&owed_calls, finalize != NULL);
    gari_finalize *given_up = ring ? gari_finalize_new(ring, count_call, NULL) : NULL;
    check(!given_up || gari_finalize_detach(given_up));
    gari_decref(given_up);
    gari_decref(finalize);
    gari_decref(lone);
    gari_decref(ring);
    gari_collect(2);
    for (int i = 0; i < 4; i++) {
        struct node *got = weak[i] ? gari_weakref_get(weak[i]) : NULL;
        check(!got || (i % 2 == 0 && got == ring)); /* it may live on for want of memory */
        gari_decref(got);
    }
    gari_collect(2);
    /* Those that have not called yet must not be dropped before. */
    gari__faults_arm(NULL);
    gari_collect(2);
    gari_run_finalizers(100);
    for (int i = 0; i < 4; i++) {
        check(!weak[i] || !gari_weakref_get(weak[i]));
        gari_decref(weak[i]);
    }
    gari_set_finalizers(GARI_FINALIZERS_THREAD, NULL, NULL);
}

static struct node *brought_back;
static atomic_bool over;

static void drop_brought_back(void)
{
    gari_decref(__atomic_exchange_n(&brought_back, NULL, __ATOMIC_ACQ_REL));
}

static void finalize(void *self)
{
    struct node *node = self;
    atomic_fetch_add(&finalized, 1);
    check(gari_is_finalized(node));
    gari_decref(try_node(&watched_type, 1));
    if (node->value == 3 && !atomic_load(&over))
        __atomic_store_n(&brought_back, gari_incref(node), __ATOMIC_RELEASE);
}

static const gari_type final_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = finalize);

static void finalizers(void)
{
    gari_decref(try_node(&final_type, 0));
    gari_decref(try_ring(&final_type, 2));
    gari_decref(try_ring(&final_type, 5));
    gari_collect(2);
    gari_decref(try_ring(&watched_type, 3));
    gari_collect(2);
    for (int i = 0; i < 3; i++)
        gari_step(1000);
    drop_brought_back();
    gari_collect(2);
}

static void count_entry(const void *key, size_t size, void *object, void *arg)
{
    check(size == sizeof(int) && ((struct node *)object)->value == *(const int *)key);
    ++*(long *)arg;
}

static void weak_containers(void)
{
    enum { KEYS = 20 };
    struct node *node[KEYS];
    gari_weakmap *map = gari_weakmap_new();
    gari_weakset *set = gari_weakset_new();
    long in_map = 0, in_set = 0, visited = 0;
    for (int i = 0; i < KEYS; i++) {
        node[i] = try_node(&watched_type, i);
        if (node[i] && map && i % 2) {
            int error = gari_weakmap_set(map, &i, sizeof i, node[i]);
            check(error == 0 || error == ENOMEM);
            in_map += error == 0;
        } else if (node[i] && map) {
            struct node *got = gari_weakmap_setdefault(map, &i, sizeof i, node[i]);
            check(!got || got == node[i]);
            in_map += got != NULL;
            gari_decref(got);
        }
        in_set += node[i] && set && gari_weakset_add(set, node[i]) == 0;
    }
    if (map) {
        check((long)gari_weakmap_count(map) == in_map);
        check(gari_weakmap_each(map, count_entry, &visited) == ENOMEM || visited == in_map);
    }
    check(!set || (long)gari_weakset_count(set) == in_set);
    for (int i = 0; i < KEYS; i++) {
        if (i % 3 == 0 && map)
            gari_weakmap_remove(map, &i, sizeof i);
        gari_decref(node[i]);
    }
    check(!map || gari_weakmap_count(map) == 0);
    check(!set || gari_weakset_count(set) == 0);
    gari_decref(map);
    gari_decref(set);
    gari_collect(2);
}

static int by_value(void *a, void *b, void *arg)
{
    (void)arg;
    long x = ((struct node *)a)->value, y = ((struct node *)b)->value;
    return (x > y) - (x < y);
}

static bool refused(int error)
{
    check(error == 0 || error == ENOMEM);
    return error != 0;
}

static void containers(void)
{
    gari_list *list = gari_list_new(), *other = NULL;
    gari_map *map = gari_map_new();
    size_t length = 0, keys = 0;
    for (int i = 0; i < 60; i++) {
        struct node *node = try_node(&watched_type, 60 - i);
        if (list && node)
            length +=
                !refused(i % 7 ? gari_list_append(list, node) : gari_list_insert(list, 0, node));
        char text[8];
        snprintf(text, sizeof text, "%d", i);
        if (map && node)
            keys += !refused(
                gari_map_put(map, i % 2 ? gari_key_string(text) : gari_key_integer(i), node));
        gari_bytes *bytes = gari_bytes_format("%d and %d", i, i);
        check(!bytes || gari_bytes_length(bytes) > 5);
        gari_decref(bytes);
        gari_decref(node);
    }
    if (list) {
        check(gari_list_length(list) == length);
        refused(gari_list_append(list, list)); /* a cycle */
        gari_decref((gari_object *)gari_list_pop(list));
        length = gari_list_length(list);
        if (length && !refused(gari_list_sort(list, by_value, NULL)))
            check(gari_list_length(list) == length);
        other = gari_list_slice(list, 0, SIZE_MAX);
        gari_array *array = gari_list_to_array(list);
        check(!array || gari_array_length(array) == length);
        gari_decref(array);
        if (other)
            refused(gari_list_extend(list, other));
        gari_list_iter it;
        gari_list_iter_begin(&it, list);
        while (gari_list_iter_next(&it))
            check(it.value != NULL);
        gari_list_iter_end(&it);
    }
    if (map) {
        check(gari_map_length(map) == keys);
        for (int i = 0; i < 60; i += 2)
            gari_decref((gari_object *)gari_map_take(map, gari_key_integer(i)));
        refused(gari_map_put(map, gari_key_integer(1), map));
    }
    gari_decref(other);
    gari_decref(list);
    gari_decref(map);
    gari_collect(2);
}

static void note_collection(const gari_collection *collection, void *arg)
{
    check(collection->generation >= 0 && arg == &made);
    gari_decref(try_node(&watched_type, 1));
}

static const gari_type stuck_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .flags = GARI_TYPE_NO_CLEAR);

static void take_apart(gari_objects *objects)
{
    for (size_t i = 0; i < objects->count; i++) {
        struct node *node = (struct node *)(void *)objects->items[i];
        gari_store(&node->next, NULL);
        gari_store(&node->prev, NULL);
    }
}

static void inspection(void)
{
    bool told = gari_callback_add(note_collection, &made) == 0;
    struct node *ring = try_ring(&watched_type, 10);
    gari_objects objects;
    int error = gari_get_objects(GARI_ALL, &objects);
    check(error != 0 || !ring || objects.count > 0);
    bool attached = error != EBUSY; /* there was memory for the thread's record */
    check(!attached || error == 0 || error == ENOMEM);
    gari_objects_release(&objects);
    if (ring && attached) {
        size_t held = gari_getrefcount(ring) - 1;
        if (!refused(gari_get_referrers(ring, &objects)))
            check(objects.count <= held && objects.count > 0);
        gari_objects_release(&objects);
        if (!refused(gari_get_referents(ring, &objects)))
            check(objects.count == 2);
        gari_objects_release(&objects);
    }
    gari_freeze();
    gari_collect(2);
    gari_unfreeze();
    gari_decref(ring);
    gari_set_debug(GARI_DEBUG_SAVEALL);
    gari_collect(2);
    gari_set_debug(0);
    gari_garbage_clear();
    gari_decref(try_ring(&stuck_type, 4));
    gari_collect(2);
    if (!refused(gari_garbage_get(&objects)))
        take_apart(&objects);
    gari_objects_release(&objects);
    /* Should it have been listed only now, or not been shown: nothing else can take it apart. */
    gari__faults_arm(NULL);
    gari_collect(2);
    check(gari_garbage_get(&objects) == 0);
    take_apart(&objects);
    gari_objects_release(&objects);
    gari_garbage_clear();
    check(gari_callback_remove(note_collection, &made) == told);
}

static atomic_long defers_taken, defers_called;

static void count_defer(void *arg)
{
    (void)arg;
    atomic_fetch_add(&defers_called, 1);
}

static void limits_and_defers(void)
{
    for (int i = 0; i < 10; i++) {
        int error = gari_defer(count_defer, NULL);
        check(error == 0 || error == ENOMEM);
        atomic_fetch_add(&defers_taken, error == 0);
    }
    gari_decref(try_ring(&watched_type, 2000));
    gari_set_memory_limit(stats_now().heap_bytes + (64 << 10));
    struct node *chain = NULL, *node;
    long length = 0;
    while (length < 10000 && (node = try_node(&watched_type, ++length)) != NULL) {
        gari_move(&node->next, chain);
        chain = node;
    }
    check(length < 10000);
    gari_set_memory_limit(0);
    gari_decref(chain);
    gari_collect(2);
}

static void shutdown_amid_it(void)
{
    gari_decref(try_ring(&watched_type, 100));
    gari_decref(try_ring(&final_type, 2));
    gari_shutdown(NULL, NULL); /* it may find objects left, which the next one frees */
    gari_decref(try_ring(&watched_type, 100));
}

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
    atomic_fetch_add(&made, 50);
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
    check(disposed_count() == atomic_load(&made));
    check(reclaimed_count() == atomic_load(&made));
    check(atomic_load(&called) == atomic_load(&owed_calls));
    check(atomic_load(&defers_called) == atomic_load(&defers_taken));
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

static void walk_all(void (*scenario)(void), long least)
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

#define WALK(scenario, least)                                                                      \
    Test(faults, in_##scenario)                                                                    \
    {                                                                                              \
        walk_all(scenario, least);                                                                 \
    }

WALK(objects_and_cycles, 20)
WALK(threads, 10)
WALK(weak_references, 15)
WALK(finalizers, 10)
WALK(weak_containers, 50)
WALK(containers, 10)
WALK(inspection, 15)
WALK(limits_and_defers, 15)
WALK(shutdown_amid_it, 10)
