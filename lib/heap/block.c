#include "lib/heap/block.h"

#include "concurrency/perturb.h"
#include "concurrency/sanitizer.h"
#include "lib/heap/memory.h"

#include <assert.h>
#include <string.h>

#define DESCRIPTORS_AT_ONCE 32

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct gari__block *pool;

static struct gari__block *descriptor_new(void)
{
    gari__mutex_lock(&pool_lock);
    if (!pool) {
        struct gari__block *more =
            gari__memory_new(DESCRIPTORS_AT_ONCE * sizeof(struct gari__block));
        for (int i = 0; more && i < DESCRIPTORS_AT_ONCE; i++) {
            more[i].partial_next = pool;
            pool = &more[i];
        }
    }
    struct gari__block *block = pool;
    if (block)
        pool = block->partial_next;
    gari__mutex_unlock(&pool_lock);
    return block;
}

static void descriptor_free(struct gari__block *block)
{
    gari__mutex_lock(&pool_lock);
    block->partial_next = pool;
    pool = block;
    gari__mutex_unlock(&pool_lock);
}

static size_t candidates_bytes(size_t slots)
{
    return (slots + 63) / 64 * sizeof(uint64_t);
}

static size_t side_bytes(size_t slots)
{
    return (candidates_bytes(slots) + slots * sizeof(struct gari__side) + 63) & ~(size_t)63;
}

static size_t slots_in(size_t bytes, size_t slot_size)
{
    size_t slots = bytes / slot_size;
    while (side_bytes(slots) + slots * slot_size > bytes)
        slots--;
    return slots;
}

struct gari__block *gari__block_new(struct gari__kind *kind, size_t slot_size, size_t pages,
                                    size_t limit)
{
    size_t slots = 1;
    if (pages == 0)
        pages = (side_bytes(1) + slot_size + GARI__PAGE_SIZE - 1) >> GARI__PAGE_SHIFT;
    else
        slots = slots_in(pages << GARI__PAGE_SHIFT, slot_size);
    struct gari__block *block = descriptor_new();
    if (!block)
        return NULL;
    /* Before the run is in the map: a walk must not take the last life's slots for this one's. */
    gari__store_relaxed(&block->carved, 0);
    char *run = gari__run_new(block, pages, limit);
    if (!run) {
        descriptor_free(block);
        return NULL;
    }
    block->run = run;
    block->pages = (uint32_t)pages;
    block->side = (struct gari__side *)(void *)(run + candidates_bytes(slots));
    block->base = run + side_bytes(slots);
    assert(slots > 1 || block->base == run + GARI__SINGLE_AT);
    block->slot_size = (uint32_t)(slots == 1 ? 0 : slot_size);
    block->slots = (uint32_t)slots;
    memset(run, 0, candidates_bytes(slots));
    block->reciprocal =
        slots == 1 ? 0 : (uint32_t)((((uint64_t)1 << 32) + slot_size - 1) / slot_size);
    block->zeroed = pages > GARI__RUN_MAX;
    block->resume = 0;
    gari__store_relaxed(&block->weak, NULL);
    block->tracked = kind->tracked;
    block->unobserved = kind->unobserved;
    gari__store_relaxed(&block->freed, GARI__FREED(GARI__OWNED, 0, 0));
    gari__store_release(&block->kind, kind);
    return block;
}

void gari__block_carve(struct gari__block *block, uint32_t wanted, uint32_t *head)
{
    uint32_t first = gari__load_relaxed(&block->carved);
    uint32_t end = block->slots - first < wanted ? block->slots : first + wanted;
    for (uint32_t slot = end; slot > first; slot--) {
        gari__store_relaxed((uint64_t *)gari__slot_at(block, slot - 1), 0);
        gari__store_relaxed(&block->side[slot - 1].link, (uint16_t)*head);
        *head = slot;
    }
    /* Release: whoever walks the carved slots sees their words. */
    gari__store_release(&block->carved, end);
}

static bool is_held(struct gari__block *block)
{
    return gari__load_relaxed(&block->scratch[GARI__YOUNG]) ||
           gari__load_relaxed(&block->scratch[GARI__OLD]) || gari__load_acquire(&block->dirty) ||
           gari__load_relaxed(&block->gathered);
}

