/* Objects, counts, fields, read sections. */
#include "tests/fuzz/machine.h"

void machine_set(unsigned i, int o)
{
    int old = machine.holds[i];
    machine.holds[i] = o;
    if (old == NONE)
        return;
    model_release(old);
    gari_decref((gari_object *)machine_address(old));
}

void machine_expect(const void *found, int expected, const char *call)
{
    if (found != machine_address(expected))
        fuzz_fail("%s gives %p, and should give object %d (%p)", call, found, expected,
                  machine_address(expected));
}

/* The field that an operation is about: of the object in register a, or NULL. */
static gari_ref *field(const struct fuzz_operation *op, int *holder, unsigned *i)
{
    *holder = machine_at(op->a);
    if (*holder == NONE || !things_has_fields(*holder))
        return NULL;
    *i = op->field % model_of(*holder)->edges;
    return things_field(*holder, *i);
}

static void new_object(const struct fuzz_operation *op)
{
    static const enum fuzz_kind kinds[] = {NODE,    NODE,  WATCHED, WATCHED, FINAL, FINAL,
                                           WATCHED, STUCK, VEC,     STORE,   LEAF,  ARRAY,
                                           LIST,    MAP,   WEAKMAP, NODE};
    int o = things_new(kinds[op->more % 16], op->more / 16 + op->field * 16);
    if (o != NONE)
        machine_set(op->a, o);
}

static void load(const struct fuzz_operation *op)
{
    int holder;
    unsigned i;
    gari_ref *f = field(op, &holder, &i);
    if (!f)
        return;
    int target = model_of(holder)->edge[i];
    machine_expect(gari_load(f), target, "gari_load");
    if (target != NONE)
        model_hold(target);
    machine_set(op->b, target);
}

static void store(const struct fuzz_operation *op)
{
    int holder;
    unsigned i;
    gari_ref *f = field(op, &holder, &i);
    if (!f)
        return;
    int target = op->code == OP_STORE && op->b == 7 ? NONE : machine_at(op->b);
    model_set_edge(holder, i, target);
    gari_store(f, machine_address(target));
}

/* The register's reference becomes the field's. */
static void move(const struct fuzz_operation *op)
{
    int holder;
    unsigned i;
    gari_ref *f = field(op, &holder, &i);
    if (!f)
        return;
    int target = machine_at(op->b);
    int old = model_take_edge(holder, i);
    machine.holds[op->b] = NONE;
    model_put_edge(holder, i, target);
    if (op->b == op->a && old == NONE) {
        /* Perhaps nobody but the field holds it now. */
        gari_move(f, machine_address(target));
        return;
    }
    if (old != NONE)
        model_release(old);
    gari_move(f, machine_address(target));
}

static void take(const struct fuzz_operation *op)
{
    int holder;
    unsigned i;
    gari_ref *f = field(op, &holder, &i);
    if (!f)
        return;
    int target = model_take_edge(holder, i);
    machine_expect(gari_take(f), target, "gari_take");
    machine_set(op->b, target);
}

static void exchange(const struct fuzz_operation *op)
{
    int holder;
    unsigned i;
    gari_ref *f = field(op, &holder, &i);
    if (!f || op->a == op->b)
        return;
    int fresh = machine_at(op->b), old = model_take_edge(holder, i);
    model_put_edge(holder, i, fresh);
    machine.holds[op->b] = old;
    machine_expect(gari_exchange(f, machine_address(fresh)), old, "gari_exchange");
}

static void compare_exchange(const struct fuzz_operation *op)
{
    int holder;
    unsigned i;
    gari_ref *f = field(op, &holder, &i);
    if (!f || op->a == op->b)
        return;
    int fresh = machine_at(op->b), old = model_of(holder)->edge[i];
    /* An expectation that may be wrong: what register 0 has. */
    int expected = op->more % 4 ? old : machine_at(0);
    bool swapped = expected == old;
    if (swapped) {
        model_take_edge(holder, i);
        model_put_edge(holder, i, fresh);
        machine.holds[op->b] = old;
    }
    gari_read_begin();
    bool did = gari_compare_exchange(f, machine_address(expected), machine_address(fresh));
    gari_read_end();
    if (did != swapped)
        fuzz_fail("gari_compare_exchange %s", did ? "succeeds" : "fails");
}

/* A fresh object whose field is filled before anybody sees it. */
static void init(const struct fuzz_operation *op)
{
    int target = machine_at(op->b);
    int o = target == NONE || op->a == op->b ? NONE : things_new(op->more & 1 ? NODE : WATCHED, 0);
    if (o == NONE)
        return;
    machine.holds[op->b] = NONE;
    model_put_edge(o, 0, target);
    gari_init(things_field(o, 0), machine_address(target));
    machine_set(op->a, o);
}

static void borrow(const struct fuzz_operation *op)
{
    int holder;
    unsigned i;
    gari_ref *f = field(op, &holder, &i);
    if (!f)
        return;
    int target = model_of(holder)->edge[i];
    gari_read_begin();
    void *found = gari_borrow(f);
    machine_expect(found, target, "gari_borrow");
    bool counted = found && gari_try_incref((gari_object *)found);
    gari_read_end();
    if (counted != (target != NONE))
        fuzz_fail("gari_try_incref fails for object %d, which lives", target);
    if (counted)
        model_hold(target);
    machine_set(op->b, target);
}

