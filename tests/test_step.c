/* gari_step: the work in slices, for those who schedule it themselves. */
#include "tests/support.h"

TestSuite(step, .timeout = 60);

Test(step, has_nothing_to_do_at_first)
{
    use_manual_mode();
    cr_assert(!gari_step(100));
    assert_nothing_left();
}

Test(step, has_nothing_to_do_in_a_heap_that_is_at_rest)
{
    use_manual_mode();
    struct node *ring = new_ring(&node_type, 100);
    settle();
    cr_assert(!gari_step(100));
    cr_assert(!gari_step(100));
    gari_decref(ring);
    assert_equal(gari_collect(2), 100);
    assert_nothing_left();
}

/* Steps until there is nothing left. Returns how many; *most: the deaths in the busiest. */
static long step_to_the_end(size_t budget, long *most)
{
    long steps = 1;
    *most = 0;
    for (bool more = true; more; steps++) {
        long before = disposed_count();
        more = gari_step(budget);
        if (disposed_count() - before > *most)
            *most = disposed_count() - before;
        cr_assert(steps < 10000000, "gari_step never says that it is done");
    }
    return steps;
}

Test(step, drives_a_collection_that_is_due_to_its_end_in_bounded_parts)
{
    use_manual_mode();
    enum { RINGS = 10000, BUDGET = 100 };
    for (int i = 0; i < RINGS; i++)
        make_garbage_ring(&watched_type, 2);
    long most, steps = step_to_the_end(BUDGET, &most);
    assert_equal(disposed_count(), 2 * RINGS);
    assert_equal(reclaimed_count(), 2 * RINGS);
    cr_assert(steps >= 2 * RINGS / BUDGET, "only %ld steps", steps);
    assert_at_most(most, 4 * BUDGET);
    cr_assert(!gari_step(BUDGET));
    assert_nothing_left();
}

Test(step, drives_a_collection_of_one_large_ring_in_bounded_parts)
{
    use_manual_mode();
    const long length = (long)SCALED(200000);
    enum { BUDGET = 1000 };
    make_garbage_ring(&watched_type, (size_t)length);
    long most, steps = step_to_the_end(BUDGET, &most);
    assert_equal(disposed_count(), length);
    cr_assert(steps >= length / BUDGET, "only %ld steps", steps);
    assert_at_most(most, 4 * BUDGET);
    assert_nothing_left();
}

/* With every other node something dies that the ring alone refers to. */
Test(step, bounds_what_dies_with_a_ring_too)
{
    use_manual_mode();
    const long length = (long)SCALED(100000);
    enum { BUDGET = 100 };
    struct node *ring = new_ring(&watched_type, (size_t)length), *node = ring;
    for (long i = 0; i < length; i++) {
        if (i % 2 == 0)
            gari_move(&node->any, GARI_OBJECT(new_leaf(i)));
        gari_read_begin();
        node = gari_borrow(&node->next);
        gari_read_end(); /* the ring holds it */
    }
    gari_decref(ring);
    long most;
    step_to_the_end(BUDGET, &most);
    assert_equal(disposed_count(), length + length / 2);
    assert_at_most(most, 2000); /* a slice, and a budget of deaths */
    assert_nothing_left();
}

Test(step, takes_a_large_structure_apart_in_bounded_parts)
{
    use_manual_mode();
    const long length = (long)SCALED(200000);
    enum { BUDGET = 1000 };
    gari_decref(new_chain(&watched_type, (size_t)length));
    long most, steps = step_to_the_end(BUDGET, &most);
    assert_equal(disposed_count(), length);
    cr_assert(steps >= length / BUDGET / 4, "only %ld steps", steps);
    assert_at_most(most, 4 * BUDGET);
    assert_nothing_left();
    assert_equal(reclaimed_count(), length);
}

Test(step, returns_memory_whose_grace_period_has_passed)
{
    use_manual_mode();
    for (int i = 0; i < 10000; i++)
        gari_decref(new_node(&watched_type, 0));
    long most;
    step_to_the_end(1000, &most);
    assert_equal(reclaimed_count(), 10000);
    assert_equal(stats_now().objects_waiting, 0);
    assert_nothing_left();
}

Test(step, with_a_budget_of_one_gets_on_too)
{
    use_manual_mode();
    for (int i = 0; i < 400; i++)
        make_garbage_ring(&watched_type, 2);
    long most;
    step_to_the_end(1, &most);
    assert_equal(disposed_count(), 800);
    assert_nothing_left();
}

Test(step, with_a_huge_budget_needs_few_steps)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, 10000);
    long most, steps = step_to_the_end((size_t)1 << 30, &most);
    assert_equal(disposed_count(), 10000);
    assert_at_most(steps, 100);
    assert_nothing_left();
}

Test(step, resumes_in_the_middle_of_a_huge_array)
{
    use_manual_mode();
    const size_t length = SCALED(1000000);
    enum { BUDGET = 1000 };
    struct vec *vec = new_vec(length);
    for (size_t i = 0; i < length; i++)
        gari_store(&vec->items[i], vec);
    gari_decref(vec);
    gari_stats before = stats_now();
    for (int i = 0; i < 701; i++) /* so that a collection is due */
        make_garbage_ring(&watched_type, 1);
    long most, steps = step_to_the_end(BUDGET, &most);
    cr_assert(steps >= (long)length / BUDGET, "only %ld steps", steps);
    assert_equal(stats_now().freed_by_cycles - before.freed_by_cycles, 702);
    assert_nothing_left();
}

Test(step, keeps_what_lives_while_it_changes_between_steps)
{
    use_manual_mode();
    enum { NUMBER = 2000 };
    static struct node *node[NUMBER];
    uint64_t random = 5;
    for (int i = 0; i < NUMBER; i++)
        node[i] = new_node(&watched_type, i);
    for (size_t round = 0; round < SCALED(200000); round++) {
        size_t from = next_random(&random) % NUMBER, to = next_random(&random) % NUMBER;
        gari_store(next_random(&random) % 2 ? &node[from]->next : &node[from]->prev, node[to]);
        if (round % 4 == 0) { /* replaced by a new one; the old may be part of a cycle */
            gari_decref(node[to]);
            node[to] = new_node(&watched_type, (long)to);
        }
        gari_step(20);
    }
    for (int i = 0; i < NUMBER; i++) {
        check(node[i]->value == i && gari_getrefcount(node[i]) >= 1);
        gari_decref(node[i]);
    }
    assert_nothing_left();
    assert_equal(disposed_count(), NUMBER + (SCALED(200000) + 3) / 4);
}

Test(step, may_be_called_beside_the_background_collector)
{
    use_mode(GARI_MODE_BACKGROUND);
    for (size_t i = 0; i < SCALED(50000); i++) {
        make_garbage_ring(&watched_type, 2);
        gari_step(50);
    }
    assert_nothing_left();
    assert_equal(disposed_count(), 2 * SCALED(50000));
}
