/* fork beside threads at work, whatever they are doing, and by several at once. */
#include "tests/support_fork.h"

#include "lib/gari_containers.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(fork_threads, .timeout = 240);

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

/* A thread that begins or ends takes locks of the allocator of LLVM 14's ThreadSanitizer, which does not
 * see to them at a fork: in the child they stay taken, and who needs one there hangs. So in that build
 * alone a fork waits while a thread begins or ends; what it does in between is not held up. */
static pthread_mutex_t births = PTHREAD_MUTEX_INITIALIZER;
static sem_t about_to_end, may_end;

static void births_lock(void)
{
    if (THREAD_SANITIZED)
        pthread_mutex_lock(&births);
}

static void births_unlock(void)
{
    if (THREAD_SANITIZED)
        pthread_mutex_unlock(&births);
}

static void semaphore_wait(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        check(errno == EINTR);
}

static void *make_and_end(void *arg)
{
    make_and_drop(arg);
    if (THREAD_SANITIZED) {
        sem_post(&about_to_end);
        semaphore_wait(&may_end);
    }
    return NULL;
}

static void *be_born_and_die(void *arg)
{
    while (!atomic_load(&stop)) {
        births_lock();
        pthread_t thread = start_thread(make_and_end, arg); /* there, back when it has begun */
        births_unlock();
        if (THREAD_SANITIZED) {
            semaphore_wait(&about_to_end);
            births_lock();
            sem_post(&may_end);
        }
        join_thread(thread);
        births_unlock();
    }
    return NULL;
}

static void fork_beside_work(gari_mode mode)
{
    use_mode(mode);
    kept = new_ring(&watched_type, LENGTH);
    shared_list = gari_list_new();
    shared_map = gari_weakmap_new();
    check(sem_init(&about_to_end, 0, 0) == 0 && sem_init(&may_end, 0, 0) == 0);
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
        births_lock();
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
        births_unlock();
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

Test(fork_threads, beside_threads_at_work_in_manual_mode)
{
    fork_beside_work(GARI_MODE_MANUAL);
}

Test(fork_threads, beside_threads_at_work_in_inline_mode)
{
    fork_beside_work(GARI_MODE_INLINE);
}

Test(fork_threads, beside_threads_at_work_in_the_background)
{
    fork_beside_work(GARI_MODE_BACKGROUND);
}

enum { FORKERS = 3 };
static atomic_int forkers = FORKERS;

/* A thread that ends takes a lock of liburcu's which its fork handlers do not take, so that a child could have it for
 * ever (two instructions long, but with ThreadSanitizer some microseconds): there none ends before all have forked. */
static void *fork_often(void *arg)
{
    for (int i = 0; i < 10; i++)
        fork_unattached(arg);
    atomic_fetch_sub(&forkers, 1);
    while (THREAD_SANITIZED && atomic_load(&forkers) > 0)
        usleep(1000);
    return NULL;
}

Test(fork_threads, from_several_threads_at_once)
{
    use_mode(GARI_MODE_BACKGROUND);
    kept = new_ring(&watched_type, LENGTH);
    pthread_t thread[FORKERS];
    for (int i = 0; i < FORKERS; i++)
        thread[i] = start_thread(fork_often, NULL);
    for (int i = 0; i < FORKERS; i++)
        join_thread(thread[i]);
    end_parent();
}

/* ---- While memory goes back to the system --------------------------------------------------- */

#define BYTES ((size_t)8 << 20)

static atomic_bool armed, inside, leave;
static void *piece;

#if !SANITIZED
/* What the library calls. The next call, if armed, waits before it does it. */
int munmap(void *addr, size_t len)
{
    if (atomic_exchange(&armed, false)) {
        piece = addr;
        atomic_store(&inside, true);
        while (!atomic_load(&leave))
            usleep(100);
    }
    return (int)syscall(SYS_munmap, addr, len);
}
#endif

static void *free_text(void *text)
{
    atomic_store(&armed, true);
    gari_decref((gari_object *)text);
    settle();
    return NULL;
}

static bool is_inside(void *arg)
{
    (void)arg;
    return atomic_load(&inside);
}

static void *let_go_soon(void *arg)
{
    usleep(50000);
    atomic_store(&leave, true);
    return arg;
}

/* In the child, where that thread is not, nobody would. */
Test(fork_threads, waits_for_what_another_is_unmapping, .disabled = SANITIZED)
{
    use_manual_mode();
    kept = new_ring(&watched_type, LENGTH);
    void *text = gari_new_items(&text_type, BYTES);
    cr_assert(text != NULL);
    pthread_t freeing = start_thread(free_text, text);
    cr_assert(wait_until(is_inside, NULL, 20));
    pthread_t releasing = start_thread(let_go_soon, NULL);
    pid_t child = fork();
    if (child == 0) {
        prepare_child();
        unsigned char pages[1];
        check(mincore(piece, 1, pages) != 0 && errno == ENOMEM);
        live(false, 1);
        _exit(0);
    }
    cr_assert(atomic_load(&leave));
    wait_for_child(child);
    join_thread(freeing);
    join_thread(releasing);
    end_parent();
}
