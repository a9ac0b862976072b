/* schedules: the interleavings that the rules are there for, each played exactly.
 *
 * Invariant: the proof refuses whatever a thread can still reach (docs/protocol.md). In each schedule
 * one thread makes something that looks like garbage at one step of the proof and is not, or not
 * quite, at another; the steps are held until it has done so. Chance meets these schedules rarely or
 * never; here the program fails at once if the rule that a schedule is about is broken.
 *
 * A violation looks like: an object that is owned, borrowed or still to be given back, and dead; one
 * that dies twice; at the end of a schedule, garbage that is not found. */
#include "concurrency/clock.h"
#include "concurrency/perturb.h"
#include "concurrency/word.h"
#include "stress/shadow.h"

#include <pthread.h>
#include <time.h>

#define COME_NS ((uint64_t)10000000000u)
/* How long something is watched that must not happen. */
#define WATCH_NS ((uint64_t)200000000)

/* More than a thread keeps to itself. */
#define MANY 1000

struct part;
typedef GARI_REF(struct part) part_ref;
struct part {
    gari_object header;
    struct stress_tag tag;
    part_ref next, other;
};

struct bulk {
    gari_object header;
    unsigned char bytes[100000];
};

static void dispose(void *self)
{
    struct part *part = self;
    stress_tag_die(&part->tag);
}

static void traverse(void *self, gari_visit visit, void *arg)
{
    struct part *part = self;
    GARI_VISIT(&part->next, visit, arg);
    GARI_PERTURB_STEP(TRAVERSE);
    GARI_VISIT(&part->other, visit, arg);
}

static const gari_type part_type =
    GARI_TYPE(struct part, .refs = GARI_REFS(struct part, next, other), .dispose = dispose);
/* Its objects lie in another block. */
static const gari_type far_type =
    GARI_TYPE(struct part, .refs = GARI_REFS(struct part, next, other), .dispose = dispose);
static const gari_type rare_type =
    GARI_TYPE(struct part, .refs = GARI_REFS(struct part, next, other), .dispose = dispose);
/* Its walks can be held between the two fields. */
static const gari_type shifting_type =
    GARI_TYPE(struct part, .traverse = traverse, .dispose = dispose);
static const gari_type bulk_type = GARI_TYPE(struct bulk);

static uint64_t bulks;

static struct part *make(const gari_type *type)
{
    struct part *part = STRESS_NEW(type);
    stress_tag_bear(&part->tag);
    return part;
}

/* ---- The collector, held and let go --------------------------------------------------------- */

static void nap(void)
{
    nanosleep(&(struct timespec){0, 100000}, NULL);
}

static bool comes_to(enum gari__steps step, uint64_t within_ns)
{
    uint64_t end = gari__now_ns() + within_ns;
    while (!gari__is_held(step)) {
        if (gari__now_ns() > end)
            return false;
        nap();
    }
    return true;
}

static void await(enum gari__steps step)
{
    if (!comes_to(step, COME_NS))
        stress_fail("nobody comes to step %d; the schedule has to be played in another way",
                    (int)step);
}

/* From one held step to the next. */
static void go_on(enum gari__steps from, enum gari__steps to)
{
    gari__hold(to);
    gari__let_go(from);
    await(to);
}

static pthread_t start(void *(*body)(void *arg), void *arg)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, arg) != 0)
        stress_fail("the system gives no thread");
    return thread;
}

static bool collected; /* atomically */

static void *collect(void *arg)
{
    (void)arg;
    gari_collect(2);
    gari__store_release(&collected, true);
    return NULL;
}

static pthread_t start_collection(void)
{
    gari__store_release(&collected, false);
    return start(collect, NULL);
}

/* Starts a collection and waits until it has come to the step. */
static pthread_t collect_up_to(enum gari__steps step)
{
    gari__hold(step);
    pthread_t collector = start_collection();
    await(step);
    return collector;
}

static void collect_on_from(enum gari__steps step, pthread_t collector)
{
    gari__let_go(step);
    pthread_join(collector, NULL);
}

/* ---- What is collected ---------------------------------------------------------------------- */

/* Two that refer to each other. */
struct ring {
    struct part *a, *b;
    uint64_t a_id, b_id;
    part_ref root; /* to a; the only reference from outside */
};

static void tie_of(struct ring *ring, const gari_type *type_of_a)
{
    struct part *a = make(type_of_a), *b = make(&part_type);
    *ring = (struct ring){a, b, a->tag.id, b->tag.id, {{NULL}}};
    gari_store(&b->next, a);
    gari_move(&a->next, b);
    gari_move(&ring->root, a);
}

static void tie(struct ring *ring)
{
    tie_of(ring, &part_type);
}

