/* The order of events at a death (docs/lifecycle.md), as far as a user can see it: finalize, weak
 * references, dispose, callbacks, reclaim. */
#include "tests/support.h"

#include <string.h>

TestSuite(phases, .timeout = 60);

/* What happened, in order: f(inalize), d(ispose), c(allback), r(eclaim). */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char events[64];

static void note(char event)
{
    pthread_mutex_lock(&lock);
    size_t at = strlen(events);
    check(at < sizeof events - 1);
    events[at] = event;
    pthread_mutex_unlock(&lock);
}

#define assert_events(expected)                                                                    \
    cr_assert(strcmp(events, expected) == 0, "events are \"%s\", expected \"%s\"", events, expected)

/* To the first member: with a callback, without one. */
static gari_weakref *armed, *plain;
static bool armed_empty, plain_empty;
static bool bring_back;
static GARI_ROOT(struct node) saved;

static bool is_empty(gari_weakref *weakref)
{
    struct node *node = gari_weakref_get(weakref);
    gari_decref(node);
    return node == NULL;
}

static void look(void)
{
    armed_empty = is_empty(armed);
    plain_empty = is_empty(plain);
}

static void finalize(void *self)
{
    note('f');
    look();
    if (bring_back)
        gari_store(&saved, (struct node *)self);
}

static void dispose(void *self)
{
    check(!gari_try_incref((struct node *)self));
    look();
    check(armed_empty && plain_empty);
    note('d');
}

static void reclaim(void *self)
{
    (void)self;
    note('r');
}

static void called(void *arg)
{
    check(arg == &events);
    look();
    check(armed_empty);
    note('c');
}

static const gari_type event_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = finalize,
              .dispose = dispose, .reclaim = reclaim);

static void watch(struct node *node)
{
    armed = gari_weakref_new(node, called, &events);
    plain = gari_weakref_new(node, NULL, NULL);
}

static void unwatch(void)
{
    gari_decref(armed);
    gari_decref(plain);
}

Test(phases, of_a_death_by_count)
{
    use_manual_mode();
    struct node *node = new_node(&event_type, 0);
    watch(node);
    gari_decref(node);
    assert_events("fd"); /* on the spot; the callback is queued */
    settle();
    assert_events("fdcr");
    unwatch();
    assert_nothing_left();
}

Test(phases, of_a_death_by_count_leave_weak_references_full_for_the_finalizer)
{
    use_manual_mode();
    struct node *node = new_node(&event_type, 0);
    watch(node);
    bring_back = true;
    gari_decref(node);
    cr_assert(!armed_empty && !plain_empty);
    cr_assert(!is_empty(armed) && !is_empty(plain));
    bring_back = false;
    gari_store(&saved, NULL);
    settle();
    assert_events("fdcr");
    unwatch();
    assert_nothing_left();
}

Test(phases, of_a_death_by_cycle)
{
    use_manual_mode();
    struct node *ring = new_ring(&event_type, 3);
    watch(ring);
    gari_decref(ring);
    assert_equal(gari_collect(2), 3);
    settle();
    /* All finalizers before any dispose; the callback after all weak references are empty. */
    cr_assert(strncmp(events, "fffddd", 6) == 0, "events are \"%s\"", events);
    assert_equal(strlen(events), 3 + 3 + 1 + 3);
    cr_assert(strchr(events, 'c') > strrchr(events, 'd'));
    cr_assert(strchr(events, 'r') > strrchr(events, 'd'));
    unwatch();
    assert_nothing_left();
}

Test(phases, of_a_cycle_show_its_finalizers_only_weak_references_without_a_callback)
{
    use_manual_mode();
    struct node *node = new_node(&event_type, 0);
    watch(node);
    gari_store(&node->next, node);
    bring_back = true;
    gari_decref(node);
    assert_equal(gari_collect(2), 0);
    bring_back = false;
    cr_assert(armed_empty && !plain_empty); /* in the finalizer */
    cr_assert(is_empty(armed) && !is_empty(plain));
    assert_events("fc"); /* it lives, but the weak reference with the callback is over */
    gari_store(&saved, NULL);
    assert_equal(gari_collect(2), 1);
    settle();
    assert_events("fcdr");
    cr_assert(is_empty(plain));
    unwatch();
    assert_nothing_left();
}

static bool all_noted(void *arg)
{
    pthread_mutex_lock(&lock);
    bool all = strlen(events) == *(size_t *)arg;
    pthread_mutex_unlock(&lock);
    return all;
}

Test(phases, are_the_same_in_the_background)
{
    use_mode(GARI_MODE_BACKGROUND);
    struct node *ring = new_ring(&event_type, 3);
    watch(ring);
    gari_decref(ring);
    cr_assert(wait_until(all_noted, &(size_t){10}, 20));
    cr_assert(strncmp(events, "fffddd", 6) == 0, "events are \"%s\"", events);
    cr_assert(strchr(events, 'c') > strchr(events, 'd'));
    unwatch();
    assert_nothing_left();
}

/* ---- Several objects ---------------------------------------------------------------------- */

Test(phases, take_what_hangs_from_a_cycle_along_with_it)
{
    use_manual_mode();
    struct node *ring = new_ring(&event_type, 2);
    struct node *tail = new_node(&event_type, 9);
    watch(tail);
    gari_move(&ring->any, tail);
    gari_decref(ring);
    assert_equal(gari_collect(2), 3);
    cr_assert(strncmp(events, "fffddd", 6) == 0, "events are \"%s\"", events);
    unwatch();
    assert_nothing_left();
}
