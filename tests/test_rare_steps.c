/* Steps that are seconds apart: the looks at the words come too late, and the proof begins anew. */
#include "tests/clocks.h"
#include "tests/support.h"

TestSuite(rare_steps, .timeout = 60);

enum { LENGTH = 2000, SECOND = 1000000000 };

static uint64_t ahead;

static uint64_t later(void)
{
    return system_clock(CLOCK_MONOTONIC) + ahead;
}

static void use_late_clock(void)
{
    ahead = 0;
    answer_clock(CLOCK_MONOTONIC, later);
    use_manual_mode();
}

static struct node *saved;
static bool finalized;

/* Keeps what the last element of a long array refers to. */
static void save_last(void *self)
{
    struct node *node = self;
    gari_read_begin();
    struct vec *vec = gari_borrow(&node->any);
    saved = gari_load(&vec->items[LENGTH - 1]);
    gari_read_end();
    finalized = true;
}

static const gari_type saving_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = save_last);

/* The array is a member, V2 is in the middle of it when the clock jumps, and what it refers to last has one
 * reference from there and one from outside. */
static void jump_after(int steps)
{
    finalized = false;
    long disposed = disposed_count();
    struct vec *vec = new_vec(LENGTH);
    struct node *first = new_node(&saving_type, 0), *last = new_node(&watched_type, 1);
    gari_init(&first->any, gari_incref(vec));
    gari_init(&last->any, gari_incref(vec));
    gari_init(&vec->items[0], first);
    gari_init(&vec->items[LENGTH - 1], last);
    gari_decref(vec);
    for (int i = 1; i <= 2000 && !finalized; i++) {
        gari_step(100);
        if (i % 50 == 0)
            ahead += SECOND;
    }
    check(finalized);
    for (int i = 0; i < steps; i++)
        gari_step(100);
    ahead += 5 * (uint64_t)SECOND;
    for (int i = 0; i < 200; i++)
        gari_step(100);
    assert_equal(disposed_count(), disposed);
    assert_equal(gari_getrefcount(saved), 2);
    gari_decref(saved);
    gari_collect(2);
    settle();
    assert_equal(disposed_count(), disposed + 1);
}

Test(rare_steps, in_the_middle_of_an_array_count_no_reference_twice)
{
    use_late_clock();
    for (int steps = 0; steps < 30; steps++)
        jump_after(steps);
    assert_nothing_left();
}

Test(rare_steps, come_to_an_end)
{
    use_late_clock();
    make_garbage_ring(&watched_type, 3);
    for (int i = 0; i < 20 && disposed_count() < 3; i++) {
        gari_step(100000);
        ahead += 5 * (uint64_t)SECOND;
    }
    assert_equal(disposed_count(), 3);
    assert_nothing_left();
}
