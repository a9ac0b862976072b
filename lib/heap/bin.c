#include "lib/heap/bin.h"

#include "lib/heap/memory.h"

/* Carving more at once would touch memory long before it is needed: of a type of which a thread has but a
 * few objects, perhaps never. */
#define CARVE_FIRST 2048u
#define CARVE_BYTES 8192u

struct gari__bin *gari__bin_find(struct gari__heap_thread *self, struct gari__kind *kind)
{
    struct gari__bin **list = &self->bins[(uintptr_t)kind / 64 % GARI__BIN_LISTS];
    struct gari__bin *bin = gari__memory_new(sizeof *bin);
    if (!bin)
        return NULL;
    bin->kind = kind;
    bin->slot_size = kind->slot_size;
    bin->next_pages = kind->first_pages;
    bin->next = *list;
    *list = bin;
    return bin;
}

static void use_block(struct gari__bin *bin, struct gari__block *block)
{
    bin->block = block;
    bin->side = block->side - 1;
    bin->origin = (uintptr_t)block->base - bin->slot_size;
    bin->stamp = gari__load_relaxed(&block->last_birth);
    bin->free = 0;
}

static bool refill_from_block(struct gari__bin *bin)
{
    bin->free = gari__block_take_freed(bin->block);
    if (bin->free == 0) {
        bool first = gari__load_relaxed(&bin->block->carved) == 0;
        uint32_t wanted = (first ? CARVE_FIRST : CARVE_BYTES) / bin->slot_size;
        uint32_t head = 0;
        gari__block_carve(bin->block, wanted ? wanted : 1, &head);
        /* Release: in the child of a fork no slot is listed here that has not been carved. */
        gari__store_release(&bin->free, head);
    }
    return bin->free != 0;
}

bool gari__bin_refill_own(struct gari__bin *bin)
{
    return bin->block && refill_from_block(bin);
}

bool gari__bin_refill(struct gari__bin *bin, size_t limit)
{
    while (bin->block) {
        if (refill_from_block(bin))
            return true;
        if (gari__block_disown_full(bin->block))
            bin->block = NULL;
    }
    struct gari__block *block = gari__block_adopt(bin->kind);
    if (!block) {
        block = gari__block_new(bin->kind, bin->slot_size, bin->next_pages, limit);
        if (!block)
            return false;
        if (bin->next_pages < GARI__BLOCK_PAGES)
            bin->next_pages *= 2;
        if (bin->next_pages > GARI__BLOCK_PAGES)
            bin->next_pages = GARI__BLOCK_PAGES;
    }
    use_block(bin, block);
    return refill_from_block(bin);
}

struct gari__block *gari__block_for_one(struct gari__kind *kind, size_t size, size_t limit)
{
    struct gari__block *block = gari__block_new(kind, size, 0, limit);
    if (block) {
        uint32_t head = 0;
        gari__block_carve(block, 1, &head);
        gari__store_release(&block->freed, GARI__FREED(GARI__FULL, 0, 0));
    }
    return block;
}

void gari__bins_disown(struct gari__heap_thread *self)
{
    for (size_t i = 0; i < GARI__BIN_LISTS; i++) {
        for (struct gari__bin *bin = self->bins[i]; bin; bin = bin->next) {
            struct gari__block *block = bin->block;
            uint32_t head = bin->free;
            /* First: in the child of a fork what is listed here is nobody else's. */
            bin->free = 0;
            bin->block = NULL;
            bin->next_pages = bin->kind->first_pages;
            if (block)
                gari__block_disown(block, head);
        }
    }
}

static bool has_block(const struct gari__heap_thread *thread, const struct gari__bin *like)
{
    const struct gari__bin *bin = NULL;
    if (thread)
        bin = thread->bins[(uintptr_t)like->kind / 64 % GARI__BIN_LISTS];
    while (bin && bin->kind != like->kind)
        bin = bin->next;
    return bin && bin->block == like->block;
}

void gari__bins_after_fork(struct gari__heap_thread *gone, const struct gari__heap_thread *self)
{
    for (size_t i = 0; i < GARI__BIN_LISTS; i++) {
        for (struct gari__bin *bin = gone->bins[i]; bin; bin = bin->next) {
            /* It may have been about to forget a block that it had given up; then its own list is empty,
             * and the block may have another owner, or another kind, by now. */
            if (bin->block &&
                (gari__load_relaxed(&bin->block->kind) != bin->kind || has_block(self, bin) ||
                 GARI__FREED_STATE(gari__load_relaxed(&bin->block->freed)) != GARI__OWNED)) {
                bin->block = NULL;
                bin->free = 0;
            }
        }
    }
    gari__bins_disown(gone);
}

struct gari__tally gari__tally_sum(void)
{
    struct gari__tally sum = {0};
    /* A record keeps its tally when the next thread takes it over, so nothing is ever missing. */
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        const struct gari__tally *tally = &((struct gari__heap_thread *)t)->tally;
        sum.untracked.count += gari__load_relaxed(&tally->untracked.count);
        sum.allocated_bytes += gari__load_relaxed(&tally->allocated_bytes);
        sum.tracked.count += gari__load_relaxed(&tally->tracked.count);
        sum.freed_by_count += gari__load_relaxed(&tally->freed_by_count);
        sum.freed_by_cycles += gari__load_relaxed(&tally->freed_by_cycles);
        sum.freed_bytes += gari__load_relaxed(&tally->freed_bytes);
        sum.tracked_freed += gari__load_relaxed(&tally->tracked_freed);
    }
    return sum;
}