/* To be called in a section, with which one has the pointers borrowed. */
static void check_root(struct ring *ring)
{
    if (gari_borrow(&ring->root) != ring->a)
        stress_fail("the root refers to something else");
}

/* From here on only the section has it. */
static void let_drop(struct ring *ring)
{
    check_root(ring);
    gari_store(&ring->root, NULL);
}

/* Counts one invariant, or ends the program: the first violation is the one to look at. */
static void demand(bool holds, const char *what)
{
    if (!holds)
        stress_fail("not so: %s", what);
    stress_check(holds, "%s", what);
}

static void all_is_collected(void)
{
    gari_collect(2);
    demand(stress_births() == stress_deaths(), "everything is collected");
}

/* The owned object is alive. Gives it back, and demands that then everything is collected. */
static void owned_is_alive(struct part *owned, uint64_t id)
{
    stress_tag_alive(&owned->tag, id, "owned");
    gari_decref(owned);
    all_is_collected();
}

/* ---- Schedules ------------------------------------------------------------------------------ */

/* R4, and RC. V2 has counted the edge to b; then it is taken, which leaves b's count as it was. */
static struct part *by_take(struct ring *ring)
{
    return gari_take(&ring->a->next);
}

static struct part *by_exchange(struct ring *ring)
{
    return gari_exchange(&ring->a->next, NULL);
}

static struct part *by_compare_exchange(struct ring *ring)
{
    return gari_compare_exchange(&ring->a->next, ring->b, NULL) ? ring->b : NULL;
}

/* The version counts references made. V2 has counted the edge to b; then a reference is made and the
 * edge goes: the count is again what it was. */
static struct part *by_load(struct ring *ring)
{
    struct part *b = gari_load(&ring->a->next);
    gari_store(&ring->a->next, NULL);
    return b;
}

static struct part *by_try_incref(struct ring *ring)
{
    struct part *b = gari_borrow(&ring->a->next);
    if (!gari_try_incref(b))
        stress_fail("the collector has committed too early");
    gari_store(&ring->a->next, NULL);
    return b;
}

/* The borrower of a ring makes b his own after V2. */
static void own_after_v2(struct part *(*own)(struct ring *ring))
{
    struct ring ring;
    tie(&ring);
    gari_read_begin();
    let_drop(&ring);
    pthread_t collector = collect_up_to(GARI__STEP_V2_END);
    struct part *owned = own(&ring);
    gari_read_end();
    collect_on_from(GARI__STEP_V2_END, collector);
    owned_is_alive(owned, ring.b_id);
}

static void take(void)
{
    own_after_v2(by_take);
}

static void exchange(void)
{
    own_after_v2(by_exchange);
}

static void compare_exchange(void)
{
    own_after_v2(by_compare_exchange);
}

static void load(void)
{
    own_after_v2(by_load);
}

static void try_incref(void)
{
    own_after_v2(by_try_incref);
}

/* The same for gari_incref, which takes somebody who owns b already: his reference has become an edge
 * again before V2, so that the count of V1 is the number of edges that V2 finds. */
static void incref(void)
{
    struct ring ring;
    tie(&ring);
    gari_store(&ring.a->other, ring.b);
    gari_read_begin();
    let_drop(&ring);
    pthread_t collector = collect_up_to(GARI__STEP_V1_BEGIN);
    struct part *taken = gari_take(&ring.a->other);
    go_on(GARI__STEP_V1_BEGIN, GARI__STEP_V1_END);
    struct part *owned = gari_incref(taken);
    gari_move(&ring.a->other, taken);
    go_on(GARI__STEP_V1_END, GARI__STEP_V2_END);
    gari_store(&ring.a->other, NULL);
    gari_read_end();
    collect_on_from(GARI__STEP_V2_END, collector);
    owned_is_alive(owned, ring.b_id);
}

/* V1 is over before V2 begins. Between V2's looks at the fields of the first member and of the second
 * the edge from the first to the second is taken; a look at the second's word that came only now
 * would find the same as RC. Which one is first is the library's choice: both are tried. */
static void interleaved(bool lower_first)
{
    struct ring ring;
    tie(&ring);
    bool a_first = (ring.a < ring.b) == lower_first;
    struct part *first = a_first ? ring.a : ring.b;
    uint64_t second_id = a_first ? ring.b_id : ring.a_id;
    gari_read_begin();
    let_drop(&ring);
    pthread_t collector = collect_up_to(GARI__STEP_V2_MEMBER);
    gari__let_one_go(GARI__STEP_V2_MEMBER);
    await(GARI__STEP_V2_MEMBER);
    struct part *owned = gari_take(&first->next);
    gari_read_end();
    collect_on_from(GARI__STEP_V2_MEMBER, collector);
    owned_is_alive(owned, second_id);
}

static void interleaved_up(void)
{
    interleaved(true);
}

static void interleaved_down(void)
{
    interleaved(false);
}

