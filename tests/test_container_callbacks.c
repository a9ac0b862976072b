/* Callbacks that use the container they are called from: no lock is held while they run. */
#include "lib/gari_containers.h"
#include "tests/support.h"

TestSuite(container_callbacks, .timeout = 60);

static gari_list *list;
static gari_map *map;

/* ---- A death that a change of a list causes ----------------------------------------------- */

struct member {
    gari_object header;
    GARI_REF(struct node) node;
};

static void leave_list(void *self)
{
    struct node *node = gari_borrow(&((struct member *)self)->node);
    gari_list_append(list, node);
    gari_list_length(list);
}

static const gari_type member_type =
    GARI_TYPE(struct member, .refs = GARI_REFS(struct member, node), .dispose = leave_list);

Test(container_callbacks, write_to_the_list_that_drops_them)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 0), *other = new_node(&watched_type, 1);
    list = gari_list_new();
    for (int i = 0; i < 8; i++) {
        struct member *member = gari_new(&member_type);
        gari_store(&member->node, node);
        gari_list_append(list, member);
        gari_decref(member);
    }
    gari_list_erase(list, 0);
    assert_equal(gari_list_length(list), 8);
    gari_list_set(list, 0, other);
    gari_decref((gari_object *)gari_list_take(list, 1));
    gari_list_splice(list, 1, 2, NULL);
    assert_equal(gari_list_index(list, other), 0);
    gari_list_clear(list);
    assert_equal(gari_list_length(list), 3); /* what was left of the members */
    gari_decref(list);
    assert_equal(gari_getrefcount(node), 1);
    gari_decref(node);
    gari_decref(other);
    assert_nothing_left();
}

/* ---- A death that a change of a map causes ------------------------------------------------ */

struct numbered {
    gari_object header;
    int64_t number;
};

static void leave_map(void *self)
{
    struct numbered *numbered = self;
    gari_map_remove(map, gari_key_integer(numbered->number + 1000));
    gari_map_contains(map, gari_key_integer(numbered->number));
}

static const gari_type numbered_type = GARI_TYPE(struct numbered, .dispose = leave_map);

Test(container_callbacks, write_to_the_map_that_drops_them)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 0), *other = new_node(&watched_type, 1);
    map = gari_map_new();
    for (int64_t i = 0; i < 100; i++) {
        struct numbered *numbered = gari_new(&numbered_type);
        numbered->number = i;
        gari_map_put(map, gari_key_integer(i), numbered);
        gari_map_put(map, gari_key_integer(i + 1000), node);
        gari_decref(numbered);
    }
    for (int64_t i = 0; i < 100; i++) {
        if (i % 2)
            gari_map_put(map, gari_key_integer(i), other);
        else
            gari_map_remove(map, gari_key_integer(i));
    }
    assert_equal(gari_map_length(map), 50);
    assert_equal(gari_getrefcount(node), 1);
    gari_decref(map);
    gari_decref(node);
    gari_decref(other);
    assert_nothing_left();
}
