// gari.h as a C++ program uses it. Runs; warnings.sh also compiles it in every mode users do.
#include <gari.h>

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
    ok = ok && gari_collect(2) == 1;
    return ok && gari_shutdown(nullptr, nullptr) == 0 ? 0 : 1;
}
