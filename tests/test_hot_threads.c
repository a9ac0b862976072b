/* Hot types: what a thread keeps, everybody else can take back. */
#include "lib/object/kept.h"
#include "tests/support_fork.h"
#include "tests/support_hot.h"

#include <errno.h>
#include <unistd.h>

TestSuite(hot_threads, .timeout = 120);

/* ---- By several --------------------------------------------------------------------------- */

Test(hot_threads, what_another_thread_keeps_lives_until_a_collection)
{
    use_manual_mode();
    for (int generation = 0; generation <= 2; generation++) {
        pthread_t keeper = start_with_kept(&hot_type);
        gari_store(&hot_root, NULL);
        assert_equal(atomic_load(&hot_deaths), KEEPS ? generation : generation + 1);
        gari_collect(generation);
        assert_equal(atomic_load(&hot_deaths), generation + 1);
        end_keeper(keeper);
    }
    assert_nothing_left();
}

Test(hot_threads, a_step_takes_back)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    gari_store(&hot_root, NULL);
    gari_step(100);
    assert_equal(atomic_load(&hot_deaths), 1);
    end_keeper(keeper);
    assert_nothing_left();
}

Test(hot_threads, the_end_of_the_thread_gives_back)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    gari_store(&hot_root, NULL);
    end_keeper(keeper);
    assert_equal(atomic_load(&hot_deaths), 1);
    assert_nothing_left();
}

Test(hot_threads, what_was_given_back_is_prompt_again)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    end_keeper(keeper);
    gari_store(&hot_root, NULL);
    assert_equal(atomic_load(&hot_deaths), 1);
    assert_nothing_left();
}

Test(hot_threads, a_cycle_that_others_keep_is_collected)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    gari_read_begin();
    struct node *node = gari_borrow(&hot_root);
    gari_store(&node->next, node);
    gari_read_end();
    gari_store(&hot_root, NULL);
    assert_equal(gari_collect(2), 1);
    assert_equal(atomic_load(&hot_deaths), 1);
    end_keeper(keeper);
    assert_nothing_left();
}

Test(hot_threads, a_weak_reference_gives_what_is_kept)
{
    use_manual_mode();
    struct node *node = new_node(&hot_type, 0);
    gari_weakref *weak = gari_weakref_new(node, NULL, NULL);
    gari_move(&hot_root, node);
    pthread_t keeper = start_keeper();
    gari_store(&hot_root, NULL);
    node = gari_weakref_get(weak);
    cr_assert((node != NULL) == KEEPS);
    gari_decref(node);
    gari_collect(0);
    cr_assert(gari_weakref_get(weak) == NULL);
    assert_equal(atomic_load(&hot_deaths), 1);
    gari_decref(weak);
    end_keeper(keeper);
    assert_nothing_left();
}

/* Loads a partner and gives it back, when both are garbage and about to be proved so again. */
static void look_at_next(void *self)
{
    struct node *node = self, *next = gari_load(&node->next);
    gari_decref(next);
}

static const gari_type looking_hot_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any),
              .finalize = look_at_next, .dispose = count_hot_death, .flags = GARI_TYPE_HOT);

Test(hot_threads, finalizers_that_look_at_each_other_do_not_keep_each_other_alive)
{
    use_manual_mode();
    struct node *a = new_node(&looking_hot_type, 0), *b = new_node(&looking_hot_type, 0);
    gari_store(&a->next, b);
    gari_move(&b->next, a);
    gari_decref(b);
    assert_equal(gari_collect(2), 2);
    assert_equal(atomic_load(&hot_deaths), 2);
    assert_nothing_left();
}

/* What the node has is not in a field. */
static void drop_value(void *self)
{
    gari_decref((struct node *)(uintptr_t)((struct node *)self)->value);
}

static const gari_type dropping_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .dispose = drop_value);

static pthread_key_t key;

static void drop_last(void *arg)
{
    gari_decref((struct node *)arg);
}

static void *leave_to_the_end(void *arg)
{
    struct node *node = new_node(&dropping_type, (long)(uintptr_t)gari_incref(hot_nodes[0]));
    pthread_setspecific(key, node);
    return arg;
}

/* A dispose that is called as the thread's record is given back. */
Test(hot_threads, what_is_given_back_at_a_threads_end_is_not_kept)
{
    use_manual_mode();
    hot_nodes[0] = new_node(&hot_type, 0);
    pthread_key_create(&key, drop_last);
    join_thread(start_thread(leave_to_the_end, NULL));
    gari_decref(hot_nodes[0]);
    assert_equal(atomic_load(&hot_deaths), 1);
    assert_nothing_left();
}

