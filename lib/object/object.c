/* Birth: finding a slot, and the one store that brings an object to life. */
#include "concurrency/clock.h"
#include "concurrency/fatal.h"
#include "concurrency/sanitizer.h"
#include "lib/object/count.h"
#include "lib/object/death.h"

#include <string.h>

/* Zeroes the body of a slot: at least 8 bytes, a multiple of 8. Most are small, and there a call costs
 * more than the stores, which may overlap. */
static GARI__INLINE void zero(char *body, size_t size)
{
    if (gari__unlikely(size > 64)) {
        memset(body, 0, size);
    } else if (size >= 16) {
        __builtin_memset(body, 0, 16);
        __builtin_memset(body + size - 16, 0, 16);
        if (size > 32) {
            __builtin_memset(body + 16, 0, 16);
            __builtin_memset(body + size - 32, 0, 16);
        }
    } else {
        __builtin_memset(body, 0, 8);
    }
}

/* Makes the slot an object: fields zero before the word says that it lives (R2), a version that no
 * object in this place has shown before (R7). */
static GARI__INLINE void *bring_to_life(struct gari__object_thread *self,
                                        const struct gari__shape *shape, struct gari__block *block,
                                        gari_object *object, uint32_t slot, size_t size,
                                        size_t length)
{
    size_t body = block->slot_size ? block->slot_size : size;
    gari__asan_unpoison(object, body);
    if (GARI_MUTANT(EARLY_BIRTH))
        gari__fetch_add_acq_rel(gari__word_of(object), GARI__VERSION_ONE + GARI__COUNT_ONE);
    GARI_PERTURB_STEP(BIRTH);
    if (gari__likely(!block->zeroed))
        zero((char *)(object + 1), body - sizeof(gari_object));
    if (gari__unlikely(shape->has_items))
        memcpy((char *)object + shape->type.items.length_offset, &length, sizeof length);
    uint16_t stamp = gari__load_relaxed(&gari__birth_stamp);
    gari__store_relaxed(&block->side[slot].birth, stamp);
    if (gari__unlikely(gari__load_relaxed(&block->last_birth) != stamp))
        gari__store_relaxed(&block->last_birth, stamp);

    uint64_t *word = gari__word_of(object);
    uint64_t version = gari__load_relaxed(word) & GARI__VERSION_MASK;
    if (!GARI_MUTANT(REBORN_VERSION))
        version += GARI__VERSION_ONE;
    /* Release: pairs with every acquire of a word or of a pointer to the object. */
    gari__store_release(word, version | shape->first_word);

    struct gari__tally *tally = &self->heap.tally;
    gari__own_add(&tally->allocated_bytes, size);
    if (gari__unlikely(!shape->tracked)) {
        gari__own_add(&tally->untracked_allocated, 1);
        return object;
    }
    gari__own_add(&tally->tracked_allocated, 1);
    if (gari__unlikely(--self->countdown <= 0))
        gari__upcall_allocated(self);
    return object;
}

static void *new_single(struct gari__object_thread *self, struct gari__shape *shape, size_t size,
                        size_t length)
{
    gari__upcall_refill(self);
    uint64_t begin = gari__now_ns();
    struct gari__block *block = gari__block_for_one(&shape->single, size, gari__upcall_limit());
    if (!block && gari__upcall_exhausted(self))
        block = gari__block_for_one(&shape->single, size, gari__upcall_limit());
    gari__upcall_waited(begin);
    return block ? bring_to_life(self, shape, block, gari__slot_at(block, 0), 0, size, length)
                 : NULL;
}

static __attribute__((noinline)) bool refill(struct gari__object_thread *self,
                                             struct gari__bin *bin)
{
    gari__upcall_refill(self);
    uint64_t begin = gari__now_ns();
    /* What was done there may have allocated from this bin. */
    bool filled = bin->free || gari__bin_refill(bin, gari__upcall_limit());
    if (!filled && gari__upcall_exhausted(self))
        filled = bin->free || gari__bin_refill(bin, gari__upcall_limit());
    gari__upcall_waited(begin);
    return filled;
}

static GARI__INLINE void *new_in_bin(struct gari__object_thread *self,
                                     const struct gari__shape *shape, struct gari__bin *bin,
                                     size_t size, size_t length)
{
    if (gari__unlikely(bin->free == 0) && !refill(self, bin))
        return NULL;
    struct gari__block *block = bin->block;
    uint32_t slot = gari__bin_pop(bin);
    gari_object *object = gari__slot_at(block, slot);
    /* The next one's word: the list may lead anywhere in the block. */
    if (bin->free)
        __builtin_prefetch(gari__slot_at(block, bin->free - 1), 1);
    return bring_to_life(self, shape, block, object, slot, size, length);
}

/* Fills the thread's cache entry for a type. */
static __attribute__((noinline)) bool remember(struct gari__object_thread *self,
                                               const gari_type *type, size_t at, const char *call)
{
    struct gari__shape *shape = gari__shape_find(type, call);
    if (!shape)
        return false;
    struct gari__bin *bin = NULL;
    if (!shape->has_items && type->size <= GARI__SLOT_MAX) {
        bin = gari__bin_get(&self->heap, gari__shape_kind(shape, type->size));
        if (!bin)
            return false;
    }
    self->cache[at].shape = shape;
    self->cache[at].bin = bin;
    gari__store_relaxed(&self->cache[at].type, type);
    return true;
}

static inline size_t cache_index(const gari_type *type)
{
    return (uintptr_t)type / 32 % GARI__SHAPE_CACHE;
}

void *gari_new(const gari_type *type)
{
    struct gari__object_thread *self = gari__enter("gari_new");
    size_t at = cache_index(type);
    void *object = NULL;
    if (gari__likely(gari__load_relaxed(&self->cache[at].type) == type && type) ||
        remember(self, type, at, "gari_new")) {
        struct gari__shape *shape = self->cache[at].shape;
        struct gari__bin *bin = self->cache[at].bin;
        if (gari__unlikely(shape->has_items))
            gari__fatal("gari_new: type '%s' has a trailing array; use gari_new_items",
                        shape->type.name);
        object = bin ? new_in_bin(self, shape, bin, shape->type.size, 0)
                     : new_single(self, shape, shape->type.size, 0);
    }
    gari__leave(self);
    return object;
}

void *gari_new_items(const gari_type *type, size_t length)
{
    struct gari__object_thread *self = gari__enter("gari_new_items");
    size_t at = cache_index(type);
    void *object = NULL;
    if ((gari__load_relaxed(&self->cache[at].type) == type && type) ||
        remember(self, type, at, "gari_new_items")) {
        struct gari__shape *shape = self->cache[at].shape;
        if (!shape->has_items)
            gari__fatal("gari_new_items: type '%s' has no trailing array; use gari_new",
                        shape->type.name);
        size_t size;
        bool overflow = __builtin_mul_overflow(length, (size_t)shape->type.items.size, &size) ||
                        __builtin_add_overflow(size, shape->type.items.offset, &size) ||
                        size > SIZE_MAX / 2;
        if (!overflow && size < shape->type.size)
            size = shape->type.size;
        if (!overflow && size > GARI__SLOT_MAX) {
            object = new_single(self, shape, size, length);
        } else if (!overflow) {
            struct gari__bin *bin = gari__bin_get(&self->heap, gari__shape_kind(shape, size));
            if (bin)
                object = new_in_bin(self, shape, bin, size, length);
        }
    }
    gari__leave(self);
    return object;
}
