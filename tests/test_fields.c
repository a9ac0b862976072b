/* The operations on reference fields, and who owns each reference before and after. */
#include "tests/support.h"

TestSuite(fields, .timeout = 60);

static struct node *holder, *first, *second;

static void make_three_nodes(void)
{
    use_manual_mode();
    holder = new_node(&watched_type, 0);
    first = new_node(&watched_type, 1);
    second = new_node(&watched_type, 2);
}

static void drop_three_nodes(void)
{
    gari_decref(holder);
    gari_decref(first);
    gari_decref(second);
    assert_equal(disposed_count(), 3);
    assert_nothing_left();
}

/* ---- store -------------------------------------------------------------------------------- */

Test(fields, store_adds_a_reference_and_leaves_the_caller_his)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    assert_equal(gari_getrefcount(first), 2);
    drop_three_nodes();
}

Test(fields, store_gives_back_what_the_field_held)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    gari_store(&holder->next, second);
    assert_equal(gari_getrefcount(first), 1);
    assert_equal(gari_getrefcount(second), 2);
    drop_three_nodes();
}

Test(fields, store_of_null_empties_the_field)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    gari_store(&holder->next, NULL);
    gari_store(&holder->next, NULL);
    cr_assert(gari_load(&holder->next) == NULL);
    assert_equal(gari_getrefcount(first), 1);
    drop_three_nodes();
}

Test(fields, store_of_what_the_field_already_holds_changes_no_count)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    gari_store(&holder->next, first);
    assert_equal(gari_getrefcount(first), 2);
    drop_three_nodes();
}

Test(fields, store_of_the_only_other_reference_into_its_own_place_keeps_it_alive)
{
    make_three_nodes();
    gari_move(&holder->next, new_node(&watched_type, 3));
    gari_read_begin();
    struct node *third = gari_borrow(&holder->next);
    gari_store(&holder->next, third);
    assert_equal(disposed_count(), 0);
    assert_equal(gari_getrefcount(third), 1);
    gari_read_end();
    gari_store(&holder->next, NULL);
    assert_equal(disposed_count(), 1);
    gari_decref(holder);
    gari_decref(first);
    gari_decref(second);
    assert_nothing_left();
}

/* ---- move --------------------------------------------------------------------------------- */

Test(fields, move_hands_the_callers_reference_to_the_field)
{
    make_three_nodes();
    gari_move(&holder->next, gari_incref(first));
    assert_equal(gari_getrefcount(first), 2);
    gari_move(&holder->next, gari_incref(second));
    assert_equal(gari_getrefcount(first), 1);
    assert_equal(gari_getrefcount(second), 2);
    drop_three_nodes();
}

Test(fields, move_of_null_empties_the_field)
{
    make_three_nodes();
    gari_move(&holder->next, gari_incref(first));
    gari_move(&holder->next, NULL);
    assert_equal(gari_getrefcount(first), 1);
    cr_assert(gari_load(&holder->next) == NULL);
    drop_three_nodes();
}

Test(fields, move_of_what_the_field_already_holds_gives_one_reference_back)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    gari_move(&holder->next, gari_incref(first));
    assert_equal(gari_getrefcount(first), 2);
    drop_three_nodes();
}

/* ---- load and borrow ---------------------------------------------------------------------- */

Test(fields, load_returns_an_owned_reference)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    struct node *loaded = gari_load(&holder->next);
    cr_assert(loaded == first);
    assert_equal(gari_getrefcount(first), 3);
    gari_decref(loaded);
    assert_equal(gari_getrefcount(first), 2);
    drop_three_nodes();
}

Test(fields, load_of_an_empty_field_is_null)
{
    make_three_nodes();
    cr_assert(gari_load(&holder->next) == NULL);
    drop_three_nodes();
}

Test(fields, load_keeps_the_object_alive_when_the_field_lets_it_go)
{
    make_three_nodes();
    gari_move(&holder->next, new_node(&watched_type, 3));
    struct node *loaded = gari_load(&holder->next);
    gari_store(&holder->next, NULL);
    assert_equal(disposed_count(), 0);
    assert_equal(gari_getrefcount(loaded), 1);
    gari_decref(loaded);
    assert_equal(disposed_count(), 1);
    gari_decref(holder);
    gari_decref(first);
    gari_decref(second);
    assert_nothing_left();
}

Test(fields, borrow_returns_what_the_field_holds_and_counts_nothing)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    gari_read_begin();
    cr_assert(gari_borrow(&holder->next) == first);
    cr_assert(gari_borrow(&holder->prev) == NULL);
    assert_equal(gari_getrefcount(first), 2);
    gari_read_end();
    drop_three_nodes();
}

/* ---- take and exchange -------------------------------------------------------------------- */

