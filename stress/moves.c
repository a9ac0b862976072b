/* moves: edges moved behind the collector's back.
 *
 * Invariant: the proof is never fooled (rules R1, R3, R4, R8; V1 before V2; RC). Every thread plays
 * with a few small knots of objects, of which it owns one or two and reaches the rest through them:
 * it takes references out of fields, holds them, copies them, moves them into other fields, all the
 * time, so that nearly every proof is open while some edge is on its way; and it does the same to
 * rings that only it can still reach, by a borrowed pointer. One thread does nothing but collect.
 *
 * A violation looks like: an object that is owned, or reached through an owned one, and dead. At
 * the end: objects left over, which is what a move that makes no candidate leads to. */
#include "stress/shadow.h"

#define FIELDS 2
#define HELD 3
#define SHARED 2

struct knot;
typedef GARI_REF(struct knot) knot_ref;
struct knot {
    gari_object header;
    struct stress_tag tag;
    knot_ref edge[FIELDS];
};

static void dispose(void *self)
{
    struct knot *knot = self;
    stress_tag_die(&knot->tag);
}

static const gari_type knot_type =
    GARI_TYPE(struct knot, .refs = GARI_REFS(struct knot, edge[0], edge[1]), .dispose = dispose);

static knot_ref shared[SHARED];

struct held {
    struct knot *knot;
    uint64_t id;
};

struct hands {
    struct stress_worker *worker;
    struct held held[HELD];
};

static struct knot *make(void)
{
    struct knot *knot = STRESS_NEW(&knot_type);
    stress_tag_bear(&knot->tag);
    return knot;
}

/* Steals knot. */
static void put(struct held *held, struct knot *knot)
{
    if (held->knot)
        stress_tag_alive(&held->knot->tag, held->id, "held");
    gari_decref(held->knot);
    held->knot = knot;
    held->id = knot ? stress_tag_alive(&knot->tag, 0, "just got") : 0;
}

/* Gives the reference away. */
static struct knot *give(struct held *held)
{
    struct knot *knot = held->knot;
    if (knot)
        stress_tag_alive(&knot->tag, held->id, "given");
    *held = (struct held){NULL, 0};
    return knot;
}

/* All that an owned object reaches is alive, as long as nobody else changes it; if somebody may, it
 * is at least readable. */
static void look_around(struct held *held, bool mine)
{
    if (!held->knot)
        return;
    stress_tag_alive(&held->knot->tag, held->id, "held");
    gari_read_begin();
    for (int i = 0; i < FIELDS; i++) {
        struct knot *next = gari_borrow(&held->knot->edge[i]);
        if (!next)
            continue;
        if (mine)
            stress_tag_alive(&next->tag, 0, "reached from an owned one");
        else
            stress_tag_readable(&next->tag, "reached from an owned one");
        for (int j = 0; j < FIELDS; j++) {
            struct knot *far = gari_borrow(&next->edge[j]);
            if (far && mine)
                stress_tag_alive(&far->tag, 0, "reached from afar");
            else if (far)
                stress_tag_readable(&far->tag, "reached from afar");
        }
    }
    gari_read_end();
}

/* A chain of up to `most`; the last one is returned. */
static struct knot *chain(struct knot *first, unsigned most, struct stress_worker *worker)
{
    struct knot *last = first;
    for (unsigned more = stress_below(worker, most); more > 0; more--) {
        struct knot *knot = make();
        gari_init(&last->edge[0], knot);
        last = knot;
    }
    return last;
}

/* A ring of one to three, of which one reference is held. */
static void tie(struct hands *hands)
{
    struct stress_worker *worker = hands->worker;
    struct knot *first = make(), *last = chain(first, 3, worker);
    if (stress_once_in(worker, 2)) {
        gari_store(&last->edge[0], first);
        put(&hands->held[0], first);
    } else {
        /* The way to lose a ring without a decref. */
        put(&hands->held[0], stress_once_in(worker, 4) ? NULL : gari_incref(first));
        gari_move(&last->edge[0], first);
    }
}

/* An operation on one field; `at` is an object that the thread owns or borrows. */
static void act(struct hands *hands, struct knot *at)
{
    struct stress_worker *worker = hands->worker;
    knot_ref *field = &at->edge[stress_below(worker, FIELDS)];
    knot_ref *other = &at->edge[stress_below(worker, FIELDS)];
    struct held *held = &hands->held[stress_below(worker, HELD)];
    switch (stress_below(worker, 9)) {
    case 0:
        put(held, gari_take(field));
        break;
    case 1:
        gari_move(field, give(held));
        break;
    case 2:
        gari_store(field, held->knot);
        break;
    case 3:
        put(held, gari_load(field));
        break;
    case 4:
        put(held, gari_exchange(field, give(held)));
        break;
    case 5: /* from field to field */
        gari_move(other, gari_take(field));
        break;
    case 6: /* from field to field by way of a copy */
        gari_store(other, held->knot);
        gari_store(field, NULL);
        break;
    case 7: {
        struct knot *mine = held->knot;
        struct knot *copy = gari_incref(mine);
        if (gari_compare_exchange(field, mine, copy)) {
            gari_decref(mine); /* the field's */
        } else {
            gari_decref(copy);
        }
        break;
    }
    default:
        put(held, NULL);
    }
}

