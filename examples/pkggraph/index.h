/* The package archive as a graph of gari objects.
 *
 *   archive -> names, packages, strings
 *   package -> archive, its versions, the relations that name it, the relations that provide it
 *   version -> its package, its relations, strings
 *   relation -> the version it belongs to, the package it names, the version string it asks for
 *
 * References run both ways everywhere, so a whole archive is one big cycle: when a reload swaps in
 * a new one, no count of the old one falls to zero by itself. Once published an archive does not
 * change any more, so readers need nothing but a read section. */
#ifndef PKGGRAPH_INDEX_H
#define PKGGRAPH_INDEX_H

#include "examples/pkggraph/catalog.h"
#include "lib/gari.h"

struct archive;
struct package;

/* A string that many objects share. */
struct text {
    gari_object header;
    size_t length;
    char bytes[];
};

/* The reclaim callbacks below wipe `magic` when an object's memory is given back. So a reader that
 * meets an object without it has been handed a dead one. */
#define PACKAGE_MAGIC 0x50616b65u
#define VERSION_MAGIC 0x56657273u
#define RELATION_MAGIC 0x52656c61u

struct relation {
    gari_object header;
    GARI_REF(struct version) owner;
    GARI_REF(struct package) target;
    GARI_REF(struct text) constraint; /* NULL for VERSION_ANY */
    uint32_t magic;
    uint8_t kind; /* enum relation_kind */
    uint8_t op;   /* enum version_op */
    bool or_next;
};

struct relation_list {
    gari_object header;
    size_t length;
    GARI_REF(struct relation) items[];
};

struct version {
    gari_object header;
    GARI_REF(struct package) package;
    GARI_REF(struct text) number;
    GARI_REF(struct text) architecture;
    GARI_REF(struct text) section;            /* or NULL */
    GARI_REF(struct relation_list) relations; /* or NULL; ordered by kind */
    uint32_t magic;
    uint32_t position; /* in its package's versions */
    bool installed;
};

struct version_list {
    gari_object header;
    size_t length;
    GARI_REF(struct version) items[]; /* the latest first */
};

struct package {
    gari_object header;
    GARI_REF(struct archive) archive;
    GARI_REF(struct version_list) versions;     /* or NULL: virtual or missing */
    GARI_REF(struct relation_list) wanted_by;   /* or NULL; all kinds but Provides */
    GARI_REF(struct relation_list) provided_by; /* or NULL */
    uint64_t serial;                            /* its archive's */
    uint32_t magic;
    uint32_t ordinal; /* its place in the archive's packages */
    size_t length;
    char name[];
};

struct package_list {
    gari_object header;
    size_t length;
    GARI_REF(struct package) items[];
};

struct text_list {
    gari_object header;
    size_t length;
    GARI_REF(struct text) items[];
};

/* Name to ordinal: open addressing, its size a power of two, never full. */
struct name_table {
    gari_object header;
    size_t length;
    struct name_slot slots[];
};

struct archive {
    gari_object header;
    GARI_REF(struct name_table) names;
    GARI_REF(struct package_list) packages;
    GARI_REF(struct text_list) strings;
    uint64_t serial;
    uint32_t package_count;
    uint32_t version_count;
    uint32_t relation_count;
};

/* Called now and then with the number of packages built so far. May be NULL. */
typedef void (*index_progress)(size_t packages, void *arg);

/* Builds an archive. Returns an owned reference, or NULL when memory or gari's memory limit is
 * exhausted; then nothing is left of it but garbage. */
struct archive *index_build(const struct catalog *catalog, uint64_t serial, index_progress progress,
                            void *arg);

/* The package of that name, borrowed, or NULL. The caller is in a read section, and borrowed the
 * archive in it or owns it. */
struct package *index_find(struct archive *archive, const char *name, size_t length);

#endif
