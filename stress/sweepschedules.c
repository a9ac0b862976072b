/* sweepschedules: what leaves a suspected set, and sweeps, each interleaving played exactly.
 *
 * Invariant: what V3 has refused takes all that it refers to with it out of the set, at the latest by V1 and
 * V2 on what is left when it could not be looked at (docs/protocol.md, "Shrinking"); and a sweep, which
 * finds objects without a reference, reads none that somebody frees without a grace period ("Late
 * death"). The steps are held as in schedules.c.
 *
 * A violation looks like: an object that is dead while a field refers to it; memory that is used again
 * in a section in which the collector has seen its object alive. */
#include "stress/schedule.h"

/* Late types have no callbacks: the program is told of deaths as with --plain. */
static const gari_type late_type =
    GARI_TYPE(struct part, .refs = GARI_REFS(struct part, next, other), .dispose = dispose,
              .flags = GARI_TYPE_LATE);

static bool traverse_fails; /* atomically */

static void traverse(void *self, gari_visit visit, void *arg)
{
    struct part *part = self;
    if (gari__load_acquire(&traverse_fails)) {
        gari_traverse_failed(self);
        return;
    }
    GARI_VISIT(&part->next, visit, arg);
    GARI_VISIT(&part->other, visit, arg);
}

static const gari_type failing_type =
    GARI_TYPE(struct part, .traverse = traverse, .dispose = dispose);

static void demand_life(uint64_t id, const char *what)
{
    demand(gari__load_acquire(shadow_life_of(id)) == shadow_alive(id), what);
}

/* The borrower of a ring takes the edge to a between V1 and V2, so that V3 refuses a, and keeps b, whose
 * one edge is a's. Returns a, owned, and the collector, held when V2 is over. */
static struct part *refuse_a(struct ring *ring, pthread_t *collector)
{
    gari_read_begin();
    let_drop(ring);
    *collector = collect_up_to(GARI__STEP_V1_END);
    struct part *owned = gari_take(&ring->b->next);
    gari_read_end();
    go_on(GARI__STEP_V1_END, GARI__STEP_V2_END);
    return owned;
}

/* a lives, and is looked at: b leaves with it. */
static void leavers(void)
{
    struct ring ring;
    pthread_t collector;
    tie(&ring);
    struct part *owned = refuse_a(&ring, &collector);
    collect_on_from(GARI__STEP_V2_END, collector);
    demand_life(ring.b_id, "what a living object refers to lives");
    owned_is_alive(owned, ring.a_id);
}

/* Before a is looked at its edge to b moves to its other field: the walk finds it there, and RC sees it. */
static void other_field(void)
{
    struct ring ring;
    pthread_t collector;
    tie(&ring);
    struct part *a = refuse_a(&ring, &collector);
    gari_move(&a->other, gari_take(&a->next));
    collect_on_from(GARI__STEP_V2_END, collector);
    demand_life(ring.b_id, "what a living object refers to lives");
    owned_is_alive(a, ring.a_id);
}

/* a dies before it is looked at, and what it refers to is given back only after RC. */
static void recount(void)
{
    struct ring ring;
    pthread_t collector;
    tie_of(&ring, &late_type);
    struct part *owned = refuse_a(&ring, &collector);
    gari_decref(owned);
    gari__hold(GARI__STEP_LATE);
    gari__let_go(GARI__STEP_V2_END);
    await(GARI__STEP_LATE);
    demand_life(ring.b_id, "what a dead object still refers to lives");
    collect_on_from(GARI__STEP_LATE, collector);
    all_is_collected();
}

/* a lives, but does not name what it refers to when it is looked at. */
static void fails(void)
{
    struct ring ring;
    pthread_t collector;
    tie_of(&ring, &failing_type);
    struct part *owned = refuse_a(&ring, &collector);
    gari__store_release(&traverse_fails, true);
    collect_on_from(GARI__STEP_V2_END, collector);
    gari__store_release(&traverse_fails, false);
    demand_life(ring.b_id, "what a living object refers to lives");
    owned_is_alive(owned, ring.a_id);
}

/* ---- A sweep beside a late death -------------------------------------------------------------- */

/* Not so large that they have blocks of their own. */
#define BULKS 4000
struct bulk {
    gari_object header;
    unsigned char bytes[500];
};
static const gari_type bulk_type = GARI_TYPE(struct bulk);
static uint64_t bulks;

