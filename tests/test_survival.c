/* What can still be reached survives collections of any generation; what cannot is freed. Random
 * graphs, compared with a shadow of them in plain memory. */
#include "tests/support.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

TestSuite(survival, .timeout = 120);

enum { IDS = 3000, DEGREE = 4, ROOTS = 10 };

struct vertex {
    gari_object header;
    long id;
    long check;
    gari_ref edge[DEGREE];
};

static void traverse_vertex(void *self, gari_visit visit, void *arg)
{
    struct vertex *vertex = self;
    for (int i = 0; i < DEGREE; i++)
        GARI_VISIT(&vertex->edge[i], visit, arg);
}

static atomic_bool alive[IDS]; /* dispose may run on any thread */

static void dispose_vertex(void *self)
{
    struct vertex *vertex = self;
    check(vertex->check == ~vertex->id);
    check(alive[vertex->id]);
    alive[vertex->id] = false;
}

static const gari_type vertex_type =
    GARI_TYPE(struct vertex, .traverse = traverse_vertex, .dispose = dispose_vertex);

/* The shadow: the id that each edge and each root refers to, -1 for none. */
static int shadow_edge[IDS][DEGREE];
static int shadow_root[ROOTS];
static bool reachable[IDS];
static int next_id;

static GARI_ROOT(struct vertex) root[ROOTS];

static struct vertex *new_vertex(void)
{
    struct vertex *vertex = gari_new(&vertex_type);
    check(vertex != NULL);
    vertex->id = next_id++;
    vertex->check = ~vertex->id;
    alive[vertex->id] = true;
    memset(shadow_edge[vertex->id], -1, sizeof shadow_edge[0]);
    return vertex;
}

/* Reached by a random walk from a random root; owned, or NULL. */
static struct vertex *random_vertex(uint64_t *random)
{
    struct vertex *vertex = gari_load(&root[next_random(random) % ROOTS]);
    size_t steps = next_random(random) % 12;
    while (vertex && steps-- > 0) {
        struct vertex *next = gari_load(&vertex->edge[next_random(random) % DEGREE]);
        if (!next)
            break;
        gari_decref(vertex);
        vertex = next;
    }
    return vertex;
}

static void find_reachable(void)
{
    static int stack[IDS * DEGREE + ROOTS];
    int top = 0;
    memset(reachable, 0, sizeof reachable);
    for (int i = 0; i < ROOTS; i++)
        if (shadow_root[i] >= 0)
            stack[top++] = shadow_root[i];
    while (top > 0) {
        int id = stack[--top];
        if (reachable[id])
            continue;
        reachable[id] = true;
        for (int i = 0; i < DEGREE; i++)
            if (shadow_edge[id][i] >= 0 && !reachable[shadow_edge[id][i]])
                stack[top++] = shadow_edge[id][i];
    }
}

static void compare_with_shadow(bool garbage_is_gone)
{
    find_reachable();
    for (int id = 0; id < next_id; id++) {
        if (reachable[id])
            cr_assert(alive[id], "vertex %d was freed while it could be reached", id);
        else if (garbage_is_gone)
            cr_assert(!alive[id], "vertex %d is garbage and was not freed", id);
    }
    /* The real graph has the same edges, as far as it can be walked. */
    static struct vertex *found[IDS];
    static int stack[IDS * DEGREE + ROOTS];
    int top = 0;
    memset(found, 0, sizeof found);
    gari_read_begin();
    for (int i = 0; i < ROOTS; i++) {
        struct vertex *vertex = gari_borrow(&root[i]);
        cr_assert((vertex ? vertex->id : -1) == shadow_root[i]);
        if (vertex && !found[vertex->id]) {
            found[vertex->id] = vertex;
            stack[top++] = (int)vertex->id;
        }
    }
    while (top > 0) {
        struct vertex *vertex = found[stack[--top]];
        check(vertex->check == ~vertex->id && gari_getrefcount(vertex) > 0);
        for (int i = 0; i < DEGREE; i++) {
            struct vertex *to = gari_borrow(&vertex->edge[i]);
            check((to ? to->id : -1) == shadow_edge[vertex->id][i]);
            if (to && !found[to->id]) {
                found[to->id] = to;
                stack[top++] = (int)to->id;
            }
        }
    }
    gari_read_end();
    for (int id = 0; id < next_id; id++)
        check((found[id] != NULL) == reachable[id]);
}

