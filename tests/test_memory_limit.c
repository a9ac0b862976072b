/* gari_set_memory_limit: NULL rather than pass it, but not before garbage has been collected. */
#include "tests/support.h"

#include <stdlib.h>

TestSuite(memory_limit, .timeout = 60);

enum { MEGABYTE = 1 << 20 };

/* Makes a chain as long as the limit allows. Returns the first, owned; its value is the length. */
static struct node *fill(void)
{
    struct node *first = NULL;
    for (;;) {
        struct node *node = gari_new(&node_type);
        if (!node)
            return first;
        node->value = first ? first->value + 1 : 1;
        check(node->value < 10000000);
        gari_init(&node->next, first);
        first = node;
    }
}

Test(memory_limit, makes_new_return_null)
{
    use_manual_mode();
    gari_set_memory_limit(8 * MEGABYTE);
    struct node *chain = fill();
    cr_assert(chain->value * (long)sizeof(struct node) > 4 * MEGABYTE, "only %ld objects fit",
              chain->value);
    cr_assert(gari_new(&node_type) == NULL);
    assert_at_most(stats_now().heap_bytes, 8 * MEGABYTE);
    assert_at_most(stats_now().heap_peak_bytes, 8 * MEGABYTE);
    gari_decref(chain);
    assert_nothing_left();
}

Test(memory_limit, from_the_configuration_works_too)
{
    gari_config config = GARI_CONFIG_INIT;
    config.mode = GARI_MODE_MANUAL;
    config.memory_limit = 8 * MEGABYTE;
    assert_equal(gari_configure(&config), 0);
    struct node *chain = fill();
    assert_at_most(stats_now().heap_peak_bytes, 8 * MEGABYTE);
    gari_decref(chain);
    assert_nothing_left();
}

Test(memory_limit, holds_for_large_objects)
{
    use_manual_mode();
    gari_set_memory_limit(8 * MEGABYTE);
    struct text *text = gari_new_items(&text_type, 5 * MEGABYTE);
    cr_assert(text != NULL);
    cr_assert(gari_new_items(&text_type, 5 * MEGABYTE) == NULL);
    cr_assert(gari_new_items(&text_type, 100 * MEGABYTE) == NULL);
    assert_at_most(stats_now().heap_peak_bytes, 8 * MEGABYTE);
    gari_decref(text);
    text = gari_new_items(&text_type, 5 * MEGABYTE);
    cr_assert(text != NULL, "the memory of the dead object was not used again");
    gari_decref(text);
    assert_nothing_left();
}

Test(memory_limit, lets_new_work_again_when_memory_was_dropped)
{
    use_manual_mode();
    gari_set_memory_limit(8 * MEGABYTE);
    struct node *chain = fill();
    long before = chain->value;
    gari_decref(chain);
    chain = fill();
    cr_assert(chain != NULL);
    cr_assert(chain->value > before - before / 10, "%ld objects fitted before, %ld now", before,
              chain->value);
    gari_decref(chain);
    assert_nothing_left();
}

Test(memory_limit, lets_new_work_again_when_it_is_raised_or_lifted)
{
    use_manual_mode();
    gari_set_memory_limit(4 * MEGABYTE);
    struct node *chain = fill();
    gari_set_memory_limit(8 * MEGABYTE);
    struct node *more = fill();
    cr_assert(more != NULL && more->value > 10000);
    gari_set_memory_limit(0);
    struct node *node = gari_new(&node_type);
    cr_assert(node != NULL);
    gari_decref(node);
    gari_decref(more);
    gari_decref(chain);
    assert_nothing_left();
}

static void check_that_garbage_makes_room(gari_mode mode)
{
    use_mode(mode);
    gari_disable(); /* only the limit starts collections */
    gari_set_memory_limit(8 * MEGABYTE);
    for (size_t i = 0; i < SCALED(1000000); i++) {
        struct node *a = gari_new(&node_type), *b = gari_new(&node_type);
        cr_assert(a != NULL && b != NULL, "NULL with nothing but garbage in the heap, at %zu", i);
        gari_store(&a->next, b);
        gari_store(&b->next, a);
        gari_decref(a);
        gari_decref(b);
    }
    assert_at_most(stats_now().heap_peak_bytes, 8 * MEGABYTE);
    if (!SANITIZED)
        cr_assert(stats_now().generation[2].collections > 0);
    assert_nothing_left();
}

Test(memory_limit, is_not_reached_by_cyclic_garbage)
{
    check_that_garbage_makes_room(GARI_MODE_MANUAL);
}

Test(memory_limit, is_not_reached_by_cyclic_garbage_in_the_background)
{
    check_that_garbage_makes_room(GARI_MODE_BACKGROUND);
}