static void unlink_partial(struct gari__kind *kind, struct gari__block *block)
{
    if (block->partial_prev)
        block->partial_prev->partial_next = block->partial_next;
    else
        kind->partial = block->partial_next;
    if (block->partial_next)
        block->partial_next->partial_prev = block->partial_prev;
    block->partial_next = block->partial_prev = NULL;
    block->in_partial = false;
    if (block->counted_empty)
        kind->empty--;
    block->counted_empty = false;
}

static void link_partial(struct gari__kind *kind, struct gari__block *block)
{
    block->partial_next = kind->partial;
    block->partial_prev = NULL;
    if (kind->partial)
        kind->partial->partial_prev = block;
    kind->partial = block;
    block->in_partial = true;
}

/* Brings the kind's list up to date with the block's state; does nothing when another thread has
 * done so already, whatever has become of the block since. `spares` empty blocks of a kind stay. */
static void settle(struct gari__kind *kind, struct gari__block *block, unsigned spares)
{
    bool release = false;
    gari__mutex_lock(&kind->lock);
    /* First the kind (acquire: pairs with gari__block_new), then the state: a descriptor in its next
     * life must not be taken for a partial block because its state was read in the last one. */
    bool same = gari__load_acquire(&block->kind) == kind;
    uint64_t freed = gari__load_acquire(&block->freed);
    if (same && GARI__FREED_STATE(freed) == GARI__PARTIAL) {
        bool empty = GARI__FREED_COUNT(freed) == gari__load_relaxed(&block->carved);
        if (!block->in_partial)
            link_partial(kind, block);
        if (empty && !block->counted_empty) {
            block->counted_empty = true;
            kind->empty++;
        }
        release = empty && kind->empty > spares && !is_held(block);
        if (release) {
            unlink_partial(kind, block);
            gari__store_relaxed(&block->kind, NULL);
        }
    }
    gari__mutex_unlock(&kind->lock);
    if (release) {
        gari__memory_free(block->weak);
#ifdef GARI_CHECKED
        gari__memory_free(block->checked);
        gari__store_release(&block->checked, NULL);
#endif
        gari__asan_unpoison(block->run, block->pages * GARI__PAGE_SIZE);
        gari__run_free(block->run, block->pages);
        descriptor_free(block);
    }
}

/* One empty block stays, so that a type at a block's edge does not come and go; an object with a
 * block of its own goes back to the system at once. */
static unsigned spares_of(const struct gari__kind *kind)
{
    return kind->slot_size != 0;
}

/* Whether a block that nobody owns has enough free slots to be worth adopting. */
static bool worth_listing(const struct gari__block *block, uint32_t count)
{
    return count >= (block->slots + 7) / 8 || count == gari__load_relaxed(&block->carved);
}

/* Mutant: one in 64 of the lists that are put back into an owned block is forgotten. */
static bool lose(uint32_t state)
{
    static uint64_t calls;
    return state == GARI__OWNED && gari__fetch_add_relaxed(&calls, 1) % 64 == 0;
}

void gari__block_free(struct gari__block *block, uint32_t head, uint32_t tail, uint32_t count)
{
    /* Read now: once the slots are back the block may be released and the descriptor reused. */
    struct gari__kind *kind = gari__load_relaxed(&block->kind);
    uint64_t old = gari__load_relaxed(&block->freed);
    uint64_t now;
    uint32_t total, state;
    bool empty;
    if (GARI_MUTANT(LOST_FREE) && lose(GARI__FREED_STATE(old)))
        return;
    do {
        gari__store_relaxed(&block->side[tail - 1].link, (uint16_t)GARI__FREED_HEAD(old));
        total = GARI__FREED_COUNT(old) + count;
        state = GARI__FREED_STATE(old);
        if (state == GARI__FULL && worth_listing(block, total))
            state = GARI__PARTIAL;
        empty = total == gari__load_relaxed(&block->carved);
        now = GARI__FREED(state, total, head);
        /* Release: whoever takes the list sees the slots' words and links. */
    } while (!gari__cas_acq_rel(&block->freed, &old, now));
    if (state == GARI__PARTIAL && (empty || GARI__FREED_STATE(old) == GARI__FULL))
        settle(kind, block, spares_of(kind));
}

