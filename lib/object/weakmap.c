/* Weak-value map and weak set: one hash table of control blocks. An entry does not need to know when
 * its object dies: a control block whose object is dead says so, and its entry is dropped when the
 * table would otherwise grow. So nothing here runs at anybody's death. */
#include "lib/object/count.h"
#include "lib/object/weak.h"

#include "lib/heap/memory.h"

#include <errno.h>
#include <string.h>

#undef gari_weakmap_set
#undef gari_weakmap_setdefault
#undef gari_weakset_add
#undef gari_weakset_discard
#undef gari_weakset_contains
#undef gari_decref

#define FIRST_BUCKETS 8u

struct entry {
    struct entry *next;
    struct gari__weak *weak;
    uint64_t hash;
    size_t size;
    unsigned char key[];
};

struct table {
    pthread_rwlock_t lock;
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;        /* entries, of dead objects too */
};

static uint64_t hash_of(const void *key, size_t size)
{
    /* FNV-1a (G. Fowler, L. C. Noll, P. Vo), and a multiplication for the low bits. */
    const unsigned char *bytes = key;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    return hash * 0x9e3779b97f4a7c15u >> 7;
}

static struct entry **find(const struct table *table, const void *key, size_t size, uint64_t hash)
{
    struct entry **link = &table->buckets[hash & (table->bucket_count - 1)];
    while (*link &&
           ((*link)->hash != hash || (*link)->size != size || memcmp((*link)->key, key, size) != 0))
        link = &(*link)->next;
    return link;
}

static void drop_entry(struct table *table, struct entry **link)
{
    struct entry *entry = *link;
    *link = entry->next;
    table->count--;
    gari__weak_release(entry->weak);
    gari__memory_free(entry);
}

static void drop_dead(struct table *table)
{
    for (size_t i = 0; i < table->bucket_count; i++) {
        struct entry **link = &table->buckets[i];
        while (*link) {
            if (gari__weak_is_dead((*link)->weak))
                drop_entry(table, link);
            else
                link = &(*link)->next;
        }
    }
}

/* Makes room for one more: by dropping the dead, and if more than half remain, by growing. */
static bool make_room(struct table *table)
{
    if (table->count < table->bucket_count)
        return true;
    drop_dead(table);
    if (table->count < table->bucket_count / 2)
        return true;
    size_t more = table->bucket_count * 2;
    struct entry **buckets = gari__memory_new(more * sizeof(struct entry *));
    if (!buckets)
        return table->count < 4 * table->bucket_count; /* slower, but it works */
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (struct entry *entry = table->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            entry->next = buckets[entry->hash & (more - 1)];
            buckets[entry->hash & (more - 1)] = entry;
        }
    }
    gari__memory_free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = more;
    return true;
}

static struct table *table_new(void)
{
    struct table *table = gari__memory_new(sizeof *table);
    struct entry **buckets =
        table ? gari__memory_new(FIRST_BUCKETS * sizeof(struct entry *)) : NULL;
    if (!buckets) {
        gari__memory_free(table);
        return NULL;
    }
    pthread_rwlock_init(&table->lock, NULL);
    table->buckets = buckets;
    table->bucket_count = FIRST_BUCKETS;
    return table;
}

static void table_free(void *self)
{
    struct table *table = ((gari_weakmap *)self)->table_;
    if (!table)
        return;
    for (size_t i = 0; i < table->bucket_count; i++) {
        while (table->buckets[i])
            drop_entry(table, &table->buckets[i]);
    }
    pthread_rwlock_destroy(&table->lock);
    gari__memory_free(table->buckets);
    gari__memory_free(table);
}

static const gari_type map_type = {.struct_size = sizeof(gari_type),
                                   .name = "gari_weakmap",
                                   .size = sizeof(gari_weakmap),
                                   .align = __alignof__(gari_weakmap),
                                   .reclaim = table_free};
