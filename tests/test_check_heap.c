/* gari_check_heap: finds nothing in a sound heap, and names the objects that are corrupted on purpose. */
#include "concurrency/fault.h"
#include "lib/gari_containers.h"
#include "tests/corrupt.h"

TestSuite(check_heap, .timeout = 60);

/* ---- Sound heaps -------------------------------------------------------------------------- */

static void on_death(void *arg)
{
    (void)arg;
}

static void finalize(void *self)
{
    (void)self;
}

static const gari_type finalized_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, prev, any), .finalize = finalize);

static void use_everything(void)
{
    struct node *chain = new_chain(&watched_type, 3000);
    make_garbage_ring(&watched_type, 50);
    struct node *ring = new_ring(&node_type, 100);
    struct vec *large = new_vec(200000);
    for (size_t i = 0; i < 1000; i++)
        gari_move(&large->items[i], new_leaf((long)i));
    gari_list *list = gari_list_new();
    gari_map *map = gari_map_new();
    gari_weakmap *weakmap = gari_weakmap_new();
    gari_weakref *weak = gari_weakref_new(GARI_OBJECT(ring), on_death, NULL);
    gari_finalize *finalizer = gari_finalize_new(GARI_OBJECT(ring), on_death, NULL);
    for (int i = 0; i < 200; i++) {
        struct leaf *leaf = new_leaf(i);
        assert_equal(gari_list_append(list, leaf), 0);
        assert_equal(gari_map_put(map, gari_key_integer(i), leaf), 0);
        assert_equal(gari_weakmap_set(weakmap, &i, sizeof i, leaf), 0);
        gari_decref(leaf);
    }
    assert_sound();
    gari_decref(chain); /* more than one call takes apart */
    make_garbage_ring(&finalized_type, 10);
    gari_decref(new_node(&finalized_type, 1));
    assert_sound();
    gari_list_clear(list);
    for (int i = 0; i < 150; i++)
        gari_map_remove(map, gari_key_integer(i));
    assert_sound();
    gari_step(10);
    assert_sound();
    gari_freeze();
    gari_collect(2);
    assert_sound();
    gari_decref(weak);
    assert_sound();
    gari_decref(ring);
    gari_decref(finalizer);
    gari_decref(large);
    gari_decref(list);
    gari_decref(map);
    gari_decref(weakmap);
    assert_sound();
    gari_unfreeze();
    gari_collect(2);
    assert_sound();
    assert_nothing_left();
    assert_sound();
}

Test(check_heap, finds_nothing_in_a_sound_heap)
{
    use_manual_mode();
    use_everything();
}

Test(check_heap, finds_nothing_beside_gari_s_own_threads_and_lets_them_go_on)
{
    use_mode(GARI_MODE_BACKGROUND);
    use_everything();
}

Test(check_heap, finds_nothing_where_allocating_threads_collect)
{
    use_mode(GARI_MODE_INLINE);
    use_everything();
}

static void allocate(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++)
        make_garbage_ring(&node_type, 3);
    gari_decref(new_chain(&node_type, 5000));
}

Test(check_heap, finds_nothing_after_threads_have_come_and_gone)
{
    use_mode(GARI_MODE_BACKGROUND);
    for (int i = 0; i < 4; i++) {
        run_in_thread(allocate, NULL);
        assert_sound();
    }
    assert_nothing_left();
}

Test(check_heap, finds_nothing_in_the_middle_of_a_collection)
{
    use_manual_mode();
    struct node *ring = new_ring(&watched_type, 5000);
    make_garbage_ring(&watched_type, 5000);
    for (int i = 0; i < 200; i++) {
        gari_decref(gari_incref(ring));
        gari_step(100);
        if (i % 5 == 0)
            assert_sound();
    }
    gari_decref(ring);
    assert_equal(gari_collect(2) > 0, true);
    assert_nothing_left();
}

Test(check_heap, finds_nothing_while_finalizers_wait)
{
    use_manual_mode();
    gari_set_finalizers(GARI_FINALIZERS_QUEUED, NULL, NULL);
    make_garbage_ring(&finalized_type, 10);
    gari_decref(new_node(&finalized_type, 1));
    gari_collect(2);
    assert_sound();
    assert_equal(gari_run_finalizers(4), 4);
    assert_sound();
    assert_equal(gari_run_finalizers(100), 7);
    assert_sound();
    gari_collect(2);
    assert_nothing_left();
}

/* ---- Where it cannot run ------------------------------------------------------------------ */

static void check_in_section(void)
{
    use_manual_mode();
    gari_read_begin();
    gari_check_heap(NULL);
}

static void check_without_size(void)
{
    use_manual_mode();
    gari_check check = {0};
    gari_check_heap(&check);
}

