/* Misuse ends in one sentence, which names the call and the type of the object, and abort(). */
#include "tests/support.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

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

static void new_of_null(void)
{
    use_manual_mode();
    gari_new((const gari_type *)NULL);
}

static void new_items_of_null(void)
{
    use_manual_mode();
    gari_new_items((const gari_type *)NULL, 1);
}

Test(misuse, of_no_type_at_all)
{
    const char *sentence = fatal_sentence(new_of_null);
    assert_mentions(sentence, "gari_new");
    assert_mentions(sentence, "NULL");
    assert_mentions(fatal_sentence(new_items_of_null), "gari_new_items");
}

Test(misuse, of_a_type_without_a_name)
{
    bad_type = node_type;
    bad_type.name = NULL;
    const char *sentence = fatal_sentence(new_of_bad_type);
    assert_mentions(sentence, "gari_new");
    assert_mentions(sentence, "name");
}

Test(misuse, of_a_type_with_an_alignment_that_cannot_be_had)
{
    bad_type = node_type;
    bad_type.align = 128;
    check_bad_type(new_of_bad_type, "gari_new");
    bad_type.align = 24;
    check_bad_type(new_of_bad_type, "gari_new");
}

Test(misuse, of_a_type_with_unknown_flags)
{
    bad_type = node_type;
    bad_type.flags = 0x80;
    check_bad_type(new_of_bad_type, "gari_new");
}

Test(misuse, of_a_type_with_a_reference_in_its_header_or_not_aligned)
{
    bad_type = node_type;
    bad_type.refs.offset[0] = 0;
    check_bad_type(new_of_bad_type, "gari_new");
    bad_type.refs.offset[0] = 20;
    check_bad_type(new_of_bad_type, "gari_new");
}

Test(misuse, of_a_type_with_its_array_in_its_header_or_outside_or_not_aligned)
{
    static const uint32_t offset[] = {0, 4096, 20};
    for (int i = 0; i < 3; i++) {
        bad_type = vec_type;
        bad_type.items.offset = offset[i];
        check_bad_type(new_items_of_bad_type, "gari_new_items");
    }
    bad_type = vec_type;
    bad_type.items.size = 16; /* of references that have eight bytes each */
    check_bad_type(new_items_of_bad_type, "gari_new_items");
}

Test(misuse, of_the_wrong_call_for_a_type)
{
    bad_type = vec_type;
    check_bad_type(new_of_bad_type, "gari_new_items");
    bad_type = node_type;
    check_bad_type(new_items_of_bad_type, "has no trailing array");
}

static void hook_measures(const char *sentence)
{
#ifdef GARI_CHECKED
    const size_t most = 1023;
#else
    const size_t most = 511;
#endif
    if (strlen(sentence) != most)
        _exit(1);
}

/* It is cut off, and ends in a newline all the same. */
Test(misuse, of_a_type_with_an_endless_name_is_told_as_far_as_it_goes, .signal = SIGABRT)
{
    static char name[2000];
    memset(name, 'n', sizeof name - 1);
    bad_type = node_type;
    bad_type.name = name;
    bad_type.size = 1;
    gari_set_fatal_hook(hook_measures);
    new_of_bad_type();
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

static void retire_in_section(void)
{
    use_manual_mode();
    gari_decref(new_leaf(1));
    gari_read_begin();
    gari_type_retire(&leaf_type);
}

static void freeze_in_section(void)
{
    use_manual_mode();
    gari_read_begin();
    gari_freeze();
}

Test(misuse, of_calls_that_wait_inside_a_read_section)
{
    const char *sentence = fatal_sentence(freeze_in_section);
    assert_mentions(sentence, "gari_freeze");
    assert_mentions(sentence, "section");
    sentence = fatal_sentence(collect_in_section);
    assert_mentions(sentence, "gari_collect");
    assert_mentions(sentence, "section");
    sentence = fatal_sentence(step_in_section);
    assert_mentions(sentence, "gari_step");
    assert_mentions(sentence, "section");
    sentence = fatal_sentence(retire_in_section);
    assert_mentions(sentence, "gari_type_retire");
    assert_mentions(sentence, "leaf");
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
    struct vec *vec = new_vec(2000);
    gari_init(&vec->items[1999], vec);
}

Test(misuse, of_init_of_an_array_into_itself)
{
    const char *sentence = fatal_sentence(init_array_into_itself);
    assert_mentions(sentence, "gari_init");
    assert_mentions(sentence, "struct vec");
}

/* ---- Callbacks, weak references, finalizers ------------------------------------------------ */

static void shut_down(void *self)
{
    (void)self;
    gari_shutdown(NULL, NULL);
}

static const gari_type closing_type = GARI_TYPE(struct leaf, .dispose = shut_down);

static void shutdown_in_callback(void)
{
    use_manual_mode();
    gari_decref((struct leaf *)gari_new(&closing_type));
}

Test(misuse, of_shutdown_in_a_callback)
{
    const char *sentence = fatal_sentence(shutdown_in_callback);
    assert_mentions(sentence, "gari_shutdown");
    assert_mentions(sentence, "callback");
}

static void shutdown_in_report(const gari_collection *collection, void *arg)
{
    (void)collection;
    shut_down(arg);
}

static void shutdown_while_reporting(void)
{
    use_manual_mode();
    gari_callback_add(shutdown_in_report, NULL);
    gari_collect(2);
}

Test(misuse, of_shutdown_in_a_listener)
{
    assert_mentions(fatal_sentence(shutdown_while_reporting), "gari_shutdown");
}

static void weakref_to_nothing(void)
{
    use_manual_mode();
    gari_weakref_new((struct leaf *)NULL, NULL, NULL);
}

Test(misuse, of_a_weak_reference_to_nothing)
{
    assert_mentions(fatal_sentence(weakref_to_nothing), "gari_weakref_new");
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static void finalize_nothing(void)
{
    use_manual_mode();
    gari_finalize_new((struct leaf *)NULL, do_nothing, NULL);
}

static void finalize_without_a_function(void)
{
    use_manual_mode();
    gari_finalize_new(new_leaf(0), NULL, NULL);
}

static void finalize_the_dead(void)
{
    use_manual_mode();
    struct leaf *leaf = new_leaf(0);
    gari_decref(leaf);
    gari_finalize_new(leaf, do_nothing, NULL);
}

Test(misuse, of_a_finalizer_of_nothing_or_of_the_dead_or_without_a_function)
{
    assert_mentions(fatal_sentence(finalize_nothing), "gari_finalize_new");
    assert_mentions(fatal_sentence(finalize_without_a_function), "gari_finalize_new");
    const char *sentence = fatal_sentence(finalize_the_dead);
    assert_mentions(sentence, "gari_finalize_new");
    assert_mentions(sentence, "leaf");
}
