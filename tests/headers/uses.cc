// The headers as a C++ program uses them. Runs; warnings.sh also compiles it in every mode users do.
#include <gari.h>
#include <gari_containers.h>

namespace
{

struct node {
    gari_object header;
    long value;
    GARI_REF(node) next, previous;
    gari_ref any;
};

const gari_type node_type = GARI_TYPE(node, .refs = GARI_REFS(node, next, previous, any));

struct leaf {
    gari_object header;
    int value;
};

const gari_type leaf_type = GARI_TYPE(leaf);

GARI_ROOT(node) current;

bool use_containers()
{
    gari_map *map = gari_map_new();
    gari_bytes *bytes = gari_bytes_from_string("value");
    bool ok = gari_map_put(map, gari_key_string("key"), bytes) == 0;
    gari_map_iter it;
    gari_map_iter_begin(&it, map);
    while (gari_map_iter_next(&it))
        ok = ok && it.value == bytes && it.key.length == 3;
    gari_map_iter_end(&it);
    gari_decref(bytes);
    bytes = static_cast<gari_bytes *>(gari_map_take(map, gari_key_string("key")));
    ok = ok && gari_bytes_length(bytes) == 5;
    gari_decref(bytes);
    gari_decref(map);
    return ok;
}

} // namespace

int main()
{
    node *a = static_cast<node *>(gari_new(&node_type));
    leaf *b = static_cast<leaf *>(gari_new(&leaf_type));
    if (!a || !b)
        return 1;

    gari_store(&a->next, a);
    gari_store(&current, a);
    gari_move(&a->any, b);

    node *next = gari_load(&a->next);
    bool ok = next == a && gari_getrefcount(a) == 4;
    gari_decref(next);

    gari_read_begin();
    node *borrowed = gari_borrow(&current);
    ok = ok && gari_try_incref(borrowed);
    gari_read_end();
    gari_decref(borrowed);

    GARI_PAUSED
    {
        ok = ok && !gari_is_enabled();
    }
    gari_objects found;
    ok = ok && gari_get_referrers(a, &found) == 0 && found.count == 1;
    gari_objects_release(&found);

    gari_decref(gari_take(&current));
    gari_decref(a);
    ok = ok && gari_collect(2) == 1 && use_containers();
    return ok && gari_shutdown(nullptr, nullptr) == 0 ? 0 : 1;
}
