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

#include <sys/wait.h>
#include <unistd.h>

/* So large that a few of them make gari drive a grace period. */
struct bulk {
    gari_object header;
    unsigned char bytes[100000];
};

static const gari_type rare_type =
    GARI_TYPE(struct part, .refs = GARI_REFS(struct part, next, other), .dispose = dispose);
static const gari_type bulk_type = GARI_TYPE(struct bulk);

/* So long that it has a mapping of its own. */
struct wide {
    gari_object header;
    size_t length;
    part_ref items[];
};

static const gari_type wide_type =
    GARI_TYPE(struct wide, .items = GARI_REF_ITEMS(struct wide, length, items));

/* Without a tag. */
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
    struct part *part = make(&part_type);
    gari_store(&part->next, part);
    gari_decref(gari_incref(part));
    pthread_t collector = collect_up_to(GARI__STEP_V1_END);
    gari_decref(part);
    collect_on_from(GARI__STEP_V1_END, collector);
    all_is_collected();
}

/* A thread gives back a reference, and is held when the object is half a candidate. */
static void *drop(void *arg)
{
    struct part *part = arg;
    gari_decref(part);
    return NULL;
}

/* The same of a thread that gari knows by then. */
static void *drop_second(void *arg)
{
    struct part *part = arg;
    gari_decref(gari_incref(part));
    return drop(part);
}

static pthread_t drop_up_to(enum gari__steps step, void *(*how)(void *part), void *part)
{
    gari__hold(step);
    pthread_t thread = start(how, part);
    await(step);
    return thread;
}

/* An object that refers to itself and has two references besides, one of which a thread gives back, up to
 * the flag; of an object that has had others before (`shared`) it sets that in another step. */
static pthread_t drop_half(struct part **part, bool shared)
{
    *part = make(&part_type);
    gari_store(&(*part)->next, *part);
    if (shared)
        gari_decref(gari_incref(*part));
    gari_incref(*part);
    gari_collect(2);
    return drop_up_to(GARI__STEP_SUSPECT, drop, *part);
}

/* The thread goes on, and the other reference goes as well. */
static void drop_rest(struct part *part, pthread_t thread)
{
    gari__let_go(GARI__STEP_SUSPECT);
    pthread_join(thread, NULL);
    gari_decref(part);
    all_is_collected();
}

/* The flag, the bit, the list: what a collection takes away in between, the flag does not outlive. The
 * collection must not wait for anything: the thread is in a section. */
static void in_order(void)
{
    for (int shared = 0; shared < 2; shared++) {
        struct part *part;
        pthread_t thread = drop_half(&part, shared);
        gari_collect(2);
        drop_rest(part, thread);
    }
}

/* A decref sees that its object is a candidate, which a collection then takes away. */
static void seen_before(void)
{
    struct part *part = make(&part_type);
    gari_store(&part->next, part);
    pthread_t thread = drop_up_to(GARI__STEP_AGAIN, drop_second, part);
    gari_collect(2);
    gari__let_go(GARI__STEP_AGAIN);
    pthread_join(thread, NULL);
    all_is_collected();
}

/* Two give back a reference; the second finds the flag, and the first is what brings the bit. */
static void two_at_once(void)
{
    struct part *part = make(&part_type);
    gari_store(&part->next, part);
    gari_incref(part);
    pthread_t thread = drop_up_to(GARI__STEP_SUSPECT, drop, part);
    gari_decref(part);
    gari_collect(2);
    gari__let_go(GARI__STEP_SUSPECT);
    pthread_join(thread, NULL);
    all_is_collected();
}

/* A child of a fork: true when it finds everything to be as the function wants it. */
static bool is_so_in_child(bool (*look)(void *arg), void *arg)
{
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        for (int step = 0; step < GARI__STEPS; step++)
            gari__let_go((enum gari__steps)step);
        _exit(look(arg) ? 0 : 1);
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0)
        ;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool finds_garbage(void *arg)
{
    struct part *part = arg;
    uint64_t before = stress_deaths();
    gari_decref(part);
    gari_collect(2);
    return stress_deaths() == before + 1;
}

/* Between flag and bit another thread forks: where nobody comes to set the bit any more. */
static void fork_between(void)
{
    for (int shared = 0; shared < 2; shared++) {
        struct part *part;
        pthread_t thread = drop_half(&part, shared);
        demand(is_so_in_child(finds_garbage, part), "garbage is found in the child");
        drop_rest(part, thread);
    }
}

/* A decref that finds another to have come before it makes no candidate; what a child that is forked
 * afterwards looks at must not be that object, which is gone. It lies in a mapping of its own. */
#define LONG_ITEMS 300000

struct patient {
    struct talk talk;
    struct wide *wide;
};

static void *drop_and_stay(void *arg)
{
    struct patient *patient = arg;
    gari_decref(patient->wide);
    say(&patient->talk, 1);
    hear(&patient->talk, 2);
    return NULL;
}

static bool collects(void *arg)
{
    (void)arg;
    gari_collect(2);
    return true;
}

static void fork_after(void)
{
    struct patient patient = {TALK_INIT, STRESS_NEW_ITEMS(&wide_type, LONG_ITEMS)};
    bulks++;
    gari_incref(gari_incref(patient.wide));
    gari__hold(GARI__STEP_UNSHARED);
    pthread_t thread = start(drop_and_stay, &patient);
    await(GARI__STEP_UNSHARED);
    /* It goes on; this thread does not come to the step. */
    part_ref root = {{NULL}};
    gari_slot_init(&root.gari_slot_, patient.wide);
    gari_decref(gari_take(&root)); /* SHARED by the taking */
    gari__let_go(GARI__STEP_UNSHARED);
    hear(&patient.talk, 1);
    gari_decref(patient.wide);
    gari_collect(2);
    demand(is_so_in_child(collects, NULL), "the child does not look at what is gone");
    say(&patient.talk, 2);
    pthread_join(thread, NULL);
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
    {"in order", in_order},
    {"seen before", seen_before},
    {"two at once", two_at_once},
    {"fork between", fork_between},
    {"fork after", fork_after},
    {"outgoing", outgoing},
};

int main(int argc, char **argv)
{
    return play_all(argc, argv, "birth, death and second life beside the collector", schedules,
                    sizeof schedules / sizeof *schedules, &bulks);
}
