/* The fixed array: gari_array. */
#include "lib/gari_containers.h"
#include "tests/support.h"

TestSuite(array, .timeout = 60);

Test(array, has_fields_for_all_operations)
{
    use_manual_mode();
    gari_array *array = gari_array_new(3);
    assert_equal(gari_array_length(array), 3);
    cr_assert(gari_is_array(array) && !gari_is_map(array));
    struct node *node = new_node(&watched_type, 1);
    cr_assert(gari_load(gari_array_at(array, 0)) == NULL);
    gari_store(gari_array_at(array, 0), node);
    gari_move(gari_array_at(array, 2), gari_incref(node));
    assert_equal(gari_getrefcount(node), 3);
    struct node *taken = gari_take(gari_array_at(array, 0));
    cr_assert(taken == node);
    gari_decref(taken);
    gari_decref(array);
    assert_equal(gari_getrefcount(node), 1);
    gari_decref(node);
    assert_equal(disposed_count(), 1);
    assert_nothing_left();
}

Test(array, that_contains_itself_is_collected)
{
    use_manual_mode();
    gari_array *array = gari_array_new(1000);
    for (size_t i = 0; i < 1000; i++)
        gari_store(gari_array_at(array, i), array);
    gari_decref(array);
    assert_equal(gari_collect(2), 1);
    assert_nothing_left();
}

Test(array, of_no_field_or_too_many)
{
    use_manual_mode();
    gari_array *array = gari_array_new(0);
    assert_equal(gari_array_length(array), 0);
    gari_decref(array);
    cr_assert(gari_array_new(SIZE_MAX / 4) == NULL);
    assert_nothing_left();
}

static void index_out_of_range(void)
{
    gari_array *array = gari_array_new(3);
    gari_store(gari_array_at(array, 3), NULL);
}

Test(array, names_an_index_out_of_range)
{
    const char *sentence = fatal_sentence(index_out_of_range);
    assert_mentions(sentence, "gari_array_at");
    assert_mentions(sentence, "3");
}
