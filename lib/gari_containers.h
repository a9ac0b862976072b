/* Containers of gari objects: immutable bytes, fixed array, growable list, hash map.
 *
 *   gari_map *users = gari_map_new();
 *   gari_map_put(users, gari_key_string("ana"), ana);      // the map has its own reference
 *   struct user *user = gari_map_get(users, gari_key_string("ana"));   // owned, or NULL
 *
 * Each is an ordinary gari object: made with count 1, counted with gari_incref and gari_decref, kept
 * in fields, part of cycles, collected. What is put into one is copied: the container takes a
 * reference of its own and the caller keeps his. The caller owns what he puts in, and holds the
 * container itself (owned or borrowed), until the call returns. NULL is no element, no key and no
 * value (EINVAL); the fields of a fixed array alone can be empty.
 *
 * Threads. Every function may be called by any thread at any time, also inside a read section.
 * Reading never waits and never writes to the container. Threads that write to the same list or map
 * take turns; no call that is made while one has its turn allocates or calls back, so dispose
 * callbacks, finalizers and comparisons may use the same container. Functions whose comment says
 * nothing else take effect at one moment between call and return. docs/containers.md says why all
 * of this is safe beside a running collection.
 *
 * Memory. Functions that return int return 0 or an error number; ENOMEM leaves the container as it
 * was. Functions that make an object return NULL when there is no memory. Removing never fails for
 * want of memory. */
#ifndef GARI_CONTAINERS_H
#define GARI_CONTAINERS_H

#include "gari.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Bytes -------------------------------------------------------------------------------- */

/* Immutable bytes, followed by a zero that does not count: a string, if there is no zero in them.
 * A leaf: never looked at by the collector. */
typedef struct gari_bytes {
    gari_object header;
} gari_bytes;

/* A copy of `length` bytes at data (which may be NULL if there are none). New, owned. */
GARI_API gari_bytes *gari_bytes_new(const void *data, size_t length);

/* A copy of a C string. New, owned. */
GARI_API gari_bytes *gari_bytes_from_string(const char *string);

