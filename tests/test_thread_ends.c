/* Threads that end in every way: by return, pthread_exit, cancellation, and in the destructors of
 * their thread-local data; 20,000 of them leave nothing. */
#include "tests/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(thread_ends, .timeout = 240);

static pthread_key_t late;
static GARI_ROOT(struct node) shared;

/* Releases what the thread had, makes objects, and comes again in the next round. */
static void end_late(void *arg)
{
    struct node *before = arg;
    make_garbage_ring(&watched_type, 3);
    if (before->value < 3) /* three rounds of the four that there are */
        pthread_setspecific(late, new_node(&watched_type, before->value + 1));
    gari_decref(before);
}

static void use(void)
{
    make_garbage_ring(&watched_type, 3);
    gari_decref(new_chain(&watched_type, 5));
    struct node *node = new_node(&watched_type, 0);
    gari_store(&shared, node);
    gari_decref(node);
    struct node *other = gari_load(&shared);
    gari_decref(other);
}

static void give_back(void *arg)
{
    gari_decref((struct node *)arg);
}

enum { BY_RETURN, BY_EXIT, BY_CANCEL, IN_SECTION, WAYS };

static void *end_somehow(void *arg)
{
    int way = *(int *)arg;
    use();
    pthread_setspecific(late, new_node(&watched_type, 1));
    struct node *mine = new_node(&watched_type, 2);
    if (way == BY_RETURN) {
        gari_decref(mine);
        return NULL;
    }
    pthread_cleanup_push(give_back, mine);
    if (way == BY_EXIT)
        pthread_exit(NULL);
    if (way == IN_SECTION)
        gari_read_begin(); /* the section ends with the thread */
    for (;;)
        pause();
    pthread_cleanup_pop(1);
    return NULL;
}

static long resident_kilobytes(void)
{
    long pages = 0, unused;
    FILE *file = fopen("/proc/self/statm", "r");
    check(file != NULL && fscanf(file, "%ld %ld", &unused, &pages) == 2);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void run_threads(size_t number)
{
    enum { AT_ONCE = 4 };
    for (size_t i = 0; i < number; i += AT_ONCE) {
        pthread_t thread[AT_ONCE];
        int way[AT_ONCE];
        for (size_t j = 0; j < AT_ONCE; j++) {
            /* ThreadSanitizer loses track of the locks of threads that leave its interceptors so. */
            way[j] = THREAD_SANITIZED ? BY_RETURN : (int)((i / AT_ONCE + j) % WAYS);
            thread[j] = start_thread(end_somehow, &way[j]);
        }
        for (size_t j = 0; j < AT_ONCE; j++) {
            if (way[j] == BY_CANCEL || way[j] == IN_SECTION)
                check(pthread_cancel(thread[j]) == 0);
            join_thread(thread[j]);
        }
        if (i % 1000 == 0)
            settle(); /* in manual mode nobody else does it */
    }
    settle();
}

/* Memory that the sanitizers keep of threads and of freed objects is none of gari's. */
static void check_no_growth(gari_mode mode, size_t number)
{
    use_mode(mode);
    pthread_key_create(&late, end_late);
    run_threads(SCALED(2000));
    uint64_t heap = stats_now().heap_bytes;
    long resident = resident_kilobytes();
    run_threads(number);
    assert_equal(stats_now().threads, 1);
    assert_at_most(stats_now().heap_bytes, heap + 256 * 1024);
    if (!SANITIZED)
        assert_at_most(resident_kilobytes(), resident + 4096);
    printf("%zu threads: heap %+lld bytes, resident %+ld kB\n", number,
           (long long)(stats_now().heap_bytes - heap), resident_kilobytes() - resident);
    gari_store(&shared, NULL);
    settle();
    assert_nothing_left();
    assert_equal(reclaimed_count(), disposed_count());
}

Test(thread_ends, twenty_thousand_leave_no_growth_in_manual_mode)
{
    check_no_growth(GARI_MODE_MANUAL, SCALED(20000));
}

Test(thread_ends, twenty_thousand_leave_no_growth_in_inline_mode)
{
    check_no_growth(GARI_MODE_INLINE, SCALED(20000));
}

Test(thread_ends, twenty_thousand_leave_no_growth_in_the_background)
{
    check_no_growth(GARI_MODE_BACKGROUND, SCALED(20000));
}

/* ---- Cancelled in the middle of gari ------------------------------------------------------- */

static void reach_a_cancellation_point(void *self)
{
    (void)self;
    usleep(10);
}

static const gari_type pausing_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any),
              .finalize = reach_a_cancellation_point, .dispose = reach_a_cancellation_point,
              .reclaim = reach_a_cancellation_point);

static void *collect_until_cancelled(void *arg)
{
    (void)arg;
    for (;;) {
        make_garbage_ring(&pausing_type, 2);
        gari_decref(new_node(&pausing_type, 0));
        gari_collect(2);
        gari_step(100);
        gari_run_finalizers(10);
        pthread_testcancel();
    }
    return NULL;
}

static void check_cancellation(gari_mode mode)
{
    use_mode(mode);
    for (int i = 0; i < (SANITIZED ? 40 : 300); i++) {
        pthread_t thread[2];
        for (int j = 0; j < 2; j++)
            thread[j] = start_thread(collect_until_cancelled, NULL);
        usleep((useconds_t)(i % 20) * 100);
        for (int j = 0; j < 2; j++) {
            check(pthread_cancel(thread[j]) == 0);
            join_thread(thread[j]);
        }
    }
    settle();
    assert_equal(stats_now().threads, 1);
    assert_nothing_left();
}

Test(thread_ends, cancelled_in_calls_of_gari_in_manual_mode)
{
    check_cancellation(GARI_MODE_MANUAL);
}

Test(thread_ends, cancelled_in_calls_of_gari_in_inline_mode)
{
    check_cancellation(GARI_MODE_INLINE);
}

Test(thread_ends, cancelled_in_calls_of_gari_in_the_background)
{
    check_cancellation(GARI_MODE_BACKGROUND);
}
