/* A pass: one collection as a machine that does its work in slices.
 *
 *   SEED     takes the candidates it may look at; clears their bits first. For a sweep it only sees where they are
 *   GATHER   walks what they reach, counting the edges found to each object
 *   SCAN     reads each object's word. More references than edges: it is held from outside, and it
 *            and what it reaches are marked live. The rest is suspected: the members, their words
 *            as just read. Everything before the words was a guess
 *   SWEEP    instead of these two: everything young in the candidates' blocks is suspected (sweep.c)
 *   V1 V2 V3 GRACE RC   the proof of docs/protocol.md; the words that SCAN read are the first V1
 *   SHRINK COMPACT      what the proof refuses leaves the set, and the proof is repeated on the rest
 *   SPARE SPARE_REACHED SORT   only when some of what was proved may not be freed, or is to be
 *            listed: takes it out of the set (sift.c)
 *   RECLAIM  counts go to zero; edges that leave the set are dropped; memory. For members of types
 *            without callbacks; with callbacks these are three phases:
 *   COMMIT DISPOSE DROP
 *   With weak references to members, TAG follows V3 and closes the door that they are, UNTAG opens it
 *            again when the proof fails, and CLEAR follows COMMIT: they read empty, for good
 *   With members that are to be finalized, SPLIT and ASIDE follow RC: what those reach leaves the set,
 *            each with a reference, and waits until its finalizers have run. Then another pass begins
 *            with it at READMIT, and proves it once more
 *   END      tables go back; candidates without a verdict are kept
 *
 * Two passes can be open side by side: one over young objects, one over old. At most one of them is
 * between V1 and the last count's going to zero. Everything here happens under the collector's lock;
 * between slices no read section is open. Per-object state is one 32-bit word in a scratch array
 * that each touched block gets for the length of the pass. */
#ifndef GARI_COLLECTOR_PASS_H
#define GARI_COLLECTOR_PASS_H

#include "lib/collector/epoch.h"
#include "lib/object/finalize.h"

/* A scratch word: marks, and a number: of the edges found so far; of a member, from SCAN or V1 on, of
 * the references that V2 has not found an edge for. */
#define GARI__REACHED ((uint32_t)1 << 31)
#define GARI__LIVE ((uint32_t)1 << 30)
#define GARI__MEMBER ((uint32_t)1 << 29)
/* Of a member: an object whose traverse has failed has named it in V2. */
#define GARI__NAMED GARI__LIVE
#define GARI__SEED ((uint32_t)1 << 28)
/* Its traverse has failed: must not be taken apart while others refer to it. */
#define GARI__STUCK ((uint32_t)1 << 27)
/* To be put aside for its finalizers, or theirs that reach it. */
#define GARI__ASIDE ((uint32_t)1 << 26)
#define GARI__NUMBER_MASK (GARI__ASIDE - 1)
/* What is left of a member's state is more than GARI__MEMBER if its number is not 0, and else not. */
#define GARI__MEMBER_NUMBER (GARI__MEMBER | GARI__NUMBER_MASK)

enum gari__phases {
    GARI__IDLE,
    GARI__SEEDING,
    GARI__GATHER,
    GARI__SCAN,
    GARI__SWEEP,
    GARI__READMIT,
    GARI__V1,
    GARI__V2,
    GARI__V3,
    GARI__TAG,
    GARI__GRACE,
    GARI__RC,
    GARI__SHRINK,
    GARI__COMPACT,
    GARI__SPARE,
    GARI__SPARE_REACHED,
    GARI__SORT,
    GARI__UNTAG,
    GARI__SPLIT,
    GARI__SET_ASIDE,
    GARI__RECLAIM,
    GARI__COMMIT,
    GARI__CLEAR,
    GARI__DISPOSE,
    GARI__DROP,
    GARI__END
};

/* Objects whose edges are still to be walked: a stack, and before it a few that are being fetched
 * into the cache. */
#define GARI__PREFETCH 16u
struct gari__queue {
    gari_object **stack;
    size_t count, room;
    gari_object *fetching[GARI__PREFETCH];
    unsigned fetch_first, fetch_count;
    /* The object in hand, of which `at` edges have been walked. */
    gari_object *current;
    size_t at;
};

/* A block in hand, for the next objects and what they refer to are often in the same one: enough of it
 * to do without its descriptor. */
struct gari__near {
    const char *base;
    size_t bytes; /* 0: there is none */
    uint64_t reciprocal;
    uint32_t *scratch; /* the pass's */
    const struct gari__side *side;
    struct gari__block *block;
    const struct gari__shape *shape;
};

/* References to be looked up together (distant.h). None between sections. */
#define GARI__DISTANT 32u
struct gari__distant {
    unsigned count;
    gari_object *target[GARI__DISTANT];
};

/* Most edges that leave a young pass lead to old objects far away, of whose blocks nothing is in the cache.
 * So that they need not be looked at to know that the pass is not there, it notes, a bit each, in which
 * windows of memory its touched blocks lie; windows so far apart that they share a bit are taken for one. */
