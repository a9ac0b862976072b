/* The heap's check: what its parts share.
 *
 *   check.c          brings everything to rest, finds segments and blocks, reports
 *   check_places.c   every slot is in one place: alive, or in one list
 *   check_words.c    what the words, ages, candidates and weak references of objects say
 *   check_edges.c    counts against edges
 *
 * Nobody else is at work meanwhile, so what is read is exact. What is read may be corrupt: nothing is
 * followed that has not been seen to lie where it must. */
#ifndef GARI_INSPECT_CHECK_H
#define GARI_INSPECT_CHECK_H

#include "lib/collector/collector.h"

enum gari__places {
    GARI__NOWHERE, /* in no list: alive */
    GARI__FREE,
    GARI__IN_DYING,
    GARI__IN_LIMBO,     /* or past it, and not yet taken apart */
    GARI__IN_UNFINISHED /* alive, to be finalized */
};

struct gari__checked_slot {
    uint32_t edges;  /* fields that refer to the object */
    uint32_t own;    /* references of gari's own */
    uint32_t weak;   /* weak references and entries that hold its control block */
    uint8_t place;   /* one of gari__places */
    bool unreadable; /* its length is corrupt */
};

struct gari__checked_block {
    const struct gari__block *block;
    struct gari__checked_slot *slots;
    bool owned;                                         /* a bin has it */
    bool partial;                                       /* its kind lists it, */
    bool dirty, gathered, in_batch, waits[GARI__WAITS]; /* and these lists */
};

struct gari__check {
    const gari_check *how;
    size_t found;
    bool out_of_memory;
    /* By address, a power of two long. */
    struct gari__checked_block *blocks;
    size_t block_count, block_room;
    uintptr_t *segments;
    size_t segment_count, segment_room;
    unsigned empty_segments;
    uint64_t pages;
    uint64_t live, live_bytes, tracked; /* alive or not yet taken apart */
    uint64_t limbo_objects, limbo_bytes;
    gari_slot **visited; /* the fields that a traverse has named */
    size_t visited_count, visited_room;
};

/* An inconsistency: a sentence. */
__attribute__((cold, format(printf, 2, 3))) void gari__check_say(struct gari__check *check,
                                                                 const char *format, ...);

/* "object at 0x... of type '...'", as arguments of the sentence. */
#define GARI__OBJECT_FORMAT "the object at %p of type '%s'"
#define GARI__OBJECT_ARGS(block, slot)                                                             \
    gari__slot_at((block), (slot)), gari__check_shape(block)->type.name

struct gari__checked_block *gari__check_block(struct gari__check *check,
                                              const struct gari__block *block);
/* The block and slot of an object, or NULL when there is none at that address. */
struct gari__checked_block *gari__check_locate(struct gari__check *check, const void *object,
                                               uint32_t *slot);

static inline const struct gari__shape *gari__check_shape(const struct gari__block *block)
{
    return gari__load_acquire(&block->kind)->shape;
}

static inline uint64_t gari__check_word(const struct gari__block *block, uint32_t slot)
{
    return gari__load_acquire((const uint64_t *)gari__slot_at(block, slot));
}

void gari__check_places(struct gari__check *check);
void gari__check_words(struct gari__check *check);
void gari__check_edges(struct gari__check *check);

#endif
