/* Finalizers (PEP 442): once in a life, before anything of a garbage set is cleared; what they bring
 * back lives, the rest dies. */
#include "tests/support.h"

#include <errno.h>

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

TestSuite(finalize, .timeout = 120);

static atomic_long finalized, disposed_here;
static void (*in_finalize)(struct node *self);

static void finalize_node(void *self)
{
    atomic_fetch_add(&finalized, 1);
    if (in_finalize)
        in_finalize(self);
}

static void dispose_node(void *self)
{
    (void)self;
    atomic_fetch_add(&disposed_here, 1);
}

static const gari_type final_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any),
              .finalize = finalize_node, .dispose = dispose_node);

struct final_leaf {
    gari_object header;
    long value;
};
static const gari_type final_leaf_type =
    GARI_TYPE(struct final_leaf, .finalize = finalize_node, .dispose = dispose_node);

static GARI_ROOT(struct node) saved;

static void save(struct node *self)
{
    gari_store(&saved, self);
}

/* ---- Death by count ----------------------------------------------------------------------- */

Test(finalize, runs_at_once_before_dispose_when_the_last_reference_goes)
{
    use_manual_mode();
    struct node *node = new_node(&final_type, 1);
    cr_assert(!gari_is_finalized(node));
    gari_decref(node);
    assert_equal(atomic_load(&finalized), 1);
    assert_equal(atomic_load(&disposed_here), 1);
    gari_decref((struct final_leaf *)gari_new(&final_leaf_type));
    assert_equal(atomic_load(&finalized), 2);
    assert_equal(atomic_load(&disposed_here), 2);
    assert_nothing_left();
}

static void look_alive(struct node *self)
{
    check(atomic_load(&disposed_here) == 0);
    check(gari_getrefcount(self) == 1);
    check(gari_is_finalized(self));
    struct node *next = gari_load(&self->next);
    check(next != NULL && next->value == 2);
    gari_decref(next);
    gari_decref(gari_incref(self));
}

Test(finalize, finds_its_object_as_whole_as_ever)
{
    use_manual_mode();
    in_finalize = look_alive;
    struct node *node = new_node(&final_type, 1);
    gari_move(&node->next, new_node(&node_type, 2));
    gari_decref(node);
    assert_equal(atomic_load(&disposed_here), 1);
    assert_nothing_left();
    assert_equal(atomic_load(&finalized), 1);
}

Test(finalize, may_bring_its_object_back_and_is_not_run_again)
{
    use_manual_mode();
    in_finalize = save;
    struct node *node = new_node(&final_type, 1);
    gari_move(&node->next, new_node(&watched_type, 2));
    gari_decref(node);
    assert_equal(atomic_load(&finalized), 1);
    assert_equal(atomic_load(&disposed_here), 0);
    assert_equal(disposed_count(), 0);
    gari_read_begin();
    assert_equal(gari_getrefcount(gari_borrow(&saved)), 1);
    cr_assert(gari_is_finalized(gari_borrow(&saved)));
    gari_read_end();
    gari_store(&saved, NULL);
    assert_equal(atomic_load(&finalized), 1);
    assert_equal(atomic_load(&disposed_here), 1);
    assert_equal(disposed_count(), 1);
    assert_nothing_left();
}

Test(finalize, runs_for_every_object_of_a_tree)
{
    use_manual_mode();
    for (int i = 0; i < 100; i++) {
        struct node *root = new_node(&final_type, 0);
        for (int j = 0; j < 3; j++) {
            struct node *child = new_chain(&final_type, 3);
            gari_move(j == 0 ? &root->next : &root->prev, child);
        }
        gari_decref(root);
    }
    assert_equal(atomic_load(&finalized), 100 * 10);
    assert_equal(atomic_load(&disposed_here), 100 * 10);
    assert_nothing_left();
}

static void drop_chain(void *chain)
{
    gari_decref((struct node *)chain);
}