static void *keep_and_give_the_record_back(void *arg)
{
    keep();
    check(gari__keeping_thread == (struct gari__object_thread *)gari__self);
    gari__thread_detach();
    check(gari__keeping_thread == NULL);
    return arg;
}

/* It may be another thread's when this one's last destructors come by. */
Test(hot_threads, a_thread_without_its_record_keeps_nothing)
{
    use_manual_mode();
    if (!KEEPS)
        return;
    gari_move(&hot_root, new_node(&hot_type, 0));
    join_thread(start_thread(keep_and_give_the_record_back, NULL));
    gari_store(&hot_root, NULL);
    assert_equal(atomic_load(&hot_deaths), 1);
    assert_nothing_left();
}

static atomic_int finalizations;

static void resurrect(void *self)
{
    atomic_fetch_add(&finalizations, 1);
    gari_store(&hot_root, (struct node *)self);
}

static const gari_type finalized_hot_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = resurrect,
              .dispose = count_hot_death, .flags = GARI_TYPE_HOT);

Test(hot_threads, it_is_finalized_when_it_has_been_taken_back_and_may_live_on)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&finalized_hot_type);
    gari_store(&hot_root, NULL);
    gari_collect(2);
    assert_equal(atomic_load(&finalizations), 1);
    assert_equal(atomic_load(&hot_deaths), 0);
    gari_store(&hot_root, NULL);
    gari_collect(2);
    assert_equal(atomic_load(&finalizations), 1);
    assert_equal(atomic_load(&hot_deaths), 1);
    end_keeper(keeper);
    assert_nothing_left();
}

Test(hot_threads, a_type_of_which_something_was_kept_can_be_retired)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    gari_store(&hot_root, NULL);
    assert_equal(gari_type_retire(&hot_type), 0);
    end_keeper(keeper);
    assert_nothing_left();
}

Test(hot_threads, shutdown_takes_back)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    gari_store(&hot_root, NULL);
    assert_nothing_left();
    assert_equal(atomic_load(&hot_deaths), 1);
    end_keeper(keeper);
}

/* ---- Without being asked ------------------------------------------------------------------ */

Test(hot_threads, the_background_thread_takes_back_from_an_idle_thread)
{
    use_mode(GARI_MODE_BACKGROUND);
    pthread_t keeper = start_with_kept(&hot_type);
    gari_store(&hot_root, NULL);
    cr_assert(wait_until(one_has_died, NULL, 20));
    end_keeper(keeper);
    assert_nothing_left();
}

static void count_root(void *arg)
{
    gari_read_begin();
    *(size_t *)arg = gari_getrefcount(gari_borrow(&hot_root));
    gari_read_end();
}

/* What the only thread that ever does anything keeps: the background thread may be asleep for good. */
Test(hot_threads, the_background_thread_is_woken_for_what_is_kept)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_move(&hot_root, gari_new(&hot_leaf_type));
    for (int round = 1; round <= 3; round++) {
        usleep(300000);
        keep();
        usleep(300000);
        size_t count = 0;
        run_in_thread(count_root, &count);
        assert_equal(count, 1);
    }
    gari_store(&hot_root, NULL);
    assert_equal(atomic_load(&hot_deaths), 1);
    assert_nothing_left();
}

Test(hot_threads, in_inline_mode_allocation_takes_back)
{
    use_mode(GARI_MODE_INLINE);
    pthread_t keeper = start_with_kept(&hot_type);
    gari_store(&hot_root, NULL);
    usleep(20000);
    struct node *held[1000];
    for (int i = 0; i < 1000; i++) /* empties a bin, and so comes by */
        held[i] = new_node(&node_type, i);
    assert_equal(atomic_load(&hot_deaths), 1);
    for (int i = 0; i < 1000; i++)
        gari_decref(held[i]);
    end_keeper(keeper);
    assert_nothing_left();
}

static struct gate have_kept[3] = {GATE_CLOSED, GATE_CLOSED, GATE_CLOSED},
                   all_may_end = GATE_CLOSED;

static void *keep_many(void *arg)
{
    for (int i = 0; i < MANY; i++)
        gari_decref(gari_incref(hot_nodes[i]));
    gate_open(&have_kept[(uintptr_t)arg]);
    gate_wait(&all_may_end);
    return NULL;
}

