/* Blocks: runs of pages carved into slots of one size for objects of one type.
 *
 * The descriptor lies outside the run and is never given back to the system, so a stale pointer to
 * it is always readable. The run begins with two side arrays, then come the slots:
 *
 *   side[slots]            the object's birth stamp, and the index of the next slot in whatever list
 *                          a dead or free one is in. So no list of objects ever needs memory, and a
 *                          free slot's body is never touched.
 *   candidates             before it, backwards, so that it is found without the number of slots: a bit a
 *                          slot: the collector should look at the object (a hint: it may point at a
 *                          slot that has been freed or reused since)
 *
 * A block has an owner while it is some thread's current block for its type; otherwise none. Only
 * the owner takes slots; anybody puts them back, through `freed`, whose one word holds list, length
 * and state:
 *
 *   OWNED     the owner's; he takes the list when his own is empty
 *   FULL      nobody's, too few slots free to be worth adopting
 *   PARTIAL   nobody's, listed with its kind; the next thread that needs slots adopts it, and when
 *             every slot is free the run goes back to its segment
 *
 * Invariants: in FULL and PARTIAL, live + dead and waiting + freed list = carved. A block is not
 * given back while it is held: while a pass of the collector has a scratch array here (so what it
 * examines stays readable and of this type), or the block is on one of the candidates' lists. */
#ifndef GARI_HEAP_BLOCK_H
#define GARI_HEAP_BLOCK_H

#include "concurrency/lock.h"
#include "lib/heap/segment.h"

/* Runs of objects that wait for the same thing, linked through side[]. */
enum gari__waits {
    GARI__DYING,      /* count zero, not yet taken apart */
    GARI__LIMBO,      /* taken apart, waiting for a grace period */
    GARI__RIPE,       /* the same, and it has passed: nobody else can see them (object/late.h) */
    GARI__UNFINISHED, /* alive, held by the queue of finalizers */
    GARI__WAITS
};

/* The two passes of the collector that may be open side by side. */
enum gari__passes { GARI__YOUNG, GARI__OLD, GARI__PASSES };

/* Both atomically: read beside the owner. */
struct gari__side {
    uint16_t link; /* index + 1 of the next slot, or 0 */
    uint16_t birth;
};

struct gari__kind {
    const void *shape;  /* what the object layer knows of the type */
    bool tracked;       /* its objects can be in cycles */
    bool unobserved;    /* they have slots, and nobody is told of their death */
    uint32_t slot_size; /* 0: every block holds one object of a size of its own */
    uint32_t first_pages;
    pthread_mutex_t lock; /* partial, empty, and a block's way in and out of PARTIAL */
    struct gari__block *partial;
    unsigned empty; /* blocks in partial with every slot free */
    struct gari__kind *next;
};

struct gari__block {
    /* What every visit of an object needs, in one cache line. */
    char *base;
    struct gari__kind *kind; /* atomically: a stale reader may meet a descriptor in its next life */
    struct gari__side *side;
    uint32_t *scratch[GARI__PASSES]; /* the open passes' tables; written under the kind's lock */
    uint32_t slot_size;
    uint32_t slots;
    uint32_t reciprocal; /* 2^32 / slot_size, rounded up; 0 for a single slot */
    uint32_t carved;     /* slots that have ever been handed out: their words are valid */
    uint16_t last_birth; /* the newest stamp in side[]; the owner's; read by others, atomically */
    bool tracked;        /* this and the next as the kind says */
    bool unobserved;
    /* Whether the collector is at the block, or will be; each by itself, and all at a look; atomically. */
    union {
        struct {
            bool
                dirty; /* on the stack of blocks with new candidates (object/candidate.c), or settled */
            bool gathered; /* on a list of the collector's (collector/seeds.c), under its lock */
            bool scratched[GARI__PASSES]; /* scratch is not NULL */
        };
        uint32_t busy;
    };

    uint64_t freed; /* atomically */
    char *run;
    uint32_t pages;
    bool zeroed;        /* the slots have never been used: their bodies are zero */
    bool in_partial;    /* this and the next three under the kind's lock */
    bool counted_empty; /* in kind->empty */
    struct gari__block *partial_next, *partial_prev;

    /* Lists of waiting objects: head and "this block is listed" in one word (waiting.c). */
    uint32_t waiting[GARI__WAITS];
    struct gari__block *waiting_next[GARI__WAITS];
    /* The part of the limbo list whose grace period runs (limbo.c); guarded by being in a batch. */
    struct gari__block *batch_next;
    uint32_t batch_head;
    bool in_batch;
    /* By slot: what object/weak.c knows of the object's weak references. Made at the first one in the
     * block, goes with it. Atomically. */
    void **weak;
    /* How much of a single, very large object has been taken apart; the death's owner's. */
    size_t resume;

