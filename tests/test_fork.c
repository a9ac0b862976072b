/* fork: the child goes on with a whole heap, whatever the other threads were doing. */
#include "tests/support.h"

#include "lib/gari_containers.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(fork, .timeout = 240);

enum { LENGTH = 50, MOST_STEPS = 4000 };

/* ---- A child and what it does ------------------------------------------------------------- */

/* Ends the child at once when something is wrong, or never ends. */
static void prepare_child(void)
{
    signal(SIGABRT, SIG_DFL);
    alarm(SANITIZED ? 120 : 60);
}

static void wait_for_child(pid_t child)
{
    int status = 0;
    cr_assert(child > 0, "fork: %s", strerror(errno));
    while (waitpid(child, &status, 0) < 0)
        check(errno == EINTR);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with status %#x",
              (unsigned)status);
}

static struct node *kept; /* a ring of LENGTH watched nodes, owned by the test */

static void *make_and_drop(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        make_garbage_ring(&watched_type, 5);
        gari_decref(new_chain(&watched_type, 50));
    }
    return NULL;
}

/* Everything that a process does with gari. `others`: threads that do not exist here may have owned
 * something. */
static void live(bool others, int generations)
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
        int status;
        while (waitpid(child, &status, 0) < 0)
            check(errno == EINTR);
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
    check(gari_collect(2) >= 10);
    check(gari_shutdown(NULL, NULL) <= left);
}

static void fork_and_live(bool others, int generations)
{
    pid_t child = fork();
    if (child == 0) {
        prepare_child();
        live(others, generations);
        _exit(0);
    }
    wait_for_child(child);
}

static void end_parent(void)
{
    assert_equal(ring_length(kept), LENGTH);
    gari_decref(kept);
    gari_collect(2);
    assert_nothing_left();
    assert_equal(reclaimed_count(), disposed_count());
}

/* ---- Nobody else is at work --------------------------------------------------------------- */

static void fork_quietly(gari_mode mode)
{
    use_mode(mode);
    kept = new_ring(&watched_type, LENGTH);
    make_garbage_ring(&watched_type, 10);
    for (int i = 0; i < 3; i++)
        fork_and_live(false, 2);
    end_parent();
}

Test(fork, quietly_in_manual_mode)
{
    fork_quietly(GARI_MODE_MANUAL);
}

Test(fork, quietly_in_inline_mode)
{
    fork_quietly(GARI_MODE_INLINE);
}

Test(fork, quietly_in_the_background)
{
    fork_quietly(GARI_MODE_BACKGROUND);
}

static void use_freely(void)
{
    use_manual_mode();
    kept = new_ring(&watched_type, LENGTH);
    live(false, 0);
}

Test(fork, before_the_first_use)
{
    pid_t child = fork();
    if (child == 0) {
        prepare_child();
        use_freely();
        _exit(0);
    }
    wait_for_child(child);
    use_manual_mode();
    kept = new_ring(&watched_type, LENGTH);
    end_parent();
}

static void live_alone(void *arg)
{
    (void)arg;
    live(false, 1);
}

/* For threads that are not the test's own, which has `kept` and waits. */
static void fork_unattached(void *arg)
{
    (void)arg;
    pid_t child = fork();
    if (child == 0) {
        prepare_child();
        /* A thread that is going away may not collect. */
        run_in_thread(live_alone, NULL);
        _exit(0);
    }
    int status;
    while (waitpid(child, &status, 0) < 0)
        check(errno == EINTR);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(fork, from_a_thread_that_never_used_gari)
{
    use_mode(GARI_MODE_BACKGROUND);
    kept = new_ring(&watched_type, LENGTH);
    run_in_thread(fork_unattached, NULL);
    end_parent();
}

static pthread_key_t late;
static atomic_int late_rounds;

/* In the last rounds of destructors the thread has no record any more. */
static void fork_late(void *arg)
{
    gari_decref(new_node(&watched_type, 0));
    if (atomic_fetch_add(&late_rounds, 1) < 2)
        pthread_setspecific(late, arg);
    fork_unattached(NULL);
}

static void exit_late(void *arg)
{
    gari_decref(new_node(&watched_type, 0));
    pthread_setspecific(late, arg);
}

Test(fork, from_the_destructors_of_a_thread)
{
    use_mode(GARI_MODE_BACKGROUND);
    kept = new_ring(&watched_type, LENGTH);
    pthread_key_create(&late, fork_late);
    run_in_thread(exit_late, &late);
    assert_equal(atomic_load(&late_rounds), 3);
    end_parent();
}

static void exit_normally(void *unused)
{
    (void)unused;
    check(false); /* the finalizers at exit are the parent's */
}

Test(fork, a_child_may_exit)
{
    use_mode(GARI_MODE_BACKGROUND);
    kept = new_ring(&watched_type, LENGTH);
    gari_finalize *handle = gari_finalize_new((gari_object *)kept, exit_normally, NULL);
    pid_t child = fork();
    if (child == 0) {
        prepare_child();
        make_garbage_ring(&watched_type, 5);
        gari_collect(2);
        if (SANITIZED)
            _exit(0); /* LeakSanitizer looks for the parent's threads in the child, and says so */
        exit(0);
    }
    wait_for_child(child);
    gari_finalize_detach(handle);
    gari_decref(handle);
    end_parent();
}

/* ---- A collection is open ------------------------------------------------------------------ */

static atomic_int finalized, called;

static void count_finalize(void *self)
{
    (void)self;
    atomic_fetch_add(&finalized, 1);
}

static void count_call(void *arg)
{
    (void)arg;
    atomic_fetch_add(&called, 1);
}

static const gari_type finalized_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = count_finalize);

