/* Out of memory at any moment: calls fail or do without, nothing is lost, nothing is freed twice,
 * and the heap works again as soon as there is memory. Each test makes the nth acquisition of
 * memory and all later ones fail, for n = 1, 2, 3, ... until a whole scenario runs without a
 * failure. */
#include "tests/support_faults.h"

#include "concurrency/fault.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(memory_failure, .timeout = 300);

/* ---- A scenario in which everything may fail ---------------------------------------------- */

enum { TYPES = 20, CROWD = 1500 };

static struct leaf *try_leaf(long value)
{
    struct leaf *leaf = gari_new(&leaf_type);
    if (!leaf)
        return NULL;
    leaf->value = value;
    atomic_fetch_add(&tally.made, 1);
    return leaf;
}

/* Types that are met for the first time while memory may fail. */
struct plain {
    gari_object header;
    char bytes[100];
};
static gari_type many_types[TYPES];

static void make_types(void)
{
    for (size_t i = 0; i < TYPES; i++) {
        gari_type type = GARI_TYPE(struct plain);
        type.size = 16 + 24 * i;
        many_types[i] = type;
    }
}

static void try_types(void)
{
    for (size_t i = 0; i < TYPES; i++) {
        gari_object *object = gari_new(&many_types[i]);
        gari_decref(object);
    }
}

static void try_items(void)
{
    size_t length[] = {0, 1, 30, 500, 3000, 40000, 300000};
    for (size_t i = 0; i < sizeof length / sizeof *length; i++) {
        struct vec *vec = gari_new_items(&vec_type, length[i]);
        if (vec) {
            check(vec->length == length[i]);
            for (size_t j = 0; j < length[i]; j += 1 + j / 4)
                gari_store(&vec->items[j], vec);
        }
        gari_decref(vec);
        struct text *text = gari_new_items(&text_type, length[i]);
        gari_decref(text);
    }
}

/* Many objects, many candidates, all dropped; several blocks' worth. */
static void try_crowd(void)
{
    static _Thread_local struct node *crowd[CROWD];
    for (size_t i = 0; i < CROWD; i++) {
        crowd[i] = try_node(i % 2 ? &node_type : &watched_type, (long)i);
        if (crowd[i] && i > 0)
            gari_store(&crowd[i]->next, crowd[i - 1]);
    }
    for (size_t i = 0; i < CROWD; i++)
        gari_decref(crowd[i]);
}

static GARI_ROOT(struct node) root;

static void *try_thread(void *arg)
{
    gari_read_begin();
    struct node *borrowed = gari_borrow(&root);
    if (borrowed)
        check(borrowed->value == 77);
    gari_read_end();
    gari_decref((struct node *)arg);
    gari_decref(try_ring(&watched_type, 5));
    gari_move(&root, try_node(&node_type, 77));
    try_defer();
    return NULL;
}

static void try_everything(void)
{
    try_types();
    try_items();
    gari_decref(try_ring(&watched_type, 3));
    gari_decref(try_leaf(1));
    struct node *holder = try_node(&watched_type, 0);
    if (holder) {
        gari_move(&holder->any, try_leaf(2));
        gari_move(&holder->next, try_node(&watched_type, 1));
        struct node *taken = gari_take(&holder->next);
        gari_move(&holder->prev, taken);
        gari_store(&holder->next, holder);
    }
    gari_decref(holder);
    gari_collect(0);
    struct node *passed = try_node(&watched_type, 2);
    pthread_t thread = start_thread(try_thread, passed);
    try_crowd();
    join_thread(thread);
    gari_decref(try_ring(&watched_type, 1000));
    gari_collect(1);
    try_defer();
    gari_read_begin();
    gari_decref(try_ring(&watched_type, 50));
    try_defer();
    gari_read_end();
    gari_collect(2);
    try_crowd();
    for (int i = 0; i < 10; i++)
        gari_step(1000);
    gari_store(&root, NULL);
}

/* ---- A structure that must survive all of it ---------------------------------------------- */

static struct node *live_ring;
static struct vec *live_vec;

static void make_live(void)
{
    live_ring = new_double_ring(&watched_type, 100);
    live_vec = new_vec(50);
    for (size_t i = 0; i < 50; i++)
        gari_move(&live_vec->items[i], new_leaf((long)i));
    atomic_fetch_add(&tally.made, 150);
}

static void check_live(void)
{
    check(ring_length(live_ring) == 100);
    gari_read_begin();
    struct node *node = live_ring;
    for (long i = 0; i < 100; i++) {
        check(node->value == i);
        struct node *next = gari_borrow(&node->next);
        check(gari_borrow(&next->prev) == node);
        node = next;
    }
    for (size_t i = 0; i < 50; i++) {
        struct leaf *leaf = gari_borrow(&live_vec->items[i]);
        check(leaf->value == (long)i && gari_getrefcount(leaf) == 1);
    }
    gari_read_end();
    check(gari_getrefcount(live_vec) == 1);
    check(gari_getrefcount(live_ring) == 3);
}

