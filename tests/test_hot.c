/* Hot types: a thread keeps what it gives back, and everybody else can take it back from there. */
#include "tests/support_fork.h"

#include <errno.h>
#include <unistd.h>

TestSuite(hot, .timeout = 120);

/* The checked build keeps nothing. */
#ifdef GARI_CHECKED
enum { KEEPS = false };
#else
enum { KEEPS = true };
#endif

static atomic_int deaths;

static void count_death(void *self)
{
    (void)self;
    atomic_fetch_add(&deaths, 1);
}

static const gari_type hot_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .dispose = count_death,
              .flags = GARI_TYPE_HOT);
static const gari_type hot_leaf_type =
    GARI_TYPE(struct leaf, .dispose = count_death, .flags = GARI_TYPE_HOT);

/* A thread that takes a reference from the root and gives it back, and then does nothing until it may end. */
static GARI_ROOT(struct node) root;
static struct gate has_kept = GATE_CLOSED, may_end = GATE_CLOSED;

static void keep(void)
{
    struct node *node = gari_load(&root);
    gari_incref(node);
    gari_decref(node);
    gari_decref(node);
}

static void *keep_and_wait(void *arg)
{
    keep();
    gate_open(&has_kept);
    gate_wait(&may_end);
    return arg;
}

static void end_keeper(pthread_t keeper)
{
    gate_open(&may_end);
    join_thread(keeper);
}

static pthread_t start_keeper(void)
{
    pthread_t thread = start_thread(keep_and_wait, NULL);
    gate_wait(&has_kept);
    return thread;
}

/* A new object that only the root has, and what a keeper keeps. */
static pthread_t start_with_kept(const gari_type *type)
{
    gari_move(&root, new_node(type, 0));
    return start_keeper();
}

static bool has_died(void *arg)
{
    (void)arg;
    return atomic_load(&deaths) > 0;
}

/* ---- By one thread ------------------------------------------------------------------------ */

Test(hot, the_last_reference_of_the_only_thread_is_death_at_once)
{
    use_manual_mode();
    for (int i = 1; i <= 1000; i++) {
        struct node *node = new_node(&hot_type, 0);
        for (int k = 0; k < 5; k++)
            gari_incref(node);
        for (int k = 0; k < 5; k++)
            gari_decref(node);
        gari_incref(node);
        gari_decref(node);
        assert_equal(atomic_load(&deaths), i - 1);
        gari_decref(node);
        assert_equal(atomic_load(&deaths), i);
    }
    assert_nothing_left();
}

Test(hot, what_the_thread_keeps_is_not_counted_for_it)
{
    use_manual_mode();
    struct node *node = new_node(&hot_type, 0);
    for (size_t many = 1; many < 50; many++) {
        gari_incref(node);
        assert_equal(gari_getrefcount(node), many + 1);
    }
    for (size_t left = 50; left > 1; left--) {
        assert_equal(gari_getrefcount(node), left);
        gari_decref(node);
    }
    cr_assert(gari_try_incref((gari_object *)node));
    assert_equal(gari_getrefcount(node), 2);
    gari_decref(node);
    gari_collect(0);
    assert_equal(gari_getrefcount(node), 1);
    gari_decref(node);
    assert_equal(atomic_load(&deaths), 1);
    assert_nothing_left();
}

Test(hot, fields_count_as_ever)
{
    use_manual_mode();
    struct node *holder = new_node(&node_type, 0), *node = new_node(&hot_type, 0);
    gari_store(&holder->next, node);
    for (int i = 0; i < 100; i++) {
        gari_store(&holder->prev, node);
        struct node *loaded = gari_load(&holder->prev);
        cr_assert(loaded == node);
        gari_move(&holder->any, GARI_OBJECT(loaded));
        gari_decref(gari_take(&holder->prev));
        gari_object *exchanged = gari_exchange(&holder->any, NULL);
        gari_decref(exchanged);
        assert_equal(gari_getrefcount(node), 2);
        assert_heap_sound();
    }
    gari_decref(node);
    assert_equal(gari_getrefcount(node), 1);
    gari_decref(holder); /* the field's was the last; what is kept, nobody holds */
    gari_collect(2);
    assert_equal(atomic_load(&deaths), 1);
    assert_nothing_left();
}

