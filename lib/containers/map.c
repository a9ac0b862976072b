#include "lib/containers/broken.h"
#include "lib/containers/table.h"

#include <errno.h>

struct map {
    gari_object header;
    GARI_REF(struct gari__table) table; /* NULL while there never was a key, or none is left */
    size_t live;                        /* keys; written under the lock, read by anybody */
    pthread_mutex_t lock;
};

/* Under this many slots a table is not worth replacing by a shorter one. */
#define SHORT 64u

static void reclaim(void *self)
{
    pthread_mutex_destroy(&((struct map *)self)->lock);
}

static const gari_type map_type = {
    .struct_size = sizeof(gari_type),
    .name = "gari_map",
    .size = sizeof(struct map),
    .align = _Alignof(struct map),
    .refs = GARI_REFS(struct map, table),
    .reclaim = reclaim,
};

static struct map *map_of(gari_map *map)
{
    return (struct map *)(void *)map;
}

gari_map *gari_map_new(void)
{
    struct map *map = gari_new(&map_type);
    if (map)
        pthread_mutex_init(&map->lock, NULL);
    return (gari_map *)map;
}

bool gari_is_map(const void *object)
{
    return gari__shape_of(object)->identity == &map_type;
}

/* ---- Reading: no lock --------------------------------------------------------------------- */

size_t gari_map_length(gari_map *map)
{
    return gari__load_relaxed(&map_of(map)->live);
}

/* The live entry with that key, borrowed, in a section. A table that is no longer the map's may have
 * died and lost entries, so what was not found there is looked for again. */
static struct gari__entry *find(struct map *map, const struct gari__key *key)
{
    struct gari__table *table = gari_borrow(&map->table), *now;
    for (; table; table = now) {
        size_t at, vacant;
        struct gari__entry *entry = gari__table_find(table, key, &at, &vacant);
        if (entry)
            return entry;
        now = gari_borrow(&map->table);
        if (now == table)
            return NULL;
    }
    return NULL;
}

void *gari_map_borrow(gari_map *map, gari_key key)
{
    struct gari__key wanted = gari__key_of(key, "gari_map_borrow");
    struct gari__entry *entry = find(map_of(map), &wanted);
    /* NULL: removed just now. */
    return entry ? gari_borrow(&entry->value) : NULL;
}

void *gari_map_get(gari_map *map, gari_key key)
{
    struct gari__key wanted = gari__key_of(key, "gari_map_get");
    gari__section_begin();
    struct gari__entry *entry = find(map_of(map), &wanted);
    void *value = entry ? gari_load(&entry->value) : NULL;
    gari__section_end();
    return value;
}

bool gari_map_contains(gari_map *map, gari_key key)
{
    struct gari__key wanted = gari__key_of(key, "gari_map_contains");
    gari__section_begin();
    bool found = find(map_of(map), &wanted) != NULL;
    gari__section_end();
    return found;
}

void gari_map_iter_begin(gari_map_iter *iter, gari_map *map)
{
    *iter = (gari_map_iter){.table_ = gari_load(&map_of(map)->table)};
}

/* The entry's key and value, owned by the iterator. False if it is dead, which may show only when the
 * value has been taken. In a section. */
static bool load_entry(gari_map_iter *iter, struct gari__entry *entry)
{
    iter->value = gari_load(&entry->value);
    if (!iter->value)
        return false;
    iter->key.kind = entry->kind;
    iter->key.integer = entry->integer;
    if (entry->kind == GARI_KEY_INTEGER)
        return true;
    iter->key.object = gari_load(&entry->key);
    if (!iter->key.object)
        return false;
    if (entry->kind == GARI_KEY_STRING) {
        iter->key.data = gari_bytes_data(iter->key.object);
        iter->key.length = gari_bytes_length(iter->key.object);
    }
    return true;
}

static void drop_entry(gari_map_iter *iter)
{
    gari_object *key = iter->key.object, *value = iter->value;
    iter->key = (gari_key){.kind = GARI_KEY_INTEGER};
    iter->value = NULL;
    gari_decref(key);
    gari_decref(value);
}

