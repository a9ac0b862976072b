/* Giving a slot's memory back, when nobody can have a pointer to the object any more. */
#ifndef GARI_OBJECT_FREE_H
#define GARI_OBJECT_FREE_H

#include "concurrency/cancel.h"
#include "concurrency/perturb.h"
#include "concurrency/sanitizer.h"
#include "lib/object/count.h"

#include <string.h>

/* Gathers slots of one block. */
struct gari__free_run {
    struct gari__block *block;
    uint32_t head, tail, count;
};

static inline void gari__free_run_flush(struct gari__free_run *run)
{
#ifdef GARI_CHECKED
    if (run->count)
        gari__checked_quarantine(run->block, run->head);
#else
    if (run->count)
        gari__block_free(run->block, run->head, run->tail, run->count);
#endif
    run->count = 0;
}

/* The object's memory is nobody's any more, but for its word, `word`, of which the version stays (R7). */
static GARI__INLINE void gari__free_body(struct gari__block *block, const struct gari__shape *shape,
                                         gari_object *object, uint64_t word)
{
#if defined(GARI_PERTURB) || defined(GARI_CHECKED) || defined(GARI__ASAN)
    size_t body = block->slot_size ? block->slot_size - sizeof(gari_object)
                                   : gari__size_of(shape, object) - sizeof(gari_object);
#else
    (void)block, (void)shape;
#endif
#if defined(GARI_PERTURB) || defined(GARI_CHECKED)
    memset(object + 1, 0xDD, body);
#endif
#ifdef GARI__ASAN
    gari__asan_poison(object + 1, body);
#endif
    GARI_PERTURB_EACH("reap.free");
    uint64_t kept = GARI_MUTANT(FORGOTTEN_VERSION) ? 0 : word & GARI__VERSION_MASK;
    gari__store_release(gari__word_of(object), kept);
}

static GARI__INLINE void gari__free_slot(struct gari__free_run *run, struct gari__block *block,
                                         const struct gari__shape *shape, gari_object *object)
{
    uint32_t slot = gari__slot_of(block, object);
    if (gari__unlikely(shape->type.reclaim != NULL)) {
        int cancel = gari__cancel_off();
        shape->type.reclaim(object);
        gari__cancel_restore(cancel);
    }
    gari__free_body(block, shape, object, gari__load_relaxed(gari__word_of(object)));

    if (gari__unlikely(run->block != block || run->count == 0)) {
        gari__free_run_flush(run);
        *run = (struct gari__free_run){block, 0, slot + 1, 0};
    }
    gari__store_relaxed(&block->side[slot].link, (uint16_t)run->head);
    run->head = slot + 1;
    run->count++;
}

#endif