Test(fields, take_empties_the_field_and_hands_its_reference_to_the_caller)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    struct node *taken = gari_take(&holder->next);
    cr_assert(taken == first);
    assert_equal(gari_getrefcount(first), 2);
    cr_assert(gari_load(&holder->next) == NULL);
    gari_decref(taken);
    drop_three_nodes();
}

Test(fields, take_from_an_empty_field_is_null)
{
    make_three_nodes();
    cr_assert(gari_take(&holder->next) == NULL);
    drop_three_nodes();
}

Test(fields, exchange_takes_one_reference_in_and_gives_the_other_out)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    struct node *old = gari_exchange(&holder->next, gari_incref(second));
    cr_assert(old == first);
    assert_equal(gari_getrefcount(first), 2);
    assert_equal(gari_getrefcount(second), 2);
    gari_decref(old);
    assert_equal(gari_getrefcount(first), 1);
    drop_three_nodes();
}

Test(fields, exchange_allows_null_on_both_sides)
{
    make_three_nodes();
    cr_assert(gari_exchange(&holder->next, NULL) == NULL);
    cr_assert(gari_exchange(&holder->next, gari_incref(first)) == NULL);
    struct node *old = gari_exchange(&holder->next, NULL);
    cr_assert(old == first);
    assert_equal(gari_getrefcount(first), 2);
    gari_decref(old);
    drop_three_nodes();
}

/* ---- compare-exchange --------------------------------------------------------------------- */

Test(fields, a_compare_exchange_that_succeeds_hands_the_expected_reference_to_the_caller)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    cr_assert(gari_compare_exchange(&holder->next, first, gari_incref(second)));
    assert_equal(gari_getrefcount(first), 2); /* ours, and the one that was the field's */
    assert_equal(gari_getrefcount(second), 2);
    gari_decref(first);
    drop_three_nodes();
}

Test(fields, a_compare_exchange_that_fails_changes_nothing)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    cr_assert(!gari_compare_exchange(&holder->next, second, second));
    cr_assert(!gari_compare_exchange(&holder->next, NULL, second));
    assert_equal(gari_getrefcount(first), 2);
    assert_equal(gari_getrefcount(second), 1);
    gari_read_begin();
    cr_assert(gari_borrow(&holder->next) == first);
    gari_read_end();
    drop_three_nodes();
}

Test(fields, compare_exchange_fills_an_empty_field_when_null_is_expected)
{
    make_three_nodes();
    cr_assert(gari_compare_exchange(&holder->next, NULL, gari_incref(first)));
    assert_equal(gari_getrefcount(first), 2);
    cr_assert(!gari_compare_exchange(&holder->next, NULL, second));
    assert_equal(gari_getrefcount(second), 1);
    drop_three_nodes();
}

Test(fields, compare_exchange_empties_a_field_when_null_is_desired)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    cr_assert(gari_compare_exchange(&holder->next, first, NULL));
    cr_assert(gari_load(&holder->next) == NULL);
    assert_equal(gari_getrefcount(first), 2);
    gari_decref(first);
    drop_three_nodes();
}

Test(fields, compare_exchange_of_null_for_null_succeeds)
{
    make_three_nodes();
    cr_assert(gari_compare_exchange(&holder->next, NULL, NULL));
    drop_three_nodes();
}

Test(fields, compare_exchange_accepts_a_borrowed_expected_value)
{
    make_three_nodes();
    gari_move(&holder->next, new_node(&watched_type, 3));
    gari_read_begin();
    struct node *expected = gari_borrow(&holder->next);
    cr_assert(gari_compare_exchange(&holder->next, expected, gari_incref(first)));
    gari_read_end();
    assert_equal(gari_getrefcount(expected), 1);
    gari_decref(expected);
    assert_equal(disposed_count(), 1);
    gari_decref(holder);
    gari_decref(first);
    gari_decref(second);
    assert_nothing_left();
}

Test(fields, compare_exchange_of_an_object_for_itself_keeps_it)
{
    make_three_nodes();
    gari_store(&holder->next, first);
    cr_assert(gari_compare_exchange(&holder->next, first, gari_incref(first)));
    assert_equal(gari_getrefcount(first), 3);
    gari_decref(first);
    drop_three_nodes();
}

/* ---- init --------------------------------------------------------------------------------- */

Test(fields, init_steals_the_callers_reference)
{
    make_three_nodes();
    gari_init(&holder->next, gari_incref(first));
    assert_equal(gari_getrefcount(first), 2);
    gari_init(&holder->prev, NULL);
    cr_assert(gari_load(&holder->prev) == NULL);
    drop_three_nodes();
}

/* ---- Untyped fields ----------------------------------------------------------------------- */