static void play(struct hands *hands, bool mine)
{
    struct stress_worker *worker = hands->worker;
    struct held *held = &hands->held[stress_below(worker, HELD)];
    if (!held->knot)
        return;
    struct knot *owned = gari_incref(held->knot);
    struct knot *at = owned;
    if (stress_once_in(worker, 2)) {
        /* The library's sections alone protect what it does. */
        struct knot *next = gari_load(&at->edge[stress_below(worker, FIELDS)]);
        if (next) {
            gari_decref(owned);
            owned = at = next;
        }
        act(hands, at);
    } else {
        gari_read_begin();
        for (unsigned steps = stress_below(worker, 3); steps > 0; steps--) {
            struct knot *next = gari_borrow(&at->edge[stress_below(worker, FIELDS)]);
            if (next)
                at = next;
        }
        /* Only the section now, if what was walked away from is let go. */
        if (stress_once_in(worker, 2)) {
            gari_decref(owned);
            owned = NULL;
        }
        stress_dawdle(worker);
        act(hands, at);
        gari_read_end();
    }
    gari_decref(owned);
    look_around(&hands->held[stress_below(worker, HELD)], mine);
}

/* Changes a ring that is garbage but for the thread's own borrowed pointer: what the proof must find
 * out at RC, as nothing else tells it. What is taken from the ring lives on. */
static void haunt(struct hands *hands)
{
    struct stress_worker *worker = hands->worker;
    struct knot *first = make(), *last = chain(first, 24, worker);
    knot_ref root = {{NULL}};
    gari_store(&root, first);
    gari_move(&last->edge[0], first);
    struct held *held = &hands->held[stress_below(worker, HELD)];
    gari_read_begin();
    struct knot *at = gari_borrow(&root);
    gari_store(&root, NULL);
    for (unsigned steps = stress_below(worker, 8); steps > 0; steps--) {
        struct knot *next = gari_borrow(&at->edge[0]);
        if (next)
            at = next;
    }
    stress_await_proof(worker);
    switch (stress_below(worker, 4)) {
    case 0:
        put(held, gari_take(&at->edge[0]));
        break;
    case 1:
        /* The count is what it was, but the edge has become external. */
        put(held, gari_load(&at->edge[0]));
        gari_store(&at->edge[0], NULL);
        break;
    case 2:
        put(held, gari_try_incref(at) ? at : NULL);
        break;
    default:
        act(hands, at);
        stress_dawdle(worker);
        act(hands, at);
    }
    gari_read_end();
}

static void mutate(struct stress_worker *worker)
{
    struct hands mine = {.worker = worker}, ours = {.worker = worker};
    unsigned turn = 0;
    while (stress_tick(worker)) {
        if (stress_once_in(worker, 24)) {
            for (int i = 0; i < HELD; i++)
                put(&mine.held[i], NULL);
            tie(&mine);
        }
        play(&mine, true);
        if (stress_once_in(worker, 1000)) {
            haunt(&mine);
            look_around(&mine.held[stress_below(worker, HELD)], true);
        }
        if (++turn % 4 == 0) {
            struct held *held = &ours.held[stress_below(worker, HELD)];
            knot_ref *root = &shared[stress_below(worker, SHARED)];
            switch (stress_below(worker, 4)) {
            case 0:
                tie(&ours);
                put(held, gari_exchange(root, give(held)));
                break;
            case 1:
                put(held, gari_load(root));
                break;
            case 2:
                gari_move(root, give(held));
                break;
            default:
                play(&ours, false);
            }
        }
        if (stress_once_in(worker, 20000))
            gari_collect((int)stress_below(worker, 3));
    }
    for (int i = 0; i < HELD; i++) {
        put(&mine.held[i], NULL);
        put(&ours.held[i], NULL);
    }
}

static void work(struct stress_worker *worker)
{
    if (worker->index > 0)
        mutate(worker);
    else
        stress_collect(worker);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 3, "edges moved behind the collector's back");
    stress_run(stress.threads + 1, work);
    for (int i = 0; i < SHARED; i++)
        gari_store(&shared[i], NULL);
    stress_settle(0);
    stress_check_shadow(0);
    return stress_end();
}
