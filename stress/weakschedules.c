/* weakschedules: the interleavings of weak gets and finalizers with the collector that docs/protocol.md
 * argues about, each played exactly (as schedules.c does for the proof itself).
 *
 * Invariant: a weak get gives a live object that stays alive, or NULL of one that is dead; a finalizer
 * runs only for what is garbage, once, and what it brings back lives.
 *
 * A violation looks like: an object that is owned and dead; NULL from a weak reference to an object that
 * lives on; an object of another place in the same memory; a finalizer that runs for what somebody has. */
#include "stress/held.h"
#include "stress/shadow.h"

#define MANY 2000

struct part;
typedef GARI_REF(struct part) part_ref;
struct part {
    gari_object header;
    struct stress_tag tag;
    part_ref next;
};

static void dispose(void *self)
{
    struct part *part = self;
    stress_tag_die(&part->tag);
}

static uint64_t finalized; /* atomically */
static part_ref revived;
static bool revive;

static void finalize(void *self)
{
    struct part *part = self;
    stress_tag_alive(&part->tag, 0, "finalized");
    gari__fetch_add_relaxed(&finalized, 1);
    if (revive)
        gari_store(&revived, part);
}

static const gari_type part_type =
    GARI_TYPE(struct part, .refs = GARI_REFS(struct part, next), .dispose = dispose);
static const gari_type final_type = GARI_TYPE(struct part, .refs = GARI_REFS(struct part, next),
                                              .finalize = finalize, .dispose = dispose);

static struct part *make(const gari_type *type)
{
    struct part *part = STRESS_NEW(type);
    stress_tag_bear(&part->tag);
    return part;
}

static gari_weakref *weak_to(struct part *part)
{
    return stress_new(gari_weakref_new(part, NULL, NULL));
}

static void *get(void *weakref)
{
    return gari_weakref_get(weakref);
}

/* Another thread's weak get, up to the step. */
static pthread_t get_up_to(enum gari__steps step, gari_weakref *weakref)
{
    gari__hold(step);
    pthread_t getter = start(get, weakref);
    await(step);
    return getter;
}

static struct part *got_on_from(enum gari__steps step, pthread_t getter)
{
    void *got;
    gari__let_go(step);
    pthread_join(getter, &got);
    return got;
}

static void all_is_collected(void)
{
    for (int i = 0; i < 3; i++) {
        gari_collect(2);
        gari_run_finalizers(SIZE_MAX);
    }
    demand(stress_births() == stress_deaths(), "everything is collected");
}

static void owned_is_alive(struct part *owned, uint64_t id)
{
    if (!owned)
        stress_fail("a weak reference reads NULL, and its object lives");
    stress_tag_alive(&owned->tag, id, "owned");
    gari_read_begin();
    stress_tag_alive(&((struct part *)gari_borrow(&owned->next))->tag, 0, "next of the owned");
    gari_read_end();
    gari_decref(owned);
    all_is_collected();
}

/* Two that refer to each other, garbage from the start, and a weak reference to the first. */
static gari_weakref *make_ring(const gari_type *type, uint64_t *id)
{
    struct part *a = make(type), *b = make(&part_type);
    gari_weakref *weakref = weak_to(a);
    *id = a->tag.id;
    gari_store(&b->next, a);
    gari_move(&a->next, b);
    gari_decref(a);
    return weakref;
}

/* ---- Schedules ------------------------------------------------------------------------------ */

/* All words are read again, nothing is committed: a weak get comes, and its object lives. */
static void before_commit(void)
{
    uint64_t id;
    gari_weakref *weakref = make_ring(&part_type, &id);
    pthread_t collector = collect_up_to(GARI__STEP_RC_END);
    struct part *owned = gari_weakref_get(weakref);
    collect_on_from(GARI__STEP_RC_END, collector);
    owned_is_alive(owned, id);
    demand(gari_weakref_get(weakref) == NULL, "in the end it reads NULL");
    gari_decref(weakref);
}

/* The same in the middle of the grace period, with the second word: a get that meets a tag while words
 * are still to be read. */
static void before_recheck(void)
{
    uint64_t id;
    gari_weakref *weakref = make_ring(&part_type, &id);
    pthread_t collector = collect_up_to(GARI__STEP_GRACE_END);
    struct part *owned = gari_weakref_get(weakref);
    collect_on_from(GARI__STEP_GRACE_END, collector);
    owned_is_alive(owned, id);
    gari_decref(weakref);
}

