/* What is garbage but not freed: SAVEALL, and what cannot be collected; and the debug flags. */
#include "tests/support.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

TestSuite(garbage, .timeout = 60);

static const gari_type stuck_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .flags = GARI_TYPE_NO_CLEAR);

static bool fails;

/* Its table is sometimes being repaired. */
static void hesitant_traverse(void *self, gari_visit visit, void *arg)
{
    struct node *node = self;
    GARI_VISIT(&node->next, visit, arg);
    if (fails)
        gari_traverse_failed(self);
    else
        GARI_VISIT(&node->prev, visit, arg);
}

static const gari_type hesitant_type = GARI_TYPE(struct node, .traverse = hesitant_traverse);

static gari_generation_stats full(void)
{
    return stats_now().generation[2];
}

/* ---- SAVEALL ------------------------------------------------------------------------------ */

Test(garbage, list_is_empty_at_the_start_and_stays_so)
{
    use_manual_mode();
    assert_equal(gari_garbage_count(), 0);
    make_garbage_ring(&watched_type, 3);
    assert_equal(gari_collect(2), 3);
    gari_objects objects;
    assert_equal(gari_garbage_get(&objects), 0);
    assert_equal(objects.count, 0);
    gari_objects_release(&objects);
    gari_garbage_clear();
    assert_nothing_left();
}

Test(garbage, is_listed_instead_of_freed_with_saveall)
{
    use_manual_mode();
    assert_equal(gari_set_debug(GARI_DEBUG_SAVEALL), 0);
    make_garbage_ring(&watched_type, 4);
    assert_equal(gari_collect(2), 4);
    assert_equal(disposed_count(), 0);
    assert_equal(gari_garbage_count(), 4);
    assert_equal(full().collected, 4);
    assert_equal(full().uncollectable, 0);
    assert_equal(stats_now().objects_live, 4);

    gari_objects objects;
    assert_equal(gari_garbage_get(&objects), 0);
    assert_equal(objects.count, 4);
    for (size_t i = 0; i < objects.count; i++) {
        cr_assert(gari_type_of(objects.items[i]) == &watched_type);
        assert_equal(gari_getrefcount(objects.items[i]), 3); /* the ring's, the list's, ours */
    }
    gari_objects_release(&objects);
    assert_equal(objects.count, 0);

    assert_equal(gari_collect(2), 0); /* the list holds them */
    assert_equal(gari_garbage_count(), 4);
    assert_equal(gari_set_debug(0), 0);
    gari_garbage_clear();
    assert_equal(gari_garbage_count(), 0);
    assert_equal(gari_collect(2), 4);
    assert_equal(disposed_count(), 4);
    assert_nothing_left();
}

Test(garbage, saved_holds_what_it_refers_to)
{
    use_manual_mode();
    gari_set_debug(GARI_DEBUG_SAVEALL);
    struct node *ring = new_ring(&node_type, 2);
    gari_move(&ring->any, new_leaf(1));
    gari_decref(ring);
    assert_equal(gari_collect(2), 2);
    assert_equal(disposed_count(), 0);
    gari_set_debug(0);
    gari_garbage_clear();
    gari_collect(2);
    assert_equal(disposed_count(), 1);
    assert_nothing_left();
}

Test(garbage, saved_is_freed_by_shutdown)
{
    use_manual_mode();
    gari_set_debug(GARI_DEBUG_SAVEALL);
    make_garbage_ring(&watched_type, 100);
    assert_equal(gari_collect(2), 100);
    make_garbage_ring(&watched_type, 100);
    assert_nothing_left();
    assert_equal(disposed_count(), 200);
}

Test(garbage, that_is_large_is_saved_whole)
{
    use_manual_mode();
    gari_set_debug(GARI_DEBUG_SAVEALL);
    make_garbage_ring(&watched_type, SCALED(300000));
    assert_equal(gari_collect(2), SCALED(300000));
    assert_equal(gari_garbage_count(), SCALED(300000));
    assert_nothing_left();
}

/* ---- Types that forbid clearing ----------------------------------------------------------- */

