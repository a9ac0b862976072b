/* GARI_STRESS: a collection at about every Nth call, on the calling thread, where the seed says. */
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(stress_mode, .timeout = 60);

enum { MOST = 4000 };

/* What a run of the program has seen. */
struct run {
    long collections;
    long position[MOST]; /* calls made before each */
    int generation[MOST];
};

static struct run *running, ignored;
static long calls;

static void note(const gari_collection *collection, void *arg)
{
    (void)arg;
    if (collection->phase != GARI_PHASE_START)
        return;
    check(running->collections < MOST);
    running->position[running->collections] = calls;
    running->generation[running->collections++] = collection->generation;
}

static void use_stress(gari_mode mode, unsigned every, unsigned seed)
{
    gari_config config = GARI_CONFIG_INIT;
    config.mode = mode;
    config.stress_every = every;
    config.stress_seed = seed;
    assert_equal(gari_configure(&config), 0);
}

/* One thread, no collections but those. */
static void program(struct run *run, gari_mode mode, unsigned every, unsigned seed, long length)
{
    static struct node *last;
    memset(run, 0, sizeof *run);
    running = run;
    calls = 0;
    use_stress(mode, every, seed);
    gari_disable();
    check(gari_callback_add(note, NULL) == 0);
    uint64_t random = 7;
    while (calls < length) {
        struct node *node = new_node(&watched_type, calls);
        calls++;
        if (last && next_random(&random) % 2) {
            gari_store(&last->next, node);
            calls++;
        }
        if (next_random(&random) % 3 == 0) {
            gari_store(&node->prev, node);
            calls++;
        }
        if (last) {
            gari_decref(last);
            calls++;
        }
        last = node;
    }
    gari_decref(last);
    last = NULL;
    running = &ignored; /* what gari_shutdown does is not the program's */
    assert_nothing_left();
    check(gari_callback_remove(note, NULL));
    gari_enable();
}

static bool same(const struct run *a, const struct run *b)
{
    return a->collections == b->collections &&
           memcmp(a->position, b->position, sizeof a->position) == 0 &&
           memcmp(a->generation, b->generation, sizeof a->generation) == 0;
}

static struct run a, b, c;

Test(stress_mode, with_the_same_seed_collects_at_the_same_calls)
{
    program(&a, GARI_MODE_MANUAL, 17, 5, 5000);
    program(&b, GARI_MODE_MANUAL, 17, 5, 5000);
    cr_assert(same(&a, &b));
    program(&c, GARI_MODE_MANUAL, 17, 6, 5000);
    cr_assert(!same(&a, &c));
    program(&c, GARI_MODE_MANUAL, 17, 5, 5000);
    cr_assert(same(&a, &c));
}

Test(stress_mode, in_inline_mode_collects_at_the_same_calls)
{
    program(&a, GARI_MODE_MANUAL, 23, 1, 3000);
    program(&b, GARI_MODE_INLINE, 23, 1, 3000);
    cr_assert(same(&a, &b));
}

/* In another process, on another day: changed only together with what the changelog says. */
Test(stress_mode, collects_where_it_always_has)
{
    static const long position[] = {28, 47, 77, 93, 108, 139, 159, 167};
    static const int generation[] = {0, 2, 0, 0, 1, 0, 0, 0};
    program(&a, GARI_MODE_MANUAL, 17, 5, 500);
    cr_assert(a.collections >= 8);
    for (int i = 0; i < 8; i++) {
        assert_equal(a.position[i], position[i]);
        assert_equal(a.generation[i], generation[i]);
    }
}

Test(stress_mode, collects_as_often_as_it_is_told_and_every_generation)
{
    long in_generation[3] = {0};
    program(&a, GARI_MODE_MANUAL, 10, 3, 20000);
    cr_assert(a.collections > 1800 && a.collections < 2200, "%ld collections", a.collections);
    for (long i = 0; i < a.collections; i++)
        in_generation[a.generation[i]]++;
    for (int i = 0; i < 3; i++)
        cr_assert(in_generation[i] > a.collections / 8, "generation %d: %ld", i, in_generation[i]);
}

