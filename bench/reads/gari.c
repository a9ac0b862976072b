/* reads on gari. --way 0: borrowed, in a read section each. --way 1: owned (load, decref). --way 2: the same
 * of an object of a hot type. */
#include "bench/reads/reads.h"

#include "bench/gari_peer.h"

struct object {
    gari_object header;
    uint64_t value;
};
static const gari_type object_type = GARI_TYPE(struct object);
static const gari_type hot_type = GARI_TYPE(struct object, .flags = GARI_TYPE_HOT);
static GARI_ROOT(struct object) root;

static void reads_begin(void)
{
    bench_check(reads_way < 3, "--way must be 0, 1 or 2");
    gari_peer_configure();
    struct object *object = gari_peer_new(reads_way == 2 ? &hot_type : &object_type);
    object->value = READS_VALUE;
    gari_move(&root, object);
}

static void reads_run(int thread)
{
    if (reads_way == 0)
        READS_LOOP({
            gari_read_begin();
            sum += gari_borrow(&root)->value;
            gari_read_end();
        });
    else
        READS_LOOP({
            struct object *object = gari_load(&root);
            sum += object->value;
            gari_decref(object);
        });
}

static void reads_end(void)
{
    gari_store(&root, NULL);
    gari_peer_end();
}
