/* gari_check_heap names the lists, blocks, segments, figures and weak references that are corrupted on
 * purpose. */
#include "lib/object/weak.h"
#include "tests/corrupt.h"

TestSuite(check_lists, .timeout = 60);

/* ---- Lists, blocks, segments, statistics -------------------------------------------------- */

Test(check_lists, names_what_is_wrong_with_free_lists)
{
    use_manual_mode();
    struct leaf *leaf[8];
    for (int i = 0; i < 8; i++)
        leaf[i] = new_leaf(i);
    gari_decref(leaf[3]);
    gari_decref(leaf[5]);
    finish_pending();
    struct gari__block *block = block_of(leaf[0]);
    uint64_t freed = block->freed;
    uint32_t head = GARI__FREED_HEAD(freed) - 1;
    assert_equal(GARI__FREED_COUNT(freed), 2);
    block->freed = GARI__FREED(GARI__OWNED, 1, GARI__FREED_HEAD(freed));
    assert_found("the free list of the block", "struct leaf", "has 2 slots, not 1");
    block->freed = GARI__FREED(GARI__FULL, 2, GARI__FREED_HEAD(freed));
    assert_found("has an owner too many", "is not where its state 1 says");
    block->freed = freed;
    uint16_t link = block->side[head].link;
    block->side[head].link = (uint16_t)(head + 1);
    assert_found("struct leaf", "is in two places; one is its block's free list");
    block->side[head].link = 60000;
    assert_found("its block's free list", "struct leaf", "leads to slot 59999");
    block->side[head].link = (uint16_t)(gari__slot_of(block, leaf[0]) + 1);
    assert_found("struct leaf", address_of(leaf[0]), "is in a free list, and its word is");
    block->side[head].link = link;
    assert_sound();
    for (int i = 0; i < 8; i++)
        if (i != 3 && i != 5)
            gari_decref(leaf[i]);
    assert_nothing_left();
}

Test(check_lists, names_what_is_wrong_with_limbo)
{
    use_manual_mode();
    struct leaf *leaf = new_leaf(0), *other = new_leaf(1);
    gari_decref(leaf);
    struct gari__block *block = block_of(leaf);
    uint32_t waiting = block->waiting[GARI__LIMBO];
    cr_assert(waiting != 0);
    block->waiting[GARI__LIMBO] = 0;
    assert_found("struct leaf", address_of(leaf), "is dead, and in no list", "wrongly listed for",
                 "objects that wait for a grace period, and there are 0");
    block->waiting[GARI__LIMBO] = waiting;
    block->waiting[GARI__DYING] = waiting;
    assert_found("struct leaf", "is in two places", "is not listed for being taken apart");
    block->waiting[GARI__DYING] = 0;
    block->in_batch = true;
    assert_found("struct leaf", "said to be in a batch in limbo");
    block->in_batch = false;
    gari_decref(other);
    assert_nothing_left();
}

Test(check_lists, names_what_is_wrong_with_blocks)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    struct gari__block *block = block_of(node);
    uint32_t *scratch = calloc(block->slots, sizeof *scratch);
    block->scratch[GARI__OLD] = scratch;
    assert_found("struct node", "is held by a pass, and none is open");
    block->scratch[GARI__OLD] = NULL;
    free(scratch);
    block->kind->empty++;
    assert_found("of type 'struct node' 0 blocks are empty, 1 are counted");
    block->kind->empty--;
    block->pages++;
    assert_found("the segment at");
    block->pages--;
    char *base = block->base;
    block->base += 1 << 20;
    assert_found("struct node", "does not lie in it");
    block->base = base;
    gari_decref(node);
    assert_nothing_left();
}