Test(check_heap, refuses_a_read_section_and_a_struct_without_a_size)
{
    const char *sentence = fatal_sentence(check_in_section);
    assert_mentions(sentence, "gari_check_heap");
    assert_mentions(sentence, "section");
    assert_mentions(fatal_sentence(check_without_size), "GARI_CHECK_INIT");
}

static size_t found_in_dispose;

static void check_in_dispose(void *self)
{
    (void)self;
    found_in_dispose = gari_check_heap(NULL);
}

static const gari_type checking_type = GARI_TYPE(struct leaf, .dispose = check_in_dispose);

Test(check_heap, checks_nothing_in_a_callback_or_without_memory)
{
    use_manual_mode();
    gari_decref((struct leaf *)gari_new(&checking_type));
    cr_assert(found_in_dispose == GARI_UNCHECKED);
    struct node *node = new_node(&node_type, 0);
    for (long nth = 1; nth <= 3; nth++) {
        gari__faults_arm(&(struct gari__faults){GARI__FAULT_ANY, nth, nth, 0});
        cr_assert(gari_check_heap(NULL) == GARI_UNCHECKED);
    }
    gari__faults_arm(NULL);
    gari_decref(node);
    assert_nothing_left();
}

/* ---- Counts and fields -------------------------------------------------------------------- */

Test(check_heap, names_an_object_with_fewer_references_than_edges)
{
    use_manual_mode();
    struct node *holder = new_node(&node_type, 0);
    struct leaf *leaf = new_leaf(0);
    gari_store(&holder->any, leaf);
    *word_of(leaf) -= 2 * GARI__COUNT_ONE;
    *word_of(leaf) += GARI__COUNT_ONE;
    gari_store(&holder->next, holder);
    *word_of(holder) -= GARI__COUNT_ONE;
    *word_of(holder) += GARI__COUNT_ONE;
    assert_sound(); /* one external reference too few cannot be seen */
    gari_slot *next = &holder->prev.gari_slot_;
    next->pointer = (gari_object *)leaf;
    assert_found("struct leaf", address_of(leaf), "has count 1, but 2 fields");
    next->pointer = NULL;
    gari_store(&holder->any, NULL);
    gari_store(&holder->next, NULL);
    gari_decref(holder);
    assert_nothing_left();
}

static const gari_object *held;

static size_t external_of(gari_object *object, void *arg)
{
    (void)arg;
    if (gari_type_of(object) == &vec_type)
        return GARI_UNCHECKED;
    return object == held;
}

Test(check_heap, is_exact_where_external_references_are_known)
{
    use_manual_mode();
    struct node *ring = new_ring(&node_type, 3);
    gari_decref(gari_incref(new_vec(1)));
    held = GARI_OBJECT(ring);
    assert_equal(check_now(external_of), 0);
    gari_incref(ring);
    assert_equal(check_now(external_of), 1);
    assert_mentions(reported, address_of(ring));
    assert_mentions(reported, "has count 3, but 1 fields refer to it, gari 0 times, and others 1");
    gari_decref(ring);
    gari_decref(ring);
    held = NULL;
    assert_equal(check_now(external_of), 0);
    gari_collect(2);
}

Test(check_heap, names_a_field_that_holds_no_object)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    gari_slot *field = &node->prev.gari_slot_;
    uint64_t elsewhere[4] = {0};
    char offset[32];
    snprintf(offset, sizeof offset, "at offset %zu", offsetof(struct node, prev));
    field->pointer = (gari_object *)elsewhere;
    assert_found("struct node", address_of(node), offset, address_of(elsewhere), "no object");
    field->pointer = (gari_object *)((char *)node + 8);
    assert_found(offset, "no object");
    field->pointer = (gari_object *)((char *)node + GARI__SEGMENT_SIZE / 2);
    assert_found(offset, "no object");
    field->pointer = NULL;
    gari_decref(node);
    assert_nothing_left();
}

Test(check_heap, names_a_field_that_holds_a_dead_object)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    struct leaf *leaf = new_leaf(0);
    gari_slot *field = &node->any.gari_slot_;
    gari_decref(leaf);
    field->pointer = (gari_object *)leaf;
    assert_found("struct node", "refers by its field", "struct leaf", address_of(leaf), "is dead");
    settle();
    assert_found("struct node", "refers by its field", "struct leaf", "is dead");
    field->pointer = NULL;
    gari_decref(node);
    assert_nothing_left();
}

static bool name_it_twice;

static void traverse_twice(void *self, gari_visit visit, void *arg)
{
    struct node *node = self;
    GARI_VISIT(&node->next, visit, arg);
    GARI_VISIT(&node->prev, visit, arg);
    if (name_it_twice)
        GARI_VISIT(&node->next, visit, arg);
}

static const gari_type liar_type = GARI_TYPE(struct node, .traverse = traverse_twice);

