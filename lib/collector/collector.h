/* The collector as a whole: its lock, its two passes, when they begin and who drives them. */
#ifndef GARI_COLLECTOR_COLLECTOR_H
#define GARI_COLLECTOR_COLLECTOR_H

#include "lib/collector/pass.h"

/* Memory that is allocated between two young collections when they would otherwise follow each other
 * too closely. */
#define GARI__NURSERY_BYTES ((uint64_t)1 << 19)
#define GARI__YOUNG_INTERVAL_NS 10000000u
/* A candidate older than this is collected whether or not anything grows. Its age is known in steps
 * of a tick: each begins an epoch. */
#define GARI__PATIENCE_NS 1000000000u
#define GARI__PATIENCE_TICKS 4u
/* The share of time that whole passes for such candidates take, unless the heap has grown: one in so many
 * parts. */
#define GARI__PATIENCE_SHARE 20u

struct gari__schedule {
    int threshold[3]; /* atomically */
    bool enabled;     /* atomically */
    unsigned pauses;  /* atomically */
    uint64_t frozen;  /* what was born before this epoch is permanent; 0: nothing is; atomically */
    /* Objects of generation 0 were born in epoch began[0] or later, of generation 1 in began[1] or
     * later; [2]: when the last whole pass began. Atomically. */
    uint64_t began[3];
    uint64_t count[3]; /* [0] unused: see gari__schedule_net; atomically */
    /* Net tracked allocations when the last collection began: what gari_get_count shows. And when
     * the last one began that was not asked for, or was of everything: what the trigger goes by, so
     * that no number of calls of gari_collect(0) keeps the older generations from their turn. Both
     * atomically. */
    uint64_t shown_base, base;
    uint64_t base_bytes; /* bytes allocated when the last collection began; atomically */
    uint64_t young_ns;   /* when the one of `base` began; atomically */
    uint64_t cohort;     /* old passes begun since the last whole one */
    uint64_t whole_live; /* bytes that the last whole pass left alive; atomically */
    uint64_t known_live; /* the same, or more, when there was no candidate since */
    uint64_t old_began;  /* bytes alive when the last old pass began; atomically */
    /* What the last collection of generation 0 was of: */
    uint64_t young_born; /* tracked objects that were made, ever, when it began, */
    uint64_t young_died; /* and that had died by their counts; */
    uint64_t
        young_alive; /* about so many of those made before it and after the one before were alive */
    bool fruitful;   /* it found at least half of those to be garbage, most of it near candidates */
    uint64_t restamped; /* the epoch of the last gari__restamp; atomically */
    int queued;         /* a generation asked for by a callback, or -1 */
    /* The epochs that began at the last ticks of the patience clock, oldest first. */
    uint64_t tick_epoch[GARI__PATIENCE_TICKS];
    uint64_t tick_ns;
    uint64_t patience_ns; /* the last look for candidates that have waited long */
    bool tried_young;     /* a young collection has been made for the sake of those that wait */
    uint64_t tried_ns;    /* when the last collection was made for their sake */
};

struct gari__collector {
    /* Passes, seeds, schedule's writers. Held across grace periods and callbacks, so no call that is
     * allowed in a read section may wait for it, and no fork: in the child it is made anew. */
    pthread_mutex_t lock;
    /* Its holder has this one besides, but in those waits and callbacks: then the passes are as between
     * two slices, and whoever comes may go on with them. */
    pthread_mutex_t slice;
    bool calling; /* the holder is in a callback; atomically */
    struct gari__pass pass[GARI__PASSES];
    bool open;          /* one of them is not idle: a hint for mutators; atomically */
    bool old_open;      /* the old one is */
    uint64_t wanted_ns; /* since when the background thread waits for the lock, or 0; atomically */
    bool old_turn;      /* of two that are open, the old one is next; under the lock */
    struct gari__schedule schedule;
    gari_generation_stats stats[3]; /* written under the lock, read without: atomically */
    gari_mode mode;
    size_t limit;          /* atomically */
    uint64_t longest_wait; /* atomically */
    uint64_t helped;       /* atomically */
    uint64_t swept; /* collections of generation 0 that have swept; atomically; for the tests */
    bool used;      /* since the last shutdown; atomically */
};

extern struct gari__collector gari__collector;

static inline void gari__collector_lock(void)
{
    gari__section_prepare();
    pthread_mutex_lock(&gari__collector.lock);
    gari__mutex_lock(&gari__collector.slice);
}

static inline bool gari__collector_trylock(void)
{
    gari__section_prepare();
    if (pthread_mutex_trylock(&gari__collector.lock) != 0)
        return false;
    gari__mutex_lock(&gari__collector.slice);
    return true;
}

static inline void gari__collector_unlock(void)
{
    gari__mutex_unlock(&gari__collector.slice);
    pthread_mutex_unlock(&gari__collector.lock);
}

/* The lock's holder waits, or `calling`: calls what may block; and comes back. */
static inline void gari__collector_rest(bool calling)
{
    gari__store_release(&gari__collector.calling, calling);
    gari__mutex_unlock(&gari__collector.slice);
}

static inline void gari__collector_resume(void)
{
    gari__mutex_lock(&gari__collector.slice);
    gari__store_relaxed(&gari__collector.calling, false);
}

/* ---- schedule.c; under the lock unless it says otherwise ---- */

