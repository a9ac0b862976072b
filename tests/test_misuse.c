/* Misuse ends in one sentence, which names the call and the type of the object, and abort(). */
#include "tests/support.h"

#include <signal.h>

TestSuite(misuse, .timeout = 60);

Test(misuse, aborts_the_process, .signal = SIGABRT)
{
    use_manual_mode();
    gari_collect(3);
}

Test(misuse, aborts_the_process_also_without_a_hook, .signal = SIGABRT)
{
    use_manual_mode();
    gari_set_fatal_hook(NULL);
    gari_collect(-1);
}

/* ---- Counts ------------------------------------------------------------------------------- */

static void decref_twice(void)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    gari_decref(node);
    gari_decref(node);
}

Test(misuse, of_a_count_driven_below_zero)
{
    const char *sentence = fatal_sentence(decref_twice);
    assert_mentions(sentence, "gari_decref");
    assert_mentions(sentence, "struct node");
}

static void decref_leaf_twice(void)
{
    use_manual_mode();
    struct leaf *leaf = new_leaf(0);
    gari_decref(leaf);
    gari_decref(leaf);
}

Test(misuse, of_the_count_of_an_untracked_object_driven_below_zero)
{
    const char *sentence = fatal_sentence(decref_leaf_twice);
    assert_mentions(sentence, "gari_decref");
    assert_mentions(sentence, "struct leaf");
}

static void incref_the_dead(void)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    gari_decref(node);
    gari_incref(node);
}

Test(misuse, of_a_dead_object_in_incref)
{
    const char *sentence = fatal_sentence(incref_the_dead);
    assert_mentions(sentence, "gari_incref");
    assert_mentions(sentence, "struct node");
}

static void store_the_dead(void)
{
    use_manual_mode();
    struct node *holder = new_node(&watched_type, 0);
    struct leaf *leaf = new_leaf(0);
    gari_decref(leaf);
    gari_store(&holder->any, leaf);
}

Test(misuse, of_a_dead_object_in_store)
{
    const char *sentence = fatal_sentence(store_the_dead);
    assert_mentions(sentence, "gari_store");
    assert_mentions(sentence, "struct leaf");
}

/* The field's reference is given back twice: by hand, and by the holder's death. */
static void decref_what_a_field_owns(void)
{
    use_manual_mode();
    struct node *holder = new_node(&watched_type, 0);
    struct node *child = new_node(&node_type, 0);
    gari_move(&holder->next, child);
    gari_decref(child);
    gari_decref(holder);
}

Test(misuse, of_a_reference_that_a_field_owns)
{
    const char *sentence = fatal_sentence(decref_what_a_field_owns);
    assert_mentions(sentence, "struct node");
}

/* ---- Types -------------------------------------------------------------------------------- */

static gari_type bad_type;

static void new_of_bad_type(void)
{
    use_manual_mode();
    gari_new(&bad_type);
}

static void new_items_of_bad_type(void)
{
    use_manual_mode();
    gari_new_items(&bad_type, 10);
}

static void check_bad_type(void (*use)(void), const char *call)
{
    const char *sentence = fatal_sentence(use);
    assert_mentions(sentence, call);
    assert_mentions(sentence, bad_type.name);
}

Test(misuse, of_a_type_without_a_size)
{
    bad_type = node_type;
    bad_type.size = 0;
    check_bad_type(new_of_bad_type, "gari_new");
}

Test(misuse, of_a_type_smaller_than_the_header)
{
    bad_type = leaf_type;
    bad_type.size = 4;
    check_bad_type(new_of_bad_type, "gari_new");
}

Test(misuse, of_a_type_made_without_GARI_TYPE)
{
    bad_type = node_type;
    bad_type.struct_size = 0; /* then nothing else of it can be trusted, its name neither */
    assert_mentions(fatal_sentence(new_of_bad_type), "gari_new");
}

Test(misuse, of_a_type_with_a_reference_beyond_its_end)
{
    bad_type = node_type;
    bad_type.refs.offset[1] = sizeof(struct node);
    check_bad_type(new_of_bad_type, "gari_new");
}

Test(misuse, of_a_type_with_a_reference_across_its_end)
{
    bad_type = node_type;
    bad_type.refs.offset[2] = sizeof(struct node) - 4;
    check_bad_type(new_of_bad_type, "gari_new");
}

Test(misuse, of_a_type_with_too_many_references)
{
    bad_type = node_type;
    bad_type.refs.count = GARI_MAX_REFS + 1;
    check_bad_type(new_of_bad_type, "gari_new");
}

Test(misuse, of_a_type_with_its_length_outside)
{
    bad_type = vec_type;
    bad_type.items.length_offset = 4096;
    check_bad_type(new_items_of_bad_type, "gari_new_items");
}

/* ---- The collector ------------------------------------------------------------------------ */

static void collect_3(void)
{
    use_manual_mode();
    gari_collect(3);
}

static void collect_minus_1(void)
{
    use_manual_mode();
    gari_collect(-1);
}

Test(misuse, of_a_generation_out_of_range)
{
    const char *sentence = fatal_sentence(collect_3);
    assert_mentions(sentence, "gari_collect");
    assert_mentions(sentence, "3");
    sentence = fatal_sentence(collect_minus_1);
    assert_mentions(sentence, "gari_collect");
    assert_mentions(sentence, "-1");
}

static void collect_in_section(void)
{
    use_manual_mode();
    gari_read_begin();
    gari_collect(2);
}

static void step_in_section(void)
{
    use_manual_mode();
    gari_read_begin();
    gari_step(100);
}

static void shutdown_in_section(void)
{
    use_manual_mode();
    gari_read_begin();
    gari_shutdown(NULL, NULL);
}

Test(misuse, of_calls_that_wait_inside_a_read_section)
{
    const char *sentence = fatal_sentence(collect_in_section);
    assert_mentions(sentence, "gari_collect");
    assert_mentions(sentence, "section");
    sentence = fatal_sentence(step_in_section);
    assert_mentions(sentence, "gari_step");
    assert_mentions(sentence, "section");
    sentence = fatal_sentence(shutdown_in_section);
    assert_mentions(sentence, "gari_shutdown");
    assert_mentions(sentence, "section");
}

Test(misuse, of_collect_in_a_nested_section_aborts_in_the_background_too, .signal = SIGABRT)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_decref(new_node(&node_type, 0));
    gari_read_begin();
    gari_read_begin();
    gari_read_end();
    gari_collect(0);
}

/* ---- Fields ------------------------------------------------------------------------------- */

static void init_into_itself(void)
{
    use_manual_mode();
    struct node *node = new_node(&node_type, 0);
    gari_init(&node->next, node);
}

Test(misuse, of_init_of_an_object_into_itself)
{
    const char *sentence = fatal_sentence(init_into_itself);
    assert_mentions(sentence, "gari_init");
    assert_mentions(sentence, "struct node");
}

static void init_array_into_itself(void)
{
    use_manual_mode();
    struct vec *vec = new_vec(1000);
    gari_init(&vec->items[999], vec);
}

Test(misuse, of_init_of_an_array_into_itself)
{
    const char *sentence = fatal_sentence(init_array_into_itself);
    assert_mentions(sentence, "gari_init");
    assert_mentions(sentence, "struct vec");
}