Test(finalize, of_a_long_chain_needs_no_deep_stack)
{
    use_manual_mode();
    const size_t length = SCALED(100000);
    run_on_small_stack(drop_chain, new_chain(&final_type, length));
    gari_collect(2);
    finish_pending();
    gari_collect(2);
    assert_nothing_left();
    assert_equal(atomic_load(&finalized), length);
    assert_equal(atomic_load(&disposed_here), length);
}

/* A chain by plain pointers, each link dropped by a finalizer. */
struct holder {
    gari_object header;
    struct holder *held;
};

static void drop_held(void *self)
{
    atomic_fetch_add(&finalized, 1);
    gari_decref(((struct holder *)self)->held);
}

static const gari_type holder_type = GARI_TYPE(struct holder, .finalize = drop_held);

static void drop_holder(void *holder)
{
    gari_decref((struct holder *)holder);
}

Test(finalize, that_drops_the_next_with_a_finalizer_needs_no_deep_stack)
{
    use_manual_mode();
    const size_t length = SCALED(100000);
    struct holder *first = NULL;
    for (size_t i = 0; i < length; i++) {
        struct holder *holder = gari_new(&holder_type);
        holder->held = first;
        first = holder;
    }
    run_on_small_stack(drop_holder, first);
    gari_collect(2);
    assert_nothing_left();
    assert_equal(atomic_load(&finalized), length);
}

/* ---- In cycles ---------------------------------------------------------------------------- */

Test(finalize, runs_once_for_each_member_of_a_cycle_before_any_is_disposed_of)
{
    use_manual_mode();
    make_garbage_ring(&final_type, 10);
    assert_equal(gari_collect(2), 10);
    assert_equal(atomic_load(&finalized), 10);
    assert_equal(atomic_load(&disposed_here), 10);
    assert_nothing_left();
}

static void look_at_partners(struct node *self)
{
    check(atomic_load(&disposed_here) == 0);
    struct node *next = gari_load(&self->next), *prev = gari_load(&self->prev);
    check(next && prev && (self->value + 1) % 10 == next->value);
    struct node *back = gari_load(&next->prev);
    check(back == self);
    gari_decref(back);
    gari_decref(next);
    gari_decref(prev);
}

Test(finalize, finds_every_partner_whole)
{
    use_manual_mode();
    in_finalize = look_at_partners;
    gari_decref(new_double_ring(&final_type, 10));
    assert_equal(gari_collect(2), 10);
    assert_equal(atomic_load(&finalized), 10);
    assert_equal(atomic_load(&disposed_here), 10);
    assert_nothing_left();
}

static void cut(struct node *self)
{
    gari_store(&self->next, NULL);
    gari_store(&self->prev, NULL);
    check(atomic_load(&disposed_here) == 0);
}

Test(finalize, may_take_its_cycle_apart_and_kills_nobody_before_all_have_run)
{
    use_manual_mode();
    in_finalize = cut;
    gari_decref(new_double_ring(&final_type, 50));
    gari_collect(2);
    assert_equal(atomic_load(&finalized), 50);
    assert_equal(atomic_load(&disposed_here), 50);
    assert_nothing_left();
}

static void save_first(struct node *self)
{
    if (self->value == 0)
        gari_store(&saved, self);
}

Test(finalize, that_brings_one_member_back_brings_back_all_it_reaches)
{
    use_manual_mode();
    in_finalize = save_first;
    struct node *ring = new_ring(&final_type, 5); /* value 0 is brought back */
    gari_move(&ring->any, new_leaf(1));
    gari_decref(ring);
    make_garbage_ring(&watched_type, 4); /* has nothing to do with it, and dies */
    assert_equal(gari_collect(2), 4);
    assert_equal(disposed_count(), 4);
    assert_equal(atomic_load(&finalized), 5);
    assert_equal(atomic_load(&disposed_here), 0);
    gari_read_begin();
    assert_equal(ring_length(gari_borrow(&saved)), 5);
    gari_read_end();
    assert_equal(gari_collect(2), 0);
    gari_store(&saved, NULL);
    assert_equal(gari_collect(2), 5);
    assert_equal(atomic_load(&finalized), 5);
    assert_equal(atomic_load(&disposed_here), 5);
    assert_equal(disposed_count(), 5);
    assert_nothing_left();
}

