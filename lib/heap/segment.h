/* Segments: two megabytes of address space, aligned to their size, handed out as runs of pages.
 *
 * The first page of a segment is its header. Its map leads from any object to its block: clear the
 * low bits of the address, index by page. An object too large to share has a segment of its own,
 * longer than two megabytes, and begins within its first two. A segment without a run in use goes
 * back to the system, but for one that is kept so that a heap at its edge does not map and unmap. It goes
 * in pieces if it has small pages, for the system takes 200 microseconds for two megabytes of those. */
#ifndef GARI_HEAP_SEGMENT_H
#define GARI_HEAP_SEGMENT_H

#include "concurrency/atomics.h"

#define GARI__SEGMENT_SIZE ((size_t)1 << 21)
#define GARI__PAGE_SHIFT 13
#define GARI__PAGE_SIZE ((size_t)1 << GARI__PAGE_SHIFT)
#define GARI__PAGES (GARI__SEGMENT_SIZE / GARI__PAGE_SIZE)
/* The longest run that shares a segment; anything longer is mapped on its own. */
#define GARI__RUN_MAX (GARI__PAGES / 2)

struct gari__block;

struct gari__segment {
    struct gari__block *map[GARI__PAGES]; /* set before the block's first object is published */
    uint64_t used[GARI__PAGES / 64]; /* a bit a page; this and the rest under the heap's lock */
    struct gari__segment *next, *prev;
    size_t mapped;
    bool for_one; /* mapped for a single long run, and goes with it */
    bool huge;    /* huge pages have been asked for */
    uint32_t free_pages;
    uint32_t longest_free; /* never less than the longest free run */
};

/* A run of zeroed or used pages with room for `pages`, entered in the map for `block`; NULL when
 * the system has no more or `limit` would be passed (0: none). */
char *gari__run_new(struct gari__block *block, size_t pages, size_t limit);
void gari__run_free(char *run, size_t pages);

/* Gives back a piece of what is leaving; whether there is more. For who has time. */
bool gari__segments_return(void);
/* True: the caller will do that soon, so that who frees runs need not, as long as no more is mapped than segments have ever
 * had. False: he does not come back soon; what is leaving by then is still his. */
void gari__segments_attend(bool attends);

/* Bytes of runs in use now, and the most that ever were. */
size_t gari__heap_bytes(void);
size_t gari__heap_peak_bytes(void);

/* Calls visit for every run in use. During the visits of one segment no run comes or goes; between
 * segments they may, and a segment that is new may be missed. One walk at a time. */
void gari__runs_walk(void (*visit)(struct gari__block *block, void *arg), void *arg);

/* Calls visit for every segment. Returns how many are taken to be without a run. */
unsigned gari__segments_walk(void (*visit)(const struct gari__segment *segment, void *arg),
                             void *arg);

#ifdef GARI_CHECKED
/* Whether the address lies in a segment. */
bool gari__is_heap(const void *address);
#endif

/* Keeps walks out until gari__walks_allow; false when one is under way or wanted. Many threads may
 * keep them out at a time, each for a bounded moment. */
bool gari__walks_bar(void);
void gari__walks_allow(void);
/* Whether somebody keeps them out at this moment. Who begins to later sees what the caller has done before. */
bool gari__walks_barred(void);

/* Waits until nobody keeps walks out, and nobody walks. */
void gari__walks_before_fork(void);
void gari__segments_before_fork(void);
void gari__segments_after_fork(void);

/* Where the segment says which block the object is in. */
static inline struct gari__block *const *gari__map_entry(const void *object)
{
    uintptr_t address = (uintptr_t)object;
    const struct gari__segment *segment =
        (const struct gari__segment *)(address & ~(GARI__SEGMENT_SIZE - 1));
    return &segment->map[(address & (GARI__SEGMENT_SIZE - 1)) >> GARI__PAGE_SHIFT];
}

static inline struct gari__block *gari__block_of(const void *object)
{
    return gari__load_relaxed(gari__map_entry(object));
}

#endif