static const gari_type set_type = {.struct_size = sizeof(gari_type),
                                   .name = "gari_weakset",
                                   .size = sizeof(gari_weakset),
                                   .align = __alignof__(gari_weakset),
                                   .reclaim = table_free};
_Static_assert(offsetof(gari_weakmap, table_) == offsetof(gari_weakset, table_),
               "table_free serves both");

/* Maps the key to the object, or with `existing` gives back the one that it is mapped to. 0 or ENOMEM. */
static int put(struct table *table, const void *key, size_t size, gari_object *object,
               gari_object **existing)
{
    uint64_t hash = hash_of(key, size);
    struct gari__weak *weak = gari__weak_hold(object);
    if (!weak)
        return ENOMEM;
    int error = 0;
    pthread_rwlock_wrlock(&table->lock);
    struct entry *entry = *find(table, key, size, hash);
    if (entry && existing)
        *existing = gari__weak_get(entry->weak);
    if (entry && !(existing && *existing)) {
        gari__weak_release(entry->weak);
        entry->weak = weak;
        weak = NULL;
    } else if (!entry) {
        entry = make_room(table) ? gari__memory_new(sizeof *entry + size) : NULL;
        if (entry) {
            memcpy(entry->key, key, size);
            entry->size = size;
            entry->hash = hash;
            entry->weak = weak;
            weak = NULL;
            struct entry **link = find(table, key, size, hash);
            entry->next = NULL;
            *link = entry;
            table->count++;
        } else {
            error = ENOMEM;
        }
    }
    pthread_rwlock_unlock(&table->lock);
    if (weak)
        gari__weak_release(weak);
    return error;
}

static gari_object *get(struct table *table, const void *key, size_t size)
{
    uint64_t hash = hash_of(key, size);
    pthread_rwlock_rdlock(&table->lock);
    struct entry *entry = *find(table, key, size, hash);
    gari_object *object = entry ? gari__weak_get(entry->weak) : NULL;
    pthread_rwlock_unlock(&table->lock);
    return object;
}

static bool remove_key(struct table *table, const void *key, size_t size)
{
    uint64_t hash = hash_of(key, size);
    pthread_rwlock_wrlock(&table->lock);
    struct entry **link = find(table, key, size, hash);
    bool lived = *link && !gari__weak_is_dead((*link)->weak);
    if (*link)
        drop_entry(table, link);
    pthread_rwlock_unlock(&table->lock);
    return lived;
}

static size_t count(struct table *table)
{
    pthread_rwlock_wrlock(&table->lock);
    drop_dead(table);
    size_t left = table->count;
    pthread_rwlock_unlock(&table->lock);
    return left;
}

struct visited {
    gari_object *object;
    const unsigned char *key;
    size_t size;
};

/* The objects that live, owned, and copies of their keys, in one piece of memory; NULL: none of it. */
static struct visited *snapshot(struct table *table, size_t *number)
{
    pthread_rwlock_rdlock(&table->lock);
    size_t bytes = 0, n = 0;
    for (size_t i = 0; i < table->bucket_count; i++)
        for (struct entry *entry = table->buckets[i]; entry; entry = entry->next)
            bytes += entry->size;
    struct visited *all = gari__memory_new(table->count * sizeof *all + bytes + 1);
    unsigned char *keys = all ? (unsigned char *)(all + table->count) : NULL;
    for (size_t i = 0; all && i < table->bucket_count; i++) {
        for (struct entry *entry = table->buckets[i]; entry; entry = entry->next) {
            gari_object *object = gari__weak_get(entry->weak);
            if (!object)
                continue;
            memcpy(keys, entry->key, entry->size);
            all[n++] = (struct visited){object, keys, entry->size};
            keys += entry->size;
        }
    }
    pthread_rwlock_unlock(&table->lock);
    *number = n;
    return all;
}

gari_weakmap *gari_weakmap_new(void)
{
    struct table *table = table_new();
    gari_weakmap *map = table ? gari_new(&map_type) : NULL;
    if (map)
        map->table_ = table;
    else if (table)
        table_free(&(gari_weakmap){.table_ = table});
    return map;
}