enum { RINGS = 6 };
static gari_weakref *weak[RINGS];

static void make_all_kinds_of_garbage(void)
{
    for (int i = 0; i < RINGS; i++) {
        struct node *ring = new_ring(i % 3 == 2 ? &finalized_type : &watched_type, 4);
        weak[i] = i % 2 ? gari_weakref_new((gari_object *)ring, count_call, NULL) : NULL;
        gari_store(&ring->any, kept);
        gari_decref(ring);
        make_garbage_ring(&node_type, 4);
    }
}

static void drop_weak(void)
{
    for (int i = 0; i < RINGS; i++)
        gari_decref(weak[i]);
}

static void finish_collection(void)
{
    for (int i = 0; i < 3; i++)
        gari_collect(2);
    check(disposed_count() == 4 * 4);
    check(atomic_load(&finalized) == 2 * 4);
    check(atomic_load(&called) == 3);
    for (int i = 0; i < RINGS; i++)
        check(!weak[i] || gari_weakref_get(weak[i]) == NULL);
    check(gari_getrefcount(kept) == 2);
    check(ring_length(kept) == LENGTH);
    drop_weak();
}

/* Forks at every `stride`th slice of one collection, through all its phases. */
Test(fork, at_every_slice_of_a_collection)
{
    use_manual_mode();
    kept = new_ring(&watched_type, LENGTH);
    gari_collect(2);
    make_all_kinds_of_garbage();
    int stride = THREAD_SANITIZED ? 29 : SANITIZED ? 13 : 3, forks = 0;
    for (int step = 0; step < MOST_STEPS; step++) {
        bool more = gari_step(1);
        if (step % stride == 0) {
            pid_t child = fork();
            if (child == 0) {
                prepare_child();
                finish_collection();
                live(false, 0);
                _exit(0);
            }
            wait_for_child(child);
            forks++;
        }
        if (!more)
            break;
    }
    cr_assert(forks >= 10, "only %d forks", forks);
    finish_collection();
    end_parent();
}

/* A thread that waits in its gari_collect for a grace period: the fork waits as long. */
static struct gate in_section = GATE_CLOSED, leave_section = GATE_CLOSED;

static void *stay_in_section(void *arg)
{
    (void)arg;
    gari_read_begin();
    gate_open(&in_section);
    gate_wait(&leave_section);
    gari_read_end();
    return NULL;
}

static void *collect_all(void *arg)
{
    (void)arg;
    gari_collect(2);
    return NULL;
}

static void *leave_soon(void *arg)
{
    (void)arg;
    usleep(300000);
    gate_open(&leave_section);
    return NULL;
}

static void fork_beside_a_waiting_collection(gari_mode mode)
{
    use_mode(mode);
    kept = new_ring(&watched_type, LENGTH);
    make_garbage_ring(&watched_type, 10);
    pthread_t reader = start_thread(stay_in_section, NULL);
    gate_wait(&in_section);
    pthread_t collector = start_thread(collect_all, NULL);
    usleep(100000); /* it waits for the reader by now, or soon */
    pthread_t opener = start_thread(leave_soon, NULL);
    fork_and_live(true, 1);
    join_thread(reader);
    join_thread(collector);
    join_thread(opener);
    end_parent();
}

Test(fork, while_a_collection_waits_for_a_grace_period_in_manual_mode)
{
    fork_beside_a_waiting_collection(GARI_MODE_MANUAL);
}

Test(fork, while_a_collection_waits_for_a_grace_period_in_the_background)
{
    fork_beside_a_waiting_collection(GARI_MODE_BACKGROUND);
}

