/* fork while a collection is open, waits, or has left finalizers to be called. */
#include "tests/support_fork.h"

#include <stdatomic.h>
#include <unistd.h>

TestSuite(fork_collections, .timeout = 240);

enum { MOST_STEPS = 4000 };

/* ---- A collection is open ------------------------------------------------------------------ */

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
Test(fork_collections, at_every_slice_of_a_collection)
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

Test(fork_collections, while_a_collection_waits_for_a_grace_period_in_manual_mode)
{
    fork_beside_a_waiting_collection(GARI_MODE_MANUAL);
}

Test(fork_collections, while_a_collection_waits_for_a_grace_period_in_the_background)
{
    fork_beside_a_waiting_collection(GARI_MODE_BACKGROUND);
}

Test(fork_collections, a_section_of_another_thread_holds_up_no_grace_period_of_the_child)
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

Test(fork_collections, with_finalizers_queued)
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
