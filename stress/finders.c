/* finders: those who find objects otherwise than through references.
 *
 * Invariant (R9): what gari_get_objects, gari_get_referrers and gari_get_referents hand out is alive
 * and stays so until it is given back, whatever proof was open when they looked. A third of the
 * workers make rings and drop them, a third find objects, look at them, hold some for a while and
 * store some into others, a third collect in small steps, so that proofs and what follows them are
 * open most of the time, freeze and unfreeze. Before that, one thread looks after each of the smallest
 * steps of a collection.
 *
 * A violation looks like: an object in hand that was disposed of; a count driven below zero. */
#include "stress/shadow.h"

#include <time.h>

#define LONGEST 40u
#define KEPT 8
#define HELD 16

struct bead;
typedef GARI_REF(struct bead) bead_ref;
struct bead {
    gari_object header;
    struct stress_tag tag;
    uint64_t ready; /* atomically: READY once its maker has filled it in */
    bead_ref next, prev;
};

#define READY 0x600d600d600d600du

static void dispose(void *self)
{
    struct bead *bead = self;
    stress_tag_die(&bead->tag);
}

static const gari_type bead_type =
    GARI_TYPE(struct bead, .refs = GARI_REFS(struct bead, next, prev), .dispose = dispose);
/* Nobody can observe its death but through a reference: it goes another way in the collector. */
static const gari_type plain_type =
    GARI_TYPE(struct bead, .refs = GARI_REFS(struct bead, next, prev));

static uint64_t plain_made; /* atomically */

static struct bead *make(struct stress_worker *worker)
{
    bool plain = stress_once_in(worker, 2);
    struct bead *bead = STRESS_NEW(plain ? &plain_type : &bead_type);
    if (plain)
        gari__fetch_add_relaxed(&plain_made, 1);
    else
        stress_tag_bear(&bead->tag);
    gari__store_release(&bead->ready, READY);
    return bead;
}

static void mutate(struct stress_worker *worker)
{
    struct bead *kept[KEPT] = {NULL};
    while (stress_tick(worker)) {
        struct bead **place = &kept[stress_below(worker, KEPT)];
        struct bead *first = make(worker), *last = first;
        for (unsigned i = stress_below(worker, LONGEST); i > 0; i--) {
            struct bead *bead = make(worker);
            gari_store(&bead->prev, last);
            gari_move(&last->next, bead);
            last = bead;
        }
        gari_store(&last->next, first);
        gari_decref(*place);
        *place = first;
        if (stress_stats().objects_live > 20000)
            stress_dawdle(worker); /* the others are to collect, in small steps */
        if (stress_stats().objects_live > 200000)
            gari_collect(2);
    }
    for (int i = 0; i < KEPT; i++)
        gari_decref(kept[i]);
}

static void look_at(gari_object *object)
{
    struct bead *bead = (struct bead *)object;
    uint64_t ready = gari__load_acquire(&bead->ready);
    if (gari_getrefcount(object) == 0 || (ready != 0 && ready != READY))
        stress_fail("%p was found, and is dead", (void *)object);
    if (ready && gari_type_of(object) == &bead_type)
        stress_tag_alive(&bead->tag, 0, "found");
}

static void find(struct stress_worker *worker)
{
    gari_object *held[HELD] = {NULL};
    while (stress_tick(worker)) {
        gari_objects found;
        gari_object **place = &held[stress_below(worker, HELD)];
        unsigned how = *place ? stress_below(worker, 3) : 0;
        int result = how == 0   ? gari_get_objects((int)stress_below(worker, 5) - 1, &found)
                     : how == 1 ? gari_get_referrers(*place, &found)
                                : gari_get_referents(*place, &found);
        if (result != 0)
            stress_fail("no memory for a list");
        for (size_t i = 0; i < found.count; i++)
            look_at(found.items[i]);
        if (found.count) {
            gari_object **chosen = &found.items[stress_below(worker, (unsigned)found.count)];
            gari_decref(*place);
            *place = *chosen;
            *chosen = NULL;
            /* What was found is as good a reference as any. */
            struct bead *other = (struct bead *)held[stress_below(worker, HELD)];
            if (other)
                gari_store(&other->prev, (struct bead *)*place);
        }
        stress_dawdle(worker);
        for (int i = 0; i < HELD; i++) {
            if (held[i])
                look_at(held[i]);
        }
        gari_objects_release(&found);
    }
    for (int i = 0; i < HELD; i++)
        gari_decref(held[i]);
}

static void work(struct stress_worker *worker)
{
    if (worker->index % 3 == 0) {
        mutate(worker);
    } else if (worker->index % 3 == 1) {
        find(worker);
    } else {
        while (stress_tick(worker)) {
            gari_step(1 + stress_below(worker, 200));
            /* Whoever waits for the collector's lock gets it here, in whatever phase that is. */
            if (stress_once_in(worker, 4))
                nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
            if (stress_once_in(worker, 4096))
                gari_freeze();
            if (stress_once_in(worker, 1024))
                gari_unfreeze();
        }
    }
}

#define RING 8

/* A collection in the smallest steps, and a look after `steps` of them. */
static void look_after(unsigned steps, const gari_type *type)
{
    struct bead *first = STRESS_NEW(type), *last = first;
    for (int i = 1; i < RING; i++) {
        struct bead *bead = STRESS_NEW(type);
        gari_move(&last->next, bead);
        last = bead;
    }
    gari_store(&last->next, first);
    for (struct bead *bead = first; bead; bead = bead == last ? NULL : gari_borrow(&bead->next)) {
        if (type == &bead_type)
            stress_tag_bear(&bead->tag);
        else
            gari__fetch_add_relaxed(&plain_made, 1);
        gari__store_release(&bead->ready, READY);
    }
    gari_decref(first);
    for (unsigned i = 0; i < steps; i++)
        gari_step(1);
    gari_objects found;
    if (gari_get_objects(GARI_ALL, &found) != 0)
        stress_fail("no memory for a list");
    gari_collect(2);
    for (size_t i = 0; i < found.count; i++)
        look_at(found.items[i]);
    if (found.count != 0 && found.count != RING)
        stress_fail("%zu of %d members of a ring were found", found.count, RING);
    gari_objects_release(&found);
    gari_collect(2);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 3, "those who find objects otherwise than through references");
    for (unsigned steps = 0; steps < 200; steps++) {
        look_after(steps, &bead_type);
        look_after(steps, &plain_type);
        stress_phase("a look after each step");
    }
    stress_run(stress.threads < 3 ? 3 : stress.threads, work);
    gari_unfreeze();
    stress_settle(0);
    stress_check_shadow(gari__load_relaxed(&plain_made));
    return stress_end();
}
