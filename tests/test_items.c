/* Objects of variable length: gari_new_items. */
#include "tests/support.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

TestSuite(items, .timeout = 60);

Test(items, are_zeroed_and_their_number_is_set)
{
    use_manual_mode();
    for (int round = 0; round < 2; round++) {
        for (size_t length = 0; length < 300; length++) {
            struct vec *vec = new_vec(length);
            assert_equal(vec->length, length);
            for (size_t i = 0; i < length; i++) {
                cr_assert(gari_load(&vec->items[i]) == NULL);
                gari_store(&vec->items[i], vec);
            }
            struct text *text = gari_new_items(&text_type, length);
            assert_equal(text->length, length);
            for (size_t i = 0; i < length; i++) {
                assert_equal(text->bytes[i], 0);
                text->bytes[i] = 'x';
            }
            gari_decref(vec);
            gari_decref(text);
        }
        settle();
    }
    assert_nothing_left();
}

Test(items, may_be_none)
{
    use_manual_mode();
    struct vec *vec = gari_new_items(&vec_type, 0);
    struct text *text = gari_new_items(&text_type, 0);
    cr_assert(vec != NULL && text != NULL);
    assert_equal(vec->length, 0);
    assert_equal(gari_getrefcount(vec), 1);
    gari_decref(gari_incref(vec));
    assert_equal(gari_collect(2), 0);
    gari_decref(vec);
    gari_decref(text);
    assert_nothing_left();
}

Test(items, whose_size_overflows_are_refused)
{
    use_manual_mode();
    cr_assert(gari_new_items(&vec_type, SIZE_MAX) == NULL);
    cr_assert(gari_new_items(&vec_type, SIZE_MAX / 8) == NULL);
    cr_assert(gari_new_items(&vec_type, SIZE_MAX / 8 + 1) == NULL);
    cr_assert(gari_new_items(&vec_type, SIZE_MAX / 8 + 2) == NULL); /* wraps to a small size */
    cr_assert(gari_new_items(&vec_type, SIZE_MAX / 16) == NULL);
    cr_assert(gari_new_items(&text_type, SIZE_MAX) == NULL);
    cr_assert(gari_new_items(&text_type, SIZE_MAX - 16) == NULL);
    cr_assert(gari_new_items(&text_type, SIZE_MAX / 2) == NULL);
    assert_equal(stats_now().objects_live, 0);
    struct vec *vec = new_vec(10); /* the heap is as it was */
    gari_decref(vec);
    assert_nothing_left();
}

Test(items, fill_the_whole_object_whatever_its_size)
{
    use_manual_mode();
    enum { LENGTHS = 12 };
    size_t length[LENGTHS] = {1,     100,   1000,   4000,   9000,    17000,
                              33000, 65000, 131000, 600000, 1100000, 5000000};
    struct text *text[LENGTHS];
    for (int i = 0; i < LENGTHS; i++) {
        text[i] = gari_new_items(&text_type, length[i]);
        cr_assert(text[i] != NULL);
        assert_equal(text[i]->bytes[length[i] - 1], 0);
        for (size_t j = 0; j < length[i]; j++)
            text[i]->bytes[j] = (char)i;
    }
    for (int i = 0; i < LENGTHS; i++) {
        assert_equal(text[i]->length, length[i]);
        assert_equal(gari_getrefcount(text[i]), 1);
        size_t wrong = 0;
        for (size_t j = 0; j < length[i]; j++)
            wrong += text[i]->bytes[j] != (char)i;
        assert_equal(wrong, 0);
        gari_decref(text[i]);
    }
    assert_nothing_left();
}

