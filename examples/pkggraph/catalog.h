/* What the parser found, in plain arrays: no objects yet, only numbers and slices of the text that
 * was parsed (which must outlive the catalog). A catalog is filled again at every reload and keeps
 * its memory, so that only the first load pays for growing it. */
#ifndef PKGGRAPH_CATALOG_H
#define PKGGRAPH_CATALOG_H

#include "examples/pkggraph/version.h"

#define CATALOG_NONE UINT32_MAX

struct slice {
    const char *bytes;
    uint32_t length;
    uint32_t hash;
};

/* One place of an open-addressing table. The index copies these as they are. */
struct name_slot {
    uint32_t hash;
    uint32_t number_plus_one; /* 0: empty */
};

/* Gives equal strings one number, from 0 up. */
struct names {
    struct name_slot *slots;
    size_t capacity; /* a power of two */
    struct slice *items;
    size_t count;
    size_t room;
};

enum relation_kind {
    RELATION_PRE_DEPENDS,
    RELATION_DEPENDS,
    RELATION_RECOMMENDS,
    RELATION_SUGGESTS,
    RELATION_PROVIDES,
    RELATION_KINDS
};

/* One alternative of one dependency, or one provided name. */
struct catalog_relation {
    uint32_t target;     /* a package name */
    uint32_t constraint; /* a string, or CATALOG_NONE */
    uint8_t kind;
    uint8_t op;
    bool or_next; /* the next relation is an alternative to this one */
};

/* One version of one package. */
struct catalog_version {
    uint32_t package; /* a package name */
    uint32_t version; /* strings from here on, section may be CATALOG_NONE */
    uint32_t architecture;
    uint32_t section;
    uint32_t next_of_package; /* another version of the same package, or CATALOG_NONE */
    uint32_t first_relation;
    uint32_t relation_count;
    bool installed;
};

struct catalog {
    struct names packages; /* every name that occurs, also of packages that do not exist */
    struct names strings;  /* versions, architectures, sections */
    struct catalog_version *versions;
    size_t version_count, version_room;
    struct catalog_relation *relations;
    size_t relation_count, relation_room;
    uint32_t *first_version; /* by package name, CATALOG_NONE when there is none */
    size_t first_version_count, first_version_room;
};

uint32_t name_hash(const char *bytes, size_t length);

/* The number of a string, the same for equal strings. CATALOG_NONE when memory is exhausted. */
uint32_t names_add(struct names *names, const char *bytes, size_t length);

/* The number of a package name, for which first_version then exists. CATALOG_NONE: no memory. */
uint32_t catalog_package(struct catalog *catalog, const char *bytes, size_t length);

enum catalog_result { CATALOG_ADDED, CATALOG_KNOWN, CATALOG_NO_MEMORY };

/* Adds a version whose package, version and architecture are set; its relations are then added one
 * by one, before the next version. CATALOG_KNOWN: the same version is there already (the status
 * database and the lists overlap), and `installed` has been carried over to it. */
enum catalog_result catalog_add_version(struct catalog *catalog, const struct catalog_version *v);

/* Adds a relation to the version that was added last. False: no memory. */
bool catalog_add_relation(struct catalog *catalog, const struct catalog_relation *relation);

/* Empties the catalog but keeps its memory; frees it. */
void catalog_reset(struct catalog *catalog);
void catalog_free(struct catalog *catalog);

#endif
