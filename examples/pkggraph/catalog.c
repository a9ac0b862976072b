#include "examples/pkggraph/catalog.h"

#include <stdlib.h>
#include <string.h>

/* Makes room for one more item of an array. Numbers are 32 bits wide, and one is reserved. */
static bool make_room(void **items, size_t *room, size_t count, size_t item_size)
{
    if (count < *room)
        return true;
    if (count >= CATALOG_NONE / 2)
        return false;
    size_t wanted = *room ? *room * 2 : 1024;
    void *grown = realloc(*items, wanted * item_size);
    if (!grown)
        return false;
    *items = grown;
    *room = wanted;
    return true;
}

/* FNV-1a, finished by a multiplication so that its low bits depend on every byte. */
uint32_t name_hash(const char *bytes, size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)((hash * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static bool grow_slots(struct names *names)
{
    size_t capacity = names->capacity ? names->capacity * 2 : 4096;
    struct name_slot *slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < names->count; i++) {
        size_t at = names->items[i].hash & (capacity - 1);
        while (slots[at].number_plus_one)
            at = (at + 1) & (capacity - 1);
        slots[at].hash = names->items[i].hash;
        slots[at].number_plus_one = (uint32_t)i + 1;
    }
    free(names->slots);
    names->slots = slots;
    names->capacity = capacity;
    return true;
}

uint32_t names_add(struct names *names, const char *bytes, size_t length)
{
    /* At most half full: linear probing stays short, and there is always an empty place. */
    if (names->count * 2 >= names->capacity && !grow_slots(names))
        return CATALOG_NONE;
    uint32_t hash = name_hash(bytes, length);
    size_t at = hash & (names->capacity - 1);
    for (; names->slots[at].number_plus_one; at = (at + 1) & (names->capacity - 1)) {
        if (names->slots[at].hash != hash)
            continue;
        uint32_t number = names->slots[at].number_plus_one - 1;
        const struct slice *item = &names->items[number];
        if (item->length == length && memcmp(item->bytes, bytes, length) == 0)
            return number;
    }
    void *items = names->items;
    bool room = make_room(&items, &names->room, names->count, sizeof(*names->items));
    names->items = items;
    if (!room || length > UINT32_MAX)
        return CATALOG_NONE;
    uint32_t number = (uint32_t)names->count++;
    names->items[number] = (struct slice){bytes, (uint32_t)length, hash};
    names->slots[at] = (struct name_slot){hash, number + 1};
    return number;
}

uint32_t catalog_package(struct catalog *catalog, const char *bytes, size_t length)
{
    uint32_t number = names_add(&catalog->packages, bytes, length);
    if (number == CATALOG_NONE)
        return CATALOG_NONE;
    if (number < catalog->first_version_count)
        return number;
    void *items = catalog->first_version;
    bool room = make_room(&items, &catalog->first_version_room, number, sizeof(uint32_t));
    catalog->first_version = items;
    if (!room)
        return CATALOG_NONE;
    catalog->first_version[number] = CATALOG_NONE;
    catalog->first_version_count = (size_t)number + 1;
    return number;
}

enum catalog_result catalog_add_version(struct catalog *catalog, const struct catalog_version *v)
{
    uint32_t known = catalog->first_version[v->package];
    for (; known != CATALOG_NONE; known = catalog->versions[known].next_of_package) {
        struct catalog_version *other = &catalog->versions[known];
        if (other->version == v->version && other->architecture == v->architecture) {
            other->installed |= v->installed;
            return CATALOG_KNOWN;
        }
    }
    void *items = catalog->versions;
    bool room = make_room(&items, &catalog->version_room, catalog->version_count, sizeof(*v));
    catalog->versions = items;
    if (!room)
        return CATALOG_NO_MEMORY;
    uint32_t number = (uint32_t)catalog->version_count++;
    struct catalog_version *added = &catalog->versions[number];
    *added = *v;
    added->next_of_package = catalog->first_version[v->package];
    added->first_relation = (uint32_t)catalog->relation_count;
    added->relation_count = 0;
    catalog->first_version[v->package] = number;
    return CATALOG_ADDED;
}

bool catalog_add_relation(struct catalog *catalog, const struct catalog_relation *relation)
{
    void *items = catalog->relations;
    bool room =
        make_room(&items, &catalog->relation_room, catalog->relation_count, sizeof(*relation));
    catalog->relations = items;
    if (!room)
        return false;
    catalog->relations[catalog->relation_count++] = *relation;
    catalog->versions[catalog->version_count - 1].relation_count++;
    return true;
}

static void names_reset(struct names *names)
{
    if (names->slots)
        memset(names->slots, 0, names->capacity * sizeof(*names->slots));
    names->count = 0;
}

void catalog_reset(struct catalog *catalog)
{
    names_reset(&catalog->packages);
    names_reset(&catalog->strings);
    catalog->version_count = 0;
    catalog->relation_count = 0;
    catalog->first_version_count = 0;
}

void catalog_free(struct catalog *catalog)
{
    free(catalog->packages.slots);
    free(catalog->packages.items);
    free(catalog->strings.slots);
    free(catalog->strings.items);
    free(catalog->versions);
    free(catalog->relations);
    free(catalog->first_version);
    *catalog = (struct catalog){0};
}