/* A weak get has read the pointer before there was a tag: the grace period waits for it. */
static void before_tag(void)
{
    uint64_t id;
    gari_weakref *weakref = make_ring(&part_type, &id);
    pthread_t collector = collect_up_to(GARI__STEP_V3_END);
    pthread_t getter = get_up_to(GARI__STEP_WEAK_READ, weakref);
    gari__hold(GARI__STEP_GRACE_END);
    gari__let_go(GARI__STEP_V3_END);
    demand(!comes_to(GARI__STEP_GRACE_END, WATCH_NS), "the grace period waits for a weak get");
    struct part *owned = got_on_from(GARI__STEP_WEAK_READ, getter);
    await(GARI__STEP_GRACE_END);
    collect_on_from(GARI__STEP_GRACE_END, collector);
    owned_is_alive(owned, id);
    gari_decref(weakref);
}

/* A weak get has met the tag, and comes to the gate only when all is over and the memory would be used
 * again, had it not to wait for this section. */
static void after_commit(void)
{
    uint64_t id;
    gari_weakref *weakref = make_ring(&part_type, &id);
    uint64_t deaths = stress_deaths();
    pthread_t collector = collect_up_to(GARI__STEP_GRACE_END);
    pthread_t getter = get_up_to(GARI__STEP_WEAK_TAG, weakref);
    gari__let_go(GARI__STEP_GRACE_END);
    for (uint64_t end = gari__now_ns() + COME_NS; stress_deaths() != deaths + 2; nap()) {
        if (gari__now_ns() > end)
            stress_fail("the ring is not collected");
    }
    static struct part *others[MANY];
    for (int i = 0; i < MANY; i++)
        others[i] = make(&part_type);
    struct part *owned = got_on_from(GARI__STEP_WEAK_TAG, getter);
    demand(owned == NULL, "a weak get that comes too late reads NULL, not what is there now");
    for (int i = 0; i < MANY; i++)
        gari_decref(others[i]);
    pthread_join(collector, NULL);
    gari_decref(weakref);
    all_is_collected();
}

/* It is decided, but weak references have not been emptied: they read NULL all the same. */
static void decided(void)
{
    uint64_t id;
    gari_weakref *weakref = make_ring(&part_type, &id);
    pthread_t collector = collect_up_to(GARI__STEP_COMMITTED);
    demand(gari_weakref_get(weakref) == NULL, "what is decided to be garbage is not given out");
    collect_on_from(GARI__STEP_COMMITTED, collector);
    gari_decref(weakref);
    all_is_collected();
}

/* A weak get has read the pointer; then the last reference goes. */
static void last_decref(void)
{
    struct part *part = make(&part_type);
    gari_weakref *weakref = weak_to(part);
    pthread_t getter = get_up_to(GARI__STEP_WEAK_READ, weakref);
    gari_decref(part);
    demand(stress_births() == stress_deaths(), "it has died at once");
    static struct part *others[MANY];
    for (int i = 0; i < MANY; i++)
        others[i] = make(&part_type);
    demand(got_on_from(GARI__STEP_WEAK_READ, getter) == NULL, "it is not given out");
    for (int i = 0; i < MANY; i++)
        gari_decref(others[i]);
    gari_decref(weakref);
    all_is_collected();
}

/* ---- With finalizers ------------------------------------------------------------------------ */

/* A weak get comes before what is to be finalized has been put aside: it is not finalized. */
static void not_finalized(void)
{
    uint64_t id, before = gari__load_relaxed(&finalized);
    gari_weakref *weakref = make_ring(&final_type, &id);
    pthread_t collector = collect_up_to(GARI__STEP_RC_END);
    struct part *owned = gari_weakref_get(weakref);
    collect_on_from(GARI__STEP_RC_END, collector);
    gari_run_finalizers(SIZE_MAX);
    demand(gari__load_relaxed(&finalized) == before, "what somebody has got is not finalized");
    owned_is_alive(owned, id);
    demand(gari__load_relaxed(&finalized) == before + 1, "and later it is, once");
    gari_decref(weakref);
}

/* The same, and before it is put aside it is cut and dropped, so that it is finalized and dies by count. */
static void died(void)
{
    uint64_t id, before = gari__load_relaxed(&finalized);
    gari_weakref *weakref = make_ring(&final_type, &id);
    pthread_t collector = collect_up_to(GARI__STEP_RC_END);
    struct part *owned = gari_weakref_get(weakref);
    gari_store(&owned->next, NULL);
    gari_decref(owned);
    demand(stress_births() == stress_deaths(), "it has died at once");
    demand(gari__load_relaxed(&finalized) == before + 1, "and has been finalized");
    collect_on_from(GARI__STEP_RC_END, collector);
    gari_run_finalizers(SIZE_MAX);
    demand(gari__load_relaxed(&finalized) == before + 1, "once");
    gari_decref(weakref);
    all_is_collected();
    stress_settle(0);
}

