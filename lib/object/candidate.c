#include "lib/object/candidate.h"

#include "lib/object/count.h"
#include "lib/object/death.h"

static struct gari__block *dirty_blocks;

static void set_bit(struct gari__block *block, uint32_t slot)
{
    /* Release: pairs with the collector's clearing of the bit, which must see the word at least as
     * new as the filer saw it. */
    gari__fetch_or_seq_cst(&block->candidates[slot / 64], (uint64_t)1 << (slot % 64));
}

static void list_dirty(struct gari__block *block)
{
    GARI_PERTURB_AT("dirty.list");
    /* Sequentially consistent on both sides (set_bit; seeds.c): either the collector has not yet taken
     * `dirty` down, and will see the bit when it reads the bits after that, or we list the block
     * again. */
    if (gari__load_seq_cst(&block->dirty) || gari__exchange_seq_cst(&block->dirty, true))
        return;
    struct gari__block *first = gari__load_relaxed(&dirty_blocks);
    do {
        gari__store_relaxed(&block->dirty_next, first);
    } while (!gari__cas_acq_rel(&dirty_blocks, &first, block));
}

void gari__candidate_keep(struct gari__block *block, uint32_t slot)
{
    set_bit(block, slot);
    list_dirty(block);
}

/* The caller holds the object by its CANDIDATE flag. */
static void file(struct gari__object_thread *self, gari_object *object)
{
    gari__section_begin();
    GARI_PERTURB_AT("file.clear");
    uint64_t old = gari__fetch_and_acq_rel(gari__word_of(object), ~GARI__CANDIDATE);
    bool alive = gari__is_alive(old);
    if (alive) {
        /* Alive in this section: the block stays at least until its end. */
        struct gari__block *block = gari__block_of(object);
        GARI_PERTURB_AT("file.bit");
        gari__candidate_keep(block, gari__slot_of(block, object));
    }
    gari__section_end();
    if (!alive && (old & GARI__APART)) {
        gari__death_retire(self, object);
        gari__death_flush(self);
    }
}

void gari__suspect(struct gari__object_thread *self, gari_object *object, uint64_t word)
{
    do {
        if (!gari__is_alive(word) || !gari__needs_suspicion(word))
            return;
        GARI_PERTURB_AT("suspect");
    } while (
        !gari__cas_acq_rel(gari__word_of(object), &word, word | GARI__CANDIDATE | GARI__SHARED));
    gari__stage(self, object);
}

void gari__stage(struct gari__object_thread *self, gari_object *object)
{
    uint32_t head = gari__load_relaxed(&self->staged_head);
    if (gari__unlikely(head - gari__load_acquire(&self->staged_tail) == GARI__STAGED)) {
        file(self, object);
        return;
    }
    gari__store_relaxed(&self->staged[head % GARI__STAGED], object);
    GARI_PERTURB_AT("ring.stage");
    /* It may be the only thing that the collector would ever wake up for. (Also a release: pairs with
     * file_staged.) */
    (void)gari__exchange_seq_cst(&self->staged_head, head + 1);
    GARI_PERTURB_AT("ring.wake");
    if (gari__load_seq_cst(&gari__collector_asleep))
        gari__upcall_wake();
}

static void file_staged(struct gari__object_thread *self, struct gari__object_thread *of)
{
    uint32_t head = gari__load_acquire(&of->staged_head);
    uint32_t tail = gari__load_relaxed(&of->staged_tail);
    while (tail != head) {
        file(self, gari__load_relaxed(&of->staged[tail % GARI__STAGED]));
        tail++;
        /* Release: pairs with the owner's look for room in gari__suspect. */
        gari__store_release(&of->staged_tail, tail);
    }
}

void gari__candidates_relieve(struct gari__object_thread *self)
{
    if (gari__likely(!gari__candidates_full(self)))
        return;
    /* If somebody else is emptying the ring there is nothing to do; should it fill up all the same,
     * gari__suspect files one by one. */
    if (pthread_mutex_trylock(&self->drain_lock) != 0)
        return;
    file_staged(self, self);
    pthread_mutex_unlock(&self->drain_lock);
}

void gari__candidates_file(struct gari__object_thread *self, struct gari__object_thread *of)
{
    pthread_mutex_lock(&of->drain_lock);
    file_staged(self, of);
    pthread_mutex_unlock(&of->drain_lock);
}

void gari__candidates_file_all(struct gari__object_thread *self)
{
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        struct gari__object_thread *of = (struct gari__object_thread *)t;
        if (gari__load_acquire(&of->staged_head) != gari__load_relaxed(&of->staged_tail))
            gari__candidates_file(self, of);
    }
}

void gari__candidates_quiesce(void)
{
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        struct gari__object_thread *of = (struct gari__object_thread *)t;
        pthread_mutex_lock(&of->drain_lock);
        pthread_mutex_unlock(&of->drain_lock);
    }
}

bool gari__candidates_any(void)
{
    if (gari__load_relaxed(&dirty_blocks))
        return true;
    for (struct gari__thread *t = gari__thread_first(); t; t = t->next) {
        struct gari__object_thread *of = (struct gari__object_thread *)t;
        if (gari__load_seq_cst(&of->staged_head) != gari__load_relaxed(&of->staged_tail))
            return true;
    }
    return false;
}

struct gari__block *gari__candidates_take_dirty(void)
{
    return gari__exchange_acq_rel(&dirty_blocks, (struct gari__block *)NULL);
}

const struct gari__block *gari__candidates_first_dirty(void)
{
    return gari__load_acquire(&dirty_blocks);
}
