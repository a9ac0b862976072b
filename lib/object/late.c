#include "lib/object/late.h"

#include "lib/object/count.h"
#include "lib/object/death.h"
#include "lib/object/edges.h"
#include "lib/object/free.h"
#include "lib/object/waiting.h"

#include <limits.h>

/* Objects that have been found and not yet looked at; what exceeds it waits in the blocks. */
#define ROOM 256u
/* Exclusive objects that cost as much as one edge that is counted down. */
#define CHEAP 4u
/* What one root may stand for: so many of them fill a batch (limbo.c). */
#define LOAD ((size_t)4 << 10)

struct late {
    struct gari__object_thread *self;
    gari_object *stack[ROOM + 1]; /* from 1 on; NULL is below it */
    unsigned depth;
    unsigned left;                    /* of the budget, in exclusive objects */
    bool upwards;                     /* what is taken apart was built from its leaves */
    uint64_t objects, tracked, bytes; /* that have gone, but for those in the run; with the roots */
    struct gari__free_run run;
};

void gari__late_retire(struct gari__object_thread *self, gari_object *object)
{
    const struct gari__shape *shape = gari__shape_of(object);
    gari__checked_death(object);
    GARI_OBSERVE(shape, object);
    struct gari__tally *tally = &self->heap.tally;
    gari__own_add(&tally->freed_by_count, 1);
    gari__own_add(&tally->freed_bytes, gari__size_of(shape, object));
    gari__own_add(&tally->tracked_freed, 1);
    self->late_waiting = true;
    GARI_PERTURB_EACH("reap.retire");
    gari__death_retire(self, object);
    self->run_load += LOAD;
}

/* An exclusive object is left for later: from now on it is dead for everybody. */
static void leave(struct late *late, gari_object *object)
{
    struct gari__block *block = gari__block_of(object);
    uint32_t slot = gari__slot_of(block, object) + 1;
    uint64_t word = gari__load_relaxed(gari__word_of(object));
    gari__checked_death(object);
    gari__store_release(gari__word_of(object), word & ~GARI__COUNT_MASK);
    const struct gari__shape *shape = gari__shape_of_block(block);
    GARI_OBSERVE(shape, object);
    late->objects++;
    late->tracked += shape->tracked;
    late->bytes += gari__size_of(shape, object);
    struct gari__tally *tally = &late->self->heap.tally;
    gari__own_add(&tally->limbo_in, 1);
    gari__own_add(&tally->limbo_in_bytes, gari__slot_bytes(block));
    gari__waiting_push(GARI__RIPE, block, slot, slot);
}

/* The same in a block of unobserved objects. `word` was read before. */
static GARI__INLINE bool is_exclusive_there(const struct gari__block *block, uint64_t word)
{
    const uint64_t odd =
        GARI__COUNT_MASK | GARI__IMMORTAL | GARI__HAS_WEAK | GARI__UNFINALIZED | GARI__SHARED;
    return (word & odd) == GARI__COUNT_ONE &&
           (GARI_MUTANT(LATE_UNQUIET) || gari__block_is_quiet(block));
}

static GARI__INLINE bool is_exclusive(const struct gari__block *block, uint64_t word)
{
    return is_exclusive_there(block, word) && block->unobserved;
}

static __attribute__((noinline)) void count_down(struct late *late, gari_object *target)
{
    struct gari__object_thread *self = late->self;
    gari__section_begin();
    GARI_PERTURB_EACH("reap.count");
    bool died = gari__count_down(self, target, "the death of an object that refers to it");
    gari__section_end();
    if (died)
        gari__death_push(self, target);
    late->left -= late->left < CHEAP ? late->left : CHEAP;
}

/* There is no room or no time for it now. */
static void put_off(struct late *late, gari_object *object)
{
    struct gari__block *block = gari__block_of(object);
    /* Acquire: as in look_at. */
    uint64_t word = gari__load_acquire(gari__word_of(object));
    if (is_exclusive(block, word))
        leave(late, object);
    else
        count_down(late, object);
}

