/* containers: lists and maps used by many threads beside running proofs.
 *
 * Invariants: what is got out of a container is alive. An element that is never taken out is met exactly
 * once by each iteration and found by each look, while others are inserted, erased, sorted, spliced
 * and rehashed around it. Garbage cycles through containers are found, and one that somebody still
 * changes by a borrowed pointer is not freed too early. One thread does nothing but collect. */
#include "stress/things.h"

#include <errno.h>
#include <string.h>

#define LISTS 3
#define MAPS 2
#define PINS 4

/* The first list and the first map have pins: things that stay in them. */
static gari_list *lists[LISTS];
static gari_map *maps[MAPS];
static struct thing *pins[PINS];
static struct thing *objects[KEYS];

/* ---- Lists -------------------------------------------------------------------------------- */

static void iterate_list(struct hands *hands, gari_list *list)
{
    unsigned met[PINS + 1] = {0};
    gari_list_iter it;
    gari_list_iter_begin(&it, list);
    while (gari_list_iter_next(&it)) {
        struct thing *thing = it.value;
        stress_tag_alive(&thing->tag, 0, "iterated over");
        met[thing->pin]++;
        stress_dawdle(hands->worker);
    }
    gari_list_iter_end(&it);
    for (unsigned i = 1; list == lists[0] && i <= PINS; i++)
        if (met[i] != 1)
            stress_fail("an element that stays in the list was met %u times", met[i]);
}

static void look_at_list(struct hands *hands, gari_list *list)
{
    gari_read_begin();
    for (size_t i = 0; i < LONG; i++) {
        struct thing *thing = gari_list_borrow(list, i);
        if (!thing)
            break;
        stress_tag_readable(&thing->tag, "borrowed from a list");
    }
    gari_read_end();
    keep(hands, gari_list_get(list, stress_below(hands->worker, LONG)));
    if (list == lists[0] && !gari_list_contains(list, pins[stress_below(hands->worker, PINS)]))
        stress_fail("an element that stays in the list is not found in it");
}

/* Takes elements out of the list with pins by name, so that those stay. */
static void take_by_name(struct hands *hands)
{
    size_t at = stress_below(hands->worker, LONG);
    struct thing *thing = gari_list_get(lists[0], at);
    if (thing && !thing->pin)
        gari_list_remove(lists[0], thing);
    keep(hands, thing);
}

static void cut(gari_list *list)
{
    while (gari_list_length(list) > LONG) {
        if (list != lists[0])
            must(gari_list_splice(list, 0, LONG / 2, NULL), "gari_list_splice");
        else
            for (size_t i = 0; i < LONG; i++) {
                struct thing *thing = gari_list_get(list, i);
                if (thing && !thing->pin)
                    gari_list_remove(list, thing);
                gari_decref(thing);
            }
    }
}

static void use_list(struct hands *hands)
{
    struct stress_worker *worker = hands->worker;
    gari_list *list = lists[stress_below(worker, LISTS)];
    size_t at = stress_below(worker, LONG);
    int error;
    cut(list);
    switch (stress_below(worker, 10)) {
    case 0:
        must(gari_list_append(list, some(hands)), "gari_list_append");
        break;
    case 1:
    case 2:
        /* Room, so that an insertion in place would have it. */
        must(gari_list_reserve(list, 2 * LONG), "gari_list_reserve");
        gari_list_insert(list, at, some(hands));
        break;
    case 3:
        if (list == lists[0])
            take_by_name(hands);
        else
            keep(hands, gari_list_take(list, at));
        break;
    case 4:
        if (list == lists[0])
            take_by_name(hands);
        else
            keep(hands, gari_list_pop(list));
        break;
    case 5:
        if (list != lists[0])
            gari_list_set(list, at, some(hands));
        break;
    case 6:
        error = stress_once_in(worker, 3) ? gari_list_reverse(list)
                                          : gari_list_sort(list, by_order, NULL);
        if (error && error != EBUSY)
            must(error, "gari_list_sort");
        break;
    case 7:
        hand_over(hands, lists[1], lists[2]);
        break;
    case 8:
        iterate_list(hands, list);
        break;
    default:
        look_at_list(hands, list);
    }
}

/* ---- Maps --------------------------------------------------------------------------------- */

static gari_key pin_key(unsigned n)
{
    static const char *const names[] = {"pin 0", "pin 1", "pin 2", "pin 3"};
    return n % 2 ? gari_key_string(names[n]) : gari_key_integer(1000 + n);
}

static void iterate_map(struct hands *hands, gari_map *map)
{
    unsigned met[PINS + 1] = {0};
    gari_map_iter it;
    gari_map_iter_begin(&it, map);
    while (gari_map_iter_next(&it)) {
        struct thing *thing = it.value;
        stress_tag_alive(&thing->tag, 0, "a value met in an iteration");
        if (it.key.kind == GARI_KEY_STRING && strlen(it.key.data) != it.key.length)
            stress_fail("a key of an iteration has changed");
        met[thing->pin]++;
        stress_dawdle(hands->worker);
    }
    gari_map_iter_end(&it);
    for (unsigned i = 1; map == maps[0] && i <= PINS; i++)
        if (met[i] != 1)
            stress_fail("a key that stays in the map was met %u times", met[i]);
}

static void look_at_map(struct hands *hands, gari_map *map)
{
    char text[32];
    gari_read_begin();
    struct thing *thing = gari_map_borrow(map, some_key(hands, objects, text));
    if (thing)
        stress_tag_readable(&thing->tag, "borrowed from a map");
    gari_read_end();
    keep(hands, gari_map_get(map, some_key(hands, objects, text)));
    for (unsigned i = 0; map == maps[0] && i < PINS; i++) {
        struct thing *pin = gari_map_get(map, pin_key(i));
        if (pin != pins[i])
            stress_fail("a key that stays in the map is not found in it");
        gari_decref(pin);
    }
}

