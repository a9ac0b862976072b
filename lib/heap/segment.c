#include "lib/heap/segment.h"

#include "concurrency/lock.h"
#include "concurrency/perturb.h"
#include "concurrency/sanitizer.h"
#include "lib/heap/memory.h"

#include <sched.h>

_Static_assert(sizeof(struct gari__segment) <= GARI__PAGE_SIZE, "the header is one page");

/* A heap of that size has huge pages from then on: they make the walks of a large one a fifth faster, and what
 * is not used of the last one is little beside it. So has an object of that size, whatever the heap's. */
#define HUGE_FROM ((size_t)16 << 20)
#define HUGE_OBJECT_FROM ((size_t)4 << 20)

/* Of small pages, at a time: 20 us. */
#define PIECE ((size_t)256 << 10)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gari__segment *segments;
static size_t bytes; /* written under the lock, read without */
static size_t peak;
static unsigned empty_segments;
static struct gari__segment *leaving; /* empty, off the list, and goes back piece by piece */
static size_t listed_bytes,
    most_listed_bytes;       /* mapped for segments on the list, now and at most ever; */
static size_t leaving_bytes; /* and for those that are leaving */
static bool attended;        /* a thread will return them, so that others need not */
static unsigned unmapping;   /* pieces that have been taken, and are still mapped; atomically */
static struct gari__segment *walk_next; /* where a walk in progress goes on */
/* A walk writes, who keeps walks out reads. A walk that waits goes first. */
static pthread_rwlock_t walks = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

#ifdef GARI_CHECKED
/* A bit for each place that a segment can have in 48 bits of address. Atomically. */
static uint64_t places[((uint64_t)1 << 48) / GARI__SEGMENT_SIZE / 64];

bool gari__is_heap(const void *address)
{
    uint64_t place = (uintptr_t)address / GARI__SEGMENT_SIZE;
    return place / 64 < sizeof places / sizeof *places &&
           gari__load_relaxed(&places[place / 64]) >> (place % 64) & 1;
}

static void note_place(const struct gari__segment *segment, bool used)
{
    uint64_t place = (uintptr_t)segment / GARI__SEGMENT_SIZE, bit = (uint64_t)1 << (place % 64);
    if (used)
        gari__fetch_or_acq_rel(&places[place / 64], bit);
    else
        gari__fetch_and_acq_rel(&places[place / 64], ~bit);
}
#else
#define note_place(segment, used) ((void)0)
#endif

static bool page_used(const struct gari__segment *segment, size_t page)
{
    return segment->used[page / 64] >> (page % 64) & 1;
}

/* The first page of a free run of that length, or 0: page 0 is the header and always used. */
static size_t find_run(struct gari__segment *segment, size_t pages)
{
    size_t run = 0, longest = 0;
    for (size_t page = 1; page < GARI__PAGES; page++) {
        if (segment->used[page / 64] == ~(uint64_t)0) {
            run = 0;
            page |= 63;
            continue;
        }
        run = page_used(segment, page) ? 0 : run + 1;
        if (run == pages)
            return page - pages + 1;
        if (run > longest)
            longest = run;
    }
    segment->longest_free = (uint32_t)longest;
    return 0;
}

static void mark_run(struct gari__segment *segment, size_t first, size_t pages, bool used,
                     struct gari__block *block)
{
    for (size_t page = first; page < first + pages; page++) {
        uint64_t bit = (uint64_t)1 << (page % 64);
        if (used)
            segment->used[page / 64] |= bit;
        else
            segment->used[page / 64] &= ~bit;
        gari__store_relaxed(&segment->map[page], block);
    }
}

struct piece {
    char *start;
    size_t size;
};

/* Takes the next piece of what is leaving, of `most` bytes at most; its size is 0 when nothing is. A huge page goes
 * as a whole: it would be broken up first. */
static struct piece take_piece(size_t most)
{
    struct gari__segment *segment = leaving;
    if (!segment)
        return (struct piece){NULL, 0};
    size_t size = segment->huge || segment->mapped < most ? segment->mapped : most;
    segment->mapped -= size;
    leaving_bytes -= size;
    if (segment->mapped == 0)
        leaving = segment->next;
    gari__fetch_add_acq_rel(&unmapping, 1);
    return (struct piece){(char *)segment + segment->mapped, size};
}