Test(check_lists, names_what_is_wrong_with_segments_and_statistics)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    struct gari__segment *segment =
        (struct gari__segment *)((uintptr_t)node & ~(GARI__SEGMENT_SIZE - 1));
    segment->free_pages++;
    assert_found("the segment at", address_of(segment), "differ");
    segment->free_pages--;
    segment->used[1] |= 4;
    assert_found("the segment at", address_of(segment), "differ");
    segment->used[1] &= ~(uint64_t)4;
    struct gari__tally *tally = &((struct gari__heap_thread *)gari__self)->tally;
    tally->tracked.count += 2;
    assert_found("the statistics say 3 live objects, and there are 1",
                 "the statistics say 3 live tracked objects, and there are 1");
    tally->tracked.count -= 2;
    tally->freed_bytes -= 8;
    assert_found("bytes of live objects");
    tally->freed_bytes += 8;
    gari_decref(node);
    assert_nothing_left();
}

Test(check_lists, names_an_object_whose_length_has_been_overwritten)
{
    use_manual_mode();
    struct vec *vec = new_vec(10);
    vec->length = 1000000000;
    assert_found("struct vec", address_of(vec), "has a length of 1000000000");
    vec->length = SIZE_MAX / 4;
    assert_found("struct vec", address_of(vec), "for which it has no room");
    vec->length = 10;
    gari_decref(vec);
    assert_nothing_left();
}

static void on_death(void *arg)
{
    (void)arg;
}

/* ---- Weak references ---------------------------------------------------------------------- */

Test(check_lists, names_what_is_wrong_with_weak_references)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    gari_weakref *one = gari_weakref_new(GARI_OBJECT(node), on_death, NULL);
    gari_weakref *other = gari_weakref_new(GARI_OBJECT(node), NULL, NULL);
    struct gari__weak *weak = one->weak_;
    check_flag(node, GARI__HAS_WEAK, "has a control block of weak references, and its word denies");
    weak->target += 64;
    assert_found("a weak reference leads to", "no object that knows of it", "lead elsewhere");
    weak->target -= 64;
    weak->target |= GARI__WEAK_TAG;
    assert_found("the weak references of", address_of(node), "lead elsewhere");
    weak->target &= ~GARI__WEAK_TAG;
    assert_equal(weak->refs, 4);
    weak->refs = 3;
    assert_found("struct node", "a control block with count 3, and 4 hold it");
    weak->refs = 4;
    weak->callbacks->state = GARI__CALLBACK_OVER;
    assert_found("struct node", "has a broken list of callbacks");
    weak->callbacks->state = GARI__CALLBACK_ARMED;
    gari_decref(one);
    gari_decref(other);
    gari_decref(node);
    assert_nothing_left();
}

/* What lib/object/weakmap.c keeps of a map. */
struct table {
    pthread_rwlock_t lock;
    void **buckets;
    size_t bucket_count;
    size_t count;
};

Test(check_lists, names_what_is_wrong_with_weak_maps)
{
    use_manual_mode();
    gari_weakmap *map = gari_weakmap_new();
    struct leaf *leaf = new_leaf(0);
    assert_equal(gari_weakmap_set(map, "key", 3, leaf), 0);
    struct table *table = map->table_;
    assert_equal(table->count, 1);
    table->count = 2;
    assert_found("gari_weakmap", address_of(map), "it has fewer entries than it counts");
    table->count = 0;
    assert_found("gari_weakmap", address_of(map), "it has more entries than it counts");
    table->count = 1;
    table->bucket_count--;
    assert_found("gari_weakmap", "no power of two");
    table->bucket_count++;
    for (size_t i = 0; i < table->bucket_count; i++) {
        if (!table->buckets[i])
            continue;
        void **away = &table->buckets[(i + 1) % table->bucket_count];
        *away = table->buckets[i];
        table->buckets[i] = NULL;
        assert_found("gari_weakmap", "an entry is in the wrong bucket");
        table->buckets[i] = *away;
        *away = NULL;
        break;
    }
    gari_decref(leaf);
    gari_decref(map);
    assert_nothing_left();
}