/* What printf would print. New, owned; NULL also when the format is refused by the C library. */
GARI_API gari_bytes *gari_bytes_format(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* a's bytes and then b's. New, owned. O(length). */
GARI_API gari_bytes *gari_bytes_concat(const gari_bytes *a, const gari_bytes *b);

/* The bytes from number `from` to before number `to`; both are cut to the length, and if from is not
 * less than to there are none. New, owned. O(to - from). */
GARI_API gari_bytes *gari_bytes_slice(const gari_bytes *bytes, size_t from, size_t to);

/* Valid as long as the object is held. */
GARI_API const char *gari_bytes_data(const gari_bytes *bytes);
GARI_API size_t gari_bytes_length(const gari_bytes *bytes);

GARI_API bool gari_bytes_equal(const gari_bytes *a, const gari_bytes *b);

/* Below, at or above 0, as memcmp orders them; a prefix comes first. */
GARI_API int gari_bytes_compare(const gari_bytes *a, const gari_bytes *b);

/* SipHash-1-3 (J.-P. Aumasson, D. J. Bernstein, 2012) under a random key of the process, so that
 * nobody outside can choose keys that collide. Computed once for each object. */
GARI_API uint64_t gari_bytes_hash(const gari_bytes *bytes);

/* ---- Fixed array -------------------------------------------------------------------------- */

/* `length` reference fields, at first NULL. */
typedef struct gari_array {
    gari_object header;
} gari_array;

/* New, owned; NULL also when the size overflows. */
GARI_API gari_array *gari_array_new(size_t length);
GARI_API size_t gari_array_length(const gari_array *array);

/* The field with that number, for all operations of gari.h: gari_store(gari_array_at(a, 3), p),
 * gari_load(gari_array_at(a, 3)). Valid while the array is held. An index out of range is fatal. */
GARI_API gari_ref *gari_array_at(gari_array *array, size_t index);

/* ---- List --------------------------------------------------------------------------------- */

/* A growable list, numbered from 0. */
typedef struct gari_list {
    gari_object header;
} gari_list;

#define GARI_NOT_FOUND SIZE_MAX

/* An empty list. New, owned. */
GARI_API gari_list *gari_list_new(void);

/* O(1). A hint when others change the list. */
GARI_API size_t gari_list_length(gari_list *list);

/* The element with that number, owned; NULL when there is none. O(1). */
GARI_API void *gari_list_get(gari_list *list, size_t index);

/* The same, borrowed, inside a read section. */
GARI_API void *gari_list_borrow(gari_list *list, size_t index);

/* Puts object at the end. O(1) amortised. 0, EINVAL, ENOMEM. */
GARI_API int gari_list_append(gari_list *list, void *object);

/* Puts object before the element with that number, or at the end if index is the length. O(length).
 * 0, EINVAL, ENOMEM, or ERANGE when index is greater than the length. */
GARI_API int gari_list_insert(gari_list *list, size_t index, void *object);

/* Replaces the element with that number. O(1). 0, EINVAL, or ERANGE when there is none. */
GARI_API int gari_list_set(gari_list *list, size_t index, void *object);

/* Removes the last element and returns it, owned; NULL when the list is empty. O(1) amortised. */
GARI_API void *gari_list_pop(gari_list *list);

/* Removes the element with that number and returns it, owned; NULL when there is none. O(length).
 * (This and the next two: if there is no memory, the elements behind it are shifted in place, and
 * who reads meanwhile may see one of them twice or miss one.) */
GARI_API void *gari_list_take(gari_list *list, size_t index);

/* The same without the element. 0, or ERANGE when there is none. */
GARI_API int gari_list_erase(gari_list *list, size_t index);

/* Removes the first element that is this object (not one equal to it). 0, or ENOENT. */
GARI_API int gari_list_remove(gari_list *list, const void *object);

/* The number of the first element that is this object, or GARI_NOT_FOUND. O(length). */
GARI_API size_t gari_list_index(gari_list *list, const void *object);
GARI_API bool gari_list_contains(gari_list *list, const void *object);

/* Makes room for that many elements in all, so that no append before needs memory. 0, ENOMEM. */
GARI_API int gari_list_reserve(gari_list *list, size_t room);

/* Appends what `other` has at one moment; it may be the list itself. O(both). 0, ENOMEM. */
GARI_API int gari_list_extend(gari_list *list, gari_list *other);

/* Replaces `count` elements from number `at` on (fewer, where the list ends) with what `other` has
 * at one moment; NULL: with nothing. O(both). 0, ENOMEM, ERANGE when at is greater than the
 * length. */
GARI_API int gari_list_splice(gari_list *list, size_t at, size_t count, gari_list *other);

/* A new list of the elements from number `from` to before number `to`, cut like gari_bytes_slice.
 * Owned. O(to - from). */
GARI_API gari_list *gari_list_slice(gari_list *list, size_t from, size_t to);

/* A new array of the elements, owned. O(length). */
GARI_API gari_array *gari_list_to_array(gari_list *list);

/* Sorts, stably. compare(a, b, arg) is below, at or above 0; it runs without a lock on objects that
 * it may use as if owned. O(length log length) comparisons, and twice the list's size in memory
 * meanwhile. 0, ENOMEM, or EBUSY when others changed the list during each of eight attempts (it is
 * then as they left it). */
GARI_API int gari_list_sort(gari_list *list, int (*compare)(void *a, void *b, void *arg),
                            void *arg);

/* Turns the list round. O(length). 0, ENOMEM, EBUSY as above. */
GARI_API int gari_list_reverse(gari_list *list);

/* Empties the list. */
GARI_API void gari_list_clear(gari_list *list);

/* Iteration, also beside threads that change the list. Every element that is in the list from begin
 * to end is met exactly once; one that is put in or taken out meanwhile, once or not at all.
 *
 *   gari_list_iter it;
 *   gari_list_iter_begin(&it, list);
 *   while (gari_list_iter_next(&it))
 *       use(it.value);
 *   gari_list_iter_end(&it);
 *
 * value is owned by the iterator, until its next step or end. The list may be dropped meanwhile. An
 * iterator is one thread's. It keeps memory of the list, so it must be ended. */
typedef struct gari_list_iter {
    void *value;
    void *store_;
    size_t next_, end_;
} gari_list_iter;
GARI_API void gari_list_iter_begin(gari_list_iter *iter, gari_list *list);
GARI_API bool gari_list_iter_next(gari_list_iter *iter);
GARI_API void gari_list_iter_end(gari_list_iter *iter);

/* ---- Map ---------------------------------------------------------------------------------- */

/* A hash map. Its keys are strings (compared by their bytes), integers, and objects (compared by
 * identity, but for gari_bytes, which are strings), side by side if need be. O(1) expected, O(1)
 * amortised where it has to grow or shrink. */
typedef struct gari_map {
    gari_object header;
} gari_map;

typedef enum gari_key_kind {
    GARI_KEY_INTEGER = 0,
    GARI_KEY_STRING = 1,
    GARI_KEY_OBJECT = 2
} gari_key_kind;

/* Made by the functions below; read where an iteration gives one. */
typedef struct gari_key {
    gari_key_kind kind;
    int64_t integer;  /* of an integer */
    const char *data; /* of a string; in an iteration followed by a zero */
    size_t length;
    void *object; /* of an object; in an iteration also a string's gari_bytes */
} gari_key;

static inline gari_key gari_key_integer(int64_t integer)
{
    gari_key key = {GARI_KEY_INTEGER, integer, NULL, 0, NULL};
    return key;
}

/* The bytes must last until the call that uses the key returns; a map that keeps it has a copy. */
static inline gari_key gari_key_data(const void *data, size_t length)
{
    gari_key key = {GARI_KEY_STRING, 0, (const char *)data, length, NULL};
    return key;
}

static inline gari_key gari_key_string(const char *string)
{
    return gari_key_data(string, __builtin_strlen(string));
}

/* object is held by the caller; a map that keeps the key has a reference to it. A gari_bytes is the
 * same key as gari_key_data of its bytes, and is shared instead of copied. NULL is fatal. */
static inline gari_key gari_key_object(void *object)
{
    gari_key key = {GARI_KEY_OBJECT, 0, NULL, 0, object};
    return key;
}

/* An empty map. New, owned. */
GARI_API gari_map *gari_map_new(void);

/* The number of keys. O(1). A hint when others change the map. */
GARI_API size_t gari_map_length(gari_map *map);

/* The key's value, owned; NULL when there is none. */
GARI_API void *gari_map_get(gari_map *map, gari_key key);

/* The same, borrowed, inside a read section. */
GARI_API void *gari_map_borrow(gari_map *map, gari_key key);

GARI_API bool gari_map_contains(gari_map *map, gari_key key);

/* Gives the key this value, in place of the one it had, if any. 0, EINVAL, ENOMEM. */
GARI_API int gari_map_put(gari_map *map, gari_key key, void *value);

/* The same only for a key that has no value: EEXIST for one that has. */
GARI_API int gari_map_put_if_absent(gari_map *map, gari_key key, void *value);

/* The same only for a key that has one: ENOENT for one that has not. Needs no memory. */
GARI_API int gari_map_replace(gari_map *map, gari_key key, void *value);

/* The key's value, owned; if it had none it has this one now. NULL: no memory, or value is NULL. */
GARI_API void *gari_map_get_or_put(gari_map *map, gari_key key, void *value);

/* Removes the key and returns its value, owned; NULL when there is none. */
GARI_API void *gari_map_take(gari_map *map, gari_key key);

/* Removes the key. 0, or ENOENT. */
GARI_API int gari_map_remove(gari_map *map, gari_key key);

/* Removes the key if its value is this object; otherwise ENOENT. For whoever cleans up after a value
 * that may have been replaced meanwhile. */
GARI_API int gari_map_remove_if(gari_map *map, gari_key key, const void *value);

/* Empties the map. */
GARI_API void gari_map_clear(gari_map *map);

/* Iteration in no particular order, also beside threads that change the map. A key that is in the
 * map from begin to end is met exactly once, with the value that it has then; one that is put in or
 * taken out meanwhile, once or not at all; one that is taken out and put in again, perhaps twice.
 *
 *   gari_map_iter it;
 *   gari_map_iter_begin(&it, map);
 *   while (gari_map_iter_next(&it))
 *       printf("%s\n", it.key.data);
 *   gari_map_iter_end(&it);
 *
 * key and value are owned by the iterator, until its next step or end. As for lists otherwise. */
typedef struct gari_map_iter {
    gari_key key;
    void *value;
    void *table_;
    size_t next_;
} gari_map_iter;
GARI_API void gari_map_iter_begin(gari_map_iter *iter, gari_map *map);
GARI_API bool gari_map_iter_next(gari_map_iter *iter);
GARI_API void gari_map_iter_end(gari_map_iter *iter);

/* ---- Which is it? ------------------------------------------------------------------------- */

/* For fields that may refer to anything. The object is held by the caller. */
GARI_API bool gari_is_bytes(const void *object);
GARI_API bool gari_is_array(const void *object);
GARI_API bool gari_is_list(const void *object);
GARI_API bool gari_is_map(const void *object);

#ifdef __cplusplus
}
#endif
#endif
