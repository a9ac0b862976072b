#include "lib/heap/memory.h"

#include "concurrency/fault.h"

#include <stdlib.h>
#include <sys/mman.h>

void *gari__memory_new(size_t size)
{
    return gari__fault(GARI__FAULT_TABLE) ? NULL : calloc(1, size);
}

void *gari__memory_resize(void *memory, size_t size)
{
    return gari__fault(GARI__FAULT_TABLE) ? NULL : realloc(memory, size);
}

void gari__memory_free(void *memory)
{
    free(memory);
}

void *gari__memory_map(size_t size, size_t alignment)
{
    if (gari__fault(GARI__FAULT_PAGES) || size > SIZE_MAX - alignment)
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

void gari__memory_huge(void *memory, size_t size)
{
    (void)madvise(memory, size, MADV_HUGEPAGE);
}

void gari__memory_unmap(void *memory, size_t size)
{
    munmap(memory, size);
}
