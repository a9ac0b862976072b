/* gari_get_objects, gari_get_referrers, gari_get_referents. */
#include "tests/support.h"

#include <errno.h>
#include <stdatomic.h>

TestSuite(graph, .timeout = 120);

static size_t count_of(const gari_objects *objects, const void *object)
{
    size_t times = 0;
    for (size_t i = 0; i < objects->count; i++)
        times += objects->items[i] == object;
    return times;
}

static gari_objects objects_of(int generation)
{
    gari_objects objects;
    assert_equal(gari_get_objects(generation, &objects), 0);
    return objects;
}

/* ---- Objects ------------------------------------------------------------------------------ */

Test(graph, lists_all_tracked_objects_as_owned_references)
{
    use_manual_mode();
    struct node *ring = new_ring(&node_type, 3);
    struct leaf *leaf = new_leaf(0);
    struct vec *vec = new_vec(2);
    struct vec *huge = new_vec(100000);
    gari_objects objects = objects_of(GARI_ALL);
    assert_equal(objects.count, 5);
    assert_equal(count_of(&objects, ring), 1);
    assert_equal(count_of(&objects, vec), 1);
    assert_equal(count_of(&objects, huge), 1);
    assert_equal(count_of(&objects, leaf), 0); /* untracked */
    assert_equal(gari_getrefcount(vec), 2);
    gari_decref(vec); /* the list's reference keeps it */
    assert_equal(gari_getrefcount(vec), 1);
    gari_objects_release(&objects);
    assert_equal(objects.count, 0);
    objects = objects_of(GARI_ALL);
    assert_equal(objects.count, 4);
    gari_objects_release(&objects);
    gari_decref(ring);
    gari_decref(leaf);
    gari_decref(huge);
    assert_nothing_left();
}

Test(graph, lists_one_generation)
{
    use_manual_mode();
    struct node *old = new_node(&node_type, 0);
    gari_collect(2);
    gari_collect(2);
    struct node *middle = new_node(&node_type, 0);
    gari_collect(0);
    struct node *young = new_node(&node_type, 0);
    const struct node *expected[3] = {young, middle, old};
    for (int generation = 0; generation < 3; generation++) {
        gari_objects objects = objects_of(generation);
        assert_equal(objects.count, 1);
        cr_assert(objects.items[0] == (const gari_object *)expected[generation]);
        gari_objects_release(&objects);
    }
    gari_objects none = objects_of(GARI_PERMANENT);
    assert_equal(none.count, 0);
    gari_objects_release(&none);
    gari_decref(old);
    gari_decref(middle);
    gari_decref(young);
    assert_nothing_left();
}

Test(graph, keeps_garbage_from_being_collected_while_the_list_lasts)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, 10);
    gari_objects objects = objects_of(GARI_ALL);
    assert_equal(objects.count, 10);
    assert_equal(gari_collect(2), 0);
    gari_objects_release(&objects);
    assert_equal(gari_collect(2), 10);
    objects = objects_of(GARI_ALL);
    assert_equal(objects.count, 0);
    gari_objects_release(&objects);
    assert_nothing_left();
}

Test(graph, items_taken_out_of_the_list_are_kept)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, 3);
    gari_objects objects = objects_of(GARI_ALL);
    gari_object *mine = objects.items[1];
    objects.items[1] = NULL;
    gari_objects_release(&objects);
    assert_equal(gari_collect(2), 0);
    gari_decref(mine);
    assert_equal(gari_collect(2), 3);
    assert_nothing_left();
}

static void get_generation_7(void)
{
    gari_objects objects;
    gari_get_objects(7, &objects);
}

static void get_in_section(void)
{
    gari_objects objects;
    gari_read_begin();
    gari_get_objects(GARI_ALL, &objects);
}

Test(graph, refuses_a_generation_that_there_is_not)
{
    assert_mentions(fatal_sentence(get_generation_7), "gari_get_objects(7)");
}

Test(graph, refuses_a_read_section)
{
    assert_mentions(fatal_sentence(get_in_section), "read section");
}

static int error_in_dispose;

static void look_in_dispose(void *self)
{
    (void)self;
    gari_objects objects = {7, NULL};
    error_in_dispose = gari_get_objects(GARI_ALL, &objects);
    assert_equal(objects.count, 0);
    gari_objects_release(&objects);
}

static const gari_type looking_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next), .dispose = look_in_dispose);

Test(graph, says_busy_in_a_types_callback)
{
    use_manual_mode();
    gari_decref(new_node(&looking_type, 0));
    assert_equal(error_in_dispose, EBUSY);
    error_in_dispose = 0;
    make_garbage_ring(&looking_type, 1);
    gari_collect(2);
    assert_equal(error_in_dispose, EBUSY);
    assert_nothing_left();
}

/* ---- Referrers and referents -------------------------------------------------------------- */

