/* Walking the edges of many objects: the collector's inner loop. Inlined, so that each phase has one
 * of its own around its own visit. */
#ifndef GARI_COLLECTOR_WALK_H
#define GARI_COLLECTOR_WALK_H

#include "concurrency/fatal.h"
#include "concurrency/word.h"
#include "lib/collector/pass.h"
#include "lib/object/count.h"
#include "lib/object/edges.h"

#include <assert.h>

static inline bool gari__is_near(const struct gari__near *near, const gari_object *object)
{
    return (size_t)((const char *)object - near->base) < near->bytes;
}

/* The slot of an object that is. */
static inline uint32_t gari__near_slot(const struct gari__near *near, const gari_object *object)
{
    return (uint32_t)((uint64_t)((const char *)object - near->base) * near->reciprocal >> 32);
}

/* Takes the object's block in hand, if the pass has a scratch array there, which holds it. Returns the
 * object's shape. */
static inline const struct gari__shape *gari__come_near(struct gari__pass *pass,
                                                        const gari_object *object)
{
    struct gari__near *near = &pass->near;
    if (gari__likely(gari__is_near(near, object)))
        return near->shape;
    struct gari__block *block = gari__block_of(object);
    const struct gari__shape *shape = gari__shape_of_block(block);
    uint32_t *scratch = gari__load_relaxed(&block->scratch[pass->which]);
    size_t bytes = scratch ? (size_t)block->slots * block->slot_size : 0;
    *near = (struct gari__near){block->base, bytes, block->reciprocal, scratch, block->side,
                                block,       shape};
    return shape;
}

/* False: the pass has no scratch array where the object is. */
static inline bool gari__may_be_touched(const struct gari__pass *pass, const gari_object *object)
{
    uintptr_t window = (uintptr_t)object >> GARI__WINDOW_SHIFT;
    bool noted = pass->windows[window % GARI__WINDOWS / 64] >> (window % 64) & 1;
#ifdef GARI_PERTURB
    /* What is not a pointer to an object is to be met here too. */
    if (gari__load_relaxed(&gari__block_of(object)->scratch[pass->which]) && !noted)
        gari__fatal("gari: a touched block at %p is not noted", (const void *)object);
#endif
    return noted;
}

/* The object's scratch word, or NULL when its block has none. */
static inline uint32_t *gari__scratch_at(const struct gari__pass *pass, gari_object *object)
{
    const struct gari__near *near = &pass->near;
    if (gari__is_near(near, object))
        return &near->scratch[gari__near_slot(near, object)];
    if (!gari__may_be_touched(pass, object))
        return NULL;
    struct gari__block *block = gari__block_of(object);
    uint32_t *scratch = gari__load_relaxed(&block->scratch[pass->which]);
    return scratch ? &scratch[gari__slot_of(block, object)] : NULL;
}

/* A member's scratch word. Members lie in the order of their blocks, so the block is taken in hand. */
static inline uint32_t *gari__member_state(struct gari__pass *pass, const gari_object *member)
{
    gari__come_near(pass, member);
    return &pass->near.scratch[gari__near_slot(&pass->near, member)];
}

/* The block's scratch array, made at first need, or NULL. */
static inline uint32_t *gari__pass_touch(struct gari__pass *pass, struct gari__block *block)
{
    uint32_t *scratch = gari__load_relaxed(&block->scratch[pass->which]);
    return gari__likely(scratch != NULL) ? scratch : gari__scratch_new(pass, block);
}

/* How many of the next members that budget, which is not 0, is for, if each has so many fields. */
static inline size_t gari__members_for(const struct gari__pass *pass, size_t budget, size_t fields)
{
    size_t left = pass->member_count - pass->member, room = (budget - 1) / (1 + fields) + 1;
    return left < room ? left : room;
}

/* A member, with its word as it has just been read. False: there is no room. */
static inline bool gari__member_add(struct gari__pass *pass, gari_object *object, uint64_t word)
{
    if (gari__unlikely(pass->member_count == pass->member_room) && !gari__members_grow(pass)) {
        pass->undecided = pass->members_full = true;
        return false;
    }
    pass->members[pass->member_count++] = (struct gari__member){object, word};
    return true;
}

/* Notes what the proof has to know of members of that type; `words`: theirs, ored. */
static inline void gari__member_types(struct gari__pass *pass, const struct gari__shape *shape,
                                      uint64_t words)
{
    pass->callbacks |= shape->type.dispose || shape->type.reclaim;
    pass->sift |= (shape->type.flags & GARI_TYPE_NO_CLEAR) != 0;
    pass->words |= words;
}

/* False: there is no room. In most phases the queue is there to save work, and who finds no room in it
 * goes on; where all that is reached must be met he says so. */