Test(stress_mode, of_one_collects_at_every_call)
{
    program(&a, GARI_MODE_MANUAL, 1, 0, 1000);
    assert_equal(a.collections, a.position[a.collections - 1] + 1);
    for (long i = 0; i < a.collections; i++)
        assert_equal(a.position[i], i);
}

Test(stress_mode, of_zero_collects_at_none)
{
    program(&a, GARI_MODE_MANUAL, 0, 5, 1000);
    assert_equal(a.collections, 0);
}

Test(stress_mode, waits_for_the_end_of_a_read_section)
{
    use_stress(GARI_MODE_MANUAL, 1, 0);
    struct node *node = new_node(&watched_type, 1);
    gari_read_begin();
    uint64_t before = all_collections();
    for (int i = 0; i < 100; i++)
        gari_store(&node->next, node);
    struct node *borrowed = gari_borrow(&node->next);
    check(borrowed->value == 1);
    assert_equal(all_collections(), before);
    gari_read_end();
    gari_store(&node->prev, NULL);
    assert_equal(all_collections(), before + 1);
    gari_decref(node);
    assert_nothing_left();
}

/* What it is for: who keeps a pointer without a reference loses the object at once. */
Test(stress_mode, frees_garbage_behind_the_back_of_who_keeps_no_reference)
{
    use_stress(GARI_MODE_MANUAL, 3, 0);
    gari_decref(new_ring(&watched_type, 5));
    for (int i = 0; i < 100; i++)
        gari_decref(new_leaf(i));
    cr_assert(disposed_count() >= 105 && stats_now().freed_by_cycles >= 5);
    assert_nothing_left();
}

static void *collects_here(void *arg)
{
    gari_callback_add(note, arg);
    for (int i = 0; i < 100; i++)
        make_garbage_ring(&watched_type, 2);
    gari_callback_remove(note, arg);
    return NULL;
}

/* One after the other, each has the sequence of its number. */
Test(stress_mode, gives_each_thread_a_sequence_of_its_own)
{
    for (int round = 0; round < 2; round++) {
        struct run *first = round ? &b : &a;
        static struct run others[2];
        use_stress(GARI_MODE_MANUAL, 7, 9);
        running = first;
        join_thread(start_thread(collects_here, first));
        running = &others[round];
        join_thread(start_thread(collects_here, first));
        assert_nothing_left();
        cr_assert(a.collections > 20 && others[round].collections > 20);
        if (round)
            cr_assert(same(&a, &b) && same(&others[0], &others[1]) && !same(&a, &others[0]));
    }
}

Test(stress_mode, comes_from_the_environment)
{
    setenv("GARI_STRESS", "seed:5,every:1", 1);
    setenv("GARI_MODE", "manual", 1);
    for (int i = 0; i < 10; i++)
        make_garbage_ring(&watched_type, 3);
    gari_stats stats = stats_now();
    cr_assert(stats.generation[0].collections > 30 && stats.generation[2].collections > 10);
    cr_assert(disposed_count() > 0);
    assert_nothing_left();
}

/* A thread whose finalizer blocks is not waited for. */
static struct gate blocked = GATE_CLOSED;

static void block(void *self)
{
    (void)self;
    gate_wait(&blocked);
}

static const gari_type blocking_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = block);

Test(stress_mode, does_not_wait_for_finalizers)
{
    use_stress(GARI_MODE_BACKGROUND, 2, 1);
    make_garbage_ring(&blocking_type, 2);
    for (int i = 0; i < 2000; i++)
        make_garbage_ring(&watched_type, 2);
    cr_assert(disposed_count() > 3000);
    gate_open(&blocked);
    assert_nothing_left();
}