Test(hot, emptying_the_last_field_gives_back_what_the_same_thread_keeps)
{
    use_manual_mode();
    gari_move(&root, new_node(&hot_type, 0));
    keep();
    gari_store(&root, NULL);
    assert_equal(atomic_load(&deaths), 1);
    gari_move(&root, new_node(&hot_type, 0));
    keep();
    gari_move(&root, new_node(&hot_type, 0));
    assert_equal(atomic_load(&deaths), 2);
    gari_store(&root, NULL);
    assert_nothing_left();
}

Test(hot, an_object_in_the_place_of_another_is_counted_for_itself)
{
    use_manual_mode();
    for (int i = 0; i < 10000; i++) {
        struct leaf *leaf = gari_new(i % 2 ? &hot_leaf_type : &leaf_type);
        cr_assert(leaf);
        gari_incref(leaf);
        gari_decref(leaf);
        assert_equal(gari_getrefcount(leaf), 1);
        gari_decref(leaf);
        assert_equal(atomic_load(&deaths) + disposed_count(), i + 1);
        if (i % 100 == 0)
            settle();
    }
    assert_nothing_left();
}

enum { MANY = 2000, MOST_KEPT = 256 };
static struct node *many[MANY];

/* By another thread than the one that keeps. */
static void count_kept(void *arg)
{
    size_t *all = arg;
    for (int i = 0; i < MANY; i++)
        *all += gari_getrefcount(many[i]) - 1;
}

static void count_first(void *arg)
{
    *(size_t *)arg = gari_getrefcount(many[0]);
}

Test(hot, a_thread_keeps_so_many_and_no_more)
{
    use_manual_mode();
    for (int i = 0; i < MANY; i++)
        many[i] = new_node(&hot_type, i);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < MANY; i++) {
            gari_decref(gari_incref(many[i]));
            assert_equal(gari_getrefcount(many[i]), 1);
        }
    }
    size_t before = 0, after = 0;
    run_in_thread(count_kept, &before);
    assert_at_most(before, MOST_KEPT);
    cr_assert((before > MOST_KEPT / 2) == KEEPS);
    gari_collect(0);
    run_in_thread(count_kept, &after);
    assert_equal(after, 0);
    for (int i = 0; i < MANY; i++)
        gari_decref(many[i]);
    assert_equal(atomic_load(&deaths), MANY);
    assert_nothing_left();
}

/* More references than an object may have come from a field and are given back; they are not all kept. */
Test(hot, what_is_kept_does_not_make_an_object_immortal)
{
    use_manual_mode();
    enum { REFERENCES = (1 << 24) + 10 };
    struct node *node = new_node(&hot_type, 0);
    for (size_t i = 0; i < SCALED(REFERENCES); i++) {
        gari_store(&root, node);
        gari_decref(gari_take(&root));
    }
    size_t before = 0;
    many[0] = node;
    run_in_thread(count_first, &before);
    assert_at_most(before, 1100);
    gari_decref(node);
    assert_equal(atomic_load(&deaths), 1);
    assert_nothing_left();
}

Test(hot, the_death_of_the_last_holder_gives_back_what_the_same_thread_keeps)
{
    use_manual_mode();
    struct node *holder = new_node(&node_type, 0), *node = new_node(&hot_type, 0);
    gari_store(&holder->next, node);
    gari_decref(node); /* is kept */
    gari_decref(holder);
    assert_equal(atomic_load(&deaths), 1);
    assert_nothing_left();
}

static size_t count_root_of(gari_object *object, void *arg)
{
    (void)object, (void)arg;
    return 1;
}

Test(hot, the_heap_is_sound_with_kept_references)
{
    use_manual_mode();
    struct node *node = new_node(&hot_type, 0);
    gari_store(&root, node);
    keep();
    gari_decref(node);
    gari_check how = GARI_CHECK_INIT;
    how.external = count_root_of;
    assert_equal(gari_check_heap(&how), 0);
    gari_store(&root, NULL);
    assert_nothing_left();
}

/* ---- By several --------------------------------------------------------------------------- */

Test(hot, what_another_thread_keeps_lives_until_a_collection)
{
    use_manual_mode();
    for (int generation = 0; generation <= 2; generation++) {
        has_kept.open = may_end.open = false;
        pthread_t keeper = start_with_kept(&hot_type);
        gari_store(&root, NULL);
        assert_equal(atomic_load(&deaths), KEEPS ? generation : generation + 1);
        gari_collect(generation);
        assert_equal(atomic_load(&deaths), generation + 1);
        end_keeper(keeper);
    }
    assert_nothing_left();
}

Test(hot, a_step_takes_back)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    gari_store(&root, NULL);
    gari_step(100);
    assert_equal(atomic_load(&deaths), 1);
    end_keeper(keeper);
    assert_nothing_left();
}

