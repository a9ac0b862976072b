/* schedules: what the proof must refuse, each interleaving played exactly.
 *
 * Invariant: the proof refuses whatever a thread can still reach (docs/protocol.md). In each schedule
 * one thread makes something that looks like garbage at one step of the proof and is not, or not
 * quite, at another; the steps are held until it has done so. Chance meets these schedules rarely or
 * never; here the program fails at once if the rule that a schedule is about is broken.
 *
 * A violation looks like: an object that is owned, borrowed or still to be given back, and dead; one
 * that dies twice; at the end of a schedule, garbage that is not found. */
#include "stress/schedule.h"

static void traverse(void *self, gari_visit visit, void *arg)
{
    struct part *part = self;
    GARI_VISIT(&part->next, visit, arg);
    GARI_PERTURB_STEP(TRAVERSE);
    GARI_VISIT(&part->other, visit, arg);
}

/* Its objects lie in another block. */
static const gari_type far_type =
    GARI_TYPE(struct part, .refs = GARI_REFS(struct part, next, other), .dispose = dispose);
/* Its walks can be held between the two fields. */
static const gari_type shifting_type =
    GARI_TYPE(struct part, .traverse = traverse, .dispose = dispose);

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
    /* Candidates in two blocks, so that listing the blocks needs two steps, of which the second begins the
     * pass, and taking the candidates two. */
    struct part *near = make(&part_type), *far = make(&far_type);
    gari_decref(gari_incref(near));
    gari_decref(gari_incref(far));
    gari_step(1);
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

static const struct schedule schedules[] = {
    {"drop", drop},
    {"remove first", remove_first},
    {"shrink", shrink},
    {"take", take},
    {"exchange", exchange},
    {"compare_exchange", compare_exchange},
    {"load", load},
    {"try_incref", try_incref},
    {"incref", incref},
    {"interleaved upwards", interleaved_up},
    {"interleaved downwards", interleaved_down},
    {"one place", one_place},
    {"grace", grace},
    {"two proofs", two_proofs},
};

int main(int argc, char **argv)
{
    return play_all(argc, argv, "what the proof must refuse", schedules,
                    sizeof schedules / sizeof *schedules, NULL);
}
