/* Out of memory in the middle of weak references and finalizers: calls say so, or a collection leaves
 * its garbage for a later one; nothing is finalized twice, and nothing is lost. */
#include "tests/support.h"

#include "concurrency/fault.h"

#include <errno.h>
#include <stdatomic.h>

TestSuite(weak_memory, .timeout = 300);

static atomic_long finalized, called, died, made;

static void finalize(void *self)
{
    struct node *node = self;
    check(node->value == 1);
    node->value = 2;
    atomic_fetch_add(&finalized, 1);
}

static void dispose(void *self)
{
    check(((struct node *)self)->value == 2);
    atomic_fetch_add(&died, 1);
}

static void call(void *arg)
{
    (void)arg;
    atomic_fetch_add(&called, 1);
}

static const gari_type type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = finalize,
              .dispose = dispose);

static struct node *try_ring(size_t length)
{
    struct node *first = gari_new(&type);
    if (!first)
        return NULL;
    first->value = 1;
    atomic_fetch_add(&made, 1);
    struct node *last = gari_incref(first);
    for (size_t i = 1; i < length; i++) {
        struct node *node = gari_new(&type);
        if (!node)
            break;
        node->value = 1;
        atomic_fetch_add(&made, 1);
        gari_store(&last->next, node);
        gari_decref(last);
        last = node;
    }
    gari_store(&last->next, first);
    gari_decref(last);
    return first;
}

/* Returns how often it has asked for memory. */
static long try_everything(void)
{
    struct node *ring = try_ring(30), *other = try_ring(1);
    gari_weakmap *map = gari_weakmap_new();
    gari_weakset *set = gari_weakset_new();
    gari_weakref *a = NULL, *b = NULL;
    gari_finalize *f = NULL;
    if (ring) {
        a = gari_weakref_new(ring, call, NULL);
        b = gari_weakref_new(ring, NULL, NULL);
        f = gari_finalize_new(ring, call, NULL);
        for (long i = 0; map && i < 20; i++) {
            int error = gari_weakmap_set(map, &i, sizeof i, ring);
            check(error == 0 || error == ENOMEM);
            struct node *found = gari_weakmap_get(map, &i, sizeof i);
            check((found != NULL) == (error == 0));
            gari_decref(found);
        }
        if (set && gari_weakset_add(set, ring) == 0)
            check(gari_weakset_contains(set, ring));
        if (other && map) {
            struct node *found = gari_weakmap_setdefault(map, "o", 1, other);
            check(found == NULL || found == other);
            gari_decref(found);
        }
    }
    long fine = a != NULL, finalizers = f != NULL, before = atomic_load(&called);
    gari_decref(ring);
    gari_decref(other);
    gari_collect(2);
    gari_run_finalizers(100);
    long calls = gari__faults_counted();
    fail_from(0);
    gari_collect(2);
    gari_collect(2);
    check(atomic_load(&called) == before + fine + finalizers);
    check(atomic_load(&finalized) == atomic_load(&made));
    check(atomic_load(&died) == atomic_load(&made));
    if (a)
        check(gari_weakref_get(a) == NULL);
    if (b)
        check(gari_weakref_get(b) == NULL);
    gari_decref(a);
    gari_decref(b);
    gari_decref(f);
    gari_decref(map);
    gari_decref(set);
    return calls;
}

/* Returns whether the scenario ran without a failure. */
static bool run_with_failure_at(long n)
{
    use_manual_mode();
    fail_from(n);
    bool complete = try_everything() < n;
    assert_nothing_left();
    return complete;
}

Test(weak_memory, at_any_acquisition_is_survived)
{
    long n = 1;
    while (!run_with_failure_at(n)) {
        cr_assert(n < 1000000, "the scenario never completes");
        n += SANITIZED ? 1 + n / 8 : 1;
    }
    cr_assert(n > 10, "only %ld acquisitions of memory: the scenario tests nothing", n);
}