static void drop_live(void)
{
    gari_decref(live_ring);
    gari_decref(live_vec);
}

/* ---- One n -------------------------------------------------------------------------------- */

/* Returns whether the scenario ran without a failure. */
static bool run_with_failure_at(long n, gari_mode mode, bool cold)
{
    gari_config config = GARI_CONFIG_INIT;
    config.mode = mode;
    check(gari_configure(&config) == 0);
    if (!cold)
        make_live();
    fail_from(n);
    try_everything();
    bool complete = gari__faults_counted() < n;
    fail_from(0);

    if (cold)
        make_live();
    check_live();
    make_garbage_ring(&watched_type, 5); /* the heap works again */
    atomic_fetch_add(&tally.made, 5);
    size_t freed = gari_collect(2);
    check(mode != GARI_MODE_MANUAL || freed >= 5 || stressed);
    check_live();
    drop_live();
    check(gari_shutdown(NULL, NULL) == 0);
    check(disposed_count() == atomic_load(&tally.made));
    check(reclaimed_count() == atomic_load(&tally.made));
    check(atomic_load(&tally.defers_called) == atomic_load(&tally.defers_taken));
    return complete;
}

static void walk(gari_mode mode)
{
    make_types();
    long n = 1;
    while (!run_with_failure_at(n, mode, false)) {
        cr_assert(n < 1000000, "the scenario never completes");
        n += mode == GARI_MODE_MANUAL && !SANITIZED ? 1 : 1 + n / 8;
    }
    cr_assert(n > 10, "only %ld acquisitions of memory: the scenario tests nothing", n);
}

Test(memory_failure, at_any_acquisition_is_survived)
{
    walk(GARI_MODE_MANUAL);
}

Test(memory_failure, at_any_acquisition_is_survived_in_the_background)
{
    walk(GARI_MODE_BACKGROUND);
}

Test(memory_failure, at_any_acquisition_is_survived_in_inline_mode)
{
    walk(GARI_MODE_INLINE);
}

/* In a process of its own, where nothing of the library has been set up before. */
static bool run_cold_with_failure_at(long n)
{
    if (THREAD_SANITIZED) /* the scenario starts a thread */
        return run_with_failure_at(n, GARI_MODE_MANUAL, true);
    fflush(NULL);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        alarm(60);
        _exit(run_with_failure_at(n, GARI_MODE_MANUAL, true) ? 1 : 0);
    }
    int status;
    check(waitpid(child, &status, 0) == child);
    cr_assert(WIFEXITED(status), "n = %ld: ended by signal %d", n, WTERMSIG(status));
    cr_assert(WEXITSTATUS(status) <= 1);
    return WEXITSTATUS(status) == 1;
}

Test(memory_failure, at_any_acquisition_from_the_first_use_on_is_survived)
{
    make_types();
    for (long n = 1; !run_cold_with_failure_at(n); n += n < 100 ? 1 : 1 + n / 32)
        cr_assert(n < 1000000, "the scenario never completes");
}

/* ---- Single calls ------------------------------------------------------------------------- */

Test(memory_failure, makes_new_return_null_and_leaves_the_heap_as_it_was)
{
    use_manual_mode();
    make_live();
    fail_from(1);
    struct node *first = NULL;
    long made = 0;
    struct node *node;
    while ((node = try_node(&watched_type, 1)) != NULL) { /* what is in the blocks already */
        gari_move(&node->next, first);
        first = node;
        check(++made < 1000000);
    }
    cr_assert(gari_new_items(&vec_type, 1000000) == NULL);
    uint64_t live = stats_now().objects_live;
    cr_assert(gari_new(&watched_type) == NULL);
    assert_equal(stats_now().objects_live, live);
    assert_equal(live, 151 + made);
    fail_from(0);
    node = try_node(&watched_type, 2);
    cr_assert(node != NULL);
    gari_decref(node);
    gari_decref(first);
    check_live();
    drop_live();
    assert_nothing_left();
}

Test(memory_failure, does_not_keep_objects_from_dying)
{
    use_manual_mode();
    struct node *node[1000];
    for (int i = 0; i < 1000; i++)
        node[i] = new_node(&watched_type, i);
    fail_from(1);
    for (int i = 0; i < 1000; i++)
        gari_decref(node[i]);
    assert_equal(disposed_count(), 1000);
    fail_from(0);
    assert_nothing_left();
    assert_equal(reclaimed_count(), 1000);
}