static void use_map(struct hands *hands)
{
    struct stress_worker *worker = hands->worker;
    gari_map *map = maps[stress_below(worker, MAPS)];
    char text[32];
    gari_key key = some_key(hands, objects, text);
    switch (stress_below(worker, 9)) {
    case 0:
    case 1:
    case 2:
        must(gari_map_put(map, key, some(hands)), "gari_map_put");
        break;
    case 3:
        keep(hands, gari_map_get_or_put(map, key, some(hands)));
        break;
    case 4:
    case 5:
        keep(hands, gari_map_take(map, key));
        break;
    case 6:
        gari_map_remove_if(map, key, some(hands));
        if (map != maps[0] && stress_once_in(worker, 200))
            gari_map_clear(map);
        break;
    case 7:
        iterate_map(hands, map);
        break;
    default:
        look_at_map(hands, map);
    }
}

/* ---- Garbage with a borrower -------------------------------------------------------------- */

/* A list, and a map in it, that are garbage but for the thread's borrowed pointer, are changed while the
 * proof about them runs. What is taken out lives on. */
static void haunt(struct hands *hands)
{
    struct stress_worker *worker = hands->worker;
    GARI_ROOT(gari_list) root = {{NULL}};
    gari_list *list = stress_new(gari_list_new());
    gari_map *map = stress_new(gari_map_new());
    for (int i = 0; i < 12; i++) {
        struct thing *thing = make(worker);
        gari_store(&thing->any, i % 2 ? (void *)map : list);
        must(gari_list_append(list, thing), "gari_list_append");
        must(gari_map_put(map, gari_key_integer(i % 4), thing), "gari_map_put");
        gari_decref(thing);
    }
    must(gari_list_append(list, hands->held[0] ? hands->held[0] : pins[0]), "gari_list_append");
    gari_move(&root, list);
    gari_read_begin();
    list = gari_borrow(&root);
    gari_store(&root, NULL);
    gari_decref(map); /* the things have it */
    stress_await_proof(worker);
    struct thing *thing = NULL;
    switch (stress_below(worker, 7)) {
    case 0:
        thing = gari_list_take(list, stress_below(worker, 12));
        break;
    case 1:
        thing = gari_list_pop(list);
        break;
    case 2:
        thing = gari_list_get(list, stress_below(worker, 12));
        gari_list_clear(list);
        break;
    case 3:
        gari_list_sort(list, by_order, NULL);
        thing = gari_list_get(list, stress_below(worker, 12));
        break;
    case 4:
        thing = gari_list_get(list, 3);
        gari_list_insert(list, 0, some(hands));
        gari_list_remove(list, thing);
        break;
    case 5:
        thing = gari_map_take(map, gari_key_integer(stress_below(worker, 4)));
        break;
    default:
        for (int64_t i = 10; i < 30; i++) /* rehashes */
            gari_map_put(map, gari_key_integer(i), some(hands));
        thing = gari_map_get(map, gari_key_integer(stress_below(worker, 4)));
    }
    gari_read_end();
    if (thing) {
        stress_tag_alive(&thing->tag, 0, "taken out of garbage");
        stress_dawdle(worker);
        /* It may lead back to the list, which lives then. */
        gari_object *any = gari_load(&thing->any);
        if (any && gari_is_list(any))
            gari_decref((gari_object *)gari_list_get((gari_list *)any, 0));
        gari_decref(any);
    }
    keep(hands, thing);
}

/* ---- Workers ------------------------------------------------------------------------------ */

/* All of it, as fast as it goes. */
static void crowd(struct stress_worker *worker)
{
    struct hands hands = {.worker = worker};
    if (worker->index == 0) {
        stress_collect(worker);
        return;
    }
    while (stress_tick(worker)) {
        if (stress_once_in(worker, 2))
            use_list(&hands);
        else
            use_map(&hands);
        if (stress_once_in(worker, 8))
            keep(&hands, make(worker));
        if (stress_once_in(worker, 1000))
            haunt(&hands);
    }
    let_go(&hands);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 3, "lists and maps used by many beside running proofs");
    struct stress_worker first = {.random = stress.seed | 1};
    for (int i = 0; i < LISTS; i++)
        lists[i] = stress_new(gari_list_new());
    for (int i = 0; i < MAPS; i++)
        maps[i] = stress_new(gari_map_new());
    for (unsigned i = 0; i < KEYS; i++)
        objects[i] = make(&first);
    for (unsigned i = 0; i < PINS; i++) {
        pins[i] = make(&first);
        pins[i]->pin = i + 1;
        must(gari_list_append(lists[0], pins[i]), "gari_list_append");
        must(gari_map_put(maps[0], pin_key(i), pins[i]), "gari_map_put");
    }
    stress_run(stress.threads + 1, crowd);
    for (int i = 0; i < LISTS; i++)
        gari_decref(lists[i]);
    for (int i = 0; i < MAPS; i++)
        gari_decref(maps[i]);
    for (unsigned i = 0; i < KEYS; i++)
        gari_decref(objects[i]);
    for (unsigned i = 0; i < PINS; i++)
        gari_decref(pins[i]);
    stress_settle(0);
    stress_check(stress_births() == stress_deaths(), "every thing died once: %lu born, %lu died",
                 (unsigned long)stress_births(), (unsigned long)stress_deaths());
    return stress_end();
}
