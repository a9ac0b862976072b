/* gari_check_heap: brings everything to rest, takes stock of segments and blocks, and has the parts
 * look at what is in them. */
#include "lib/inspect/check.h"

#include "concurrency/fatal.h"
#include "concurrency/rcu.h"
#include "lib/collector/events.h"
#include "lib/heap/memory.h"
#include "lib/object/finalize.h"
#include "lib/object/limbo.h"

#include <stdarg.h>
#include <stdio.h>

/* Sentences on stderr; more would bury whatever is there to be seen. */
#define MOST_PRINTED 100u

void gari__check_say(struct gari__check *check, const char *format, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    check->found++;
    if (check->how && check->how->report)
        check->how->report(sentence, check->how->arg);
    else if (check->found <= MOST_PRINTED)
        gari__say("gari_check_heap: %s", sentence);
}

/* ---- Segments and blocks ------------------------------------------------------------------- */

static size_t mix(uintptr_t address)
{
    return (size_t)((uint64_t)address * 0x9e3779b97f4a7c15u >> 20);
}

static uintptr_t *segment_place(const struct gari__check *check, uintptr_t base)
{
    size_t at = mix(base) & (check->segment_room - 1);
    while (check->segments[at] && check->segments[at] != base)
        at = (at + 1) & (check->segment_room - 1);
    return &check->segments[at];
}

static struct gari__checked_block *block_place(const struct gari__check *check,
                                               const struct gari__block *block)
{
    size_t at = mix((uintptr_t)block) & (check->block_room - 1);
    while (check->blocks[at].block && check->blocks[at].block != block)
        at = (at + 1) & (check->block_room - 1);
    return &check->blocks[at];
}

struct gari__checked_block *gari__check_block(struct gari__check *check,
                                              const struct gari__block *block)
{
    struct gari__checked_block *place = block ? block_place(check, block) : NULL;
    return place && place->block ? place : NULL;
}

struct gari__checked_block *gari__check_locate(struct gari__check *check, const void *object,
                                               uint32_t *slot)
{
    uintptr_t base = (uintptr_t)object & ~(GARI__SEGMENT_SIZE - 1);
    if (!base || !*segment_place(check, base))
        return NULL;
    struct gari__checked_block *it = gari__check_block(check, gari__block_of(object));
    if (!it || (const char *)object < it->block->base)
        return NULL;
    uint32_t number = gari__slot_of(it->block, object);
    if (number >= it->block->carved || gari__slot_at(it->block, number) != object)
        return NULL;
    *slot = number;
    return it;
}

static void count_blocks(struct gari__block *block, void *arg)
{
    (void)block;
    ((struct gari__check *)arg)->block_count++;
}

static void count_segment(const struct gari__segment *segment, void *arg)
{
    (void)segment;
    ((struct gari__check *)arg)->segment_count++;
}

static size_t room_for(size_t count)
{
    size_t room = 64;
    while (room < 2 * count)
        room *= 2;
    return room;
}

static bool sound_block(struct gari__check *check, const struct gari__segment *segment,
                        const struct gari__block *block, size_t page)
{
    const char *run = (const char *)segment + page * GARI__PAGE_SIZE;
    const char *end = run + (size_t)block->pages * GARI__PAGE_SIZE;
    const struct gari__kind *kind = gari__load_acquire(&block->kind);
    bool shared = block->slots != 1;
    if (!kind || !kind->shape) {
        gari__check_say(check, "the block of the run at %p has no type", (const void *)run);
    } else if (block->run != run || block->pages == 0 || block->base < run || block->base > end ||
               block->slots == 0 || gari__load_relaxed(&block->carved) > block->slots ||
               (shared && (block->slot_size == 0 ||
                           block->base + (size_t)block->slots * block->slot_size > end))) {
        gari__check_say(check, "the block of the run at %p, of type '%s', does not lie in it",
                        (const void *)run, ((const struct gari__shape *)kind->shape)->type.name);
    } else {
        return true;
    }
    return false;
}

static void enter_block(struct gari__check *check, const struct gari__segment *segment,
                        const struct gari__block *block, size_t page)
{
    if (!sound_block(check, segment, block, page))
        return;
    struct gari__checked_block *place = block_place(check, block);
    if (place->block) {
        gari__check_say(check, "the segment at %p leads to one block from two runs",
                        (const void *)segment);
        return;
    }
    place->slots = gari__memory_new(block->slots * sizeof *place->slots);
    check->out_of_memory |= !place->slots;
    place->block = block;
    check->pages += block->pages;
}

static bool runs_as_far_as_it_says(const struct gari__segment *segment,
                                   const struct gari__block *block, size_t page)
{
    size_t end = page + block->pages;
    return block->pages > 0 && end <= GARI__PAGES && segment->map[end - 1] == block &&
           (end == GARI__PAGES || segment->map[end] != block);
}