Test(graph, finds_those_who_refer_to_an_object)
{
    use_manual_mode();
    struct leaf *target = new_leaf(0);
    struct node *a = new_node(&node_type, 0), *b = new_node(&node_type, 0);
    struct node *c = new_node(&node_type, 0);
    struct vec *vec = new_vec(100000);
    gari_store(&a->any, target);
    gari_store(&b->next, a);
    gari_store(&vec->items[99999], target);
    gari_objects objects;
    assert_equal(gari_get_referrers(target, &objects), 0);
    assert_equal(objects.count, 2);
    assert_equal(count_of(&objects, a), 1);
    assert_equal(count_of(&objects, vec), 1);
    gari_objects_release(&objects);
    gari_store(&c->next, c);
    gari_store(&c->prev, c);
    assert_equal(gari_get_referrers(c, &objects), 0);
    assert_equal(objects.count, 1); /* itself, once */
    assert_equal(gari_getrefcount(c), 4);
    gari_objects_release(&objects);
    assert_equal(gari_get_referrers(b, &objects), 0);
    assert_equal(objects.count, 0);
    gari_objects_release(&objects);
    gari_decref(target);
    gari_decref(a);
    gari_decref(b);
    gari_decref(c);
    gari_decref(vec);
    assert_nothing_left();
}

Test(graph, finds_what_an_object_refers_to)
{
    use_manual_mode();
    struct node *a = new_node(&node_type, 0);
    gari_objects objects;
    assert_equal(gari_get_referents(a, &objects), 0);
    assert_equal(objects.count, 0);
    gari_objects_release(&objects);
    struct leaf *leaf = new_leaf(0);
    gari_store(&a->next, a);
    gari_store(&a->prev, a);
    gari_move(&a->any, leaf);
    gari_read_begin(); /* may be called anywhere */
    assert_equal(gari_get_referents(a, &objects), 0);
    gari_read_end();
    assert_equal(objects.count, 3);
    assert_equal(count_of(&objects, a), 2);
    assert_equal(count_of(&objects, leaf), 1);
    gari_objects_release(&objects);
    struct vec *vec = new_vec(1000);
    for (size_t i = 0; i < 1000; i += 2)
        gari_store(&vec->items[i], a);
    assert_equal(gari_get_referents(vec, &objects), 0);
    assert_equal(objects.count, 500);
    gari_objects_release(&objects);
    gari_decref(vec);
    gari_decref(a);
    assert_nothing_left();
}

/* ---- At every step of a collection --------------------------------------------------------- */

/* What a walk finds between the proof's last look and the end of its commit is lost already: a list
 * must not show it, whatever step the collection has come to. */
static void check_that_what_is_found_lives(const gari_type *type)
{
    use_manual_mode();
    for (int steps = 0; steps < 200; steps++) {
        long before = disposed_count();
        make_garbage_ring(type, 8);
        for (int i = 0; i < steps; i++)
            gari_step(1);
        gari_objects objects = objects_of(GARI_ALL);
        cr_assert(objects.count == 0 || objects.count == 8);
        gari_collect(2);
        for (size_t i = 0; i < objects.count; i++)
            cr_assert(gari_getrefcount(objects.items[i]) == 2, "found after %d steps, and dead",
                      steps);
        if (objects.count)
            assert_equal(disposed_count(), before);
        gari_objects_release(&objects);
        gari_collect(2);
        assert_equal(stats_now().objects_live, 0);
    }
    assert_nothing_left();
}

Test(graph, shows_nothing_that_is_lost_at_any_step_of_a_collection)
{
    check_that_what_is_found_lives(&watched_type);
}

Test(graph, shows_nothing_that_is_lost_at_any_step_of_a_collection_without_callbacks)
{
    check_that_what_is_found_lives(&node_type);
}

/* ---- Beside others ------------------------------------------------------------------------ */

static atomic_bool stop;

static void *make_and_drop(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg + 1;
    struct node *kept[16] = {NULL};
    while (!atomic_load(&stop)) {
        size_t at = next_random(&seed) % 16;
        gari_decref(kept[at]);
        kept[at] = new_ring(&watched_type, 1 + next_random(&seed) % 20);
        if (kept[(at + 1) % 16])
            gari_store(&kept[at]->any, kept[(at + 1) % 16]);
    }
    for (int i = 0; i < 16; i++)
        gari_decref(kept[i]);
    return NULL;
}

static void *look(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg + 100;
    while (!atomic_load(&stop)) {
        gari_objects all, near;
        check(gari_get_objects(GARI_ALL, &all) == 0);
        for (int i = 0; i < 5 && all.count; i++) {
            gari_object *object = all.items[next_random(&seed) % all.count];
            check(gari_getrefcount(object) >= 1);
            check(gari_type_of(object) == &watched_type);
            check(gari_get_referents(object, &near) == 0);
            for (size_t k = 0; k < near.count; k++)
                check(gari_getrefcount(near.items[k]) >= 1);
            gari_objects_release(&near);
            if (i == 0) {
                check(gari_get_referrers(object, &near) == 0);
                gari_objects_release(&near);
            }
        }
        gari_objects_release(&all);
    }
    return NULL;
}

Test(graph, can_be_looked_at_by_several_while_others_create_and_drop)
{
    use_mode(GARI_MODE_BACKGROUND);
    pthread_t thread[4];
    for (long i = 0; i < 4; i++)
        thread[i] = start_thread(i % 2 ? look : make_and_drop, (void *)i);
    nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++)
        join_thread(thread[i]);
    long made = (long)stats_now().allocated;
    assert_nothing_left();
    assert_equal(disposed_count(), made);
}