Test(fields, an_untyped_field_holds_an_object_of_any_type)
{
    make_three_nodes();
    gari_store(&holder->any, first);
    void *loaded = gari_load(&holder->any);
    cr_assert(loaded == first);
    gari_decref((struct node *)loaded);
    gari_move(&holder->any, new_leaf(5));
    assert_equal(gari_getrefcount(first), 1);
    struct leaf *leaf = gari_take(&holder->any);
    assert_equal(leaf->value, 5);
    assert_equal(gari_getrefcount(leaf), 1);
    gari_decref(leaf);
    assert_equal(disposed_count(), 1);
    gari_decref(holder);
    gari_decref(first);
    gari_decref(second);
    assert_nothing_left();
}

Test(fields, a_value_of_type_pointer_to_void_goes_into_a_typed_field)
{
    make_three_nodes();
    void *untyped = first;
    gari_store(&holder->next, untyped);
    assert_equal(gari_getrefcount(first), 2);
    drop_three_nodes();
}

Test(fields, the_bare_slot_functions_do_what_the_macros_do)
{
    make_three_nodes();
    gari_slot *slot = &holder->next.gari_slot_;
    gari_slot_store(slot, first);
    assert_equal(gari_getrefcount(first), 2);
    gari_read_begin();
    cr_assert(gari_slot_borrow(slot) == first);
    gari_read_end();
    void *loaded = gari_slot_load(slot);
    cr_assert(loaded == first);
    gari_slot_move(slot, loaded);
    assert_equal(gari_getrefcount(first), 2);
    gari_incref(second);
    cr_assert(gari_slot_compare_exchange(slot, first, second));
    gari_decref(first);
    cr_assert(gari_slot_exchange(slot, NULL) == second);
    gari_decref(second);
    cr_assert(gari_slot_take(slot) == NULL);
    gari_slot_init(slot, gari_incref(first));
    assert_equal(gari_getrefcount(first), 2);
    drop_three_nodes();
}

/* ---- Roots -------------------------------------------------------------------------------- */

static GARI_ROOT(struct node) root;

Test(fields, a_root_is_used_like_a_field)
{
    make_three_nodes();
    gari_store(&root, first);
    assert_equal(gari_getrefcount(first), 2);
    struct node *loaded = gari_load(&root);
    cr_assert(loaded == first);
    gari_decref(loaded);
    cr_assert(gari_compare_exchange(&root, first, gari_incref(second)));
    gari_decref(first);
    struct node *taken = gari_take(&root);
    cr_assert(taken == second);
    gari_decref(taken);
    cr_assert(gari_load(&root) == NULL);
    drop_three_nodes();
}

Test(fields, what_a_root_holds_counts_as_referenced_from_outside)
{
    use_manual_mode();
    gari_move(&root, new_ring(&watched_type, 3));
    assert_equal(gari_collect(2), 0);
    assert_equal(gari_collect(2), 0);
    gari_read_begin();
    assert_equal(ring_length(gari_borrow(&root)), 3);
    gari_read_end();
    gari_store(&root, NULL);
    assert_equal(gari_collect(2), 3);
    assert_nothing_left();
}

/* ---- Several threads on one field --------------------------------------------------------- */

enum { THREADS = 4 };

static void *store_and_load(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (size_t i = 0; i < SCALED(100000); i++) {
        struct node *node;
        switch (next_random(&random) % 6) {
        case 0:
            gari_move(&root, new_node(&watched_type, 99));
            break;
        case 1:
            gari_store(&root, NULL);
            break;
        case 2:
            node = gari_take(&root);
            if (node)
                check(node->value == 99);
            gari_decref(node);
            break;
        case 3:
            node = gari_exchange(&root, new_node(&watched_type, 99));
            if (node)
                check(node->value == 99);
            gari_decref(node);
            break;
        case 4: {
            struct node *desired = new_node(&watched_type, 99);
            node = gari_load(&root);
            if (gari_compare_exchange(&root, node, desired))
                gari_decref(node);
            else
                gari_decref(desired);
            gari_decref(node);
            break;
        }
        default:
            node = gari_load(&root);
            if (node) {
                check(node->value == 99);
                check(gari_getrefcount(node) >= 1);
            }
            gari_decref(node);
        }
    }
    return NULL;
}

Test(fields, threads_that_race_for_one_field_lose_and_invent_no_reference)
{
    use_mode(GARI_MODE_BACKGROUND);
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        thread[i] = start_thread(store_and_load, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++)
        join_thread(thread[i]);
    gari_store(&root, NULL);
    assert_nothing_left();
    assert_equal(disposed_count(), stats_now().allocated);
    assert_equal(reclaimed_count(), disposed_count());
}