static GARI__INLINE void find(gari_slot *slot, void *arg)
{
    struct late *late = arg;
    gari_object *target = gari__load_relaxed(&slot->pointer);
    if (!target)
        return;
    gari__checked_visit(slot, target);
    gari__checked_no_edge(target);
    __builtin_prefetch(target, 1);
    if (gari__likely(late->depth < ROOM))
        late->stack[++late->depth] = target;
    else
        put_off(late, target);
}

/* Books what is in the run and puts it back. */
static __attribute__((noinline)) void flush(struct late *late)
{
    if (late->run.count == 0)
        return;
    const struct gari__shape *shape = gari__shape_of_block(late->run.block);
    late->objects += late->run.count;
    late->tracked += shape->tracked ? late->run.count : 0;
    if (!shape->has_items)
        late->bytes += late->run.count * shape->type.size;
    gari__free_run_flush(&late->run);
}

/* The number of the field that is visited when `done` have been: what is visited last is next. */
static GARI__INLINE uint32_t field_at(uint32_t done, uint32_t fields, bool upwards)
{
    return upwards ? done : fields - 1 - done;
}

/* Nobody sees the object any more: its edges are only looked at, and what they lead to is next. */
static GARI__INLINE void take_apart(struct late *late, struct gari__block *block,
                                    const struct gari__shape *shape, gari_object *object)
{
    gari__checked_apart(shape, object);
    if (gari__likely(shape->plain)) {
        for (uint32_t done = 0, fields = shape->type.refs.count; done < fields; done++) {
            uint32_t at = field_at(done, fields, late->upwards);
            find((gari_slot *)(void *)((char *)object + shape->type.refs.offset[at]), late);
        }
    } else if (shape->tracked) {
        gari__edges(shape, object, 0, SIZE_MAX, find, late);
    }
    if (gari__unlikely(shape->has_items))
        late->bytes += gari__size_of(shape, object);
    gari__free_body(block, shape, object, gari__load_relaxed(gari__word_of(object)));
    struct gari__free_run *run = &late->run;
    struct gari__side *side = block->side;
    uint32_t slot = gari__slot_of(block, object);
    if (gari__unlikely(block != run->block || run->count == 0)) {
        flush(late);
        *run = (struct gari__free_run){block, 0, slot + 1, 0};
    }
    bool last = !late->upwards && run->count > 0;
    gari__store_relaxed(&side[slot].link, (uint16_t)(last ? 0 : run->head));
    if (last) {
        gari__store_relaxed(&side[run->tail - 1].link, (uint16_t)(slot + 1));
        run->tail = slot + 1;
    } else {
        run->head = slot + 1;
    }
    run->count++;
    late->left -= late->left > 0; /* what was put off may have used it up */
}

/* Slots are to be handed out in the order in which the next structure of this form asks for them, so that
 * it lies in memory in the order in which it is built and walked, and the one after it again. Built from
 * the root, each object before what it refers to, the first field first: then they are visited in this
 * order and put behind each other. From the leaves, the root last: then the last field first, each before
 * the others. Which it was is told by where the root lies, because it was so before. */
static bool was_built_upwards(const struct gari__shape *shape, const gari_object *root)
{
    for (uint32_t at = 0; shape->plain && at < shape->type.refs.count; at++) {
        const char *field = (const char *)root + shape->type.refs.offset[at];
        const gari_object *target =
            gari__load_relaxed(&((const gari_slot *)(const void *)field)->pointer);
        if (target)
            return (uintptr_t)target < (uintptr_t)root;
    }
    return false;
}

/* An object of any kind. */
static __attribute__((noinline)) void look_at(struct late *late, gari_object *object)
{
    struct gari__block *block = gari__block_of(object);
    GARI_PERTURB_EACH("late.look");
    /* Acquire: pairs with the updates of those who once had a reference to it, and gave it on. */
    uint64_t word = gari__load_acquire(gari__word_of(object));
    if (gari__unlikely(!is_exclusive(block, word))) {
        count_down(late, object);
        return;
    }
    const struct gari__shape *shape = gari__shape_of_block(block);
    gari__checked_death(object);
    GARI_PERTURB_STEP(EXCLUSIVE);
    GARI_OBSERVE(shape, object);
    take_apart(late, block, shape, object);
}

