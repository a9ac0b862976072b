#include "concurrency/perturb.h"

#ifdef GARI_PERTURB

#include "concurrency/atomics.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

int gari__mutant = GARI__MUTANT_NONE;
bool gari__plain;
bool gari__always_sweep;

static uint64_t base_seed = 1;
static unsigned points_in_1000;
static uint64_t threads_seen;
static __thread uint64_t state;
__thread int64_t gari__perturb_left;

static const char *const names[] = {
    [GARI__MUTANT_NO_GRACE - 1] = "no-grace",
    [GARI__MUTANT_NO_REUSE_GRACE - 1] = "no-reuse-grace",
    [GARI__MUTANT_NO_RECHECK - 1] = "no-recheck",
    [GARI__MUTANT_TAKE_NO_BUMP - 1] = "take-no-bump",
    [GARI__MUTANT_LATE_DECREF - 1] = "late-decref",
    [GARI__MUTANT_NO_VERSION - 1] = "no-version",
    [GARI__MUTANT_REBORN_VERSION - 1] = "reborn-version",
    [GARI__MUTANT_FORGOTTEN_VERSION - 1] = "forgotten-version",
    [GARI__MUTANT_INTERLEAVED_V1 - 1] = "interleaved-v1",
    [GARI__MUTANT_BAD_SHRINK - 1] = "bad-shrink",
    [GARI__MUTANT_TWO_PROOFS - 1] = "two-proofs",
    [GARI__MUTANT_MOVE_NO_CANDIDATE - 1] = "move-no-candidate",
    [GARI__MUTANT_LATE_CLEAR - 1] = "late-clear",
    [GARI__MUTANT_LATE_FLAG - 1] = "late-flag",
    [GARI__MUTANT_BIT_FIRST - 1] = "bit-first",
    [GARI__MUTANT_LIST_FIRST - 1] = "list-first",
    [GARI__MUTANT_NO_BIT_IN_CHILD - 1] = "no-bit-in-child",
    [GARI__MUTANT_STAMP_UNSEEN - 1] = "stamp-unseen",
    [GARI__MUTANT_SETTLED_BLINDLY - 1] = "settled-blindly",
    [GARI__MUTANT_OPENED_LATE - 1] = "opened-late",
    [GARI__MUTANT_OPENED_BLINDLY - 1] = "opened-blindly",
    [GARI__MUTANT_NO_SWEEP - 1] = "no-sweep",
    [GARI__MUTANT_LOST_FREE - 1] = "lost-free",
    [GARI__MUTANT_LATE_COUNT - 1] = "late-count",
    [GARI__MUTANT_EARLY_DROP - 1] = "early-drop",
    [GARI__MUTANT_EARLY_BIRTH - 1] = "early-birth",
    [GARI__MUTANT_RAISE_DEAD - 1] = "raise-dead",
    [GARI__MUTANT_TWO_PLACES - 1] = "two-places",
    [GARI__MUTANT_WALK_IN_PROOF - 1] = "walk-in-proof",
    [GARI__MUTANT_INSERT_MOVES - 1] = "insert-moves",
    [GARI__MUTANT_ERASE_MOVES - 1] = "erase-moves",
    [GARI__MUTANT_SPLICE_MOVES - 1] = "splice-moves",
    [GARI__MUTANT_SORT_MOVES - 1] = "sort-moves",
    [GARI__MUTANT_REHASH_MOVES - 1] = "rehash-moves",
    [GARI__MUTANT_WEAK_NO_GATE - 1] = "weak-no-gate",
    [GARI__MUTANT_WEAK_LATE_TAG - 1] = "weak-late-tag",
    [GARI__MUTANT_WEAK_NO_GRACE - 1] = "weak-no-grace",
    [GARI__MUTANT_HOLD_BLINDLY - 1] = "hold-blindly",
    [GARI__MUTANT_NO_SECOND_PROOF - 1] = "no-second-proof",
    [GARI__MUTANT_FINALIZE_TWICE - 1] = "finalize-twice",
    [GARI__MUTANT_LATE_UNSHARED - 1] = "late-unshared",
    [GARI__MUTANT_LATE_UNQUIET - 1] = "late-unquiet",
    [GARI__MUTANT_LATE_IN_WALK - 1] = "late-in-walk",
    [GARI__MUTANT_LATE_LOOKUP - 1] = "late-lookup",
    [GARI__MUTANT_NO_RECOUNT - 1] = "no-recount",
    [GARI__MUTANT_NO_SWEEP_WAIT - 1] = "no-sweep-wait",
    [GARI__MUTANT_KEPT_BUSY - 1] = "kept-busy",
    [GARI__MUTANT_KEPT_NO_BARRIER - 1] = "kept-no-barrier",
    [GARI__MUTANT_REST_FOREVER - 1] = "rest-forever",
    [GARI__MUTANT_AGAIN_BLINDLY - 1] = "again-blindly",
    [GARI__MUTANTS - 1] = NULL,
};

