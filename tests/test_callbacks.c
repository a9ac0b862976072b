/* What dispose and reclaim may do: make objects, store, drop, ask for a collection. */
#include "tests/support.h"

#include <stdatomic.h>

TestSuite(callbacks, .timeout = 60);

static void (*in_dispose)(struct node *self), (*in_reclaim)(struct node *self);
static atomic_long busy_disposed, busy_reclaimed;

static void dispose_busy(void *self)
{
    atomic_fetch_add(&busy_disposed, 1);
    if (in_dispose)
        in_dispose(self);
}

static void reclaim_busy(void *self)
{
    atomic_fetch_add(&busy_reclaimed, 1);
    if (in_reclaim)
        in_reclaim(self);
}

static const gari_type busy_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .dispose = dispose_busy,
              .reclaim = reclaim_busy);

/* ---- A collection from a callback --------------------------------------------------------- */

static void collect_all(struct node *self)
{
    (void)self;
    check(gari_collect(2) == 0);
}

Test(callbacks, that_collect_get_0_at_a_death_by_count)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, 3);
    in_dispose = collect_all;
    gari_decref(new_node(&busy_type, 0));
    assert_equal(atomic_load(&busy_disposed), 1);
    assert_equal(disposed_count(), 0);
    assert_nothing_left();
    assert_equal(disposed_count(), 3);
}

Test(callbacks, that_collect_have_their_collection_queued)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, 3);
    in_dispose = collect_all;
    gari_decref(new_node(&busy_type, 0));
    assert_equal(collections_of(2), 0);
    while (gari_step(1000))
        continue;
    assert_equal(collections_of(2), 1);
    assert_equal(disposed_count(), 3);
    assert_nothing_left();
}

static bool three_disposed(void *arg)
{
    (void)arg;
    return disposed_count() == 3;
}

Test(callbacks, that_collect_have_their_collection_done_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    make_garbage_ring(&watched_type, 3);
    in_dispose = collect_all;
    gari_decref(new_node(&busy_type, 0));
    cr_assert(wait_until(three_disposed, NULL, 20));
    assert_nothing_left();
}

Test(callbacks, that_collect_do_not_deadlock_in_a_collection)
{
    use_manual_mode();
    in_dispose = collect_all;
    in_reclaim = collect_all;
    for (int i = 0; i < 100; i++) {
        make_garbage_ring(&busy_type, 3);
        assert_equal(gari_collect(i % 3), 3);
    }
    assert_nothing_left();
    assert_equal(atomic_load(&busy_disposed), 300);
    assert_equal(atomic_load(&busy_reclaimed), 300);
}

Test(callbacks, that_collect_do_not_deadlock_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    in_dispose = collect_all;
    in_reclaim = collect_all;
    for (size_t i = 0; i < SCALED(5000); i++) {
        make_garbage_ring(&busy_type, 3);
        gari_decref(new_node(&busy_type, 0));
    }
    assert_nothing_left();
    assert_equal(atomic_load(&busy_disposed), SCALED(5000) * 4);
    assert_equal(atomic_load(&busy_reclaimed), SCALED(5000) * 4);
}

static void step(struct node *self)
{
    (void)self;
    gari_step(1000);
}

Test(callbacks, that_step_do_not_deadlock)
{
    use_manual_mode();
    in_dispose = step;
    in_reclaim = step;
    for (int i = 0; i < 100; i++) {
        make_garbage_ring(&busy_type, 3);
        gari_decref(new_node(&busy_type, 0));
        if (i % 10 == 0)
            gari_collect(2);
        else
            gari_step(100);
    }
    assert_nothing_left();
    assert_equal(atomic_load(&busy_disposed), 400);
}

/* ---- Objects made, stored and dropped in a callback --------------------------------------- */

static GARI_ROOT(struct node) saved;

static void make_and_store(struct node *self)
{
    struct node *node = new_node(&watched_type, self->value);
    gari_store(&saved, node);
    gari_store(&node->next, node);
    gari_decref(node);
}

Test(callbacks, may_make_objects_and_store_them)
{
    use_manual_mode();
    in_dispose = make_and_store;
    for (int i = 0; i < 100; i++) {
        gari_decref(new_node(&busy_type, i));
        gari_read_begin();
        assert_equal(gari_borrow(&saved)->value, i);
        gari_read_end();
    }
    make_garbage_ring(&busy_type, 5);
    gari_collect(2);
    assert_equal(atomic_load(&busy_disposed), 105);
    gari_store(&saved, NULL);
    assert_nothing_left();
    assert_equal(disposed_count(), 105);
}

Test(callbacks, may_make_objects_in_reclaim)
{
    use_manual_mode();
    in_reclaim = make_and_store;
    for (int i = 0; i < 100; i++)
        gari_decref(new_node(&busy_type, i));
    settle();
    gari_store(&saved, NULL);
    assert_nothing_left();
    assert_equal(disposed_count(), 100);
}

