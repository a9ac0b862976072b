/* Birth: finding a slot, and the one store that brings an object to life. */
#include "concurrency/clock.h"
#include "concurrency/fatal.h"
#include "concurrency/sanitizer.h"
#include "lib/object/checked.h"
#include "lib/object/count.h"
#include "lib/object/death.h"

#include <assert.h>
#include <string.h>

#define SMALL 64u

/* Zeroes the body of a slot: at least 8 bytes, a multiple of 8. Most are small, and there a call costs
 * more than the stores, which may overlap. */
static GARI__INLINE void zero(char *body, size_t size)
{
    if (gari__unlikely(size > SMALL)) {
        memset(body, 0, size);
    } else if (gari__likely(size >= 16)) {
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
                                       uint64_t birth_step, size_t body,
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
    /* Of a free slot's word nothing is left but the version (free.h). */
    uint64_t born = gari__load_relaxed(word) + birth_step;
    assert(GARI_MUTANT(EARLY_BIRTH) || !((born - birth_step) & ~GARI__VERSION_MASK));
    if (GARI_MUTANT(EARLY_BIRTH))
        born -= GARI__COUNT_ONE;
    if (GARI_MUTANT(REBORN_VERSION))
        born -= GARI__VERSION_ONE;
    GARI_PERTURB_EACH("new");
    /* Release: pairs with every acquire of a word or of a pointer to the object. */
    gari__store_release(word, born);
}

/* Before anything of that epoch is born in the block. */
static GARI__INLINE void note_stamp(struct gari__block *block, uint16_t stamp)
{
    if (gari__load_relaxed(&block->last_birth) == stamp)
        return;
    /* Sequentially consistent: pairs with gari__seeds_put_back. */
    (void)gari__exchange_seq_cst(&block->last_birth, stamp);
    GARI_PERTURB_EACH("new.stamp");
    if (gari__unlikely(gari__load_seq_cst(&block->settled)) && !GARI_MUTANT(STAMP_UNSEEN))
        gari__candidates_unsettle(block);
}

/* The same for an object of `size` bytes in any slot, and the books. */
static void *new_in_slot(struct gari__object_thread *self, const struct gari__shape *shape,
                         struct gari__block *block, uint32_t slot, size_t size, size_t length)
{
    gari_object *object = gari__slot_at(block, slot);
    size_t room = block->slot_size ? block->slot_size : size;
    gari__asan_unpoison(object, room);
    uint16_t stamp = gari__load_relaxed(&gari__birth_stamp);
    note_stamp(block, stamp);
    bring_to_life(object, &block->side[slot], stamp, shape->birth_step,
                  block->zeroed ? 0 : room - sizeof(gari_object), shape->has_items ? shape : NULL,
                  length);
    struct gari__tally *tally = &self->heap.tally;
    gari__own_add(&tally->allocated_bytes, size);
    if (!shape->tracked) {
        gari__own_add(&tally->untracked.count, 1);
        return object;
    }
    gari__own_add(&tally->tracked.count, 1);
    /* An array of references that has a block of its own is worth a look by itself. */
    if (gari__load_relaxed(&tally->tracked.count) >= tally->tracked.alarm || size > GARI__SLOT_MAX)
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

/* Fills the thread's cache entry for a type. */
static __attribute__((noinline)) bool remember(struct gari__object_thread *self,
                                               struct gari__cached *cached, const gari_type *type,
                                               const char *call)
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
    cached->shape = shape;
    cached->bin = bin;
    cached->fast = bin && !self->heap.thread.leaves_slowly ? bin : &no_bin;
    cached->birth_step = shape->birth_step;
    cached->size = shape->type.size;
    cached->room = bin ? bin->slot_size : 0;
    cached->births = shape->tracked ? &tally->tracked : &tally->untracked;
    tally->untracked.alarm = UINT64_MAX;
    gari__store_relaxed(&cached->type, type);
    return true;
}

/* The entry where the type is, if the thread has used it lately. */
static GARI__INLINE struct gari__cached *cached_for(struct gari__object_thread *self,
                                                    const gari_type *type)
{
    /* As one shift and one mask, which is not what compilers make of an index. */
    _Static_assert(sizeof(struct gari__cached) == 64, "a power of two");
    size_t at = (uintptr_t)type / 32 * 64 & (GARI__SHAPE_CACHE - 1) * 64;
    return (struct gari__cached *)(void *)((char *)self->cache + at);
}

static inline bool is_cached(const struct gari__cached *cached, const gari_type *type)
{
    return gari__load_relaxed(&cached->type) == type && type;
}

static __attribute__((noinline)) void *new_slowly(const gari_type *type)
{
    struct gari__object_thread *self = gari__enter("gari_new");
    struct gari__cached *cached = cached_for(self, type);
    void *object = NULL;
    if (is_cached(cached, type) || remember(self, cached, type, "gari_new")) {
        struct gari__shape *shape = cached->shape;
        struct gari__bin *bin = cached->bin;
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
    gari__own_add(&self->heap.tally.allocated_bytes, cached->size);
    struct gari__side *side = bin->side + head;
    uint32_t next = gari__load_relaxed(&side->link);
    bin->free = next;
    uintptr_t origin = bin->origin;
    /* The next one's word: the list may lead anywhere in the block. (Or before it, if there is none.) */
    __builtin_prefetch((void *)(origin + (size_t)next * room), 1);
    gari_object *object = (gari_object *)(origin + (size_t)head * room);
    gari__asan_unpoison(object, room);
    bring_to_life(object, side, stamp, cached->birth_step, room - sizeof(gari_object), NULL, 0);
    return object;
}

/* Bodies that two stores zero. */
#define USUAL_MIN (sizeof(gari_object) + 16)
#define USUAL_MAX (sizeof(gari_object) + 32)

/* Apart, for its call of memset makes the function save all its registers. */
static __attribute__((noinline)) void *new_unusual(struct gari__object_thread *self,
                                                   const struct gari__cached *cached)
{
    struct gari__bin *bin = cached->fast;
    if (cached->room < GARI__SLOT_MIN)
        __builtin_unreachable();
    return new_at_once(self, cached, bin, bin->free, cached->room, bin->stamp);
}

/* What nearly every birth takes: a thread that knows the type has a slot for it, it is time neither
 * for a new stamp nor for a look at the trigger. Everything else goes the long way. */
void *gari_new(const gari_type *type)
{
    GARI__CHECKED_MAKER();
    struct gari__object_thread *self = (struct gari__object_thread *)gari__self;
    if (gari__unlikely(!self))
        return new_slowly(type);
    const struct gari__cached *cached = cached_for(self, type);
    if (gari__unlikely(gari__load_relaxed(&cached->type) != type))
        return new_slowly(type);
    struct gari__bin *bin = cached->fast;
    uint16_t stamp = gari__load_relaxed(&gari__birth_stamp);
    struct gari__births *births = cached->births;
    uint64_t number = gari__load_relaxed(&births->count) + 1;
    uint32_t head = bin->free;
    if (gari__unlikely(!head || bin->stamp != stamp || number >= births->alarm))
        return new_slowly(type);
    gari__store_relaxed(&births->count, number);
    size_t room = cached->room;
    if (gari__likely(room >= USUAL_MIN && room <= USUAL_MAX))
        return new_at_once(self, cached, bin, head, room, stamp);
    return new_unusual(self, cached);
}

void *gari_new_items(const gari_type *type, size_t length)
{
    GARI__CHECKED_MAKER();
    struct gari__object_thread *self = gari__enter("gari_new_items");
    struct gari__cached *cached = cached_for(self, type);
    void *object = NULL;
    if (is_cached(cached, type) || remember(self, cached, type, "gari_new_items")) {
        struct gari__shape *shape = cached->shape;
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
