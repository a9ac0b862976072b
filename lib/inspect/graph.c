/* Finding objects other than through references (rule R9; docs/protocol.md, "Finding objects").
 *
 * Whoever walks the blocks holds the collector's lock while no proof is open, so none opens before
 * the walk is over. An object is read only while it is alive, in a section: then it keeps its
 * memory until the section ends. What is handed out is owned, by a try_incref of that section. */
#include "concurrency/fatal.h"
#include "concurrency/rcu.h"
#include "lib/collector/collector.h"
#include "lib/collector/events.h"
#include "lib/collector/garbage.h"
#include "lib/object/count.h"
#include "lib/object/edges.h"

#include <errno.h>

struct search {
    gari_objects *found;
    size_t room;
    bool out_of_memory;
    int generation;
    const gari_object *target; /* NULL: every object of the generation is wanted */
    bool refers;
};

/* In a section in which the object was seen alive. */
static void take(struct search *search, gari_object *object)
{
    gari_objects *found = search->found;
    GARI_PERTURB_EACH("walk");
    /* Room first: a reference could not be given back here. */
    if (search->out_of_memory || !gari__objects_room(found, &search->room, 1))
        search->out_of_memory = true;
    else if (gari__count_try_up(object))
        found->items[found->count++] = object;
}

static void match_edge(gari_slot *slot, void *arg)
{
    struct search *search = arg;
    if (gari__load_acquire(&slot->pointer) == search->target)
        search->refers = true;
}

/* A large object takes several sections; in each it is seen alive anew. Should it have died and the
 * slot been born again between two, the rest of the look is at that one. */
static void look_for_edge(struct search *search, const struct gari__shape *shape,
                          gari_object *object)
{
    size_t at = 0;
    search->refers = false;
    while (at != GARI__EDGES_DONE && !search->refers) {
        gari__section_begin();
        if (gari__is_alive(gari__load_acquire(gari__word_of(object)))) {
            at = gari__edges(shape, object, at, GARI__EDGES_IN_SECTION, match_edge, search);
            if (search->refers)
                take(search, object);
        } else {
            at = GARI__EDGES_DONE;
        }
        gari__section_end();
    }
}

static void search_block(struct gari__block *block, void *arg)
{
    struct search *search = arg;
    const struct gari__kind *kind = gari__load_relaxed(&block->kind);
    if (!kind || !kind->tracked || search->out_of_memory)
        return;
    const struct gari__shape *shape = kind->shape;
    uint32_t carved = gari__load_acquire(&block->carved);
    for (uint32_t slot = 0; slot < carved; slot++) {
        gari_object *object = gari__slot_at(block, slot);
        if (!gari__is_alive(gari__load_acquire(gari__word_of(object))))
            continue;
        if (search->target) {
            look_for_edge(search, shape, object);
            continue;
        }
        int generation = gari__generation_of(block, slot);
        if (generation != search->generation &&
            (search->generation != GARI_ALL || generation == GARI_PERMANENT))
            continue;
        gari__section_begin();
        take(search, object);
        gari__section_end();
    }
}

static int walk(const char *call, struct search *search)
{
    gari__fork_check(call);
    *search->found = (gari_objects){0, NULL};
    struct gari__object_thread *self = gari__enter(call);
    if (!gari__may_wait(self)) {
        gari__leave(self);
        return EBUSY;
    }
    if (gari__in_section())
        gari__fatal("%s called inside a read section: it may wait for that section to end", call);
    pthread_mutex_lock(&gari__collector.lock);
    if (!GARI_MUTANT(WALK_IN_PROOF))
        gari__drive_proofs(self);
    gari__runs_walk(search_block, search);
    pthread_mutex_unlock(&gari__collector.lock);
    gari__events_deliver(self);
    if (search->out_of_memory)
        gari_objects_release(search->found);
    gari__leave(self);
    return search->out_of_memory ? ENOMEM : 0;
}

int gari_get_objects(int generation, gari_objects *objects)
{
    if (generation < GARI_ALL || generation > GARI_PERMANENT)
        gari__fatal("gari_get_objects(%d): generations are 0, 1, 2, GARI_PERMANENT and GARI_ALL",
                    generation);
    struct search search = {.found = objects, .generation = generation};
    return walk("gari_get_objects", &search);
}

int(gari_get_referrers)(const gari_object *object, gari_objects *objects)
{
    struct search search = {.found = objects, .target = object};
    return walk("gari_get_referrers", &search);
}

static void take_target(gari_slot *slot, void *arg)
{
    gari_object *target = gari__load_acquire(&slot->pointer);
    if (target)
        take(arg, target);
}

int(gari_get_referents)(const gari_object *object, gari_objects *objects)
{
    const struct gari__shape *shape = gari__shape_of(object);
    struct search search = {.found = objects};
    *objects = (gari_objects){0, NULL};
    size_t at = shape->tracked ? 0 : GARI__EDGES_DONE;
    while (at != GARI__EDGES_DONE) {
        gari__section_begin();
        at = gari__edges(shape, (void *)(uintptr_t)object, at, GARI__EDGES_IN_SECTION, take_target,
                         &search);
        gari__section_end();
    }
    if (search.out_of_memory)
        gari_objects_release(objects);
    return search.out_of_memory ? ENOMEM : 0;
}