static GARI__INLINE bool gari__queue_add(struct gari__pass *pass, gari_object *object)
{
    struct gari__queue *queue = &pass->queue;
    if (gari__unlikely(queue->count == queue->room) && gari__unlikely(!gari__queue_grow(pass)))
        return false;
    queue->stack[queue->count++] = object;
    return true;
}

/* The next object of the queue, or NULL. */
static inline gari_object *gari__queue_pop(struct gari__pass *pass)
{
    struct gari__queue *queue = &pass->queue;
    /* What is young is still in the cache. */
    if (pass->which == GARI__YOUNG)
        return queue->count > 0 ? queue->stack[--queue->count] : NULL;
    while (queue->fetch_count < GARI__PREFETCH && queue->count > 0) {
        gari_object *object = queue->stack[--queue->count];
        __builtin_prefetch(object);
        queue->fetching[(queue->fetch_first + queue->fetch_count++) % GARI__PREFETCH] = object;
    }
    if (queue->fetch_count == 0)
        return NULL;
    gari_object *object = queue->fetching[queue->fetch_first];
    queue->fetch_first = (queue->fetch_first + 1) % GARI__PREFETCH;
    queue->fetch_count--;
    return object;
}

/* The next member, or NULL. */
static inline gari_object *gari__member_next(struct gari__pass *pass)
{
    GARI_PERTURB_STEP(V2_MEMBER);
    return pass->member < pass->member_count ? pass->members[pass->member++].object : NULL;
}

/* Visits the edges of the objects that `next` gives, of each that is alive. Returns what is left of
 * the budget: more than 0 when there are no more, or memory has run out. What visits put aside (distant.h)
 * `settle` is called for, in the section.
 *
 * An object is alive in a section: then its memory, and what its fields refer to, stay until the end
 * of it. Many objects share one section; it ends after GARI__EDGES_IN_SECTION edges, also in the
 * middle of a large object. `run` may take the next few objects by itself, in the section. */
static GARI__INLINE size_t gari__walk_runs(struct gari__pass *pass, size_t budget,
                                           size_t (*run)(struct gari__pass *pass, size_t left),
                                           gari_object *(*next)(struct gari__pass *pass),
                                           gari_visit visit,
                                           void (*settle)(struct gari__pass *pass))
{
    struct gari__queue *queue = &pass->queue;
    bool more = true;
    while (more && budget > 0) {
        size_t room = budget < GARI__EDGES_IN_SECTION ? budget : GARI__EDGES_IN_SECTION;
        size_t left = room;
        assert(pass->distant.count == 0 || GARI_MUTANT(LATE_LOOKUP));
        gari__section_begin();
        if (GARI_MUTANT(LATE_LOOKUP))
            settle(pass);
        while (left > 0) {
            if (!queue->current && (left = run(pass, left)) == 0)
                break;
            gari_object *object = queue->current ? queue->current : next(pass);
            if (!object && pass->distant.count > 0) {
                settle(pass); /* which may find more */
                continue;
            }
            if (!object || gari__unlikely(pass->out_of_memory)) {
                queue->current = object;
                more = false;
                break;
            }
            const struct gari__shape *shape = gari__come_near(pass, object);
            uint64_t word = gari__load_acquire(gari__word_of(object));
            size_t cost = 1;
            if (gari__likely(gari__is_alive(word))) {
                size_t to =
                    gari__edges(shape, object, queue->at, GARI__EDGES_IN_SECTION, visit, pass);
                if (gari__unlikely(to != GARI__EDGES_DONE)) {
                    cost = to - queue->at;
                    left -= cost < left ? cost : left;
                    queue->current = object;
                    queue->at = to;
                    continue;
                }
                cost += shape->type.refs.count;
            } else {
                pass->recount = true;
            }
            left -= cost < left ? cost : left;
            queue->current = NULL;
            queue->at = 0;
        }
        if (pass->distant.count > 0 && !GARI_MUTANT(LATE_LOOKUP))
            settle(pass);
        gari__section_end();
        GARI_PERTURB_STEP(WALK);
        budget -= room - left;
    }
    return budget;
}

static GARI__INLINE size_t gari__no_run(struct gari__pass *pass, size_t left)
{
    (void)pass;
    return left;
}

static GARI__INLINE void gari__nothing_distant(struct gari__pass *pass)
{
    (void)pass;
}

static GARI__INLINE size_t gari__walk(struct gari__pass *pass, size_t budget,
                                      gari_object *(*next)(struct gari__pass *pass),
                                      gari_visit visit)
{
    return gari__walk_runs(pass, budget, gari__no_run, next, visit, gari__nothing_distant);
}

#endif
