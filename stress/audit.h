/* The audit: the reading half of the proof (docs/protocol.md: V1, V2, a grace period, RC), done over
 * and over on a few objects that are known to be alive, slowly, by a thread that owns a reference to
 * each of them.
 *
 * If an object's word is the same at V1 and at RC, then the edges that V2 has met are edges still, each
 * met once, and
 *
 *     edges met <= count - references known to be external.
 *
 * A reference that moves from field to field or out of a field without a word breaks this (R4, R8). The
 * collector would free a live object by it only once in a great many times, when everything around is
 * garbage at that moment; the audit notices each time. */
#ifndef GARI_STRESS_AUDIT_H
#define GARI_STRESS_AUDIT_H

#include "concurrency/grace.h"
#include "concurrency/word.h"
#include "lib/object/count.h"
#include "lib/object/edges.h"
#include "stress/common.h"

#include <string.h>
#include <time.h>

#define AUDIT_MOST 4096u
#define AUDIT_TABLE (4 * AUDIT_MOST)

struct audit_object {
    gari_object *object; /* owned */
    uint64_t word;       /* as V1 has seen it */
    size_t edges;        /* that V2 has met */
    size_t external;     /* references known to be external between V2 and the grace period */
};

struct audit {
    struct stress_worker *worker;
    /* Of the references to the object, those that are certainly external now, without the audit's
     * own. A lower bound: counted after they were got and until they are given away. */
    size_t (*externals)(gari_object *object);
    unsigned count;
    struct audit_object objects[AUDIT_MOST];
    uint16_t table[AUDIT_TABLE]; /* number + 1 by address */
    uint64_t rounds, compared;   /* atomically */
};

static inline struct audit_object *audit_find(struct audit *audit, const gari_object *object,
                                              uint16_t **place)
{
    size_t at = (uintptr_t)object / 8 * 0x9e3779b97f4a7c15u >> 40;
    for (;; at++) {
        *place = &audit->table[at % AUDIT_TABLE];
        if (**place == 0)
            return NULL;
        if (audit->objects[**place - 1].object == object)
            return &audit->objects[**place - 1];
    }
}

/* Steals an object. */
static inline void audit_add(struct audit *audit, gari_object *object)
{
    uint16_t *place;
    if (audit->count == AUDIT_MOST || audit_find(audit, object, &place)) {
        gari_decref(object);
        return;
    }
    audit->objects[audit->count++] = (struct audit_object){.object = object};
    *place = (uint16_t)audit->count;
}

static inline void audit_gather(gari_slot *slot, void *arg)
{
    gari_object *object = gari_slot_load(slot);
    if (object)
        audit_add(arg, object);
}

/* Time for others to change what is being read: sometimes, some 50 microseconds. */
static inline void audit_pause(struct audit *audit, unsigned seldom)
{
    if (stress_once_in(audit->worker, seldom))
        nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
}

static inline void audit_count(gari_slot *slot, void *arg)
{
    struct audit *audit = arg;
    uint16_t *place;
    gari_object *object = gari_slot_borrow(slot);
    struct audit_object *met = object ? audit_find(audit, object, &place) : NULL;
    if (met)
        met->edges++;
    audit_pause(audit, 12);
}

static inline void audit_edges(struct audit *audit, gari_object *object, gari_visit visit)
{
    for (size_t at = 0; at != GARI__EDGES_DONE;)
        at = gari__edges(gari__shape_of(object), object, at, 64, visit, audit);
}

static inline void audit_verdict(struct audit *audit, const struct audit_object *it)
{
    uint64_t word = gari__load_acquire(gari__word_of(it->object));
    if (!gari__same_references(word, it->word))
        return;
    gari__own_add(&audit->compared, 1);
    size_t count = gari__count_of(word);
    if (it->edges + it->external > count)
        stress_fail(
            "audit: an object of type '%s' has count %zu and version %lu from V1 to RC, but "
            "%zu edges were met and %zu references are external",
            gari_type_of(it->object)->name, count, (unsigned long)(word >> 32), it->edges,
            it->external);
}

/* One round over what the roots (owned by the caller) reach in `depth` steps. Not in a section. */
static inline void audit_round(struct audit *audit, gari_object *const *roots, unsigned count,
                               unsigned depth)
{
    audit->count = 0;
    memset(audit->table, 0, sizeof audit->table);
    for (unsigned i = 0; i < count; i++)
        audit_add(audit, gari_incref(roots[i]));
    for (unsigned from = 0; depth > 0; depth--) {
        unsigned end = audit->count;
        for (; from < end; from++)
            audit_edges(audit, audit->objects[from].object, audit_gather);
    }
    /* V1: all words before any field. */
    for (unsigned i = 0; i < audit->count; i++)
        audit->objects[i].word = gari__load_acquire(gari__word_of(audit->objects[i].object));
    /* V2 */
    for (unsigned i = 0; i < audit->count; i++) {
        gari__section_begin();
        audit_edges(audit, audit->objects[i].object, audit_count);
        gari__section_end();
    }
    audit_pause(audit, 2);
    for (unsigned i = 0; i < audit->count; i++)
        audit->objects[i].external = 1 + audit->externals(audit->objects[i].object);
    gari__grace_wait(gari__grace_ticket(), 0);
    /* RC */
    for (unsigned i = 0; i < audit->count; i++)
        audit_verdict(audit, &audit->objects[i]);
    for (unsigned i = 0; i < audit->count; i++)
        gari_decref(audit->objects[i].object);
    gari__own_add(&audit->rounds, 1);
}

#endif