/* What leaves the set takes with it all that it reaches: a is made somebody's own, and b, whose word
 * tells nothing, lives by it. */
static void shrink(void)
{
    struct ring ring;
    tie(&ring);
    gari_read_begin();
    let_drop(&ring);
    pthread_t collector = collect_up_to(GARI__STEP_V2_END);
    if (!gari_try_incref(ring.a))
        stress_fail("the collector has committed too early");
    gari_read_end();
    collect_on_from(GARI__STEP_V2_END, collector);
    stress_tag_alive(&ring.b->tag, ring.b_id, "owned");
    owned_is_alive(ring.a, ring.a_id);
}

/* The grace period waits for a section in which the ring is borrowed. */
static void grace(void)
{
    struct ring ring;
    tie(&ring);
    gari_read_begin();
    let_drop(&ring);
    pthread_t collector = collect_up_to(GARI__STEP_V3_END);
    gari__hold(GARI__STEP_GRACE_END);
    gari__let_go(GARI__STEP_V3_END);
    if (comes_to(GARI__STEP_GRACE_END, WATCH_NS)) {
        collect_on_from(GARI__STEP_GRACE_END, collector);
        stress_tag_same(&ring.a->tag, ring.a_id, "borrowed");
        stress_fail("the grace period is over while a section is open that began before it");
    }
    struct part *owned = gari_try_incref(ring.b) ? ring.b : NULL;
    demand(owned != NULL, "what is borrowed can be made one's own");
    gari_read_end();
    await(GARI__STEP_GRACE_END);
    collect_on_from(GARI__STEP_GRACE_END, collector);
    owned_is_alive(owned, ring.b_id);
}

/* What two threads wait for, of each other. */
struct talk {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned said; /* under the lock */
};

#define TALK_INIT                                                                                  \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0                                     \
    }

static void say(struct talk *talk, unsigned number)
{
    pthread_mutex_lock(&talk->lock);
    talk->said = number;
    pthread_cond_broadcast(&talk->changed);
    pthread_mutex_unlock(&talk->lock);
}

static void hear(struct talk *talk, unsigned number)
{
    pthread_mutex_lock(&talk->lock);
    while (talk->said < number)
        pthread_cond_wait(&talk->changed, &talk->lock);
    pthread_mutex_unlock(&talk->lock);
}

/* R1. V2 has counted the edge to b; then it is replaced, and the thread is held before it gives b's
 * reference back. As long as it has not, b must live. */
struct replacer {
    struct ring *ring;
    struct talk talk;
};

static void *replace(void *arg)
{
    struct replacer *replacer = arg;
    gari_read_begin();
    check_root(replacer->ring);
    say(&replacer->talk, 1);
    hear(&replacer->talk, 2);
    gari_store(&replacer->ring->a->next, NULL);
    gari_read_end();
    return NULL;
}

static void drop(void)
{
    struct ring ring;
    struct replacer replacer = {&ring, TALK_INIT};
    tie(&ring);
    pthread_t thread = start(replace, &replacer);
    hear(&replacer.talk, 1);
    gari_store(&ring.root, NULL);
    pthread_t collector = collect_up_to(GARI__STEP_V2_END);
    gari__hold(GARI__STEP_DROP);
    say(&replacer.talk, 2);
    await(GARI__STEP_DROP);
    gari__hold(GARI__STEP_GRACE_END);
    gari__let_go(GARI__STEP_V2_END);
    if (comes_to(GARI__STEP_GRACE_END, WATCH_NS)) {
        collect_on_from(GARI__STEP_GRACE_END, collector);
        stress_tag_alive(&ring.b->tag, ring.b_id, "still to be given back");
        stress_fail("the grace period has not waited for the section");
    }
    gari__let_go(GARI__STEP_DROP);
    pthread_join(thread, NULL);
    /* The last reference to b was the one given back, and b's to a the last to that. */
    demand(stress_births() == stress_deaths(), "both have died by count");
    await(GARI__STEP_GRACE_END);
    collect_on_from(GARI__STEP_GRACE_END, collector);
}

/* R2. What another thread takes out of a field has been counted for the field. */
struct storer {
    part_ref *field;
    struct part *part; /* NULL, or kept alive by somebody */
};

static void *store(void *arg)
{
    struct storer *storer = arg;
    gari_store(storer->field, storer->part);
    return NULL;
}

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

/* R3. b is owned, and an edge to it is being removed. Were b's count brought down before the edge has
 * gone, the edge would stand for the owner's reference in V2; as it is the collector sees at once that
 * b is held, and does not come so far. */
