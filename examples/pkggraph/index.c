#include "examples/pkggraph/index.h"

#include <stdlib.h>
#include <string.h>

static void reclaim_package(void *self)
{
    ((struct package *)self)->magic = 0;
}
static void reclaim_version(void *self)
{
    ((struct version *)self)->magic = 0;
}
static void reclaim_relation(void *self)
{
    ((struct relation *)self)->magic = 0;
}

static const gari_type text_type =
    GARI_TYPE(struct text, .items = GARI_ITEMS(struct text, length, bytes));

static const gari_type relation_type =
    GARI_TYPE(struct relation, .refs = GARI_REFS(struct relation, owner, target, constraint),
              .reclaim = reclaim_relation);

static const gari_type relation_list_type =
    GARI_TYPE(struct relation_list, .items = GARI_REF_ITEMS(struct relation_list, length, items));

static const gari_type version_type =
    GARI_TYPE(struct version,
              .refs = GARI_REFS(struct version, package, number, architecture, section, relations),
              .reclaim = reclaim_version);

static const gari_type version_list_type =
    GARI_TYPE(struct version_list, .items = GARI_REF_ITEMS(struct version_list, length, items));

static const gari_type package_type = GARI_TYPE(
    struct package, .refs = GARI_REFS(struct package, archive, versions, wanted_by, provided_by),
    .items = GARI_ITEMS(struct package, length, name), .reclaim = reclaim_package);

static const gari_type package_list_type =
    GARI_TYPE(struct package_list, .items = GARI_REF_ITEMS(struct package_list, length, items));

static const gari_type text_list_type =
    GARI_TYPE(struct text_list, .items = GARI_REF_ITEMS(struct text_list, length, items));

static const gari_type name_table_type =
    GARI_TYPE(struct name_table, .items = GARI_ITEMS(struct name_table, length, slots));

static const gari_type archive_type =
    GARI_TYPE(struct archive, .refs = GARI_REFS(struct archive, names, packages, strings));

/* Every object goes into its place in the archive as soon as it is made. So the builder owns one
 * reference, to the archive, which keeps everything else; the pointers here stay valid without a
 * read section because nobody else knows the archive yet; and giving up means dropping that one
 * reference: what was linked up by then is a cycle without a root, left to the collector. */
struct builder {
    const struct catalog *catalog;
    struct archive *archive;
    struct text **strings;
    struct package **packages;
    uint32_t *order; /* room for the versions of any one package */
    struct lists {
        struct relation_list *wanted_by;
        struct relation_list *provided_by;
        uint32_t wanted_count; /* first what there is to come, then what has been filled in */
        uint32_t provided_count;
    } * lists; /* by package */
};

static bool build_strings(struct builder *builder)
{
    const struct names *strings = &builder->catalog->strings;
    struct text_list *list = gari_new_items(&text_list_type, strings->count);
    if (!list)
        return false;
    gari_init(&builder->archive->strings, list);
    for (size_t i = 0; i < strings->count; i++) {
        const struct slice *slice = &strings->items[i];
        struct text *text = gari_new_items(&text_type, slice->length);
        if (!text)
            return false;
        memcpy(text->bytes, slice->bytes, slice->length);
        gari_init(&list->items[i], text);
        builder->strings[i] = text;
    }
    return true;
}

static bool build_packages(struct builder *builder)
{
    const struct names *names = &builder->catalog->packages;
    struct archive *archive = builder->archive;
    struct name_table *table = gari_new_items(&name_table_type, names->capacity);
    if (!table)
        return false;
    memcpy(table->slots, names->slots, names->capacity * sizeof(table->slots[0]));
    gari_init(&archive->names, table);
    struct package_list *list = gari_new_items(&package_list_type, names->count);
    if (!list)
        return false;
    gari_init(&archive->packages, list);
    for (size_t i = 0; i < names->count; i++) {
        const struct slice *slice = &names->items[i];
        struct package *package = gari_new_items(&package_type, slice->length);
        if (!package)
            return false;
        memcpy(package->name, slice->bytes, slice->length);
        package->serial = archive->serial;
        package->ordinal = (uint32_t)i;
        package->magic = PACKAGE_MAGIC;
        gari_init(&list->items[i], package);
        gari_init(&package->archive, gari_incref(archive));
        builder->packages[i] = package;
    }
    return true;
}

/* Reverse references are fixed arrays: counted here, made, and filled in while the relations are.
 */
static bool build_reverse_lists(struct builder *builder)
{
    const struct catalog *catalog = builder->catalog;
    for (size_t i = 0; i < catalog->relation_count; i++) {
        struct lists *lists = &builder->lists[catalog->relations[i].target];
        if (catalog->relations[i].kind == RELATION_PROVIDES)
            lists->provided_count++;
        else
            lists->wanted_count++;
    }
    for (size_t i = 0; i < catalog->packages.count; i++) {
        struct package *package = builder->packages[i];
        struct lists *lists = &builder->lists[i];
        if (lists->wanted_count) {
            lists->wanted_by = gari_new_items(&relation_list_type, lists->wanted_count);
            if (!lists->wanted_by)
                return false;
            gari_init(&package->wanted_by, lists->wanted_by);
        }
        if (lists->provided_count) {
            lists->provided_by = gari_new_items(&relation_list_type, lists->provided_count);
            if (!lists->provided_by)
                return false;
            gari_init(&package->provided_by, lists->provided_by);
        }
        lists->wanted_count = lists->provided_count = 0;
    }
    return true;
}