/* Of a ring 0 -> 1 -> 2 -> 0 with a tail from 0, one finalizer saves the tail and cuts it off. */
static void save_tail(struct node *self)
{
    if (self->value == 0)
        gari_move(&saved, gari_take(&self->prev));
}

Test(finalize, that_brings_a_part_back_lets_the_rest_die)
{
    use_manual_mode();
    in_finalize = save_tail;
    struct node *ring = new_ring(&final_type, 3);
    gari_move(&ring->prev, new_chain(&watched_type, 4));
    gari_decref(ring);
    assert_equal(gari_collect(2), 3);
    assert_equal(atomic_load(&disposed_here), 3);
    assert_equal(disposed_count(), 0);
    gari_store(&saved, NULL);
    assert_equal(disposed_count(), 4);
    assert_nothing_left();
}

static void make_garbage(struct node *self)
{
    make_garbage_ring(&watched_type, 3);
    struct node *more = new_node(&watched_type, 0);
    gari_store(&more->next, self);
    gari_move(&self->any, more); /* a new member of the same garbage */
    gari_decref(new_node(&watched_type, 0));
    check(gari_collect(2) == 0);
}

Test(finalize, may_make_garbage_and_ask_for_a_collection)
{
    use_manual_mode();
    in_finalize = make_garbage;
    make_garbage_ring(&final_type, 5);
    gari_collect(2);
    gari_collect(2);
    assert_equal(atomic_load(&finalized), 5);
    assert_equal(atomic_load(&disposed_here), 5);
    assert_equal(disposed_count(), 5 * 5);
    assert_nothing_left();
}

Test(finalize, does_not_hold_up_garbage_that_its_object_does_not_reach)
{
    use_manual_mode();
    gari_set_finalizers(GARI_FINALIZERS_QUEUED, NULL, NULL);
    struct node *ring = new_ring(&final_type, 3), *above = new_ring(&watched_type, 3);
    gari_move(&above->any, ring); /* reaches it, but is not reached */
    gari_decref(above);
    assert_equal(gari_collect(2), 3);
    assert_equal(disposed_count(), 3);
    assert_equal(atomic_load(&finalized), 0);
    assert_equal(gari_run_finalizers(100), 3);
    assert_equal(gari_collect(2), 3);
    assert_equal(atomic_load(&disposed_here), 3);
    assert_nothing_left();
}

/* ---- Where they run ----------------------------------------------------------------------- */

static atomic_long notified;

static void notify(void *arg)
{
    check(arg == &notified);
    atomic_fetch_add(&notified, 1);
}

Test(finalize, queued_runs_nowhere_else)
{
    use_mode(GARI_MODE_BACKGROUND);
    assert_equal(gari_set_finalizers(GARI_FINALIZERS_QUEUED, notify, &notified), 0);
    gari_decref(new_node(&final_type, 1));
    assert_equal(atomic_load(&notified), 1);
    make_garbage_ring(&final_type, 5);
    gari_collect(2);
    usleep(20000);
    assert_equal(atomic_load(&finalized), 0);
    assert_equal(stats_now().finalizers_waiting, 2); /* one object, one set */
    assert_equal(gari_run_finalizers(2), 2);
    assert_equal(atomic_load(&finalized), 2);
    assert_equal(atomic_load(&disposed_here) <= 1, 1);
    assert_equal(gari_run_finalizers(100), 4);
    assert_equal(gari_run_finalizers(100), 0);
    gari_collect(2);
    assert_equal(atomic_load(&disposed_here), 6);
    assert_equal(stats_now().finalizers_called, 6);
    assert_nothing_left();
}

static struct gate blocked = GATE_CLOSED, entered = GATE_CLOSED;

static void block(struct node *self)
{
    (void)self;
    gate_open(&entered);
    gate_wait(&blocked);
}