/* Without the lock, if it can be: the system takes long for it. */
static void give_back(struct piece piece)
{
    if (piece.size == 0)
        return;
    gari__memory_unmap(piece.start, piece.size);
    /* Release: pairs with gari__segments_before_fork. */
    gari__fetch_sub_acq_rel(&unmapping, 1);
}

static struct gari__segment *map_segment(size_t size)
{
    struct gari__segment *segment = gari__memory_map(size, GARI__SEGMENT_SIZE);
    if (!segment && leaving) {
        while (leaving)
            give_back(take_piece(SIZE_MAX));
        segment = gari__memory_map(size, GARI__SEGMENT_SIZE);
    }
    if (!segment)
        return NULL;
    bool huge = gari__load_relaxed(&bytes) >= HUGE_FROM || size >= HUGE_OBJECT_FROM;
    if (huge) /* before anything is written there */
        gari__memory_huge(segment, size);
    segment->huge = huge;
    gari__lsan_root(segment, size);
    note_place(segment, true);
    segment->mapped = size;
    segment->used[0] = 1;
    segment->free_pages = GARI__PAGES - 1;
    segment->longest_free = GARI__PAGES - 1;
    segment->next = segments;
    if (segments)
        segments->prev = segment;
    segments = segment;
    listed_bytes += size;
    if (listed_bytes > most_listed_bytes)
        most_listed_bytes = listed_bytes;
    return segment;
}

static void unlink_segment(struct gari__segment *segment)
{
    if (walk_next == segment)
        walk_next = segment->next;
    if (segment->prev)
        segment->prev->next = segment->next;
    else
        segments = segment->next;
    if (segment->next)
        segment->next->prev = segment->prev;
    note_place(segment, false);
    gari__lsan_unroot(segment, segment->mapped);
    /* Another mapping may come to lie here, one that is not ours. */
    gari__asan_unpoison(segment, segment->mapped);
}

bool gari__segments_return(void)
{
    gari__mutex_lock(&lock);
    struct piece piece = take_piece(PIECE);
    bool more = leaving != NULL;
    gari__mutex_unlock(&lock);
    give_back(piece);
    return more;
}

void gari__segments_attend(bool attends)
{
    gari__mutex_lock(&lock);
    attended = attends;
    gari__mutex_unlock(&lock);
}

static void account(size_t now)
{
    gari__store_relaxed(&bytes, now);
    if (now > gari__load_relaxed(&peak))
        gari__store_relaxed(&peak, now);
}

static char *new_mapping(struct gari__block *block, size_t pages)
{
    struct gari__segment *segment = map_segment((pages + 1) * GARI__PAGE_SIZE);
    if (!segment)
        return NULL;
    segment->for_one = true;
    segment->free_pages = 0;
    segment->longest_free = 0;
    gari__store_relaxed(&segment->map[1], block);
    return (char *)segment + GARI__PAGE_SIZE;
}

static char *new_run(struct gari__block *block, size_t pages)
{
    struct gari__segment *segment = segments;
    size_t first = 0;
    for (; segment; segment = segment->next) {
        if (segment->longest_free >= pages && (first = find_run(segment, pages)) != 0)
            break;
    }
    if (!segment) {
        segment = map_segment(GARI__SEGMENT_SIZE);
        if (!segment)
            return NULL;
        first = 1;
        empty_segments++;
    }
    if (segment->free_pages == GARI__PAGES - 1)
        empty_segments--;
    mark_run(segment, first, pages, true, block);
    segment->free_pages -= (uint32_t)pages;
    return (char *)segment + first * GARI__PAGE_SIZE;
}

/* The piece that who has just taken or freed so many pages gives back: twice as much, so that it does not pile up. None
 * while somebody attends to it and no more is mapped than there has been in segments. */
static struct piece take_due(size_t pages)
{
    if (attended && listed_bytes + leaving_bytes <= most_listed_bytes)
        return (struct piece){NULL, 0};
    return take_piece(2 * pages * GARI__PAGE_SIZE);
}

char *gari__run_new(struct gari__block *block, size_t pages, size_t limit)
{
    char *run = NULL;
    struct piece piece = {NULL, 0};
    gari__mutex_lock(&lock);
    size_t now = gari__load_relaxed(&bytes) + pages * GARI__PAGE_SIZE;
    if (limit == 0 || now <= limit)
        run = pages > GARI__RUN_MAX ? new_mapping(block, pages) : new_run(block, pages);
    if (run)
        account(now);
    if (run && attended)
        piece = take_due(pages);
    gari__mutex_unlock(&lock);
    give_back(piece);
    return run;
}

