/* A pass: one collection as a machine that does its work in slices.
 *
 *   SEED     takes the candidates it may look at; clears their bits first
 *   GATHER   walks what they reach, counting the edges found to each object
 *   SCAN     objects with more references than edges are held from outside: they, and what they
 *            reach, are marked live
 *   MEMBERS  the rest is suspected; everything so far was a guess
 *   V1 V2 V3 GRACE RC   the proof of docs/protocol.md, repeated on less when it fails
 *   COMMIT   counts go to zero; the proof closes
 *   DISPOSE DROP        callbacks; edges that leave the set; memory
 *   END      tables go back; candidates without a verdict are kept
 *
 * Two passes can be open side by side: one over young objects, one over old. At most one of them has
 * a proof open. Everything here happens under the collector's lock; between slices no read section
 * is open. Per-object state is one 32-bit word in a scratch array that each touched block gets for
 * the length of the pass. */
#ifndef GARI_COLLECTOR_PASS_H
#define GARI_COLLECTOR_PASS_H

#include "lib/object/self.h"

/* A scratch word: marks, and the edges counted so far. */
#define GARI__REACHED ((uint32_t)1 << 31)
#define GARI__LIVE ((uint32_t)1 << 30)
#define GARI__MEMBER ((uint32_t)1 << 29)
#define GARI__SEED ((uint32_t)1 << 28)
#define GARI__EDGES_MASK (GARI__SEED - 1)

enum gari__phases {
    GARI__IDLE,
    GARI__SEEDING,
    GARI__GATHER,
    GARI__SCAN,
    GARI__MEMBERS,
    GARI__V1,
    GARI__V2,
    GARI__V3,
    GARI__GRACE,
    GARI__RC,
    GARI__COMMIT,
    GARI__DISPOSE,
    GARI__DROP,
    GARI__END
};

struct gari__member {
    gari_object *object;
    uint64_t word; /* as V1 saw it */
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

struct gari__pass {
    int which; /* GARI__YOUNG or GARI__OLD */
    enum gari__phases phase;
    int generation;       /* for the statistics */
    bool whole;           /* nothing is outside: a candidate found live may be dropped */
    uint64_t since;       /* objects born in this epoch or later are inside, */
    uint64_t epoch;       /* before this one */
    uint64_t young_since; /* where generation 2 ends: older candidates are none of a young pass's */

    struct gari__queue queue;
    struct gari__block *touched; /* blocks with a scratch array, through touched_next */
    bool out_of_memory;          /* give up, keep the candidates */
    bool undecided;              /* some members were given up */

    /* Where the phase is in the blocks and slots, or in the members. */
    struct gari__block *block;
    uint32_t slot;
    size_t member;

    struct gari__member *members;
    size_t member_count, member_room;
    unsigned attempts;
    bool failed; /* in this round of the proof */
    uint64_t ticket;
    uint64_t looked_ns; /* when the last look at the words began */
    size_t look;        /* how far the look in progress is; member_count: there is none */

    uint64_t begun_ns;
    uint64_t candidates, examined, collected;
};

enum gari__progress {
    GARI__MORE,    /* the budget is used up */
    GARI__WAITING, /* for the grace period of pass->ticket */
    GARI__BLOCKED, /* the other pass has a proof open: finish that first */
    GARI__FINISHED /* the pass is idle; its figures are there to be read */
};

/* Begins a pass over the objects born before the current epoch, in epoch `since` or later. */
void gari__pass_begin(struct gari__pass *pass, int generation, uint64_t since,
                      uint64_t young_since);

/* Works for about `budget` edges. */
enum gari__progress gari__pass_step(struct gari__pass *pass, struct gari__object_thread *self,
                                    size_t budget);

/* Ends a pass that has no proof open; its candidates are kept. */
void gari__pass_abandon(struct gari__pass *pass);

static inline bool gari__pass_in_proof(const struct gari__pass *pass)
{
    return pass->phase >= GARI__V1 && pass->phase <= GARI__COMMIT;
}

/* Collections begun so far: the current epoch. Objects born now carry its low bits. */
extern uint64_t gari__epoch;
/* Counts it up. */
void gari__epoch_advance(void);

/* Whether an object with that stamp was born in an earlier epoch than that one. */
static inline bool gari__born_before(uint16_t stamp, uint64_t epoch)
{
    return (int16_t)(uint16_t)((uint16_t)epoch - stamp) > 0;
}

/* A stamp is 16 bits of the epoch. Once in GARI__RESTAMP_EVERY epochs, before one could wrap and make
 * an old object young again, all stamps are brought up: of generation 2 (born before epoch
 * `boundary`) to an age that is as good as any larger one, of the younger ones to at most
 * GARI__BOUNDARY_AGE; a boundary that is older than that moves there too, so that nothing changes
 * its generation. Costs a pass over 4 bytes an object. */
#define GARI__RESTAMP_EVERY 4096u
#define GARI__BOUNDARY_AGE 8192u
void gari__restamp(uint64_t boundary);

/* ---- between trace.c, proof.c and reap.c ---- */

/* Puts the object on the queue. */
void gari__queue_push(struct gari__pass *pass, gari_object *object);
/* The next object, or NULL. */
gari_object *gari__queue_pop(struct gari__queue *queue);

/* The object's scratch word, or NULL when its block has none. */
static inline uint32_t *gari__scratch_at(const struct gari__pass *pass, gari_object *object,
                                         struct gari__block **block)
{
    *block = gari__block_of(object);
    uint32_t *scratch = gari__load_relaxed(&(*block)->scratch[pass->which]);
    return scratch ? &scratch[gari__slot_of(*block, object)] : NULL;
}

/* The phases; each returns what is left of the budget and moves pass->phase on when it is done. */
size_t gari__phase_seed(struct gari__pass *pass, size_t budget);
size_t gari__phase_gather(struct gari__pass *pass, size_t budget);
size_t gari__phase_scan(struct gari__pass *pass, size_t budget);
size_t gari__phase_members(struct gari__pass *pass, size_t budget);
size_t gari__phase_proof(struct gari__pass *pass, size_t budget);
size_t gari__phase_commit(struct gari__pass *pass, size_t budget);
size_t gari__phase_dispose(struct gari__pass *pass, struct gari__object_thread *self,
                           size_t budget);
size_t gari__phase_drop(struct gari__pass *pass, struct gari__object_thread *self, size_t budget);
size_t gari__phase_end(struct gari__pass *pass, size_t budget);

/* Whether the proof can do nothing until its grace period has passed. */
bool gari__proof_waits(const struct gari__pass *pass);

/* Walks some edges of the object in hand in one read section, if it is alive in it. Returns the number
 * of edges that it cost, and sets queue->current to NULL when the object is done. */
size_t gari__walk_some(struct gari__pass *pass, gari_visit visit);

#endif