static void change_the_graph(uint64_t *random)
{
    size_t which_root = next_random(random) % ROOTS, which = next_random(random) % DEGREE;
    struct vertex *from = random_vertex(random), *to = random_vertex(random);
    switch (next_random(random) % 10) {
    case 0: /* a new root, which may let much go */
    case 1:
        gari_store(&root[which_root], to);
        shadow_root[which_root] = to ? (int)to->id : -1;
        break;
    case 2:
        if (next_random(random) % 4 == 0) {
            gari_store(&root[which_root], NULL);
            shadow_root[which_root] = -1;
        }
        break;
    case 3:
        if (from) {
            gari_store(&from->edge[which], NULL);
            shadow_edge[from->id][which] = -1;
        }
        break;
    case 4:
    case 5:
        if (from) {
            gari_store(&from->edge[which], to);
            shadow_edge[from->id][which] = to ? (int)to->id : -1;
        }
        break;
    default:
        if (next_id < IDS) {
            struct vertex *vertex = new_vertex();
            if (to && next_random(random) % 2) {
                size_t back = next_random(random) % DEGREE;
                gari_store(&vertex->edge[back], to);
                shadow_edge[vertex->id][back] = (int)to->id;
            }
            if (from) {
                shadow_edge[from->id][which] = (int)vertex->id;
                gari_move(&from->edge[which], vertex);
            } else {
                shadow_root[which_root] = (int)vertex->id;
                gari_move(&root[which_root], vertex);
            }
        }
    }
    gari_decref(from);
    gari_decref(to);
}

static void check_random_graph(gari_mode mode, uint64_t seed)
{
    use_mode(mode);
    next_id = 0;
    memset(shadow_root, -1, sizeof shadow_root);
    uint64_t random = seed;
    while (next_id < IDS) {
        for (size_t i = next_random(&random) % 200; i > 0; i--)
            change_the_graph(&random);
        int generation = (int)(next_random(&random) % 3);
        gari_collect(generation);
        if (mode == GARI_MODE_MANUAL)
            finish_pending();
        compare_with_shadow(generation == 2 && mode == GARI_MODE_MANUAL);
    }
    gari_collect(2);
    finish_pending();
    compare_with_shadow(mode == GARI_MODE_MANUAL);
    for (int i = 0; i < ROOTS; i++) {
        gari_store(&root[i], NULL);
        shadow_root[i] = -1;
    }
    assert_nothing_left();
    compare_with_shadow(true);
}

Test(survival, a_random_graph_loses_exactly_what_cannot_be_reached)
{
    for (uint64_t seed = 1; seed <= SCALED(20) + 1; seed++)
        check_random_graph(GARI_MODE_MANUAL, seed * UINT64_C(0x9E3779B97F4A7C15));
}

Test(survival, a_random_graph_is_intact_in_inline_mode)
{
    for (uint64_t seed = 1; seed <= SCALED(20) + 1; seed++)
        check_random_graph(GARI_MODE_INLINE, seed * UINT64_C(0xD1B54A32D192ED03));
}

Test(survival, a_random_graph_is_intact_beside_the_background_collector)
{
    for (uint64_t seed = 1; seed <= SCALED(20) + 1; seed++)
        check_random_graph(GARI_MODE_BACKGROUND, seed * UINT64_C(0xC2B2AE3D27D4EB4F));
}

