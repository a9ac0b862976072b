/* Steps that are seconds apart: the looks at the words come too late, and the proof begins anew. */
#include "lib/collector/collector.h"
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

static const struct gari__pass *const pass = &gari__collector.pass[GARI__OLD];

/* Brings a pass over a ring of garbage so far that V2 has begun, and lets the time pass after which the words are
 * looked at again. That look is begun. */
static void begin_look(void)
{
    use_late_clock();
    struct node *ring = new_still_ring(&watched_type, LENGTH);
    gari_collect(2);
    gari_decref(ring);
    while (pass->phase != GARI__V2)
        gari_step(100);
    assert_equal(pass->attempts, 0);
    ahead += SECOND + SECOND / 10;
    gari_step(100);
    cr_assert(pass->look > 0 && pass->look < LENGTH);
}

static void end_look(uint64_t rest)
{
    uint64_t member = pass->member;
    while (pass->phase == GARI__V2 && pass->look < LENGTH) {
        ahead += rest / (LENGTH / 100);
        gari_step(100);
        assert_at_most(pass->member, member); /* it comes before all else */
    }
}

static void end_pass(void)
{
    while (pass->phase != GARI__IDLE)
        gari_step(1000);
    assert_equal(disposed_count(), LENGTH);
    assert_nothing_left();
}

/* Between its first word and the last the version of one may have wrapped since V1. */
Test(rare_steps, begin_the_proof_anew_when_a_look_at_the_words_ends_too_late)
{
    begin_look();
    end_look(4 * (uint64_t)SECOND);
    assert_equal(pass->attempts, 1);
    assert_equal(pass->phase, GARI__V1);
    end_pass();
}

Test(rare_steps, go_on_with_the_proof_when_it_ends_in_time)
{
    begin_look();
    end_look(2 * (uint64_t)SECOND);
    assert_equal(pass->attempts, 0);
    assert_equal(pass->phase, GARI__V2);
    end_pass();
}
