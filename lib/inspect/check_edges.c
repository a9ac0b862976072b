/* Counts against edges: every field is visited, of what is alive and of what is dead and still refers
 * to others. */
#include "lib/inspect/check.h"

#include "concurrency/word.h"
#include "lib/collector/garbage.h"
#include "lib/heap/memory.h"
#include "lib/object/checked.h"
#include "lib/object/edges.h"
#include "lib/object/finalize.h"

#include <stdio.h>
#include <stdlib.h>

struct look {
    struct gari__check *check;
    const struct gari__checked_block *holder;
    uint32_t slot;
    bool remember; /* which fields are visited: the type has a traverse */
};

static void remember(struct gari__check *check, gari_slot *field)
{
    if (check->visited_count == check->visited_room) {
        size_t room = check->visited_room ? 2 * check->visited_room : 64;
        gari_slot **more = gari__memory_resize(check->visited, room * sizeof(gari_slot *));
        if (!more) {
            check->out_of_memory = true;
            return;
        }
        check->visited = more;
        check->visited_room = room;
    }
    check->visited[check->visited_count++] = field;
}

/* Where the field lies, for a sentence. */
static const char *place_of(const struct look *look, const gari_slot *field, char text[48])
{
    const char *object = gari__slot_at(look->holder->block, look->slot);
    const struct gari__shape *shape = gari__shape_of(object);
    uintptr_t distance = (uintptr_t)field - (uintptr_t)object;
    if (distance < gari__size_of(shape, object))
        snprintf(text, 48, "at offset %zu", (size_t)distance);
    else
        snprintf(text, 48, "at %p", (const void *)field);
    return text;
}

static void look_at_edge(gari_slot *field, void *arg)
{
    struct look *look = arg;
    struct gari__check *check = look->check;
    char where[48];
    uint32_t slot;
    if (look->remember)
        remember(check, field);
    const gari_object *target = gari__load_acquire(&field->pointer);
    if (!target)
        return;
    struct gari__checked_block *it = gari__check_locate(check, target, &slot);
    if (!it)
        gari__check_say(check,
                        GARI__OBJECT_FORMAT " has in its field %s the value %p, which is no object",
                        GARI__OBJECT_ARGS(look->holder->block, look->slot),
                        place_of(look, field, where), (const void *)target);
    else if (!gari__is_alive(gari__check_word(it->block, slot)))
        gari__check_say(check,
                        GARI__OBJECT_FORMAT " refers by its field %s to " GARI__OBJECT_FORMAT
                                            ", which is dead",
                        GARI__OBJECT_ARGS(look->holder->block, look->slot),
                        place_of(look, field, where), GARI__OBJECT_ARGS(it->block, slot));
    else
        it->slots[slot].edges++;
}

static int by_address(const void *a, const void *b)
{
    uintptr_t one = (uintptr_t) * (gari_slot *const *)a;
    uintptr_t other = (uintptr_t) * (gari_slot *const *)b;
    return (one > other) - (one < other);
}

/* R8: a reference has one place. */
static void check_twice(const struct look *look)
{
    struct gari__check *check = look->check;
    char where[48];
    if (check->visited_count == 0)
        return;
    qsort(check->visited, check->visited_count, sizeof(gari_slot *), by_address);
    for (size_t i = 1; i < check->visited_count; i++)
        if (check->visited[i] == check->visited[i - 1])
            gari__check_say(check,
                            GARI__OBJECT_FORMAT ": its type's traverse names the field %s twice",
                            GARI__OBJECT_ARGS(look->holder->block, look->slot),
                            place_of(look, check->visited[i], where));
}

static void look_at_object(struct gari__check *check, const struct gari__checked_block *it,
                           uint32_t slot)
{
    const struct gari__shape *shape = gari__check_shape(it->block);
    struct look look = {check, it, slot, shape->type.traverse != NULL};
    check->visited_count = 0;
    size_t at = 0;
    while (at != GARI__EDGES_DONE)
        at = gari__edges(shape, gari__slot_at(it->block, slot), at, GARI__EDGES_IN_SECTION,
                         look_at_edge, &look);
    if (look.remember)
        check_twice(&look);
#ifdef GARI_CHECKED
    const char *wrong = gari__checked_traverse(shape, gari__slot_at(it->block, slot));
    if (wrong)
        gari__check_say(check, "%s", wrong);
#endif
}

/* One more reference of gari's own. */
static void own(const gari_object *object, void *arg)
{
    uint32_t slot;
    struct gari__checked_block *it = gari__check_locate(arg, object, &slot);
    if (it)
        it->slots[slot].own++;
    else
        gari__check_say(arg, "gari keeps %p for later, which is no object", (const void *)object);
}

static void compare(struct gari__check *check, const struct gari__checked_block *it, uint32_t slot)
{
    uint64_t word = gari__check_word(it->block, slot);
    const struct gari__checked_slot *state = &it->slots[slot];
    uint64_t count = gari__count_of(word), own = state->own;
    own += state->place == GARI__IN_UNFINISHED;
    size_t external = GARI_UNCHECKED;
    if (!gari__is_alive(word) || (word & GARI__IMMORTAL))
        return;
    if (check->how && check->how->external)
        external = check->how->external(gari__slot_at(it->block, slot), check->how->arg);
    if (external != GARI_UNCHECKED && count != state->edges + own + external)
        gari__check_say(check,
                        GARI__OBJECT_FORMAT " has count %llu, but %u fields refer to it, gari %llu "
                                            "times, and others %zu times",
                        GARI__OBJECT_ARGS(it->block, slot), (unsigned long long)count, state->edges,
                        (unsigned long long)own, external);
    else if (count < state->edges + own)
        gari__check_say(check,
                        GARI__OBJECT_FORMAT " has count %llu, but %u fields refer to it, and gari "
                                            "%llu times",
                        GARI__OBJECT_ARGS(it->block, slot), (unsigned long long)count, state->edges,
                        (unsigned long long)own);
}

void gari__check_edges(struct gari__check *check)
{
    uint32_t slot;
    gari__garbage_walk(own, check);
    gari__aside_walk(own, check);
    gari__finalize_walk(own, check, &slot);
    for (size_t i = 0; i < check->block_room; i++) {
        const struct gari__checked_block *it = &check->blocks[i];
        for (slot = 0; it->block && it->block->tracked && slot < it->block->carved; slot++)
            if (it->slots[slot].place != GARI__FREE && !it->slots[slot].unreadable)
                look_at_object(check, it, slot);
    }
    for (size_t i = 0; i < check->block_room; i++) {
        const struct gari__checked_block *it = &check->blocks[i];
        for (slot = 0; it->block && slot < it->block->carved; slot++)
            if (it->slots[slot].place != GARI__FREE)
                compare(check, it, slot);
    }
}
