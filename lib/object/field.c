/* Field operations. Each is one read section around the access to the field and every update of a
 * word that belongs to it (R1); deaths are worked off after its end. */
#include "concurrency/fatal.h"
#include "lib/object/count.h"
#include "lib/object/death.h"
#include "lib/object/kept.h"

/* Mutant: what has left a field in a user's section, and is given back after that. */
static __thread gari_object *put_off;

/* In gari's own section. Returns what is to be given back now. */
static gari_object *put_off_drop(gari_object *object)
{
    gari__section_end();
    bool nested = gari__in_section();
    gari__section_begin();
    if (!nested || !object)
        return object;
    gari_object *before = put_off;
    put_off = object;
    return before;
}

static void drop_put_off(void)
{
    if (!put_off || gari__in_section())
        return;
    gari_object *object = put_off;
    put_off = NULL;
    GARI_PERTURB_POINT();
    GARI_PERTURB_STEP(DROP);
    gari_decref(object);
}

void gari_read_begin(void)
{
    gari__section_begin();
}

void gari_read_end(void)
{
    GARI_PERTURB_AT("section.end");
    gari__section_end();
    if (GARI_MUTANT(LATE_DECREF))
        drop_put_off();
}

/* The replaced value has left the field: gives its reference back (R3). Ends the section, in which
 * the object that died, if one did, is found by the caller's settle. */
static void end_with_drop(struct gari__object_thread *self, gari_object *old, const char *call)
{
    bool died = false;
    if (GARI_MUTANT(LATE_DECREF))
        old = put_off_drop(old);
    GARI_PERTURB_AT("drop");
    if (old) {
        GARI_PERTURB_STEP(DROP);
        gari__checked_no_edge(old);
        died = gari__count_down(self, old, call);
    }
    gari__section_end();
    gari__settle(self, died ? old : NULL);
}

/* An external reference to the object has become an edge. */
static void suspect_moved(struct gari__object_thread *self, gari_object *object, const char *call)
{
    (void)call; /* for the checked build */
    gari__checked_edge(object, call);
    if (object && !GARI_MUTANT(MOVE_NO_CANDIDATE))
        gari__suspect_moved(self, object);
}

void *gari_slot_load(gari_slot *slot)
{
    gari__checked_field(slot, "gari_load");
    struct gari__object_thread *self = gari__keeper();
    if (gari__unlikely(self != NULL)) {
        /* What the thread keeps is alive, in no section. Acquire: as below. */
        gari_object *kept = gari__load_acquire(&slot->pointer);
        if (kept && gari__kept_take(self, kept))
            return kept;
    }
    gari__section_begin();
    GARI_PERTURB_AT("borrow.read");
    /* Acquire: pairs with the release of whoever published the object. */
    gari_object *object = gari__load_acquire(&slot->pointer);
    while (object && !gari__count_try_up(object)) {
        /* It has left the field meanwhile and died. If it is still there, this is the dispose callback
         * of a garbage cycle's member, and so is what the field refers to. */
        gari_object *now = gari__load_acquire(&slot->pointer);
        if (now == object && !gari__is_alive(gari__load_acquire(gari__word_of(object))))
            now = NULL;
        object = now;
    }
    gari__section_end();
    return object;
}

void *gari_slot_borrow(gari_slot *slot)
{
    gari__checked_field(slot, "gari_borrow");
    GARI_PERTURB_AT("borrow.read");
    return gari__load_acquire(&slot->pointer);
}

/* Both of what a call is about to store, and where. */
static inline void check_store(const gari_slot *slot, const void *object, const char *call)
{
    gari__checked_field(slot, call);
    gari__checked_object(object, call);
    gari__checked_stores(slot);
    (void)slot, (void)object, (void)call;
}

/* Mutant: what is going to be replaced is given back before. */
static void drop_early(struct gari__object_thread *self, gari_slot *slot)
{
    gari_object *old = gari__load_acquire(&slot->pointer);
    if (!old)
        return;
    if (gari__count_down(self, old, "gari_store"))
        gari__death_push(self, old);
    GARI_PERTURB_STEP(DROP);
}