Test(fork, a_section_of_another_thread_holds_up_no_grace_period_of_the_child)
{
    use_manual_mode();
    kept = new_ring(&watched_type, LENGTH);
    gari_collect(2);
    pthread_t reader = start_thread(stay_in_section, NULL);
    gate_wait(&in_section);
    fork_and_live(false, 1);
    gate_open(&leave_section);
    join_thread(reader);
    end_parent();
}

/* ---- Finalizers are queued ----------------------------------------------------------------- */

Test(fork, with_finalizers_queued)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_set_finalizers(GARI_FINALIZERS_QUEUED, NULL, NULL);
    kept = new_ring(&watched_type, LENGTH);
    for (int i = 0; i < 5; i++)
        gari_decref(new_node(&finalized_type, i));
    make_garbage_ring(&finalized_type, 4);
    gari_collect(2);
    assert_equal(stats_now().finalizers_waiting, 6);
    pid_t child = fork();
    if (child == 0) {
        prepare_child();
        check(stats_now().finalizers_waiting == 6);
        check(gari_run_finalizers(100) == 9);
        check(stats_now().finalizers_waiting == 0);
        live(false, 1);
        _exit(0);
    }
    wait_for_child(child);
    assert_equal(gari_run_finalizers(100), 9);
    end_parent();
}

/* ---- From callbacks ------------------------------------------------------------------------ */

static pid_t fork_here; /* 0: not yet; -1: in the child */

static void fork_once(void)
{
    if (fork_here != 0)
        return;
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        prepare_child();
        fork_here = -1;
    } else {
        fork_here = child;
    }
}

static void fork_in_callback(void *self)
{
    (void)self;
    fork_once();
}

static void fork_in_report(const gari_collection *collection, void *arg)
{
    (void)collection;
    (void)arg;
    fork_once();
}

static const gari_type forking_finalize = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = fork_in_callback);
static const gari_type forking_dispose = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .dispose = fork_in_callback);
static const gari_type forking_reclaim = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .reclaim = fork_in_callback);

/* After the callback, in both processes. */
static void go_on(void)
{
    for (int i = 0; i < 3; i++)
        gari_collect(2);
    finish_pending();
    check(fork_here != 0);
    if (fork_here == -1) {
        live(false, 1);
        _exit(0);
    }
    wait_for_child(fork_here);
    end_parent();
}

static void begin(void)
{
    use_manual_mode();
    kept = new_ring(&watched_type, LENGTH);
}

Test(fork, from_a_finalizer_at_a_death_by_count)
{
    begin();
    gari_decref(new_chain(&forking_finalize, 5));
    go_on();
}

Test(fork, from_a_finalizer_of_a_cycle)
{
    begin();
    make_garbage_ring(&forking_finalize, 5);
    go_on();
}

Test(fork, from_dispose_at_a_death_by_count)
{
    begin();
    gari_decref(new_chain(&forking_dispose, 5));
    go_on();
}

Test(fork, from_dispose_in_a_collection)
{
    begin();
    make_garbage_ring(&forking_dispose, 5);
    go_on();
}

Test(fork, from_reclaim_after_a_death_by_count)
{
    begin();
    gari_decref(new_chain(&forking_reclaim, 5));
    go_on();
}

Test(fork, from_reclaim_in_a_collection)
{
    begin();
    make_garbage_ring(&forking_reclaim, 5);
    go_on();
}

Test(fork, from_a_deferred_call)
{
    begin();
    gari_defer(fork_in_callback, NULL);
    gari_defer(count_call, NULL);
    go_on();
}

Test(fork, from_the_callback_of_a_weak_reference)
{
    begin();
    struct node *node = new_node(&node_type, 0);
    gari_weakref *reference = gari_weakref_new((gari_object *)node, fork_in_callback, NULL);
    gari_decref(node);
    gari_collect(2);
    gari_decref(reference);
    go_on();
}

Test(fork, from_the_report_of_a_collection)
{
    begin();
    gari_callback_add(fork_in_report, NULL);
    make_garbage_ring(&node_type, 5);
    go_on();
}

/* ---- Threads at work ----------------------------------------------------------------------- */

enum { MUTATORS = 3, ROOTS = 8 };
static GARI_ROOT(struct node) roots[ROOTS];
static gari_list *shared_list;
static gari_weakmap *shared_map;
static atomic_bool stop;

