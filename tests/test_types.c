/* Type descriptors: names, alignment, how many references, where they are. */
#include "tests/support.h"

#include <stdlib.h>

TestSuite(types, .timeout = 60);

Test(types, an_object_knows_its_type)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    struct leaf *leaf = new_leaf(0);
    cr_assert(gari_type_of(node) == &node_type);
    cr_assert(gari_type_of(leaf) == &leaf_type);
    cr_assert_str_eq(gari_type_of(node)->name, "struct node");
    gari_decref(node);
    gari_decref(leaf);
    assert_nothing_left();
}

Test(types, large_and_variable_objects_know_their_type_too)
{
    use_manual_mode();
    size_t length[] = {0, 1, 100, 10000, 1000000};
    for (int i = 0; i < 5; i++) {
        struct vec *vec = new_vec(length[i]);
        struct text *text = gari_new_items(&text_type, length[i]);
        cr_assert(gari_type_of(vec) == &vec_type);
        cr_assert(gari_type_of(text) == &text_type);
        gari_decref(vec);
        gari_decref(text);
    }
    assert_nothing_left();
}

Test(types, with_reference_fields_are_tracked_and_those_without_are_not)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    struct leaf *leaf = new_leaf(0);
    struct vec *vec = new_vec(0);
    struct text *text = gari_new_items(&text_type, 10);
    cr_assert(gari_is_tracked(node));
    cr_assert(!gari_is_tracked(leaf));
    cr_assert(gari_is_tracked(vec));
    cr_assert(!gari_is_tracked(text));
    gari_decref(node);
    gari_decref(leaf);
    gari_decref(vec);
    gari_decref(text);
    assert_nothing_left();
}

/* ---- Sixteen fields ----------------------------------------------------------------------- */

struct wide {
    gari_object header;
    gari_ref a;
    char gap; /* the fields need not be neighbours */
    gari_ref b, c, d, e, f, g, h, i, j, k, l, m, n;
    long middle;
    gari_ref o, p;
};

static const gari_type wide_type = GARI_TYPE(
    struct wide, .refs = GARI_REFS(struct wide, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p));

Test(types, have_up_to_sixteen_reference_fields_at_any_offset)
{
    use_manual_mode();
    assert_equal(wide_type.refs.count, 16);
    struct wide *wide = gari_new(&wide_type);
    gari_ref *field[] = {&wide->a, &wide->b, &wide->c, &wide->d, &wide->e, &wide->f,
                         &wide->g, &wide->h, &wide->i, &wide->j, &wide->k, &wide->l,
                         &wide->m, &wide->n, &wide->o, &wide->p};
    for (int i = 0; i < 16; i++)
        gari_move(field[i], new_leaf(i));
    gari_decref(wide);
    finish_pending();
    assert_equal(disposed_count(), 16);
    assert_nothing_left();
}

Test(types, let_a_cycle_run_through_each_of_sixteen_fields)
{
    use_manual_mode();
    for (int i = 0; i < 16; i++) {
        struct wide *wide = gari_new(&wide_type);
        gari_ref *field[] = {&wide->a, &wide->b, &wide->c, &wide->d, &wide->e, &wide->f,
                             &wide->g, &wide->h, &wide->i, &wide->j, &wide->k, &wide->l,
                             &wide->m, &wide->n, &wide->o, &wide->p};
        gari_store(field[i], wide);
        gari_decref(wide);
        assert_equal(gari_collect(2), 1);
    }
    assert_nothing_left();
}

/* Many, so that parts of the collector's work end in the middle of one. */
Test(types, with_sixteen_fields_are_collected_by_the_thousand)
{
    use_manual_mode();
    enum { WIDE = 1000 };
    static struct wide *all[WIDE];
    for (int i = 0; i < WIDE; i++)
        all[i] = gari_new(&wide_type);
    for (int i = 0; i < WIDE; i++) {
        gari_ref *field[] = {&all[i]->a, &all[i]->b, &all[i]->g,
                             &all[i]->n, &all[i]->o, &all[i]->p};
        for (int k = 0; k < 6; k++)
            gari_store(field[k], all[(i + (k + 1) * 7) % WIDE]);
    }
    for (int i = 0; i < WIDE; i++)
        gari_decref(all[i]);
    assert_equal(gari_collect(2), WIDE);
    assert_nothing_left();
}

/* ---- Alignment ---------------------------------------------------------------------------- */

struct aligned_16 {
    gari_object header;
    _Alignas(16) char bytes[16];
};
struct aligned_32 {
    gari_object header;
    _Alignas(32) char bytes[64];
};
struct aligned_64 {
    gari_object header;
    _Alignas(64) char bytes[64];
    GARI_REF(struct aligned_64) next;
};
struct aligned_64_items {
    gari_object header;
    size_t length;
    _Alignas(64) char bytes[];
};
struct odd {
    gari_object header;
    char bytes[13];
};

static const gari_type aligned_16_type = GARI_TYPE(struct aligned_16);
static const gari_type aligned_32_type = GARI_TYPE(struct aligned_32);
static const gari_type aligned_64_type =
    GARI_TYPE(struct aligned_64, .refs = GARI_REFS(struct aligned_64, next));
static const gari_type aligned_64_items_type =
    GARI_TYPE(struct aligned_64_items, .items = GARI_ITEMS(struct aligned_64_items, length, bytes));
static const gari_type odd_type = GARI_TYPE(struct odd);

enum { MANY = 500 };

static void check_alignment(const gari_type *type, size_t alignment)
{
    gari_object *object[MANY];
    for (int i = 0; i < MANY; i++) {
        object[i] = gari_new(type);
        assert_equal((uintptr_t)object[i] % alignment, 0);
    }
    for (int i = 0; i < MANY; i++)
        gari_decref(object[i]);
}

