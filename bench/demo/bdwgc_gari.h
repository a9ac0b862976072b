/* As much of lib/gari.h as the package graph needs, on bdwgc: the compiler reads it in its place
 * (-include), so that the very same graph and lookups run on another collector.
 *
 * Nothing is counted, so objects have no header; what gives references back does nothing; objects
 * without references are allocated as such (GC_MALLOC_ATOMIC), which spares bdwgc from scanning
 * them. A borrowed pointer is on the stack, where bdwgc finds it. */
#ifndef GARI_H
#define GARI_H

#define GC_THREADS 1
#include <gc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gari_object {
} gari_object;

#define GARI_REF(T) T *
#define GARI_ROOT(T) T *

typedef struct gari_type {
    size_t size;
    bool refs;
    struct {
        size_t length_offset, offset, size;
        bool are_refs;
    } items;
    void (*reclaim)(void *self); /* never called: it only wipes what a reader must not meet */
} gari_type;

#define GARI_TYPE(T, ...)                                                                          \
    {                                                                                              \
        .size = sizeof(T), __VA_ARGS__                                                             \
    }
#define GARI_REFS(...) true
#define GARI_REF_ITEMS(T, LENGTH, ITEMS) GARI_ITEMS_(T, LENGTH, ITEMS, true)
#define GARI_ITEMS(T, LENGTH, ITEMS) GARI_ITEMS_(T, LENGTH, ITEMS, false)
#define GARI_ITEMS_(T, LENGTH, ITEMS, REFS)                                                        \
    {                                                                                              \
        offsetof(T, LENGTH), offsetof(T, ITEMS), sizeof(((T *)0)->ITEMS[0]), REFS                  \
    }

static inline void *gari_new(const gari_type *type)
{
    return type->refs ? GC_MALLOC(type->size) : GC_MALLOC_ATOMIC(type->size);
}

static inline void *gari_new_items(const gari_type *type, size_t length)
{
    size_t size = type->items.offset + length * type->items.size;
    if (size < type->size)
        size = type->size;
    bool scanned = type->refs || type->items.are_refs;
    char *object = scanned ? GC_MALLOC(size) : GC_MALLOC_ATOMIC(size);
    if (object)
        *(size_t *)(void *)(object + type->items.length_offset) = length;
    return object;
}

#define gari_incref(p) (p)
#define gari_decref(p) ((void)(p))
#define gari_try_incref(p) ((void)(p), true)
#define gari_borrow(f) __atomic_load_n(f, __ATOMIC_ACQUIRE)
#define gari_init(f, p) ((void)(*(f) = (p)))
#define gari_move(f, p) __atomic_store_n(f, p, __ATOMIC_RELEASE)
#define gari_read_begin() ((void)0)
#define gari_read_end() ((void)0)

#endif