static bool build_relation(struct builder *builder, const struct catalog_relation *from,
                           struct version *owner, struct relation_list *list, size_t i)
{
    struct relation *relation = gari_new(&relation_type);
    if (!relation)
        return false;
    gari_init(&list->items[i], relation);
    relation->kind = from->kind;
    relation->op = from->op;
    relation->or_next = from->or_next;
    relation->magic = RELATION_MAGIC;
    gari_init(&relation->owner, gari_incref(owner));
    gari_init(&relation->target, gari_incref(builder->packages[from->target]));
    if (from->constraint != CATALOG_NONE)
        gari_init(&relation->constraint, gari_incref(builder->strings[from->constraint]));
    struct lists *lists = &builder->lists[from->target];
    if (from->kind == RELATION_PROVIDES)
        gari_init(&lists->provided_by->items[lists->provided_count++], gari_incref(relation));
    else
        gari_init(&lists->wanted_by->items[lists->wanted_count++], gari_incref(relation));
    return true;
}

static bool build_relations(struct builder *builder, const struct catalog_version *from,
                            struct version *version)
{
    if (from->relation_count == 0)
        return true;
    struct relation_list *list = gari_new_items(&relation_list_type, from->relation_count);
    if (!list)
        return false;
    gari_init(&version->relations, list);
    const struct catalog_relation *relations = &builder->catalog->relations[from->first_relation];
    for (size_t i = 0; i < from->relation_count; i++)
        if (!build_relation(builder, &relations[i], version, list, i))
            return false;
    return true;
}

static int latest_first(const struct builder *builder, uint32_t a, uint32_t b)
{
    const struct slice *strings = builder->catalog->strings.items;
    const struct slice *left = &strings[builder->catalog->versions[a].version];
    const struct slice *right = &strings[builder->catalog->versions[b].version];
    return version_compare(right->bytes, right->length, left->bytes, left->length);
}

/* Puts the package's versions into `order`, the latest first. There are two or three of them. */
static size_t order_versions(const struct builder *builder, uint32_t first, uint32_t *order)
{
    size_t count = 0;
    for (uint32_t v = first; v != CATALOG_NONE; v = builder->catalog->versions[v].next_of_package) {
        size_t at = count++;
        for (; at > 0 && latest_first(builder, v, order[at - 1]) < 0; at--)
            order[at] = order[at - 1];
        order[at] = v;
    }
    return count;
}

static bool build_versions(struct builder *builder, uint32_t ordinal)
{
    const struct catalog *catalog = builder->catalog;
    uint32_t *order = builder->order;
    size_t count = order_versions(builder, catalog->first_version[ordinal], order);
    if (count == 0)
        return true;
    struct package *package = builder->packages[ordinal];
    struct version_list *list = gari_new_items(&version_list_type, count);
    if (!list)
        return false;
    gari_init(&package->versions, list);
    for (size_t i = 0; i < count; i++) {
        const struct catalog_version *from = &catalog->versions[order[i]];
        struct version *version = gari_new(&version_type);
        if (!version)
            return false;
        version->installed = from->installed;
        version->position = (uint32_t)i;
        version->magic = VERSION_MAGIC;
        gari_init(&list->items[i], version);
        gari_init(&version->package, gari_incref(package));
        gari_init(&version->number, gari_incref(builder->strings[from->version]));
        gari_init(&version->architecture, gari_incref(builder->strings[from->architecture]));
        if (from->section != CATALOG_NONE)
            gari_init(&version->section, gari_incref(builder->strings[from->section]));
        if (!build_relations(builder, from, version))
            return false;
    }
    return true;
}

static bool build(struct builder *builder, index_progress progress, void *arg)
{
    size_t count = builder->catalog->packages.count;
    if (!builder->strings || !builder->packages || !builder->lists || !builder->order)
        return false;
    if (!build_strings(builder) || !build_packages(builder) || !build_reverse_lists(builder))
        return false;
    for (size_t ordinal = 0; ordinal < count; ordinal++) {
        if (!build_versions(builder, (uint32_t)ordinal))
            return false;
        if (progress && ordinal % 512 == 0)
            progress(ordinal, arg);
    }
    return true;
}

struct archive *index_build(const struct catalog *catalog, uint64_t serial, index_progress progress,
                            void *arg)
{
    struct archive *archive = gari_new(&archive_type);
    if (!archive)
        return NULL;
    archive->serial = serial;
    archive->package_count = (uint32_t)catalog->packages.count;
    archive->version_count = (uint32_t)catalog->version_count;
    archive->relation_count = (uint32_t)catalog->relation_count;
    struct builder builder = {.catalog = catalog, .archive = archive};
    /* One more of each than needed: calloc may return NULL for none. */
    builder.strings = calloc(catalog->strings.count + 1, sizeof(*builder.strings));
    builder.packages = calloc(catalog->packages.count + 1, sizeof(*builder.packages));
    builder.lists = calloc(catalog->packages.count + 1, sizeof(*builder.lists));
    builder.order = calloc(catalog->version_count + 1, sizeof(*builder.order));
    bool built = build(&builder, progress, arg);
    free(builder.strings);
    free(builder.packages);
    free(builder.lists);
    free(builder.order);
    if (built)
        return archive;
    gari_decref(archive);
    return NULL;
}

struct package *index_find(struct archive *archive, const char *name, size_t length)
{
    struct name_table *table = gari_borrow(&archive->names);
    struct package_list *packages = gari_borrow(&archive->packages);
    if (table->length == 0)
        return NULL;
    uint32_t hash = name_hash(name, length);
    size_t mask = table->length - 1;
    for (size_t at = hash & mask; table->slots[at].number_plus_one; at = (at + 1) & mask) {
        if (table->slots[at].hash != hash)
            continue;
        struct package *package =
            gari_borrow(&packages->items[table->slots[at].number_plus_one - 1]);
        if (package->length == length && memcmp(package->name, name, length) == 0)
            return package;
    }
    return NULL;
}
