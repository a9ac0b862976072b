/* finalizers: finalizers that resurrect, under concurrency.
 *
 * Invariant: every object is finalized exactly once, before anything that it reaches is disposed of;
 * what a finalizer brings back lives, with all that it reaches, until it is dropped again; all else
 * dies. Threads make rings and trees of objects with finalizers and weak references and drop them; the
 * finalizers look at all partners, make garbage of their own, cut their rings or put themselves into a
 * table of the revived, from which other threads take them, link them with new ones and drop them.
 *
 * A violation looks like: an object finalized twice or never; a partner that is dead in a finalizer; a
 * revived object that is dead. */
#include "stress/shadow.h"

#define REVIVED 16
#define LONGEST 5u

struct thing;
typedef GARI_REF(struct thing) thing_ref;
struct thing {
    gari_object header;
    struct stress_tag tag;
    uint64_t finalized; /* atomically */
    uint64_t random;
    thing_ref next, other;
};

static uint64_t finalizations; /* atomically */
static GARI_ROOT(struct thing) revived[REVIVED];

static void finalize(void *self);

static void dispose(void *self)
{
    struct thing *thing = self;
    if (gari__load_relaxed(&thing->finalized) != 1)
        stress_fail("object %lx is disposed of after %lu finalizations",
                    (unsigned long)thing->tag.id, (unsigned long)thing->finalized);
    stress_tag_die(&thing->tag);
}

static const gari_type thing_type =
    GARI_TYPE(struct thing, .refs = GARI_REFS(struct thing, next, other), .finalize = finalize,
              .dispose = dispose);

static struct thing *make(uint64_t random)
{
    struct thing *thing = STRESS_NEW(&thing_type);
    stress_tag_bear(&thing->tag);
    thing->random = random;
    return thing;
}

static uint64_t count_untagged; /* atomically */

static void finalize(void *self)
{
    struct thing *thing = self;
    stress_tag_alive(&thing->tag, 0, "finalized");
    if (gari__fetch_add_acq_rel(&thing->finalized, 1) != 0)
        stress_fail("object %lx is finalized twice", (unsigned long)thing->tag.id);
    gari__fetch_add_relaxed(&finalizations, 1);
    struct thing *next = gari_load(&thing->next), *other = gari_load(&thing->other);
    if (next) {
        stress_tag_alive(&next->tag, 0, "partner in a finalizer");
        struct thing *far = gari_load(&next->next);
        if (far)
            stress_tag_alive(&far->tag, 0, "partner's partner in a finalizer");
        gari_decref(far);
    }
    if (other)
        stress_tag_alive(&other->tag, 0, "partner in a finalizer");
    gari_decref(next);
    gari_decref(other);
    uint64_t what = thing->random;
    if (what % 4 == 0)
        gari_store(&revived[what / 16 % REVIVED], thing);
    else if (what % 8 == 1)
        gari_store(&thing->next, NULL);
    else if (what % 16 == 2 && !other) {
        struct thing *more = make(1);
        gari_store(&more->next, thing);
        gari_move(&thing->other, more);
    }
}

static struct thing *make_ring(struct stress_worker *worker)
{
    struct thing *first = make(stress_random(worker)), *last = first;
    for (unsigned i = stress_below(worker, LONGEST); i > 0; i--) {
        struct thing *thing = make(stress_random(worker));
        gari_init(&last->next, thing);
        if (stress_once_in(worker, 2))
            gari_store(&thing->other, first);
        last = thing;
    }
    if (!stress_once_in(worker, 3))
        gari_store(&last->next, first);
    return first;
}

static void work(struct stress_worker *worker)
{
    if (worker->index == 0) {
        stress_collect(worker);
        return;
    }
    gari_weakref *weakref = NULL;
    while (stress_tick(worker)) {
        struct thing *ring = make_ring(worker);
        if (stress_once_in(worker, 2)) {
            gari_decref(weakref);
            weakref = stress_new(gari_weakref_new(ring, NULL, NULL));
            gari__fetch_add_relaxed(&count_untagged, 1);
        }
        thing_ref *place = (thing_ref *)&revived[stress_below(worker, REVIVED)];
        struct thing *back = gari_take(place);
        if (back) {
            stress_tag_alive(&back->tag, 0, "revived");
            gari_read_begin();
            struct thing *next = gari_borrow(&back->next);
            if (next)
                stress_tag_alive(&next->tag, 0, "reached by the revived");
            gari_read_end();
            if (stress_once_in(worker, 2))
                gari_store(&back->other, ring);
            gari_decref(back);
        }
        gari_decref(ring);
        stress_dawdle(worker);
        struct thing *got = weakref ? gari_weakref_get(weakref) : NULL;
        if (got)
            stress_tag_alive(&got->tag, 0, "got");
        gari_decref(got);
        if (stress_births() - stress_deaths() > 100000)
            gari_collect(2);
    }
    gari_decref(weakref);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 3, "finalizers that bring objects back");
    stress_run(stress.threads < 2 ? 2 : stress.threads, work);
    /* What is dropped here may bring itself back once more. */
    for (int round = 0; round < 4; round++) {
        for (unsigned i = 0; i < REVIVED; i++)
            gari_store(&revived[i], NULL);
        gari_collect(2);
        while (stress_stats().finalizers_waiting)
            gari_collect(2);
    }
    for (unsigned i = 0; i < REVIVED; i++)
        gari_store(&revived[i], NULL);
    stress_settle(0);
    stress_check_shadow(gari__load_relaxed(&count_untagged));
    stress_check(gari__load_relaxed(&finalizations) == stress_births(),
                 "every object was finalized: %lu of %lu",
                 (unsigned long)gari__load_relaxed(&finalizations), (unsigned long)stress_births());
    return stress_end();
}