/* Tracked objects alive, and bytes allocated, as the trigger counts them. Any thread. */
uint64_t gari__schedule_net(uint64_t *allocated_bytes);
/* The generation whose collection is due now, or -1; sets *whole for generation 2. */
int gari__schedule_due(bool *whole);
/* The same for candidates that have waited too long, or at all. */
int gari__schedule_impatient(bool at_once, bool *whole);
/* `asked`: by a call, perhaps of a callback. Returns the pass. */
struct gari__pass *gari__schedule_begin(int generation, bool whole, bool asked);
/* Whether the heap has grown by a quarter since a whole pass last found what is alive. */
bool gari__schedule_has_grown(void);
/* Counts the epoch up, and brings stamps up before they wrap. */
void gari__schedule_new_epoch(void);
/* Whether a collection that begins now may do that, which takes long. Any thread. */
bool gari__schedule_restamps_soon(void);
/* Books a finished pass. */
void gari__schedule_finished(struct gari__pass *pass);
/* By how many bytes mutators have outrun the collector: what was allocated since the last collection
 * began beyond a nursery, or the growth that an open old pass is late for. Any thread. */
uint64_t gari__schedule_debt(void);
/* The second of these. Any thread. */
bool gari__schedule_old_is_late(void);
/* Sets the thread's next alarm; true when a collection is due. Any thread. */
bool gari__schedule_check(struct gari__object_thread *self);

/* ---- collector.c ---- */

/* Whether the call may wait for a grace period and for the collector's lock. Not in a type's callback;
 * and not on the shared record, for which a thread in a read section may be waiting. */
bool gari__may_wait(const struct gari__object_thread *self);
/* Whether it may also begin a collection: not from the report of another. */
bool gari__may_collect(const struct gari__object_thread *self);
/* 0 to 2, or GARI_PERMANENT. Any thread. */
int gari__generation_of(const struct gari__block *block, uint32_t slot);

/* ---- drive.c ---- */

enum gari__slice { GARI__SLICE_IDLE, GARI__SLICE_WORKED, GARI__SLICE_WAITS, GARI__SLICE_RESTS };
/* One slice of whatever pass is open or due. `begin`: also starts what is due; `eager`: also for
 * candidates that nobody waits for, and without rests. Under the lock. *ticket: what SLICE_WAITS waits
 * for. SLICE_RESTS: the pass that is open has had its share of time, until pass->rest_ns. */
enum gari__slice gari__drive_slice(struct gari__object_thread *self, size_t budget, bool begin,
                                   bool eager, uint64_t *ticket);
/* A whole collection, from beginning to end, on the calling thread. Takes the lock. */
uint64_t gari__drive_collection(struct gari__object_thread *self, int generation);
/* Works on until no proof is open. Under the lock. */
void gari__drive_proofs(struct gari__object_thread *self);
/* Ends what is open: a pass without a proof is given up, its candidates kept; another one finished.
 * Under the lock. */
void gari__drive_idle(struct gari__object_thread *self);
/* What threads keep is given back, and what dies of it taken apart. */
void gari__drive_kept(struct gari__object_thread *self);
/* What follows from it where there are finalizers: runs those that are queued (by_hand) or waits a moment
 * for the thread that does, and proves what they have left. Returns the number of objects freed. */
uint64_t gari__drive_finalizers(struct gari__object_thread *self, bool by_hand);
/* Works off deaths and limbo until nothing is left or, after a few rounds, others keep it going. */
void gari__drive_tidy(struct gari__object_thread *self);

/* ---- For fork.c: before it, and in the child ---- */

void gari__aside_before_fork(void);
void gari__aside_after_fork(size_t outstanding);
/* How long a fork waits for callbacks that are running on other threads. */
#define GARI__FORK_PATIENCE_NS 50000000u
/* Waits until the background thread has nothing in hand; true when it is kept from taking more. */
bool gari__worker_hands_before_fork(void);
void gari__worker_hands_after_fork(void);
void gari__worker_before_fork(void);
void gari__worker_after_fork(void);
void gari__finalizer_thread_before_fork(void);
void gari__finalizer_thread_after_fork(void);
/* fork.c: has fork() seen to. Once. */
void gari__fork_setup(void);

/* ---- worker.c ---- */

/* Edges in one slice of the background thread, between two moments at which others get the lock. */
#define GARI__WORKER_BUDGET 8192u

/* Starts the threads that the mode asks for, once; any thread. */
void gari__worker_ensure(const char *call);
/* Stops them, and keeps them from being started again until gari__worker_allow. */
void gari__worker_stop(void);
void gari__worker_allow(void);
/* Odd while the background thread is at work and may have dead objects in hand; counts up at each
 * beginning and end, so that an even number that stays the same says that it had none. */
uint64_t gari__worker_turns(void);
bool gari__worker_barred(void);
/* Whether there is a background thread, whether it waits for a kick or its time, and whether it has been
 * kicked and not seen it yet. Hints. */
bool gari__worker_exists(void);
bool gari__worker_sleeps(void);
bool gari__worker_kicked(void);
/* Wakes the background thread. */
void gari__worker_kick(void);
/* Whether the background thread, which goes first, is coming for the lock: a mutator that took it
 * between two of its slices would put it to sleep, and do alone what two can do side by side. It is
 * not if the cores are so busy that it has been waiting for long. */
bool gari__worker_wants_lock(uint64_t now);
/* A mutator has just freed what died late: for a while the background thread leaves limbo to such. */
void gari__worker_leave_limbo(uint64_t now);
/* After a turn at the passes by somebody else, without the lock: wakes the thread if it sleeps for good beside
 * what he has left. */
void gari__worker_remind(void);

/* ---- finalize.c ---- */

/* Whether whoever asks for a collection calls the finalizers himself: there is no thread for them, and
 * the service has not taken it upon itself. */
bool gari__finalizers_by_hand(void);
/* Tries again to start a finalizer thread that was refused, now and then. Whether there still is none. */
bool gari__finalizers_retry(void);
/* Stops the finalizer thread; waits for the finalizer that it is in. */
void gari__finalizers_stop(void);

#endif
