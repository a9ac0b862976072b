/* gari_shutdown: ends the background, frees all garbage, tells what is left. */
#include "tests/support.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

TestSuite(shutdown, .timeout = 60);

struct left {
    size_t nodes, node_bytes, leaves, leaf_bytes, calls;
};

static void note(const gari_type *type, size_t objects, size_t bytes, void *arg)
{
    struct left *left = arg;
    left->calls++;
    if (type == &node_type) {
        left->nodes += objects;
        left->node_bytes += bytes;
    } else if (type == &leaf_type) {
        left->leaves += objects;
        left->leaf_bytes += bytes;
    } else {
        check_failed("none is left of this type", type->name, 0);
    }
}

Test(shutdown, of_an_unused_library_finds_nothing)
{
    struct left left = {0};
    assert_equal(gari_shutdown(note, &left), 0);
    assert_equal(left.calls, 0);
}

Test(shutdown, finds_nothing_when_everything_was_given_back)
{
    use_manual_mode();
    gari_decref(new_chain(&watched_type, 10));
    struct left left = {0};
    assert_equal(gari_shutdown(note, &left), 0);
    assert_equal(left.calls, 0);
    assert_equal(disposed_count(), 10);
    assert_equal(reclaimed_count(), 10);
}

static void check_that_garbage_is_freed(gari_mode mode)
{
    use_mode(mode);
    for (int i = 0; i < 1000; i++)
        make_garbage_ring(&watched_type, 3);
    gari_decref(new_chain(&watched_type, SCALED(100000)));
    assert_nothing_left();
    assert_equal(disposed_count(), 3000 + SCALED(100000));
    assert_equal(reclaimed_count(), 3000 + SCALED(100000));
}

Test(shutdown, frees_all_garbage)
{
    check_that_garbage_is_freed(GARI_MODE_MANUAL);
}

Test(shutdown, frees_all_garbage_in_the_background)
{
    check_that_garbage_is_freed(GARI_MODE_BACKGROUND);
}

Test(shutdown, frees_all_garbage_in_inline_mode)
{
    check_that_garbage_is_freed(GARI_MODE_INLINE);
}

static void make_more_garbage(void *self)
{
    struct node *node = self;
    if (node->value <= 0)
        return;
    struct node *next = new_node(gari_type_of(node), node->value - 1);
    gari_move(&next->next, next);
}

static const gari_type breeding_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .dispose = make_more_garbage);

Test(shutdown, frees_garbage_that_callbacks_make_meanwhile)
{
    use_manual_mode();
    struct node *node = new_node(&breeding_type, 5);
    gari_move(&node->next, node);
    assert_nothing_left();
}

/* What may not be taken apart and hangs from garbage is first listed by a collection of the shutdown's
 * own, and dies when that gives the list up. */

static const gari_type kept_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .flags = GARI_TYPE_NO_CLEAR);

/* A ring of garbage that refers to it; takes over the caller's reference. */
static void hang_from_garbage(struct node *kept)
{
    struct node *ring = new_ring(&watched_type, 2);
    gari_move(&ring->any, kept);
    gari_decref(ring);
}

static void count_call(void *calls)
{
    ++*(int *)calls;
}

Test(shutdown, calls_back_for_what_the_garbage_list_held_last)
{
    use_manual_mode();
    int called_back = 0, finalized = 0;
    struct node *kept = new_node(&kept_type, 0);
    gari_weakref *weak = gari_weakref_new(kept, count_call, &called_back);
    gari_finalize *handle = gari_finalize_new(kept, count_call, &finalized);
    gari_finalize_set_atexit(handle, false);
    hang_from_garbage(kept);
    assert_equal(gari_shutdown(NULL, NULL), 2); /* weak, handle */
    assert_equal(called_back, 1);
    assert_equal(finalized, 1);
    gari_decref(weak);
    gari_decref(handle);
    assert_nothing_left();
}

static void check_layers(int layers)
{
    use_manual_mode();
    struct node *kept = NULL;
    for (int i = 0; i < layers; i++) {
        struct node *above = new_node(&kept_type, i), *ring = new_ring(&watched_type, 2);
        if (kept)
            gari_move(&ring->any, kept);
        gari_move(&above->any, ring);
        kept = above;
    }
    hang_from_garbage(kept);
    assert_nothing_left();
    assert_equal(disposed_count(), 2 * layers + 2);
    assert_equal(reclaimed_count(), 2 * layers + 2);
}

Test(shutdown, frees_garbage_below_what_the_garbage_list_held)
{
    check_layers(1);
}

Test(shutdown, frees_garbage_below_many_that_the_garbage_list_held)
{
    check_layers(20);
}

static void drop_it(void *ring)
{
    gari_decref((struct node *)ring);
}

Test(shutdown, frees_garbage_that_a_callback_makes_of_what_the_garbage_list_held)
{
    use_manual_mode();
    struct node *kept = new_node(&kept_type, 0);
    gari_finalize *handle = gari_finalize_new(kept, drop_it, new_ring(&watched_type, 3));
    gari_finalize_set_atexit(handle, false);
    gari_decref(handle);
    hang_from_garbage(kept);
    assert_nothing_left();
    assert_equal(disposed_count(), 5);
}

static struct node *brought_back, *given_up;

static void come_back(void *self)
{
    if (brought_back)
        return;
    brought_back = self;
    gari_incref(brought_back);
    gari_decref(given_up);
}