/* More than fit into a block of the largest size. */
#define PLACES 2000

struct dropper {
    part_ref *root;
    bool stop; /* atomically */
};

/* Drops the root, and allocates until its grace period is driven. */
static void *drop_late(void *arg)
{
    struct dropper *dropper = arg;
    static struct bulk *bulk[BULKS];
    int made = 0;
    gari_store(dropper->root, NULL);
    while (made < BULKS && !gari__load_acquire(&dropper->stop))
        bulk[made++] = STRESS_NEW(&bulk_type);
    for (int i = 0; i < made; i++, bulks++)
        gari_decref(bulk[i]);
    return NULL;
}

static void *collect_young(void *arg)
{
    (void)arg;
    gari_collect(0);
    gari__store_release(&collected, true);
    return NULL;
}

/* The sweep has seen `below` alive and is about to read its fields; the dropper, who has found it exclusive
 * before, frees it. */
static bool is_used_again(const struct part *below)
{
    static struct part *places[PLACES];
    int made = 0;
    bool again = false;
    while (made < PLACES && !again) {
        places[made] = make(&part_type);
        again = places[made++] == below;
    }
    while (made > 0)
        gari_decref(places[--made]);
    return again;
}

static void sweep_wait(void)
{
    part_ref root = {{NULL}};
    struct part *dying = make(&late_type);
    struct part *below = make(&part_type), *candidate = make(&part_type);
    gari_init(&dying->next, below);
    gari_init(&root, dying);
    gari__hold(GARI__STEP_EXCLUSIVE);
    struct dropper dropper = {&root, false};
    pthread_t dropping = start(drop_late, &dropper);
    await(GARI__STEP_EXCLUSIVE);
    /* Only now: what lies in a candidate's block is not exclusive. */
    gari_decref(gari_incref(candidate));
    gari__always_sweep = true;
    gari__store_release(&collected, false);
    gari__hold(GARI__STEP_V2_EDGE);
    pthread_t collector = start(collect_young, NULL);
    while (!gari__is_held(GARI__STEP_V2_EDGE) && !gari__load_acquire(&collected))
        nap();
    if (gari__is_held(GARI__STEP_V2_EDGE)) {
        /* In the order of their places, two fields each. */
        for (int fields = below < candidate ? 0 : 2; fields > 0; fields--) {
            gari__let_one_go(GARI__STEP_V2_EDGE);
            await(GARI__STEP_V2_EDGE);
        }
    }
    bool beside = gari__is_held(GARI__STEP_V2_EDGE);
    gari__store_release(&dropper.stop, true);
    gari__let_go(GARI__STEP_EXCLUSIVE);
    pthread_join(dropping, NULL);
    if (beside && is_used_again(below))
        stress_fail("memory is used again in a section that has seen its object alive");
    if (beside)
        stress_fail("the sweep has begun; the schedule has to be played in another way");
    collect_on_from(GARI__STEP_V2_EDGE, collector);
    gari__always_sweep = false;
    owned_is_alive(candidate, 0);
}

/* That a sweep does begin when nobody keeps it out, and comes to what is no candidate. */
static void sweep_comes(void)
{
    struct part *held = make(&part_type), *candidate = make(&part_type);
    gari_decref(gari_incref(candidate));
    gari__always_sweep = true;
    gari__store_release(&collected, false);
    gari__hold(GARI__STEP_V2_EDGE);
    pthread_t collector = start(collect_young, NULL);
    await(GARI__STEP_V2_EDGE);
    for (int fields = 3; fields > 0; fields--) {
        gari__let_one_go(GARI__STEP_V2_EDGE);
        await(GARI__STEP_V2_EDGE);
    }
    collect_on_from(GARI__STEP_V2_EDGE, collector);
    gari__always_sweep = false;
    demand_life(held->tag.id, "what is held is not swept away");
    gari_decref(held);
    owned_is_alive(candidate, 0);
}

static const struct schedule schedules[] = {
    {"leavers", leavers},      {"other field", other_field}, {"recount", recount},
    {"traverse fails", fails}, {"sweep comes", sweep_comes}, {"sweep wait", sweep_wait},
};

int main(int argc, char **argv)
{
    stress.plain = true;
    return play_all(argc, argv, "what leaves a set, and sweeps", schedules,
                    sizeof schedules / sizeof *schedules, &bulks);
}
