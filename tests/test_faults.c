/* Whatever gari asks the system for may be refused, at any moment (concurrency/fault.h): every scenario
 * runs with the nth request failing, for n = 1, 2, 3, ... until none fails; with all failing from the nth
 * on; and with two that fail. After each the heap is looked at, used again, and found empty at the end.
 *
 * Most walks take longer and longer steps; with EVERY_REQUEST in the environment none does.
 *
 * Each run has a process of its own, in which nothing of the library has been set up before; but under
 * ThreadSanitizer, which refuses threads to such a process. */
#include "tests/support_faults.h"

#include "concurrency/fault.h"

#include <errno.h>

TestSuite(faults, .timeout = 300);

static void objects_and_cycles(void)
{
    gari_decref(try_ring(&watched_type, 3));
    struct node *a = try_node(&watched_type, 1), *b = try_node(&watched_type, 2);
    if (a && b) {
        gari_store(&a->next, b);
        gari_decref(gari_exchange(&a->prev, gari_incref(b)));
        gari_move(&b->next, gari_take(&a->prev));
        check(!gari_compare_exchange(&a->next, NULL, NULL));
        check(gari_getrefcount(b) == 3 && gari_getrefcount(a) == 1);
    }
    gari_collect(0);
    gari_decref(a);
    struct vec *vec = gari_new_items(&vec_type, 50000); /* a mapping of its own */
    if (vec)
        gari_store(&vec->items[49999], vec);
    gari_decref(vec);
    struct text *text = gari_new_items(&text_type, 100);
    check(!text || text->length == 100);
    gari_decref(text);
    gari_decref(b);
    gari_decref(try_ring(&watched_type, 3000));
    gari_collect(1);
    gari_decref(try_ring(&node_type, 30));
    for (int i = 0; i < 5; i++)
        gari_step(1000);
    gari_collect(2);
}

static GARI_ROOT(struct node) root;

static void *use_in_thread(void *arg)
{
    gari_read_begin();
    struct node *borrowed = gari_borrow(&root);
    check(!borrowed || borrowed->value == 77);
    gari_read_end();
    gari_decref((struct node *)arg);
    gari_decref(try_ring(&watched_type, 5));
    gari_move(&root, try_node(&watched_type, 77));
    return NULL;
}

static void threads(void)
{
    for (int i = 0; i < 3; i++) {
        struct node *node = try_node(&watched_type, 0);
        pthread_t one = start_thread(use_in_thread, node);
        pthread_t other = start_thread(use_in_thread, NULL);
        gari_collect(i % 3);
        join_thread(one);
        join_thread(other);
    }
    gari_store(&root, NULL);
    gari_collect(2);
}

static void count_call(void *arg)
{
    (void)arg;
    atomic_fetch_add(&tally.called, 1);
}

static void weak_references(void)
{
    gari_set_finalizers(GARI_FINALIZERS_QUEUED, NULL, NULL);
    struct node *ring = try_ring(&watched_type, 5), *lone = try_node(&watched_type, 9);
    gari_weakref *weak[4] = {0};
    for (int i = 0; i < 4; i++) {
        struct node *node = i % 2 ? lone : ring;
        weak[i] = node ? gari_weakref_new(node, i < 2 ? count_call : NULL, NULL) : NULL;
        atomic_fetch_add(&tally.owed_calls, weak[i] && i < 2);
        struct node *got = weak[i] ? gari_weakref_get(weak[i]) : NULL;
        check(!weak[i] || got == node);
        gari_decref(got);
    }
    if (ring) /* goes with what it refers to, and does not call */
        gari_move(&ring->any, gari_weakref_new(ring, count_call, NULL));
    gari_finalize *finalize = lone ? gari_finalize_new(lone, count_call, NULL) : NULL;
    atomic_fetch_add(&tally.owed_calls, finalize != NULL);
    gari_finalize *given_up = ring ? gari_finalize_new(ring, count_call, NULL) : NULL;
    check(!given_up || gari_finalize_detach(given_up));
    gari_decref(given_up);
    gari_decref(finalize);
    gari_decref(lone);
    gari_decref(ring);
    gari_collect(2);
    for (int i = 0; i < 4; i++) {
        struct node *got = weak[i] ? gari_weakref_get(weak[i]) : NULL;
        check(!got || (i % 2 == 0 && got == ring)); /* it may live on for want of memory */
        gari_decref(got);
    }
    gari_collect(2);
    /* Those that have not called yet must not be dropped before. */
    gari__faults_arm(NULL);
    gari_collect(2);
    gari_run_finalizers(100);
    for (int i = 0; i < 4; i++) {
        check(!weak[i] || !gari_weakref_get(weak[i]));
        gari_decref(weak[i]);
    }
    gari_set_finalizers(GARI_FINALIZERS_THREAD, NULL, NULL);
}