static const gari_type returning_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = come_back);

Test(shutdown, frees_garbage_that_a_finalizer_makes_whose_object_lives_on)
{
    use_manual_mode();
    struct node *kept = new_node(&kept_type, 0), *back = new_ring(&returning_type, 2);
    given_up = new_ring(&watched_type, 3);
    gari_move(&kept->any, back);
    hang_from_garbage(kept);
    assert_equal(gari_shutdown(NULL, NULL), 2);
    assert_equal(disposed_count(), 5);
    gari_decref(brought_back);
    assert_nothing_left();
}

static const void *looked_at;

static void look_at_list(const gari_collection *collection, void *arg)
{
    (void)arg;
    gari_objects list;
    if (collection->phase != GARI_PHASE_STOP || gari_garbage_get(&list) != 0)
        return;
    if (list.count)
        looked_at = list.items[0];
    gari_objects_release(&list);
}

Test(shutdown, reports_its_collections_before_it_gives_the_garbage_list_up)
{
    use_manual_mode();
    struct node *kept = new_node(&kept_type, 0);
    hang_from_garbage(kept);
    assert_equal(gari_callback_add(look_at_list, NULL), 0);
    assert_nothing_left();
    cr_assert(looked_at == kept);
    cr_assert(gari_callback_remove(look_at_list, NULL));
}

Test(shutdown, tells_what_is_left_once_for_each_type)
{
    use_manual_mode();
    struct node *ring = new_ring(&node_type, 3);
    struct leaf *leaf[2] = {new_leaf(0), new_leaf(1)};
    make_garbage_ring(&watched_type, 5);
    struct left left = {0};
    assert_equal(gari_shutdown(note, &left), 5);
    assert_equal(left.calls, 2);
    assert_equal(left.nodes, 3);
    assert_equal(left.leaves, 2);
    cr_assert(left.node_bytes >= 3 * sizeof(struct node));
    cr_assert(left.leaf_bytes >= 2 * sizeof(struct leaf));
    assert_equal(disposed_count(), 5); /* the garbage */
    (void)ring;
    (void)leaf;
}

Test(shutdown, returns_the_number_of_objects_left_also_without_a_report)
{
    use_manual_mode();
    struct node *ring = new_ring(&node_type, 7);
    assert_equal(gari_shutdown(NULL, NULL), 7);
    (void)ring;
}

Test(shutdown, lets_the_library_be_used_again)
{
    for (int round = 1; round <= 20; round++) {
        struct node *live = new_ring(&watched_type, 10);
        make_garbage_ring(&watched_type, 10);
        gari_collect(2);
        assert_equal(disposed_count(), 20 * round - 10);
        gari_decref(live);
        assert_nothing_left();
        assert_equal(disposed_count(), 20 * round);
        assert_equal(reclaimed_count(), 20 * round);
    }
}

Test(shutdown, may_be_called_twice)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, 2);
    assert_nothing_left();
    assert_nothing_left();
}

/* Threads of this process whose names begin with "gari". */
static int gari_threads(void)
{
    int number = 0;
    DIR *directory = opendir("/proc/self/task");
    check(directory != NULL);
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file)
            continue;
        if (fgets(name, sizeof name, file) && strncmp(name, "gari", 4) == 0)
            number++;
        fclose(file);
    }
    closedir(directory);
    return number;
}

Test(shutdown, leaves_none_of_the_librarys_threads_behind)
{
    use_mode(GARI_MODE_BACKGROUND);
    for (int i = 0; i < 1000; i++)
        make_garbage_ring(&watched_type, 2);
    gari_collect(2);
    cr_assert(gari_threads() > 0, "no thread has a name that begins with \"gari\"");
    assert_nothing_left();
    assert_equal(gari_threads(), 0);
}

Test(shutdown, has_no_threads_to_end_in_manual_mode)
{
    use_manual_mode();
    make_garbage_ring(&watched_type, 2);
    gari_collect(2);
    assert_equal(gari_threads(), 0);
    assert_nothing_left();
}

static void *use_and_exit(void *arg)
{
    (void)arg;
    make_garbage_ring(&watched_type, 3);
    gari_decref(new_chain(&watched_type, 10));
    return NULL;
}

Test(shutdown, frees_what_threads_left_that_have_exited)
{
    use_manual_mode();
    for (int i = 0; i < 50; i++)
        join_thread(start_thread(use_and_exit, NULL));
    assert_nothing_left();
    assert_equal(disposed_count(), 650);
    assert_equal(reclaimed_count(), 650);
}

static struct gate attached = GATE_CLOSED, again = GATE_CLOSED;

static void *use_before_and_after(void *arg)
{
    use_and_exit(arg);
    gate_open(&attached);
    gate_wait(&again);
    use_and_exit(arg);
    return NULL;
}

Test(shutdown, lets_a_thread_that_was_attached_before_go_on_afterwards)
{
    use_manual_mode();
    pthread_t thread = start_thread(use_before_and_after, NULL);
    gate_wait(&attached);
    assert_nothing_left(); /* the thread makes no call meanwhile */
    assert_equal(disposed_count(), 13);
    gate_open(&again);
    join_thread(thread);
    assert_nothing_left();
    assert_equal(disposed_count(), 26);
    assert_equal(reclaimed_count(), 26);
}