#define GARI__WINDOW_SHIFT 16
#define GARI__WINDOWS 32768u

struct gari__pass {
    int which; /* GARI__YOUNG or GARI__OLD */
    enum gari__phases phase;
    int generation;       /* for the statistics */
    bool whole;           /* only what was permanent is outside: who is found live may be dropped */
    uint64_t since;       /* objects born in this epoch or later are inside, */
    uint64_t epoch;       /* before this one */
    uint64_t young_since; /* where generation 2 ends: older candidates are none of a young pass's */
    uint64_t frozen;      /* what was born before this epoch is permanent; 0: nothing is */
    uint64_t rest_ns;     /* until this time it rests, for it is */
    bool paced;           /* for candidates that have waited long, and may take long */
    bool asked;           /* by a callback */
    bool announced;       /* its start has been noted, and its stop is to be */

    struct gari__queue queue;
    struct gari__near near;
    struct gari__distant distant;
    struct gari__block *touched;          /* blocks with a scratch array, through touched_next; */
    uint64_t windows[GARI__WINDOWS / 64]; /* where they lie, */
    size_t blocks;                        /* how many they are, */
    size_t seeded;                        /* and how many of them because of a candidate */
    bool out_of_memory;                   /* give up, keep the candidates */
    bool memory_short;                    /* some table could not grow; see tables.c */
    bool began_taking, has_taken;         /* SEEDING: the dirty blocks */
    bool keeps_young, keeps_old;          /* SEEDING: so far, the block does */
    bool has_left;                        /* SEEDING: candidates, for the sweep that is to come */
    bool has_seeds;                       /* some have been taken */
    size_t far;                           /* GATHER: edges that led out of the block in hand */
    bool spilled;   /* GATHER: for want of room some objects are not in the queue */
    bool undecided; /* some members were given up */
    bool tagged;    /* the weak references to members carry tags */

    /* Where the phase is in the blocks and slots, or in the members. */
    struct gari__block *block;
    size_t member;
    uint32_t slot;

    unsigned attempts;
    struct gari__member *members;
    size_t member_count, member_room;
    size_t kept;       /* COMPACT: members that stay, so far */
    size_t matched;    /* members for each of whose references V2 has found an edge */
    size_t unmatched;  /* V3: so many others are still to be met, at most */
    bool members_full; /* SCAN: there was no room for one more */
    bool demoted;      /* SCAN has found a member to be live after all */
    bool failed;       /* in this round of the proof */
    bool
        hesitant; /* V2: an object's traverse has failed for the first time; what it named is not marked */
    bool names;     /* V2: what the object in hand refers to is to be marked as named */
    bool counted;   /* V2 is over, and no grace period has begun: see compact in proof.c; */
    bool recount;   /* but what has left the set may have edges into it that nobody has looked at */
    bool may_sweep; /* young: if the candidates' blocks allow it */
    bool swept;     /* it has */
    bool callbacks; /* some members' types have dispose or reclaim */
    bool sift;      /* some members may not be taken apart */
    bool sifted;    /* since the last V1: those have been taken out, */
    bool split;     /* what is to be finalized has been put aside, */
    bool reported;  /* the rest has been shown or saved, as the debug flags want it */
    unsigned debug; /* the flags, from the proof's end on */
    size_t stuck;   /* how many members may not be taken apart themselves */
    uint64_t words; /* of all members, as SCAN or V1 saw them, ored: which flags there are */
    enum gari__phases next; /* UNTAG: what comes after it */
    /* A set that has been finalized: each of held_count members has a reference of ours (held: 1). Those
     * that the proof refuses come after the others in the array. */
    uint32_t held;
    size_t held_count;
    size_t committed;               /* those that are ours, and need no release */
    size_t released;                /* those of the rest that have been released */
    size_t aside_count;             /* SPLIT, SET_ASIDE: members that are to be put aside */
    struct gari__finalize_set *set; /* where they go */
    struct gari__callback *calls;   /* to be queued at the end */
    uint64_t ticket;
    uint64_t looked_ns;        /* when the last look at all the words began, */
    uint64_t looked_before_ns; /* and the one before it; */
    uint64_t look_end_ns;      /* when the last one ended */
    size_t look;               /* how far the look in progress is; member_count: there is none */

    uint64_t begun_ns;
    uint64_t live_bytes; /* when it began */
    uint64_t candidates, examined, collected, collected_bytes, uncollectable;
};

enum gari__progress {
    GARI__MORE,    /* the budget is used up */
    GARI__WAITING, /* for the grace period of pass->ticket */
    GARI__BLOCKED, /* the other pass has a proof open: finish that first */
    GARI__FINISHED /* the pass is idle; its figures are there to be read */
};

/* Begins a pass over the objects born before the current epoch, in epoch `since` or later, but for
 * those born before `frozen`. */
