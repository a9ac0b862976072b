/* Hot types: a thread keeps what it gives back. What that means for the thread itself; for others:
 * test_hot_threads.c. */
#include "tests/support_hot.h"

TestSuite(hot, .timeout = 120);

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
        assert_equal(atomic_load(&hot_deaths), i - 1);
        gari_decref(node);
        assert_equal(atomic_load(&hot_deaths), i);
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
    assert_equal(atomic_load(&hot_deaths), 1);
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
    assert_equal(atomic_load(&hot_deaths), 1);
    assert_nothing_left();
}

Test(hot, emptying_the_last_field_gives_back_what_the_same_thread_keeps)
{
    use_manual_mode();
    gari_move(&hot_root, new_node(&hot_type, 0));
    keep();
    gari_store(&hot_root, NULL);
    assert_equal(atomic_load(&hot_deaths), 1);
    gari_move(&hot_root, new_node(&hot_type, 0));
    keep();
    gari_move(&hot_root, new_node(&hot_type, 0));
    assert_equal(atomic_load(&hot_deaths), 2);
    gari_store(&hot_root, NULL);
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
        assert_equal(atomic_load(&hot_deaths) + disposed_count(), i + 1);
        if (i % 100 == 0)
            settle();
    }
    assert_nothing_left();
}

/* By another thread than the one that keeps. */
static void count_kept(void *arg)
{
    size_t *all = arg;
    for (int i = 0; i < MANY; i++)
        *all += gari_getrefcount(hot_nodes[i]) - 1;
}

static void count_first(void *arg)
{
    *(size_t *)arg = gari_getrefcount(hot_nodes[0]);
}

Test(hot, a_thread_keeps_so_many_and_no_more)
{
    use_manual_mode();
    for (int i = 0; i < MANY; i++)
        hot_nodes[i] = new_node(&hot_type, i);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < MANY; i++) {
            gari_decref(gari_incref(hot_nodes[i]));
            assert_equal(gari_getrefcount(hot_nodes[i]), 1);
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
        gari_decref(hot_nodes[i]);
    assert_equal(atomic_load(&hot_deaths), MANY);
    assert_nothing_left();
}

/* More references than an object may have come from a field and are given back; they are not all kept. */
Test(hot, what_is_kept_does_not_make_an_object_immortal)
{
    use_manual_mode();
    enum { REFERENCES = (1 << 24) + 10 };
    struct node *node = new_node(&hot_type, 0);
    for (size_t i = 0; i < SCALED(REFERENCES); i++) {
        gari_store(&hot_root, node);
        gari_decref(gari_take(&hot_root));
    }
    size_t before = 0;
    hot_nodes[0] = node;
    run_in_thread(count_first, &before);
    assert_at_most(before, 1100);
    gari_decref(node);
    assert_equal(atomic_load(&hot_deaths), 1);
    assert_nothing_left();
}

Test(hot, the_death_of_the_last_holder_gives_back_what_the_same_thread_keeps)
{
    use_manual_mode();
    struct node *holder = new_node(&node_type, 0), *node = new_node(&hot_type, 0);
    gari_store(&holder->next, node);
    gari_decref(node); /* is kept */
    gari_decref(holder);
    assert_equal(atomic_load(&hot_deaths), 1);
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
    gari_store(&hot_root, node);
    keep();
    gari_decref(node);
    gari_check how = GARI_CHECK_INIT;
    how.external = count_root_of;
    assert_equal(gari_check_heap(&how), 0);
    gari_store(&hot_root, NULL);
    assert_nothing_left();
}

/* ---- Misuse ------------------------------------------------------------------------------- */

/* In the background gari's thread may have a kept reference in hand, to be given back: then it is the one that finds out,
 * when this process may have ended. */
static void decref_too_often(void)
{
    use_manual_mode();
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