Test(finalize, that_blocks_stops_nobody_else)
{
    use_mode(GARI_MODE_BACKGROUND);
    in_finalize = block;
    make_garbage_ring(&final_type, 3);
    gari_collect(2);
    gate_wait(&entered);
    for (size_t i = 0; i < SCALED(20000); i++)
        make_garbage_ring(&watched_type, 3);
    gari_collect(2);
    gari_collect(2);
    assert_equal(disposed_count(), SCALED(20000) * 3);
    assert_equal(atomic_load(&finalized), 1);
    gate_open(&blocked);
    assert_nothing_left();
    assert_equal(atomic_load(&finalized), 3);
    assert_equal(atomic_load(&disposed_here), 3);
}

static bool three_gone(void *arg)
{
    (void)arg;
    return atomic_load(&disposed_here) == 3;
}

Test(finalize, of_a_cycle_needs_nobody_to_ask_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    make_garbage_ring(&final_type, 3);
    cr_assert(wait_until(three_gone, NULL, 20));
    assert_equal(atomic_load(&finalized), 3);
    assert_nothing_left();
}

static pthread_t finalizer_of_cycle;
static void note_thread(struct node *self)
{
    check(gari_try_incref(self)); /* it is alive */
    gari_decref(self);
    finalizer_of_cycle = pthread_self();
}

Test(finalize, of_a_cycle_runs_on_a_thread_of_garis_own)
{
    use_mode(GARI_MODE_INLINE);
    in_finalize = note_thread;
    make_garbage_ring(&final_type, 1);
    gari_collect(2);
    while (atomic_load(&finalized) == 0)
        usleep(1000);
    gari_collect(2);
    cr_assert(!pthread_equal(finalizer_of_cycle, pthread_self()));
    assert_equal(atomic_load(&disposed_here), 1);
    assert_nothing_left();
}

Test(finalize, waits_for_the_end_of_a_section_of_the_users)
{
    use_mode(GARI_MODE_BACKGROUND);
    in_finalize = block;
    gari_read_begin();
    gari_decref(new_node(&final_type, 1)); /* would block here if it ran here */
    gari_read_end();
    gate_wait(&entered);
    gate_open(&blocked);
    assert_nothing_left();
    assert_equal(atomic_load(&finalized), 1);
}

Test(finalize, is_all_done_at_shutdown)
{
    use_manual_mode();
    gari_set_finalizers(GARI_FINALIZERS_QUEUED, NULL, NULL);
    in_finalize = make_garbage;
    gari_decref(new_node(&final_type, 0));
    make_garbage_ring(&final_type, 3);
    assert_nothing_left();
    assert_equal(atomic_load(&finalized), 4);
    assert_equal(atomic_load(&disposed_here), 4);
}

static void run_in_section(void)
{
    gari_read_begin();
    gari_run_finalizers(1);
}

Test(finalize, refuses_to_run_the_queue_in_a_section)
{
    assert_mentions(fatal_sentence(run_in_section), "gari_run_finalizers");
    assert_nothing_left();
}

static void drop_twice(void)
{
    in_finalize = save;
    struct node *node = new_node(&final_type, 1);
    gari_decref(node);
    gari_store(&saved, NULL);
    gari_decref(node);
}

Test(finalize, leaves_a_reference_too_many_as_fatal_as_ever)
{
    assert_mentions(fatal_sentence(drop_twice), "node");
    assert_nothing_left();
}

static bool one_is_finalized(void *arg)
{
    (void)arg;
    return stats_now().objects_live == 0;
}

Test(finalize, queued_before_goes_to_the_thread_when_that_is_chosen)
{
    use_mode(GARI_MODE_BACKGROUND);
    assert_equal(gari_set_finalizers((gari_finalizers)7, NULL, NULL), EINVAL);
    assert_equal(gari_set_finalizers(GARI_FINALIZERS_QUEUED, NULL, NULL), 0);
    make_garbage_ring(&final_type, 2);
    gari_collect(2);
    cr_assert(!wait_until(one_is_finalized, NULL, 0.1));
    assert_equal(gari_set_finalizers(GARI_FINALIZERS_THREAD, NULL, NULL), 0);
    cr_assert(wait_until(one_is_finalized, NULL, 20));
    assert_nothing_left();
}