/* Who comes to a held step draws the next number and waits until it is called. */
static struct {
    uint64_t drawn, called;
} gates[GARI__STEPS];
bool gari__held[GARI__STEPS]; /* written under the lock */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opens = PTHREAD_COND_INITIALIZER;

void gari__perturb_seed(uint64_t seed, unsigned intensity)
{
    gari__store_relaxed(&base_seed, seed * 2654435761u + 1);
    gari__store_relaxed(&points_in_1000, intensity);
    gari__perturb_left = 0;
}

bool gari__mutant_set(const char *name)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0) {
            gari__mutant = i + 1;
            return true;
        }
    }
    return false;
}

const char *const *gari__mutant_names(void)
{
    return names;
}

static uint64_t next_random(void)
{
    if (state == 0)
        state = gari__load_relaxed(&base_seed) +
                (gari__fetch_add_relaxed(&threads_seen, 1) + 1) * 0x9e3779b97f4a7c15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* To the next delay: as chance has it, none being likelier for the last having been long ago. */
static int64_t draw_distance(unsigned intensity)
{
    uint64_t r = next_random() | 1;
    unsigned zeros = (unsigned)__builtin_clzll(r);
    /* About -log2 of a number between 0 and 1, which is 3/2 in the mean. */
    double logarithm = zeros + 2 - (double)(r << zeros) / 0x1p63;
    return (int64_t)(logarithm * GARI__PERTURB_WEIGHT * 1000 / 1.5 / intensity);
}

static void delay(void)
{
    unsigned intensity = gari__load_relaxed(&points_in_1000);
    bool begins = state == 0;
    gari__perturb_left = intensity ? draw_distance(intensity) : INT64_MAX;
    if (begins || intensity == 0)
        return;
    uint64_t r = next_random();
    switch ((r >> 20) % 4) {
    case 0:
    case 1:
        sched_yield();
        break;
    case 2:
        for (uint64_t i = (r >> 24) % 2000; i > 0; i--)
            __asm__ __volatile__("" ::: "memory");
        break;
    default: {
        struct timespec pause = {0, (long)((r >> 24) % 50000)};
        nanosleep(&pause, NULL);
    }
    }
}

void gari__perturb(void)
{
    if ((gari__perturb_left -= GARI__PERTURB_WEIGHT) < 0)
        delay();
}

bool gari__perturb_sweep(bool would)
{
    bool noise = gari__load_relaxed(&points_in_1000) > 0;
    return would || gari__always_sweep || (noise && next_random() % 2 == 0);
}

static const struct gari__place *places; /* atomically */

void gari__perturb_at(struct gari__place *place)
{
    if (!gari__load_relaxed(&place->reached) && !gari__exchange_acq_rel(&place->reached, true)) {
        const struct gari__place *first = gari__load_relaxed(&places);
        do {
            place->next = first;
        } while (!gari__cas_acq_rel(&places, &first, place));
    }
    if (gari__perturb_left < 0)
        delay();
}

const struct gari__place *gari__perturb_reached(void)
{
    return gari__load_acquire(&places);
}

void gari__hold(enum gari__steps step)
{
    pthread_mutex_lock(&gate_lock);
    gari__store_relaxed(&gari__held[step], true);
    pthread_mutex_unlock(&gate_lock);
}

bool gari__is_held(enum gari__steps step)
{
    pthread_mutex_lock(&gate_lock);
    bool waits = gates[step].called < gates[step].drawn;
    pthread_mutex_unlock(&gate_lock);
    return waits;
}

void gari__let_go(enum gari__steps step)
{
    pthread_mutex_lock(&gate_lock);
    gari__store_relaxed(&gari__held[step], false);
    gates[step].called = gates[step].drawn;
    pthread_cond_broadcast(&gate_opens);
    pthread_mutex_unlock(&gate_lock);
}

void gari__let_one_go(enum gari__steps step)
{
    pthread_mutex_lock(&gate_lock);
    if (gates[step].called < gates[step].drawn)
        gates[step].called++;
    pthread_cond_broadcast(&gate_opens);
    pthread_mutex_unlock(&gate_lock);
}

void gari__step(enum gari__steps step)
{
    pthread_mutex_lock(&gate_lock);
    if (gari__load_relaxed(&gari__held[step])) {
        uint64_t number = gates[step].drawn++;
        while (gates[step].called <= number)
            pthread_cond_wait(&gate_opens, &gate_lock);
    }
    pthread_mutex_unlock(&gate_lock);
}

#else

/* ISO C wants a translation unit to declare something. */
typedef int gari__perturb_is_off;

#endif
