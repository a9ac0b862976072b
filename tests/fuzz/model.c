#include "tests/fuzz/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct model model;

void fuzz_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char sentence[512];
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    fprintf(stderr, "fuzz: operation %u: %s\n", model.step, sentence);
    /* libFuzzer's workers talk to files that it removes. */
    const char *path = getenv("FUZZ_REPORT");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "operation %u: %s\n", model.step, sentence);
        fclose(file);
    }
    abort();
}

void fuzz_trace(const char *format, ...)
{
    if (!model.trace)
        return;
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%4u: ", model.step);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
}

const char *fuzz_kind_name(enum fuzz_kind kind)
{
    static const char *const names[] = {"node",    "watched", "final",  "stuck",  "vec",
                                        "store",   "leaf",    "array",  "list",   "map",
                                        "weakref", "armed",   "handle", "weakmap"};
    return names[kind];
}

bool model_has_dispose(enum fuzz_kind kind)
{
    return kind == WATCHED || kind == FINAL || kind == STUCK || kind == STORE;
}

bool model_is_tracked(enum fuzz_kind kind)
{
    return kind <= STORE || (kind >= ARRAY && kind <= MAP) || kind == ARMED;
}

void model_reset(void)
{
    bool trace = model.trace;
    model = (struct model){.trace = trace};
}

int model_new(enum fuzz_kind kind)
{
    if (model.objects == OBJECTS)
        return NONE;
    struct model_object *object = &model.object[model.objects];
    *object = (struct model_object){.kind = kind,
                                    .externals = 1,
                                    .count = 1,
                                    .target = NONE,
                                    .at_exit = true,
                                    .generation = model.collecting ? NONE : 0};
    for (unsigned i = 0; i < EDGES; i++)
        object->edge[i] = NONE;
    for (unsigned i = 0; i < KEYS; i++)
        object->weak[i] = NONE;
    static const unsigned edges[KINDS] = {[NODE] = 3, [WATCHED] = 3, [FINAL] = 3, [STUCK] = 3,
                                          [VEC] = 4,  [STORE] = 2,   [ARRAY] = 4, [MAP] = KEYS};
    object->edges = edges[kind];
    model.containers |= kind == ARRAY || kind == LIST || kind == MAP;
    return model.objects++;
}

/* ---- Counting ----------------------------------------------------------------------------- */

static void drop_edges(int o)
{
    struct model_object *object = model_of(o);
    for (unsigned i = 0; i < EDGES; i++) {
        int target = object->edge[i];
        object->edge[i] = NONE;
        if (target == NONE)
            continue;
        if (model.lag)
            model_of(target)->slack++;
        model_lower(target);
    }
}

void model_die(int o)
{
    struct model_object *object = model_of(o);
    object->dead = true;
    object->dying = object->maybe = false;
    if (object->kind == ARMED)
        object->cancelled = true;
    drop_edges(o);
}

/* Its count may have come to zero. Then its finalizer is queued and holds it until it has returned, also
 * when a weak get has given the object out meanwhile (docs/lifecycle.md, claimed). */
static void claim_late(int o)
{
    struct model_object *object = model_of(o);
    if (object->kind == FINAL && !object->finalized)
        object->may_claim = true;
}

/* The last reference has gone. */
static void zero(int o)
{
    struct model_object *object = model_of(o);
    if (object->dead)
        return;
    if (model.lag) {
        object->maybe = true;
        /* There is no edge that its finalizer's reference could stand for. */
        object->slack += object->kind == FINAL && !object->finalized && !object->may_claim;
        claim_late(o);
    } else if (object->kind == FINAL && !object->finalized) {
        object->claimed = true;
        object->count = 1;
        object->may_queue = model.queues || model.queued;
    } else if (model_has_dispose(object->kind)) {
        object->dying = true;
    } else {
        model_die(o);
    }
}

void model_lower(int o)
{
    struct model_object *object = model_of(o);
    if (object->count == 0)
        fuzz_fail("the model itself is wrong: object %d has no reference to give back", o);
    if (--object->count == 0)
        zero(o);
}

void model_hold(int o)
{
    model_of(o)->externals++;
    model_of(o)->count++;
}

void model_release(int o)
{
    if (model_of(o)->externals == 0)
        fuzz_fail("the model itself is wrong: object %d is not held", o);
    model_of(o)->externals--;
    model_lower(o);
}

