/* What the programs share that play one interleaving exactly. Each is one file.
 *
 * The main thread, or one that it starts, is the mutator; a thread of its own collects, and is held at
 * a step of the proof until the mutator has done what the schedule is about. Nobody else collects. */
#ifndef GARI_STRESS_SCHEDULE_H
#define GARI_STRESS_SCHEDULE_H

#include "stress/held.h"
#include "stress/shadow.h"

struct part;
typedef GARI_REF(struct part) part_ref;
struct part {
    gari_object header;
    struct stress_tag tag;
    part_ref next, other;
};

static inline void dispose(void *self)
{
    struct part *part = self;
    stress_tag_die(&part->tag);
}

static const gari_type part_type =
    GARI_TYPE(struct part, .refs = GARI_REFS(struct part, next, other), .dispose = dispose);

static inline struct part *make(const gari_type *type)
{
    struct part *part = STRESS_NEW(type);
    stress_tag_bear(&part->tag);
    return part;
}

/* ---- What is collected ---------------------------------------------------------------------- */

/* Two that refer to each other. */
struct ring {
    struct part *a, *b;
    uint64_t a_id, b_id;
    part_ref root; /* to a; the only reference from outside */
};

static inline void tie_of(struct ring *ring, const gari_type *type_of_a)
{
    struct part *a = make(type_of_a), *b = make(&part_type);
    *ring = (struct ring){a, b, a->tag.id, b->tag.id, {{NULL}}};
    gari_store(&b->next, a);
    gari_move(&a->next, b);
    gari_move(&ring->root, a);
}

static inline void tie(struct ring *ring)
{
    tie_of(ring, &part_type);
}

/* To be called in a section, with which one has the pointers borrowed. */
static inline void check_root(struct ring *ring)
{
    if (gari_borrow(&ring->root) != ring->a)
        stress_fail("the root refers to something else");
}

/* From here on only the section has it. */
static inline void let_drop(struct ring *ring)
{
    check_root(ring);
    gari_store(&ring->root, NULL);
}

static inline void all_is_collected(void)
{
    gari_collect(2);
    demand(stress_births() == stress_deaths(), "everything is collected");
}

/* The owned object is alive. Gives it back, and demands that then everything is collected. */
static inline void owned_is_alive(struct part *owned, uint64_t id)
{
    stress_tag_alive(&owned->tag, id, "owned");
    gari_decref(owned);
    all_is_collected();
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

static inline void say(struct talk *talk, unsigned number)
{
    pthread_mutex_lock(&talk->lock);
    talk->said = number;
    pthread_cond_broadcast(&talk->changed);
    pthread_mutex_unlock(&talk->lock);
}

static inline void hear(struct talk *talk, unsigned number)
{
    pthread_mutex_lock(&talk->lock);
    while (talk->said < number)
        pthread_cond_wait(&talk->changed, &talk->lock);
    pthread_mutex_unlock(&talk->lock);
}

/* A thread that stores. */
struct storer {
    part_ref *field;
    struct part *part; /* NULL, or kept alive by somebody */
};

static inline void *store(void *arg)
{
    struct storer *storer = arg;
    gari_store(storer->field, storer->part);
    return NULL;
}

struct schedule {
    const char *name; /* of the phase, so that a failure says it */
    void (*play)(void);
};

/* The whole program. `untagged` counts the objects that were made without a tag. */
static inline int play_all(int argc, char **argv, const char *about,
                           const struct schedule *schedules, size_t count, const uint64_t *untagged)
{
    stress.mode = GARI_MODE_MANUAL;
    stress_begin(argc, argv, 0, about);
    for (size_t i = 0; i < count; i++) {
        stress_phase(schedules[i].name);
        schedules[i].play();
    }
    stress_settle(0);
    stress_check_shadow(untagged ? *untagged : 0);
    return stress_end();
}

#endif