uint32_t gari__block_take_freed(struct gari__block *block)
{
    if (GARI__FREED_HEAD(gari__load_relaxed(&block->freed)) == 0)
        return 0;
    return GARI__FREED_HEAD(gari__exchange_acq_rel(&block->freed, GARI__FREED(GARI__OWNED, 0, 0)));
}

bool gari__block_disown_full(struct gari__block *block)
{
    uint64_t owned = GARI__FREED(GARI__OWNED, 0, 0);
    return gari__cas_strong_acq_rel(&block->freed, &owned, GARI__FREED(GARI__FULL, 0, 0));
}

void gari__block_disown(struct gari__block *block, uint32_t head)
{
    struct gari__kind *kind = gari__load_relaxed(&block->kind);
    uint32_t tail = 0, count = 0;
    for (uint32_t slot = head; slot; slot = gari__load_relaxed(&block->side[slot - 1].link)) {
        tail = slot;
        count++;
    }
    uint64_t old = gari__load_relaxed(&block->freed);
    uint32_t state, total;
    do {
        total = GARI__FREED_COUNT(old) + count;
        if (tail)
            gari__store_relaxed(&block->side[tail - 1].link, (uint16_t)GARI__FREED_HEAD(old));
        /* Slots that were never carved can be adopted too. */
        bool list = worth_listing(block, total + block->slots - gari__load_relaxed(&block->carved));
        state = list ? GARI__PARTIAL : GARI__FULL;
    } while (!gari__cas_acq_rel(&block->freed, &old,
                                GARI__FREED(state, total, head ? head : GARI__FREED_HEAD(old))));
    if (state == GARI__PARTIAL)
        settle(kind, block, spares_of(kind));
}

struct gari__block *gari__block_adopt(struct gari__kind *kind)
{
    gari__mutex_lock(&kind->lock);
    struct gari__block *block = kind->partial;
    if (block) {
        unlink_partial(kind, block);
        uint64_t old = gari__load_relaxed(&block->freed);
        while (!gari__cas_acq_rel(
            &block->freed, &old,
            GARI__FREED(GARI__OWNED, GARI__FREED_COUNT(old), GARI__FREED_HEAD(old))))
            ;
    }
    gari__mutex_unlock(&kind->lock);
    return block;
}

void gari__block_set_scratch(struct gari__block *block, int pass, uint32_t *scratch)
{
    struct gari__kind *kind = gari__load_relaxed(&block->kind);
    gari__mutex_lock(&kind->lock);
    gari__store_relaxed(&block->scratch[pass], scratch);
    /* Release: pairs with gari__block_is_quiet. */
    gari__store_release(&block->scratched[pass], scratch != NULL);
    gari__mutex_unlock(&kind->lock);
    if (!scratch)
        settle(kind, block, spares_of(kind));
}

void gari__block_unhold(struct gari__kind *kind, struct gari__block *block)
{
    settle(kind, block, spares_of(kind));
}

void gari__kind_trim(struct gari__kind *kind)
{
    for (;;) {
        gari__mutex_lock(&kind->lock);
        struct gari__block *block = kind->partial;
        while (block && (!block->counted_empty || is_held(block)))
            block = block->partial_next;
        gari__mutex_unlock(&kind->lock);
        if (!block)
            return;
        settle(kind, block, 0);
    }
}

void gari__kind_before_fork(struct gari__kind *kind, void *unused)
{
    (void)unused;
    gari__mutex_pass(&kind->lock);
}

void gari__kind_after_fork(struct gari__kind *kind, void *unused)
{
    (void)unused;
    gari__mutex_renew(&kind->lock);
}

void gari__blocks_before_fork(void)
{
    gari__mutex_pass(&pool_lock);
}

void gari__blocks_after_fork(void)
{
    gari__mutex_renew(&pool_lock);
}
