// demo on std::shared_ptr. It collects no cycles, so the references back (relation to version, to
// package; version to package; package to archive) are plain pointers, valid while a reader holds the
// archive: the way one writes such a graph in C++. A reader takes the archive from a
// std::atomic<std::shared_ptr> and holds it for the lookup. The lookups are the example's own source,
// compiled on these types.
#include "bench/driver.h"

#include <atomic>
#include <memory>
#include <vector>

extern "C" {
#include "examples/pkggraph/catalog.h"
}

#define PKGGRAPH_INDEX_H // what follows stands for it
#define PACKAGE_MAGIC 0x50616b65u
#define VERSION_MAGIC 0x56657273u
#define RELATION_MAGIC 0x52656c61u

struct archive;
struct package;
struct version;

struct text {
    std::unique_ptr<char[]> bytes_owner;
    const char *bytes;
    size_t length;
};

struct relation {
    version *owner;
    package *target;
    std::shared_ptr<text> constraint;
    uint32_t magic = RELATION_MAGIC;
    uint8_t kind;
    uint8_t op;
    bool or_next;
};

template <class T> struct list {
    std::vector<std::shared_ptr<T>> items;
    size_t length;
};
struct relation_list : list<relation> {
};
struct version_list : list<version> {
};
struct package_list : list<package> {
};

struct version {
    struct package *package;
    std::shared_ptr<text> number, architecture, section;
    std::unique_ptr<relation_list> relations;
    uint32_t magic = VERSION_MAGIC;
    uint32_t position;
    bool installed;
};

struct package {
    struct archive *archive;
    std::unique_ptr<version_list> versions;
    std::unique_ptr<relation_list> wanted_by, provided_by;
    uint64_t serial;
    uint32_t magic = PACKAGE_MAGIC;
    uint32_t ordinal;
    std::unique_ptr<char[]> name_owner;
    const char *name;
    size_t length;
};

struct archive {
    std::vector<name_slot> names;
    package_list all;
    package_list *packages = &all;
    std::vector<std::shared_ptr<text>> strings;
    uint64_t serial;
    uint32_t package_count, version_count, relation_count;
};

// ---- The words of lib/gari.h that the lookups use -------------------------------------------------

typedef std::atomic<std::shared_ptr<archive>> shared_root;
#define GARI_ROOT(T) shared_root

static thread_local std::shared_ptr<archive> held;
static thread_local bool held_longer;

static archive *gari_borrow(shared_root *root)
{
    held = root->load();
    return held.get();
}
template <class T> static T *gari_borrow(std::shared_ptr<T> *field)
{
    return field->get();
}
template <class T> static T *gari_borrow(std::unique_ptr<T> *field)
{
    return field->get();
}
template <class T> static T *gari_borrow(T **field)
{
    return *field;
}
static void gari_read_begin()
{
}
static void gari_read_end()
{
    if (!held_longer)
        held.reset();
}
static bool gari_try_incref(archive *)
{
    held_longer = true;
    return true;
}
static void gari_decref(archive *)
{
    held_longer = false;
    held.reset();
}

static package *index_find(archive *archive, const char *name, size_t length)
{
    if (archive->names.empty())
        return nullptr;
    uint32_t hash = name_hash(name, length);
    size_t mask = archive->names.size() - 1;
    for (size_t at = hash & mask; archive->names[at].number_plus_one; at = (at + 1) & mask) {
        if (archive->names[at].hash != hash)
            continue;
        package *found = archive->all.items[archive->names[at].number_plus_one - 1].get();
        if (found->length == length && memcmp(found->name, name, length) == 0)
            return found;
    }
    return nullptr;
}

// C lets calloc's result go anywhere.
struct any_pointer {
    void *pointer;
    template <class T> operator T *() const
    {
        return static_cast<T *>(pointer);
    }
};
#define calloc(count, size)                                                                        \
    any_pointer                                                                                    \
    {                                                                                              \
        calloc(count, size)                                                                        \
    }
#include "examples/pkggraph/lookup.c"
#undef calloc

// ---- Building ---------------------------------------------------------------------------------

static std::unique_ptr<char[]> copy_of(const slice &from)
{
    std::unique_ptr<char[]> bytes(new char[from.length + 1]);
    memcpy(bytes.get(), from.bytes, from.length);
    return bytes;
}

static void add(std::unique_ptr<relation_list> &list, const std::shared_ptr<relation> &relation)
{
    list->items.push_back(relation);
    list->length++;
}

