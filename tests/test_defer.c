/* gari_defer: a call after every read section that is open now has ended, exactly once. */
#include "tests/support.h"

#include <stdatomic.h>
#include <stdlib.h>

TestSuite(defer, .timeout = 60);

static atomic_int calls;

static void count_call(void *arg)
{
    check(arg == &calls);
    atomic_fetch_add(&calls, 1);
}

static bool called_once(void *arg)
{
    (void)arg;
    return atomic_load(&calls) == 1;
}

Test(defer, calls_once_when_the_work_that_waits_is_driven)
{
    use_manual_mode();
    assert_equal(gari_defer(count_call, &calls), 0);
    settle();
    assert_equal(atomic_load(&calls), 1);
    settle();
    assert_equal(atomic_load(&calls), 1);
    assert_nothing_left();
    assert_equal(atomic_load(&calls), 1);
}

Test(defer, calls_by_shutdown_at_the_latest)
{
    use_manual_mode();
    assert_equal(gari_defer(count_call, &calls), 0);
    assert_nothing_left();
    assert_equal(atomic_load(&calls), 1);
}

Test(defer, calls_in_the_background_without_being_asked)
{
    use_mode(GARI_MODE_BACKGROUND);
    assert_equal(gari_defer(count_call, &calls), 0);
    cr_assert(wait_until(called_once, NULL, 20));
    assert_nothing_left();
    assert_equal(atomic_load(&calls), 1);
}

Test(defer, calls_in_the_background_also_when_the_heap_is_in_use)
{
    use_mode(GARI_MODE_BACKGROUND);
    struct node *node = new_node(&node_type, 0);
    assert_equal(gari_defer(count_call, &calls), 0);
    cr_assert(wait_until(called_once, NULL, 20));
    gari_decref(node);
    assert_nothing_left();
}

static void defer_one(void *arg)
{
    (void)arg;
    check(gari_defer(count_call, &calls) == 0);
}

Test(defer, calls_in_the_background_when_the_thread_that_asked_has_exited)
{
    use_mode(GARI_MODE_BACKGROUND);
    run_in_thread(defer_one, NULL);
    cr_assert(wait_until(called_once, NULL, 20));
    assert_nothing_left();
}

Test(defer, does_not_call_before_the_callers_own_section_has_ended)
{
    use_manual_mode();
    gari_read_begin();
    assert_equal(gari_defer(count_call, &calls), 0);
    for (int i = 0; i < 20000; i++) {
        gari_decref(new_node(&node_type, 0));
        check(atomic_load(&calls) == 0);
    }
    gari_read_end();
    settle();
    assert_equal(atomic_load(&calls), 1);
    assert_nothing_left();
}

/* ---- A section of another thread ---------------------------------------------------------- */

static struct gate section_open = GATE_CLOSED, deferred = GATE_CLOSED;
static atomic_bool section_ended;

static void check_section_ended(void *arg)
{
    (void)arg;
    check(atomic_load(&section_ended));
    atomic_fetch_add(&calls, 1);
}

static void *hold_a_section(void *arg)
{
    (void)arg;
    gari_read_begin();
    gate_open(&section_open);
    gate_wait(&deferred);
    for (int i = 0; i < 100000; i++)
        check(atomic_load(&calls) == 0);
    atomic_store(&section_ended, true);
    gari_read_end();
    return NULL;
}

static void check_that_it_waits_for_the_section(gari_mode mode)
{
    use_mode(mode);
    pthread_t thread = start_thread(hold_a_section, NULL);
    gate_wait(&section_open);
    assert_equal(gari_defer(check_section_ended, NULL), 0);
    gate_open(&deferred);
    settle(); /* waits for that section */
    join_thread(thread);
    assert_nothing_left();
    assert_equal(atomic_load(&calls), 1);
}

Test(defer, does_not_call_before_another_threads_section_has_ended)
{
    check_that_it_waits_for_the_section(GARI_MODE_MANUAL);
}

Test(defer, does_not_call_before_another_threads_section_has_ended_in_the_background)
{
    check_that_it_waits_for_the_section(GARI_MODE_BACKGROUND);
}

/* ---- What the function may do ------------------------------------------------------------- */

static void defer_again(void *arg)
{
    long *left = arg;
    atomic_fetch_add(&calls, 1);
    if (--*left > 0)
        check(gari_defer(defer_again, left) == 0);
}

Test(defer, may_be_called_by_a_deferred_function)
{
    use_manual_mode();
    long left = 10;
    assert_equal(gari_defer(defer_again, &left), 0);
    for (int i = 0; i < 20; i++)
        settle();
    assert_equal(atomic_load(&calls), 10);
    assert_nothing_left();
}

static void drop_node(void *arg)
{
    gari_decref((struct node *)arg);
}

Test(defer, may_give_back_a_reference)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 0);
    gari_move(&node->next, new_node(&watched_type, 1));
    assert_equal(gari_defer(drop_node, node), 0);
    assert_equal(disposed_count(), 0);
    settle();
    assert_equal(disposed_count(), 2);
    assert_nothing_left();
}

static void make_garbage(void *arg)
{
    (void)arg;
    make_garbage_ring(&watched_type, 3);
    gari_decref(new_node(&watched_type, 0));
}

Test(defer, may_make_objects)
{
    use_manual_mode();
    for (int i = 0; i < 100; i++)
        assert_equal(gari_defer(make_garbage, NULL), 0);
    assert_nothing_left();
    assert_equal(disposed_count(), 400);
}

/* ---- Many, from many threads -------------------------------------------------------------- */

enum { THREADS = 4 };
static atomic_int *called;

static void mark_called(void *arg)
{
    atomic_fetch_add(&called[(size_t)(uintptr_t)arg], 1);
}

static void *defer_many(void *arg)
{
    size_t from = (size_t)(uintptr_t)arg * SCALED(20000);
    for (size_t i = from; i < from + SCALED(20000); i++)
        check(gari_defer(mark_called, (void *)(uintptr_t)i) == 0);
    return NULL;
}

static void check_many(gari_mode mode)
{
    use_mode(mode);
    called = calloc(THREADS * SCALED(20000), sizeof *called);
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        thread[i] = start_thread(defer_many, (void *)i);
    for (int i = 0; i < THREADS; i++)
        join_thread(thread[i]);
    assert_nothing_left();
    size_t wrong = 0;
    for (size_t i = 0; i < THREADS * SCALED(20000); i++)
        wrong += atomic_load(&called[i]) != 1;
    assert_equal(wrong, 0);
    free(called);
}

Test(defer, calls_each_of_many_exactly_once)
{
    check_many(GARI_MODE_MANUAL);
}

Test(defer, calls_each_of_many_exactly_once_in_the_background)
{
    check_many(GARI_MODE_BACKGROUND);
}
