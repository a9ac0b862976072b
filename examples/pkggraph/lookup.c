#include "examples/pkggraph/lookup.h"

#include <stdlib.h>
#include <string.h>

/* References followed in one section: some tens of microseconds. */
#define SECTION_BUDGET 512

struct walk {
    struct lookup *lookup;
    struct archive *archive;       /* borrowed in this section, or owned */
    struct package_list *packages; /* borrowed in this section */
    bool owned;
    bool lost;
    int budget;
    uint32_t head, tail; /* of the queue */
};

static bool wrong(struct walk *walk, const char *what)
{
    walk->lookup->wrong = what;
    return false;
}

static bool failed(const struct walk *walk)
{
    return walk->lookup->wrong || walk->lost;
}

/* ---- Sections ----------------------------------------------------------------------------- */

/* Lets a grace period pass by. Everything borrowed is gone afterwards; the archive is kept by a
 * count. False when the archive could not be kept. */
static bool next_section(struct walk *walk)
{
    if (!walk->owned) {
        if (!gari_try_incref(walk->archive)) {
            walk->lost = true;
            return false;
        }
        walk->owned = true;
    }
    gari_read_end();
    gari_read_begin();
    walk->packages = gari_borrow(&walk->archive->packages);
    walk->budget = SECTION_BUDGET;
    walk->lookup->sections++;
    return true;
}

/* ---- Checks: each would fail on an object that was freed too early -------------------------- */

static bool check_package(struct walk *walk, struct package *package)
{
    if (!package || package->magic != PACKAGE_MAGIC)
        return wrong(walk, "a package is not one (any more)");
    if (package->serial != walk->archive->serial || gari_borrow(&package->archive) != walk->archive)
        return wrong(walk, "a package belongs to another archive");
    if (package->ordinal >= walk->archive->package_count ||
        gari_borrow(&walk->packages->items[package->ordinal]) != package)
        return wrong(walk, "a package is not in its archive's list");
    return true;
}

static bool check_version(struct walk *walk, struct version *version)
{
    if (!version || version->magic != VERSION_MAGIC)
        return wrong(walk, "a version is not one (any more)");
    struct package *package = gari_borrow(&version->package);
    if (!check_package(walk, package))
        return false;
    struct version_list *list = gari_borrow(&package->versions);
    if (!list || version->position >= list->length ||
        gari_borrow(&list->items[version->position]) != version)
        return wrong(walk, "a version is not in its package's list");
    return true;
}

static bool check_relation(struct walk *walk, struct relation *relation)
{
    if (!relation || relation->magic != RELATION_MAGIC)
        return wrong(walk, "a relation is not one (any more)");
    return true;
}

/* ---- All that a package needs --------------------------------------------------------------- */

static void push(struct walk *walk, struct package *package, uint32_t version)
{
    struct lookup *lookup = walk->lookup;
    if (lookup->marks[package->ordinal] == lookup->epoch)
        return;
    lookup->marks[package->ordinal] = lookup->epoch;
    lookup->queue[walk->tail++] = (struct lookup_item){package->ordinal, version};
}

static bool number_meets(struct text *number, struct relation *relation)
{
    struct text *constraint = gari_borrow(&relation->constraint);
    if (!constraint)
        return true;
    int order =
        version_compare(number->bytes, number->length, constraint->bytes, constraint->length);
    return version_meets(order, (enum version_op)relation->op);
}

/* A provided name satisfies a constraint only when it is provided in a version. */
static bool provision_meets(struct relation *provision, struct relation *relation)
{
    if (relation->op == VERSION_ANY)
        return true;
    struct text *number = gari_borrow(&provision->constraint);
    return number && number_meets(number, relation);
}

/* Adds the first package that provides the name as the relation (if there is one) asks. */
static bool push_provider(struct walk *walk, struct package *name, struct relation *relation)
{
    struct relation_list *provisions = gari_borrow(&name->provided_by);
    for (size_t i = 0; provisions && i < provisions->length; i++) {
        struct relation *provision = gari_borrow(&provisions->items[i]);
        walk->budget--;
        if (!check_relation(walk, provision))
            return false;
        if (relation && !provision_meets(provision, relation))
            continue;
        struct version *version = gari_borrow(&provision->owner);
        if (!check_version(walk, version))
            return false;
        push(walk, gari_borrow(&version->package), version->position);
        return true;
    }
    return false;
}

/* Adds what satisfies the relation: the latest fitting version of the package it names, else a
 * package that provides the name. False when there is neither. */
static bool satisfy(struct walk *walk, struct relation *relation)
{
    struct package *target = gari_borrow(&relation->target);
    if (!check_package(walk, target))
        return false;
    struct version_list *versions = gari_borrow(&target->versions);
    for (size_t i = 0; versions && i < versions->length; i++) {
        struct version *version = gari_borrow(&versions->items[i]);
        walk->budget--;
        if (!check_version(walk, version))
            return false;
        if (number_meets(gari_borrow(&version->number), relation)) {
            push(walk, target, version->position);
            return true;
        }
    }
    return push_provider(walk, target, relation);
}

