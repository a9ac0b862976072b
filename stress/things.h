/* Things: what the stress programs put into containers; and the hands in which workers keep some, so
 * that whoever looks on (stress/audit.h) knows of references from outside. */
#ifndef GARI_STRESS_THINGS_H
#define GARI_STRESS_THINGS_H

#include "lib/gari_containers.h"
#include "stress/shadow.h"

#include <stdio.h>

#define HELD 12
#define KEYS 24
#define LONG 40 /* a list is cut when it becomes longer */

struct thing {
    gari_object header;
    struct stress_tag tag;
    uint64_t held; /* references that workers have; atomically */
    unsigned pin;  /* not 0: it stays where it is, and is not kept in hand */
    long order;
    gari_ref any;
};

static void thing_dispose(void *self)
{
    stress_tag_die(&((struct thing *)self)->tag);
}

static const gari_type thing_type =
    GARI_TYPE(struct thing, .refs = GARI_REFS(struct thing, any), .dispose = thing_dispose);

static inline struct thing *make(struct stress_worker *worker)
{
    struct thing *thing = STRESS_NEW(&thing_type);
    thing->order = (long)stress_below(worker, 1000);
    stress_tag_bear(&thing->tag);
    return thing;
}

/* For gari_list_sort. */
static inline int by_order(void *a, void *b, void *arg)
{
    (void)arg;
    long x = ((struct thing *)a)->order, y = ((struct thing *)b)->order;
    return (x > y) - (x < y);
}

struct hands {
    struct stress_worker *worker;
    struct thing *held[HELD];
};

/* Steals thing, and drops what was there. References are in hand for a while, so that audits see
 * them. */
static inline void keep(struct hands *hands, struct thing *thing)
{
    struct thing **place = &hands->held[stress_below(hands->worker, HELD)];
    if (thing) {
        stress_tag_alive(&thing->tag, 0, "got out of a container");
        if (thing->pin) {
            gari_decref(thing);
            return;
        }
        gari__fetch_add_relaxed(&thing->held, 1);
    }
    if (*place) {
        stress_tag_alive(&(*place)->tag, 0, "held");
        gari__fetch_sub_relaxed(&(*place)->held, 1);
    }
    gari_decref(*place);
    *place = thing;
}

/* Borrowed from the hands. */
static inline struct thing *some(struct hands *hands)
{
    struct thing *thing;
    while ((thing = hands->held[stress_below(hands->worker, HELD)]) == NULL)
        keep(hands, make(hands->worker));
    return thing;
}

/* At the end of a worker, beside audits that may still be running. */
static inline void let_go(struct hands *hands)
{
    for (int i = 0; i < HELD; i++) {
        if (hands->held[i])
            gari__fetch_sub_relaxed(&hands->held[i]->held, 1);
        gari_decref(hands->held[i]);
        hands->held[i] = NULL;
    }
}

/* One of KEYS: an integer, a string written to text, or one of the objects. */
static inline gari_key some_key(struct hands *hands, struct thing *const *objects, char text[32])
{
    unsigned n = stress_below(hands->worker, KEYS);
    switch (n % 3) {
    case 0:
        return gari_key_integer(n);
    case 1:
        snprintf(text, 32, "key %u", n);
        return gari_key_string(text);
    default:
        return gari_key_object(objects[n]);
    }
}

static inline void must(int error, const char *call)
{
    if (error)
        stress_fail("%s: error %d", call, error);
}

/* What moving the elements of one list to another looks like from outside: they gather in one, and now
 * and then go over to the other. */
static inline void hand_over(struct hands *hands, gari_list *from, gari_list *to)
{
    if (!stress_once_in(hands->worker, 6)) {
        must(gari_list_append(from, some(hands)), "gari_list_append");
        return;
    }
    must(gari_list_reserve(to, 4 * LONG), "gari_list_reserve");
    must(gari_list_extend(to, from), "gari_list_extend");
    gari_list_clear(from);
}

#endif
