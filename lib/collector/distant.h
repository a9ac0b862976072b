/* References that lead out of the block in hand. To do something with one, three things have to be read that lie far
 * apart, each found by the one before it: the segment's map, the block's descriptor, the pass's word for the object. In
 * a large heap none of them is in a cache. So references are put aside, and looked up together: then the misses of many
 * overlap.
 *
 * Only addresses are kept, of objects to which somebody's field referred in this section, and they are looked up before
 * it ends: until then the objects' blocks stay; and that what a pass has reached is in a block with a scratch array
 * before that section is over, late death relies on (docs/protocol.md). */
#ifndef GARI_COLLECTOR_DISTANT_H
#define GARI_COLLECTOR_DISTANT_H

#include "lib/collector/walk.h"

/* What a phase does with a reference to an object whose block the pass has touched. */
typedef void gari__meet(struct gari__pass *pass, gari_object *target, uint32_t *state);

static inline bool gari__distant_full(const struct gari__pass *pass)
{
    return gari__unlikely(pass->distant.count == GARI__DISTANT);
}

/* Puts a reference aside. There is room for it. */
static GARI__INLINE void gari__distant_add(struct gari__pass *pass, gari_object *target)
{
    __builtin_prefetch(gari__map_entry(target));
    pass->distant.target[pass->distant.count++] = target;
}

/* Finds the scratch words of all that have been put aside, or NULL. Returns how many they are; their places are free
 * again, but what is in them stays until one is needed. */
static GARI__INLINE unsigned gari__distant_find(struct gari__pass *pass,
                                                uint32_t *state[GARI__DISTANT])
{
    struct gari__distant *distant = &pass->distant;
    const unsigned count = distant->count;
    struct gari__block *block[GARI__DISTANT];
    for (unsigned i = 0; i < count; i++) {
        block[i] = gari__block_of(distant->target[i]);
        __builtin_prefetch(block[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        uint32_t *scratch = gari__load_relaxed(&block[i]->scratch[pass->which]);
        state[i] = scratch ? &scratch[gari__slot_of(block[i], distant->target[i])] : NULL;
        if (scratch)
            __builtin_prefetch(state[i], 1);
    }
    distant->count = 0;
    return count;
}

/* Meets all that have been put aside. */
static GARI__INLINE void gari__distant_settle(struct gari__pass *pass, gari__meet *meet)
{
    uint32_t *state[GARI__DISTANT];
    unsigned count = gari__distant_find(pass, state);
    for (unsigned i = 0; i < count; i++)
        if (state[i])
            meet(pass, pass->distant.target[i], state[i]);
}

/* Meets the target if it is near, else puts it aside for `settle`. */
static GARI__INLINE void gari__distant_meet(struct gari__pass *pass, gari_object *target,
                                            gari__meet *meet,
                                            void (*settle)(struct gari__pass *pass))
{
    const struct gari__near *near = &pass->near;
    if (gari__is_near(near, target)) {
        meet(pass, target, &near->scratch[gari__near_slot(near, target)]);
    } else if (gari__may_be_touched(pass, target)) {
        if (gari__distant_full(pass))
            settle(pass);
        gari__distant_add(pass, target);
    }
}

#endif