int gari_weakmap_set(gari_weakmap *map, const void *key, size_t size, gari_object *object)
{
    return put(map->table_, key, size, object, NULL);
}

void *gari_weakmap_get(gari_weakmap *map, const void *key, size_t size)
{
    return get(map->table_, key, size);
}

void *gari_weakmap_setdefault(gari_weakmap *map, const void *key, size_t size, gari_object *object)
{
    gari_object *existing = NULL;
    if (put(map->table_, key, size, object, &existing) != 0)
        return NULL;
    if (existing)
        return existing;
    gari__count_up(object, "gari_weakmap_setdefault");
    return object;
}

bool gari_weakmap_remove(gari_weakmap *map, const void *key, size_t size)
{
    return remove_key(map->table_, key, size);
}

size_t gari_weakmap_count(gari_weakmap *map)
{
    return count(map->table_);
}

int gari_weakmap_each(gari_weakmap *map,
                      void (*visit)(const void *key, size_t size, void *object, void *arg),
                      void *arg)
{
    size_t number;
    struct visited *all = snapshot(map->table_, &number);
    if (!all)
        return ENOMEM;
    for (size_t i = 0; i < number; i++) {
        visit(all[i].key, all[i].size, all[i].object, arg);
        gari_decref(all[i].object);
    }
    gari__memory_free(all);
    return 0;
}

gari_weakset *gari_weakset_new(void)
{
    struct table *table = table_new();
    gari_weakset *set = table ? gari_new(&set_type) : NULL;
    if (set)
        set->table_ = table;
    else if (table)
        table_free(&(gari_weakmap){.table_ = table});
    return set;
}

/* The key is the object's address. An entry of a dead object whose memory has been used again is none of
 * the new one's, and says so by being dead. */
int gari_weakset_add(gari_weakset *set, gari_object *object)
{
    return put(set->table_, &object, sizeof object, object, NULL);
}

bool gari_weakset_discard(gari_weakset *set, gari_object *object)
{
    return remove_key(set->table_, &object, sizeof object);
}

bool gari_weakset_contains(gari_weakset *set, const gari_object *object)
{
    gari_object *found = get(set->table_, &object, sizeof object);
    gari_decref(found);
    return found != NULL;
}

size_t gari_weakset_count(gari_weakset *set)
{
    return count(set->table_);
}

int gari_weakset_each(gari_weakset *set, void (*visit)(void *object, void *arg), void *arg)
{
    size_t number;
    struct visited *all = snapshot(set->table_, &number);
    if (!all)
        return ENOMEM;
    for (size_t i = 0; i < number; i++) {
        visit(all[i].object, arg);
        gari_decref(all[i].object);
    }
    gari__memory_free(all);
    return 0;
}

static const char *check_table(const struct table *table,
                               void (*visit)(const struct gari__weak *weak, void *arg), void *arg)
{
    size_t count = 0;
    if (table->bucket_count == 0 || (table->bucket_count & (table->bucket_count - 1)))
        return "the number of its buckets is no power of two";
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (const struct entry *entry = table->buckets[i]; entry; entry = entry->next) {
            if (++count > table->count)
                return "it has more entries than it counts";
            if ((entry->hash & (table->bucket_count - 1)) != i)
                return "an entry is in the wrong bucket";
            if (hash_of(entry->key, entry->size) != entry->hash)
                return "an entry's key has changed";
            visit(entry->weak, arg);
        }
    }
    return count == table->count ? NULL : "it has fewer entries than it counts";
}

const char *gari__weakmap_check(const struct gari__shape *shape, const gari_object *object,
                                void (*visit)(const struct gari__weak *weak, void *arg), void *arg)
{
    if (shape->identity != &map_type && shape->identity != &set_type)
        return NULL;
    const struct table *table = ((const gari_weakmap *)(const void *)object)->table_;
    return table ? check_table(table, visit, arg) : NULL;
}
