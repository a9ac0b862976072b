#include "lib/object/shape.h"

#include "concurrency/fatal.h"
#include "concurrency/perturb.h"
#include "concurrency/word.h"
#include "lib/heap/memory.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#define TABLE 256

/* The checked build keeps no references: it tells of one that is given back twice at the call. */
#ifdef GARI_CHECKED
#define KEEPS false
#else
#define KEEPS true
#endif

bool gari__late_used;
bool gari__hot_used;

/* Read without the lock: a bucket's list only ever grows at its head. */
static struct gari__shape *table[TABLE];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void check_offset(const gari_type *type, size_t offset, size_t size, const char *what,
                         const char *call)
{
    if (offset < sizeof(gari_object) || offset % 8 != 0 || offset + size > type->size)
        gari__fatal(
            "%s: type '%s' has a %s at offset %zu, outside its %zu bytes or not aligned to 8", call,
            type->name, what, offset, type->size);
}

/* Whether nobody is told of the death of such objects. */
static bool is_unobserved(const gari_type *type)
{
    bool told = type->dispose != NULL;
#ifdef GARI_PERTURB
    told &= !gari__plain;
#endif
    return !told && !type->finalize && !type->reclaim;
}

static void check(const gari_type *type, const char *call)
{
    if (!type)
        gari__fatal("%s: the type is NULL", call);
    if (type->struct_size != sizeof(gari_type))
        gari__fatal(
            "%s: the type descriptor says that it has %zu bytes, not %zu: initialise it with "
            "GARI_TYPE, compiled against this version's header",
            call, type->struct_size, sizeof(gari_type));
    if (!type->name)
        gari__fatal("%s: a type without a name", call);
    if (type->size < sizeof(gari_object))
        gari__fatal("%s: type '%s' has size %zu, less than its header", call, type->name,
                    type->size);
    if (type->align > 64 || (type->align & (type->align - 1)))
        gari__fatal("%s: type '%s' asks for an alignment of %zu; powers of two up to 64 can be had",
                    call, type->name, type->align);
    if (type->refs.count > GARI_MAX_REFS)
        gari__fatal("%s: type '%s' names %u reference fields, more than %d", call, type->name,
                    type->refs.count, GARI_MAX_REFS);
    for (uint32_t i = 0; i < type->refs.count; i++)
        check_offset(type, type->refs.offset[i], sizeof(gari_slot), "reference field", call);
    if (type->flags & ~(GARI_TYPE_NO_CLEAR | GARI_TYPE_LATE | GARI_TYPE_HOT))
        gari__fatal("%s: type '%s' has flags 0x%x, of which some are unknown", call, type->name,
                    type->flags);
    if ((type->flags & GARI_TYPE_LATE) && !is_unobserved(type))
        gari__fatal(
            "%s: type '%s' is GARI_TYPE_LATE, and has a %s callback, which must not be late", call,
            type->name,
            type->finalize  ? "finalize"
            : type->dispose ? "dispose"
                            : "reclaim");
    const gari_type_items *items = &type->items;
    if (items->size) {
        check_offset(type, items->length_offset, sizeof(size_t), "length", call);
        if (items->offset < sizeof(gari_object) || items->offset > type->size ||
            (items->are_refs && (items->offset % 8 != 0 || items->size != sizeof(gari_slot))))
            gari__fatal(
                "%s: type '%s' has its trailing array at offset %u, outside its %zu bytes or "
                "not aligned",
                call, type->name, items->offset, type->size);
    }
}

/* Sixteen classes of 16 bytes, then four to each doubling: at most a quarter is lost. */
static uint32_t class_size(unsigned number)
{
    if (number < 16)
        return (number + 1) * 16;
    unsigned doubling = (number - 16) / 4, step = (number - 16) % 4;
    return (256u << doubling) / 4 * (5 + step);
}

static unsigned class_of(size_t size)
{
    if (size <= 256)
        return size <= 16 ? 0 : (unsigned)((size + 15) / 16 - 1);
    unsigned number = 16;
    while (class_size(number) < size)
        number++;
    return number;
}

static bool is_tracked(const gari_type *type)
{
    return type->refs.count || (type->items.size && type->items.are_refs) || type->traverse;
}

static void init_kind(struct gari__kind *kind, const struct gari__shape *shape, size_t slot_size)
{
    kind->shape = shape;
    kind->tracked = shape->tracked;
    kind->unobserved = shape->unobserved && slot_size != 0;
    kind->slot_size = (uint32_t)slot_size;
    size_t pages = (slot_size * 4 + GARI__PAGE_SIZE - 1) / GARI__PAGE_SIZE;
    kind->first_pages = (uint32_t)(pages ? pages : 1);
    pthread_mutex_init(&kind->lock, NULL);
}

/* A reference to the object file that the descriptor lies in. NULL: it is the program itself, or on no
 * file's account (a descriptor in allocated memory). */
static void *hold_library(const gari_type *type)
{
    Dl_info info;
    struct link_map *file;
    /* Of the program the name is empty here, and its path in `info`, for which dlopen would search. */
    if (dladdr1(type, &info, (void **)&file, RTLD_DL_LINKMAP) == 0 || !file->l_name[0])
        return NULL;
    return dlopen(file->l_name, RTLD_LAZY | RTLD_NOLOAD);
}

/* A retired shape of the same layout, to which threads may still have blocks: a plug-in that is loaded
 * again mostly comes to lie where it was. */
