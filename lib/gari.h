/* gari: reference-counted objects for multithreaded C, with a collector that finds the cycles the
 * counts miss while every thread keeps running.
 *
 *   struct node { gari_object header; long value; GARI_REF(struct node) next; };
 *   static const gari_type node_type =
 *       GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next));
 *
 *   struct node *a = gari_new(&node_type), *b = gari_new(&node_type);
 *   gari_store(&a->next, b);  gari_store(&b->next, a);   // a cycle
 *   gari_decref(a);  gari_decref(b);                     // only the cycle holds them now
 *   gari_collect(2);                                     // 2, or let the collector find them
 *
 * Words used below. An OWNED reference must be given back by whoever has it (gari_decref, or a call
 * that steals it). A BORROWED pointer is valid only until the gari_read_end that closes the read
 * section in which it was obtained. An EDGE is a counted reference held in a field of an object.
 *
 * Threads. Every function may be called by any thread at any time unless its comment says
 * otherwise; a thread attaches itself at first use and is detached when it exits. No function may
 * be called from a signal handler. gari keeps references and lifetimes safe; the plain payload of
 * an object is its user's to synchronise. A process may fork, but not in a read section; its child may
 * use gari. No call is a cancellation point, nor are the callbacks in it. docs/processes.md has more.
 *
 * Errors. Misuse that can be detected cheaply (a count driven below zero, a dead object used, a
 * type without its size) ends in one sentence on stderr, the hook of gari_set_fatal_hook, and
 * abort(). Out of memory is NULL or ENOMEM and leaves the heap as it was.
 */
#ifndef GARI_H
#define GARI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX != UINT64_MAX
#error "gari needs a 64-bit machine: a reference count and its version share one 64-bit word"
#endif

#if defined(__GNUC__)
#define GARI_API __attribute__((visibility("default")))
#else
#define GARI_API
#endif

