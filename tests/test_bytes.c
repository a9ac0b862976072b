/* Immutable bytes: gari_bytes. */
#include "lib/gari_containers.h"
#include "tests/support.h"

#include <string.h>
#include <wchar.h>

TestSuite(bytes, .timeout = 60);

static void assert_is(const gari_bytes *bytes, const char *text)
{
    cr_assert(bytes != NULL);
    assert_equal(gari_bytes_length(bytes), strlen(text));
    cr_assert_str_eq(gari_bytes_data(bytes), text);
}

Test(bytes, are_a_copy_followed_by_a_zero)
{
    use_manual_mode();
    char text[] = "some text";
    gari_bytes *bytes = gari_bytes_from_string(text);
    text[0] = 'X';
    assert_is(bytes, "some text");
    cr_assert(gari_is_bytes(bytes) && !gari_is_list(bytes) && !gari_is_tracked(bytes));
    assert_equal(gari_getrefcount(bytes), 1);
    gari_decref(bytes);
    assert_nothing_left();
}

Test(bytes, may_be_none_and_may_contain_zeros)
{
    use_manual_mode();
    gari_bytes *none = gari_bytes_new(NULL, 0), *zeros = gari_bytes_new("a\0b", 3);
    assert_is(none, "");
    assert_equal(gari_bytes_length(zeros), 3);
    assert_equal(memcmp(gari_bytes_data(zeros), "a\0b", 4), 0);
    gari_decref(none);
    gari_decref(zeros);
    assert_nothing_left();
}

Test(bytes, that_cannot_be_printed_are_null)
{
    use_manual_mode();
    cr_assert(gari_bytes_format("%lc", (wint_t)0x7fffffff) == NULL);
    assert_nothing_left();
}

Test(bytes, can_be_printed_joined_and_cut)
{
    use_manual_mode();
    gari_bytes *a = gari_bytes_format("%d-%s", 42, "x"), *b = gari_bytes_from_string("yz");
    gari_bytes *both = gari_bytes_concat(a, b);
    assert_is(a, "42-x");
    assert_is(both, "42-xyz");
    static const struct {
        size_t from, to;
        const char *text;
    } cuts[] = {{0, 6, "42-xyz"}, {1, 3, "2-"},      {4, SIZE_MAX, "yz"},
                {6, 6, ""},       {SIZE_MAX, 2, ""}, {3, 1, ""}};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        gari_bytes *cut = gari_bytes_slice(both, cuts[i].from, cuts[i].to);
        assert_is(cut, cuts[i].text);
        gari_decref(cut);
    }
    gari_decref(a);
    gari_decref(b);
    gari_decref(both);
    assert_nothing_left();
}

Test(bytes, are_ordered_like_memcmp_and_a_prefix_comes_first)
{
    use_manual_mode();
    static const char *const ordered[] = {"", "a", "aa", "ab", "b", "\xff"};
    enum { COUNT = sizeof ordered / sizeof *ordered };
    gari_bytes *bytes[COUNT];
    for (int i = 0; i < COUNT; i++)
        bytes[i] = gari_bytes_from_string(ordered[i]);
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            int order = gari_bytes_compare(bytes[i], bytes[j]);
            assert_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_equal(gari_bytes_equal(bytes[i], bytes[j]), i == j);
        }
    }
    for (int i = 0; i < COUNT; i++)
        gari_decref(bytes[i]);
    assert_nothing_left();
}

Test(bytes, with_the_same_content_have_the_same_hash)
{
    use_manual_mode();
    enum { LENGTHS = 70 };
    char text[LENGTHS] = {0};
    uint64_t seen[LENGTHS];
    for (size_t length = 0; length < LENGTHS; length++) {
        gari_bytes *a = gari_bytes_new(text, length), *b = gari_bytes_new(text, length);
        seen[length] = gari_bytes_hash(a);
        cr_assert(seen[length] == gari_bytes_hash(b) && seen[length] == gari_bytes_hash(a));
        for (size_t i = 0; i < length; i++)
            cr_assert(seen[i] != seen[length], "lengths %zu and %zu collide", i, length);
        gari_decref(a);
        gari_decref(b);
    }
    assert_nothing_left();
}

Test(bytes, too_many_to_count_are_refused)
{
    use_manual_mode();
    cr_assert(gari_bytes_new("", SIZE_MAX) == NULL);
    cr_assert(gari_bytes_new("", SIZE_MAX - 1) == NULL);
    assert_nothing_left();
}
