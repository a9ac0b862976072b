/* The reference count of an object, and what taking and giving back references does to it. */
#include "tests/support.h"

TestSuite(counts, .timeout = 60);

Test(counts, a_new_object_has_one_reference)
{
    use_manual_mode();
    struct node *node = gari_new(&node_type);
    cr_assert(node != NULL);
    assert_equal(gari_getrefcount(node), 1);
    gari_decref(node);
    assert_nothing_left();
}

Test(counts, the_payload_and_the_fields_of_a_new_object_are_zero)
{
    use_manual_mode();
    for (int round = 0; round < 3; round++) { /* fresh memory and used memory */
        struct node *node[100];
        for (int i = 0; i < 100; i++) {
            node[i] = gari_new(&node_type);
            assert_equal(node[i]->value, 0);
            cr_assert(gari_load(&node[i]->next) == NULL);
            cr_assert(gari_load(&node[i]->prev) == NULL);
            cr_assert(gari_load(&node[i]->any) == NULL);
            node[i]->value = -1;
            gari_store(&node[i]->any, node[i]);
        }
        for (int i = 0; i < 100; i++)
            gari_decref(node[i]);
        settle();
    }
    assert_nothing_left();
}

Test(counts, incref_adds_one_and_returns_its_argument)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 7);
    struct node *same = gari_incref(node);
    cr_assert(same == node);
    assert_equal(gari_getrefcount(node), 2);
    gari_decref(same);
    assert_equal(gari_getrefcount(node), 1);
    assert_equal(node->value, 7);
    gari_decref(node);
    assert_nothing_left();
}

Test(counts, incref_and_decref_allow_null)
{
    use_manual_mode();
    struct node *none = NULL;
    cr_assert(gari_incref(none) == NULL);
    gari_decref(none);
    assert_nothing_left();
}

Test(counts, a_pointer_to_the_bare_header_serves_as_an_object)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    gari_object *object = &node->header;
    gari_decref(gari_incref(object));
    assert_equal(gari_getrefcount(object), 1);
    gari_decref(object);
    assert_nothing_left();
}

Test(counts, the_last_decref_disposes_of_the_object_before_it_returns)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 0);
    gari_incref(node);
    gari_decref(node);
    assert_equal(disposed_count(), 0);
    gari_decref(node);
    assert_equal(disposed_count(), 1);
    assert_nothing_left();
}

Test(counts, an_untracked_object_dies_as_promptly)
{
    use_manual_mode();
    struct leaf *leaf = new_leaf(1);
    gari_decref(leaf);
    assert_equal(disposed_count(), 1);
    assert_nothing_left();
}

Test(counts, try_incref_takes_a_reference_to_a_live_object)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    gari_read_begin();
    cr_assert(gari_try_incref(node));
    gari_read_end();
    assert_equal(gari_getrefcount(node), 2);
    gari_decref(node);
    gari_decref(node);
    assert_nothing_left();
}

static GARI_ROOT(struct node) root;

Test(counts, try_incref_fails_once_the_last_reference_has_gone)
{
    use_manual_mode();
    gari_move(&root, new_node(&watched_type, 42));
    gari_read_begin();
    struct node *borrowed = gari_borrow(&root);
    gari_store(&root, NULL);
    assert_equal(disposed_count(), 1);
    cr_assert(!gari_try_incref(borrowed));
    cr_assert(!gari_try_incref(borrowed), "and keeps failing");
    assert_equal(gari_getrefcount(borrowed), 0);
    assert_equal(borrowed->value, 42);
    gari_read_end();
    assert_equal(disposed_count(), 1);
    assert_nothing_left();
}

Test(counts, many_references_are_counted_exactly)
{
    use_manual_mode();
    enum { MANY = 1000000 };
    struct node *node = new_node(&watched_type, 0);
    for (int i = 0; i < MANY; i++)
        gari_incref(node);
    assert_equal(gari_getrefcount(node), MANY + 1);
    for (int i = 0; i < MANY; i++)
        gari_decref(node);
    assert_equal(gari_getrefcount(node), 1);
    assert_equal(disposed_count(), 0);
    gari_decref(node);
    assert_equal(disposed_count(), 1);
    assert_nothing_left();
}

Test(counts, a_count_beyond_2_to_the_24_makes_the_object_immortal)
{
    use_manual_mode();
    const long beyond = (1L << 24) + 1;
    struct leaf *leaf = new_leaf(3);
    for (long i = 0; i < beyond; i++)
        gari_incref(leaf);
    for (long i = 0; i < beyond; i++)
        gari_decref(leaf);
    gari_decref(leaf);
    settle();
    assert_equal(disposed_count(), 0);
    assert_equal(leaf->value, 3);
    assert_equal(gari_shutdown(NULL, NULL), 1);
}

/* Under ThreadSanitizer so much counting takes long, and teaches nothing that the test above does
 * not. */
Test(counts, an_immortal_object_keeps_a_cycle_alive, .disabled = THREAD_SANITIZED)
{
    use_manual_mode();
    const long beyond = (1L << 24) + 1;
    struct node *ring = new_ring(&watched_type, 2);
    for (long i = 0; i < beyond; i++)
        gari_incref(ring);
    for (long i = 0; i < beyond; i++)
        gari_decref(ring);
    gari_decref(ring);
    assert_equal(gari_collect(2), 0);
    assert_equal(ring_length(ring), 2);
    assert_equal(disposed_count(), 0);
    assert_equal(gari_shutdown(NULL, NULL), 2);
}

enum { THREADS = 4 };

static void *take_and_give(void *arg)
{
    struct node *node = arg;
    for (size_t i = 0; i < SCALED(200000); i++) {
        gari_incref(node);
        check(gari_getrefcount(node) >= 2);
        gari_decref(node);
    }
    return NULL;
}

Test(counts, threads_that_count_at_once_lose_nothing)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 0);
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++)
        thread[i] = start_thread(take_and_give, node);
    for (int i = 0; i < THREADS; i++)
        join_thread(thread[i]);
    assert_equal(gari_getrefcount(node), 1);
    assert_equal(disposed_count(), 0);
    gari_decref(node);
    assert_equal(disposed_count(), 1);
    assert_nothing_left();
}

static void *give_back(void *arg)
{
    struct node **node = arg;
    for (int i = 0; i < 1000; i++)
        gari_decref(node[i]);
    return NULL;
}

Test(counts, whichever_thread_drops_the_last_reference_disposes_exactly_once)
{
    use_manual_mode();
    struct node *node[1000];
    for (int i = 0; i < 1000; i++) {
        node[i] = new_node(&watched_type, i);
        for (int j = 1; j < THREADS; j++)
            gari_incref(node[i]);
    }
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++)
        thread[i] = start_thread(give_back, node);
    for (int i = 0; i < THREADS; i++)
        join_thread(thread[i]);
    assert_equal(disposed_count(), 1000);
    assert_nothing_left();
    assert_equal(disposed_count(), 1000);
    assert_equal(reclaimed_count(), 1000);
}