void gari__run_free(char *run, size_t pages)
{
    struct gari__segment *segment =
        (struct gari__segment *)((uintptr_t)run & ~(GARI__SEGMENT_SIZE - 1));
    gari__mutex_lock(&lock);
    account(gari__load_relaxed(&bytes) - pages * GARI__PAGE_SIZE);
    bool empty = segment->for_one;
    if (!segment->for_one) {
        mark_run(segment, (size_t)(run - (char *)segment) >> GARI__PAGE_SHIFT, pages, false, NULL);
        segment->free_pages += (uint32_t)pages;
        segment->longest_free = segment->free_pages;
        empty = segment->free_pages == GARI__PAGES - 1;
        if (empty && empty_segments == 0) {
            empty_segments++;
            empty = false;
        }
    }
    if (empty) {
        unlink_segment(segment);
        segment->next = leaving;
        leaving = segment;
        listed_bytes -= segment->mapped;
        leaving_bytes += segment->mapped;
    }
    struct piece piece = segment->for_one ? take_piece(SIZE_MAX) : take_due(pages);
    gari__mutex_unlock(&lock);
    give_back(piece);
}

size_t gari__heap_bytes(void)
{
    return gari__load_relaxed(&bytes);
}

size_t gari__heap_peak_bytes(void)
{
    return gari__load_relaxed(&peak);
}

static void walk_segment(struct gari__segment *segment,
                         void (*visit)(struct gari__block *block, void *arg), void *arg)
{
    struct gari__block *before = NULL;
    for (size_t page = 1; page < GARI__PAGES; page++) {
        struct gari__block *block = gari__load_relaxed(&segment->map[page]);
        if (block && block != before)
            visit(block, arg);
        before = block;
    }
}

/* As a lock of lock.h: a fork waits for those that have begun, and others wait for it. */
static void walk_begin(void)
{
    if (gari__unlikely(gari__load_relaxed(&gari__forking)) && gari__locks_held == 0 &&
        gari__gate_is_shut())
        gari__gate_wait();
    pthread_rwlock_wrlock(&walks);
    gari__locks_held++;
}

void gari__runs_walk(void (*visit)(struct gari__block *block, void *arg), void *arg)
{
    walk_begin();
    gari__mutex_lock(&lock);
    walk_next = segments;
    while (walk_next) {
        struct gari__segment *segment = walk_next;
        walk_next = segment->next;
        walk_segment(segment, visit, arg);
        /* Threads that want a run do not wait for the whole walk. */
        gari__mutex_unlock(&lock);
        gari__mutex_lock(&lock);
    }
    gari__mutex_unlock(&lock);
    gari__locks_held--;
    pthread_rwlock_unlock(&walks);
}

bool gari__walks_barred(void)
{
    if (pthread_rwlock_trywrlock(&walks) != 0)
        return true;
    pthread_rwlock_unlock(&walks);
    return false;
}

bool gari__walks_bar(void)
{
    if (GARI_MUTANT(LATE_IN_WALK))
        return true;
    if (pthread_rwlock_tryrdlock(&walks) != 0)
        return false;
    if (gari__unlikely(gari__load_relaxed(&gari__forking)) && gari__gate_is_shut() &&
        gari__locks_held == 0) {
        pthread_rwlock_unlock(&walks);
        return false;
    }
    gari__locks_held++;
    return true;
}

void gari__walks_allow(void)
{
    if (GARI_MUTANT(LATE_IN_WALK))
        return;
    gari__locks_held--;
    pthread_rwlock_unlock(&walks);
}

unsigned gari__segments_walk(void (*visit)(const struct gari__segment *segment, void *arg),
                             void *arg)
{
    gari__mutex_lock(&lock);
    for (const struct gari__segment *segment = segments; segment; segment = segment->next)
        visit(segment, arg);
    unsigned empty = empty_segments;
    gari__mutex_unlock(&lock);
    return empty;
}

void gari__walks_before_fork(void)
{
    pthread_rwlock_wrlock(&walks);
    pthread_rwlock_unlock(&walks);
}

void gari__segments_before_fork(void)
{
    gari__mutex_pass(&lock);
    /* In the child nobody would unmap them. */
    while (gari__load_acquire(&unmapping))
        sched_yield();
}

void gari__segments_after_fork(void)
{
    gari__mutex_renew(&lock);
    walks = (pthread_rwlock_t)PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
    walk_next = NULL;
    attended = false;
}