/* Follows the map of one segment. */
static void take_stock(const struct gari__segment *segment, void *arg)
{
    struct gari__check *check = arg;
    *segment_place(check, (uintptr_t)segment) = (uintptr_t)segment;
    size_t free_pages = 0, run = 0, longest = 0;
    bool pages_agree = true;
    for (size_t page = 1; page < GARI__PAGES; page++) {
        const struct gari__block *block = segment->map[page];
        bool used = segment->used[page / 64] >> (page % 64) & 1;
        pages_agree &= segment->for_one || used == (block != NULL);
        free_pages += !block;
        run = block ? 0 : run + 1;
        longest = run > longest ? run : longest;
        if (block && block != segment->map[page - 1])
            enter_block(check, segment, block, page);
        if (block && block != segment->map[page - 1] && !segment->for_one)
            pages_agree &= runs_as_far_as_it_says(segment, block, page);
    }
    if (segment->next && segment->next->prev != segment)
        gari__check_say(check, "the segment at %p is not linked both ways", (const void *)segment);
    if (segment->for_one) {
        const struct gari__block *block = segment->map[1];
        pages_agree = block && free_pages == GARI__PAGES - 2 &&
                      segment->mapped == ((size_t)block->pages + 1) * GARI__PAGE_SIZE;
    } else {
        pages_agree &= segment->free_pages == free_pages && segment->longest_free >= longest;
        check->empty_segments += free_pages == GARI__PAGES - 1;
    }
    if (!pages_agree)
        gari__check_say(check, "the segment at %p: its used pages, their number and its map differ",
                        (const void *)segment);
}

static bool prepare(struct gari__check *check)
{
    gari__runs_walk(count_blocks, check);
    gari__segments_walk(count_segment, check);
    /* A block that is met twice is entered once. */
    check->block_room = room_for(check->block_count);
    check->segment_room = room_for(check->segment_count);
    check->blocks = gari__memory_new(check->block_room * sizeof *check->blocks);
    check->segments = gari__memory_new(check->segment_room * sizeof *check->segments);
    if (!check->blocks || !check->segments)
        return false;
    unsigned empty = gari__segments_walk(take_stock, check);
    if (!check->out_of_memory && empty != check->empty_segments)
        gari__check_say(check, "%u segments are empty, %u are said to be", check->empty_segments,
                        empty);
    return !check->out_of_memory;
}

static void clean_up(struct gari__check *check)
{
    for (size_t i = 0; check->blocks && i < check->block_room; i++)
        gari__memory_free(check->blocks[i].slots);
    gari__memory_free(check->blocks);
    gari__memory_free(check->segments);
    gari__memory_free(check->visited);
}

/* ---- Statistics ---------------------------------------------------------------------------- */

static void compare(struct gari__check *check, const char *what, uint64_t said, uint64_t found)
{
    if (said != found)
        gari__check_say(check, "the statistics say %llu %s, and there are %llu",
                        (unsigned long long)said, what, (unsigned long long)found);
}

static void check_statistics(struct gari__check *check)
{
    struct gari__tally sum = gari__tally_sum();
    uint64_t allocated = sum.tracked.count + sum.untracked.count;
    struct gari__limbo_stats limbo = gari__limbo_read_stats();
    compare(check, "live objects", allocated - sum.freed_by_count - sum.freed_by_cycles,
            check->live);
    compare(check, "live tracked objects", sum.tracked.count - sum.tracked_freed, check->tracked);
    compare(check, "bytes of live objects", sum.allocated_bytes - sum.freed_bytes,
            check->live_bytes);
    compare(check, "objects that wait for a grace period", limbo.objects, check->limbo_objects);
    compare(check, "bytes that wait for a grace period", limbo.bytes, check->limbo_bytes);
    compare(check, "bytes of heap", gari__heap_bytes(), check->pages * GARI__PAGE_SIZE);
}

/* ---- The call ------------------------------------------------------------------------------ */

static size_t check_all(struct gari__check *check)
{
    size_t found = GARI_UNCHECKED;
    if (prepare(check)) {
        gari__check_places(check);
        gari__check_words(check);
        gari__check_edges(check);
        check_statistics(check);
        if (!check->out_of_memory)
            found = check->found;
    }
    if (found == GARI_UNCHECKED)
        gari__say("gari_check_heap: no memory for the check");
    clean_up(check);
    return found;
}

size_t gari_check_heap(const gari_check *how)
{
    gari__fork_check("gari_check_heap");
    if (how && how->struct_size != sizeof *how)
        gari__fatal("gari_check_heap: initialise the gari_check with GARI_CHECK_INIT");
    if (gari__in_section())
        gari__fatal("gari_check_heap called inside a read section: it may wait for that section to "
                    "end");
    struct gari__object_thread *self = gari__enter("gari_check_heap");
    if (!gari__may_collect(self)) {
        gari__leave(self);
        gari__say("gari_check_heap called from a callback, or by a thread that is going away: "
                  "nothing is checked");
        return GARI_UNCHECKED;
    }
    gari__worker_stop();
    gari__finalizers_stop();
    gari__drive_kept(self);
    gari__collector_lock();
    gari__drive_idle(self);
    struct gari__check check = {.how = how};
    size_t found = check_all(&check);
    gari__collector_unlock();
    gari__worker_allow();
    gari__worker_ensure("gari_check_heap");
    if (gari__finalize_any() && !gari__load_relaxed(&gari__finalize_queued_only))
        gari__upcall_finalizers();
    gari__events_deliver(self);
    gari__leave(self);
    return found;
}