Test(types, are_aligned_as_their_c_type_asks)
{
    use_manual_mode();
    check_alignment(&aligned_16_type, 16);
    check_alignment(&aligned_32_type, 32);
    check_alignment(&aligned_64_type, 64);
    check_alignment(&odd_type, 8);
    check_alignment(&node_type, 8);
    assert_nothing_left();
}

Test(types, with_items_are_aligned_at_every_length)
{
    use_manual_mode();
    for (size_t length = 0; length < 5000; length += 7) {
        struct aligned_64_items *object = gari_new_items(&aligned_64_items_type, length);
        assert_equal((uintptr_t)object % 64, 0);
        gari_decref(object);
    }
    for (size_t length = 100000; length < 3000000; length += 333333) {
        struct aligned_64_items *object = gari_new_items(&aligned_64_items_type, length);
        assert_equal((uintptr_t)object % 64, 0);
        gari_decref(object);
    }
    assert_nothing_left();
}

Test(types, of_one_size_do_not_overlap_in_memory)
{
    use_manual_mode();
    struct odd *object[MANY];
    for (int i = 0; i < MANY; i++) {
        object[i] = gari_new(&odd_type);
        for (size_t j = 0; j < sizeof object[i]->bytes; j++)
            object[i]->bytes[j] = (char)i;
    }
    for (int i = 0; i < MANY; i++) {
        for (size_t j = 0; j < sizeof object[i]->bytes; j++)
            assert_equal(object[i]->bytes[j], (char)i);
        gari_decref(object[i]);
    }
    assert_nothing_left();
}

struct big {
    gari_object header;
    GARI_REF(struct big) next;
    char bytes[100000];
    GARI_REF(struct big) last;
};

static const gari_type big_type = GARI_TYPE(struct big, .refs = GARI_REFS(struct big, next, last));

Test(types, of_fixed_size_may_be_large)
{
    use_manual_mode();
    for (int i = 0; i < 10; i++) {
        struct big *a = gari_new(&big_type), *b = gari_new(&big_type);
        for (size_t j = 0; j < sizeof a->bytes; j++)
            assert_equal(a->bytes[j], 0);
        a->bytes[50000] = 1;
        gari_store(&a->next, b);
        gari_store(&b->last, a);
        gari_decref(a);
        gari_decref(b);
        assert_equal(gari_collect(2), 2);
    }
    assert_nothing_left();
}

/* ---- A traverse callback ------------------------------------------------------------------ */

/* References that are not at fixed offsets: in a store that reclaim frees. */
struct table {
    gari_object header;
    gari_ref fixed;
    size_t length;
    gari_ref *store;
};

static void traverse_table(void *self, gari_visit visit, void *arg)
{
    struct table *table = self;
    gari_ref *store = __atomic_load_n(&table->store, __ATOMIC_ACQUIRE);
    if (store)
        for (size_t i = 0; i < table->length; i++)
            GARI_VISIT(&store[i], visit, arg);
}

static long tables_reclaimed;

static void reclaim_table(void *self)
{
    struct table *table = self;
    free(table->store);
    tables_reclaimed++;
}

static const gari_type table_type = GARI_TYPE(struct table, .refs = GARI_REFS(struct table, fixed),
                                              .traverse = traverse_table, .reclaim = reclaim_table);

static struct table *new_table(size_t length)
{
    struct table *table = gari_new(&table_type);
    gari_ref *store = calloc(length, sizeof *store);
    table->length = length;
    __atomic_store_n(&table->store, store, __ATOMIC_RELEASE);
    return table;
}

Test(types, with_a_traverse_callback_are_tracked)
{
    use_manual_mode();
    struct table *table = new_table(1);
    cr_assert(gari_is_tracked(table));
    gari_decref(table);
    assert_nothing_left();
    assert_equal(tables_reclaimed, 1);
}

Test(types, with_a_traverse_callback_take_their_references_along_at_death)
{
    use_manual_mode();
    struct table *table = new_table(50);
    for (size_t i = 0; i < 50; i++)
        gari_move(&table->store[i], new_leaf(0));
    gari_move(&table->fixed, new_leaf(0));
    gari_decref(table);
    finish_pending();
    assert_equal(disposed_count(), 51);
    assert_nothing_left();
    assert_equal(tables_reclaimed, 1);
}

Test(types, with_a_traverse_callback_can_be_part_of_a_cycle)
{
    use_manual_mode();
    struct table *table = new_table(50);
    for (size_t i = 0; i < 50; i++) {
        struct node *node = new_node(&watched_type, 0);
        gari_store(&node->any, table);
        gari_move(&table->store[i], node);
    }
    assert_equal(gari_collect(2), 0);
    gari_decref(table);
    assert_equal(gari_collect(2), 51);
    assert_equal(disposed_count(), 50);
    assert_nothing_left();
    assert_equal(tables_reclaimed, 1);
}

Test(types, with_a_traverse_callback_may_refer_to_themselves)
{
    use_manual_mode();
    struct table *table = new_table(3);
    gari_store(&table->store[0], table);
    gari_store(&table->store[2], table);
    gari_store(&table->fixed, table);
    gari_decref(table);
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
    assert_equal(tables_reclaimed, 1);
}

Test(types, with_a_traverse_callback_survive_collections_while_they_are_all_zero)
{
    use_manual_mode();
    struct table *table = gari_new(&table_type);
    gari_decref(gari_incref(table)); /* a candidate */
    assert_equal(gari_collect(2), 0);
    gari_decref(table);
    assert_nothing_left();
}
