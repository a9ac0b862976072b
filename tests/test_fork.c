/* fork: a child that uses gari is told so rather than left to hang. */
#include "tests/support.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(fork, .timeout = 120);

static int sentence_pipe[2];

static void send_sentence(const char *sentence)
{
    if (write(sentence_pipe[1], sentence, strlen(sentence)) < 0)
        _exit(2);
}

/* Forks a child that calls `use`. Returns its wait status, its sentence in the buffer. */
static int use_in_child(void (*use)(void), char sentence[512])
{
    check(pipe(sentence_pipe) == 0);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        alarm(10);
        gari_set_fatal_hook(send_sentence);
        use();
        _exit(0);
    }
    close(sentence_pipe[1]);
    ssize_t length = read(sentence_pipe[0], sentence, 511);
    sentence[length > 0 ? length : 0] = '\0';
    close(sentence_pipe[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        check(errno == EINTR);
    return status;
}

static struct node *before;

static void make_in_child(void)
{
    gari_new(&node_type);
}

static void collect_in_child(void)
{
    gari_collect(2);
}

static void *attach(void *arg)
{
    (void)arg;
    gari_new(&node_type);
    return NULL;
}

static void make_in_new_thread_of_child(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, attach, NULL) == 0)
        pthread_join(thread, NULL);
}

static void nothing_in_child(void)
{
}

static void check_child(gari_mode mode, void (*use)(void), const char *call)
{
    use_mode(mode);
    before = new_ring(&watched_type, 10);
    make_garbage_ring(&watched_type, 10);
    char sentence[512];
    int status = use_in_child(use, sentence);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
              "the child ended with status %#x rather than by abort(); sentence \"%s\"",
              (unsigned)status, sentence);
    assert_mentions(sentence, call);
    assert_mentions(sentence, "fork");
    /* The parent goes on. */
    assert_equal(ring_length(before), 10);
    gari_decref(before);
    gari_collect(2);
    assert_equal(disposed_count(), 20);
    assert_nothing_left();
}

Test(fork, new_in_the_child_aborts_with_a_sentence)
{
    check_child(GARI_MODE_MANUAL, make_in_child, "gari_new");
}

Test(fork, new_in_the_child_aborts_with_a_sentence_in_the_background)
{
    check_child(GARI_MODE_BACKGROUND, make_in_child, "gari_new");
}

Test(fork, collect_in_the_child_aborts_with_a_sentence)
{
    check_child(GARI_MODE_MANUAL, collect_in_child, "gari_collect");
}

Test(fork, collect_in_the_child_aborts_with_a_sentence_in_the_background)
{
    check_child(GARI_MODE_BACKGROUND, collect_in_child, "gari_collect");
}

Test(fork, new_in_another_thread_of_the_child_aborts_with_a_sentence, .disabled = THREAD_SANITIZED)
{
    check_child(GARI_MODE_MANUAL, make_in_new_thread_of_child, "gari_new");
}

Test(fork, a_child_that_does_not_use_gari_is_left_alone)
{
    use_mode(GARI_MODE_BACKGROUND);
    before = new_ring(&watched_type, 10);
    char sentence[512];
    int status = use_in_child(nothing_in_child, sentence);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    gari_decref(before);
    assert_equal(gari_collect(2), 10);
    assert_nothing_left();
}

static void use_freely_in_child(void)
{
    use_mode(GARI_MODE_MANUAL);
    make_garbage_ring(&watched_type, 10);
    check(gari_collect(2) == 10);
    check(gari_shutdown(NULL, NULL) == 0);
}

Test(fork, a_child_forked_before_the_first_use_may_use_gari)
{
    char sentence[512];
    int status = use_in_child(use_freely_in_child, sentence);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", sentence);
    use_manual_mode();
    make_garbage_ring(&watched_type, 10);
    assert_equal(gari_collect(2), 10);
    assert_nothing_left();
}
