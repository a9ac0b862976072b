/* lives: birth, death and second life beside the collector, each interleaving played exactly.
 *
 * Invariant: a dead object stays dead, its memory stays what it is until nobody can have a pointer to
 * it, and what is born there is never taken for it (R2, R5, R6, R7); whatever becomes garbage is
 * found, and gives back what it refers to once. The steps are held as in schedules.c.
 *
 * A violation looks like: an object that is owned or borrowed, and dead; a count that is wrong;
 * garbage that is not found. */
#include "concurrency/word.h"
#include "stress/schedule.h"

/* More than a thread keeps to itself. */
#define MANY 1000

/* So large that a few of them make gari drive a grace period. */
struct bulk {
    gari_object header;
    unsigned char bytes[100000];
};

static const gari_type rare_type =
    GARI_TYPE(struct part, .refs = GARI_REFS(struct part, next, other), .dispose = dispose);
static const gari_type bulk_type = GARI_TYPE(struct bulk);

static uint64_t bulks;

/* R2. What another thread takes out of a field has been counted for the field. */
static void count_first(void)
{
    part_ref root = {{NULL}};
    gari_move(&root, make(&part_type));
    struct part *owned = make(&part_type);
    struct storer storer = {&root, owned};
    gari__hold(GARI__STEP_DROP);
    pthread_t thread = start(store, &storer);
    await(GARI__STEP_DROP);
    gari_decref(gari_take(&root));
    stress_tag_alive(&owned->tag, 0, "owned");
    gari__let_go(GARI__STEP_DROP);
    pthread_join(thread, NULL);
    owned_is_alive(owned, 0);
}

/* R5. */
static void stay_dead(void)
{
    part_ref root = {{NULL}};
    struct part *part = make(&part_type);
    gari_move(&root, part);
    gari_read_begin();
    part = gari_borrow(&root);
    gari_store(&root, NULL);
    demand(!gari_try_incref(part), "what is dead cannot be made one's own");
    gari_read_end();
    all_is_collected();
}

/* R6. Memory is not used again in a section that began before the death. */
static void keep_memory(void)
{
    part_ref root = {{NULL}};
    struct part *part = make(&part_type);
    uint64_t id = part->tag.id;
    gari_move(&root, part);
    gari_read_begin();
    part = gari_borrow(&root);
    gari_store(&root, NULL);
    pthread_t collector = start_collection();
    uint64_t end = gari__now_ns() + WATCH_NS;
    while (!gari__load_acquire(&collected) && gari__now_ns() < end)
        nap();
    stress_tag_same(&part->tag, id, "borrowed");
    demand(!gari__load_acquire(&collected), "dead memory waits for the section");
    gari_read_end();
    pthread_join(collector, NULL);
    all_is_collected();
}

/* R6. What a borrower stores into an object that has been taken apart is found and given back. */
static void sweep(void)
{
    part_ref root = {{NULL}};
    struct part *part = make(&part_type);
    gari_move(&root, part);
    gari_read_begin();
    part = gari_borrow(&root);
    gari_store(&root, NULL);
    gari_move(&part->next, make(&part_type));
    gari_read_end();
    all_is_collected();
}

/* Nothing but a move has made it garbage. */
static void move(void)
{
    struct part *part = make(&part_type);
    gari_move(&part->next, part);
    all_is_collected();
}

/* A candidate becomes garbage after the pass that has taken it has looked at it. It is a candidate
 * anew, and that must not be forgotten when the pass ends. */
static void clear_first(void)
{
    struct part *part = make(&part_type), *many[MANY];
    gari_store(&part->next, part);
    gari_decref(gari_incref(part));
    pthread_t collector = collect_up_to(GARI__STEP_V1_END);
    gari_decref(part);
    /* So many candidates that they are filed at once. */
    for (int i = 0; i < MANY; i++)
        many[i] = make(&part_type);
    for (int i = 0; i < MANY; i++)
        gari_decref(gari_incref(many[i]));
    collect_on_from(GARI__STEP_V1_END, collector);
    for (int i = 0; i < MANY; i++)
        gari_decref(many[i]);
    all_is_collected();
}

/* R7. After V2 the ring dies by count, and its memory is used again before RC. The new object has had
 * as many references made as the old one, if it ever shows the same version. */
static uint64_t references(const struct part *part)
{
    return gari__load_acquire(&part->header.header.bits) & (GARI__VERSION_MASK | GARI__COUNT_MASK);
}

/* So much memory dies that the thread drives a grace period, and what was dead before comes back. */
static void bring_memory_back(void)
{
    for (int i = 0; i < 200; i++, bulks++)
        gari_decref((struct bulk *)STRESS_NEW(&bulk_type));
}

