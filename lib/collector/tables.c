/* The tables of a pass: objects to be walked, members, and the blocks' scratch arrays; and what a pass
 * does when the system has no memory for them. It goes on with what it has, and with a reserve that one
 * pass at a time may have: with a smaller set. What does not fit is taken for something outside, which
 * can only keep garbage, and its candidates stay candidates. */
#include "lib/collector/pass.h"
#include "lib/heap/memory.h"

#include <string.h>

#define RESERVED_OBJECTS 4096u /* in the queue, and as members */
#define RESERVED_SLOTS 32768u  /* of blocks */
/* Candidates are taken until their blocks have so many of these; the rest is for what they reach. */
#define SLOTS_FOR_SEEDS (RESERVED_SLOTS / 4)

/* Static, and not touched until it is needed. Under the collector's lock. */
static struct {
    const struct gari__pass *owner;
    gari_object *stack[RESERVED_OBJECTS];
    struct gari__member members[RESERVED_OBJECTS];
    uint32_t scratch[RESERVED_SLOTS];
    size_t scratch_used;
    bool was_short; /* a pass was, since the last whole one that was not */
} reserve;

static bool take_reserve(struct gari__pass *pass)
{
    pass->memory_short = true;
    if (!reserve.owner)
        reserve.owner = pass;
    return reserve.owner == pass;
}

/* The table of `count` elements with more room than *room, which it brings up to date: twice as much,
 * `first` at the beginning, or what is reserved. NULL: neither is to be had. */
static void *grow(struct gari__pass *pass, void *table, void *reserved, size_t count, size_t size,
                  size_t first, size_t *room)
{
    size_t wanted = *room ? *room * 2 : first;
    void *grown = table == reserved ? gari__memory_new(wanted * size)
                                    : gari__memory_resize(table, wanted * size);
    if (!grown && (!take_reserve(pass) || *room >= RESERVED_OBJECTS))
        return NULL;
    *room = grown ? wanted : RESERVED_OBJECTS;
    bool moved = !grown || table == reserved;
    if (!grown)
        grown = reserved;
    if (moved && count)
        memcpy(grown, table, count * size);
    if (moved && table != reserved)
        gari__memory_free(table);
    return grown;
}

bool gari__queue_grow(struct gari__pass *pass)
{
    struct gari__queue *queue = &pass->queue;
    gari_object **stack = grow(pass, queue->stack, reserve.stack, queue->count,
                               sizeof *queue->stack, 1024, &queue->room);
    if (stack)
        queue->stack = stack;
    return stack != NULL;
}

bool gari__members_grow(struct gari__pass *pass)
{
    struct gari__member *members = grow(pass, pass->members, reserve.members, pass->member_count,
                                        sizeof *members, 256, &pass->member_room);
    if (members)
        pass->members = members;
    return members != NULL;
}

static uint32_t *reserved_scratch(struct gari__pass *pass, size_t slots)
{
    if (!take_reserve(pass) || slots > RESERVED_SLOTS - reserve.scratch_used)
        return NULL;
    uint32_t *scratch = &reserve.scratch[reserve.scratch_used];
    reserve.scratch_used += slots;
    memset(scratch, 0, slots * sizeof *scratch);
    return scratch;
}

/* All objects begin between the first slot and the last. */
static void note_windows(struct gari__pass *pass, const struct gari__block *block)
{
    uintptr_t first = (uintptr_t)block->base;
    uintptr_t last = first + (size_t)(block->slots - 1) * block->slot_size;
    for (uintptr_t window = first >> GARI__WINDOW_SHIFT; window <= last >> GARI__WINDOW_SHIFT;
         window++)
        pass->windows[window % GARI__WINDOWS / 64] |= (uint64_t)1 << (window % 64);
}

uint32_t *gari__scratch_new(struct gari__pass *pass, struct gari__block *block)
{
    uint32_t *scratch = gari__memory_new(block->slots * sizeof *scratch);
    if (!scratch)
        scratch = reserved_scratch(pass, block->slots);
    if (!scratch) {
        pass->undecided = true;
        return NULL;
    }
    gari__block_set_scratch(block, pass->which, scratch);
    block->touched_next[pass->which] = pass->touched;
    pass->touched = block;
    pass->blocks++;
    note_windows(pass, block);
    return scratch;
}

void gari__scratch_free(uint32_t *scratch)
{
    if (scratch < reserve.scratch || scratch >= reserve.scratch + RESERVED_SLOTS)
        gari__memory_free(scratch);
}

bool gari__tables_take_seeds(const struct gari__pass *pass)
{
    return reserve.owner != pass || reserve.scratch_used <= SLOTS_FOR_SEEDS;
}

bool gari__tables_were_short(void)
{
    return reserve.was_short;
}

void gari__tables_end(struct gari__pass *pass)
{
    /* A large table is not kept for the next pass. */
    if (pass->queue.room > 65536 || pass->queue.stack == reserve.stack) {
        if (pass->queue.stack != reserve.stack)
            gari__memory_free(pass->queue.stack);
        pass->queue.stack = NULL;
        pass->queue.room = 0;
    }
    if (pass->member_room > 65536 || pass->members == reserve.members) {
        if (pass->members != reserve.members)
            gari__memory_free(pass->members);
        pass->members = NULL;
        pass->member_room = 0;
    }
    if (pass->memory_short || pass->whole)
        reserve.was_short = pass->memory_short;
    if (reserve.owner == pass) {
        reserve.owner = NULL;
        reserve.scratch_used = 0;
    }
}
