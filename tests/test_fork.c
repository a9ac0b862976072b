/* fork: the child goes on with a whole heap. Here nobody else is at work; see also test_fork_*.c. */
#include "tests/support_fork.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(fork, .timeout = 240);

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