void gari__pass_begin(struct gari__pass *pass, int generation, uint64_t since, uint64_t young_since,
                      uint64_t frozen);

/* The pass that is at work. Under the collector's lock. */
extern struct gari__pass *gari__pass_stepping;

/* Works for about `budget` edges. */
enum gari__progress gari__pass_step(struct gari__pass *pass, struct gari__object_thread *self,
                                    size_t budget);

/* Ends a pass that has no proof open; its candidates are kept. */
void gari__pass_abandon(struct gari__pass *pass);

static inline bool gari__pass_in_proof(const struct gari__pass *pass)
{
    return pass->phase >= GARI__V1 && pass->phase <= GARI__CLEAR;
}

/* ---- tables.c ---- */

/* Make room for more; false: there is no memory, and the pass has to do without. */
bool gari__queue_grow(struct gari__pass *pass);
bool gari__members_grow(struct gari__pass *pass);
/* Gives the block its scratch array, or returns NULL; then the pass stays undecided. The caller keeps
 * the block from being released. */
uint32_t *gari__scratch_new(struct gari__pass *pass, struct gari__block *block);
/* When the block does not have it any more. */
void gari__scratch_free(uint32_t *scratch);
/* Whether the pass should take more candidates: not if it lives on the reserve, and they have their
 * share of it. */
bool gari__tables_take_seeds(const struct gari__pass *pass);
/* Whether there has been a pass that was short of memory, and no whole one since that was not. */
bool gari__tables_were_short(void);
/* The pass is over. */
void gari__tables_end(struct gari__pass *pass);

/* ---- sweep.c ---- */

/* Whether everything young in the block may be looked at, beside the candidates. */
bool gari__may_be_swept(struct gari__block *block);
/* The candidates' blocks are the touched ones, and may all be swept. Returns the phase to go on with, which is
 * GATHER if they may not after all. */
enum gari__phases gari__sweep_begin(struct gari__pass *pass);

/* ---- between trace.c, proof.c, subtract.c and reap.c (and walk.h) ---- */

/* Begins the proof's V2 on the members as they are; V1, or SCAN or SWEEP in its place, is over. */
void gari__proof_begin(struct gari__pass *pass);

/* An object leaves the set of members; what it refers to is still to be looked at. */
void gari__proof_exclude(struct gari__pass *pass, gari_object *object, uint32_t *state);
/* V2: counts the members' edges (subtract.c). More than 0 is left when all are counted. */
size_t gari__proof_subtract(struct gari__pass *pass, size_t budget);

/* The phases; each returns what is left of the budget and moves pass->phase on when it is done. */
size_t gari__phase_seed(struct gari__pass *pass, size_t budget);
size_t gari__phase_gather(struct gari__pass *pass, size_t budget);
size_t gari__phase_scan(struct gari__pass *pass, size_t budget);
size_t gari__phase_sweep(struct gari__pass *pass, size_t budget);
size_t gari__phase_proof(struct gari__pass *pass, size_t budget);
size_t gari__phase_sift(struct gari__pass *pass, size_t budget);
size_t gari__phase_reclaim(struct gari__pass *pass, struct gari__object_thread *self,
                           size_t budget);
size_t gari__phase_commit(struct gari__pass *pass, size_t budget);
size_t gari__phase_dispose(struct gari__pass *pass, struct gari__object_thread *self,
                           size_t budget);
size_t gari__phase_drop(struct gari__pass *pass, struct gari__object_thread *self, size_t budget);
size_t gari__phase_end(struct gari__pass *pass, struct gari__object_thread *self, size_t budget);

/* RC has succeeded, or one of the phases that may follow it is over: begins the next. */
void gari__proof_next(struct gari__pass *pass);
/* Takes all tags back at once. */
void gari__proof_untag(struct gari__pass *pass);

/* ---- aside.c ---- */

size_t gari__phase_readmit(struct gari__pass *pass, size_t budget);
size_t gari__phase_split(struct gari__pass *pass, size_t budget);
size_t gari__phase_set_aside(struct gari__pass *pass, size_t budget);
size_t gari__phase_clear(struct gari__pass *pass, size_t budget);
/* Gives back the references to what was aside and lives. */
size_t gari__aside_release(struct gari__pass *pass, struct gari__object_thread *self,
                           size_t budget);

/* Begins a pass over a set whose finalizers have run. */
void gari__pass_resume(struct gari__pass *pass, struct gari__finalize_set *set);
/* The next such set, or NULL; whether there is one. */
struct gari__finalize_set *gari__aside_take(void);
bool gari__aside_any(void);
/* Calls visit for every object of such a set, for the heap's check. */
void gari__aside_walk(void (*visit)(const gari_object *object, void *arg), void *arg);
/* Waits until no set's finalizers are still to run, or the time is up. */
void gari__aside_wait(uint64_t ns);

/* Whether the proof can do nothing until its grace period has passed. */
bool gari__proof_waits(const struct gari__pass *pass);

#endif
