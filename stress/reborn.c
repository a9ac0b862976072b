/* reborn: memory that is used again while a proof is open.
 *
 * Invariant: the version outlives the object (rule R7). A thread makes a ring of one, drops it while
 * it still borrows it, waits until a proof may have read its word, and takes it apart, so that it
 * dies by count; then it makes objects in the same few slots as fast as it can and brings their
 * words to what the ring's was: the same count, and as many references made. The objects are large,
 * so that a slot comes back soon. If allocation did not go on counting where the dead object
 * stopped, the proof would take the new object for the old one and free it.
 *
 * A violation looks like: an object that is owned and dead. */
#include "concurrency/clock.h"
#include "stress/shadow.h"

#define POOL 6
#define FILLERS 40u
#define AGAIN_NS 12000000u /* longer than a grace period that had to wait */

struct bulky;
typedef GARI_REF(struct bulky) bulky_ref;
struct bulky {
    gari_object header;
    struct stress_tag tag;
    bulky_ref self;
    unsigned char payload[8000];
};

static void dispose(void *self)
{
    struct bulky *bulky = self;
    stress_tag_die(&bulky->tag);
}

static const gari_type bulky_type =
    GARI_TYPE(struct bulky, .refs = GARI_REFS(struct bulky, self), .dispose = dispose);

struct held {
    struct bulky *bulky;
    uint64_t id;
};

static struct bulky *make(void)
{
    struct bulky *bulky = STRESS_NEW(&bulky_type);
    stress_tag_bear(&bulky->tag);
    return bulky;
}

static void put(struct held *held, struct bulky *bulky)
{
    if (held->bulky)
        stress_tag_alive(&held->bulky->tag, held->id, "held");
    gari_decref(held->bulky);
    *held = (struct held){bulky, bulky ? bulky->tag.id : 0};
}

/* Enough memory dies for gari to ask for a grace period. */
static void fill_limbo(void)
{
    for (unsigned i = 0; i < FILLERS; i++)
        gari_decref(make());
}

static void cut_a_ring(struct stress_worker *worker)
{
    bulky_ref root = {{NULL}};
    struct bulky *ring = make();
    gari_store(&ring->self, ring);
    gari_move(&root, ring);
    gari_read_begin();
    ring = gari_borrow(&root);
    gari_store(&root, NULL); /* a candidate, garbage, its word that of one reference made */
    stress_await_proof(worker);
    gari_store(&ring->self, NULL);
    fill_limbo();
    gari_read_end();
}

static void work(struct stress_worker *worker)
{
    if (worker->index == 0) {
        stress_collect(worker);
        return;
    }
    struct held pool[POOL] = {{NULL, 0}};
    while (stress_tick(worker)) {
        for (int i = 0; i < POOL; i++)
            put(&pool[i], NULL);
        cut_a_ring(worker);
        uint64_t until = gari__now_ns() + AGAIN_NS;
        for (unsigned i = 0; gari__now_ns() < until; i++) {
            struct bulky *bulky = make();
            gari_decref(gari_incref(bulky));
            put(&pool[i % POOL], bulky);
        }
    }
    for (int i = 0; i < POOL; i++)
        put(&pool[i], NULL);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 4, "memory that is used again while a proof is open");
    stress_run(stress.threads < 2 ? 2 : stress.threads, work);
    stress_settle(0);
    stress_check_shadow(0);
    return stress_end();
}
