/* Birth: finding a slot, and the one store that brings an object to life. */
#include "concurrency/clock.h"
#include "concurrency/fatal.h"
#include "concurrency/sanitizer.h"
#include "lib/object/checked.h"
#include "lib/object/count.h"
#include "lib/object/death.h"

#include <string.h>

#define SMALL 64u

/* Zeroes the body of a slot: at least 8 bytes, a multiple of 8. Most are small, and there a call costs
 * more than the stores, which may overlap. */
static GARI__INLINE void zero(char *body, size_t size)
{
    if (gari__unlikely(size > SMALL)) {
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
 * object in this place has shown before (R7). `body` is what is to be zeroed, 0 if it is already;
 * `shape` is not NULL if there is a trailing array, of that length. */
static GARI__INLINE void bring_to_life(gari_object *object, struct gari__side *side, uint16_t stamp,
                                       uint64_t first_word, size_t body,
                                       const struct gari__shape *shape, size_t length)
{
    if (GARI_MUTANT(EARLY_BIRTH))
        gari__fetch_add_acq_rel(gari__word_of(object), GARI__VERSION_ONE + GARI__COUNT_ONE);
    GARI_PERTURB_STEP(BIRTH);
    GARI_PERTURB_EACH("new.zero");
    if (gari__likely(body != 0))
        zero((char *)(object + 1), body);
    if (shape)
        memcpy((char *)object + shape->type.items.length_offset, &length, sizeof length);
    gari__store_relaxed(&side->birth, stamp);
    gari__checked_birth(object);
    uint64_t *word = gari__word_of(object);
    uint64_t version = gari__load_relaxed(word) & GARI__VERSION_MASK;
    if (!GARI_MUTANT(REBORN_VERSION))
        version += GARI__VERSION_ONE;
    GARI_PERTURB_EACH("new");
    /* Release: pairs with every acquire of a word or of a pointer to the object. */
    gari__store_release(word, version | first_word);
}

/* The same for an object of `size` bytes in any slot, and the books. */
static void *new_in_slot(struct gari__object_thread *self, const struct gari__shape *shape,
                         struct gari__block *block, uint32_t slot, size_t size, size_t length)
{
    gari_object *object = gari__slot_at(block, slot);
    size_t room = block->slot_size ? block->slot_size : size;
    gari__asan_unpoison(object, room);
    uint16_t stamp = gari__load_relaxed(&gari__birth_stamp);
    gari__store_relaxed(&block->last_birth, stamp);
    bring_to_life(object, &block->side[slot], stamp, shape->first_word,
                  block->zeroed ? 0 : room - sizeof(gari_object), shape->has_items ? shape : NULL,
                  length);
    struct gari__tally *tally = &self->heap.tally;
    gari__own_add(&tally->allocated_bytes, size);
    if (!shape->tracked) {
        gari__own_add(&tally->untracked_allocated, 1);
        return object;
    }
    gari__own_add(&tally->tracked_allocated, 1);
    /* An array of references that has a block of its own is worth a look by itself. */
    if (gari__load_relaxed(&tally->tracked_allocated) >= self->alarm || size > GARI__SLOT_MAX)
        gari__upcall_allocated(self);
    return object;
}

static void *new_single(struct gari__object_thread *self, struct gari__shape *shape, size_t size,
                        size_t length)
{
    uint64_t begin = gari__upcall_refill(self);
    if (!begin)
        begin = gari__now_ns();
    struct gari__block *block = gari__block_for_one(&shape->single, size, gari__upcall_limit());
    if (!block && gari__upcall_exhausted(self))
        block = gari__block_for_one(&shape->single, size, gari__upcall_limit());
    gari__upcall_waited(begin);
    return block ? new_in_slot(self, shape, block, 0, size, length) : NULL;
}

static __attribute__((noinline)) bool refill(struct gari__object_thread *self,
                                             struct gari__bin *bin)
{
    uint64_t begin = gari__upcall_refill(self);
    /* What was done there may have allocated from this bin. */
    bool filled = bin->free || gari__bin_refill_own(bin);
    if (filled && !begin)
        return true; /* not worth two looks at the clock */
    if (!begin)
        begin = gari__now_ns();
    filled = filled || gari__bin_refill(bin, gari__upcall_limit());
    if (!filled && gari__upcall_exhausted(self))
        filled = bin->free || gari__bin_refill(bin, gari__upcall_limit());
    gari__upcall_waited(begin);
    return filled;
}

static void *new_in_bin(struct gari__object_thread *self, const struct gari__shape *shape,
                        struct gari__bin *bin, size_t size, size_t length)
{
    if (bin->free == 0 && !refill(self, bin))
        return NULL;
    uint32_t slot = gari__bin_pop(bin);
    void *object = new_in_slot(self, shape, bin->block, slot, size, length);
    bin->stamp = gari__load_relaxed(&bin->block->last_birth);
    return object;
}

static struct gari__bin no_bin; /* without slots */
static const uint64_t never = UINT64_MAX;

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
    struct gari__tally *tally = &self->heap.tally;
    struct gari__cached *cached = &self->cache[at];
    cached->shape = shape;
    cached->bin = bin;
    cached->fast = bin && !self->heap.thread.leaves_slowly ? bin : &no_bin;
    cached->first_word = shape->first_word;
    cached->size = shape->type.size;
    cached->born = shape->tracked ? &tally->tracked_allocated : &tally->untracked_allocated;
    cached->alarm = shape->tracked ? &self->alarm : &never;
    gari__store_relaxed(&cached->type, type);
    return true;
}

static inline size_t cache_index(const gari_type *type)
{
    return (uintptr_t)type / 32 % GARI__SHAPE_CACHE;
}

static __attribute__((noinline)) void *new_slowly(const gari_type *type)
{
    struct gari__object_thread *self = gari__enter("gari_new");
    size_t at = cache_index(type);
    void *object = NULL;
    if ((gari__load_relaxed(&self->cache[at].type) == type && type) ||
        remember(self, type, at, "gari_new")) {
        struct gari__shape *shape = self->cache[at].shape;
        struct gari__bin *bin = self->cache[at].bin;
        if (shape->has_items)
            gari__fatal("gari_new: type '%s' has a trailing array; use gari_new_items",
                        shape->type.name);
        object = bin ? new_in_bin(self, shape, bin, shape->type.size, 0)
                     : new_single(self, shape, shape->type.size, 0);
    }
    gari__leave(self);
    return object;
}

/* The next slot of a bin that has one, for an object whose stamp its block has seen. */
static GARI__INLINE void *new_at_once(struct gari__object_thread *self,
                                      const struct gari__cached *cached, struct gari__bin *bin,
                                      uint32_t head, size_t room, uint16_t stamp)
{
    uint32_t slot = head - 1;
    struct gari__side *side = &bin->side[slot];
    uint32_t next = gari__load_relaxed(&side->link);
    bin->free = next;
    char *base = bin->base;
    /* The next one's word: the list may lead anywhere in the block. (Or to its end, if there is none.) */
    __builtin_prefetch(base + (size_t)(next - 1) * room, 1);
    gari_object *object = (gari_object *)(void *)(base + (size_t)slot * room);
    gari__asan_unpoison(object, room);
    gari__own_add(&self->heap.tally.allocated_bytes, cached->size);
    bring_to_life(object, side, stamp, cached->first_word, room - sizeof(gari_object), NULL, 0);
    return object;
}

/* Apart, for its call of memset makes the function save all its registers. */
static __attribute__((noinline)) void *new_long(struct gari__object_thread *self,
                                                const struct gari__cached *cached,
                                                struct gari__bin *bin, size_t room, uint16_t stamp)
{
    return new_at_once(self, cached, bin, bin->free, room, stamp);
}

/* What nearly every birth takes: a thread that knows the type has a slot for it, it is time neither
 * for a new stamp nor for a look at the trigger. Everything else goes the long way. */
void *gari_new(const gari_type *type)
{
    GARI__CHECKED_MAKER();
    struct gari__object_thread *self = (struct gari__object_thread *)gari__self;
    if (gari__unlikely(!self))
        return new_slowly(type);
    const struct gari__cached *cached = &self->cache[cache_index(type)];
    if (gari__unlikely(gari__load_relaxed(&cached->type) != type))
        return new_slowly(type);
    struct gari__bin *bin = cached->fast;
    uint16_t stamp = gari__load_relaxed(&gari__birth_stamp);
    uint64_t number = gari__load_relaxed(cached->born) + 1;
    uint32_t head = bin->free;
    if (gari__unlikely(!head || bin->stamp != stamp || number >= *cached->alarm))
        return new_slowly(type);
    gari__store_relaxed(cached->born, number);
    size_t room = bin->slot_size;
    if (room < GARI__SLOT_MIN)
        __builtin_unreachable();
    if (gari__likely(room <= SMALL + sizeof(gari_object)))
        return new_at_once(self, cached, bin, head, room, stamp);
    return new_long(self, cached, bin, room, stamp);
}

void *gari_new_items(const gari_type *type, size_t length)
{
    GARI__CHECKED_MAKER();
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