bool gari_map_iter_next(gari_map_iter *iter)
{
    struct gari__table *table = iter->table_;
    bool found = false;
    drop_entry(iter);
    while (table && !found && iter->next_ < table->length) {
        gari__section_begin();
        struct gari__entry *entry = gari_borrow(&table->slots[iter->next_++]);
        found = entry && load_entry(iter, entry);
        gari__section_end();
        if (!found && iter->value)
            drop_entry(iter);
    }
    return found;
}

void gari_map_iter_end(gari_map_iter *iter)
{
    gari_object *table = iter->table_;
    iter->table_ = NULL;
    drop_entry(iter);
    gari_decref(table);
}

/* ---- Writing ------------------------------------------------------------------------------ */

enum condition { ALWAYS, IF_ABSENT, IF_PRESENT };
enum outcome { DONE, PRESENT, ABSENT, NEEDS_ENTRY, NEEDS_TABLE };

/* What a call brings along: memory is got without the lock, for getting it may run callbacks. */
struct supplies {
    struct gari__entry *entry;
    struct gari__table *table;
    size_t length; /* that the table must have */
};

/* Replaces the map's table by the one that was brought along. */
static void rehash(struct gari__object_thread *self, struct map *map, struct supplies *supplies)
{
    struct gari__table *fresh = supplies->table;
    supplies->table = NULL;
    gari__table_copy(fresh, gari_borrow(&map->table));
    gari__slot_publish(self, GARI__SLOT(&map->table), &fresh->header);
}

static enum outcome try_write(struct gari__object_thread *self, struct map *map,
                              const struct gari__key *key, void *value, enum condition condition,
                              void **present, struct supplies *supplies, const char *call)
{
    struct gari__table *table = gari_borrow(&map->table);
    size_t at, vacant = GARI__NO_SLOT;
    struct gari__entry *entry = table ? gari__table_find(table, key, &at, &vacant) : NULL;
    if (entry && condition == IF_ABSENT) {
        if (present)
            *present = gari_load(&entry->value);
        return PRESENT;
    }
    if (entry) {
        gari__slot_put(self, GARI__SLOT(&entry->value), value, call);
        return DONE;
    }
    if (condition == IF_PRESENT)
        return ABSENT;
    if (!supplies->entry)
        return NEEDS_ENTRY;
    if (GARI_BROKEN_REHASH(self, table))
        gari__table_find(table, key, &at, &vacant);
    bool reuses = vacant != GARI__NO_SLOT && gari_borrow(&table->slots[vacant]);
    if (!reuses && !gari__table_has_room(table)) {
        supplies->length = gari__table_length_for(map->live + 1);
        if (!supplies->table || supplies->table->length < supplies->length)
            return NEEDS_TABLE;
        rehash(self, map, supplies);
        table = gari_borrow(&map->table);
        if (!table || gari__table_find(table, key, &at, &vacant) || vacant == GARI__NO_SLOT)
            return ABSENT; /* the map is dying */
    }
    table->used += !gari_borrow(&table->slots[vacant]);
    /* All that the entry refers to is owned by the caller, so it needs no suspicion of its own. */
    gari__slot_put(self, GARI__SLOT(&table->slots[vacant]), &supplies->entry->header, call);
    gari__store_relaxed(&map->live, map->live + 1);
    return DONE;
}

/* 0, EINVAL, ENOMEM; EEXIST (with the owned value in *present, if that is not NULL) or ENOENT when
 * the condition does not hold. */
static int write_key(gari_map *map_, gari_key key_, void *value, enum condition condition,
                     void **present, const char *call)
{
    if (!value)
        return EINVAL;
    struct map *map = map_of(map_);
    struct gari__key key = gari__key_of(key_, call);
    struct supplies supplies = {0};
    enum outcome outcome;
    int error = 0;
    do {
        struct gari__object_thread *self = gari__lock(&map->lock, call);
        outcome = try_write(self, map, &key, value, condition, present, &supplies, call);
        gari__unlock(self, &map->lock);
        if (outcome == NEEDS_ENTRY) {
            supplies.entry = gari__entry_new(&key, value);
            error = supplies.entry ? 0 : ENOMEM;
        } else if (outcome == NEEDS_TABLE) {
            gari_decref(supplies.table);
            supplies.table = gari_new_items(&gari__table_type, supplies.length);
            error = supplies.table ? 0 : ENOMEM;
        }
    } while (outcome >= NEEDS_ENTRY && !error);
    gari_decref(supplies.entry);
    gari_decref(supplies.table);
    if (error)
        return error;
    return outcome == PRESENT ? EEXIST : outcome == ABSENT ? ENOENT : 0;
}