Test(garbage, with_a_member_that_forbids_clearing_is_uncollectable)
{
    use_manual_mode();
    struct node *stuck = new_node(&stuck_type, 7), *other = new_node(&watched_type, 0);
    gari_store(&stuck->next, other);
    gari_store(&other->next, stuck);
    gari_decref(stuck);
    gari_decref(other);
    assert_equal(gari_collect(2), 0);
    assert_equal(full().collected, 0);
    assert_equal(full().uncollectable, 2); /* with what it reaches */
    assert_equal(gari_garbage_count(), 1); /* which is not listed itself */
    assert_equal(disposed_count(), 0);

    assert_equal(gari_collect(2), 0); /* known, and not counted again */
    assert_equal(full().uncollectable, 2);

    /* Broken by hand. */
    gari_objects objects;
    assert_equal(gari_garbage_get(&objects), 0);
    assert_equal(objects.count, 1);
    struct node *found = (struct node *)objects.items[0];
    assert_equal(found->value, 7);
    gari_store(&found->next, NULL);
    gari_objects_release(&objects);
    gari_garbage_clear();
    assert_equal(disposed_count(), 1);
    assert_nothing_left();
}

Test(garbage, that_a_stuck_member_does_not_reach_is_collected)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 10);
    struct node *stuck = new_node(&stuck_type, 0);
    gari_store(&stuck->next, stuck);
    gari_move(&ring->any, stuck); /* the ring refers to it, not the other way */
    gari_decref(ring);
    assert_equal(gari_collect(2), 10);
    assert_equal(disposed_count(), 10);
    assert_equal(full().uncollectable, 1);
    assert_equal(gari_garbage_count(), 1);
    gari_objects objects;
    assert_equal(gari_garbage_get(&objects), 0);
    assert_equal(gari_getrefcount(objects.items[0]), 3); /* itself, the list, us */
    gari_store(&((struct node *)objects.items[0])->next, NULL);
    gari_objects_release(&objects);
    gari_garbage_clear();
    assert_nothing_left();
}

Test(garbage, of_a_stuck_type_dies_by_count_as_ever)
{
    use_manual_mode();
    struct node *stuck = new_node(&stuck_type, 0);
    gari_move(&stuck->any, new_leaf(0));
    gari_decref(stuck);
    assert_equal(disposed_count(), 1);
    assert_equal(gari_garbage_count(), 0);
    assert_nothing_left();
}

Test(garbage, that_is_stuck_is_listed_again_after_the_list_is_cleared)
{
    use_manual_mode();
    make_garbage_ring(&stuck_type, 3);
    gari_collect(2);
    assert_equal(gari_garbage_count(), 3);
    gari_garbage_clear();
    gari_collect(2);
    assert_equal(gari_garbage_count(), 3);
    assert_equal(full().uncollectable, 6);
    break_listed_rings();
    assert_nothing_left();
}

Test(garbage, that_is_stuck_is_what_shutdown_reports_as_left)
{
    use_manual_mode();
    make_garbage_ring(&stuck_type, 3);
    make_garbage_ring(&watched_type, 3);
    assert_equal(gari_shutdown(NULL, NULL), 3);
    assert_equal(disposed_count(), 3);
}

Test(garbage, that_is_stuck_is_found_in_the_background_too)
{
    use_mode(GARI_MODE_BACKGROUND);
    for (size_t i = 0; i < SCALED(20000); i++) {
        struct node *stuck = new_node(&stuck_type, 0);
        struct node *ring = new_ring(&watched_type, 3);
        gari_store(&stuck->next, stuck);
        gari_move(&ring->any, stuck);
        gari_decref(ring);
    }
    gari_collect(2);
    assert_equal(gari_garbage_count(), SCALED(20000));
    assert_equal(disposed_count(), 3 * SCALED(20000));
    break_listed_rings();
    assert_nothing_left();
}

Test(garbage, saveall_lists_what_stuck_members_reach_too)
{
    use_manual_mode();
    gari_set_debug(GARI_DEBUG_SAVEALL);
    struct node *stuck = new_node(&stuck_type, 0), *other = new_node(&watched_type, 0);
    gari_store(&stuck->next, other);
    gari_move(&other->next, stuck);
    gari_decref(other);
    assert_equal(gari_collect(2), 0);
    assert_equal(gari_garbage_count(), 2);
    gari_objects objects;
    gari_garbage_get(&objects);
    gari_store(&((struct node *)objects.items[0])->next, NULL);
    gari_objects_release(&objects);
    gari_garbage_clear();
    assert_nothing_left();
}

