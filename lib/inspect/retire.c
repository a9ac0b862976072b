/* The end of a type: gari_type_retire. */
#include "concurrency/fatal.h"
#include "concurrency/rcu.h"
#include "concurrency/word.h"
#include "lib/collector/collector.h"
#include "lib/collector/events.h"
#include "lib/object/finalize.h"

#include <errno.h>

/* Garbage may hold garbage of which nothing was known before. */
#define ROUNDS 4

struct census {
    const struct gari__shape *shape;
    size_t alive;
    size_t waiting; /* dead, memory not yet given back */
};

/* How many free slots the block's owner has for himself. Nobody makes objects of the type now. */
static size_t count_private(struct gari__block *block, const struct gari__kind *kind)
{
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        const struct gari__heap_thread *thread = (struct gari__heap_thread *)t;
        const struct gari__bin *bin = thread->bins[(uintptr_t)kind / 64 % GARI__BIN_LISTS];
        for (; bin; bin = bin->next) {
            if (bin->kind != kind || bin->block != block)
                continue;
            size_t count = 0;
            for (uint32_t slot = bin->free; slot;
                 slot = gari__load_relaxed(&block->side[slot - 1].link))
                count++;
            return count;
        }
    }
    return 0;
}

static void count_block(struct gari__block *block, void *arg)
{
    struct census *census = arg;
    const struct gari__kind *kind = gari__load_relaxed(&block->kind);
    if (!kind || kind->shape != census->shape)
        return;
    size_t carved = gari__load_acquire(&block->carved), alive = 0;
    for (uint32_t slot = 0; slot < carved; slot++)
        alive += gari__is_alive(gari__load_acquire((uint64_t *)gari__slot_at(block, slot)));
    size_t back = GARI__FREED_COUNT(gari__load_acquire(&block->freed));
    if (GARI__FREED_STATE(gari__load_relaxed(&block->freed)) == GARI__OWNED)
        back += count_private(block, kind);
    census->alive += alive;
    census->waiting += carved > alive + back ? carved - alive - back : 0;
}

static struct census take_census(const struct gari__shape *shape)
{
    struct census census = {.shape = shape};
    gari__collector_lock();
    gari__runs_walk(count_block, &census);
    gari__collector_unlock();
    return census;
}

/* No thread finds the shape by the descriptor's address any more: another type may come to lie there. */
static void forget(const gari_type *type)
{
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        struct gari__object_thread *of = (struct gari__object_thread *)t;
        for (size_t i = 0; i < GARI__SHAPE_CACHE; i++) {
            const gari_type *cached = type;
            gari__cas_strong_acq_rel(&of->cache[i].type, &cached, (const gari_type *)NULL);
        }
    }
}

int gari_type_retire(const gari_type *type)
{
    gari__fork_check("gari_type_retire");
    struct gari__object_thread *self = gari__enter("gari_type_retire");
    struct gari__shape *shape = gari__shape_known(type);
    int error = 0;
    if (gari__in_section())
        gari__fatal("gari_type_retire(\"%s\") called inside a read section: it would wait for that "
                    "section to end",
                    shape ? shape->type.name : type->name);
    if (shape && !gari__may_collect(self)) {
        gari__say("gari_type_retire: type '%s' cannot be retired from a callback", type->name);
        error = EBUSY;
    } else if (shape) {
        struct census census = take_census(shape);
        for (int round = 0; round < ROUNDS && census.alive + census.waiting > 0; round++) {
            gari__drive_collection(self, 2);
            gari__drive_finalizers(self, gari__finalizers_by_hand());
            gari__drive_tidy(self);
            census = take_census(shape);
        }
        if (census.alive + census.waiting > 0) {
            gari__say(
                "gari_type_retire: %zu objects of type '%s' are alive, and %zu wait for their "
                "memory to be given back",
                census.alive, type->name, census.waiting);
            error = EBUSY;
        } else {
            forget(type);
            gari__shape_retire(shape);
        }
        gari__events_finish(self);
    }
    gari__leave(self);
    return error;
}