Test(items, of_several_megabytes_go_back_to_the_system_when_the_object_dies)
{
    use_manual_mode();
    enum { MEGABYTE = 1 << 20, OBJECTS = 8 };
    gari_decref((struct text *)gari_new_items(&text_type, 10));
    settle();
    uint64_t before = stats_now().heap_bytes;
    struct text *text[OBJECTS];
    for (int i = 0; i < OBJECTS; i++) {
        text[i] = gari_new_items(&text_type, 5 * MEGABYTE);
        text[i]->bytes[5 * MEGABYTE - 1] = 1;
    }
    uint64_t full = stats_now().heap_bytes;
    cr_assert(full >= before + OBJECTS * 5 * MEGABYTE, "heap_bytes is only %llu",
              (unsigned long long)full);
    for (int i = 0; i < OBJECTS; i++)
        gari_decref(text[i]);
    settle();
    assert_at_most(stats_now().heap_bytes, before + MEGABYTE);
    assert_nothing_left();
}

Test(items, of_large_arrays_of_references_go_back_to_the_system_too)
{
    use_manual_mode();
    uint64_t before = stats_now().heap_bytes;
    for (int i = 0; i < 20; i++) {
        struct vec *vec = new_vec(1000000);
        gari_store(&vec->items[999999], vec);
        gari_decref(vec);
        assert_equal(gari_collect(2), 1);
    }
    settle();
    assert_at_most(stats_now().heap_bytes, before + (1 << 20));
    cr_assert(stats_now().heap_peak_bytes >= 8000000);
    assert_nothing_left();
}

/* Whether the system has been asked for huge pages at the address, as /proc/self/smaps tells. */
static bool asks_for_huge_pages(const void *address)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    cr_assert(maps);
    char line[512];
    bool here = false, asked = false;
    while (fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
            here = begin <= (uintptr_t)address && (uintptr_t)address < end;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            asked = strstr(line, " hg") != NULL;
    }
    fclose(maps);
    return asked;
}

Test(items, of_four_megabytes_ask_for_huge_pages)
{
    use_manual_mode();
    bool system_has_them = access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
#ifndef __x86_64__
    system_has_them =
        false; /* other processors are emulated, and so is that file, without the flag */
#endif
    struct text *small = gari_new_items(&text_type, 2 << 20);
    struct text *large = gari_new_items(&text_type, 4 << 20);
    cr_assert(!asks_for_huge_pages(small));
    cr_assert(asks_for_huge_pages(large) == system_has_them);
    gari_decref(small);
    gari_decref(large);
    assert_nothing_left();
}

Test(items, count_in_the_bytes_that_live)
{
    use_manual_mode();
    struct text *text = gari_new_items(&text_type, 3000000);
    uint64_t live = stats_now().bytes_live;
    cr_assert(live >= 3000000, "bytes_live is only %llu", (unsigned long long)live);
    assert_at_most(live, 3100000);
    gari_decref(text);
    assert_equal(stats_now().bytes_live, 0);
    assert_nothing_left();
}

/* A trailing array of plain records. */
struct pair {
    long key;
    long value;
};
struct map {
    gari_object header;
    size_t length;
    struct pair items[];
};
static const gari_type map_type =
    GARI_TYPE(struct map, .items = GARI_ITEMS(struct map, length, items));

Test(items, may_be_records_of_any_size)
{
    use_manual_mode();
    struct map *map = gari_new_items(&map_type, 1000);
    for (long i = 0; i < 1000; i++)
        map->items[i] = (struct pair){i, -i};
    for (long i = 0; i < 1000; i++)
        assert_equal(map->items[i].key + map->items[i].value, 0);
    cr_assert(!gari_is_tracked(map));
    gari_decref(map);
    assert_nothing_left();
}

struct tail {
    gari_object header;
    size_t length;
    char mark;
    char bytes[]; /* begins within the struct's own padding */
};
static const gari_type tail_type =
    GARI_TYPE(struct tail, .items = GARI_ITEMS(struct tail, length, bytes));

Test(items, may_begin_in_the_padding_of_their_struct)
{
    use_manual_mode();
    for (size_t length = 0; length < 40; length++) {
        struct tail *tail = gari_new_items(&tail_type, length);
        cr_assert(tail != NULL);
        *tail = (struct tail){.header = tail->header, .length = length, .mark = 'm'};
        memset(tail->bytes, 'b', length);
        cr_assert(gari_type_of(tail) == &tail_type);
        gari_decref(tail);
    }
    assert_nothing_left();
}