#ifdef __cplusplus
#define GARI_DEFAULT_ = {} /* so that C++ does not warn of members that GARI_TYPE leaves out */
extern "C" {
#else
#define GARI_DEFAULT_
#endif

#define GARI_VERSION_MAJOR 0
#define GARI_VERSION_MINOR 1
#define GARI_VERSION_PATCH 0
#define GARI_VERSION (GARI_VERSION_MAJOR * 10000 + GARI_VERSION_MINOR * 100 + GARI_VERSION_PATCH)

/* The version of the library that was linked or loaded, as GARI_VERSION spells it. */
GARI_API int gari_version(void);

/* ---- Objects ------------------------------------------------------------------------------ */

/* The refcount word. Nobody but gari reads or writes it. */
typedef struct gari_word {
    uint64_t bits;
} gari_word;

/* First member of every object, and it must be named `header`: that is how the macros below tell
 * an object from any other pointer at compile time. Eight bytes. */
typedef struct gari_object {
    gari_word header;
} gari_object;

/* Where a reference lives. Use GARI_REF to declare one; only a traverse callback meets it bare. */
typedef struct gari_slot {
    gari_object *pointer;
} gari_slot;

/* A field that holds a counted reference to a T (or NULL): GARI_REF(struct node) next, prev;
 * In a global or static variable it is a root: what it holds counts as referenced from outside. */
#define GARI_REF(T)                                                                                \
    union {                                                                                        \
        gari_slot gari_slot_;                                                                      \
        T *gari_type_;                                                                             \
    }

/* A field that may refer to objects of any type. */
typedef GARI_REF(void) gari_ref;

/* A root: GARI_ROOT(struct index) current; zero-initialised; used with the field operations. */
#define GARI_ROOT(T) GARI_REF(T)

/* ---- Types -------------------------------------------------------------------------------- */

/* Called by a traverse callback once for every reference field of the object. */
typedef void (*gari_visit)(gari_slot *slot, void *arg);

#define GARI_MAX_REFS 16

/* Offsets of the reference fields; filled in by GARI_REFS. */
typedef struct gari_type_refs {
    uint32_t count;
    uint32_t offset[GARI_MAX_REFS];
} gari_type_refs;

/* The trailing array of a variable-length type; filled in by GARI_REF_ITEMS or GARI_ITEMS. */
typedef struct gari_type_items {
    uint32_t length_offset;
    uint32_t offset;
    uint32_t size;
    uint32_t are_refs;
} gari_type_items;

/* Describes the objects of one type. Static, constant, and alive as long as any object of it: see
 * gari_type_retire. Initialise it with GARI_TYPE. */
typedef struct gari_type {
    size_t struct_size; /* of this descriptor, so that it can grow; set by GARI_TYPE */
    const char *name;   /* what messages and reports call the type */
    size_t size;        /* of the object, in bytes; set by GARI_TYPE */
    size_t align; /* what it asks for, at most 64; set by GARI_TYPE. Every object is aligned to
                           this and to 8. */
    gari_type_refs refs GARI_DEFAULT_;   /* fields at fixed offsets: GARI_REFS */
    gari_type_items items GARI_DEFAULT_; /* a trailing array: GARI_REF_ITEMS, GARI_ITEMS */

    /* For references that are not at fixed offsets: calls visit(slot, arg) once for each. It may
     * run on any thread, at any time, beside the threads that change the object, also on an object
     * that is still all zero; so it only reads memory that stays valid for a grace period (see
     * reclaim, gari_defer) and takes no lock. A reference has ONE place: an object that moves its
     * references to a new store publishes the store by one pointer, which traverse loads once with
     * acquire, and never writes to the old one again. */
    void (*traverse)(void *self, gari_visit visit, void *arg) GARI_DEFAULT_;

    /* Before death, when the object has become garbage, by its count or in a cycle; at most once in a
     * life. It is an ordinary function on an ordinary object: it may read everything that the object
     * refers to (what dies with it is still whole), load, store, allocate, and bring the object back
     * by storing it somewhere: then it lives, with all it reaches, and is never finalized again. No
     * lock of gari's is held and no read section of gari's is open, so it may also block. All
     * finalizers of a garbage cycle, and of what it reaches, run before anything of that is disposed
     * of, in any order. Which thread: see gari_set_finalizers. A collection asked for in it is done
     * later. */
    void (*finalize)(void *self) GARI_DEFAULT_;

    /* At death, on the thread that dropped the last reference or on the collector's: gives back
     * what is not memory. The object's references are still in place but may lead to objects that
     * are dead too: borrow from them, do not load, store or take. Readers may still be looking at
     * the payload. Must not store `self` anywhere and must not block on a thread that collects. */
    void (*dispose)(void *self) GARI_DEFAULT_;

    /* After the grace period, when no reader and no traverse can see the object: frees memory that
     * the payload points to. The references are gone by then. */
    void (*reclaim)(void *self) GARI_DEFAULT_;

    unsigned flags GARI_DEFAULT_; /* GARI_TYPE_NO_CLEAR, _LATE, _HOT, together, or 0 */

    int reserved;
} gari_type;

/* In gari_type.flags: the collector must not take objects of this type apart while others refer to
 * them, say because their dispose needs a partner that is intact. Death by count is as ever; but a
 * garbage cycle with such an object in it is uncollectable: see gari_garbage_get. */
#define GARI_TYPE_NO_CLEAR 1u

/* In gari_type.flags: at the death of such an object by its count, what it refers to may be given back
 * late, when its memory is reused: after a grace period, by whichever thread has time or needs the
 * memory. Until then what hangs on it counts as alive (also for weak references). That is much cheaper
 * for large acyclic structures, say trees: all of the structure that was built with gari_init and that
 * nothing else has ever referred to is freed without an atomic operation. For types of objects that do
 * not lead to anything whose death must be prompt; not together with finalize, dispose or reclaim.
 * gari_collect gives back what waits before it looks for cycles. */
#define GARI_TYPE_LATE 2u

/* In gari_type.flags: threads take and give back references to such objects all the time, say to the
 * configuration, a routing table, the root of what is read by everybody. They count per thread: a reference
 * that gari_decref gets, and that is not the last, the calling thread may keep for its next gari_incref,
 * gari_load or gari_try_incref of the same object (of at most 256 objects at a time), which then takes no
 * locked instruction and no line of memory that others write. The price: an object may die late, when
 * references that are kept have been taken back. gari's background thread (or, where there is none,
 * allocation) does that every 10 ms; gari_collect, gari_step and the end of a thread do at once, and what
 * a thread itself keeps goes when it gives back or replaces the last other reference. Until then the object
 * counts as alive, also for weak references; its finalize and dispose are called by who takes back. As in
 * CPython's free-threaded build, which counts references to types per thread. Goes together with the other
 * flags. */
#define GARI_TYPE_HOT 4u

/* GARI_TYPE(struct node, .refs = ..., .dispose = ...): the members in the order declared above. */
#define GARI_TYPE(...) GARI_TYPE_(__VA_ARGS__, .reserved = 0)
#define GARI_TYPE_(T, ...)                                                                         \
    {                                                                                              \
        .struct_size = sizeof(gari_type), .name = #T,                                              \
        .size = sizeof(T) / (offsetof(T, header) == 0), .align = __alignof__(T), __VA_ARGS__       \
    }

/* .refs = GARI_REFS(struct node, next, prev): up to 16 fields declared with GARI_REF. */
#define GARI_REFS(...) GARI_CAT_(GARI_REFS_, GARI_COUNT_(__VA_ARGS__))(__VA_ARGS__)

/* .items = GARI_REF_ITEMS(struct vec, length, items): `size_t length; GARI_REF(T) items[];` at the
 * end of the struct. gari_new_items sets length; nobody changes it afterwards. */
#define GARI_REF_ITEMS(T, LENGTH, ITEMS)                                                           \
    {                                                                                              \
        (uint32_t) offsetof(T, LENGTH),                                                            \
            (uint32_t)(offsetof(T, ITEMS) + 0 * sizeof(((T *)0)->ITEMS[0].gari_slot_)),            \
            (uint32_t)sizeof(((T *)0)->ITEMS[0]), 1                                                \
    }

/* .items = GARI_ITEMS(struct text, length, bytes): a trailing array of plain data. */
#define GARI_ITEMS(T, LENGTH, ITEMS)                                                               \
    {                                                                                              \
        (uint32_t) offsetof(T, LENGTH), (uint32_t)offsetof(T, ITEMS),                              \
            (uint32_t)sizeof(((T *)0)->ITEMS[0]), 0                                                \
    }

/* For a plug-in, before it is unloaded: ends the use of a type. Collects, works off what waits, and
 * returns 0 when no object of the type is left, nor memory of one: then gari does not look at the
 * descriptor, its name or its callbacks again. Otherwise it changes nothing, prints a sentence that
 * names the type and the number of objects, and returns EBUSY: unload the plug-in another time. EBUSY,
 * with a sentence, also from a callback. No other thread may make objects of the type meanwhile. Fatal in
 * a read section. The type may be used again: then it is as if for the first time.
 *
 * Without this nothing dangles either: the first use of a type keeps the object file that its
 * descriptor lies in loaded until the type is retired, so that a dlclose before that has no effect. */
GARI_API int gari_type_retire(const gari_type *type);

/* A new object, its payload and fields zero. Returns: an owned reference (count 1), or NULL when
 * memory or the memory limit is exhausted. Outside a read section, reaching the limit first runs a
 * full collection. A type that is wrong (no size, an offset outside it) is fatal. */
GARI_API void *gari_new(const gari_type *type);

/* The same for a type with a trailing array of `length` items, zeroed. NULL also when the size
 * overflows. */
GARI_API void *gari_new_items(const gari_type *type, size_t length);

/* ---- Counts ------------------------------------------------------------------------------- */

/* Takes a new reference to an object to which the caller holds one. Returns object, now also owned.
 * NULL is allowed and returned. A count beyond 2^24 makes the object immortal: never freed. */
GARI_API gari_object *gari_incref(gari_object *object);

/* Gives back an owned reference; NULL is allowed. The last one disposes of the object at once, and
 * of what only it held, iteratively and up to a budget of edges; the rest is taken apart by later
 * calls or by the collector. Memory is reused after a grace period. */
GARI_API void gari_decref(gari_object *object);

/* Turns a borrowed pointer into an owned reference, inside the read section in which it was
 * borrowed. False when the object's last reference has gone meanwhile. */
GARI_API bool gari_try_incref(gari_object *object);

/* The object's count: exact for what the caller can know (others may change it at any time). Of an object of
 * a hot type it includes what other threads keep. */
GARI_API size_t gari_getrefcount(const gari_object *object);

/* The generation that the object belongs to: 0, 1 or 2, since which collection it has lived; or
 * GARI_PERMANENT for what gari_freeze has set aside. */
GARI_API int gari_generation(const gari_object *object);

/* Whether the collector looks at the object: its type has reference fields. */
GARI_API bool gari_is_tracked(const gari_object *object);

/* The type that the object was made with. */
GARI_API const gari_type *gari_type_of(const gari_object *object);

/* ---- Fields ------------------------------------------------------------------------------- */
/* `f` points to a field declared with GARI_REF; the object that contains it must be held (owned or
 * borrowed) by the caller. p must be of the field's type, or void *. Each is atomic. */

/* Reads the field. Returns an owned reference, or NULL. */
#define gari_load(f) GARI_TYPED_(f, gari_slot_load(GARI_SLOT_(f)))

/* Reads the field inside a read section. Returns a borrowed pointer, or NULL. */
#define gari_borrow(f) GARI_TYPED_(f, gari_slot_borrow_(GARI_SLOT_(f)))

/* Makes the field refer to p (or NULL); the caller keeps its own reference to p. */
#define gari_store(f, p) gari_slot_store(GARI_SLOT_(f), GARI_VALUE_(f, p))

/* The same, but steals the caller's reference to p. */
#define gari_move(f, p) gari_slot_move(GARI_SLOT_(f), GARI_VALUE_(f, p))

/* Empties the field. Returns what it held, now owned by the caller, or NULL. */
#define gari_take(f) GARI_TYPED_(f, gari_slot_take(GARI_SLOT_(f)))

/* Steals p, puts it in the field, returns what the field held, now owned by the caller. */
#define gari_exchange(f, p) GARI_TYPED_(f, gari_slot_exchange(GARI_SLOT_(f), GARI_VALUE_(f, p)))

/* If the field holds `expected`, steals `desired`, puts it there, and returns true: the caller now
 * owns the reference to `expected` that was the field's. Otherwise changes nothing and returns
 * false. `expected` must be NULL, owned, or borrowed in the current read section. */
#define gari_compare_exchange(f, expected, desired)                                                \
    gari_slot_compare_exchange(GARI_SLOT_(f), GARI_VALUE_(f, expected), GARI_VALUE_(f, desired))

/* First filling of a field that is still NULL, in an object that nobody else has seen yet: a plain
 * store. Steals p. Fatal when p is the object that contains the field. */
#define gari_init(f, p) gari_slot_init_(GARI_SLOT_(f), GARI_VALUE_(f, p))

/* What the macros call, for language bindings and generic code. Same contracts, no type check. */
GARI_API void *gari_slot_load(gari_slot *slot);
GARI_API void *gari_slot_borrow(gari_slot *slot);
/* The same, inlined: one load. Acquire: pairs with the release of whoever published the object. */
static inline void *gari_slot_borrow_(gari_slot *slot)
{
#if defined(GARI_CHECKED) || defined(GARI_PERTURB) /* libraries that watch: docs/checking.md */
    return gari_slot_borrow(slot);
#else
    return __atomic_load_n(&slot->pointer, __ATOMIC_ACQUIRE);
#endif
}
GARI_API void gari_slot_store(gari_slot *slot, void *object);
GARI_API void gari_slot_move(gari_slot *slot, void *object);
GARI_API void *gari_slot_take(gari_slot *slot);
GARI_API void *gari_slot_exchange(gari_slot *slot, void *object);
GARI_API bool gari_slot_compare_exchange(gari_slot *slot, void *expected, void *desired);
GARI_API void gari_slot_init(gari_slot *slot, void *object);
/* Whether object may be what contains slot, as far as addresses tell: it begins less than 8 KB before it, or where in a
 * page all objects begin that are longer than that. NULL may not. */
static inline bool gari_may_contain_(const void *object, const gari_slot *slot)
{
    return (uintptr_t)slot - (uintptr_t)object < 8192 || (uintptr_t)object % 8192 == 64;
}
/* The same as gari_slot_init, inlined where object cannot be what contains slot. */
static inline void gari_slot_init_(gari_slot *slot, void *object)
{
#if !defined(GARI_CHECKED) && !defined(GARI_PERTURB)
    if (!gari_may_contain_(object, slot)) {
        __atomic_store_n(&slot->pointer, (gari_object *)object, __ATOMIC_RELEASE);
        return;
    }
#endif
    gari_slot_init(slot, object);
}

/* For a traverse callback: GARI_VISIT(&self->left, visit, arg). */
#define GARI_VISIT(f, visit, arg) (visit)(GARI_SLOT_(f), (arg))

/* For a traverse callback that cannot name all references of `self` now, say because its table is
 * being repaired: what it did not name counts as held from outside, and the object is not collected
 * in a cycle, but is uncollectable (see gari_garbage_get). Elsewhere it does nothing. At a death by
 * count, references that traverse does not name are never given back. */
GARI_API void gari_traverse_failed(const void *self);

/* ---- Weak references ---------------------------------------------------------------------- */

/* Refers to an object without keeping it alive. An object of gari's itself, counted like any other:
 * it can be kept in fields, shared and dropped with gari_decref. Many weak references to one object
 * share what gari keeps for them; the first one in a block of objects costs a table of 8 bytes per
 * object there, the first one to an object 32 bytes until that object dies. */
typedef struct gari_weakref {
    gari_object header;
    void *weak_, *callback_; /* gari's */
    uint64_t cleared_;
} gari_weakref;

/* A new weak reference to the object, to which the caller holds a reference. callback (may be NULL)
 * is called with arg once, when the object has died and all weak references to it read NULL, on the
 * thread that runs finalizers (gari_set_finalizers); not if the weak reference is dropped before that
 * or dies with the object as part of the same garbage. When a callback has begun, dropping the weak
 * reference does not wait for it: keep what arg points to until then. Callbacks of one object are
 * queued the latest first. Returns an owned reference, or NULL when there is no memory. */
GARI_API gari_weakref *gari_weakref_new(gari_object *object, void (*callback)(void *arg),
                                        void *arg);

/* The object: an owned reference, or NULL when it has died. Never a dying object; never NULL for an
 * object that lives on, but for one thing: a weak reference with a callback is emptied before the
 * object's finalizer runs in a garbage cycle, and stays so when the finalizer brings it back. Never
 * waits; may be called in a read section, with a borrowed weak reference too. */
GARI_API void *gari_weakref_get(gari_weakref *weakref);

/* ---- Finalizing from outside -------------------------------------------------------------- */

/* A function that is called once when an object dies, as Python's weakref.finalize. Unlike the
 * callback of a weak reference it needs nobody to keep it: dropping the handle changes nothing. */
typedef struct gari_finalize {
    gari_object header;
    void *record_; /* gari's */
} gari_finalize;

/* Has fn(arg) called when the object, to which the caller holds a reference, has died, on the thread
 * that runs finalizers; or at gari_shutdown or the process's exit, the latest first, if it is still
 * alive then (gari_finalize_set_atexit). arg must not keep the object alive. Returns an owned handle, or
 * NULL when there is no memory. */
GARI_API gari_finalize *gari_finalize_new(gari_object *object, void (*fn)(void *arg), void *arg);

/* Calls fn(arg) now, on this thread, unless it has been called or detached. Returns whether it did. */
GARI_API bool gari_finalize_call(gari_finalize *finalize);

/* Gives it up: fn will not be called. Returns false when it has been called or detached before. */
GARI_API bool gari_finalize_detach(gari_finalize *finalize);

/* Whether fn is still to be called. */
GARI_API bool gari_finalize_alive(const gari_finalize *finalize);

/* Whether it is called at exit if its object is alive then; true at first. */
GARI_API void gari_finalize_set_atexit(gari_finalize *finalize, bool at_exit);

/* ---- Weak containers ---------------------------------------------------------------------- */

/* A map from keys (strings of bytes, copied) to objects that it does not keep alive: Python's
 * WeakValueDictionary. An object that has died is not found any more; its entry goes when the map next
 * grows or is counted. An object of gari's itself. All calls take expected constant time, beside other
 * threads' calls on the same map: readers side by side, writers one at a time. */
typedef struct gari_weakmap {
    gari_object header;
    void *table_; /* gari's */
} gari_weakmap;

/* An empty map: an owned reference, or NULL when there is no memory. */
GARI_API gari_weakmap *gari_weakmap_new(void);
/* Maps the key to the object, to which the caller holds a reference. Returns 0 or ENOMEM. */
GARI_API int gari_weakmap_set(gari_weakmap *map, const void *key, size_t size, gari_object *object);
/* The key's object: an owned reference, or NULL. */
GARI_API void *gari_weakmap_get(gari_weakmap *map, const void *key, size_t size);
/* The key's object, or, if there is none, `object` after mapping the key to it, in one step. Returns an
 * owned reference, or NULL when there is no memory. */
GARI_API void *gari_weakmap_setdefault(gari_weakmap *map, const void *key, size_t size,
                                       gari_object *object);
/* Forgets the key. Returns whether it had an object that lives. */
GARI_API bool gari_weakmap_remove(gari_weakmap *map, const void *key, size_t size);
/* How many keys have an object that lives; drops the entries of the others. Linear. */
GARI_API size_t gari_weakmap_count(gari_weakmap *map);
/* Calls visit for every key that had an object when the call began, with that object borrowed until
 * visit returns; what visit or others change meanwhile is seen or not. Returns 0 or ENOMEM (then
 * nothing was visited). Linear. */
GARI_API int gari_weakmap_each(gari_weakmap *map,
                               void (*visit)(const void *key, size_t size, void *object, void *arg),
                               void *arg);

/* A set of objects, by identity, that it does not keep alive: Python's WeakSet. As the map. */
typedef struct gari_weakset {
    gari_object header;
    void *table_; /* gari's */
} gari_weakset;

GARI_API gari_weakset *gari_weakset_new(void);
/* Returns 0 or ENOMEM. */
GARI_API int gari_weakset_add(gari_weakset *set, gari_object *object);
/* Both return whether the object was in the set. */
GARI_API bool gari_weakset_discard(gari_weakset *set, gari_object *object);
GARI_API bool gari_weakset_contains(gari_weakset *set, const gari_object *object);
GARI_API size_t gari_weakset_count(gari_weakset *set);
GARI_API int gari_weakset_each(gari_weakset *set, void (*visit)(void *object, void *arg),
                               void *arg);

/* ---- Finalizers --------------------------------------------------------------------------- */

/* Where finalizers, and callbacks of weak references and gari_finalize, run. */
typedef enum gari_finalizers {
    /* A finalizer whose object died by count runs in the call that dropped the last reference, if that
     * is the user's own and outside of read sections. All else runs on a thread of gari's own, or, in
     * manual mode, in gari_collect and gari_step. */
    GARI_FINALIZERS_THREAD = 0,
    /* All of them only in gari_run_finalizers (and gari_shutdown). */
    GARI_FINALIZERS_QUEUED = 1
} gari_finalizers;

/* Chooses between them. notify (may be NULL) is called with arg when there is something to run and
 * there was nothing before, by any thread, in the middle of any call: it may write to an eventfd or
 * signal a condition, and must not call gari nor block. Best called before first use. Returns 0, or
 * EINVAL. */
GARI_API int gari_set_finalizers(gari_finalizers where, void (*notify)(void *arg), void *arg);

/* Runs at most `max` of what is queued, on this thread. Returns how many were run; 0 in a callback.
 * Fatal in a read section. */
GARI_API size_t gari_run_finalizers(size_t max);

/* Whether the object's finalizer has been run, has begun to, or is queued because the last reference
 * has gone. */
GARI_API bool gari_is_finalized(const gari_object *object);

/* ---- Read sections ------------------------------------------------------------------------ */

/* Opens and closes a read section (RCU, userspace-rcu's bulletproof flavour). What is borrowed
 * inside stays readable until the end. Sections nest, cost about a nanosecond, never wait, and must
 * end soon: memory of the whole process waits for them. A section belongs to one thread. Calls that
 * wait for a grace period (gari_collect, gari_step, gari_shutdown) are fatal inside one. Nothing is to
 * be borrowed in a section that the program has opened with liburcu itself. */
GARI_API void gari_read_begin(void);
GARI_API void gari_read_end(void);

/* Calls fn(arg) once, after every read section that is open now has ended: for memory that an
 * object has replaced while readers or traverse may still see it. Runs on a thread of gari's or
 * inside a later call of any thread. Returns 0, or ENOMEM (then nothing will be called). */
GARI_API int gari_defer(void (*fn)(void *arg), void *arg);

/* ---- The collector ------------------------------------------------------------------------ */

/* Who does the work; see docs/guide.md. */
typedef enum gari_mode {
    GARI_MODE_BACKGROUND = 0, /* threads of gari's own; mutators that outrun them help */
    GARI_MODE_INLINE = 1,     /* slices inside gari_new; one thread, for grace periods only */
    GARI_MODE_MANUAL = 2      /* nothing but gari_collect and gari_step; no threads */
} gari_mode;

/* As a memory limit: seven eighths of what the memory cgroup allows that the process is in (of the
 * tightest one on the way up, v1 or v2); looked up again, at most once a second, when the heap grows.
 * No limit where there is no such cgroup. */
#define GARI_LIMIT_CGROUP SIZE_MAX

typedef struct gari_config {
    size_t struct_size; /* sizeof(gari_config); set by GARI_CONFIG_INIT */
    gari_mode mode;
    size_t memory_limit; /* bytes of heap, 0: none; or GARI_LIMIT_CGROUP */
    int threshold[3];    /* see gari_set_threshold */
    unsigned debug;      /* see gari_set_debug */
    /* Of gari's own threads: */
    int nice;                /* their nice value, -20 to 19; 0: as the thread that starts them */
    const char *thread_name; /* what their names begin with, up to 9 characters; NULL: "gari" */
    const char *cpus;        /* where they may run, as "0-3,8"; NULL: wherever their starter may */
    /* For tests: a collection at about every so manieth call of a thread, on that thread; 0: none. */
    unsigned stress_every;
    unsigned stress_seed; /* decides at which calls, and of which generation */
} gari_config;

#define GARI_CONFIG_INIT                                                                           \
    {                                                                                              \
        sizeof(gari_config), GARI_MODE_BACKGROUND, 0, {700, 10, 10}, 0, 0, NULL, NULL, 0, 0        \
    }

/* Sets the configuration; only before the process's first other use of gari, or after
 * gari_shutdown. The strings are copied. Returns 0, EBUSY when it is too late, EINVAL when a value
 * is out of range.
 *
 * The environment has the last word, for whoever runs the program; it is read once, and a value that
 * cannot be used is refused with a sentence on stderr and changes nothing:
 *   GARI_PROFILE=throughput|batch|long-running   first of all, so that the others refine it
 *   GARI_MODE=thread|inline|manual
 *   GARI_THRESHOLD=700,10,10   one to three numbers, as gc.set_threshold takes
 *   GARI_DEBUG=stats,collectable,uncollectable,saveall,leak
 *   GARI_MEMORY_LIMIT=bytes, with K, M, G or T for powers of 1024; or cgroup; 0: none
 *   GARI_NICE=5   GARI_CPUS=0-3,8   GARI_THREAD_NAME=name
 *   GARI_STRESS=every:17,seed:5   see docs/stress-mode.md; the seed may be left out
 * Calls that come later (gari_set_threshold and its like) are obeyed. */
GARI_API int gari_configure(const gari_config *config);

/* Three kinds of service; docs/guide.md says what is in each and why. */
typedef enum gari_profile {
    GARI_PROFILE_THROUGHPUT = 1,  /* all cores busy: the threads that allocate do the work */
    GARI_PROFILE_BATCH = 2,       /* bursts under GARI_PAUSED, gari_collect(2) between them */
    GARI_PROFILE_LONG_RUNNING = 3 /* weeks in a container: default thresholds, the cgroup's limit */
} gari_profile;

/* Fills in mode, memory_limit, threshold and nice from the profile and leaves the rest of *config,
 * which must have been initialised. Returns 0, or EINVAL. */
GARI_API int gari_config_profile(gari_config *config, gari_profile profile);

/* Collects generation 0, 1 or 2 (each with the younger ones) on the calling thread, to the end.
 * Returns the number of tracked objects that the cycle collector freed; 0 for a call from a
 * callback, which is queued instead. A generation out of range, or a call inside a read section, is
 * fatal. Waits for other collections and for a grace period. */
GARI_API size_t gari_collect(int generation);

/* Does up to `budget` edges of whatever work waits (an open collection, one that is due, unfinished
 * destruction, memory past its grace period); what takes longer than an edge counts as several. Returns
 * true when work is left. May wait for a grace period in manual mode. For services that schedule the work
 * themselves. */
GARI_API bool gari_step(size_t budget);

/* Thresholds as in CPython, default (700, 10, 10): a collection of generation 0 is due when
 * allocations minus deallocations of tracked objects since the last one exceed threshold0; of
 * generation 1 after more than threshold1 of those; of generation 2 after more than threshold2 of
 * these. 0 switches a generation's automatic collection off; for threshold0, all. Negative: EINVAL. */
GARI_API int gari_set_threshold(int threshold0, int threshold1, int threshold2);
GARI_API void gari_get_threshold(int threshold[3]);

/* The three counters that the thresholds are compared with. Reading changes nothing. */
GARI_API void gari_get_count(size_t count[3]);

/* Automatic collection on and off (it starts on): one switch for the process. Both return whether it
 * was on before. Counts, prompt deaths and gari_collect work all the same. */
GARI_API bool gari_enable(void);
GARI_API bool gari_disable(void);
/* Whether collections start by themselves: switched on, and nobody pauses them. */
GARI_API bool gari_is_enabled(void);

/* A pause: no collection starts by itself between the two (one that is open is finished). Pauses nest
 * and add up over all threads, and leave the switch of gari_enable alone, so that two parts of a
 * program cannot switch collection on under each other, or leave it off. Begin and end may be on
 * different threads. An end without a begin is fatal. */
GARI_API void gari_pause_begin(void);
GARI_API void gari_pause_end(void);

/* GARI_PAUSED { load_everything(); }: a pause for the length of the block, which may be left in any
 * way (break and continue leave it too; not longjmp). */
#define GARI_PAUSED GARI_PAUSED_(GARI_CAT_(gari_paused_, __LINE__))

static inline void gari_pause_over_(const int *unused)
{
    (void)unused;
    gari_pause_end();
}

/* Tells gari that the calling thread must not be held up with work that others have left: in gari_new
 * and gari_decref it then does what its own call caused and nothing else (a collection at the memory
 * limit excepted). In inline mode some other thread has to allocate. Ends with the thread. Returns
 * what was in force. */
GARI_API bool gari_thread_never_help(bool never);

/* The most bytes of heap; 0: no limit; or GARI_LIMIT_CGROUP. gari_new returns NULL rather than pass
 * it. */
GARI_API void gari_set_memory_limit(size_t bytes);
/* The limit in force, in bytes; 0: none. */
GARI_API size_t gari_get_memory_limit(void);

/* ---- The permanent generation ------------------------------------------------------------- */

/* Sets all objects that exist now aside in the permanent generation: collections take them for the
 * outside world and do not walk them. Counts, and deaths by count, go on. Costs nothing per object.
 * A collection under way is given up, but for what it is proving to be garbage, or has finalized: that
 * is freed if it is garbage then.
 * For a large heap that will hardly change, before a fork or a long run. Waits for a collection's
 * slice, or for a gari_collect of another thread; fatal in a read section; from a type's callback
 * (dispose and its like) it does nothing. */
GARI_API void gari_freeze(void);

/* Gives what is permanent back to the generations that its birth puts it in, all of it as candidates:
 * the next full collection walks it once. Waits as gari_freeze does, and takes time in proportion to the heap. */
GARI_API void gari_unfreeze(void);

/* Tracked objects in the permanent generation. Takes time in proportion to the heap. */
GARI_API size_t gari_get_freeze_count(void);

/* Ends all background work: joins gari's threads, frees all garbage, and calls report (may be NULL)
 * once for each type of which objects are left. Returns the number of objects left. The caller must
 * be the last user; gari may be used again afterwards. */
GARI_API size_t gari_shutdown(void (*report)(const gari_type *type, size_t objects, size_t bytes,
                                             void *arg),
                              void *arg);

/* ---- Inspection --------------------------------------------------------------------------- */

#define GARI_TIME_BUCKETS 24

typedef struct gari_generation_stats {
    uint64_t collections;   /* finished */
    uint64_t collected;     /* tracked objects freed by them */
    uint64_t uncollectable; /* found to be garbage but not collectable: see gari_garbage_get */
    uint64_t candidates;    /* objects they started from */
    uint64_t examined;      /* objects they walked */
    uint64_t time_ns;    /* spent in them, on whatever thread, waits for grace periods included */
    uint64_t longest_ns; /* the longest of them, from start to end */
    /* How many took how long, from start to end: less than 1,024 ns, less than 2,048 ns, and so on;
     * the last: 4.3 s or longer. No thread was stopped for that time: what threads are held up by is
     * longest_wait_ns. */
    uint64_t histogram[GARI_TIME_BUCKETS];
} gari_generation_stats;

typedef struct gari_stats {
    size_t struct_size; /* in: sizeof(gari_stats) */
    gari_generation_stats generation[3];
    uint64_t allocated;          /* objects ever made */
    uint64_t freed_by_count;     /* whose last reference was dropped */
    uint64_t freed_by_cycles;    /* found by the collector */
    uint64_t objects_live;       /* neither */
    uint64_t bytes_live;         /* their sizes, with headers */
    uint64_t objects_waiting;    /* dead, their memory waiting for a grace period */
    uint64_t bytes_waiting;      /* its size */
    uint64_t heap_bytes;         /* taken from the system and in use, all in */
    uint64_t heap_peak_bytes;    /* the most it has been */
    uint64_t grace_periods;      /* that are over */
    uint64_t grace_longest_ns;   /* the longest of them */
    uint64_t longest_wait_ns;    /* the longest time that gari held up a thread in a call other than
                                   gari_collect, gari_step and gari_shutdown, beyond its fast path */
    uint64_t helped;             /* slices of gari's work done inside calls of the user's threads */
    uint64_t threads;            /* attached now */
    uint64_t finalizers_called;  /* finalizers and callbacks, ever */
    uint64_t finalizers_waiting; /* queued; a garbage set counts as one */
} gari_stats;

/* Fills in *stats up to stats->struct_size, which the caller has set. Consistent enough to plot, not
 * a snapshot of one instant. Returns 0, or EINVAL for a size it does not know. */
GARI_API int gari_get_stats(gari_stats *stats);

/* ---- Collections as they happen ----------------------------------------------------------- */

typedef enum gari_phase { GARI_PHASE_START = 0, GARI_PHASE_STOP = 1 } gari_phase;

/* What a callback gets. At GARI_PHASE_START all but phase and generation is 0. */
typedef struct gari_collection {
    gari_phase phase;
    int generation;
    uint64_t collected;     /* as in gari_generation_stats, of this collection */
    uint64_t uncollectable; /* likewise, down to duration_ns */
    uint64_t candidates;
    uint64_t examined;
    uint64_t duration_ns;
} gari_collection;

/* Has callback(collection, arg) called at the start and at the stop of every collection from now on,
 * one call at a time, in the order in which things happened, on whatever thread outside of read
 * sections gets to it: gari's own, or inside gari_collect, gari_step or gari_new of one of the
 * service's. gari_collect returns after the calls for its own collection. No lock of gari is held: the
 * callback may do anything that any code may, but gari_collect then only leaves a note and gari_step
 * does nothing, so there is no recursion; a collection asked for while one is reported
 * that was itself asked for so is not made, so that callbacks cannot keep the collector busy for
 * ever. While a callback takes its time collections go on; those that begin when 32 wait to be
 * reported are not. Returns 0, ENOMEM, or EINVAL for NULL. */
typedef void (*gari_callback)(const gari_collection *collection, void *arg);
GARI_API int gari_callback_add(gari_callback callback, void *arg);

/* Undoes one gari_callback_add with the same two arguments. Afterwards the callback is not called any
 * more, and is not running on another thread, unless this is called from within a callback. Returns
 * whether there was one. */
GARI_API bool gari_callback_remove(gari_callback callback, void *arg);

/* Debugging, with Python's names and values. Messages go to stderr, one line each. */
#define GARI_DEBUG_STATS 1u         /* a line when a collection begins and one when it ends */
#define GARI_DEBUG_COLLECTABLE 2u   /* a line for each object about to be freed by the collector */
#define GARI_DEBUG_UNCOLLECTABLE 4u /* a line for each uncollectable object */
#define GARI_DEBUG_SAVEALL 32u      /* what would be freed goes on the garbage list instead */
#define GARI_DEBUG_LEAK (GARI_DEBUG_COLLECTABLE | GARI_DEBUG_UNCOLLECTABLE | GARI_DEBUG_SAVEALL)

/* Sets the flags for the collections that finish from now on; one that has its proof already keeps to those
 * it had, so that without SAVEALL one more may list what it has found. Returns 0, or EINVAL for a flag
 * that there is not. */
GARI_API int gari_set_debug(unsigned flags);
GARI_API unsigned gari_get_debug(void);

/* ---- Finding objects ---------------------------------------------------------------------- */

/* A list of owned references. Give them back, and the memory of the list, with
 * gari_objects_release; or keep some by setting their items to NULL before. */
typedef struct gari_objects {
    size_t count;
    gari_object **items;
} gari_objects;

/* Gives everything back and empties the list. */
GARI_API void gari_objects_release(gari_objects *objects);

#define GARI_ALL (-1)    /* generations 0 to 2 */
#define GARI_PERMANENT 3 /* what gari_freeze has set aside */

/* The next three fill *objects, whose former contents they ignore. They return 0; or ENOMEM; or EBUSY
 * from a callback of a type (dispose, reclaim, traverse, gari_defer) and from a thread that is going
 * away or for which there is no memory yet; on an error the list is empty. They never show an object that has died or that has been
 * proved to be garbage, and what they show lives until it is given back. */

/* All tracked objects of generation 0, 1 or 2, of GARI_ALL or of GARI_PERMANENT that exist while it
 * looks; those made meanwhile may be missing. Objects that some thread is just making are among
 * them, their payload perhaps not yet filled in. Takes time in proportion to the heap. Waits for an
 * open proof's grace period, so it is fatal in a read section. A generation out of range is fatal. */
GARI_API int gari_get_objects(int generation, gari_objects *objects);

/* The tracked objects that have a field which refers to `object`, to which the caller holds a
 * reference. What C variables and roots hold is not found: gari_getrefcount(object) says how many
 * references there are. Time, waits and errors as gari_get_objects. */
GARI_API int gari_get_referrers(const gari_object *object, gari_objects *objects);

/* What the object's own fields refer to, each as often as they do. The caller holds a reference to
 * it. May be called anywhere, waits for nothing. Returns 0 or ENOMEM. */
GARI_API int gari_get_referents(const gari_object *object, gari_objects *objects);

/* The garbage list: what a collection has found to be garbage but did not free, as owned references.
 * That is what GARI_DEBUG_SAVEALL kept; and objects that are uncollectable: of a type with
 * GARI_TYPE_NO_CLEAR, or whose traverse failed (gari_traverse_failed). What those reach lives on with
 * them and counts as uncollectable too, but is not listed without SAVEALL. The list holds a reference
 * to each, so a later collection takes them for live; to break such a cycle by hand, empty the fields
 * that close it, release what gari_garbage_get gave, and clear the list.
 *
 * Fills *objects with the list's objects, which stay on the list. Returns 0 or ENOMEM. */
GARI_API int gari_garbage_get(gari_objects *objects);
/* The length of the list. */
GARI_API size_t gari_garbage_count(void);
/* Empties the list. What is still garbage is found, and perhaps listed, again. */
GARI_API void gari_garbage_clear(void);

/* ---- Checking the heap -------------------------------------------------------------------- */

typedef struct gari_check {
    size_t struct_size; /* sizeof(gari_check); set by GARI_CHECK_INIT */
    /* Called with a sentence for each inconsistency. NULL: they go to stderr, the first hundred. */
    void (*report)(const char *sentence, void *arg);
    /* How many references to the object are held outside of objects: in C variables, and in roots.
     * GARI_UNCHECKED: not known. NULL: not known of any. */
    size_t (*external)(gari_object *object, void *arg);
    void *arg; /* of both, which may call gari_type_of and gari_getrefcount and nothing else */
} gari_check;

#define GARI_CHECK_INIT                                                                            \
    {                                                                                              \
        sizeof(gari_check), NULL, NULL, NULL                                                       \
    }

#define GARI_UNCHECKED SIZE_MAX

/* Checks the whole heap, while no other thread is in a call of gari's or changes objects: every count
 * against the references that there are (counts must be no less than the edges found; with `external`,
 * exact), every field against what it may refer to, every traverse for what it names twice; flags,
 * ages, candidates, weak references; that every slot is in one place; blocks, segments and statistics.
 * What it cannot see is a reference held by a C variable and forgotten: give `external` for that, or
 * see docs/checking.md. check may be NULL.
 *
 * Gives up a collection that is open, or finishes it if it has begun to free; stops gari's threads
 * and starts them again. Takes time, and about 14 bytes of memory for each slot, in proportion to the
 * heap. Returns the number of inconsistencies; GARI_UNCHECKED, after a sentence, when there is no memory for
 * the check and from a callback. Fatal in a read section. */
GARI_API size_t gari_check_heap(const gari_check *check);

/* Called with the sentence before gari aborts, so that a service can log it. NULL: stderr only. */
GARI_API void gari_set_fatal_hook(void (*hook)(const char *sentence));

/* ---- Details of the macros ---------------------------------------------------------------- */

#define GARI_SLOT_(f) (&(f)->gari_slot_)
/* The unchosen arm makes the compiler compare the types of p and of the field. */
#define GARI_VALUE_(f, p) ((void *)(1 ? (p) : (f)->gari_type_))
#define GARI_TYPED_(f, e) ((__typeof__((f)->gari_type_))(e))

#define GARI_PAUSED_(ON)                                                                           \
    for (int ON __attribute__((cleanup(gari_pause_over_))) = (gari_pause_begin(), 1); ON; ON = 0)

#define GARI_CAT_(a, b) GARI_CAT2_(a, b)
#define GARI_CAT2_(a, b) a##b
#define GARI_COUNT_(...)                                                                           \
    GARI_COUNT2_(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0)
#define GARI_COUNT2_(T, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, N, ...) N
#define GARI_OFFSET_(T, F) (uint32_t)(offsetof(T, F) + 0 * sizeof(((T *)0)->F.gari_slot_))
#define GARI_O1_(T, a) GARI_OFFSET_(T, a)
#define GARI_O2_(T, a, ...) GARI_OFFSET_(T, a), GARI_O1_(T, __VA_ARGS__)
#define GARI_O3_(T, a, ...) GARI_OFFSET_(T, a), GARI_O2_(T, __VA_ARGS__)
#define GARI_O4_(T, a, ...) GARI_OFFSET_(T, a), GARI_O3_(T, __VA_ARGS__)
#define GARI_O5_(T, a, ...) GARI_OFFSET_(T, a), GARI_O4_(T, __VA_ARGS__)
#define GARI_O6_(T, a, ...) GARI_OFFSET_(T, a), GARI_O5_(T, __VA_ARGS__)
#define GARI_O7_(T, a, ...) GARI_OFFSET_(T, a), GARI_O6_(T, __VA_ARGS__)
#define GARI_O8_(T, a, ...) GARI_OFFSET_(T, a), GARI_O7_(T, __VA_ARGS__)
#define GARI_O9_(T, a, ...) GARI_OFFSET_(T, a), GARI_O8_(T, __VA_ARGS__)
#define GARI_O10_(T, a, ...) GARI_OFFSET_(T, a), GARI_O9_(T, __VA_ARGS__)
#define GARI_O11_(T, a, ...) GARI_OFFSET_(T, a), GARI_O10_(T, __VA_ARGS__)
#define GARI_O12_(T, a, ...) GARI_OFFSET_(T, a), GARI_O11_(T, __VA_ARGS__)
#define GARI_O13_(T, a, ...) GARI_OFFSET_(T, a), GARI_O12_(T, __VA_ARGS__)
#define GARI_O14_(T, a, ...) GARI_OFFSET_(T, a), GARI_O13_(T, __VA_ARGS__)
#define GARI_O15_(T, a, ...) GARI_OFFSET_(T, a), GARI_O14_(T, __VA_ARGS__)
#define GARI_O16_(T, a, ...) GARI_OFFSET_(T, a), GARI_O15_(T, __VA_ARGS__)
/* clang-format off */
#define GARI_REFS_1(T, ...) { 1, { GARI_O1_(T, __VA_ARGS__) } }
#define GARI_REFS_2(T, ...) { 2, { GARI_O2_(T, __VA_ARGS__) } }
#define GARI_REFS_3(T, ...) { 3, { GARI_O3_(T, __VA_ARGS__) } }
#define GARI_REFS_4(T, ...) { 4, { GARI_O4_(T, __VA_ARGS__) } }
#define GARI_REFS_5(T, ...) { 5, { GARI_O5_(T, __VA_ARGS__) } }
#define GARI_REFS_6(T, ...) { 6, { GARI_O6_(T, __VA_ARGS__) } }
#define GARI_REFS_7(T, ...) { 7, { GARI_O7_(T, __VA_ARGS__) } }
#define GARI_REFS_8(T, ...) { 8, { GARI_O8_(T, __VA_ARGS__) } }
#define GARI_REFS_9(T, ...) { 9, { GARI_O9_(T, __VA_ARGS__) } }
#define GARI_REFS_10(T, ...) { 10, { GARI_O10_(T, __VA_ARGS__) } }
#define GARI_REFS_11(T, ...) { 11, { GARI_O11_(T, __VA_ARGS__) } }
#define GARI_REFS_12(T, ...) { 12, { GARI_O12_(T, __VA_ARGS__) } }
#define GARI_REFS_13(T, ...) { 13, { GARI_O13_(T, __VA_ARGS__) } }
#define GARI_REFS_14(T, ...) { 14, { GARI_O14_(T, __VA_ARGS__) } }
#define GARI_REFS_15(T, ...) { 15, { GARI_O15_(T, __VA_ARGS__) } }
#define GARI_REFS_16(T, ...) { 16, { GARI_O16_(T, __VA_ARGS__) } }
/* clang-format on */

#ifdef __cplusplus
}