Test(check_heap, names_a_traverse_that_names_a_field_twice)
{
    use_manual_mode();
    struct node *node = gari_new(&liar_type);
    assert_sound();
    name_it_twice = true;
    assert_found("struct node", address_of(node), "traverse", "at offset 16 twice");
    name_it_twice = false;
    gari_decref(node);
    assert_nothing_left();
}

/* ---- Words, ages, candidates -------------------------------------------------------------- */

Test(check_heap, names_an_object_that_is_dead_and_nowhere)
{
    use_manual_mode();
    struct leaf *leaf = new_leaf(0);
    *word_of(leaf) -= GARI__COUNT_ONE;
    assert_found("struct leaf", address_of(leaf), "is dead, and in no list");
    *word_of(leaf) += GARI__COUNT_ONE;
    gari_decref(leaf);
    *word_of(leaf) += GARI__COUNT_ONE;
    assert_found("struct leaf", address_of(leaf), "is alive, and in a list of the dead");
    *word_of(leaf) -= GARI__COUNT_ONE;
    settle();
    *word_of(leaf) += GARI__COUNT_ONE;
    assert_found("struct leaf", address_of(leaf), "is in a free list, and its word is");
    *word_of(leaf) -= GARI__COUNT_ONE;
    assert_nothing_left();
}

Test(check_heap, names_flags_that_are_wrong)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    struct leaf *leaf = new_leaf(0);
    check_flag(node, GARI__LEAF, "is said to be a leaf");
    check_flag(leaf, GARI__LEAF, "is said to be a leaf");
    check_flag(node, GARI__UNFINALIZED, "has no finalizer");
    check_flag(node, GARI__CANDIDATE, "is said to be a candidate, and has no bit");
    check_flag(node, GARI__HAS_WEAK, "has no control block");
    check_flag(node, GARI__COUNT_HIGH, "immortal");
    gari_decref(node);
    gari_decref(leaf);
    assert_nothing_left();
}

Test(check_heap, names_an_unfinalized_object_that_nobody_sees_to)
{
    use_manual_mode();
    struct node *node = gari_new(&finalized_type);
    *word_of(node) -= GARI__COUNT_ONE;
    assert_found("struct node", address_of(node), "nobody sees to it");
    *word_of(node) += GARI__COUNT_ONE;
    gari_decref(node);
    assert_nothing_left();
}

Test(check_heap, names_a_candidate_that_nobody_knows_of)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    struct leaf *leaf = new_leaf(0);
    struct gari__block *block = block_of(node);
    *gari__candidates_of(block, 0) |= 1;
    assert_found("struct node", "has candidates, and nobody knows");
    *gari__candidates_of(block, 0) &= ~(uint64_t)1;
    block->dirty = true;
    assert_found("struct node", "is not on the list of candidates that it is said to be on");
    block->dirty = false;
    block->gathered = true;
    assert_found("struct node", "is not on the list of candidates that it is said to be on");
    block->gathered = false;
    *gari__candidates_of(block_of(leaf), 0) |= 1;
    assert_found("struct leaf", "cannot be a candidate");
    *gari__candidates_of(block_of(leaf), 0) = 0;
    gari_decref(node);
    gari_decref(leaf);
    assert_nothing_left();
}

/* What is permanent loses its bit when a collection comes to it, and keeps its flag until it comes back. */
Test(check_heap, finds_a_permanent_candidate_without_a_bit_to_be_right)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 0);
    uint32_t slot = gari__slot_of(block_of(node), GARI_OBJECT(node));
    gari_decref(gari_incref(node));
    assert_equal(gari__candidate_bit(block_of(node), slot), true);
    gari_freeze();
    struct node *later = new_node(&watched_type, 1); /* so that its block is looked at */
    cr_assert(block_of(later) == block_of(node));
    gari_collect(2);
    assert_equal(gari__candidate_bit(block_of(node), slot), false);
    assert_equal(*word_of(node) & GARI__CANDIDATE, GARI__CANDIDATE);
    assert_sound();
    gari_store(&node->next, node);
    gari_decref(node);
    assert_equal(gari_collect(2), 0);
    assert_sound();
    gari_unfreeze();
    assert_sound();
    assert_equal(gari_collect(2), 1);
    gari_decref(later);
    assert_nothing_left();
}

Test(check_heap, names_ages_that_are_wrong)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    struct gari__block *block = block_of(node);
    struct gari__side *side = &block->side[gari__slot_of(block, node)];
    side->birth = (uint16_t)(side->birth + 3);
    assert_found("struct node", address_of(node), "is 3 collections too young");
    side->birth = (uint16_t)(side->birth - 3);
    block->last_birth--;
    assert_found("struct node", address_of(node), "is younger than the youngest");
    block->last_birth++;
    gari__collector.schedule.began[1] += 10;
    assert_found("a generation begins after the present epoch");
    gari__collector.schedule.began[1] -= 10;
    gari_decref(node);
    assert_nothing_left();
}
