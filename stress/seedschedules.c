/* seedschedules: blocks that stay marked as dirty while the collector has them, each interleaving played
 * exactly.
 *
 * Invariant: a block is settled only as long as all in it is old, and whoever reads all its bits opens it
 * before that (docs/protocol.md, "A settled block"). So a young collection finds the garbage of its
 * generation, whatever else lies in the block, and no candidate is lost.
 *
 * A violation looks like: young garbage that is not found by a young collection, or garbage that no
 * collection finds. */
#include "lib/collector/collector.h"
#include "lib/collector/pass.h"
#include "lib/collector/seeds.h"
#include "stress/schedule.h"

/* An old object, and so an old block: nothing younger has been made there. */
static struct part *make_old(void)
{
    struct part *part = make(&part_type);
    gari_collect(2);
    gari_collect(2);
    return part;
}

static void suspect(struct part *part)
{
    gari_decref(gari_incref(part));
}

/* Garbage that is to be found. */
static void drop_ring(void)
{
    struct part *ring = make(&part_type);
    gari_store(&ring->next, ring);
    gari_decref(ring);
}

static void demand_found(int generation, const char *what)
{
    uint64_t died = stress_deaths();
    gari_collect(generation);
    demand(stress_deaths() == died + 1, what);
}

static void *collect_young(void *arg)
{
    gari_collect(0);
    return arg;
}

/* Something is born in a settled block. */
static void born_later(void)
{
    struct part *old = make_old();
    suspect(old);
    gari_collect(0);
    drop_ring();
    demand_found(0, "young garbage in an old block is found");
    owned_is_alive(old, old->tag.id);
}

/* Something is born in a block that is about to be settled. */
static void born_meanwhile(void)
{
    struct part *old = make_old();
    suspect(old);
    gari__hold(GARI__STEP_SETTLE);
    pthread_t collector = start(collect_young, NULL);
    await(GARI__STEP_SETTLE);
    drop_ring();
    gari__let_go(GARI__STEP_SETTLE);
    pthread_join(collector, NULL);
    demand_found(0, "what was born while its block was settled is found");
    owned_is_alive(old, old->tag.id);
}

/* An old object becomes a candidate when a pass has been through its block, which was settled until then. */
static void opened_by_pass(void)
{
    struct part *old = make(&part_type), *ring = make(&part_type);
    gari_store(&ring->next, ring);
    gari_collect(2);
    gari_collect(2);
    suspect(old);
    gari_collect(0);
    gari__hold(GARI__STEP_SEEDED);
    pthread_t collector = start(collect, NULL);
    await(GARI__STEP_SEEDED);
    gari_decref(ring);
    gari__let_go(GARI__STEP_SEEDED);
    pthread_join(collector, NULL);
    if (stress_deaths() + 1 < stress_births())
        demand_found(2, "a candidate of a block that was settled is not lost");
    owned_is_alive(old, old->tag.id);
}

/* As the background thread does from time to time: is there a candidate that has waited long? */
static void *look(void *arg)
{
    gari__collector_lock();
    gari__seeds_waiting(gari__epoch + 1, SIZE_MAX, gari__collector.schedule.began[1]);
    gari__collector_unlock();
    return arg;
}

/* Something is born in a block that is settled no more, for somebody is about to look at its bits; and still marked. */
static void opened_by_look(void)
{
    struct part *old = make_old();
    suspect(old);
    gari_collect(0);
    gari__hold(GARI__STEP_OPEN);
    pthread_t looker = start(look, NULL);
    await(GARI__STEP_OPEN);
    drop_ring();
    gari__let_go(GARI__STEP_OPEN);
    pthread_join(looker, NULL);
    demand_found(0, "what was born while its block was looked at is found");
    owned_is_alive(old, old->tag.id);
}

static const struct schedule schedules[] = {
    {"born later", born_later},
    {"born meanwhile", born_meanwhile},
    {"opened by a pass", opened_by_pass},
    {"opened by a look", opened_by_look},
};

int main(int argc, char **argv)
{
    return play_all(argc, argv, "blocks that stay marked as dirty", schedules,
                    sizeof schedules / sizeof *schedules, NULL);
}