int gari_map_put(gari_map *map, gari_key key, void *value)
{
    return write_key(map, key, value, ALWAYS, NULL, "gari_map_put");
}

int gari_map_put_if_absent(gari_map *map, gari_key key, void *value)
{
    return write_key(map, key, value, IF_ABSENT, NULL, "gari_map_put_if_absent");
}

int gari_map_replace(gari_map *map, gari_key key, void *value)
{
    return write_key(map, key, value, IF_PRESENT, NULL, "gari_map_replace");
}

void *gari_map_get_or_put(gari_map *map, gari_key key, void *value)
{
    void *present = NULL;
    int error = write_key(map, key, value, IF_ABSENT, &present, "gari_map_get_or_put");
    return error == 0 ? gari_incref((gari_object *)value) : present;
}

/* After a removal: an empty map has no table, and one that has become much too long is replaced if
 * there is memory. */
static void shrink(struct map *map, const char *call)
{
    struct supplies supplies = {0};
    for (;;) {
        struct gari__object_thread *self = gari__lock(&map->lock, call);
        struct gari__table *table = gari_borrow(&map->table);
        bool needed = table && table->length >= SHORT && map->live <= table->length / 8;
        supplies.length = gari__table_length_for(map->live);
        if (needed && map->live == 0) {
            gari__slot_publish(self, GARI__SLOT(&map->table), NULL);
            needed = false;
        } else if (needed && supplies.table && supplies.table->length >= supplies.length) {
            rehash(self, map, &supplies);
            needed = false;
        }
        gari__unlock(self, &map->lock);
        gari_decref(supplies.table);
        if (!needed)
            return;
        supplies.table = gari_new_items(&gari__table_type, supplies.length);
        if (!supplies.table)
            return;
    }
}

/* Removes the key, if it has that value (NULL: any). Returns its value, owned. */
static gari_object *remove_key(gari_map *map_, gari_key key_, const void *expected,
                               const char *call)
{
    struct map *map = map_of(map_);
    struct gari__key key = gari__key_of(key_, call);
    struct gari__object_thread *self = gari__lock(&map->lock, call);
    struct gari__table *table = gari_borrow(&map->table);
    gari_object *value = NULL;
    bool too_long = false;
    size_t at, vacant;
    struct gari__entry *entry = table ? gari__table_find(table, &key, &at, &vacant) : NULL;
    if (entry && (!expected || gari_borrow(&entry->value) == expected)) {
        /* The value first: without it the entry is dead. From an edge to the caller's (R4). */
        value = gari_slot_take(GARI__SLOT(&entry->value));
        gari__slot_put(self, GARI__SLOT(&entry->key), NULL, call);
        gari__store_relaxed(&map->live, map->live - 1);
        gari__table_tidy(self, table, at);
        too_long = table->length >= SHORT && map->live <= table->length / 8;
    }
    gari__unlock(self, &map->lock);
    if (too_long)
        shrink(map, call);
    return value;
}

void *gari_map_take(gari_map *map, gari_key key)
{
    return remove_key(map, key, NULL, "gari_map_take");
}

static int remove_if(gari_map *map, gari_key key, const void *expected, const char *call)
{
    gari_object *value = remove_key(map, key, expected, call);
    gari_decref(value);
    return value ? 0 : ENOENT;
}

int gari_map_remove(gari_map *map, gari_key key)
{
    return remove_if(map, key, NULL, "gari_map_remove");
}

int gari_map_remove_if(gari_map *map, gari_key key, const void *value)
{
    return value ? remove_if(map, key, value, "gari_map_remove_if") : ENOENT;
}

void gari_map_clear(gari_map *map_)
{
    struct map *map = map_of(map_);
    struct gari__object_thread *self = gari__lock(&map->lock, "gari_map_clear");
    gari__store_relaxed(&map->live, 0);
    gari__slot_publish(self, GARI__SLOT(&map->table), NULL);
    gari__unlock(self, &map->lock);
}
