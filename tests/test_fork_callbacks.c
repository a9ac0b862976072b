/* fork from every kind of callback: parent and child both come back into gari and go on. */
#include "tests/support_fork.h"

#include <unistd.h>

TestSuite(fork_callbacks, .timeout = 240);

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

Test(fork_callbacks, from_a_finalizer_at_a_death_by_count)
{
    begin();
    gari_decref(new_chain(&forking_finalize, 5));
    go_on();
}

Test(fork_callbacks, from_a_finalizer_of_a_cycle)
{
    begin();
    make_garbage_ring(&forking_finalize, 5);
    go_on();
}

Test(fork_callbacks, from_dispose_at_a_death_by_count)
{
    begin();
    gari_decref(new_chain(&forking_dispose, 5));
    go_on();
}

Test(fork_callbacks, from_dispose_in_a_collection)
{
    begin();
    make_garbage_ring(&forking_dispose, 5);
    go_on();
}

Test(fork_callbacks, from_reclaim_after_a_death_by_count)
{
    begin();
    gari_decref(new_chain(&forking_reclaim, 5));
    go_on();
}

Test(fork_callbacks, from_reclaim_in_a_collection)
{
    begin();
    make_garbage_ring(&forking_reclaim, 5);
    go_on();
}

Test(fork_callbacks, from_a_deferred_call)
{
    begin();
    gari_defer(fork_in_callback, NULL);
    gari_defer(count_call, NULL);
    go_on();
}

Test(fork_callbacks, from_the_callback_of_a_weak_reference)
{
    begin();
    struct node *node = new_node(&node_type, 0);
    gari_weakref *reference = gari_weakref_new((gari_object *)node, fork_in_callback, NULL);
    gari_decref(node);
    gari_collect(2);
    gari_decref(reference);
    go_on();
}

Test(fork_callbacks, from_the_report_of_a_collection)
{
    begin();
    gari_callback_add(fork_in_report, NULL);
    make_garbage_ring(&node_type, 5);
    go_on();
}
