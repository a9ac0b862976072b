/* What a client asks of the archive: a package by name, all that it needs, all that needs it.
 *
 * Everything is read by borrowing inside read sections, without touching a count. A section must
 * end soon, so a long lookup takes one owned reference, to the archive, and goes on in further
 * sections: since an archive never changes, all that was reached stays where it was. */
#ifndef PKGGRAPH_LOOKUP_H
#define PKGGRAPH_LOOKUP_H

#include "examples/pkggraph/index.h"

/* Where the service publishes the archive of the day. */
typedef GARI_ROOT(struct archive) archive_root;

enum lookup_kind {
    LOOKUP_NAME,    /* a package by its name, and its latest version */
    LOOKUP_NEEDS,   /* all that its latest version, or the first package that provides it, needs:
                       of alternatives, the first that is there */
    LOOKUP_REVERSE, /* all that name it in (Pre-)Depends, and so on */
    LOOKUP_KINDS
};

/* A reverse closure stops here: half the archive needs libc6. */
#define LOOKUP_REVERSE_LIMIT 20000

enum lookup_result {
    LOOKUP_DONE,
    LOOKUP_EMPTY,       /* no archive is published, or it has no packages */
    LOOKUP_LOST,        /* the archive died between two sections: ask again */
    LOOKUP_NO_MEMORY,   /* for the scratch memory of a larger archive */
    LOOKUP_INCONSISTENT /* an object was not what it must be: `wrong` says which */
};

struct lookup_item {
    uint32_t package;
    uint32_t version; /* which one of the package was chosen */
};

/* One thread's memory for lookups, zero to begin with; it grows to the size of the archive once. */
struct lookup {
    uint32_t *marks; /* by package: the lookup that saw it last */
    struct lookup_item *queue;
    uint32_t capacity;
    uint32_t epoch;
    /* The answer to the last lookup: */
    uint32_t package;     /* what it began with */
    uint32_t found;       /* packages in the closure, itself included */
    uint32_t unsatisfied; /* dependencies that nothing satisfies */
    uint32_t sections;    /* read sections that it took */
    const char *wrong;
};

/* Looks up the package that `choice` modulo their number selects, by its name. */
enum lookup_result lookup_run(struct lookup *lookup, archive_root *current, enum lookup_kind kind,
                              uint64_t choice);

void lookup_free(struct lookup *lookup);

#endif