static void *mutate(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    while (!atomic_load(&stop)) {
        uint64_t x = next_random(&seed);
        while (stats_now().objects_live > 20000 && !atomic_load(&stop))
            usleep(500); /* there is no collector to slow it down in manual mode */
        struct node *node = new_node(x % 5 == 0 ? &finalized_type : &watched_type, 0);
        struct node *other = gari_load(&roots[x % ROOTS]);
        gari_store(&node->next, node);
        if (other)
            gari_store(&other->prev, node);
        if (x % 3 == 0)
            gari_store(&roots[x / 3 % ROOTS], node);
        if (x % 7 == 0) {
            gari_decref(gari_weakref_new((gari_object *)node, x % 2 ? count_call : NULL, NULL));
            gari_weakmap_set(shared_map, &seed, 1, (gari_object *)node);
        }
        if (x % 11 == 0)
            gari_decref((struct node *)gari_weakmap_get(shared_map, &x, 1));
        gari_list_append(shared_list, node);
        if (gari_list_length(shared_list) > 50)
            gari_list_clear(shared_list);
        gari_decref(other);
        gari_decref(node);
    }
    return NULL;
}

static void *collect_often(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop))
        gari_collect(atomic_load(&called) % 3);
    return NULL;
}

static void *be_born_and_die(void *arg)
{
    while (!atomic_load(&stop))
        join_thread(start_thread(make_and_drop, arg));
    return NULL;
}

static void fork_beside_work(gari_mode mode)
{
    use_mode(mode);
    kept = new_ring(&watched_type, LENGTH);
    shared_list = gari_list_new();
    shared_map = gari_weakmap_new();
    /* The first use of a type asks the dynamic loader who it belongs to, and ThreadSanitizer's part of
     * that has a lock that is lost to a child in which another thread had it. */
    gari_decref(new_node(&node_type, 0));
    pthread_t thread[MUTATORS + 2];
    for (uintptr_t i = 0; i < MUTATORS; i++)
        thread[i] = start_thread(mutate, (void *)(i + 1));
    thread[MUTATORS] = start_thread(collect_often, NULL);
    thread[MUTATORS + 1] = start_thread(be_born_and_die, NULL);
    for (int i = 0; i < (SANITIZED ? 6 : 30); i++) {
        usleep(2000);
        pid_t child = fork();
        if (child == 0) {
            prepare_child();
            /* The containers are whole. */
            gari_list_clear(shared_list);
            check(gari_list_append(shared_list, kept) == 0);
            check(gari_list_length(shared_list) == 1);
            gari_decref(shared_list);
            gari_weakmap_count(shared_map);
            gari_decref(shared_map);
            for (int j = 0; j < ROOTS; j++)
                gari_store(&roots[j], NULL);
            live(true, 1);
            _exit(0);
        }
        wait_for_child(child);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < MUTATORS + 2; i++)
        join_thread(thread[i]);
    gari_decref(shared_list);
    gari_decref(shared_map);
    for (int i = 0; i < ROOTS; i++)
        gari_store(&roots[i], NULL);
    end_parent();
}

Test(fork, beside_threads_at_work_in_manual_mode)
{
    fork_beside_work(GARI_MODE_MANUAL);
}

Test(fork, beside_threads_at_work_in_inline_mode)
{
    fork_beside_work(GARI_MODE_INLINE);
}

Test(fork, beside_threads_at_work_in_the_background)
{
    fork_beside_work(GARI_MODE_BACKGROUND);
}

static void *fork_often(void *arg)
{
    for (int i = 0; i < 10; i++)
        fork_unattached(arg);
    return NULL;
}

Test(fork, from_several_threads_at_once)
{
    use_mode(GARI_MODE_BACKGROUND);
    kept = new_ring(&watched_type, LENGTH);
    pthread_t thread[3];
    for (int i = 0; i < 3; i++)
        thread[i] = start_thread(fork_often, NULL);
    for (int i = 0; i < 3; i++)
        join_thread(thread[i]);
    end_parent();
}

/* ---- What is refused ----------------------------------------------------------------------- */

static void fork_in_section(void)
{
    gari_decref(new_node(&node_type, 0));
    gari_read_begin();
    if (fork() == 0)
        _exit(0);
}

Test(fork, inside_a_read_section_is_fatal)
{
    const char *sentence = fatal_sentence(fork_in_section);
    assert_mentions(sentence, "fork");
    assert_mentions(sentence, "read section");
}

static void collect_in_a_bare_child(void)
{
    gari_decref(new_node(&node_type, 0));
    if (_Fork() == 0) {
        gari_collect(2);
        _exit(0);
    }
    int status = 0;
    wait(&status);
    if (WIFSIGNALED(status))
        abort();
}

Test(fork, a_child_made_without_handlers_is_told_so)
{
    const char *sentence = fatal_sentence(collect_in_a_bare_child);
    assert_mentions(sentence, "gari_collect");
    assert_mentions(sentence, "_Fork");
}