static bool are_taken_back(void *arg)
{
    size_t *all = arg;
    gari_decref(new_vec(10000)); /* asks for memory */
    *all = 0;
    for (int i = 0; i < MANY; i++)
        *all += gari_getrefcount(hot_nodes[i]) - 1;
    return *all == 0;
}

/* More than one call for memory does. */
Test(hot_threads, in_inline_mode_many_are_taken_back_part_by_part)
{
    use_mode(GARI_MODE_INLINE);
    for (int i = 0; i < MANY; i++)
        hot_nodes[i] = new_node(&hot_type, i);
    pthread_t keepers[3];
    for (uintptr_t i = 0; i < 3; i++) {
        keepers[i] = start_thread(keep_many, (void *)i);
        gate_wait(&have_kept[i]);
    }
    size_t all;
    cr_assert(wait_until(are_taken_back, &all, 20));
    gate_open(&all_may_end);
    for (int i = 0; i < 3; i++)
        join_thread(keepers[i]);
    for (int i = 0; i < MANY; i++)
        gari_decref(hot_nodes[i]);
    assert_equal(atomic_load(&hot_deaths), MANY);
    assert_nothing_left();
}

/* ---- fork --------------------------------------------------------------------------------- */

/* A child of which a thread that keeps something is no part does that, and then gives the root's reference back. */
static void fork_beside_keeper(void (*in_child)(void))
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    pid_t child = fork();
    if (child == 0) {
        prepare_child();
        in_child();
        gari_store(&hot_root, NULL);
        gari_collect(0);
        check(atomic_load(&hot_deaths) == 1);
        check(gari_shutdown(NULL, NULL) == 0);
        _exit(0);
    }
    wait_for_child(child);
    gari_store(&hot_root, NULL);
    gari_collect(0);
    assert_equal(atomic_load(&hot_deaths), 1);
    end_keeper(keeper);
    assert_nothing_left();
}

static void do_nothing(void)
{
}

Test(hot_threads, a_child_takes_back_what_other_threads_kept)
{
    fork_beside_keeper(do_nothing);
}

static void *find_what_is_kept(void *arg)
{
    gari_decref(gari_load(&hot_root)); /* now it has a record */
    check(((struct gari__object_thread *)gari__self)->keeping.used == 1);
    struct node *node = gari_load(&hot_root);
    size_t before = gari_getrefcount(node);
    for (int i = 0; i < 10; i++)
        gari_decref(gari_load(&hot_root));
    check(gari_getrefcount(node) == before);
    gari_decref(node);
    return arg;
}

static void start_who_finds_it(void)
{
    join_thread(start_thread(find_what_is_kept, NULL));
}

/* Its first new thread gets the record, and with it what was kept. (qemu 7.2 aborts at that thread.) */
Test(hot_threads, a_childs_thread_takes_over_what_another_kept, .disabled = EMULATED)
{
    if (KEEPS)
        fork_beside_keeper(start_who_finds_it);
}

/* ---- Many threads ------------------------------------------------------------------------- */

enum { HOTS = 8, THREADS = 4, ROUNDS = 20000 };
static GARI_ROOT(struct node) roots[HOTS];

static void *use_all(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    for (size_t round = 0; round < SCALED(ROUNDS); round++) {
        uint64_t x = next_random(&seed);
        struct node *node = gari_load(&roots[x % HOTS]);
        check(gari_getrefcount(node) > 0);
        struct node *other = gari_incref(node);
        if (x % 5 == 0) {
            struct node *fresh = new_node(&hot_type, 0);
            gari_store(&fresh->any, GARI_OBJECT(fresh)); /* garbage, once it is replaced */
            gari_store(&roots[x / 5 % HOTS], fresh);
            gari_decref(fresh);
        }
        if (x % 1000 == 0)
            gari_collect((int)(x / 1000 % 3));
        gari_decref(other);
        gari_decref(node);
    }
    return NULL;
}

Test(hot_threads, all_die_in_the_end_however_many_threads_count)
{
    use_mode(GARI_MODE_BACKGROUND);
    for (int i = 0; i < HOTS; i++)
        gari_move(&roots[i], new_node(&hot_type, 0));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(use_all, (void *)(uintptr_t)(i + 1));
    for (int i = 0; i < THREADS; i++)
        join_thread(threads[i]);
    for (int i = 0; i < HOTS; i++)
        gari_store(&roots[i], NULL);
    assert_nothing_left();
}