/* Takes apart what has been found, at most `most` objects, as long as it is exclusive and lies in that
 * block, of a shape with its references in so many fields at fixed offsets: the same as look_at, with all
 * that is the block's, or the run's, at hand. Nearly everything goes this way: what is built together
 * lies together. */
static GARI__INLINE void look_at_many(struct late *late, struct gari__block *block,
                                      const struct gari__shape *shape, uint32_t most,
                                      const bool upwards, const uint32_t fields)
{
    if (block != late->run.block || late->run.count == 0) {
        flush(late);
        late->run = (struct gari__free_run){block, 0, 0, 0};
    }
    char *const base = block->base;
    const uint64_t bytes = (uint64_t)block->slots * block->slot_size;
    const uint64_t reciprocal = block->reciprocal;
    struct gari__side *const side = block->side;
    const uint32_t *const offsets = shape->type.refs.offset;
    gari_object **top = late->stack + late->depth + 1;
    /* Upwards the list grows at its head, otherwise at its tail. */
    uint32_t head = late->run.head;
    struct gari__side first = {0, 0};
    struct gari__side *last = late->run.count ? &side[late->run.tail - 1] : &first;
    uint32_t first_slot = gari__slot_of(block, top[-1]);
    uint32_t left = most;

    gari_object *object = *--top;
    while (left > 0) {
        uint64_t offset = (uintptr_t)object - (uintptr_t)base;
        if (gari__unlikely(offset >= bytes))
            break;
        GARI_PERTURB_EACH("late.look");
        /* Acquire: as in look_at. */
        uint64_t word = gari__load_acquire(gari__word_of(object));
        if (gari__unlikely(!is_exclusive_there(block, word)))
            break;
        gari__checked_death(object);
        GARI_PERTURB_STEP(EXCLUSIVE);
        GARI_OBSERVE(shape, object);
        gari__checked_apart(shape, object);
        /* Not by way of the stack: the look at the next waits for nothing but the field. */
        gari_object *next = NULL;
        for (uint32_t done = 0; done < fields; done++) {
            uint32_t at = offsets[field_at(done, fields, upwards)];
            gari_slot *field = (gari_slot *)(void *)((char *)object + at);
            gari_object *target = gari__load_relaxed(&field->pointer);
            if (!target)
                continue;
            gari__checked_visit(field, target);
            gari__checked_no_edge(target);
            __builtin_prefetch(target, 1);
            if (next)
                *top++ = next;
            next = target;
        }
        gari__free_body(block, shape, object, word);
        uint32_t slot = (uint32_t)(offset * reciprocal >> 32);
        if (upwards) {
            gari__store_relaxed(&side[slot].link, (uint16_t)head);
            head = slot + 1;
        } else {
            gari__store_relaxed(&last->link, (uint16_t)(slot + 1));
            last = &side[slot];
        }
        left--;
        object = next ? next : *--top;
    }

    *top = object;
    late->depth = (unsigned)(top - late->stack);
    if (left == most) {
        look_at(late, late->stack[late->depth--]);
        return;
    }
    if (!upwards) {
        gari__store_relaxed(&last->link, 0);
        head = late->run.count ? head : first.link;
        late->run.tail = (uint32_t)(last - side) + 1;
    } else if (late->run.count == 0) {
        late->run.tail = first_slot + 1;
    }
    late->run.head = head;
    late->run.count += most - left;
    late->left -= most - left;
}

/* Each by itself, for the sake of its registers; with two fields, which is what lists and trees have, the
 * loop over them is none. */
typedef void look(struct late *late, struct gari__block *block, const struct gari__shape *shape,
                  uint32_t most);

static __attribute__((noinline)) void look_down_pairs(struct late *late, struct gari__block *block,
                                                      const struct gari__shape *shape,
                                                      uint32_t most)
{
    look_at_many(late, block, shape, most, false, 2);
}

static __attribute__((noinline)) void look_up_pairs(struct late *late, struct gari__block *block,
                                                    const struct gari__shape *shape, uint32_t most)
{
    look_at_many(late, block, shape, most, true, 2);
}

