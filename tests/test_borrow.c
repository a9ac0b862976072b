/* Read sections and what is borrowed in them. */
#include "tests/support.h"

#include <stdatomic.h>

TestSuite(borrow, .timeout = 60);

static GARI_ROOT(struct node) root;

Test(borrow, what_dies_stays_readable_until_the_section_ends)
{
    use_manual_mode();
    gari_move(&root, new_chain(&watched_type, 3));
    gari_read_begin();
    struct node *first = gari_borrow(&root);
    struct node *second = gari_borrow(&first->next);
    struct node *third = gari_borrow(&second->next);
    gari_store(&root, NULL);
    assert_equal(disposed_count(), 3);
    for (int i = 0; i < 1000; i++) /* plenty of chances to use the memory again */
        gari_decref(new_node(&node_type, 99));
    assert_equal(first->value, 0);
    assert_equal(second->value, 1);
    assert_equal(third->value, 2);
    assert_equal(reclaimed_count(), 0);
    gari_read_end();
    settle();
    assert_equal(reclaimed_count(), 3);
    assert_nothing_left();
}

Test(borrow, sections_nest)
{
    use_manual_mode();
    gari_move(&root, new_node(&watched_type, 5));
    gari_read_begin();
    struct node *node = gari_borrow(&root);
    gari_read_begin();
    gari_read_begin();
    gari_read_end();
    gari_read_end();
    gari_store(&root, NULL);
    for (int i = 0; i < 1000; i++)
        gari_decref(new_node(&node_type, 99));
    assert_equal(node->value, 5);
    assert_equal(reclaimed_count(), 0);
    gari_read_end();
    assert_nothing_left();
    assert_equal(reclaimed_count(), 1);
}

Test(borrow, fields_of_a_dying_object_can_still_be_stored_into)
{
    use_manual_mode();
    gari_move(&root, new_node(&watched_type, 0));
    struct node *other = new_node(&watched_type, 1);
    gari_read_begin();
    struct node *dying = gari_borrow(&root);
    gari_store(&root, NULL);
    assert_equal(disposed_count(), 1);
    gari_store(&dying->next, other);
    gari_move(&dying->prev, gari_incref(other));
    cr_assert(gari_borrow(&dying->next) == other);
    gari_read_end();
    settle();
    assert_equal(gari_getrefcount(other), 1); /* what was stored has been given back */
    gari_decref(other);
    assert_equal(disposed_count(), 2);
    assert_nothing_left();
}

Test(borrow, a_new_object_stored_into_a_dying_one_dies_after_it)
{
    use_manual_mode();
    gari_move(&root, new_node(&watched_type, 0));
    gari_read_begin();
    struct node *dying = gari_borrow(&root);
    gari_store(&root, NULL);
    gari_move(&dying->any, new_leaf(1));
    gari_move(&dying->next, new_ring(&watched_type, 3));
    gari_read_end();
    settle();
    gari_collect(2);
    assert_equal(disposed_count(), 5);
    assert_nothing_left();
    assert_equal(reclaimed_count(), 5);
}

/* ---- Readers beside writers --------------------------------------------------------------- */

struct page {
    gari_object header;
    long number;
    long complement; /* ~number, until reclaim spoils both */
    GARI_REF(struct page) next;
};

static atomic_long pages_disposed, pages_reclaimed;

static void dispose_page(void *self)
{
    struct page *page = self;
    check(page->complement == ~page->number);
    atomic_fetch_add(&pages_disposed, 1);
}

static void reclaim_page(void *self)
{
    struct page *page = self;
    check(page->complement == ~page->number);
    page->number = page->complement = 0xDEAD;
    atomic_fetch_add(&pages_reclaimed, 1);
}

static const gari_type page_type = GARI_TYPE(struct page, .refs = GARI_REFS(struct page, next),
                                             .dispose = dispose_page, .reclaim = reclaim_page);

static GARI_ROOT(struct page) current;
static atomic_bool stop;

static struct page *new_page(long number)
{
    struct page *page = gari_new(&page_type);
    check(page != NULL);
    page->number = number;
    page->complement = ~number;
    return page;
}

static void *read_pages(void *arg)
{
    (void)arg;
    long last = 0, read = 0;
    while (!atomic_load(&stop) || read == 0) {
        gari_read_begin();
        struct page *page = gari_borrow(&current);
        check(page->number >= last); /* time does not run backwards */
        last = page->number;
        for (int i = 0; page && i < 4; i++) {
            check(page->complement == ~page->number);
            page = gari_borrow(&page->next);
            read++;
        }
        gari_read_end();
    }
    return NULL;
}

static void *own_pages(void *arg)
{
    (void)arg;
    long owned = 0;
    while (!atomic_load(&stop) || owned == 0) {
        gari_read_begin();
        struct page *page = gari_borrow(&current);
        bool mine = gari_try_incref(page);
        gari_read_end();
        if (!mine)
            continue;
        owned++;
        check(gari_getrefcount(page) >= 1);
        check(page->complement == ~page->number);
        struct page *next = gari_load(&page->next);
        if (next)
            check(next->complement == ~next->number);
        gari_decref(next);
        gari_decref(page);
    }
    return NULL;
}

static void publish_pages(size_t from, size_t to, bool cyclic)
{
    for (size_t i = from; i <= to; i++) {
        struct page *page = new_page((long)i);
        if (cyclic) {
            struct page *twin = new_page((long)i);
            gari_store(&page->next, twin);
            gari_move(&twin->next, gari_incref(page));
            gari_decref(twin);
        } else {
            gari_init(&page->next, new_page((long)i));
        }
        gari_move(&current, page);
    }
}

static void check_readers_beside_a_writer(gari_mode mode, bool cyclic)
{
    use_mode(mode);
    gari_move(&current, new_page(0));
    pthread_t reader = start_thread(read_pages, NULL), owner = start_thread(own_pages, NULL);
    const size_t number = SCALED(200000);
    for (size_t part = 0; part < 20; part++) {
        publish_pages(part * number / 20 + 1, (part + 1) * number / 20, cyclic);
        if (mode == GARI_MODE_MANUAL)
            gari_collect((int)(part % 3));
    }
    atomic_store(&stop, true);
    join_thread(reader);
    join_thread(owner);
    gari_store(&current, NULL);
    assert_nothing_left();
    assert_equal(atomic_load(&pages_disposed), atomic_load(&pages_reclaimed));
}

Test(borrow, readers_beside_a_writer_never_see_reclaimed_memory)
{
    check_readers_beside_a_writer(GARI_MODE_BACKGROUND, false);
}

Test(borrow, readers_beside_a_writer_never_see_reclaimed_cycles)
{
    check_readers_beside_a_writer(GARI_MODE_BACKGROUND, true);
}

Test(borrow, readers_beside_a_writer_are_safe_in_inline_mode)
{
    check_readers_beside_a_writer(GARI_MODE_INLINE, true);
}

Test(borrow, readers_beside_a_writer_are_safe_from_collections_in_manual_mode)
{
    check_readers_beside_a_writer(GARI_MODE_MANUAL, true);
}