    /* Candidates (object/candidate.c, collector/seeds.c). */
    bool
        gathered_young; /* has got new candidates since; this and the next under the collector's lock */
    uint8_t gathered_list;
    uint32_t gathered_turn;
    bool settled; /* all in it is old, and gathered: new candidates are no news; atomically */
    struct gari__block *dirty_next;
    struct gari__block *gathered_next, *gathered_prev;
    /* Blocks in which a pass has a scratch array. */
    struct gari__block *touched_next[GARI__PASSES];
#ifdef GARI_CHECKED
    struct gari__checked *checked; /* by slot (object/checked_slots.h); goes with it. Atomically */
#endif
};

#define GARI__FREED_HEAD(freed) ((uint32_t)((freed)&0xffff))
#define GARI__FREED_COUNT(freed) ((uint32_t)((freed) >> 16 & 0xffff))
#define GARI__FREED_STATE(freed) ((uint32_t)((freed) >> 32))
#define GARI__FREED(state, count, head)                                                            \
    ((uint64_t)(state) << 32 | (uint64_t)(count) << 16 | (uint64_t)(head))
enum gari__block_states { GARI__OWNED, GARI__FULL, GARI__PARTIAL };

/* Objects larger than this have a block of their own. */
#define GARI__SLOT_MAX 8192u
#define GARI__SLOT_MIN 16u
/* Where in its pages such an object begins. */
#define GARI__SINGLE_AT 64u

/* A new block, OWNED, with no slot carved; NULL when there is no memory or the limit forbids it. */
struct gari__block *gari__block_new(struct gari__kind *kind, size_t slot_size, size_t pages,
                                    size_t limit);

/* Prepares up to `wanted` slots that were never used: word zero, linked from *head. */
void gari__block_carve(struct gari__block *block, uint32_t wanted, uint32_t *head);

/* Puts `count` slots back, linked from index head to index tail. Any thread. The memory may be gone
 * when it returns. */
void gari__block_free(struct gari__block *block, uint32_t head, uint32_t tail, uint32_t count);

/* Takes the list of freed slots; the caller owns the block. Returns its head, or 0. */
uint32_t gari__block_take_freed(struct gari__block *block);

/* Gives up ownership of a block without free slots of the owner's. False when slots have come back
 * meanwhile: the block stays owned. */
bool gari__block_disown_full(struct gari__block *block);

/* Gives up ownership together with the owner's free slots (head 0: none). */
void gari__block_disown(struct gari__block *block, uint32_t head);

/* Adopts a partly used block of the kind, or NULL; its freed list is still to be taken. */
struct gari__block *gari__block_adopt(struct gari__kind *kind);

/* Gives a scratch array (atomically, so that a release sees the hold), or takes it away. Removing
 * the last hold may give the block back. */
void gari__block_set_scratch(struct gari__block *block, int pass, uint32_t *scratch);
/* To be called when a block of that kind has left the candidates' lists; it may be gone already. */
void gari__block_unhold(struct gari__kind *kind, struct gari__block *block);

/* Whether no pass of the collector is at any object of the block: none has a scratch array there, and
 * no candidate of the block waits for one. */
static inline bool gari__block_is_quiet(const struct gari__block *block)
{
    /* A candidate goes from dirty to gathered to scratched, and each is true before the one before it
     * is false. Acquire: pairs with what the collector did before it took the last one down. */
    return gari__load_acquire(&block->busy) == 0;
}

/* Gives the kind's spare empty blocks back. */
void gari__kind_trim(struct gari__kind *kind);

void gari__kind_before_fork(struct gari__kind *kind, void *unused);
void gari__kind_after_fork(struct gari__kind *kind, void *unused);
void gari__blocks_before_fork(void);
void gari__blocks_after_fork(void);

/* The word of the candidates' bits that has the slot's. */
static inline uint64_t *gari__candidates_of(const struct gari__block *block, uint32_t slot)
{
    return (uint64_t *)(void *)block->side - 1 - slot / 64;
}

static inline uint32_t gari__slot_of(const struct gari__block *block, const void *object)
{
    uint64_t offset = (uint64_t)((const char *)object - block->base);
    return (uint32_t)(offset * block->reciprocal >> 32);
}

static inline void *gari__slot_at(const struct gari__block *block, uint32_t slot)
{
    return block->base + (size_t)slot * block->slot_size;
}

#endif