Test(hot, the_end_of_the_thread_gives_back)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    gari_store(&root, NULL);
    end_keeper(keeper);
    assert_equal(atomic_load(&deaths), 1);
    assert_nothing_left();
}

Test(hot, what_was_given_back_is_prompt_again)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    end_keeper(keeper);
    gari_store(&root, NULL);
    assert_equal(atomic_load(&deaths), 1);
    assert_nothing_left();
}

Test(hot, a_cycle_that_others_keep_is_collected)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    gari_read_begin();
    struct node *node = gari_borrow(&root);
    gari_store(&node->next, node);
    gari_read_end();
    gari_store(&root, NULL);
    assert_equal(gari_collect(2), 1);
    assert_equal(atomic_load(&deaths), 1);
    end_keeper(keeper);
    assert_nothing_left();
}

Test(hot, a_weak_reference_gives_what_is_kept)
{
    use_manual_mode();
    struct node *node = new_node(&hot_type, 0);
    gari_weakref *weak = gari_weakref_new(node, NULL, NULL);
    gari_move(&root, node);
    pthread_t keeper = start_keeper();
    gari_store(&root, NULL);
    node = gari_weakref_get(weak);
    cr_assert((node != NULL) == KEEPS);
    gari_decref(node);
    gari_collect(0);
    cr_assert(gari_weakref_get(weak) == NULL);
    assert_equal(atomic_load(&deaths), 1);
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
              .finalize = look_at_next, .dispose = count_death, .flags = GARI_TYPE_HOT);

Test(hot, finalizers_that_look_at_each_other_do_not_keep_each_other_alive)
{
    use_manual_mode();
    struct node *a = new_node(&looking_hot_type, 0), *b = new_node(&looking_hot_type, 0);
    gari_store(&a->next, b);
    gari_move(&b->next, a);
    gari_decref(b);
    assert_equal(gari_collect(2), 2);
    assert_equal(atomic_load(&deaths), 2);
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
    struct node *node = new_node(&dropping_type, (long)(uintptr_t)gari_incref(many[0]));
    pthread_setspecific(key, node);
    return arg;
}

/* A dispose that is called as the thread's record is given back. */
Test(hot, what_is_given_back_at_a_threads_end_is_not_kept)
{
    use_manual_mode();
    many[0] = new_node(&hot_type, 0);
    pthread_key_create(&key, drop_last);
    join_thread(start_thread(leave_to_the_end, NULL));
    gari_decref(many[0]);
    assert_equal(atomic_load(&deaths), 1);
    assert_nothing_left();
}

static atomic_int finalizations;

static void resurrect(void *self)
{
    atomic_fetch_add(&finalizations, 1);
    gari_store(&root, (struct node *)self);
}

static const gari_type finalized_hot_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = resurrect,
              .dispose = count_death, .flags = GARI_TYPE_HOT);

Test(hot, it_is_finalized_when_it_has_been_taken_back_and_may_live_on)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&finalized_hot_type);
    gari_store(&root, NULL);
    gari_collect(2);
    assert_equal(atomic_load(&finalizations), 1);
    assert_equal(atomic_load(&deaths), 0);
    gari_store(&root, NULL);
    gari_collect(2);
    assert_equal(atomic_load(&finalizations), 1);
    assert_equal(atomic_load(&deaths), 1);
    end_keeper(keeper);
    assert_nothing_left();
}

Test(hot, a_type_of_which_something_was_kept_can_be_retired)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    gari_store(&root, NULL);
    assert_equal(gari_type_retire(&hot_type), 0);
    end_keeper(keeper);
    assert_nothing_left();
}

Test(hot, shutdown_takes_back)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    gari_store(&root, NULL);
    assert_nothing_left();
    assert_equal(atomic_load(&deaths), 1);
    end_keeper(keeper);
}

/* ---- Without being asked ------------------------------------------------------------------ */

Test(hot, the_background_thread_takes_back_from_an_idle_thread)
{
    use_mode(GARI_MODE_BACKGROUND);
    pthread_t keeper = start_with_kept(&hot_type);
    gari_store(&root, NULL);
    cr_assert(wait_until(has_died, NULL, 20));
    end_keeper(keeper);
    assert_nothing_left();
}

static void count_root(void *arg)
{
    gari_read_begin();
    *(size_t *)arg = gari_getrefcount(gari_borrow(&root));
    gari_read_end();
}