static void finalizers(void)
{
    gari_decref(try_node(&final_type, 0));
    gari_decref(try_ring(&final_type, 2));
    gari_decref(try_ring(&final_type, 5));
    gari_collect(2);
    gari_decref(try_ring(&watched_type, 3));
    gari_collect(2);
    for (int i = 0; i < 3; i++)
        gari_step(1000);
    drop_brought_back();
    gari_collect(2);
}

static void note_collection(const gari_collection *collection, void *arg)
{
    check(collection->generation >= 0 && arg == &tally.made);
    gari_decref(try_node(&watched_type, 1));
}

static const gari_type stuck_type = GARI_TYPE(
    struct node, .refs = GARI_REFS(struct node, next, prev, any), .flags = GARI_TYPE_NO_CLEAR);

static void take_apart(gari_objects *objects)
{
    for (size_t i = 0; i < objects->count; i++) {
        struct node *node = (struct node *)(void *)objects->items[i];
        gari_store(&node->next, NULL);
        gari_store(&node->prev, NULL);
    }
}

static void inspection(void)
{
    bool told = gari_callback_add(note_collection, &tally.made) == 0;
    struct node *ring = try_ring(&watched_type, 10);
    gari_objects objects;
    int error = gari_get_objects(GARI_ALL, &objects);
    check(error != 0 || !ring || objects.count > 0);
    bool attached = error != EBUSY; /* there was memory for the thread's record */
    check(!attached || error == 0 || error == ENOMEM);
    gari_objects_release(&objects);
    if (ring && attached) {
        size_t held = gari_getrefcount(ring) - 1;
        if (!refused(gari_get_referrers(ring, &objects)))
            check(objects.count <= held && objects.count > 0);
        gari_objects_release(&objects);
        if (!refused(gari_get_referents(ring, &objects)))
            check(objects.count == 2);
        gari_objects_release(&objects);
    }
    gari_freeze();
    gari_collect(2);
    gari_unfreeze();
    gari_decref(ring);
    gari_set_debug(GARI_DEBUG_SAVEALL);
    gari_collect(2);
    gari_set_debug(0);
    gari_garbage_clear();
    gari_decref(try_ring(&stuck_type, 4));
    gari_collect(2);
    if (!refused(gari_garbage_get(&objects)))
        take_apart(&objects);
    gari_objects_release(&objects);
    /* Should it have been listed only now, or not been shown: nothing else can take it apart. */
    gari__faults_arm(NULL);
    gari_collect(2);
    check(gari_garbage_get(&objects) == 0);
    take_apart(&objects);
    gari_objects_release(&objects);
    gari_garbage_clear();
    check(gari_callback_remove(note_collection, &tally.made) == told);
}

static void limits_and_defers(void)
{
    for (int i = 0; i < 10; i++)
        try_defer();
    gari_decref(try_ring(&watched_type, 2000));
    gari_set_memory_limit(stats_now().heap_bytes + (64 << 10));
    struct node *chain = NULL, *node;
    long length = 0;
    while (length < 10000 && (node = try_node(&watched_type, ++length)) != NULL) {
        gari_move(&node->next, chain);
        chain = node;
    }
    check(length < 10000);
    gari_set_memory_limit(0);
    gari_decref(chain);
    gari_collect(2);
}

static void shutdown_amid_it(void)
{
    gari_decref(try_ring(&watched_type, 100));
    gari_decref(try_ring(&final_type, 2));
    gari_shutdown(NULL, NULL); /* it may find objects left, which the next one frees */
    gari_decref(try_ring(&watched_type, 100));
}

WALK(faults, objects_and_cycles, 20)
WALK(faults, threads, 10)
WALK(faults, weak_references, 15)
WALK(faults, finalizers, 10)
WALK(faults, inspection, 15)
WALK(faults, limits_and_defers, 15)
WALK(faults, shutdown_amid_it, 10)
