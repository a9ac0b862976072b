/* The background thread does not sleep for good beside what somebody else's turn at the collector has left:
 * whoever had it reminds the thread (gari__worker_remind), and the thread looks before it sleeps. */
#include "concurrency/atomics.h"
#include "lib/collector/collector.h"
#include "lib/collector/crowd.h"
#include "lib/collector/seeds.h"
#include "lib/object/candidate.h"
#include "lib/object/self.h"
#include "tests/clocks.h"
#include "tests/support.h"

TestSuite(reminders, .timeout = 120);

#define SECONDS 60
/* More than a slice gets through. */
#define LENGTH ((size_t)1000)

static bool sleeps(void *unused)
{
    (void)unused;
    return gari__load_seq_cst(&gari__collector_asleep);
}

static bool all_gone(void *live)
{
    return stats_now().objects_live == *(size_t *)live;
}

static bool open(void)
{
    return gari__load_seq_cst(&gari__collector.open);
}

/* Nothing is collected by itself until gari_enable. */
static void begin(void)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_disable();
    gari_decref(new_leaf(1));
    cr_assert(wait_until(sleeps, NULL, SECONDS));
}

static void end(void)
{
    size_t live = 0;
    cr_assert(wait_until(all_gone, &live, SECONDS), "nobody goes on with it");
    assert_nothing_left();
}

/* As if between the thread's last look and its sleep: it does not hear of the candidate. */
static void drop_unheard(struct node *ring)
{
    cr_assert(wait_until(sleeps, NULL, SECONDS));
    gari__store_relaxed(&gari__collector_asleep, false);
    gari_decref(ring);
    gari__store_relaxed(&gari__collector_asleep, true);
    cr_assert(gari__candidates_any());
}

/* Of generation 2. */
static struct node *old_ring(void)
{
    struct node *ring = new_still_ring(&node_type, LENGTH);
    gari_collect(2);
    assert_equal(gari_generation(ring), 2);
    return ring;
}

Test(reminders, come_with_a_step_that_leaves_a_pass_open)
{
    begin();
    struct node *ring = old_ring();
    drop_unheard(ring);
    gari_enable();
    cr_assert(gari_step(1));
    end();
}

/* It takes the candidate over from the block's list, and leaves it to an older collection. */
Test(reminders, come_with_a_collection_that_leaves_candidates)
{
    begin();
    struct node *ring = old_ring();
    drop_unheard(ring);
    gari_enable();
    assert_equal(gari_collect(0), 0);
    cr_assert(!gari__candidates_any());
    end();
}

static bool crowded(void *unused)
{
    (void)unused;
    return gari__crowded();
}

static uint64_t young_collections(void)
{
    return stats_now().generation[0].collections;
}

/* In a crowd whoever allocates does the slices, and wakes nobody for them. */
Test(reminders, come_with_a_slice_of_a_thread_that_allocates)
{
    fill_all_processors();
    begin();
    /* For which the thread wakes now and then, and sees the crowd. */
    make_garbage_ring(&node_type, 2);
    cr_assert(wait_until(crowded, NULL, SECONDS));
    struct node *ring = old_ring();
    struct node *young = new_still_ring(&node_type, LENGTH);
    drop_unheard(young);
    gari_enable();
    uint64_t before = young_collections();
    struct node *made = new_node(&node_type, 0);
    for (int i = 1; i < 1000 && !open() && young_collections() == before; i++) {
        struct node *node = new_node(&node_type, i);
        gari_init(&node->next, made);
        made = node;
    }
    cr_assert(open() || young_collections() > before);
    size_t live = ring_length(ring) + (size_t)made->value + 1;
    cr_assert(wait_until(all_gone, &live, SECONDS), "nobody goes on with it");
    gari_decref(made);
    gari_decref(ring);
    end();
}

/* ---- Its own look ------------------------------------------------------------------------- */

static struct gate arrived = GATE_CLOSED, released = GATE_CLOSED;

/* Of the background thread, when it has seen that no pass is open or due. */
static void wait_for_release(void *self)
{
    (void)self;
    gate_open(&arrived);
    gate_wait(&released);
}

static const gari_type waiting_type = GARI_TYPE(struct leaf, .reclaim = wait_for_release);

Test(reminders, are_not_needed_by_who_has_not_yet_gone_to_sleep)
{
    begin();
    struct node *ring = old_ring();
    cr_assert(wait_until(sleeps, NULL, SECONDS));
    struct leaf *leaf = gari_new(&waiting_type);
    cr_assert(leaf != NULL);
    gari_decref(leaf);
    gate_wait(&arrived);
    gari_decref(ring);
    gari_enable();
    cr_assert(gari_step(1));
    cr_assert(open());
    cr_assert(!gari__candidates_any() && !gari__seeds_listed());
    cr_assert(!sleeps(NULL));
    gate_open(&released);
    end();
}