static void reserve(std::unique_ptr<relation_list> &list, size_t count)
{
    if (count == 0)
        return;
    list = std::make_unique<relation_list>();
    list->items.reserve(count);
    list->length = 0;
}

static void build_relations(archive &built, const catalog &from, const catalog_version &of,
                            version &owner)
{
    reserve(owner.relations, of.relation_count);
    for (size_t i = of.first_relation; i < of.first_relation + of.relation_count; i++) {
        const catalog_relation &listed = from.relations[i];
        auto made = std::make_shared<relation>();
        made->owner = &owner;
        made->target = built.all.items[listed.target].get();
        if (listed.constraint != CATALOG_NONE)
            made->constraint = built.strings[listed.constraint];
        made->kind = listed.kind;
        made->op = listed.op;
        made->or_next = listed.or_next;
        add(owner.relations, made);
        add(listed.kind == RELATION_PROVIDES ? made->target->provided_by : made->target->wanted_by,
            made);
    }
}

static void build_versions(archive &built, const catalog &from, package &of)
{
    const slice *strings = from.strings.items;
    std::vector<uint32_t> order; // the latest first; there are two or three of them
    for (uint32_t v = from.first_version[of.ordinal]; v != CATALOG_NONE;
         v = from.versions[v].next_of_package) {
        const slice &number = strings[from.versions[v].version];
        size_t at = order.size();
        order.push_back(v);
        for (; at > 0; at--) {
            const slice &before = strings[from.versions[order[at - 1]].version];
            if (version_compare(before.bytes, before.length, number.bytes, number.length) >= 0)
                break;
            order[at] = order[at - 1];
        }
        order[at] = v;
    }
    if (order.empty())
        return;
    of.versions = std::make_unique<version_list>();
    of.versions->length = order.size();
    of.versions->items.reserve(order.size());
    for (uint32_t v : order) {
        const catalog_version &listed = from.versions[v];
        auto made = std::make_shared<version>();
        made->package = &of;
        made->number = built.strings[listed.version];
        made->architecture = built.strings[listed.architecture];
        if (listed.section != CATALOG_NONE)
            made->section = built.strings[listed.section];
        made->position = static_cast<uint32_t>(of.versions->items.size());
        made->installed = listed.installed;
        build_relations(built, from, listed, *made);
        of.versions->items.push_back(std::move(made));
    }
}

static std::shared_ptr<archive> build(const catalog &from, uint64_t serial)
{
    auto built = std::make_shared<archive>();
    built->serial = serial;
    built->package_count = static_cast<uint32_t>(from.packages.count);
    built->version_count = static_cast<uint32_t>(from.version_count);
    built->relation_count = static_cast<uint32_t>(from.relation_count);
    built->names.assign(from.packages.slots, from.packages.slots + from.packages.capacity);
    built->strings.reserve(from.strings.count);
    for (size_t i = 0; i < from.strings.count; i++) {
        auto made = std::make_shared<text>();
        made->bytes_owner = copy_of(from.strings.items[i]);
        made->bytes = made->bytes_owner.get();
        made->length = from.strings.items[i].length;
        built->strings.push_back(std::move(made));
    }
    built->all.length = from.packages.count;
    built->all.items.reserve(from.packages.count);
    for (size_t i = 0; i < from.packages.count; i++) {
        auto made = std::make_shared<package>();
        made->archive = built.get();
        made->serial = serial;
        made->ordinal = static_cast<uint32_t>(i);
        made->name_owner = copy_of(from.packages.items[i]);
        made->name = made->name_owner.get();
        made->length = from.packages.items[i].length;
        built->all.items.push_back(std::move(made));
    }
    std::vector<uint32_t> wanted(from.packages.count), provided(from.packages.count);
    for (size_t i = 0; i < from.relation_count; i++)
        (from.relations[i].kind == RELATION_PROVIDES ? provided
                                                     : wanted)[from.relations[i].target]++;
    for (auto &package : built->all.items) {
        reserve(package->wanted_by, wanted[package->ordinal]);
        reserve(package->provided_by, provided[package->ordinal]);
    }
    for (auto &package : built->all.items)
        build_versions(*built, from, *package);
    return built;
}

// ---- The driver's side ------------------------------------------------------------------------

static shared_root current;

static void demo_begin()
{
}
static void demo_load(const struct catalog *catalog, uint64_t serial)
{
    current.store(build(*catalog, serial));
}
static shared_root *demo_current()
{
    return &current;
}
static void demo_withdraw()
{
    current.store(nullptr);
}
static void demo_end()
{
}
#include "bench/demo/demo.h"