static void reborn(void)
{
    part_ref root = {{NULL}};
    struct part *old = make(&part_type);
    gari_store(&old->next, old);
    gari_move(&root, old);
    gari_read_begin();
    gari_store(&root, NULL);
    pthread_t collector = collect_up_to(GARI__STEP_V2_END);
    uint64_t seen = references(old);
    gari_store(&old->next, NULL);
    gari_read_end();
    bring_memory_back();
    part_ref kept = {{NULL}};
    struct part *again = NULL;
    for (int i = 0; i < 1000 && again != old; i++) {
        if (again)
            gari_move(&again->next, gari_take(&kept));
        gari_move(&kept, again);
        again = make(&part_type);
    }
    if (again != old)
        stress_fail("the memory does not come back; the schedule has to be played in another way");
    uint64_t id = again->tag.id;
    for (int i = 0; i < 100 && references(again) != seen; i++)
        gari_decref(gari_incref(again));
    /* SHARED, as the old one was; that is no new reference. */
    part_ref place = {{NULL}};
    gari_move(&place, again);
    collect_on_from(GARI__STEP_V2_END, collector);
    stress_tag_alive(&again->tag, id, "held");
    gari_store(&kept, NULL);
    owned_is_alive(gari_take(&place), id);
}

/* R2. After V1 the members die by count, and in one's place another object is born. When V2 comes to
 * it, it is not yet one: its fields are what the dead have left. The members are all that there has
 * ever been of their type, so that the newborn must be in the place of one. */
#define PLACES 400

static void *bear(void *arg)
{
    struct talk *talk = arg;
    static part_ref roots[PLACES];
    static struct part *places[PLACES];
    for (int i = 0; i < PLACES; i++) {
        places[i] = make(&rare_type);
        gari_store(&places[i]->next, places[i]);
        gari_move(&roots[i], places[i]);
    }
    gari_read_begin();
    for (int i = 0; i < PLACES; i++)
        gari_store(&roots[i], NULL);
    say(talk, 1);
    hear(talk, 2);
    for (int i = 0; i < PLACES; i++)
        gari_store(&places[i]->next, NULL);
    gari_read_end();
    bring_memory_back();
    /* Uses up what the thread has of memory that was never used. */
    for (int i = 0; i < 100; i++)
        gari_move(&roots[i], make(&rare_type));
    say(talk, 3);
    hear(talk, 4);
    struct part *born = make(&rare_type);
    bool found = false;
    for (int i = 0; i < PLACES; i++)
        found = found || places[i] == born;
    if (!found)
        stress_fail("the memory does not come back; the schedule has to be played in another way");
    gari_decref(born);
    for (int i = 0; i < PLACES; i++)
        gari_store(&roots[i], NULL);
    return NULL;
}

static void birth(void)
{
    struct talk talk = TALK_INIT;
    pthread_t thread = start(bear, &talk);
    hear(&talk, 1);
    pthread_t collector = collect_up_to(GARI__STEP_V1_END);
    say(&talk, 2);
    hear(&talk, 3);
    gari__hold(GARI__STEP_BIRTH);
    say(&talk, 4);
    await(GARI__STEP_BIRTH);
    collect_on_from(GARI__STEP_V1_END, collector);
    gari__let_go(GARI__STEP_BIRTH);
    pthread_join(thread, NULL);
    all_is_collected();
}

/* A ring's last outside reference goes while the pass is about to prove it, so that it is a candidate
 * again when it is freed, and its memory waits for that. What it refers to outside loses one reference
 * by it, not another when the memory is looked at once more. */
static void outgoing(void)
{
    struct part *outside = make(&part_type), *part = make(&part_type);
    uint64_t id = outside->tag.id;
    gari_store(&part->next, part);
    gari_store(&part->other, outside);
    gari_decref(gari_incref(part));
    pthread_t collector = collect_up_to(GARI__STEP_V1_BEGIN);
    gari_decref(part);
    collect_on_from(GARI__STEP_V1_BEGIN, collector);
    gari_collect(2);
    stress_tag_alive(&outside->tag, id, "owned");
    demand(gari_getrefcount(outside) == 1, "one reference is left, the owner's");
    owned_is_alive(outside, id);
}

static const struct schedule schedules[] = {
    {"count first", count_first},
    {"stay dead", stay_dead},
    {"keep memory", keep_memory},
    {"sweep", sweep},
    {"reborn", reborn},
    {"birth", birth},
    {"move", move},
    {"clear first", clear_first},
    {"outgoing", outgoing},
};

int main(int argc, char **argv)
{
    return play_all(argc, argv, "birth, death and second life beside the collector", schedules,
                    sizeof schedules / sizeof *schedules, &bulks);
}