/* Two rings are proved together, one to be finalized. While the other is committed, a weak reference to
 * the one aside gives it out. */
static void aside(void)
{
    uint64_t dead_id, id;
    gari_set_finalizers(GARI_FINALIZERS_QUEUED, NULL, NULL);
    gari_weakref *dead = make_ring(&part_type, &dead_id), *weakref = make_ring(&final_type, &id);
    pthread_t collector = collect_up_to(GARI__STEP_COMMITTED);
    demand(gari_weakref_get(dead) == NULL, "the one without a finalizer is gone");
    struct part *owned = gari_weakref_get(weakref);
    collect_on_from(GARI__STEP_COMMITTED, collector);
    demand(owned != NULL, "the one aside is given out");
    demand(gari_run_finalizers(SIZE_MAX) == 1, "its finalizer runs");
    owned_is_alive(owned, id);
    demand(gari_weakref_get(weakref) == NULL, "in the end it reads NULL");
    gari_decref(dead);
    gari_decref(weakref);
    gari_set_finalizers(GARI_FINALIZERS_THREAD, NULL, NULL);
}

/* What its finalizer brings back fails the second proof, and is not finalized again. */
static void second_proof(void)
{
    uint64_t id, before = gari__load_relaxed(&finalized);
    gari_weakref *weakref = make_ring(&final_type, &id);
    revive = true;
    while (gari__load_relaxed(&finalized) == before)
        gari_collect(2);
    gari_collect(2);
    revive = false;
    owned_is_alive(gari_take(&revived), id);
    demand(gari__load_relaxed(&finalized) == before + 1, "it was finalized once");
    gari_decref(weakref);
}

/* A weak get comes in the middle of the second proof. */
static void second_commit(void)
{
    uint64_t id, before = gari__load_relaxed(&finalized);
    gari_set_finalizers(GARI_FINALIZERS_QUEUED, NULL, NULL);
    gari_weakref *weakref = make_ring(&final_type, &id);
    gari_collect(2);
    /* The background thread may come first. */
    gari__hold(GARI__STEP_RC_END);
    gari_run_finalizers(SIZE_MAX);
    pthread_t collector = collect_up_to(GARI__STEP_RC_END);
    struct part *owned = gari_weakref_get(weakref);
    collect_on_from(GARI__STEP_RC_END, collector);
    owned_is_alive(owned, id);
    demand(gari__load_relaxed(&finalized) == before + 1, "it was finalized once");
    gari_decref(weakref);
    gari_set_finalizers(GARI_FINALIZERS_THREAD, NULL, NULL);
}

/* The count comes to zero, the finalizer has not been claimed: a weak get gives the object out, and
 * somebody finalizes it once, later. Nobody is held here; the two race. */
static void *drop(void *part)
{
    gari_decref((struct part *)part);
    return NULL;
}

static void claim(void)
{
    for (int i = 0; i < 300; i++) {
        uint64_t before = gari__load_relaxed(&finalized);
        struct part *part = make(&final_type);
        gari_weakref *weakref = weak_to(part);
        pthread_t dropper = start(drop, part);
        for (int j = 0; j < 100; j++) {
            struct part *owned = gari_weakref_get(weakref);
            if (owned)
                stress_tag_alive(&owned->tag, 0, "owned");
            gari_decref(owned);
        }
        pthread_join(dropper, NULL);
        if (gari__load_relaxed(&finalized) != before + 1)
            stress_fail("finalized %lu times",
                        (unsigned long)(gari__load_relaxed(&finalized) - before));
        gari_decref(weakref);
    }
    all_is_collected();
}

static const struct schedule {
    const char *name;
    void (*play)(void);
} schedules[] = {
    {"before-commit", before_commit},
    {"before-recheck", before_recheck},
    {"before-tag", before_tag},
    {"after-commit", after_commit},
    {"decided", decided},
    {"last-decref", last_decref},
    {"not-finalized", not_finalized},
    {"died", died},
    {"aside", aside},
    {"second-proof", second_proof},
    {"second-commit", second_commit},
    {"claim", claim},
};

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 1, "weak gets and finalizers in every bad moment");
    /* Nobody but the schedules collects. */
    gari_disable();
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++) {
        printf("-- %s\n", schedules[i].name);
        fflush(stdout);
        stress_phase(schedules[i].name);
        schedules[i].play();
    }
    stress_settle(0);
    return stress_end();
}