/* What the only thread that ever does anything keeps: the background thread may be asleep for good. */
Test(hot, the_background_thread_is_woken_for_what_is_kept)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_move(&root, gari_new(&hot_leaf_type));
    for (int round = 1; round <= 3; round++) {
        usleep(300000);
        keep();
        usleep(300000);
        size_t count = 0;
        run_in_thread(count_root, &count);
        assert_equal(count, 1);
    }
    gari_store(&root, NULL);
    assert_equal(atomic_load(&deaths), 1);
    assert_nothing_left();
}

Test(hot, in_inline_mode_allocation_takes_back)
{
    use_mode(GARI_MODE_INLINE);
    pthread_t keeper = start_with_kept(&hot_type);
    gari_store(&root, NULL);
    usleep(20000);
    struct node *held[1000];
    for (int i = 0; i < 1000; i++) /* empties a bin, and so comes by */
        held[i] = new_node(&node_type, i);
    assert_equal(atomic_load(&deaths), 1);
    for (int i = 0; i < 1000; i++)
        gari_decref(held[i]);
    end_keeper(keeper);
    assert_nothing_left();
}

static struct gate keeper_may_go[3] = {GATE_CLOSED, GATE_CLOSED, GATE_CLOSED};

static void *keep_many(void *arg)
{
    for (int i = 0; i < MANY; i++)
        gari_decref(gari_incref(many[i]));
    gate_open(&keeper_may_go[(uintptr_t)arg]);
    gate_wait(&may_end);
    return NULL;
}

static bool are_taken_back(void *arg)
{
    size_t *all = arg;
    gari_decref(new_vec(10000)); /* asks for memory */
    *all = 0;
    for (int i = 0; i < MANY; i++)
        *all += gari_getrefcount(many[i]) - 1;
    return *all == 0;
}

/* More than one call for memory does. */
Test(hot, in_inline_mode_many_are_taken_back_part_by_part)
{
    use_mode(GARI_MODE_INLINE);
    for (int i = 0; i < MANY; i++)
        many[i] = new_node(&hot_type, i);
    pthread_t keepers[3];
    for (uintptr_t i = 0; i < 3; i++) {
        keepers[i] = start_thread(keep_many, (void *)i);
        gate_wait(&keeper_may_go[i]);
    }
    size_t all;
    cr_assert(wait_until(are_taken_back, &all, 20));
    gate_open(&may_end);
    for (int i = 0; i < 3; i++)
        join_thread(keepers[i]);
    for (int i = 0; i < MANY; i++)
        gari_decref(many[i]);
    assert_equal(atomic_load(&deaths), MANY);
    assert_nothing_left();
}

/* ---- fork --------------------------------------------------------------------------------- */

Test(hot, a_child_takes_back_what_other_threads_kept)
{
    use_manual_mode();
    pthread_t keeper = start_with_kept(&hot_type);
    pid_t child = fork();
    if (child == 0) {
        prepare_child();
        gari_store(&root, NULL);
        gari_collect(0);
        check(atomic_load(&deaths) == 1);
        check(gari_shutdown(NULL, NULL) == 0);
        _exit(0);
    }
    wait_for_child(child);
    gari_store(&root, NULL);
    gari_collect(0);
    assert_equal(atomic_load(&deaths), 1);
    end_keeper(keeper);
    assert_nothing_left();
}

/* ---- Misuse ------------------------------------------------------------------------------- */

static void decref_too_often(void)
{
    struct node *node = new_node(&hot_type, 0);
    gari_incref(node);
    for (int i = 0; i < 3; i++)
        gari_decref(node);
}

Test(hot, giving_back_too_often_is_fatal)
{
    const char *sentence = fatal_sentence(decref_too_often);
    assert_mentions(sentence, "gari_decref");
    assert_mentions(sentence, "struct node");
}

static void decref(void *arg)
{
    gari_decref((struct node *)arg);
}

/* By another thread, which does not keep the rest. */
static void decref_anothers(void)
{
    use_manual_mode();
    struct node *node = new_node(&hot_type, 0);
    gari_incref(node);
    gari_incref(node);
    gari_decref(node);
    gari_decref(node);
    run_in_thread(decref, node);
    gari_decref(node);
}

Test(hot, giving_back_what_another_thread_keeps_is_fatal)
{
    const char *sentence = fatal_sentence(decref_anothers);
    assert_mentions(sentence, "gari_decref");
    assert_mentions(sentence, "struct node");
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

Test(hot, all_die_in_the_end_however_many_threads_count)
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
