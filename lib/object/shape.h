/* Shapes: what gari keeps of a gari_type, made at its first use, with the kinds of block that its
 * objects live in: one for a type of fixed size, one for each size class of a variable-length type,
 * and one for objects so large that each has a block of its own. */
#ifndef GARI_OBJECT_SHAPE_H
#define GARI_OBJECT_SHAPE_H

#include "lib/gari.h"
#include "lib/heap/bin.h"

#define GARI__SIZE_CLASSES 36

struct gari__shape {
    gari_type type;            /* a copy, so that hot paths read one place */
    const gari_type *identity; /* NULL: retired; atomically */
    void *library;             /* keeps the object file of the descriptor loaded; or NULL */
    bool tracked;
    bool has_items;
    bool plain;      /* all its references are in fields at fixed offsets */
    bool late;       /* GARI_TYPE_LATE */
    bool unobserved; /* nobody is told of a death: no finalize, dispose, reclaim */
    uint64_t
        birth_step; /* from a free slot's word, which is its version, to a newborn's: the next one */
#ifdef GARI_PERTURB
    void (*observe)(void *self); /* instead of dispose: gari__plain */
#endif
    struct gari__shape *next;
    struct gari__kind single;                      /* objects larger than GARI__SLOT_MAX */
    struct gari__kind classes[GARI__SIZE_CLASSES]; /* [0] alone for a type of fixed size */
};

/* Some type is GARI_TYPE_LATE. Atomically. */
extern bool gari__late_used;
/* Some type is GARI_TYPE_HOT. Atomically. */
extern bool gari__hot_used;

/* The type's shape; NULL when there is no memory. A wrong type is fatal; `call` names the API
 * function for the sentence. */
struct gari__shape *gari__shape_find(const gari_type *type, const char *call);

/* The kind for objects of `size` bytes: slots of that size or of the class above it. */
struct gari__kind *gari__shape_kind(struct gari__shape *shape, size_t size);

/* The same, but NULL for a type that has not been used. */
struct gari__shape *gari__shape_known(const gari_type *type);
/* No object of the type is left, nor memory of one. */
void gari__shape_retire(struct gari__shape *shape);

/* Calls visit for every kind of every shape. */
void gari__kinds_walk(void (*visit)(struct gari__kind *kind, void *arg), void *arg);

void gari__shapes_before_fork(void);
void gari__shapes_after_fork(void);

static inline const struct gari__shape *gari__shape_of_block(struct gari__block *block)
{
    return gari__load_relaxed(&block->kind)->shape;
}

static inline const struct gari__shape *gari__shape_of(const void *object)
{
    return gari__shape_of_block(gari__block_of(object));
}

/* Items of a variable-length object: set before it is published, never changed. */
static inline size_t gari__length_of(const struct gari__shape *shape, const void *object)
{
    return *(const size_t *)(const void *)((const char *)object + shape->type.items.length_offset);
}

static inline size_t gari__size_of(const struct gari__shape *shape, const void *object)
{
    if (!shape->has_items)
        return shape->type.size;
    size_t size =
        shape->type.items.offset + gari__length_of(shape, object) * (size_t)shape->type.items.size;
    return size < shape->type.size ? shape->type.size : size;
}

#endif
