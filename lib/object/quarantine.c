/* The quarantine of the checked build: where memory is kept for a while after it was freed, so that whoever
 * still writes into it is found out. */
#include "lib/object/checked.h"

#ifdef GARI_CHECKED

#include "concurrency/fatal.h"
#include "lib/object/checked_slots.h"
#include "lib/object/self.h"

#include <stdlib.h>
#include <string.h>

#define POISON 0xDD
#define QUARANTINE_BYTES ((size_t)16 << 20)

static struct {
    pthread_mutex_t lock;
    gari_object *first, *last;
    size_t bytes, most;
    bool configured;
} quarantine = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* GARI_QUARANTINE=bytes, with K, M or G for powers of 1024. Under the lock. */
static void configure(void)
{
    const char *text = getenv("GARI_QUARANTINE");
    quarantine.configured = true;
    quarantine.most = QUARANTINE_BYTES;
    if (!text)
        return;
    char *end;
    unsigned long long bytes = strtoull(text, &end, 10);
    static const char units[] = "KMG";
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (end == text || (*end && (!unit || end[1]))) {
        gari__say("GARI_QUARANTINE=%s is no number of bytes, with K, M or G", text);
        return;
    }
    quarantine.most = (size_t)bytes << (unit ? 10 * (unit - units + 1) : 0);
}

static size_t body_of(const struct gari__checked_place *place)
{
    return (place->block->slot_size
                ? place->block->slot_size
                : (size_t)(place->block->run + place->block->pages * GARI__PAGE_SIZE -
                           place->block->base)) -
           sizeof(gari_object);
}

/* Of an object with a block of its own: as far as free_slot knew its size, so a part. */
static void check_poison(const struct gari__checked_place *place)
{
#ifndef GARI__ASAN
    const unsigned char *body = (const unsigned char *)(place->object + 1);
    for (size_t i = 0; place->block->slot_size && i < body_of(place); i++)
        if (body[i] != POISON)
            gari__fatal("the object at %p of type '%s' was written to at offset %zu after its "
                        "memory had been freed%s",
                        (void *)place->object, gari__shape_of(place->object)->type.name,
                        sizeof(gari_object) + i, gari__checked_story(place->object));
#else
    (void)place; /* it has told at the write */
#endif
}

/* Takes the oldest out; the lock is held. NULL: it is small enough. */
static gari_object *take_oldest(size_t most)
{
    gari_object *object = quarantine.bytes > most ? quarantine.first : NULL;
    struct gari__checked_place place;
    if (!object || !gari__checked_find(object, &place))
        return NULL;
    quarantine.first = place.checked->next;
    if (!quarantine.first)
        quarantine.last = NULL;
    quarantine.bytes -= body_of(&place);
    return object;
}

static void shrink(size_t most)
{
    for (;;) {
        gari__mutex_lock(&quarantine.lock);
        gari_object *object = take_oldest(most);
        gari__mutex_unlock(&quarantine.lock);
        struct gari__checked_place place;
        if (!object || !gari__checked_find(object, &place))
            return;
        check_poison(&place);
        struct gari__block *block = gari__block_of(object);
        uint32_t slot = gari__slot_of(block, object) + 1;
        gari__block_free(block, slot, slot, 1);
    }
}

void gari__checked_quarantine(struct gari__block *block, uint32_t head)
{
    gari__mutex_lock(&quarantine.lock);
    if (!quarantine.configured)
        configure();
    for (uint32_t slot = head, next; slot; slot = next) {
        next = gari__load_relaxed(&block->side[slot - 1].link);
        struct gari__checked_place place;
        if (!gari__checked_find(gari__slot_at(block, slot - 1), &place))
            continue;
        gari__store_release(&place.checked->state, GARI__SLOT_FREED);
        place.checked->next = NULL;
        struct gari__checked_place last;
        if (quarantine.last && gari__checked_find(quarantine.last, &last))
            last.checked->next = place.object;
        else
            quarantine.first = place.object;
        quarantine.last = place.object;
        quarantine.bytes += body_of(&place);
    }
    size_t most = quarantine.most;
    gari__mutex_unlock(&quarantine.lock);
    shrink(most);
}

void gari__checked_release(void)
{
    shrink(0);
}

void gari__checked_walk(void (*visit)(const gari_object *object, void *arg), void *arg)
{
    gari__mutex_lock(&quarantine.lock);
    struct gari__checked_place place;
    for (gari_object *object = quarantine.first; object && gari__checked_find(object, &place);
         object = place.checked->next)
        visit(object, arg);
    gari__mutex_unlock(&quarantine.lock);
}

void gari__checked_before_fork(void)
{
    gari__mutex_pass(&quarantine.lock);
}

void gari__checked_after_fork(void)
{
    gari__mutex_renew(&quarantine.lock);
}

#else

/* ISO C wants a translation unit to declare something. */
typedef int gari__quarantine_is_off;

#endif