static void remove_first(void)
{
    struct ring ring;
    tie(&ring);
    struct part *owned = gari_load(&ring.a->next);
    struct storer storer = {&ring.a->next, NULL};
    gari_read_begin();
    let_drop(&ring);
    gari__hold(GARI__STEP_DROP);
    pthread_t thread = start(store, &storer);
    await(GARI__STEP_DROP);
    gari__hold(GARI__STEP_V2_END);
    pthread_t collector = start_collection();
    while (!gari__is_held(GARI__STEP_V2_END) && !gari__load_acquire(&collected))
        nap();
    gari__let_go(GARI__STEP_DROP);
    pthread_join(thread, NULL);
    gari_read_end();
    collect_on_from(GARI__STEP_V2_END, collector);
    owned_is_alive(owned, ring.b_id);
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

/* R8. b is owned; a's edge to it goes from field to field whenever a walk is between the two, and so
 * is met twice, once for the owner's reference. Only the version tells. */
static void shift(part_ref *to, part_ref *from)
{
    if (GARI_MUTANT(TWO_PLACES)) {
        gari_init(to, gari_borrow(from));
        gari_init(from, NULL);
    } else {
        gari_move(to, gari_take(from));
    }
}

static void one_place(void)
{
    struct ring ring;
    tie_of(&ring, &shifting_type);
    struct part *owned = gari_load(&ring.a->next);
    gari_read_begin();
    let_drop(&ring);
    pthread_t collector = collect_up_to(GARI__STEP_TRAVERSE);
    shift(&ring.a->other, &ring.a->next);
    go_on(GARI__STEP_TRAVERSE, GARI__STEP_V1_END);
    shift(&ring.a->next, &ring.a->other);
    go_on(GARI__STEP_V1_END, GARI__STEP_TRAVERSE);
    shift(&ring.a->other, &ring.a->next);
    gari_read_end();
    collect_on_from(GARI__STEP_TRAVERSE, collector);
    owned_is_alive(owned, ring.b_id);
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
    collect_on_from(GARI__STEP_V2_END, collector);
    stress_tag_alive(&again->tag, id, "owned");
    gari_store(&kept, NULL);
    owned_is_alive(again, id);
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

/* One proof at a time. A ring is born while an old pass takes its candidates, so it belongs to that
 * pass and to the young one after it. The old pass has proved it garbage, and a young collection
 * comes before it has committed. */
static bool stop_stepping; /* atomically */

static void *step(void *arg)
{
    (void)arg;
    while (!gari__load_acquire(&stop_stepping))
        gari_step(1);
    return NULL;
}

static void two_proofs(void)
{
    /* Candidates in two blocks, so that taking them needs two steps. */
    struct part *near = make(&part_type), *far = make(&far_type);
    gari_decref(gari_incref(near));
    gari_decref(gari_incref(far));
    gari_step(1);
    struct part *ring = make(&part_type);
    gari_store(&ring->next, ring);
    gari_move(&near->next, ring);
    gari_store(&far->next, near);
    gari_move(&far->other, near);

    gari__store_release(&stop_stepping, false);
    gari__hold(GARI__STEP_V1_BEGIN);
    pthread_t stepper = start(step, NULL);
    await(GARI__STEP_V1_BEGIN);
    /* Gathered; now it becomes garbage, and a candidate for the young pass. */
    gari_store(&near->next, NULL);
    go_on(GARI__STEP_V1_BEGIN, GARI__STEP_RC_END);
    gari__store_release(&stop_stepping, true);
    gari__let_go(GARI__STEP_RC_END);
    pthread_join(stepper, NULL);
    uint64_t died = stress_deaths();
    gari_collect(0);
    demand(stress_deaths() == died + 1, "the ring has died once");
    while (gari_step(1000))
        continue;
    owned_is_alive(far, 0);
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

static const struct {
    const char *name;
    void (*play)(void);
} schedules[] = {
    {"drop", drop},
    {"remove first", remove_first},
    {"count first", count_first},
    {"shrink", shrink},
    {"take", take},
    {"exchange", exchange},
    {"compare_exchange", compare_exchange},
    {"load", load},
    {"try_incref", try_incref},
    {"incref", incref},
    {"stay dead", stay_dead},
    {"keep memory", keep_memory},
    {"sweep", sweep},
    {"reborn", reborn},
    {"birth", birth},
    {"interleaved upwards", interleaved_up},
    {"interleaved downwards", interleaved_down},
    {"one place", one_place},
    {"grace", grace},
    {"two proofs", two_proofs},
    {"move", move},
    {"clear first", clear_first},
    {"outgoing", outgoing},
};

int main(int argc, char **argv)
{
    /* Nobody collects but those who are told to. */
    stress.mode = GARI_MODE_MANUAL;
    stress_begin(argc, argv, 0, "the interleavings that the rules are there for");
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++) {
        stress_phase(schedules[i].name);
        schedules[i].play();
    }
    stress_settle(0);
    stress_check_shadow(bulks);
    return stress_end();
}