static void expand_needs(struct walk *walk, struct lookup_item item)
{
    struct package *package = gari_borrow(&walk->packages->items[item.package]);
    if (!check_package(walk, package))
        return;
    struct version_list *versions = gari_borrow(&package->versions);
    if (!versions || item.version >= versions->length) {
        wrong(walk, "a package has lost its versions");
        return;
    }
    struct version *version = gari_borrow(&versions->items[item.version]);
    if (!check_version(walk, version))
        return;
    struct relation_list *list = gari_borrow(&version->relations);
    for (size_t i = 0; list && i < list->length;) {
        bool satisfied = false;
        struct relation *relation;
        do { /* the alternatives of one dependency */
            relation = gari_borrow(&list->items[i++]);
            walk->budget--;
            if (!check_relation(walk, relation))
                return;
            if (gari_borrow(&relation->owner) != version) {
                wrong(walk, "a relation belongs to another version");
                return;
            }
            if (relation->kind > RELATION_DEPENDS) /* they are ordered by kind */
                return;
            satisfied = satisfied || satisfy(walk, relation);
        } while (relation->or_next && i < list->length && !failed(walk));
        if (failed(walk))
            return;
        walk->lookup->unsatisfied += !satisfied;
    }
}

/* ---- All that needs a package --------------------------------------------------------------- */

/* Thirty thousand relations name libc6: so the walk of one list, too, goes on in the next section.
 */
static void expand_reverse(struct walk *walk, struct lookup_item item)
{
    size_t i = 0;
    do {
        struct package *package = gari_borrow(&walk->packages->items[item.package]);
        if (!check_package(walk, package))
            return;
        struct relation_list *list = gari_borrow(&package->wanted_by);
        for (; list && i < list->length && walk->budget > 0; i++) {
            struct relation *relation = gari_borrow(&list->items[i]);
            walk->budget--;
            if (!check_relation(walk, relation))
                return;
            if (gari_borrow(&relation->target) != package) {
                wrong(walk, "a relation names another package");
                return;
            }
            if (relation->kind > RELATION_DEPENDS)
                continue;
            struct version *version = gari_borrow(&relation->owner);
            if (!check_version(walk, version))
                return;
            push(walk, gari_borrow(&version->package), version->position);
            if (walk->tail >= LOOKUP_REVERSE_LIMIT)
                return;
        }
        if (!list || i == list->length)
            return;
    } while (next_section(walk));
}

/* ---- A lookup ----------------------------------------------------------------------------- */

static void look_up(struct walk *walk, enum lookup_kind kind, uint64_t choice)
{
    struct lookup *lookup = walk->lookup;
    struct archive *archive = walk->archive;
    lookup->package = (uint32_t)(choice % archive->package_count);
    struct package *chosen = gari_borrow(&walk->packages->items[lookup->package]);
    if (!check_package(walk, chosen))
        return;
    struct package *package = index_find(archive, chosen->name, chosen->length);
    if (package != chosen) {
        wrong(walk, "a name leads to another package");
        return;
    }
    struct version_list *versions = gari_borrow(&package->versions);
    if (versions && !check_version(walk, gari_borrow(&versions->items[0])))
        return;
    if (kind == LOOKUP_REVERSE || versions)
        push(walk, package, 0);
    else
        push_provider(walk, package, NULL);
    if (kind == LOOKUP_NAME)
        return;
    while (walk->head < walk->tail && !failed(walk)) {
        if (kind == LOOKUP_REVERSE && walk->tail >= LOOKUP_REVERSE_LIMIT)
            return;
        if (walk->budget <= 0 && !next_section(walk))
            return;
        struct lookup_item item = lookup->queue[walk->head++];
        if (kind == LOOKUP_NEEDS)
            expand_needs(walk, item);
        else
            expand_reverse(walk, item);
    }
}

/* Outside a section, where allocating may take its time. */
static bool make_room(struct lookup *lookup, uint32_t packages)
{
    lookup_free(lookup);
    lookup->marks = calloc(packages, sizeof(*lookup->marks));
    lookup->queue = calloc(packages, sizeof(*lookup->queue));
    if (!lookup->marks || !lookup->queue)
        return false;
    lookup->capacity = packages;
    return true;
}

static void next_epoch(struct lookup *lookup)
{
    if (++lookup->epoch == 0) { /* wrapped: old marks would look new */
        memset(lookup->marks, 0, lookup->capacity * sizeof(*lookup->marks));
        lookup->epoch = 1;
    }
    lookup->found = lookup->unsatisfied = 0;
    lookup->sections = 1;
    lookup->wrong = NULL;
}

enum lookup_result lookup_run(struct lookup *lookup, archive_root *current, enum lookup_kind kind,
                              uint64_t choice)
{
    gari_read_begin();
    struct archive *archive = gari_borrow(current);
    while (archive && archive->package_count > lookup->capacity) {
        uint32_t packages = archive->package_count;
        gari_read_end();
        if (!make_room(lookup, packages))
            return LOOKUP_NO_MEMORY;
        gari_read_begin();
        archive = gari_borrow(current);
    }
    if (!archive || archive->package_count == 0) {
        gari_read_end();
        return LOOKUP_EMPTY;
    }
    next_epoch(lookup);
    struct walk walk = {.lookup = lookup, .archive = archive, .budget = SECTION_BUDGET};
    walk.packages = gari_borrow(&archive->packages);
    look_up(&walk, kind, choice);
    gari_read_end();
    if (walk.owned)
        gari_decref(walk.archive);
    lookup->found = walk.tail;
    if (lookup->wrong)
        return LOOKUP_INCONSISTENT;
    return walk.lost ? LOOKUP_LOST : LOOKUP_DONE;
}

void lookup_free(struct lookup *lookup)
{
    free(lookup->marks);
    free(lookup->queue);
    *lookup = (struct lookup){0};
}
