/* What happens when the last reference goes: dispose at once, children too, without recursion;
 * memory and reclaim only after a grace period. */
#include "tests/support.h"

#include <stdatomic.h>

TestSuite(death, .timeout = 120);

Test(death, takes_along_what_only_the_dead_object_held)
{
    use_manual_mode();
    struct node *parent = new_node(&watched_type, 0);
    gari_move(&parent->next, new_node(&watched_type, 1));
    gari_move(&parent->prev, new_node(&watched_type, 2));
    gari_move(&parent->any, new_leaf(3));
    gari_decref(parent);
    assert_equal(disposed_count(), 4);
    assert_nothing_left();
}

Test(death, spares_what_somebody_else_holds)
{
    use_manual_mode();
    struct node *parent = new_node(&watched_type, 0);
    struct node *child = new_node(&watched_type, 1);
    gari_store(&parent->next, child);
    assert_equal(gari_getrefcount(child), 2);
    gari_decref(parent);
    assert_equal(disposed_count(), 1);
    assert_equal(gari_getrefcount(child), 1);
    gari_decref(child);
    assert_equal(disposed_count(), 2);
    assert_nothing_left();
}

Test(death, of_a_value_replaced_in_a_field_is_as_prompt)
{
    use_manual_mode();
    struct node *holder = new_node(&node_type, 0);
    gari_move(&holder->any, new_leaf(1));
    gari_move(&holder->any, new_leaf(2));
    assert_equal(disposed_count(), 1);
    gari_store(&holder->any, NULL);
    assert_equal(disposed_count(), 2);
    gari_decref(holder);
    assert_nothing_left();
}

Test(death, of_an_array_takes_its_items_along)
{
    use_manual_mode();
    struct vec *vec = new_vec(100);
    for (size_t i = 0; i < 100; i++)
        gari_move(&vec->items[i], new_leaf((long)i));
    gari_decref(vec);
    finish_pending();
    assert_equal(disposed_count(), 100);
    assert_nothing_left();
}

/* ---- On which thread, and when ------------------------------------------------------------ */

struct note {
    gari_object header;
    pthread_t disposer;
    bool disposed, reclaimed;
};

static pthread_t last_disposer;
static int notes_disposed, notes_reclaimed;

static void dispose_note(void *self)
{
    struct note *note = self;
    check(!note->disposed && !note->reclaimed);
    note->disposed = true;
    last_disposer = pthread_self();
    notes_disposed++;
}

static void reclaim_note(void *self)
{
    struct note *note = self;
    check(note->disposed && !note->reclaimed); /* the payload is still as dispose left it */
    note->reclaimed = true;
    notes_reclaimed++;
}

static const gari_type note_type =
    GARI_TYPE(struct note, .dispose = dispose_note, .reclaim = reclaim_note);

static void drop_note(void *note)
{
    gari_decref((struct note *)note);
    check(notes_disposed == 1);
    check(pthread_equal(last_disposer, pthread_self()));
}

Test(death, is_disposed_of_on_the_thread_that_dropped_the_last_reference)
{
    use_manual_mode();
    struct note *note = gari_new(&note_type);
    run_in_thread(drop_note, note);
    assert_equal(notes_disposed, 1);
    assert_nothing_left();
}

Test(death, disposes_once_and_then_reclaims_once)
{
    use_manual_mode();
    gari_decref((struct note *)gari_new(&note_type));
    assert_equal(notes_disposed, 1);
    assert_equal(notes_reclaimed, 0);
    settle();
    assert_equal(notes_disposed, 1);
    assert_equal(notes_reclaimed, 1);
    assert_nothing_left();
    assert_equal(notes_disposed, 1);
    assert_equal(notes_reclaimed, 1);
}

Test(death, leaves_reclaim_to_shutdown_when_nothing_else_runs_it)
{
    use_manual_mode();
    for (int i = 0; i < 100; i++)
        gari_decref((struct note *)gari_new(&note_type));
    assert_nothing_left();
    assert_equal(notes_disposed, 100);
    assert_equal(notes_reclaimed, 100);
}

static long seen_in_dispose, seen_in_reclaim;

static void dispose_with_references(void *self)
{
    struct node *node = self;
    gari_read_begin();
    struct node *next = gari_borrow(&node->next);
    check(next != NULL && next->value == node->value + 1);
    seen_in_dispose++;
    gari_read_end();
}

static void reclaim_without_references(void *self)
{
    struct node *node = self;
    gari_read_begin();
    check(gari_borrow(&node->next) == NULL);
    seen_in_reclaim++;
    gari_read_end();
}

static const gari_type looking_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any),
              .dispose = dispose_with_references, .reclaim = reclaim_without_references);

Test(death, shows_the_references_to_dispose_and_no_longer_to_reclaim)
{
    use_manual_mode();
    struct node *node = new_node(&looking_type, 1);
    gari_move(&node->next, new_node(&node_type, 2));
    gari_decref(node);
    assert_equal(seen_in_dispose, 1);
    settle();
    assert_equal(seen_in_reclaim, 1);
    assert_nothing_left();
}

Test(death, by_a_cycle_shows_the_references_to_dispose_too)
{
    use_manual_mode();
    struct node *a = new_node(&looking_type, 1), *b = new_node(&node_type, 2);
    gari_store(&a->next, b);
    gari_move(&b->prev, a);
    gari_decref(b);
    assert_equal(gari_collect(2), 2);
    assert_equal(seen_in_dispose, 1);
    settle();
    assert_equal(seen_in_reclaim, 1);
    assert_nothing_left();
}

/* ---- Reclaim waits for read sections ------------------------------------------------------ */

