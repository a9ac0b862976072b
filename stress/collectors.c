/* collectors: many who collect at once.
 *
 * Invariant: collections that overlap free every garbage cycle once, all of them together all of
 * it, and count it right. Half of the workers make rings and drop them, half call gari_collect of
 * every generation as fast as they can, beside the background collector. No ring dies by count, so
 * the number of objects that the collector must have freed in the end is known exactly.
 *
 * A violation looks like: an object disposed of twice; rings that nobody finds; figures that do not
 * add up. */
#include "stress/shadow.h"

#define LONGEST 12u
#define KEPT 16
#define FIELDS 2

struct bead;
typedef GARI_REF(struct bead) bead_ref;
struct bead {
    gari_object header;
    struct stress_tag tag;
    bead_ref next[FIELDS];
};

static void dispose(void *self)
{
    struct bead *bead = self;
    stress_tag_die(&bead->tag);
}

static const gari_type bead_type =
    GARI_TYPE(struct bead, .refs = GARI_REFS(struct bead, next[0], next[1]), .dispose = dispose);

static uint64_t found; /* atomically */

static struct bead *make(void)
{
    struct bead *bead = STRESS_NEW(&bead_type);
    stress_tag_bear(&bead->tag);
    return bead;
}

static struct bead *make_ring(struct stress_worker *worker)
{
    struct bead *first = make(), *last = first;
    for (unsigned i = stress_below(worker, LONGEST); i > 0; i--) {
        struct bead *bead = make();
        gari_store(&bead->next[1], last);
        gari_init(&last->next[0], bead);
        last = bead;
    }
    gari_store(&last->next[0], first);
    return first;
}

static void mutate(struct stress_worker *worker)
{
    struct bead *kept[KEPT] = {NULL}, *again[KEPT] = {NULL};
    while (stress_tick(worker)) {
        struct bead **place = &kept[stress_below(worker, KEPT)];
        struct bead *ring = make_ring(worker);
        /* A second reference, which goes at another time: the ring becomes a candidate twice. */
        struct bead **other = &again[stress_below(worker, KEPT)];
        gari_decref(*other);
        *other = gari_incref(ring);
        if (*place && stress_once_in(worker, 2)) {
            /* One ring hangs from the other; both are garbage when the second goes. */
            stress_tag_alive(&(*place)->tag, 0, "kept");
            struct bead *more = make();
            gari_move(&more->next[0], gari_load(&ring->next[0]));
            gari_move(&more->next[1], *place);
            gari_move(&ring->next[0], more);
        } else {
            if (*place)
                stress_tag_alive(&(*place)->tag, 0, "kept");
            gari_decref(*place);
        }
        *place = ring;
        if (stress_once_in(worker, 16)) {
            gari_decref(*place);
            *place = NULL;
        }
        if (stress_births() - stress_deaths() > 50000)
            gari__fetch_add_relaxed(&found, gari_collect(2));
    }
    for (int i = 0; i < KEPT; i++) {
        gari_decref(kept[i]);
        gari_decref(again[i]);
    }
}

static void work(struct stress_worker *worker)
{
    if (worker->index % 2) {
        mutate(worker);
        return;
    }
    while (stress_tick(worker)) {
        /* Small steps leave an old pass open while others collect the young. */
        if (!stress_once_in(worker, 4))
            gari_step(1 + stress_below(worker, stress_once_in(worker, 8) ? 2000 : 60));
        else
            gari__fetch_add_relaxed(&found, gari_collect((int)stress_below(worker, 6) / 3));
        if (stress_once_in(worker, 64))
            gari__fetch_add_relaxed(&found, gari_collect(2));
    }
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 3, "many who collect at once");
    stress_run(stress.threads < 2 ? 2 : stress.threads, work);
    gari__fetch_add_relaxed(&found, gari_collect(2));
    stress_settle(0);

    gari_stats stats = stress_stats();
    uint64_t collected = 0, results = gari__load_relaxed(&found);
    for (int i = 0; i < 3; i++)
        collected += stats.generation[i].collected;
    stress_check(stats.freed_by_cycles == stress_births() && stats.freed_by_count == 0,
                 "all were found by the collector: %lu of %lu, %lu died by count",
                 (unsigned long)stats.freed_by_cycles, (unsigned long)stress_births(),
                 (unsigned long)stats.freed_by_count);
    stress_check(collected == stats.freed_by_cycles, "the generations' figures add up: %lu",
                 (unsigned long)collected);
    stress_check(results <= stats.freed_by_cycles,
                 "gari_collect did not claim too much: %lu freed by its callers",
                 (unsigned long)results);
    stress_check_shadow(0);
    return stress_end();
}
