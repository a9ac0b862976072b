/* What gari reports: finalizers, dispose, reclaim, callbacks; and whether it may. */
#include "tests/fuzz/model.h"

#include <stdio.h>

void model_on_finalize(int o)
{
    struct model_object *object = model_of(o);
    model.events++;
    fuzz_trace("  finalize %d", o);
    if (object->kind != FINAL || object->finalized || object->dead)
        fuzz_fail("finalizer called for %s %d, which is %s", fuzz_kind_name(object->kind), o,
                  object->dead ? "dead" : "finalized");
    model_walk();
    /* One of the same garbage that was finalized before it may have brought it back. */
    if (object->live && !object->claimed && !object->aside && !object->may_claim)
        fuzz_fail("finalizer called for final %d, which is reachable", o);
    object->finalized = true;
    char why[32];
    snprintf(why, sizeof why, "final %d, being finalized,", o);
    model_revive(o, why);
    if (object->claimed)
        return;
    if (!model.lag)
        fuzz_fail("finalizer called for final %d, which has references", o);
    model_clear_marks();
    model_mark_from(o);
    for (int other = 0; other < model.objects; other++)
        model_of(other)->aside |= model_of(other)->mark;
    /* Held by gari until it returns. */
    object->claimed = true;
    object->count++;
}

void model_on_finalized(int o)
{
    model_of(o)->claimed = false;
    model_lower(o);
    if (model.lag)
        model_of(o)->slack++;
    if (model.collecting)
        model_doubt();
}

void model_on_dispose(int o)
{
    struct model_object *object = model_of(o);
    model.events++;
    fuzz_trace("  dispose %d", o);
    if (object->dead || !model_has_dispose(object->kind))
        fuzz_fail("dispose called for %s %d, which is dead", fuzz_kind_name(object->kind), o);
    model_walk();
    if (object->live)
        fuzz_fail("dispose called for %s %d, which is reachable", fuzz_kind_name(object->kind), o);
    if (object->kind == FINAL && !object->finalized)
        fuzz_fail("dispose called for final %d before its finalizer", o);
    if (!object->dying && !object->maybe && !model.lag)
        fuzz_fail("dispose called for %s %d, which has references", fuzz_kind_name(object->kind),
                  o);
    for (int f = 0; f < model.objects; f++) {
        const struct model_object *other = model_of(f);
        if (other->kind == FINAL && !other->finalized && !other->dead && model_reaches(f, o))
            fuzz_fail("dispose called for %s %d, which final %d reaches, before its finalizer",
                      fuzz_kind_name(object->kind), o, f);
    }
    object->disposed = true;
}

void model_on_disposed(int o)
{
    model_die(o);
}

void model_on_reclaim(int o)
{
    struct model_object *object = model_of(o);
    model.events++;
    fuzz_trace("  reclaim %d", o);
    if (!object->disposed || object->reclaimed)
        fuzz_fail("reclaim called for %s %d, %s", fuzz_kind_name(object->kind), o,
                  object->reclaimed ? "twice" : "which has not been disposed of");
    object->reclaimed = true;
}

void model_on_callback(int w)
{
    struct model_object *weak = model_of(w);
    model.events++;
    fuzz_trace("  callback %d", w);
    const struct model_object *target = model_of(weak->target);
    if (weak->called || weak->cancelled)
        fuzz_fail("callback of %s %d, which has been %s", fuzz_kind_name(weak->kind), w,
                  weak->called ? "called" : "given up");
    model_walk();
    if (!target->dead && !target->maybe && !weak->cleared)
        fuzz_fail("callback of %s %d, whose object %d lives", fuzz_kind_name(weak->kind), w,
                  weak->target);
    /* What was emptied before a finalizer brought the object back waits apart. */
    bool in_order = target->dead && !weak->cleared;
    weak->called = weak->cleared = true;
    for (int other = w + 1; other < model.objects && in_order; other++) {
        const struct model_object *newer = model_of(other);
        bool waits = newer->kind == HANDLE || (newer->kind == ARMED && newer->live);
        if (waits && newer->target == weak->target && !newer->cleared && !newer->cancelled)
            fuzz_fail("callback of %s %d, before that of the newer %d", fuzz_kind_name(weak->kind),
                      w, other);
    }
}