template <class T, class Header> inline gari_object *gari_object_of_(T *object, const Header *)
{
    static_assert(sizeof(Header) == 0,
                  "not a gari object: its first member must be `gari_object header`");
    return reinterpret_cast<gari_object *>(object);
}
template <class T> inline gari_object *gari_object_of_(T *object, const gari_object *)
{
    return reinterpret_cast<gari_object *>(object);
}
template <class T> inline gari_object *gari_object_of_(T *object, const gari_word *)
{
    return reinterpret_cast<gari_object *>(object);
}
#define GARI_OBJECT(p) gari_object_of_((p), static_cast<decltype(&(p)->header)>(nullptr))
#else
/* p as a gari_object pointer; does not compile unless p points to an object. */
#define GARI_OBJECT(p) ((gari_object *)_Generic((p)->header, gari_object : (p), gari_word : (p)))
#endif

/* The counted operations take a pointer to any object; the result of gari_incref has its type. */
#define gari_incref(p) ((__typeof__(p))(void *)gari_incref(GARI_OBJECT(p)))
#define gari_decref(p) gari_decref(GARI_OBJECT(p))
#define gari_try_incref(p) gari_try_incref(GARI_OBJECT(p))
#define gari_getrefcount(p) gari_getrefcount(GARI_OBJECT(p))
#define gari_generation(p) gari_generation(GARI_OBJECT(p))
#define gari_get_referrers(p, list) gari_get_referrers(GARI_OBJECT(p), (list))
#define gari_get_referents(p, list) gari_get_referents(GARI_OBJECT(p), (list))
#define gari_is_tracked(p) gari_is_tracked(GARI_OBJECT(p))
#define gari_type_of(p) gari_type_of(GARI_OBJECT(p))
#define gari_is_finalized(p) gari_is_finalized(GARI_OBJECT(p))
#define gari_weakref_new(p, callback, arg) gari_weakref_new(GARI_OBJECT(p), (callback), (arg))
#define gari_finalize_new(p, fn, arg) gari_finalize_new(GARI_OBJECT(p), (fn), (arg))
#define gari_weakmap_set(map, key, size, p) gari_weakmap_set((map), (key), (size), GARI_OBJECT(p))
#define gari_weakmap_setdefault(map, key, size, p)                                                 \
    ((__typeof__(p))gari_weakmap_setdefault((map), (key), (size), GARI_OBJECT(p)))
#define gari_weakset_add(set, p) gari_weakset_add((set), GARI_OBJECT(p))
#define gari_weakset_discard(set, p) gari_weakset_discard((set), GARI_OBJECT(p))
#define gari_weakset_contains(set, p) gari_weakset_contains((set), GARI_OBJECT(p))

#endif
