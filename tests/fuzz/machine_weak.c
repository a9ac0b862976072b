/* Weak references, functions of gari_finalize, weak maps. */
#include "tests/fuzz/machine.h"

/* Register b gets a new object of gari's about the one in register a. */
static void new_weak(const struct fuzz_operation *op, enum fuzz_kind kind)
{
    int target = machine_at(op->a);
    int w = target == NONE ? NONE : model_new(kind);
    if (w == NONE)
        return;
    struct model_object *weak = model_of(w);
    weak->target = target;
    gari_object *object = machine_address(target);
    if (kind == HANDLE)
        weak->address = gari_finalize_new(object, things_callback, things_callback_arg(w));
    else if (kind == ARMED)
        weak->address = gari_weakref_new(object, things_callback, things_callback_arg(w));
    else
        weak->address = gari_weakref_new(object, NULL, NULL);
    fuzz_trace("  new %s %d of %d", fuzz_kind_name(kind), w, target);
    if (!weak->address)
        fuzz_fail("no memory");
    machine_set(op->b, w);
}

/* An owned reference that gari has got from a weak one, or NULL, and what that may be. */
static int got(void *found, int target, bool cleared, const char *call)
{
    struct model_object *object = model_of(target);
    if (!found) {
        if (!object->dead && !object->maybe && !cleared)
            fuzz_fail("%s finds nothing, and object %d lives", call, target);
        object->gone |= !cleared;
        return NONE;
    }
    machine_expect(found, target, call);
    if (object->dead)
        fuzz_fail("%s gives out object %d, which is dead", call, target);
    model_revive(target, "what a weak reference gives out");
    model_hold(target);
    return target;
}

static void weak_get(const struct fuzz_operation *op)
{
    int w = machine_at(op->a);
    if (w == NONE || (model_of(w)->kind != WEAKREF && model_of(w)->kind != ARMED))
        return;
    const struct model_object *weak = model_of(w);
    void *found = gari_weakref_get(weak->address);
    if (found && weak->called)
        fuzz_fail("gari_weakref_get gives an object after the callback of armed %d", w);
    machine_set(op->b, got(found, weak->target, weak->cleared, "gari_weakref_get"));
}

static void handle(const struct fuzz_operation *op)
{
    int w = machine_at(op->a);
    if (w == NONE || model_of(w)->kind != HANDLE)
        return;
    struct model_object *weak = model_of(w);
    bool waits = !weak->called && !weak->cancelled;
    if (gari_finalize_alive(weak->address) != waits)
        fuzz_fail("gari_finalize_alive of handle %d: %d", w, !waits);
    bool did;
    if (op->code == OP_HANDLE_CALL) {
        weak->cleared = true; /* it may be called though its object lives */
        did = gari_finalize_call(weak->address);
        if (did && !weak->called)
            fuzz_fail("gari_finalize_call has not called the function of handle %d", w);
    } else if (op->field % 2) {
        weak->at_exit = op->field / 2;
        gari_finalize_set_atexit(weak->address, weak->at_exit);
        return;
    } else {
        did = gari_finalize_detach(weak->address);
        weak->cancelled |= did;
    }
    if (did != waits)
        fuzz_fail("handle %d is %s called or detached", w, waits ? "not" : "twice");
}

static void weakmap(const struct fuzz_operation *op)
{
    int m = machine_at(op->a), o = machine_at(op->b);
    if (m == NONE || model_of(m)->kind != WEAKMAP)
        return;
    unsigned key = op->more % KEYS;
    struct model_object *map = model_of(m);
    int target = map->weak[key];
    void *found;
    switch (op->code) {
    case OP_WEAKMAP_SET:
        if (o == NONE)
            return;
        if (op->field % 2) {
            found = gari_weakmap_setdefault(map->address, &key, sizeof key,
                                            (gari_object *)machine_address(o));
            /* Perhaps dead: then it is ours. */
            if (target != NONE && found == machine_address(target) &&
                (target == o || found != machine_address(o)) && !model_of(target)->dead) {
                machine_set(op->b, got(found, target, false, "gari_weakmap_setdefault"));
                return;
            }
            if (target != NONE)
                got(NULL, target, false, "gari_weakmap_setdefault");
            machine_expect(found, o, "gari_weakmap_setdefault");
            gari_decref((gari_object *)found);
        } else if (gari_weakmap_set(map->address, &key, sizeof key,
                                    (gari_object *)machine_address(o)) != 0) {
            fuzz_fail("no memory");
        }
        map->weak[key] = o;
        return;
    case OP_WEAKMAP_GET:
        found = gari_weakmap_get(map->address, &key, sizeof key);
        if (target == NONE)
            machine_expect(found, NONE, "gari_weakmap_get");
        else
            machine_set(op->b, got(found, target, false, "gari_weakmap_get"));
        return;
    case OP_WEAKMAP_REMOVE: {
        bool had = gari_weakmap_remove(map->address, &key, sizeof key);
        if (had ? target == NONE || model_of(target)->dead
                : target != NONE && !model_of(target)->dead && !model_of(target)->maybe)
            fuzz_fail("gari_weakmap_remove: %d", had);
        map->weak[key] = NONE;
        return;
    }
    default: {
        size_t least = 0, most = 0, count = gari_weakmap_count(map->address);
        for (key = 0; key < KEYS; key++) {
            target = map->weak[key];
            most += target != NONE && !model_of(target)->dead;
            least += target != NONE && !model_of(target)->dead && !model_of(target)->maybe;
        }
        if (count < least || count > most)
            fuzz_fail("gari_weakmap_count: %zu, not from %zu to %zu", count, least, most);
        return;
    }
    }
}

bool machine_weak(const struct fuzz_operation *op)
{
    switch (op->code) {
    case OP_WEAKREF:
        new_weak(op, WEAKREF);
        return true;
    case OP_ARMED:
        new_weak(op, ARMED);
        return true;
    case OP_HANDLE:
        new_weak(op, HANDLE);
        return true;
    case OP_WEAK_GET:
        weak_get(op);
        return true;
    case OP_HANDLE_CALL:
    case OP_HANDLE_DETACH:
        handle(op);
        return true;
    case OP_WEAKMAP_SET:
    case OP_WEAKMAP_GET:
    case OP_WEAKMAP_REMOVE:
    case OP_WEAKMAP_COUNT:
        weakmap(op);
        return true;
    default:
        return false;
    }
}