static struct gari__shape *revive(struct gari__shape *shape, const gari_type *type)
{
    while (shape &&
           (shape->identity || shape->type.size != type->size || shape->type.align != type->align ||
            shape->type.items.size != type->items.size ||
            shape->type.items.are_refs != type->items.are_refs ||
            shape->tracked != is_tracked(type) || shape->unobserved != is_unobserved(type)))
        shape = shape->next;
    return shape;
}

static void describe(struct gari__shape *shape, const gari_type *type)
{
    shape->type = *type;
#ifdef GARI_PERTURB
    if (gari__plain) {
        shape->observe = type->dispose;
        shape->type.dispose = NULL;
    }
#endif
    shape->has_items = type->items.size != 0;
    shape->tracked = is_tracked(type);
    if (type->flags & GARI_TYPE_LATE)
        gari__store_relaxed(&gari__late_used, true);
    if (type->flags & GARI_TYPE_HOT)
        gari__store_relaxed(&gari__hot_used, true);
    shape->plain = shape->tracked && !shape->has_items && !type->traverse;
    shape->late = (type->flags & GARI_TYPE_LATE) && shape->tracked;
    shape->unobserved = is_unobserved(type);
    shape->birth_step = GARI__VERSION_ONE | GARI__COUNT_ONE | (shape->tracked ? 0 : GARI__LEAF) |
                        (type->finalize ? GARI__UNFINALIZED : 0) |
                        (KEEPS && (type->flags & GARI_TYPE_HOT) ? GARI__HOT : 0);
}

static struct gari__shape *make(const gari_type *type)
{
    struct gari__shape *shape = gari__memory_new(sizeof *shape);
    if (!shape)
        return NULL;
    describe(shape, type);
    init_kind(&shape->single, shape, 0);
    size_t slot = (type->size + 7) & ~(size_t)7;
    if (shape->has_items) {
        for (unsigned i = 0; i < GARI__SIZE_CLASSES; i++)
            init_kind(&shape->classes[i], shape, class_size(i));
    } else {
        init_kind(&shape->classes[0], shape, slot < GARI__SLOT_MIN ? GARI__SLOT_MIN : slot);
    }
    return shape;
}

static struct gari__shape *look_up(struct gari__shape *const *bucket, const gari_type *type)
{
    struct gari__shape *shape = gari__load_acquire(bucket);
    /* Acquire: pairs with a shape's revival. */
    while (shape && gari__load_acquire(&shape->identity) != type)
        shape = shape->next;
    return shape;
}

struct gari__shape *gari__shape_find(const gari_type *type, const char *call)
{
    struct gari__shape **bucket = &table[(uintptr_t)type / 32 % TABLE];
    struct gari__shape *shape = look_up(bucket, type);
    if (shape)
        return shape;
    check(type, call);
    /* Without the lock: the loader has one of its own, under which constructors may come here. */
    void *library = hold_library(type);
    gari__mutex_lock(&lock);
    shape = look_up(bucket, type);
    if (!shape && (shape = revive(gari__load_relaxed(bucket), type)) != NULL) {
        describe(shape, type);
        shape->library = library;
        library = NULL;
        gari__store_release(&shape->identity, type);
    } else if (!shape && (shape = make(type)) != NULL) {
        shape->identity = type;
        shape->library = library;
        library = NULL;
        shape->next = gari__load_relaxed(bucket);
        /* Release: pairs with look_up. */
        gari__store_release(bucket, shape);
    }
    gari__mutex_unlock(&lock);
    if (library)
        dlclose(library); /* somebody else was faster, or there is no memory */
    return shape;
}

struct gari__shape *gari__shape_known(const gari_type *type)
{
    return look_up(&table[(uintptr_t)type / 32 % TABLE], type);
}

void gari__shape_retire(struct gari__shape *shape)
{
    gari__mutex_lock(&lock);
    void *library = shape->library;
    gari__store_relaxed(&shape->identity, NULL);
    shape->library = NULL;
    shape->type.name = "a retired type";
    shape->type.traverse = NULL;
    shape->type.finalize = shape->type.dispose = shape->type.reclaim = NULL;
    gari__mutex_unlock(&lock);
    if (library)
        dlclose(library);
}

struct gari__kind *gari__shape_kind(struct gari__shape *shape, size_t size)
{
    if (size > GARI__SLOT_MAX)
        return &shape->single;
    if (!shape->has_items)
        return &shape->classes[0];
    /* Classes above 256 are multiples of 64 anyway. */
    size_t align = shape->type.align > 8 ? shape->type.align : 8;
    return &shape->classes[class_of((size + align - 1) & ~(align - 1))];
}

void gari__kinds_walk(void (*visit)(struct gari__kind *kind, void *arg), void *arg)
{
    for (size_t i = 0; i < TABLE; i++) {
        for (struct gari__shape *s = gari__load_acquire(&table[i]); s; s = s->next) {
            visit(&s->single, arg);
            for (size_t k = 0; k < GARI__SIZE_CLASSES; k++) {
                if (s->classes[k].shape)
                    visit(&s->classes[k], arg);
            }
        }
    }
}

void gari__shapes_before_fork(void)
{
    gari__mutex_pass(&lock);
    gari__kinds_walk(gari__kind_before_fork, NULL);
}

void gari__shapes_after_fork(void)
{
    gari__mutex_renew(&lock);
    gari__kinds_walk(gari__kind_after_fork, NULL);
}
