/* The hash map's table: open addressing with linear probing, over entries that are objects of their
 * own.
 *
 *   map->table -> table: slots -> entry: hash, key, value
 *
 * An entry keeps its place for as long as its key is in the map and the table is the map's. It is dead
 * when its value is NULL: then its key has been removed, and the slot can be given to another entry,
 * but it still says to whoever looks for a key behind it that he must look on. A slot that nobody
 * looks beyond, because the next one is empty, is emptied.
 *
 * Readers take no lock: they borrow the table and probe. Writers hold the map's lock. Growing and
 * shrinking fill a new table with counted copies of the references to the live entries and
 * publish it by one exchange; the old table is not written to again. Both tables share the entries, so
 * whoever still has the old one sees values come and go. No reference is moved (R8). */
#ifndef GARI_CONTAINERS_TABLE_H
#define GARI_CONTAINERS_TABLE_H

#include "lib/gari_containers.h"

#include "lib/containers/slots.h"

struct gari__entry {
    gari_object header;
    uint64_t hash;
    int64_t integer; /* the key, if it is an integer */
    gari_key_kind kind;
    gari_ref key;   /* the gari_bytes of a string, or the object; NULL in a dead entry */
    gari_ref value; /* NULL in a dead entry */
};

struct gari__table {
    gari_object header;
    size_t used;   /* slots that are not empty; under the map's lock */
    size_t length; /* a power of two; at least a quarter of the slots are empty */
    GARI_REF(struct gari__entry) slots[];
};

extern const gari_type gari__table_type;
extern const gari_type gari__entry_type;

/* A key as it was given, with its hash; a gari_bytes has become a string. */
struct gari__key {
    gari_key key;
    uint64_t hash;
};
struct gari__key gari__key_of(gari_key key, const char *call);

/* A new entry with copies of key and value, which the caller owns. NULL: no memory. */
struct gari__entry *gari__entry_new(const struct gari__key *key, void *value);

#define GARI__NO_SLOT SIZE_MAX

/* The live entry with that key, borrowed, or NULL. *at is its slot. *vacant is the first slot on
 * the way that could take the key. In a section, or under the map's lock. */
struct gari__entry *gari__table_find(struct gari__table *table, const struct gari__key *key,
                                     size_t *at, size_t *vacant);

/* Whether the table has room for one more entry in an empty slot. */
static inline bool gari__table_has_room(const struct gari__table *table)
{
    return table && table->used < table->length / 4 * 3;
}

/* How long a table should be for that many live entries: at most half full. */
size_t gari__table_length_for(size_t live);

/* Fills a new table with the live entries of an old one (or NULL). Under the map's lock. */
void gari__table_copy(struct gari__table *fresh, struct gari__table *old);

/* Empties the slot, whose entry has died, if nobody looks beyond it, and what is before it alike.
 * Under the map's lock. */
void gari__table_tidy(struct gari__object_thread *self, struct gari__table *table, size_t at);

#endif
