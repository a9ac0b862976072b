/* reads on gari. --way 0: borrowed, in a read section each. --way 1: owned (load, decref). */
#include "bench/reads/reads.h"

#include "bench/gari_peer.h"

struct object {
    gari_object header;
    uint64_t value;
};
static const gari_type object_type = GARI_TYPE(struct object);
static GARI_ROOT(struct object) root;

static void reads_begin(void)
{
    bench_check(reads_way < 2, "--way must be 0 or 1");
    gari_peer_configure();
    struct object *object = gari_peer_new(&object_type);
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