/* ---- Traverse that fails ------------------------------------------------------------------ */

Test(garbage, whose_traverse_fails_is_uncollectable_until_it_does_not)
{
    use_manual_mode();
    struct node *hesitant = new_node(&hesitant_type, 0);
    gari_store(&hesitant->next, hesitant);
    struct node *hidden = new_ring(&watched_type, 3); /* reached by what it does not name */
    gari_move(&hesitant->prev, hidden);
    gari_decref(hesitant);
    fails = true;
    assert_equal(gari_collect(2), 0);
    assert_equal(disposed_count(), 0);
    assert_equal(full().uncollectable, 1);
    assert_equal(gari_garbage_count(), 1);
    fails = false;
    gari_garbage_clear();
    assert_equal(gari_collect(2), 4);
    assert_equal(disposed_count(), 3);
    assert_nothing_left();
}

Test(garbage, a_failing_traverse_of_a_live_object_lists_nothing)
{
    use_manual_mode();
    struct node *hesitant = new_node(&hesitant_type, 0);
    gari_store(&hesitant->next, hesitant);
    fails = true;
    gari_decref(gari_incref(hesitant));
    assert_equal(gari_collect(2), 0);
    assert_equal(gari_garbage_count(), 0);
    gari_traverse_failed(hesitant); /* outside of traverse: nothing */
    fails = false;
    gari_decref(hesitant);
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
}

/* The same at one call only, whichever the collection makes it for: it must not lose what it then does not
 * name. */
static int traversed, fails_at;
static long disposed_before;

static void once_hesitant_traverse(void *self, gari_visit visit, void *arg)
{
    struct node *node = self;
    GARI_VISIT(&node->next, visit, arg);
    if (++traversed == fails_at)
        gari_traverse_failed(self);
    else
        GARI_VISIT(&node->prev, visit, arg);
}

static void look_at_hidden(void *self)
{
    assert_equal(disposed_count(), disposed_before);
    gari_read_begin();
    assert_equal(ring_length(gari_borrow(&((struct node *)self)->prev)), 3);
    gari_read_end();
}

static const gari_type once_stuck_type =
    GARI_TYPE(struct node, .traverse = once_hesitant_traverse, .flags = GARI_TYPE_NO_CLEAR);
static const gari_type once_finalized_type =
    GARI_TYPE(struct node, .traverse = once_hesitant_traverse, .finalize = look_at_hidden);

#define CALLS 12

static struct node *new_hesitant(const gari_type *type)
{
    struct node *node = new_node(type, 0);
    gari_store(&node->next, node);
    gari_move(&node->prev, new_ring(&watched_type, 3));
    return node;
}

Test(garbage, whose_traverse_fails_once_keeps_what_it_reaches)
{
    use_manual_mode();
    for (fails_at = 1; fails_at <= CALLS; fails_at++) {
        struct node *node = new_hesitant(&once_stuck_type);
        traversed = 0;
        gari_decref(node);
        gari_collect(2);
        assert_equal(disposed_count(), 3 * (fails_at - 1));
        cr_assert(traversed >= 2);
        traversed = CALLS;
        gari_collect(2);
        assert_equal(disposed_count(), 3 * (fails_at - 1));
        assert_equal(gari_garbage_count(), 1);
        gari_store(&node->next, NULL);
        gari_garbage_clear();
        settle();
        assert_equal(disposed_count(), 3 * fails_at);
        assert_heap_sound();
    }
    assert_nothing_left();
}

/* And at every call after that; from some call on it names less than before. */
static int forgets_at;

static void forgetful_traverse(void *self, gari_visit visit, void *arg)
{
    struct node *node = self;
    GARI_VISIT(&node->next, visit, arg);
    if (++traversed < forgets_at)
        GARI_VISIT(&node->prev, visit, arg);
    if (traversed >= fails_at)
        gari_traverse_failed(self);
}