static GARI_ROOT(struct node) root;
static struct gate borrowed_gate = GATE_CLOSED, dropped_gate = GATE_CLOSED,
                   collecting_gate = GATE_CLOSED;
static atomic_bool section_ended;
static atomic_int early, reclaims;

static void reclaim_after_section(void *self)
{
    struct node *node = self;
    if (!atomic_load(&section_ended))
        atomic_fetch_add(&early, 1);
    node->value = -1;
    atomic_fetch_add(&reclaims, 1);
}

static const gari_type late_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .reclaim = reclaim_after_section);

static void *read_across_the_death(void *arg)
{
    (void)arg;
    gari_read_begin();
    struct node *node = gari_borrow(&root);
    check(node->value == 7);
    gate_open(&borrowed_gate);
    gate_wait(&dropped_gate);
    gate_wait(&collecting_gate);
    for (int i = 0; i < 100000; i++)
        check(*(volatile long *)&node->value == 7);
    check(atomic_load(&reclaims) == 0);
    check(!gari_try_incref(node));
    atomic_store(&section_ended, true);
    gari_read_end();
    return NULL;
}

static void *collect_everything(void *arg)
{
    (void)arg;
    gate_open(&collecting_gate);
    settle();
    return NULL;
}

static void check_that_reclaim_waits_for_the_reader(gari_mode mode)
{
    use_mode(mode);
    gari_move(&root, new_node(&late_type, 7));
    pthread_t reader = start_thread(read_across_the_death, NULL);
    gate_wait(&borrowed_gate);
    gari_store(&root, NULL);
    gate_open(&dropped_gate);
    pthread_t collector = start_thread(collect_everything, NULL);
    join_thread(reader);
    join_thread(collector);
    assert_nothing_left();
    assert_equal(atomic_load(&reclaims), 1);
    assert_equal(atomic_load(&early), 0);
}

Test(death, never_reclaims_while_a_section_that_saw_the_object_is_open)
{
    check_that_reclaim_waits_for_the_reader(GARI_MODE_MANUAL);
}

Test(death, never_reclaims_in_an_open_section_beside_background_threads_either)
{
    check_that_reclaim_waits_for_the_reader(GARI_MODE_BACKGROUND);
}

Test(death, never_reclaims_in_an_open_section_in_inline_mode_either)
{
    check_that_reclaim_waits_for_the_reader(GARI_MODE_INLINE);
}

/* ---- Large structures --------------------------------------------------------------------- */

static void drop_chain(void *arg)
{
    gari_decref((struct node *)arg);
}

Test(death, of_a_long_chain_is_cut_into_bounded_parts)
{
    use_manual_mode();
    const long length = (long)SCALED(1000000);
    struct node *chain = new_chain(&watched_type, (size_t)length);
    run_on_small_stack(drop_chain, chain);
    long first = disposed_count();
    cr_assert(first > 0, "the first call disposed of nothing");
    cr_assert(first < length / 2, "one call disposed of %ld objects", first);
    gari_collect(2);
    assert_equal(disposed_count(), length);
    assert_nothing_left();
    assert_equal(reclaimed_count(), length);
}

static void drop_chain_and_go_on(void *arg)
{
    gari_decref((struct node *)arg);
    long length = (long)SCALED(1000000);
    for (long calls = 0; disposed_count() < length; calls++) {
        check(calls < length); /* each further call must do its part */
        struct text *text = gari_new_items(&text_type, 8);
        gari_decref(text);
    }
}

Test(death, of_a_long_chain_is_completed_by_further_calls_of_the_thread)
{
    use_manual_mode();
    struct node *chain = new_chain(&watched_type, SCALED(1000000));
    run_on_small_stack(drop_chain_and_go_on, chain);
    assert_equal(disposed_count(), SCALED(1000000));
    assert_nothing_left();
}

Test(death, of_a_long_chain_is_completed_by_steps)
{
    use_manual_mode();
    struct node *chain = new_chain(&watched_type, SCALED(1000000));
    run_on_small_stack(drop_chain, chain);
    finish_pending();
    assert_equal(disposed_count(), SCALED(1000000));
    assert_nothing_left();
}

static bool all_disposed(void *arg)
{
    return disposed_count() == *(long *)arg;
}

Test(death, of_a_long_chain_is_completed_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    long length = (long)SCALED(1000000);
    struct node *chain = new_chain(&watched_type, (size_t)length);
    run_on_small_stack(drop_chain, chain); /* the thread makes no other call, and exits */
    cr_assert(wait_until(all_disposed, &length, 20));
    assert_nothing_left();
}

Test(death, of_a_wide_array_is_cut_into_bounded_parts)
{
    use_manual_mode();
    const size_t length = SCALED(1000000);
    struct vec *vec = new_vec(length);
    for (size_t i = 0; i < length; i++)
        gari_move(&vec->items[i], new_leaf(0));
    gari_decref(vec);
    long first = disposed_count();
    cr_assert(first > 0, "the first call disposed of nothing");
    cr_assert(first < (long)length / 2, "one call disposed of %ld objects", first);
    gari_collect(2);
    assert_equal(disposed_count(), length);
    assert_nothing_left();
}

Test(death, of_a_replaced_long_chain_is_cut_into_bounded_parts_too)
{
    use_manual_mode();
    const long length = (long)SCALED(1000000);
    struct node *holder = new_node(&node_type, 0);
    gari_move(&holder->next, new_chain(&watched_type, (size_t)length));
    gari_store(&holder->next, NULL);
    long first = disposed_count();
    cr_assert(first > 0 && first < length / 2, "the store disposed of %ld objects", first);
    gari_decref(holder);
    gari_collect(2);
    assert_equal(disposed_count(), length);
    assert_nothing_left();
}
