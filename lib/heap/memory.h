/* Every byte that gari takes from the system comes through here: for objects by mapping, for tables
 * from malloc; one place, where a test can make it fail (concurrency/fault.h). */
#ifndef GARI_HEAP_MEMORY_H
#define GARI_HEAP_MEMORY_H

#include <stddef.h>

/* Zeroed memory, or NULL. */
void *gari__memory_new(size_t size);
/* realloc's contract; the memory beyond the old size is not zeroed. */
void *gari__memory_resize(void *memory, size_t size);
void gari__memory_free(void *memory);

/* Zeroed pages aligned to `alignment` (a power of two, at least a page), or NULL. */
void *gari__memory_map(size_t size, size_t alignment);
/* Asks the system for huge pages there; it need not. */
void gari__memory_huge(void *memory, size_t size);
void gari__memory_unmap(void *memory, size_t size);

#endif
