/* weakgets: weak gets against the last decref and against a collection's commit.
 *
 * Invariant: a weak get gives a live object that stays alive while it is owned, or NULL; and NULL only
 * of what is dead for good: an object that a weak reference has read as dead never shows up alive. A
 * table of places, each a weak reference to the object that was put there last; half of the objects
 * die by count, half as rings, which hang together by an edge from ring to ring so that a get of one
 * brings back others in the middle of a proof. Threads drop what they have, get it back through the
 * weak reference, store it, drop it again, while others collect as fast as they can.
 *
 * A violation looks like: an object that is owned and dead; memory used again while owned; a weak
 * reference that reads NULL before its object is disposed of, while somebody owns the object. */
#include "stress/shadow.h"

#define PLACES 24

struct ring;
typedef GARI_REF(struct ring) ring_ref;
struct ring {
    gari_object header;
    struct stress_tag tag;
    ring_ref next, other;
};

static void dispose(void *self)
{
    struct ring *ring = self;
    stress_tag_die(&ring->tag);
}

static const gari_type ring_type =
    GARI_TYPE(struct ring, .refs = GARI_REFS(struct ring, next, other), .dispose = dispose);

/* A place's weak reference; with it goes the id of its object, so that a get can be checked. */
struct place {
    gari_object header;
    uint64_t id;
    GARI_REF(gari_weakref) weakref;
};
static const gari_type place_type =
    GARI_TYPE(struct place, .refs = GARI_REFS(struct place, weakref));

static GARI_ROOT(struct place) places[PLACES];
static uint64_t untagged, callbacks_seen; /* atomically */

static void called(void *arg)
{
    (void)arg;
    gari__fetch_add_relaxed(&callbacks_seen, 1);
}

static struct ring *make(void)
{
    struct ring *ring = STRESS_NEW(&ring_type);
    stress_tag_bear(&ring->tag);
    return ring;
}

/* Two rings of one or two, one hanging from the other: the collector finds both at once. */
static struct ring *make_object(struct stress_worker *worker)
{
    struct ring *ring = make();
    if (stress_once_in(worker, 3))
        return ring;
    if (stress_once_in(worker, 2)) {
        struct ring *second = make();
        gari_store(&second->next, ring);
        gari_move(&ring->next, second);
    } else {
        gari_store(&ring->next, ring);
    }
    if (stress_once_in(worker, 2)) {
        struct ring *below = make();
        gari_store(&below->next, below);
        gari_move(&ring->other, below);
    }
    return ring;
}

static void put(struct stress_worker *worker, unsigned at, struct ring *ring)
{
    struct place *place = STRESS_NEW(&place_type);
    gari__fetch_add_relaxed(&untagged, 2);
    place->id = ring->tag.id;
    bool callback = stress_once_in(worker, 2);
    gari_weakref *weakref = stress_new(gari_weakref_new(ring, callback ? called : NULL, NULL));
    gari_init(&place->weakref, weakref);
    gari_move(&places[at], place);
}

/* Gets the place's object; checks it. */
static struct ring *get(unsigned at)
{
    gari_read_begin();
    struct place *place = gari_borrow(&places[at]);
    /* A place that is dying has lost its reference. */
    gari_weakref *weakref = place ? gari_borrow(&place->weakref) : NULL;
    struct ring *ring = NULL;
    if (weakref) {
        uint64_t id = place->id;
        ring = gari_weakref_get(weakref);
        if (ring)
            stress_tag_alive(&ring->tag, id, "got");
        else if (gari__load_acquire(shadow_life_of(id)) == shadow_alive(id)) {
            /* Dead, but not yet disposed of: so it must stay. */
            if (gari_weakref_get(weakref))
                stress_fail("a weak reference read NULL, then its object");
        }
    }
    gari_read_end();
    return ring;
}

static void check_owned(const struct ring *ring, uint64_t id)
{
    stress_tag_alive(&ring->tag, id, "owned");
    gari_read_begin();
    const struct ring *next = gari_borrow(&((struct ring *)(uintptr_t)ring)->next);
    if (next)
        stress_tag_alive(&next->tag, 0, "next of the owned");
    const struct ring *other = gari_borrow(&((struct ring *)(uintptr_t)ring)->other);
    if (other)
        stress_tag_alive(&other->tag, 0, "other of the owned");
    gari_read_end();
}

static void work(struct stress_worker *worker)
{
    if (worker->index == 0) {
        stress_collect(worker);
        return;
    }
    while (stress_tick(worker)) {
        unsigned at = stress_below(worker, PLACES);
        struct ring *ring = get(at);
        if (!ring) {
            ring = make_object(worker);
            put(worker, at, ring);
        }
        uint64_t id = ring->tag.id;
        check_owned(ring, id);
        stress_dawdle(worker);
        if (stress_once_in(worker, 4)) {
            /* While it is owned its weak reference cannot read NULL. */
            gari_weakref *weakref = stress_new(gari_weakref_new(ring, NULL, NULL));
            gari__fetch_add_relaxed(&untagged, 1);
            for (int i = 0; i < 3; i++) {
                struct ring *again = gari_weakref_get(weakref);
                if (again != ring)
                    stress_fail("a weak reference to an owned object reads %p", (void *)again);
                gari_decref(again);
            }
            gari_decref(weakref);
        }
        check_owned(ring, id);
        gari_decref(ring);
        if (stress_once_in(worker, 64)) {
            stress_await_proof(worker);
            ring = get(at);
            if (ring)
                check_owned(ring, 0);
            gari_decref(ring);
        }
    }
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 3, "weak gets against the last decref and against commit");
    stress_run(stress.threads < 2 ? 2 : stress.threads, work);
    for (unsigned i = 0; i < PLACES; i++)
        gari_store(&places[i], NULL);
    stress_settle(0);
    stress_check_shadow(gari__load_relaxed(&untagged));
    return stress_end();
}
