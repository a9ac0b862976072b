/* The edges of an object: its fields at fixed offsets, then its trailing array, then whatever its
 * traverse callback finds. The first two can be walked in parts. */
#ifndef GARI_OBJECT_EDGES_H
#define GARI_OBJECT_EDGES_H

#include "lib/object/self.h"

#define GARI__EDGES_DONE SIZE_MAX

/* Visits at most `most` edges from the one numbered `from`; returns the number to go on with, or
 * GARI__EDGES_DONE. A traverse callback is not divided: it counts as one. */
static GARI__INLINE size_t gari__edges(const struct gari__shape *shape, void *object, size_t from,
                                       size_t most, gari_visit visit, void *arg)
{
    size_t fixed = shape->type.refs.count;
    if (gari__likely(shape->plain && most >= GARI_MAX_REFS)) {
        for (size_t i = from; i < fixed; i++)
            visit((gari_slot *)(void *)((char *)object + shape->type.refs.offset[i]), arg);
        return GARI__EDGES_DONE;
    }
    size_t at = from;
    for (; at < fixed && most > 0; at++, most--)
        visit((gari_slot *)(void *)((char *)object + shape->type.refs.offset[at]), arg);
    if (shape->has_items && shape->type.items.are_refs) {
        gari_slot *items = (gari_slot *)(void *)((char *)object + shape->type.items.offset);
        size_t end = fixed + gari__length_of(shape, object);
        for (; at < end && most > 0; at++, most--)
            visit(&items[at - fixed], arg);
        if (at < end)
            return at;
    } else if (at < fixed) {
        return at;
    }
    if (shape->type.traverse)
        shape->type.traverse(object, visit, arg);
    return GARI__EDGES_DONE;
}

/* How many edges a part of a walk visits at most, so that read sections end soon. */
#define GARI__EDGES_IN_SECTION 256u

#endif
