#include "tests/support_nodes.h"

struct node *nodes[NODES];

void make_nodes(void)
{
    use_manual_mode();
    for (int i = 0; i < NODES; i++)
        nodes[i] = new_node(&watched_type, i);
}

void drop_nodes(void)
{
    finish_pending(); /* the death of something large */
    for (int i = 0; i < NODES; i++) {
        assert_equal(gari_getrefcount(nodes[i]), 1);
        gari_decref(nodes[i]);
    }
    assert_equal(disposed_count(), NODES);
    assert_nothing_left();
}