Test(memory_limit, is_not_reached_by_cyclic_garbage_in_inline_mode)
{
    check_that_garbage_makes_room(GARI_MODE_INLINE);
}

Test(memory_limit, is_not_reached_by_objects_that_die_by_their_counts)
{
    use_manual_mode();
    gari_set_memory_limit(4 * MEGABYTE);
    for (size_t i = 0; i < SCALED(1000000); i++) {
        struct node *node = gari_new(&node_type);
        cr_assert(node != NULL, "NULL with an empty heap, at %zu", i);
        gari_decref(node);
    }
    for (size_t i = 0; i < 100; i++) {
        struct text *text = gari_new_items(&text_type, 3 * MEGABYTE);
        cr_assert(text != NULL, "NULL with an empty heap, at large object %zu", i);
        gari_decref(text);
    }
    assert_nothing_left();
}

Test(memory_limit, returns_null_inside_a_read_section_without_waiting)
{
    use_manual_mode();
    gari_set_memory_limit(4 * MEGABYTE);
    size_t made = 0;
    gari_read_begin();
    for (;; made++) { /* garbage alone, but nothing may be collected here */
        struct node *a = gari_new(&node_type);
        if (!a)
            break;
        gari_move(&a->next, a);
        check(made < 10000000);
    }
    cr_assert(gari_new(&node_type) == NULL);
    gari_read_end();
    cr_assert(made > 10000);
    struct node *node = gari_new(&node_type); /* and outside it makes room for itself */
    cr_assert(node != NULL);
    gari_decref(node);
    assert_nothing_left();
}

Test(memory_limit, returns_null_inside_a_read_section_in_the_background_too)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_set_memory_limit(4 * MEGABYTE);
    gari_read_begin();
    struct node *chain = fill();
    gari_read_end();
    cr_assert(chain != NULL && chain->value > 10000);
    gari_decref(chain);
    assert_nothing_left();
}

/* Whoever takes the dead apart at that moment, gari_new does not give up before it is done. */
static void check_that_a_dropped_structure_makes_room(gari_mode mode)
{
    use_mode(mode);
    gari_set_memory_limit(4 * MEGABYTE);
    struct node *chain = fill();
    long before = chain->value;
    for (size_t round = 0; round < (SANITIZED ? 4 : 200); round++) {
        gari_decref(chain); /* only begins to take it apart */
        chain = fill();
        cr_assert(chain && chain->value > before - before / 10,
                  "%ld objects fitted at first, %ld in round %zu", before, chain ? chain->value : 0,
                  round);
    }
    gari_decref(chain);
    assert_nothing_left();
}

Test(memory_limit, lets_new_have_the_memory_of_a_structure_that_has_just_been_dropped)
{
    check_that_a_dropped_structure_makes_room(GARI_MODE_MANUAL);
}

Test(memory_limit, lets_new_have_the_memory_of_a_structure_that_dies_in_the_background)
{
    check_that_a_dropped_structure_makes_room(GARI_MODE_BACKGROUND);
}

Test(memory_limit, lets_new_have_the_memory_of_a_structure_that_dies_in_inline_mode)
{
    check_that_a_dropped_structure_makes_room(GARI_MODE_INLINE);
}

enum { THREADS = 4 };

static void *make_and_drop_until_null(void *arg)
{
    size_t *nulls = arg;
    for (size_t i = 0; i < SCALED(100000); i++) {
        struct node *ring = NULL;
        for (int j = 0; j < 8; j++) {
            struct node *node = gari_new(&watched_type);
            if (!node) {
                ++*nulls;
                break;
            }
            gari_move(&node->next, ring);
            ring = node;
        }
        if (ring)
            gari_store(&ring->prev, ring);
        gari_decref(ring);
    }
    return NULL;
}

Test(memory_limit, is_shared_by_threads_that_make_garbage_at_once)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_set_memory_limit(16 * MEGABYTE);
    pthread_t thread[THREADS];
    size_t nulls[THREADS] = {0};
    for (int i = 0; i < THREADS; i++)
        thread[i] = start_thread(make_and_drop_until_null, &nulls[i]);
    for (int i = 0; i < THREADS; i++)
        join_thread(thread[i]);
    assert_at_most(stats_now().heap_peak_bytes, 16 * MEGABYTE);
    size_t all = nulls[0] + nulls[1] + nulls[2] + nulls[3];
    cr_assert(all < SCALED(100000) / 10, "%zu of %zu allocations failed", all,
              THREADS * SCALED(100000) * 8);
    assert_nothing_left();
    assert_equal(disposed_count(), reclaimed_count());
}
