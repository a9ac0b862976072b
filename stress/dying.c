/* dying: what happens while objects die.
 *
 * Invariant: death is orderly, also when others interfere. Threads borrow an object, drop its last
 * reference and store into its fields while it is taken apart (rule R6: it must be looked at once
 * more after the grace period); drop deep chains, wide arrays and structures that they share, so
 * that the work is spread over many calls of many threads; and dispose callbacks make and drop
 * objects themselves, store into roots, and drop the last references to more.
 *
 * A violation looks like: references that a dying object has swallowed, so that their targets never
 * die; a hub whose count is not exactly 1 at the end; a crash on the stack (deep recursion);
 * dispose called twice. */
#include "stress/shadow.h"

#define ROOTS 8
#define FIELDS 3
#define DEEPEST 30000u
#define WIDEST 6000u
#define MOST_ALIVE 200000u

struct thing;
typedef GARI_REF(struct thing) thing_ref;
struct thing {
    gari_object header;
    struct stress_tag tag;
    thing_ref edge[FIELDS];
};

struct wide {
    gari_object header;
    struct stress_tag tag;
    size_t length;
    thing_ref item[];
};

static void dispose(void *self)
{
    struct thing *thing = self;
    stress_tag_die(&thing->tag);
}

static void dispose_wide(void *self)
{
    struct wide *wide = self;
    stress_tag_die(&wide->tag);
}

static void dispose_busily(void *self);

static const gari_type thing_type = GARI_TYPE(
    struct thing, .refs = GARI_REFS(struct thing, edge[0], edge[1], edge[2]), .dispose = dispose);
static const gari_type wide_type = GARI_TYPE(
    struct wide, .items = GARI_REF_ITEMS(struct wide, length, item), .dispose = dispose_wide);
static const gari_type busy_type =
    GARI_TYPE(struct thing, .refs = GARI_REFS(struct thing, edge[0], edge[1], edge[2]),
              .dispose = dispose_busily);

static thing_ref roots[ROOTS];
static struct thing *hub; /* owned by main, shared by all */

static struct thing *make(const gari_type *type)
{
    struct thing *thing = STRESS_NEW(type);
    stress_tag_bear(&thing->tag);
    return thing;
}

static void dispose_busily(void *self)
{
    struct thing *thing = self;
    uint64_t id = thing->tag.id;
    stress_tag_die(&thing->tag);
    struct thing *fresh = make(&thing_type);
    gari_init(&fresh->edge[0], make(&thing_type));
    gari_store(&fresh->edge[1], hub);
    switch (id % 4) {
    case 0:
        gari_move(&roots[id / 4 % ROOTS], fresh);
        break;
    case 1:
        gari_store(&fresh->edge[2], fresh); /* a ring, garbage at once */
        gari_decref(fresh);
        break;
    case 2:
        gari_decref(gari_take(&roots[id / 4 % ROOTS]));
        gari_decref(fresh);
        break;
    default:
        gari_decref(fresh);
    }
}

/* Stores into something borrowed while it dies. */
static void store_into_the_dying(struct stress_worker *worker)
{
    thing_ref *root = &roots[stress_below(worker, ROOTS)];
    gari_read_begin();
    struct thing *thing = gari_borrow(root);
    if (thing) {
        uint64_t id = stress_tag_readable(&thing->tag, "borrowed");
        if (stress_once_in(worker, 2))
            gari_store(root, NULL);
        stress_dawdle(worker);
        for (int i = 0; i < FIELDS; i++) {
            thing_ref *field = &thing->edge[i];
            switch (stress_below(worker, 5)) {
            case 0:
                gari_store(field, hub);
                break;
            case 1:
                gari_move(field, make(&thing_type));
                break;
            case 2:
                gari_decref(gari_exchange(field, make(&busy_type)));
                break;
            case 3:
                gari_decref(gari_take(field));
                break;
            default: {
                struct thing *fresh = make(&thing_type);
                if (!gari_compare_exchange(field, NULL, fresh))
                    gari_decref(fresh);
            }
            }
        }
        stress_tag_same(&thing->tag, id, "after stores");
    }
    gari_read_end();
}

/* A deep chain; now and then a link has a busy neighbour. Two roots may share its tail. */
static void chain(struct stress_worker *worker)
{
    struct thing *top = NULL, *middle = NULL;
    unsigned depth = 1 + stress_below(worker, stress_once_in(worker, 8) ? DEEPEST : 200);
    for (unsigned i = 0; i < depth; i++) {
        struct thing *thing = make(&thing_type);
        if (top)
            gari_init(&thing->edge[0], top);
        if (stress_once_in(worker, 64))
            gari_init(&thing->edge[1], make(&busy_type));
        if (stress_once_in(worker, 8))
            gari_store(&thing->edge[2], hub);
        top = thing;
        if (i == depth / 2)
            middle = gari_incref(top);
    }
    gari_move(&roots[stress_below(worker, ROOTS)], middle);
    if (stress_once_in(worker, 2))
        gari_decref(top);
    else
        gari_move(&roots[stress_below(worker, ROOTS)], top);
}

static void fan(struct stress_worker *worker)
{
    size_t length = stress_below(worker, WIDEST);
    struct wide *wide = STRESS_NEW_ITEMS(&wide_type, length);
    stress_tag_bear(&wide->tag);
    for (size_t i = 0; i < length; i++) {
        if (i % 4 == 0)
            gari_init(&wide->item[i], make(i % 64 ? &thing_type : &busy_type));
        else
            gari_store(&wide->item[i], hub);
    }
    if (stress_once_in(worker, 2)) {
        gari_decref(wide);
        return;
    }
    /* Stored into while it dies, a piece at a time. */
    gari_read_begin();
    gari_decref(wide);
    for (unsigned i = 0; i < 4 && length; i++) {
        gari_store(&wide->item[stress_below(worker, (unsigned)length)], hub);
        gari_move(&wide->item[stress_below(worker, (unsigned)length)], make(&thing_type));
    }
    gari_read_end();
}

static void work(struct stress_worker *worker)
{
    while (stress_tick(worker)) {
        switch (stress_below(worker, 16)) {
        case 0:
            if (stress_births() - stress_deaths() < MOST_ALIVE)
                chain(worker);
            break;
        case 1:
            if (stress_once_in(worker, 8) && stress_births() - stress_deaths() < MOST_ALIVE)
                fan(worker);
            break;
        case 2:
        case 3:
            gari_move(&roots[stress_below(worker, ROOTS)], make(&busy_type));
            break;
        default:
            store_into_the_dying(worker);
        }
        stress_tag_alive(&hub->tag, 0, "the hub");
        if (stress_once_in(worker, 1000))
            gari_collect((int)stress_below(worker, 3));
        if (stress_once_in(worker, 100))
            gari_step(500);
    }
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 3, "stores, callbacks and other threads while objects die");
    hub = make(&thing_type);
    stress_run(stress.threads, work);
    /* Callbacks may fill the roots again. */
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < ROOTS; i++)
            gari_store(&roots[i], NULL);
        gari_collect(2);
    }
    stress_settle(1);
    stress_check(gari_getrefcount(hub) == 1, "the hub has one reference left: %zu",
                 gari_getrefcount(hub));
    gari_decref(hub);
    stress_settle(0);
    stress_check_shadow(0);
    return stress_end();
}
