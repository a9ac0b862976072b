/* What gari is compared with: objects, references and who must be alive, without threads, versions,
 * buffers or a collector. Reachability is found by a walk over everything, each time anew.
 *
 * The model is changed before gari is told to do the same, so that a callback that comes meanwhile
 * meets a model of what is true by then. What gari may still decide for itself (when a garbage cycle
 * is freed between two full collections) is left open: such an object is `maybe` dead. */
#ifndef GARI_TESTS_FUZZ_MODEL_H
#define GARI_TESTS_FUZZ_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fuzz_kind {
    NODE,    /* three fields, no callbacks: its death shows in others' only */
    WATCHED, /* three fields, dispose and reclaim */
    FINAL,   /* and finalize, which does what `action` says */
    STUCK,   /* three fields, GARI_TYPE_NO_CLEAR, dispose */
    VEC,     /* a trailing array of four references */
    STORE,   /* a traverse callback over a store that grows; dispose and reclaim */
    LEAF,    /* no references */
    ARRAY,   /* gari's containers */
    LIST,
    MAP,
    WEAKREF,
    ARMED,  /* a weak reference with a callback */
    HANDLE, /* of gari_finalize */
    WEAKMAP,
    KINDS
};

enum { OBJECTS = 96, EDGES = 12, KEYS = 8, NONE = -1 };

struct model_object {
    enum fuzz_kind kind;
    void *address;
    unsigned action;
    unsigned externals; /* references that are no edges: registers, roots, the garbage list */
    unsigned listed;    /* of those, the garbage list's */
    unsigned count;     /* externals, edges of what is not dead, and the claim */
    unsigned slack;     /* references that may not have been given back yet */
    int edge[EDGES];
    unsigned edges; /* of a list, its length */
    bool dead;
    bool dying;     /* its count is zero: dispose has to be called before the operation ends */
    bool maybe;     /* unreachable, and a collection has begun since: perhaps dead */
    bool gone;      /* gari has said that it is dead: it must not be met alive again */
    bool aside;     /* perhaps held by a set whose finalizers run */
    bool claimed;   /* its count was zero, and its finalizer is to run */
    bool may_queue; /* ... but not before the operation ends */
    bool may_claim; /* perhaps so, without the model's knowing when: see claim_late */
    bool finalized, disposed, reclaimed;
    bool permanent;
    int generation; /* NONE: not known */
    /* WEAKREF, ARMED, HANDLE */
    int target;
    bool cleared; /* perhaps, though its target lives: see gari_weakref_get */
    bool called, cancelled, at_exit;
    int weak[KEYS]; /* WEAKMAP: the targets */
    /* Results of a walk. */
    bool live; /* reachable from externals */
    bool kept; /* or from the permanent generation */
    bool mark;
};

extern struct model {
    struct model_object object[OBJECTS];
    int objects;
    bool lag;        /* deaths may be late: a step has been made since all was settled */
    bool queues;     /* finalizers are queued where the thread is now */
    bool queued;     /* ... and everywhere: GARI_FINALIZERS_QUEUED */
    bool collecting; /* inside gari_collect and its like */
    bool containers; /* gari has objects of its own */
    bool open;       /* a step has left a collection under way */
    bool
        frozen_open; /* ... and gari_freeze was called then: it may go on with what is permanent now */
    unsigned long events;
    bool trace;
    unsigned step; /* number of the operation, for messages */
} model;

__attribute__((noreturn, format(printf, 1, 2))) void fuzz_fail(const char *format, ...);
__attribute__((format(printf, 1, 2))) void fuzz_trace(const char *format, ...);
const char *fuzz_kind_name(enum fuzz_kind kind);

static inline struct model_object *model_of(int o)
{
    return &model.object[o];
}

bool model_has_dispose(enum fuzz_kind kind);
bool model_is_tracked(enum fuzz_kind kind);

void model_reset(void);
/* A new object that the caller holds, or NONE when there is no room. */
int model_new(enum fuzz_kind kind);
void model_hold(int o);
void model_release(int o);
void model_set_edge(int holder, unsigned i, int target);
/* The same without the death of what was there. */
int model_take_edge(int holder, unsigned i);
void model_put_edge(int holder, unsigned i, int target);
void model_list_insert(int list, unsigned at, int target);
/* Returns what was there, now held by the caller. */
int model_list_take(int list, unsigned at);

/* The object that has this address and is not known to be dead. */
int model_find(const void *address);
/* gari has been told to freeze all that exists, or to thaw it. */
void model_freeze(bool frozen);
/* Sets live and kept. */
void model_walk(void);
/* Whether an object is found from another. */
bool model_reaches(int from, int to);
/* It is known to live: so does what it reaches. */
void model_revive(int o, const char *why);
/* A collection begins, or goes on: what is unreachable may die. */
void model_doubt(void);
/* That garbage no older than `generation` which one collection has to free, in `must`. */
void model_must_die(int generation, bool must[OBJECTS]);
/* Survivors grow older. */
void model_age(int generation);
/* Everything has been collected: what must be dead is, or that is a failure. */
void model_settled(void);
/* Between two operations: nobody's death is late. */
void model_check_prompt(void);
/* Walks; and what is unreachable may be dead, if deaths may be late. */
void model_doubt_late(void);
/* The bounds between which a count may be. */
void model_bounds(int o, size_t *least, size_t *most);
unsigned model_living(void);

/* For what gari reports: */
void model_die(int o);
/* One reference less; the last one has consequences. */
void model_lower(int o);
void model_clear_marks(void);
void model_mark_from(int o);

/* ---- What gari reports -------------------------------------------------------------------- */

void model_on_finalize(int o);
void model_on_finalized(int o);
void model_on_dispose(int o);
/* From here on its fields are emptied. */
void model_on_disposed(int o);
void model_on_reclaim(int o);
void model_on_callback(int w);

#endif
