/* What the sanitizers, and valgrind in the build for it, cannot see by themselves; empty in other
 * builds. */
#ifndef GARI_CONCURRENCY_SANITIZER_H
#define GARI_CONCURRENCY_SANITIZER_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GARI__TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define GARI__ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define GARI__TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#define GARI__ASAN 1
#endif

#ifdef GARI__TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define gari__tsan_acquire(p) __tsan_acquire(p)
#define gari__tsan_release(p) __tsan_release(p)
#else
#define gari__tsan_acquire(p) ((void)(p))
#define gari__tsan_release(p) ((void)(p))
#endif

#ifdef GARI__ASAN
void __asan_poison_memory_region(void const volatile *address, size_t size);
void __asan_unpoison_memory_region(void const volatile *address, size_t size);
void __lsan_register_root_region(const void *address, size_t size);
void __lsan_unregister_root_region(const void *address, size_t size);
/* A free slot may not be touched; its word, which outlives it, may (R7). */
#define gari__asan_poison(p, n) __asan_poison_memory_region((p), (n))
#define gari__asan_unpoison(p, n) __asan_unpoison_memory_region((p), (n))
/* Users' heap memory may hang from objects in memory that LeakSanitizer does not scan. */
#define gari__lsan_root(p, n) __lsan_register_root_region((p), (n))
#define gari__lsan_unroot(p, n) __lsan_unregister_root_region((p), (n))
#else
#ifdef GARI_VALGRIND
#include <valgrind/memcheck.h>
/* The same for memcheck. Leaks it sees by itself: it scans all memory that is mapped. */
#define gari__asan_poison(p, n) VALGRIND_MAKE_MEM_NOACCESS((p), (n))
#define gari__asan_unpoison(p, n) VALGRIND_MAKE_MEM_DEFINED((p), (n))
#else
#define gari__asan_poison(p, n) ((void)(p), (void)(n))
#define gari__asan_unpoison(p, n) ((void)(p), (void)(n))
#endif
#define gari__lsan_root(p, n) ((void)(p), (void)(n))
#define gari__lsan_unroot(p, n) ((void)(p), (void)(n))
#endif

#endif