static void make_many(struct node *self)
{
    (void)self;
    for (int i = 0; i < 1000; i++)
        gari_decref(new_chain(&watched_type, 3));
}

Test(callbacks, may_make_and_drop_many_objects)
{
    use_manual_mode();
    in_dispose = make_many;
    gari_decref(new_node(&busy_type, 0));
    make_garbage_ring(&busy_type, 3);
    gari_collect(2);
    finish_pending();
    assert_equal(disposed_count(), 4 * 3000);
    assert_nothing_left();
}

static void save_next(struct node *self)
{
    gari_move(&saved, gari_take(&self->next));
}

Test(callbacks, may_save_what_the_dying_object_refers_to)
{
    use_manual_mode();
    in_dispose = save_next;
    struct node *parent = new_node(&busy_type, 0);
    gari_move(&parent->next, new_node(&watched_type, 7));
    gari_decref(parent);
    settle();
    assert_equal(disposed_count(), 0);
    gari_read_begin();
    assert_equal(gari_borrow(&saved)->value, 7);
    assert_equal(gari_getrefcount(gari_borrow(&saved)), 1);
    gari_read_end();
    gari_store(&saved, NULL);
    assert_equal(disposed_count(), 1);
    assert_nothing_left();
}

/* An object that owns another by a plain pointer, given back by dispose: a chain of such must not
 * be taken apart recursively. */
struct owner {
    gari_object header;
    struct owner *owned;
};

static atomic_long owners_disposed;

static void dispose_owner(void *self)
{
    struct owner *owner = self;
    atomic_fetch_add(&owners_disposed, 1);
    gari_decref(owner->owned);
}

static const gari_type owner_type = GARI_TYPE(struct owner, .dispose = dispose_owner);

static void drop_owner(void *owner)
{
    gari_decref((struct owner *)owner);
}

Test(callbacks, that_drop_the_next_in_a_long_chain_use_no_deep_stack)
{
    use_manual_mode();
    const size_t length = SCALED(200000);
    struct owner *first = NULL;
    for (size_t i = 0; i < length; i++) {
        struct owner *owner = gari_new(&owner_type);
        owner->owned = first;
        first = owner;
    }
    run_on_small_stack(drop_owner, first);
    gari_collect(2);
    finish_pending();
    assert_equal(atomic_load(&owners_disposed), length);
    assert_nothing_left();
}

static struct node *outside;

static void drop_outside(struct node *self)
{
    (void)self;
    gari_decref(outside);
    outside = NULL;
}

Test(callbacks, may_drop_the_last_reference_to_another_garbage_cycle)
{
    use_manual_mode();
    in_dispose = drop_outside;
    outside = new_ring(&watched_type, 4);
    gari_decref(new_node(&busy_type, 0));
    assert_equal(gari_collect(2), 4);

    outside = new_ring(&watched_type, 4);
    struct node *self = new_node(&busy_type, 0);
    gari_move(&self->next, self);
    gari_collect(2);
    gari_collect(2);
    assert_equal(disposed_count(), 8);
    assert_nothing_left();
}

/* ---- Callbacks of cycles ------------------------------------------------------------------ */

static atomic_long neighbours_seen;

static void look_at_neighbours(struct node *self)
{
    gari_read_begin();
    struct node *next = gari_borrow(&self->next), *prev = gari_borrow(&self->prev);
    check(next != NULL && prev != NULL);
    check(gari_borrow(&next->prev) == self && gari_borrow(&prev->next) == self);
    check((self->value + 1) % 10 == next->value);
    atomic_fetch_add(&neighbours_seen, 1);
    gari_read_end();
}

Test(callbacks, of_a_cycle_find_all_its_members_readable)
{
    use_manual_mode();
    in_dispose = look_at_neighbours;
    for (int i = 0; i < 20; i++)
        gari_decref(new_double_ring(&busy_type, 10));
    assert_equal(gari_collect(2), 200);
    assert_equal(atomic_load(&neighbours_seen), 200);
    assert_nothing_left();
}

static void expect_no_reference(struct node *self)
{
    gari_read_begin();
    check(gari_borrow(&self->next) == NULL && gari_borrow(&self->prev) == NULL);
    gari_read_end();
    check(!gari_try_incref(self));
}

Test(callbacks, in_reclaim_find_the_references_gone)
{
    use_manual_mode();
    in_reclaim = expect_no_reference;
    gari_decref(new_double_ring(&busy_type, 10));
    assert_equal(gari_collect(2), 10);
    assert_nothing_left();
    assert_equal(atomic_load(&busy_reclaimed), 10);
}