static __attribute__((noinline)) void look_down(struct late *late, struct gari__block *block,
                                                const struct gari__shape *shape, uint32_t most)
{
    look_at_many(late, block, shape, most, false, shape->type.refs.count);
}

static __attribute__((noinline)) void look_up(struct late *late, struct gari__block *block,
                                              const struct gari__shape *shape, uint32_t most)
{
    look_at_many(late, block, shape, most, true, shape->type.refs.count);
}

/* Takes apart the next of what has been found, and what comes after it. */
static void look_on(struct late *late)
{
    static look *const looks[2][2] = {{look_down, look_up}, {look_down_pairs, look_up_pairs}};
    struct gari__block *block = gari__block_of(late->stack[late->depth]);
    const struct gari__shape *shape = gari__shape_of_block(block);
    uint32_t fields = shape->type.refs.count;
    bool simple = (shape->plain || !shape->tracked) && !shape->has_items && block->unobserved;
    /* So many that their targets do not fill the stack. */
    uint32_t most = fields ? (ROOM - late->depth) / fields : late->left;
    if (!simple || most == 0)
        look_at(late, late->stack[late->depth--]);
    else
        looks[fields == 2][late->upwards](late, block, shape,
                                          most < late->left ? most : late->left);
}

/* The rest of a list of dead objects. */
static void put_back(struct gari__block *block, uint32_t slot)
{
    uint32_t tail = slot, after;
    while ((after = gari__load_relaxed(&block->side[tail - 1].link)) != 0)
        tail = after;
    gari__waiting_push(GARI__RIPE, block, slot, tail);
}

/* The roots died, for the statistics, when they were retired, and were in limbo since. */
static void book(const struct late *late, const struct gari__shape *shape, uint64_t roots,
                 uint64_t bytes, uint64_t slot_bytes)
{
    struct gari__tally *tally = &late->self->heap.tally;
    gari__own_add(&tally->freed_by_count, late->objects - roots);
    gari__own_add(&tally->freed_bytes, late->bytes - bytes);
    /* What was put off may be untracked. */
    gari__own_add(&tally->tracked_freed, late->tracked - (shape->tracked ? roots : 0));
    gari__own_add(&tally->limbo_out_bytes, roots * slot_bytes);
    /* Release: as in limbo.c. */
    gari__store_release(&tally->limbo_out, tally->limbo_out + roots);
}

size_t gari__late_free(struct gari__object_thread *self, struct gari__block *block, uint32_t slot,
                       size_t budget)
{
    if (!gari__walks_bar()) {
        put_back(block, slot);
        return 0;
    }
    struct late late;
    late.self = self;
    late.depth = 0;
    late.stack[0] = NULL;
    late.left = (unsigned)(budget < UINT_MAX / CHEAP ? budget : UINT_MAX / CHEAP) * CHEAP;
    late.objects = late.tracked = late.bytes = 0;
    late.upwards = false;
    late.run.count = 0;
    late.run.block = NULL;
    unsigned all = late.left;
    GARI_PERTURB_STEP(LATE);
    const struct gari__shape *shape = gari__shape_of_block(block);
    uint64_t roots = 0, root_bytes = 0, slot_bytes = gari__slot_bytes(block);
    while (late.left > 0) {
        if (late.depth > 0) {
            look_on(&late);
        } else if (slot) {
            gari_object *object = gari__slot_at(block, slot - 1);
            slot = gari__load_relaxed(&block->side[slot - 1].link);
            roots++;
            root_bytes += gari__size_of(shape, object);
            late.upwards = was_built_upwards(shape, object);
            take_apart(&late, block, shape, object);
        } else {
            break;
        }
    }
    budget -= (all - late.left) / CHEAP;
    while (late.depth > 0)
        put_off(&late, late.stack[late.depth--]);
    gari__walks_allow();
    if (slot)
        put_back(block, slot);
    /* From here on the blocks may go. */
    flush(&late);
    book(&late, shape, roots, root_bytes, slot_bytes);
    return budget;
}