void gari_slot_store(gari_slot *slot, void *object)
{
    struct gari__object_thread *self = gari__enter("gari_store");
    check_store(slot, object, "gari_store");
    gari__section_begin();
    /* Three places in memory, each about to be changed by a locked instruction that would wait for
     * its own cache miss alone. What is replaced may become a candidate, for which its block is needed. */
    if (object)
        __builtin_prefetch(object, 1);
    gari_object *seen = gari__load_relaxed(&slot->pointer);
    if (seen) {
        __builtin_prefetch(seen, 1);
        __builtin_prefetch(gari__map_entry(seen));
    }
    GARI_PERTURB_AT("store.count");
    if (object && !GARI_MUTANT(LATE_COUNT))
        gari__count_up(object, "gari_store"); /* before it is visible (R2) */
    /* Still in the section in which it was in the field. */
    if (seen && gari__needs_suspicion(gari__load_relaxed(gari__word_of(seen))))
        __builtin_prefetch(gari__block_of(seen));
    if (GARI_MUTANT(EARLY_DROP))
        drop_early(self, slot);
    GARI_PERTURB_AT("store.exchange");
    gari_object *old = gari__exchange_acq_rel(&slot->pointer, object);
    gari__checked_edge(object, "gari_store");
    end_with_drop(self, GARI_MUTANT(EARLY_DROP) ? NULL : old, "gari_store");
    if (object && GARI_MUTANT(LATE_COUNT))
        gari__count_up(object, "gari_store");
    gari__leave(self);
}

void gari_slot_move(gari_slot *slot, void *object)
{
    struct gari__object_thread *self = gari__enter("gari_move");
    check_store(slot, object, "gari_move");
    gari__section_begin();
    GARI_PERTURB_AT("move.exchange");
    gari_object *old = gari__exchange_acq_rel(&slot->pointer, object);
    GARI_PERTURB_POINT();
    suspect_moved(self, object, "gari_move");
    end_with_drop(self, old, "gari_move");
    gari__leave(self);
}

void *gari_slot_take(gari_slot *slot)
{
    gari__checked_field(slot, "gari_take");
    gari__section_begin();
    GARI_PERTURB_AT("take.exchange");
    gari_object *object = gari__exchange_acq_rel(&slot->pointer, NULL);
    GARI_PERTURB_AT("moved");
    gari__checked_no_edge(object);
    if (object)
        gari__count_moved(object);
    gari__section_end();
    return object;
}

void *gari_slot_exchange(gari_slot *slot, void *object)
{
    struct gari__object_thread *self = gari__enter("gari_exchange");
    check_store(slot, object, "gari_exchange");
    gari__section_begin();
    GARI_PERTURB_AT("exchange.exchange");
    gari_object *old = gari__exchange_acq_rel(&slot->pointer, object);
    GARI_PERTURB_AT("moved");
    gari__checked_no_edge(old);
    if (old)
        gari__count_moved(old);
    suspect_moved(self, object, "gari_exchange");
    gari__section_end();
    gari__settle(self, NULL);
    gari__leave(self);
    return old;
}

bool gari_slot_compare_exchange(gari_slot *slot, void *expected, void *desired)
{
    struct gari__object_thread *self = gari__enter("gari_compare_exchange");
    check_store(slot, desired, "gari_compare_exchange");
    gari__section_begin();
    gari_object *old = expected;
    GARI_PERTURB_AT("exchange.exchange");
    bool swapped = gari__cas_strong_acq_rel(&slot->pointer, &old, (gari_object *)desired);
    GARI_PERTURB_AT("moved");
    if (swapped) {
        gari__checked_no_edge(old);
        if (old)
            gari__count_moved(old);
        suspect_moved(self, desired, "gari_compare_exchange");
    }
    gari__section_end();
    gari__settle(self, NULL);
    gari__leave(self);
    return swapped;
}

static GARI__INLINE void init(gari_slot *slot, void *object)
{
    check_store(slot, object, "gari_init");
    gari__checked_edge(object, "gari_init");
    /* Release: the holder may be memory that a stale pointer of the collector leads to. */
    gari__store_release(&slot->pointer, (gari_object *)object);
}

/* The field is near the object, or the object may be a long one. */
static __attribute__((noinline)) void init_near(gari_slot *slot, void *object)
{
    uintptr_t distance = (uintptr_t)slot - (uintptr_t)object;
    /* A slot's size is in the block, and 0 if what is there is alone. */
    const struct gari__block *block = gari__block_of(object);
    const struct gari__shape *shape;
    if (gari__unlikely(distance < block->slot_size || block->slot_size == 0) &&
        distance < gari__size_of(shape = gari__shape_of(object), object))
        gari__fatal("gari_init: an object of type '%s' would refer to itself; use gari_move",
                    shape->type.name);
    init(slot, object);
}

_Static_assert(GARI__SLOT_MAX == 8192 && GARI__PAGE_SIZE == 8192 && GARI__SINGLE_AT == 64,
               "as gari_may_contain_ has it");

void gari_slot_init(gari_slot *slot, void *object)
{
    if (gari__unlikely(gari_may_contain_(object, slot)))
        init_near(slot, object);
    else
        init(slot, object);
}
