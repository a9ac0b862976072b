/* Collections, the permanent generation, the garbage list, searches. */
#include "tests/fuzz/machine.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 60 };

/* Collections wait for read sections, and nobody ends one meanwhile. */
static bool may_wait(void)
{
    return machine.sections == 0;
}

static void begin(void)
{
    model.lag = model.collecting = true;
    model_doubt();
}

static void end(void)
{
    machine_look_at_garbage();
    model.collecting = false;
}

void machine_look_at_garbage(void)
{
    gari_objects list;
    unsigned seen[OBJECTS] = {0};
    if (gari_garbage_get(&list) != 0)
        fuzz_fail("no memory");
    for (size_t i = 0; i < list.count; i++) {
        int o = model_find(list.items[i]);
        if (o == NONE && !model.containers)
            fuzz_fail("the garbage list has %p, which is dead", (void *)list.items[i]);
        if (o != NONE)
            seen[o]++;
    }
    model_walk();
    for (int o = 0; o < model.objects; o++) {
        struct model_object *object = model_of(o);
        if (seen[o] > object->listed && ((object->live && !object->aside) || seen[o] != 1))
            fuzz_fail("%s %d is on the garbage list and reachable", fuzz_kind_name(object->kind),
                      o);
        if (seen[o] < object->listed)
            fuzz_fail("%s %d is not on the garbage list any more", fuzz_kind_name(object->kind), o);
        if (seen[o] > object->listed) {
            fuzz_trace("  listed %d", o);
            object->listed++;
            model_hold(o);
            model_revive(o, "what is on the garbage list");
        }
    }
    gari_objects_release(&list);
}

static void clear_garbage(void)
{
    for (int o = 0; o < model.objects; o++) {
        for (; model_of(o)->listed; model_of(o)->listed--)
            model_release(o);
    }
    gari_garbage_clear();
}

static void collect(int generation)
{
    bool must[OBJECTS] = {false};
    model_must_die(generation, must);
    begin();
    model_age(generation);
    gari_collect(generation);
    for (int o = 0; o < model.objects; o++) {
        if (must[o] && !model_of(o)->disposed)
            fuzz_fail("gari_collect(%d) has not found %s %d", generation,
                      fuzz_kind_name(model_of(o)->kind), o);
    }
    end();
}

static void step(size_t budget)
{
    begin();
    for (int o = 0; o < model.objects; o++)
        model_of(o)->generation = NONE;
    model.open = gari_step(budget);
    end();
}

static gari_stats stats_now(void)
{
    gari_stats stats = {.struct_size = sizeof stats};
    if (gari_get_stats(&stats) != 0)
        fuzz_fail("gari_get_stats refuses its own size");
    return stats;
}

static void check_all(void)
{
    model_walk();
    for (int o = 0; o < model.objects; o++) {
        const struct model_object *object = model_of(o);
        if (object->dead || !object->live)
            continue;
        size_t count = gari_getrefcount((gari_object *)object->address);
        if (count != object->count)
            fuzz_fail("%s %d: %zu references, not %u", fuzz_kind_name(object->kind), o, count,
                      object->count);
        things_check_fields(o, "after all was collected");
        int generation = object->permanent ? GARI_PERMANENT : 2;
        if (gari_generation((gari_object *)object->address) != generation)
            fuzz_fail("%s %d: generation %d, not %d", fuzz_kind_name(object->kind), o,
                      gari_generation((gari_object *)object->address), generation);
    }
    gari_stats stats = stats_now();
    unsigned living = model_living();
    if (model.containers ? stats.objects_live < living : stats.objects_live != living)
        fuzz_fail("gari says that %lu objects live; there are %u",
                  (unsigned long)stats.objects_live, living);
    for (int o = 0; o < model.objects; o++) {
        const struct model_object *object = model_of(o);
        if (object->disposed && !object->reclaimed &&
            (object->kind == WATCHED || object->kind == STORE))
            fuzz_fail("%s %d has not been reclaimed", fuzz_kind_name(object->kind), o);
    }
    if (things_deferred())
        fuzz_fail("%u functions of gari_defer have not been called", things_deferred());
}

/* Of garbage that was frozen beside an open collection nobody but gari can say what has been freed. */
static void look_at_frozen(void)
{
    gari_objects list;
    bool found[OBJECTS] = {false};
    if (!model.frozen_open)
        return;
    if (gari_get_objects(GARI_PERMANENT, &list) != 0)
        fuzz_fail("gari_get_objects fails");
    for (size_t i = 0; i < list.count; i++) {
        int o = model_find(list.items[i]);
        if (o != NONE && model_of(o)->permanent) {
            found[o] = true;
            model_revive(o, "what gari_get_objects finds");
        }
    }
    model_walk();
    for (int o = 0; o < model.objects; o++) {
        const struct model_object *object = model_of(o);
        if (object->dead || !object->permanent || found[o] || !model_is_tracked(object->kind))
            continue;
        if (object->live || model_has_dispose(object->kind))
            fuzz_fail("gari_get_objects misses %s %d, which is permanent",
                      fuzz_kind_name(object->kind), o);
        model_die(o);
    }
    gari_objects_release(&list);
    model.frozen_open = false;
}

