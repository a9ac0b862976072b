/* hotschedules: what threads keep, against those who take it back, each interleaving played exactly.
 *
 * Invariant: nobody takes back from a thread that is at its table (docs/protocol.md, "Kept references").
 * A keeper has one reference in its table and is held when it has found it and not yet taken it.
 *
 * A violation looks like: an object that is owned, and dead. */
#include "stress/schedule.h"

static const gari_type hot_type =
    GARI_TYPE(struct part, .refs = GARI_REFS(struct part, next, other), .dispose = dispose,
              .flags = GARI_TYPE_HOT);

static part_ref root;
static struct talk talk = TALK_INIT;
enum { KEPT = 1, TAKE, TAKEN, CHECK };

static void *take(void *arg)
{
    (void)arg;
    gari_decref(gari_load(&root)); /* is kept */
    say(&talk, KEPT);
    hear(&talk, TAKE);
    struct part *part = gari_load(&root);
    say(&talk, TAKEN);
    hear(&talk, CHECK);
    stress_tag_alive(&part->tag, 0, "owned");
    gari_decref(part);
    return NULL;
}

/* Somebody takes back, by `how`, while the keeper is about to take. */
static void take_back(void (*how)(void))
{
    talk.said = 0;
    gari_move(&root, make(&hot_type));
    pthread_t keeper = start(take, NULL);
    hear(&talk, KEPT);
    gari__hold(GARI__STEP_KEPT);
    say(&talk, TAKE);
    await(GARI__STEP_KEPT);
    how();
    gari__let_go(GARI__STEP_KEPT);
    hear(&talk, TAKEN);
    gari_store(&root, NULL);
    say(&talk, CHECK);
    pthread_join(keeper, NULL);
    all_is_collected();
}

static void step_once(void)
{
    gari_step(100);
}

/* It waits for the keeper, in vain, and goes on without. */
static void collect_all(void)
{
    gari_collect(2);
}

static void by_step(void)
{
    take_back(step_once);
}

static void by_collection(void)
{
    take_back(collect_all);
}

static const struct schedule schedules[] = {
    {"step", by_step},
    {"collection", by_collection},
};

int main(int argc, char **argv)
{
#ifdef GARI_CHECKED
    enum { PLAYED = 0 }; /* nothing is kept there */
#else
    enum { PLAYED = sizeof schedules / sizeof *schedules };
#endif
    return play_all(argc, argv, "kept references against those who take them back", schedules,
                    PLAYED, NULL);
}