Test(memory_failure, does_not_keep_a_long_chain_from_being_taken_apart)
{
    use_manual_mode();
    struct node *chain = new_chain(&watched_type, SCALED(200000));
    fail_from(1);
    gari_decref(chain);
    finish_pending();
    assert_equal(disposed_count(), SCALED(200000));
    fail_from(0);
    assert_nothing_left();
}

Test(memory_failure, in_a_collection_leaves_the_garbage_for_a_later_one)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, 10000);
    struct node *live = new_ring(&watched_type, 10);
    gari_decref(gari_incref(live));
    fail_from(1);
    size_t freed = 0;
    for (int generation = 0; generation <= 2; generation++)
        freed += gari_collect(generation);
    fail_from(0);
    freed += gari_collect(2);
    assert_equal(freed, 10000);
    assert_equal(ring_length(live), 10);
    gari_decref(live);
    assert_equal(gari_collect(2), 10);
    assert_nothing_left();
}

Test(memory_failure, does_not_lose_candidates)
{
    use_manual_mode();
    enum { RINGS = 20000 };
    struct node **ring = calloc(RINGS, sizeof *ring);
    for (int i = 0; i < RINGS; i++)
        ring[i] = new_ring(&watched_type, 2);
    fail_from(1);
    for (int i = 0; i < RINGS; i++)
        gari_decref(ring[i]);
    fail_from(0);
    free(ring);
    assert_equal(gari_collect(2), 2 * RINGS);
    assert_nothing_left();
}

Test(memory_failure, of_a_defer_is_reported_and_nothing_is_called)
{
    use_manual_mode();
    gari_decref(new_leaf(0));
    fail_from(1);
    int error;
    long taken = 0;
    while ((error = gari_defer(count_defer, &tally.defers_called)) == 0)
        check(++taken < 1000000);
    assert_equal(error, ENOMEM);
    fail_from(0);
    assert_nothing_left();
    assert_equal(atomic_load(&tally.defers_called), taken);
}

static void *first_calls_of_a_thread(void *arg)
{
    struct node *node = arg;
    gari_read_begin();
    check(gari_borrow(&node->next) == NULL);
    gari_read_end();
    gari_store(&node->next, node);
    gari_store(&node->next, NULL);
    gari_decref(gari_incref(node));
    gari_decref(node);
    return NULL;
}

Test(memory_failure, does_not_stop_a_new_thread_from_using_objects)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 0);
    gari_incref(node);
    fail_from(1);
    join_thread(start_thread(first_calls_of_a_thread, node));
    fail_from(0);
    assert_equal(gari_getrefcount(node), 1);
    gari_decref(node);
    assert_equal(disposed_count(), 1);
    assert_nothing_left();
}

/* ---- Calls that return copies -------------------------------------------------------------- */

static void count_key(const void *key, size_t size, void *object, void *arg)
{
    check(key && size && object);
    ++*(int *)arg;
}

static void count_object(void *object, void *arg)
{
    check(object != NULL);
    ++*(int *)arg;
}

Test(memory_failure, of_a_look_through_weak_containers_is_reported_and_visits_nothing)
{
    use_manual_mode();
    gari_weakmap *map = gari_weakmap_new();
    gari_weakset *set = gari_weakset_new();
    struct leaf *leaf = new_leaf(1);
    assert_equal(gari_weakmap_set(map, "key", 3, leaf), 0);
    assert_equal(gari_weakset_add(set, leaf), 0);
    int visits = 0;
    fail_from(1);
    assert_equal(gari_weakmap_each(map, count_key, &visits), ENOMEM);
    assert_equal(gari_weakset_each(set, count_object, &visits), ENOMEM);
    assert_equal(visits, 0);
    fail_from(0);
    assert_equal(gari_weakmap_each(map, count_key, &visits), 0);
    assert_equal(gari_weakset_each(set, count_object, &visits), 0);
    assert_equal(visits, 2);
    assert_equal(gari_getrefcount(leaf), 1);
    gari_decref(leaf);
    gari_decref(map);
    gari_decref(set);
    assert_nothing_left();
}

Test(memory_failure, of_a_copy_of_the_garbage_list_is_reported_and_leaves_the_list)
{
    use_manual_mode();
    gari_set_debug(GARI_DEBUG_SAVEALL);
    make_garbage_ring(&watched_type, 100);
    assert_equal(gari_collect(2), 100);
    gari_objects objects;
    fail_from(1);
    assert_equal(gari_garbage_get(&objects), ENOMEM);
    assert_equal(objects.count, 0);
    fail_from(0);
    assert_equal(gari_garbage_count(), 100);
    assert_equal(gari_garbage_get(&objects), 0);
    assert_equal(objects.count, 100);
    gari_objects_release(&objects);
    gari_set_debug(0);
    gari_garbage_clear();
    assert_nothing_left();
}