void machine_settle(void)
{
    unsigned long events;
    int round = 0, quiet = 0;
    do {
        events = model.events;
        begin();
        size_t freed = gari_collect(2);
        freed += gari_run_finalizers(1000);
        for (int i = 0; i < 100 && gari_step(100000); i++)
            continue;
        end();
        quiet = freed || events != model.events || stats_now().objects_waiting ? 0 : quiet + 1;
        if (++round > ROUNDS)
            fuzz_fail("after %d collections there is still something to do", round);
    } while (quiet < 2);
    look_at_frozen();
    model_settled();
    check_all();
}

static void freeze(bool frozen)
{
    /* What may be dead or not would stay so. */
    bool doubt = false;
    for (int o = 0; o < model.objects; o++)
        doubt |= model_of(o)->maybe;
    if (doubt)
        machine_settle();
    model_freeze(frozen);
    frozen ? gari_freeze() : gari_unfreeze();
    size_t count = gari_get_freeze_count(), least = 0;
    for (int o = 0; o < model.objects; o++) {
        const struct model_object *object = model_of(o);
        least += object->permanent && !object->maybe && model_is_tracked(object->kind);
    }
    if (frozen ? count < least : count != 0)
        fuzz_fail("gari_get_freeze_count: %zu, and not %zu", count, least);
}

/* With GARI_DEBUG_SAVEALL what would be freed is listed. Not with gari's own objects among it: what
 * those refer to while they are on the list is not known here. */
static void save_all(void)
{
    if (model.containers)
        return;
    gari_set_debug(GARI_DEBUG_SAVEALL);
    begin();
    model_age(2);
    gari_collect(2);
    end();
    gari_set_debug(0);
}

static bool listed(const gari_objects *list, const void *object)
{
    unsigned times = 0;
    for (size_t i = 0; i < list->count; i++)
        times += list->items[i] == object;
    if (times > 1)
        fuzz_fail("a search finds %p twice", object);
    return times;
}

static void search(const struct fuzz_operation *op)
{
    gari_objects list;
    int generation = (int)op->field - 1;
    /* It drives an open proof to its end. */
    begin();
    if (gari_get_objects(generation, &list) != 0)
        fuzz_fail("gari_get_objects fails");
    model_walk();
    for (int o = 0; o < model.objects; o++) {
        const struct model_object *object = model_of(o);
        bool wanted = object->permanent        ? false
                      : generation == GARI_ALL ? true
                                               : object->generation == generation;
        if (object->live && wanted && model_is_tracked(object->kind) &&
            !listed(&list, object->address))
            fuzz_fail("gari_get_objects(%d) misses %s %d", generation, fuzz_kind_name(object->kind),
                      o);
    }
    for (size_t i = 0; i < list.count; i++) {
        int o = model_find(list.items[i]);
        if (o == NONE && !model.containers)
            fuzz_fail("gari_get_objects finds %p, which is dead", (void *)list.items[i]);
        if (o != NONE)
            model_revive(o, "what gari_get_objects finds");
    }
    /* Dropping them may be what frees them, or what makes them candidates. */
    gari_objects_release(&list);
    int target = machine_at(op->a);
    if (target != NONE) {
        if (gari_get_referrers((gari_object *)machine_address(target), &list) != 0)
            fuzz_fail("gari_get_referrers fails");
        for (int o = 0; o < model.objects; o++) {
            const struct model_object *object = model_of(o);
            bool refers = false;
            for (unsigned i = 0; i < object->edges; i++)
                refers |= object->edge[i] == target;
            if (refers && object->live && things_has_fields(o) && !listed(&list, object->address))
                fuzz_fail("gari_get_referrers(%d) misses %d", target, o);
        }
        gari_objects_release(&list);
        if (gari_get_referents((gari_object *)machine_address(target), &list) != 0)
            fuzz_fail("gari_get_referents fails");
        size_t edges = 0;
        for (unsigned i = 0; i < EDGES; i++)
            edges += model_of(target)->edge[i] != NONE;
        if (things_has_fields(target) && list.count != edges)
            fuzz_fail("gari_get_referents(%d): %zu, not %zu", target, list.count, edges);
        gari_objects_release(&list);
    }
    end();
}

bool machine_collector(const struct fuzz_operation *op)
{
    if (op->code >= OP_COLLECT && op->code < OP_CODES && !may_wait())
        return true;
    switch (op->code) {
    case OP_COLLECT:
        collect((int)(op->field % 3));
        return true;
    case OP_STEP:
        step((size_t)1 << op->more % 12);
        return true;
    case OP_SETTLE:
        machine_settle();
        return true;
    case OP_FREEZE:
        freeze(true);
        return true;
    case OP_UNFREEZE:
        freeze(false);
        return true;
    case OP_RUN_FINALIZERS:
        begin();
        gari_run_finalizers(op->field + 1);
        end();
        return true;
    case OP_SAVEALL:
        save_all();
        return true;
    case OP_CLEAR_GARBAGE:
        clear_garbage();
        return true;
    case OP_SEARCH:
        search(op);
        return true;
    default:
        return false;
    }
}