int model_take_edge(int holder, unsigned i)
{
    int old = model_of(holder)->edge[i];
    model_of(holder)->edge[i] = NONE;
    if (old != NONE)
        model_of(old)->externals++;
    return old;
}

void model_put_edge(int holder, unsigned i, int target)
{
    model_of(holder)->edge[i] = target;
    if (target != NONE)
        model_of(target)->externals--;
}

void model_set_edge(int holder, unsigned i, int target)
{
    int old = model_take_edge(holder, i);
    if (target != NONE)
        model_hold(target);
    model_put_edge(holder, i, target);
    if (old != NONE)
        model_release(old);
}

void model_list_insert(int list, unsigned at, int target)
{
    struct model_object *object = model_of(list);
    memmove(&object->edge[at + 1], &object->edge[at], (object->edges - at) * sizeof(int));
    object->edges++;
    model_hold(target);
    model_put_edge(list, at, target);
}

int model_list_take(int list, unsigned at)
{
    struct model_object *object = model_of(list);
    int taken = model_take_edge(list, at);
    object->edges--;
    memmove(&object->edge[at], &object->edge[at + 1], (object->edges - at) * sizeof(int));
    object->edge[object->edges] = NONE;
    return taken;
}

int model_find(const void *address)
{
    for (int o = model.objects - 1; o >= 0; o--) {
        if (!model_of(o)->dead && model_of(o)->address == address)
            return o;
    }
    return NONE;
}

/* ---- Walks -------------------------------------------------------------------------------- */

void model_clear_marks(void)
{
    for (int o = 0; o < model.objects; o++)
        model_of(o)->mark = false;
}

void model_mark_from(int o)
{
    struct model_object *object = model_of(o);
    if (object->mark || object->dead)
        return;
    object->mark = true;
    for (unsigned i = 0; i < EDGES; i++) {
        if (object->edge[i] != NONE)
            model_mark_from(object->edge[i]);
    }
}

/* A proof that is open, and sets whose finalizers have been run, are gone on with (lib/gari.h), and whether
 * there are any is not known here. */
void model_freeze(bool frozen)
{
    model.frozen_open = frozen && (model.frozen_open || model.open);
    for (int o = 0; o < model.objects; o++) {
        model_of(o)->permanent = frozen && !model_of(o)->dead;
        model.frozen_open |= frozen && model_of(o)->aside;
    }
}

void model_walk(void)
{
    model_clear_marks();
    for (int o = 0; o < model.objects; o++) {
        if (model_of(o)->externals || model_of(o)->claimed)
            model_mark_from(o);
    }
    for (int o = 0; o < model.objects; o++)
        model_of(o)->live = model_of(o)->mark;
    for (int o = 0; o < model.objects; o++) {
        if (model_of(o)->permanent && !model_of(o)->maybe && !model.frozen_open)
            model_mark_from(o);
    }
    for (int o = 0; o < model.objects; o++)
        model_of(o)->kept = model_of(o)->mark;
}

bool model_reaches(int from, int to)
{
    model_clear_marks();
    model_mark_from(from);
    return model_of(to)->mark;
}

static void revive(int o, const char *why)
{
    struct model_object *object = model_of(o);
    if (object->mark)
        return;
    object->mark = true;
    if (object->dead || object->gone)
        fuzz_fail("%s lives, and reaches %s %d, which has died", why, fuzz_kind_name(object->kind),
                  o);
    object->maybe = false;
    for (unsigned i = 0; i < EDGES; i++) {
        if (object->edge[i] != NONE)
            revive(object->edge[i], why);
    }
}

void model_revive(int o, const char *why)
{
    model_clear_marks();
    revive(o, why);
}

void model_doubt(void)
{
    model_walk();
    model_clear_marks();
    for (int o = 0; o < model.objects; o++) {
        struct model_object *object = model_of(o);
        if (object->dead || object->kept)
            continue;
        object->maybe = true;
        if (object->kind == FINAL && !object->finalized)
            model_mark_from(o);
    }
    for (int o = 0; o < model.objects; o++) {
        struct model_object *object = model_of(o);
        if (object->mark && !object->live)
            object->aside = true;
    }
    for (int w = 0; w < model.objects; w++) {
        struct model_object *weak = model_of(w);
        if ((weak->kind == ARMED || weak->kind == HANDLE) && model_of(weak->target)->aside)
            weak->cleared = true;
    }
}

