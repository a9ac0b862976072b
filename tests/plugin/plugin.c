/* A plug-in: a shared library with a type of its own, whose callbacks are its code. */
#include "tests/plugin/plugin.h"

struct thing {
    gari_object header;
    GARI_REF(struct thing) next;
};

static long *counts;

static void dispose(void *self)
{
    (void)self;
    __atomic_fetch_add(&counts[0], 1, __ATOMIC_RELAXED);
}

static void reclaim(void *self)
{
    (void)self;
    __atomic_fetch_add(&counts[1], 1, __ATOMIC_RELAXED);
}

static void traverse(void *self, gari_visit visit, void *arg)
{
    struct thing *thing = self;
    GARI_VISIT(&thing->next, visit, arg);
}

static const gari_type thing_type =
    GARI_TYPE(struct thing, .traverse = traverse, .dispose = dispose, .reclaim = reclaim);

static gari_object *make(void)
{
    struct thing *a = gari_new(&thing_type), *b = gari_new(&thing_type);
    if (!a || !b)
        return NULL;
    gari_store(&a->next, b);
    gari_move(&b->next, gari_incref(a));
    gari_decref(b);
    return (gari_object *)a;
}

static void count_in(long count[2])
{
    counts = count;
}

extern const struct plugin plugin;
__attribute__((visibility("default"))) const struct plugin plugin = {&thing_type, make, count_in};
