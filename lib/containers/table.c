#include "lib/containers/table.h"

#include "concurrency/fatal.h"
#include "lib/containers/bytes.h"
#include "lib/containers/hash.h"

#include <string.h>

#define SHORTEST 8u
/* Slots that one removal empties at most. */
#define TIDY 16u

const gari_type gari__table_type = {
    .struct_size = sizeof(gari_type),
    .name = "gari_map's table",
    .size = sizeof(struct gari__table),
    .align = _Alignof(struct gari__table),
    .items = GARI_REF_ITEMS(struct gari__table, length, slots),
};

const gari_type gari__entry_type = {
    .struct_size = sizeof(gari_type),
    .name = "gari_map's entry",
    .size = sizeof(struct gari__entry),
    .align = _Alignof(struct gari__entry),
    .refs = GARI_REFS(struct gari__entry, key, value),
};

struct gari__key gari__key_of(gari_key key, const char *call)
{
    switch (key.kind) {
    case GARI_KEY_INTEGER:
        return (struct gari__key){key, gari__hash_number((uint64_t)key.integer)};
    case GARI_KEY_STRING:
        return (struct gari__key){key, gari__hash_bytes(key.data, key.length)};
    case GARI_KEY_OBJECT:
        break;
    }
    if (!key.object)
        gari__fatal("%s: the key is NULL", call);
    if (!gari_is_bytes(key.object))
        return (struct gari__key){key, gari__hash_number((uintptr_t)key.object)};
    const gari_bytes *bytes = key.object;
    key.kind = GARI_KEY_STRING;
    key.data = gari_bytes_data(bytes);
    key.length = gari_bytes_length(bytes);
    return (struct gari__key){key, gari_bytes_hash(bytes)};
}

struct gari__entry *gari__entry_new(const struct gari__key *key, void *value)
{
    struct gari__entry *entry = gari_new(&gari__entry_type);
    if (!entry)
        return NULL;
    entry->hash = key->hash;
    entry->kind = key->key.kind;
    entry->integer = key->key.integer;
    gari_object *object = gari_incref((gari_object *)key->key.object);
    if (!object && entry->kind == GARI_KEY_STRING) {
        gari_bytes *bytes = gari_bytes_new(key->key.data, key->key.length);
        if (!bytes) {
            gari_decref(entry);
            return NULL;
        }
        object = (gari_object *)bytes;
    }
    if (object)
        gari_init(&entry->key, object);
    gari_init(&entry->value, (void *)gari_incref((gari_object *)value));
    return entry;
}

static bool has_key(struct gari__entry *entry, const struct gari__key *key)
{
    if (entry->hash != key->hash || entry->kind != key->key.kind)
        return false;
    if (entry->kind == GARI_KEY_INTEGER)
        return entry->integer == key->key.integer;
    const void *object = gari_borrow(&entry->key);
    if (entry->kind == GARI_KEY_OBJECT || !object)
        return object && object == key->key.object;
    return gari_bytes_length(object) == key->key.length &&
           memcmp(gari_bytes_data(object), key->key.data, key->key.length) == 0;
}

struct gari__entry *gari__table_find(struct gari__table *table, const struct gari__key *key,
                                     size_t *at, size_t *vacant)
{
    size_t mask = table->length - 1;
    *vacant = GARI__NO_SLOT;
    for (size_t n = 0; n < table->length; n++) {
        size_t slot = (key->hash + n) & mask;
        struct gari__entry *entry = gari_borrow(&table->slots[slot]);
        bool dead = !entry || !gari_borrow(&entry->value);
        if (dead && *vacant == GARI__NO_SLOT)
            *vacant = slot;
        if (!entry)
            return NULL;
        if (!dead && has_key(entry, key)) {
            *at = slot;
            return entry;
        }
    }
    return NULL;
}

size_t gari__table_length_for(size_t live)
{
    size_t length = SHORTEST;
    while (length / 2 < live && length <= SIZE_MAX / 4)
        length *= 2;
    return length;
}

static void insert(struct gari__table *fresh, struct gari__entry *entry)
{
    size_t mask = fresh->length - 1, slot = entry->hash & mask;
    while (gari_borrow(&fresh->slots[slot]))
        slot = (slot + 1) & mask;
    gari_init(&fresh->slots[slot], (void *)entry);
    fresh->used++;
}

void gari__table_copy(struct gari__table *fresh, struct gari__table *old)
{
    for (size_t i = 0; old && i < old->length; i++) {
        struct gari__entry *entry = gari_borrow(&old->slots[i]);
        /* The dead ones stay behind. */
        if (entry && gari_borrow(&entry->value) && gari__slot_copy(GARI__SLOT(&old->slots[i])))
            insert(fresh, entry);
    }
}

void gari__table_tidy(struct gari__object_thread *self, struct gari__table *table, size_t at)
{
    size_t mask = table->length - 1;
    for (unsigned n = 0; n < TIDY; n++, at = (at - 1) & mask) {
        struct gari__entry *entry = gari_borrow(&table->slots[at]);
        if (!entry || gari_borrow(&entry->value) || gari_borrow(&table->slots[(at + 1) & mask]))
            return;
        gari__slot_put(self, GARI__SLOT(&table->slots[at]), NULL, "gari_map");
        table->used--;
    }
}