Test(survival, a_large_live_tree_survives_collections_of_every_generation)
{
    use_manual_mode();
    /* A complete binary tree with links to the parents: one big cycle. */
    const size_t size = SCALED(200000);
    struct node **node = malloc(size * sizeof *node);
    for (size_t i = 0; i < size; i++) {
        node[i] = new_node(&watched_type, (long)i);
        if (i > 0) {
            struct node *parent = node[(i - 1) / 2];
            if (i % 2)
                gari_store(&parent->next, node[i]);
            else
                gari_store(&parent->prev, node[i]);
            gari_store(&node[i]->any, parent);
        }
    }
    for (size_t i = 1; i < size; i++)
        gari_decref(node[i]); /* only the tree holds them; all are candidates */
    for (int round = 0; round < 6; round++)
        assert_equal(gari_collect(round % 3), 0);
    for (size_t i = 0; i < size; i++)
        check(node[i]->value == (long)i && gari_getrefcount(node[i]) > 0);
    gari_decref(node[0]);
    assert_equal(gari_collect(2), size);
    free(node);
    assert_nothing_left();
}

Test(survival, a_ring_held_from_outside_survives_and_dies_after_its_release)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 100);
    for (int round = 0; round < 9; round++) {
        gari_decref(gari_incref(ring));
        assert_equal(gari_collect(round % 3), 0);
    }
    assert_equal(ring_length(ring), 100);
    gari_decref(ring);
    assert_equal(gari_collect(2), 100);
    assert_nothing_left();
}

/* A ring whose one outside reference wanders from field to field while collections run. */
static GARI_ROOT(struct node) here, there;
static atomic_bool done;

static void *wander(void *arg)
{
    struct node *outpost = arg;
    for (size_t i = 0; i < SCALED(400000); i++) {
        gari_move(&there, gari_take(&here));
        gari_move(&outpost->next, gari_take(&there));
        gari_move(&here, gari_take(&outpost->next));
        struct node *held = gari_load(&here);
        gari_store(&here, NULL);
        check(held->value == 0);
        gari_move(&here, held);
    }
    atomic_store(&done, true);
    return NULL;
}

Test(survival, a_reference_that_wanders_while_collections_run_is_never_overlooked)
{
    use_manual_mode();
    struct node *outpost = new_node(&node_type, 0);
    gari_move(&here, new_ring(&watched_type, 20));
    pthread_t thread = start_thread(wander, outpost);
    for (unsigned i = 0; !atomic_load(&done); i++)
        assert_equal(gari_collect((int)(i % 3)), 0);
    join_thread(thread);
    assert_equal(gari_collect(2), 0);
    cr_assert(stats_now().generation[2].candidates > 0);
    assert_equal(disposed_count(), 0);
    gari_read_begin();
    assert_equal(ring_length(gari_borrow(&here)), 20);
    gari_read_end();
    gari_decref(outpost);
    gari_store(&here, NULL);
    assert_equal(gari_collect(2), 20);
    assert_nothing_left();
}

/* Of two references to an array one is always outside and one in the array itself, at either end by
 * turns: a collection that looks at one end before and at the other end after sees both inside. */
static void *change_places(void *arg)
{
    struct vec *outside = arg;
    gari_ref *first = &outside->items[0], *last = &outside->items[outside->length - 1];
    for (size_t i = 0; i < SCALED(400000); i++) {
        struct vec *taken = gari_take(first);
        check(taken == outside);
        gari_move(last, outside);
        taken = gari_take(last);
        check(taken == outside);
        gari_move(first, outside);
    }
    atomic_store(&done, true);
    return NULL;
}

Test(survival, a_reference_that_changes_places_with_an_inner_one_is_never_overlooked)
{
    use_manual_mode();
    struct vec *vec = new_vec(2000);
    gari_store(&vec->items[0], vec);
    for (size_t i = 1; i < 1999; i++)
        gari_store(&vec->items[i], vec);
    pthread_t thread = start_thread(change_places, vec);
    for (unsigned i = 0; !atomic_load(&done); i++)
        assert_equal(gari_collect((int)(i % 3)), 0);
    join_thread(thread);
    assert_equal(gari_collect(2), 0);
    cr_assert(stats_now().generation[2].candidates > 0);
    assert_equal(gari_getrefcount(vec), 2000);
    gari_decref(vec);
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
}