/* Not: what waits for a finalizer, what may not be freed, and what hangs from older garbage. */
void model_must_die(int generation, bool must[OBJECTS])
{
    model_walk();
    for (int o = 0; o < model.objects; o++) {
        const struct model_object *object = model_of(o);
        must[o] = !object->dead && !object->kept && !object->permanent && !object->aside &&
                  object->kind != STUCK && (object->kind != FINAL || object->finalized) &&
                  object->generation != NONE && object->generation <= generation;
    }
    model_clear_marks();
    for (int o = 0; o < model.objects; o++) {
        if (!must[o])
            model_mark_from(o);
    }
    for (int o = 0; o < model.objects; o++)
        must[o] = must[o] && !model_of(o)->mark && model_has_dispose(model_of(o)->kind);
}

void model_age(int generation)
{
    for (int o = 0; o < model.objects; o++) {
        struct model_object *object = model_of(o);
        if (object->generation != NONE && object->generation <= generation)
            object->generation = generation == 0 ? 1 : 2;
    }
}

void model_settled(void)
{
    model_walk();
    for (int o = 0; o < model.objects; o++) {
        struct model_object *object = model_of(o);
        if (object->claimed)
            fuzz_fail("the finalizer of final %d has not been called", o);
        if (object->dead || object->kept)
            continue;
        if (object->kind == STUCK)
            fuzz_fail("stuck %d is garbage and not on the garbage list", o);
        if (model_has_dispose(object->kind))
            fuzz_fail("%s %d is garbage and has not been collected", fuzz_kind_name(object->kind),
                      o);
    }
    model.lag = model.open = false;
    for (int o = 0; o < model.objects; o++) {
        struct model_object *object = model_of(o);
        if (!object->dead && !object->kept) {
            object->dead = true;
            object->cancelled |= object->kind == ARMED;
        }
    }
    for (int o = 0; o < model.objects; o++) {
        struct model_object *object = model_of(o);
        if (object->dead)
            drop_edges(o);
        object->maybe = object->aside = object->may_claim = false;
        object->slack = 0;
        object->generation = object->dead ? NONE : 2;
    }
    for (int w = 0; w < model.objects; w++) {
        struct model_object *weak = model_of(w);
        bool waits = weak->kind == HANDLE || (weak->kind == ARMED && weak->live);
        if (waits && model_of(weak->target)->dead && !weak->called && !weak->cancelled)
            fuzz_fail("%s %d: its object %d has died and the callback has not been called",
                      fuzz_kind_name(weak->kind), w, weak->target);
    }
}

void model_check_prompt(void)
{
    for (int o = 0; o < model.objects; o++) {
        const struct model_object *object = model_of(o);
        if (object->dying)
            fuzz_fail("%s %d has lost its last reference and is not disposed of",
                      fuzz_kind_name(object->kind), o);
        if (object->claimed && !object->may_queue)
            fuzz_fail("final %d has lost its last reference and is not finalized", o);
    }
}

/* While deaths may be late, nobody says when a count that is zero becomes a death, and its edges go. */
void model_doubt_late(void)
{
    bool changed = model.lag;
    while (changed) {
        changed = false;
        model_walk();
        for (int o = 0; o < model.objects; o++) {
            struct model_object *object = model_of(o);
            size_t least = 0, most;
            if (object->dead || object->live || object->maybe)
                continue;
            if (object->kept)
                model_bounds(o, &least, &most);
            if (least > 0)
                continue;
            object->maybe = changed = true;
            claim_late(o);
        }
    }
    model_walk();
}

/* The caller has walked. */
void model_bounds(int o, size_t *least, size_t *most)
{
    const struct model_object *object = model_of(o);
    *least = *most = object->count;
    for (int holder = 0; holder < model.objects; holder++) {
        if (!model_of(holder)->maybe)
            continue;
        for (unsigned i = 0; i < EDGES; i++)
            *least -= model_of(holder)->edge[i] == o;
    }
    *most += object->slack + object->aside;
}

unsigned model_living(void)
{
    unsigned living = 0;
    for (int o = 0; o < model.objects; o++)
        living += !model_of(o)->dead;
    return living;
}