/* Whether what the model has alive may be dead: it is unreachable, or all that it has left is in objects
 * that may be dead. */
static bool may_be_dead(int o)
{
    size_t least, most;
    model_bounds(o, &least, &most);
    return model_of(o)->maybe || least == 0;
}

/* What has just died is still borrowed, and something is put into it. */
static void store_into_dying(const struct fuzz_operation *op)
{
    int holder, late = machine_at(op->b);
    unsigned i;
    gari_ref *f = field(op, &holder, &i);
    int target = f ? model_of(holder)->edge[i] : NONE;
    if (target == NONE || !things_has_fields(target) || target == holder || target == late)
        return;
    gari_ref *into = things_field(target, 0);
    bool queues = model.queues;
    model.queues = true;
    gari_read_begin();
    model_set_edge(holder, i, NONE);
    gari_store(f, NULL);
    const struct model_object *object = model_of(target);
    bool counted = gari_try_incref((gari_object *)object->address);
    if (counted ? object->dead : !object->dead && !may_be_dead(target))
        fuzz_fail("gari_try_incref %s for object %d, which %s", counted ? "succeeds" : "fails",
                  target, object->dead ? "is dead" : "lives");
    model_of(target)->gone |= !counted;
    if (counted) {
        model_revive(target, "what gari_try_incref has counted");
        model_hold(target);
        model_set_edge(target, 0, late);
        gari_store(into, machine_address(late));
        model_release(target);
        gari_decref((gari_object *)object->address);
    } else {
        /* It goes back after a grace period, whenever that is. */
        if (late != NONE) {
            model_of(late)->slack++;
            model.lag = true;
        }
        gari_store(into, machine_address(late));
    }
    gari_read_end();
    model.queues = queues;
}

static void root(const struct fuzz_operation *op)
{
    unsigned i = op->field % ROOTS;
    int fresh = machine_at(op->a), old = things_root_holds[i];
    if (op->more & 1) {
        machine_expect(gari_load(&things_root[i]), old, "gari_load of a root");
        if (old != NONE)
            model_hold(old);
        machine_set(op->a, old);
        return;
    }
    if (fresh != NONE)
        model_hold(fresh);
    things_root_holds[i] = fresh;
    if (old != NONE)
        model_release(old);
    gari_store(&things_root[i], machine_address(fresh));
}

static void section(const struct fuzz_operation *op)
{
    unsigned t = machine.thread;
    if (machine.in_section[t]) {
        machine.in_section[t] = false;
        machine.sections--;
        gari_read_end();
        return;
    }
    int holder;
    unsigned i;
    gari_ref *f = field(op, &holder, &i);
    if (!f)
        return;
    machine.in_section[t] = true;
    machine.sections++;
    gari_read_begin();
    machine.borrowed[t] = model_of(holder)->edge[i];
    machine_expect(gari_borrow(f), machine.borrowed[t], "gari_borrow");
}

/* What was borrowed when the section began becomes owned, if it lives. */
static void try_borrowed(const struct fuzz_operation *op)
{
    unsigned t = machine.thread;
    int target = machine.in_section[t] ? machine.borrowed[t] : NONE;
    if (target == NONE)
        return;
    const struct model_object *object = model_of(target);
    bool counted = gari_try_incref((gari_object *)object->address);
    if (counted ? object->dead : !object->dead && !may_be_dead(target))
        fuzz_fail("gari_try_incref %s for object %d, which %s", counted ? "succeeds" : "fails",
                  target, object->dead ? "is dead" : "lives");
    model_of(target)->gone |= !counted;
    if (!counted)
        return;
    model_revive(target, "what gari_try_incref has counted");
    model_hold(target);
    machine_set(op->a, target);
}

bool machine_field(const struct fuzz_operation *op)
{
    int o = machine_at(op->a);
    switch (op->code) {
    case OP_NEW:
    case OP_NEW_AGAIN:
        new_object(op);
        return true;
    case OP_DROP:
        machine_set(op->a, NONE);
        return true;
    case OP_COPY:
        if (o != NONE) {
            model_hold(o);
            gari_incref((gari_object *)machine_address(o));
            machine_set(op->b, o);
        }
        return true;
    case OP_LOAD:
        load(op);
        return true;
    case OP_STORE:
    case OP_STORE_AGAIN:
        store(op);
        return true;
    case OP_MOVE:
        move(op);
        return true;
    case OP_TAKE:
        take(op);
        return true;
    case OP_EXCHANGE:
        exchange(op);
        return true;
    case OP_COMPARE_EXCHANGE:
        compare_exchange(op);
        return true;
    case OP_INIT:
        init(op);
        return true;
    case OP_BORROW:
        borrow(op);
        return true;
    case OP_STORE_INTO_DYING:
        store_into_dying(op);
        return true;
    case OP_ROOT:
        root(op);
        return true;
    case OP_GROW:
        if (o != NONE && model_of(o)->kind == STORE)
            things_grow(o);
        return true;
    case OP_DEFER:
        things_defer();
        return true;
    case OP_SECTION:
        section(op);
        return true;
    case OP_TRY:
        try_borrowed(op);
        return true;
    default:
        return false;
    }
}
