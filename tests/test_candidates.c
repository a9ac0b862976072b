/* Garbage is found however it came about: by a decref, by a move without any decref, in a thread
 * that never runs again. */
#include "tests/support.h"

#include <stdatomic.h>

TestSuite(candidates, .timeout = 60);

/* ---- Garbage made without a decref -------------------------------------------------------- */

Test(candidates, an_object_moved_into_its_own_field_is_found)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 0);
    gari_move(&node->next, node);
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
}

Test(candidates, an_object_moved_into_its_own_field_is_found_by_each_generation)
{
    for (int generation = 0; generation <= 2; generation++) {
        use_manual_mode();
        struct node *node = new_node(&watched_type, 0);
        gari_move(&node->next, node);
        assert_equal(gari_collect(generation), 1);
        assert_nothing_left();
    }
}

Test(candidates, an_object_exchanged_into_its_own_field_is_found)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 0);
    cr_assert(gari_exchange(&node->next, node) == NULL);
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
}

Test(candidates, an_object_compare_exchanged_into_its_own_field_is_found)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 0);
    cr_assert(gari_compare_exchange(&node->next, NULL, node));
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
}

Test(candidates, a_cycle_built_with_init_and_closed_with_move_is_found)
{
    use_manual_mode();
    struct node *a = new_node(&watched_type, 0), *b = new_node(&watched_type, 1);
    gari_init(&b->next, a); /* a is now held by b only */
    gari_read_begin();
    gari_move(&gari_borrow(&b->next)->next, b);
    gari_read_end();
    assert_equal(gari_collect(2), 2);
    assert_nothing_left();
}

Test(candidates, a_long_cycle_built_with_init_and_closed_with_move_is_found)
{
    use_manual_mode();
    struct node *last = new_node(&watched_type, 0), *first = last;
    gari_read_begin();
    for (int i = 1; i < 100; i++) {
        struct node *node = new_node(&watched_type, i);
        gari_init(&node->next, first);
        first = node;
    }
    gari_move(&last->next, first);
    gari_read_end();
    assert_equal(gari_collect(0), 100);
    assert_nothing_left();
}

Test(candidates, a_cycle_built_with_moves_alone_is_found)
{
    use_manual_mode();
    struct node *a = new_node(&watched_type, 0), *b = new_node(&watched_type, 1);
    gari_read_begin();
    gari_move(&a->next, b);
    gari_move(&b->next, a);
    gari_read_end();
    assert_equal(gari_collect(2), 2);
    assert_nothing_left();
}

static GARI_ROOT(struct node) root;

Test(candidates, a_cycle_whose_root_was_moved_into_it_is_found)
{
    use_manual_mode();
    gari_move(&root, new_ring(&watched_type, 3));
    assert_equal(gari_collect(2), 0);
    gari_read_begin();
    struct node *ring = gari_borrow(&root);
    gari_move(&ring->prev, gari_take(&root));
    gari_read_end();
    assert_equal(gari_collect(2), 3);
    assert_nothing_left();
}

Test(candidates, a_cycle_whose_root_is_emptied_by_store_is_found)
{
    use_manual_mode();
    gari_move(&root, new_ring(&watched_type, 3));
    gari_store(&root, NULL);
    assert_equal(gari_collect(2), 3);
    assert_nothing_left();
}

Test(candidates, a_cycle_dropped_by_the_death_of_its_holder_is_found)
{
    use_manual_mode();
    struct node *chain = new_chain(&watched_type, 10);
    struct node *end = gari_incref(chain);
    for (int i = 1; i < 10; i++) {
        struct node *next = gari_load(&end->next);
        gari_decref(end);
        end = next;
    }
    gari_move(&end->any, new_ring(&watched_type, 3));
    gari_decref(end);
    gari_decref(chain);
    assert_equal(disposed_count(), 10);
    assert_equal(gari_collect(2), 3);
    assert_nothing_left();
}

Test(candidates, a_cycle_dropped_by_the_freeing_of_another_cycle_is_found)
{
    use_manual_mode();
    /* The inner ring is older than what the young collection looks at: outside, and then dropped.
     */
    struct node *inner = new_ring(&watched_type, 3);
    gari_collect(2);
    struct node *outer = new_ring(&watched_type, 2);
    gari_move(&outer->any, inner);
    gari_decref(outer);
    assert_equal(gari_collect(0), 2);
    assert_equal(gari_collect(2), 3);
    assert_nothing_left();
}

Test(candidates, many_that_die_by_themselves_leave_nothing_to_do)
{
    use_manual_mode();
    for (size_t i = 0; i < SCALED(200000); i++) {
        struct node *node = new_node(&watched_type, 0);
        gari_decref(gari_incref(node)); /* a candidate */
        gari_decref(node);              /* and dead */
    }
    assert_equal(disposed_count(), SCALED(200000));
    assert_equal(gari_collect(2), 0);
    assert_nothing_left();
}

Test(candidates, that_are_dropped_again_and_again_are_examined_and_kept)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 3);
    for (size_t i = 0; i < SCALED(2000000); i++)
        gari_decref(gari_incref(ring));
    assert_equal(gari_collect(2), 0);
    assert_equal(ring_length(ring), 3);
    gari_decref(ring);
    assert_equal(gari_collect(2), 3);
    assert_nothing_left();
}

/* ---- Marks that are there already, or are being taken -------------------------------------- */

Test(candidates, that_are_moved_again_are_found)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 0);
    gari_move(&root, node); /* a candidate */
    node = gari_take(&root);
    gari_move(&node->next, node); /* and again, which changes nothing in its word */
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
}

static void collect_to_the_end(void)
{
    while (gari_step(1000))
        ;
}

