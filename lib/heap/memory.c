#include "lib/heap/memory.h"

#include "concurrency/atomics.h"

#include <stdlib.h>
#include <sys/mman.h>

static long fail_at;
static long calls;

static bool must_fail(void)
{
    long call = gari__fetch_add_relaxed(&calls, 1) + 1;
    long nth = gari__load_relaxed(&fail_at);
    return gari__unlikely(nth != 0 && call >= nth);
}

void *gari__memory_new(size_t size)
{
    return must_fail() ? NULL : calloc(1, size);
}

void *gari__memory_resize(void *memory, size_t size)
{
    return must_fail() ? NULL : realloc(memory, size);
}

void gari__memory_free(void *memory)
{
    free(memory);
}

void *gari__memory_map(size_t size, size_t alignment)
{
    if (must_fail() || size > SIZE_MAX - alignment)
        return NULL;
    size_t room = size + alignment;
    char *start = mmap(NULL, room, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    size_t before = (alignment - (uintptr_t)start % alignment) % alignment;
    if (before)
        munmap(start, before);
    if (room - before > size)
        munmap(start + before + size, room - before - size);
    return start + before;
}

void gari__memory_unmap(void *memory, size_t size)
{
    munmap(memory, size);
}

void gari__memory_fail_at(long nth)
{
    gari__store_relaxed(&calls, 0);
    gari__store_relaxed(&fail_at, nth);
}

long gari__memory_calls(void)
{
    return gari__load_relaxed(&calls);
}