static const gari_type forgetful_type = GARI_TYPE(struct node, .traverse = forgetful_traverse);

static void forget(void)
{
    struct node *node = new_hesitant(&forgetful_type);
    long disposed = disposed_count();
    traversed = 0;
    gari_decref(gari_incref(node));
    gari_decref(node);
    gari_collect(2);
    if (gari_garbage_count() == 1) {
        /* It is there, and so is what it refers to. */
        assert_equal(disposed_count(), disposed);
        gari_read_begin();
        assert_equal(ring_length(gari_borrow(&node->prev)), 3);
        gari_read_end();
        gari_store(&node->next, NULL);
    }
    fails_at = forgets_at = INT_MAX;
    gari_garbage_clear();
    settle();
    assert_equal(disposed_count(), disposed + 3);
    assert_heap_sound();
}

Test(garbage, whose_traverse_names_less_each_time_keeps_what_it_reaches)
{
    use_manual_mode();
    for (int at = 1; at <= CALLS; at++) {
        for (int until = at; until <= CALLS; until++) {
            fails_at = at;
            forgets_at = until + 1;
            forget();
        }
    }
    assert_nothing_left();
}

Test(garbage, whose_traverse_fails_once_finds_what_it_reaches_when_it_is_finalized)
{
    use_manual_mode();
    for (fails_at = 1; fails_at <= CALLS; fails_at++) {
        disposed_before = disposed_count();
        struct node *node = new_hesitant(&once_finalized_type);
        traversed = 0;
        gari_decref(node);
        gari_collect(2);
        traversed = CALLS;
        gari_garbage_clear();
        settle();
        assert_equal(disposed_count(), 3 * fails_at);
        assert_heap_sound();
    }
    assert_nothing_left();
}

/* ---- Flags and lines ---------------------------------------------------------------------- */

Test(garbage, debug_flags_have_pythons_values)
{
    assert_equal(gari_get_debug(), 0);
    assert_equal(GARI_DEBUG_STATS, 1);
    assert_equal(GARI_DEBUG_COLLECTABLE, 2);
    assert_equal(GARI_DEBUG_UNCOLLECTABLE, 4);
    assert_equal(GARI_DEBUG_SAVEALL, 32);
    assert_equal(GARI_DEBUG_LEAK, 38);
    assert_equal(gari_set_debug(GARI_DEBUG_LEAK), 0);
    assert_equal(gari_get_debug(), 38);
    assert_equal(gari_set_debug(8), EINVAL);
    assert_equal(gari_set_debug(64 | 1), EINVAL);
    assert_equal(gari_get_debug(), 38);
    assert_equal(gari_set_debug(0), 0);
    assert_nothing_left();
}

static unsigned flags;

static void collect_with_flags(void)
{
    gari_set_debug(flags);
    gari_collect(2);
    gari_set_debug(0);
}

static const char *printed_by_a_collection(unsigned with)
{
    flags = with;
    return printed_by(collect_with_flags);
}

static int lines_with(const char *text, const char *word)
{
    int lines = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        lines++;
    return lines;
}

Test(garbage, debug_flags_print_what_they_say)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, 2);
    make_garbage_ring(&stuck_type, 1);
    const char *text = printed_by_a_collection(GARI_DEBUG_STATS | GARI_DEBUG_COLLECTABLE |
                                               GARI_DEBUG_UNCOLLECTABLE);
    assert_equal(lines_with(text, "gari: collecting generation 2"), 1);
    assert_equal(lines_with(text, "gari: collected generation 2: 2 collected, 1 uncollectable"), 1);
    assert_equal(lines_with(text, "gari: collectable <struct node 0x"), 2);
    assert_equal(lines_with(text, "gari: uncollectable <struct node 0x"), 1);
    assert_equal(lines_with(text, "\n"), 5);

    gari_objects objects;
    gari_garbage_get(&objects);
    gari_store(&((struct node *)objects.items[0])->next, NULL);
    gari_objects_release(&objects);
    gari_garbage_clear();
    make_garbage_ring(&watched_type, 2);
    text = printed_by_a_collection(0);
    assert_equal(strlen(text), 0);
    assert_nothing_left();
}