Test(candidates, that_are_moved_again_beside_a_collection_are_found)
{
    use_manual_mode();
    for (int steps = 0; steps < 40; steps++) {
        struct node *node = new_node(&watched_type, 0);
        gari_move(&root, node);
        for (int i = 0; i < steps; i++)
            gari_step(1);
        node = gari_take(&root);
        gari_move(&node->next, node);
        collect_to_the_end();
        gari_collect(2);
        assert_equal(disposed_count(), steps + 1);
    }
    assert_nothing_left();
}

/* Their block is looked through in slices, one word of bits at a time. One of them becomes a candidate anew,
 * before or behind the place to which a collection has got, and another collection finds the block to have
 * got new ones. */
Test(candidates, in_a_block_that_a_collection_has_in_hand_are_found)
{
    enum { MANY = 150, SLICES = 12, PART = 50 };
    static struct node *nodes[MANY];
    use_manual_mode();
    for (int i = 0; i < MANY; i++)
        nodes[i] = new_node(&watched_type, i);
    gari_collect(2);
    for (int round = 0; round < MANY / PART * SLICES; round++) {
        int slices = round % SLICES, at = round / SLICES * PART + slices;
        for (int i = 0; i < MANY; i++)
            if (nodes[i])
                gari_decref(gari_incref(nodes[i])); /* candidates */
        for (int i = 0; i < slices; i++)
            gari_step(1);
        gari_decref(gari_incref(nodes[at]));
        gari_collect(0);
        collect_to_the_end();
        gari_move(&nodes[at]->next, nodes[at]);
        nodes[at] = NULL;
        gari_collect(2);
        assert_equal(disposed_count(), round + 1);
    }
    for (int i = 0; i < MANY; i++)
        gari_decref(nodes[i]);
    assert_nothing_left();
}

/* ---- Garbage of a thread that never runs again -------------------------------------------- */

static struct gate made = GATE_CLOSED, wake = GATE_CLOSED;

static void *make_a_little_garbage_and_sleep(void *arg)
{
    (void)arg;
    make_garbage_ring(&watched_type, 3);
    struct node *self = new_node(&watched_type, 0);
    gari_move(&self->next, self);
    gate_open(&made);
    gate_wait(&wake);
    return NULL;
}

static bool four_are_disposed(void *arg)
{
    (void)arg;
    return disposed_count() == 4;
}

Test(candidates, of_a_sleeping_thread_are_collected_in_the_background_below_any_threshold)
{
    use_mode(GARI_MODE_BACKGROUND);
    pthread_t thread = start_thread(make_a_little_garbage_and_sleep, NULL);
    gate_wait(&made);
    cr_assert(wait_until(four_are_disposed, NULL, 20), "%ld of 4 disposed", disposed_count());
    gate_open(&wake);
    join_thread(thread);
    assert_nothing_left();
}

Test(candidates, of_a_sleeping_thread_are_found_by_another_threads_collection)
{
    use_manual_mode();
    pthread_t thread = start_thread(make_a_little_garbage_and_sleep, NULL);
    gate_wait(&made);
    assert_equal(gari_collect(2), 4);
    gate_open(&wake);
    join_thread(thread);
    assert_nothing_left();
}

static void make_garbage(void *arg)
{
    (void)arg;
    make_garbage_ring(&watched_type, 4);
}

Test(candidates, of_a_thread_that_has_exited_are_collected_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    run_in_thread(make_garbage, NULL);
    cr_assert(wait_until(four_are_disposed, NULL, 20), "%ld of 4 disposed", disposed_count());
    assert_nothing_left();
}

Test(candidates, of_a_thread_that_has_exited_are_found_by_another_threads_collection)
{
    use_manual_mode();
    run_in_thread(make_garbage, NULL);
    assert_equal(gari_collect(0), 4);
    assert_nothing_left();
}

static struct node *handed_over;

static void *drop_and_sleep(void *arg)
{
    (void)arg;
    gari_decref(handed_over);
    gate_open(&made);
    gate_wait(&wake);
    return NULL;
}

Test(candidates, old_garbage_dropped_by_a_sleeping_thread_is_collected_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    handed_over = new_ring(&watched_type, 4);
    gari_collect(2);
    gari_collect(2);
    assert_equal(gari_generation(handed_over), 2);
    pthread_t thread = start_thread(drop_and_sleep, NULL);
    gate_wait(&made);
    cr_assert(wait_until(four_are_disposed, NULL, 20), "%ld of 4 disposed", disposed_count());
    gate_open(&wake);
    join_thread(thread);
    assert_nothing_left();
}

/* ---- Threads that pass a structure around ------------------------------------------------- */

enum { THREADS = 4 };
static atomic_long rings_made;

static void *pass_rings_around(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (size_t i = 0; i < SCALED(20000); i++) {
        struct node *ring = new_ring(&watched_type, 1 + next_random(&random) % 4);
        atomic_fetch_add(&rings_made, 1);
        struct node *old = gari_exchange(&root, ring);
        if (old && next_random(&random) % 2) {
            gari_read_begin();
            struct node *now = gari_borrow(&root);
            if (now)
                gari_store(&now->any, old); /* one ring now hangs from another */
            gari_read_end();
        }
        gari_decref(old);
    }
    return NULL;
}

Test(candidates, made_by_threads_that_share_structures_are_all_found)
{
    use_mode(GARI_MODE_BACKGROUND);
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        thread[i] = start_thread(pass_rings_around, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++)
        join_thread(thread[i]);
    gari_store(&root, NULL);
    assert_nothing_left();
    assert_equal(disposed_count(), stats_now().allocated);
    cr_assert(atomic_load(&rings_made) == (long)(THREADS * SCALED(20000)));
}
