/* The headers as a C program uses them. Runs; warnings.sh also compiles it in every mode users do. */
#include <gari.h>
#include <gari_containers.h>

struct node {
    gari_object header;
    long value;
    GARI_REF(struct node) next, previous;
    gari_ref any;
};

static const gari_type node_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next, previous, any));

struct leaf {
    gari_object header;
    int value;
};

static const gari_type leaf_type = GARI_TYPE(struct leaf);

struct vector {
    gari_object header;
    size_t length;
    GARI_REF(struct node) items[];
};

static const gari_type vector_type =
    GARI_TYPE(struct vector, .items = GARI_REF_ITEMS(struct vector, length, items));

struct text {
    gari_object header;
    size_t length;
    char bytes[];
};

static const gari_type text_type =
    GARI_TYPE(struct text, .items = GARI_ITEMS(struct text, length, bytes));

struct branch {
    gari_object header;
    GARI_REF(struct leaf) leaf;
};

static void branch_traverse(void *self, gari_visit visit, void *arg)
{
    struct branch *branch = self;
    GARI_VISIT(&branch->leaf, visit, arg);
}

static const gari_type branch_type = GARI_TYPE(struct branch, .traverse = branch_traverse);

static GARI_ROOT(struct vector) current;

static void count(const gari_collection *collection, void *arg)
{
    *(int *)arg += collection->phase == GARI_PHASE_STOP;
}

static int keep_order(void *a, void *b, void *arg)
{
    (void)a, (void)b, (void)arg;
    return 0;
}

static bool use_containers(void)
{
    gari_list *list = gari_list_new();
    gari_map *map = gari_map_new();
    gari_bytes *bytes = gari_bytes_format("%d", 42);
    if (!list || !map || !bytes)
        return false;
    bool ok = gari_list_append(list, bytes) == 0 && gari_list_append(list, map) == 0;
    ok = ok && gari_map_put(map, gari_key_object(bytes), list) == 0;
    ok = ok && gari_map_put(map, gari_key_integer(-1), bytes) == 0;
    ok = ok && gari_map_contains(map, gari_key_string("42"));
    ok = ok && gari_list_sort(list, keep_order, NULL) == 0;
    gari_list_iter elements;
    gari_list_iter_begin(&elements, list);
    while (gari_list_iter_next(&elements))
        ok = ok && elements.value != NULL;
    gari_list_iter_end(&elements);
    gari_map_iter entries;
    gari_map_iter_begin(&entries, map);
    while (gari_map_iter_next(&entries))
        ok = ok && (entries.key.kind != GARI_KEY_STRING || entries.key.data[0] == '4');
    gari_map_iter_end(&entries);
    gari_array *array = gari_list_to_array(list);
    gari_bytes *first = array ? gari_load(gari_array_at(array, 0)) : NULL;
    ok = ok && first == bytes;
    gari_decref(first);
    gari_decref(array);
    gari_decref(bytes);
    gari_decref(map);
    gari_decref(list);
    return ok && gari_collect(2) == 6; /* list, store, map, table, two entries */
}

int main(void)
{
    int stops = 0;
    if (gari_callback_add(count, &stops) != 0)
        return 1;
    struct node *node = gari_new(&node_type);
    struct leaf *leaf = gari_new(&leaf_type);
    struct branch *branch = gari_new(&branch_type);
    struct vector *vector = gari_new_items(&vector_type, 2);
    struct text *text = gari_new_items(&text_type, 5);
    if (!node || !leaf || !branch || !vector || !text)
        return 1;

    gari_store(&node->next, node);
    gari_store(&node->any, leaf);
    gari_move(&branch->leaf, leaf);
    gari_init(&vector->items[0], gari_incref(node));
    gari_move(&current, vector);

    struct node *next = gari_load(&node->next);
    bool ok = next == node && gari_getrefcount(node) == 4;
    gari_decref(next);

    gari_read_begin();
    struct vector *borrowed = gari_borrow(&current);
    ok = ok && borrowed->length == 2 && gari_try_incref(borrowed);
    gari_read_end();
    gari_decref(borrowed);

    struct leaf *taken = gari_take(&branch->leaf);
    ok = ok && gari_exchange(&branch->leaf, taken) == NULL;
    ok = ok && !gari_compare_exchange(&branch->leaf, NULL, NULL);

    gari_objects found;
    GARI_PAUSED
    {
        ok = ok && !gari_is_enabled();
    }
    ok = ok && gari_get_referents(node, &found) == 0 && found.count == 2;
    gari_objects_release(&found);
    ok = ok && gari_get_referrers(node, &found) == 0 && found.count == 2;
    gari_objects_release(&found);

    gari_object *any = (gari_object *)node;
    gari_decref(any);
    gari_decref(branch);
    gari_decref(text);
    gari_store(&current, NULL);
    ok = ok && gari_collect(2) == 1 && use_containers();
    ok = ok && stops > 0 && gari_callback_remove(count, &stops);
    return ok && gari_version() == GARI_VERSION && gari_shutdown(NULL, NULL) == 0 ? 0 : 1;
}
