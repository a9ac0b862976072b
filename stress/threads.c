/* threads: threads that come and go.
 *
 * Invariant: a thread that exits leaves nothing behind: what it dropped or had free goes to
 * others; records of threads are reused; destructors of thread-local values may still use gari,
 * also after the thread was detached. Each worker starts one short-lived thread after another; each
 * of these builds cycles, exchanges them through a shared table, and keeps a few references in a
 * thread-local value whose destructors give them back over several rounds.
 *
 * A violation looks like: more threads attached than there are; memory that grows with the number
 * of threads that have been; garbage that nobody finds because its thread is gone. */
#include "stress/shadow.h"

#include <pthread.h>
#include <stdlib.h>

#define TABLE 32
#define KEPT 6
#define MOST_HEAP ((uint64_t)128 << 20)
/* Those of gari's own that may be attached, and the main thread. */
#define OTHERS 6u

struct cell;
typedef GARI_REF(struct cell) cell_ref;
struct cell {
    gari_object header;
    struct stress_tag tag;
    cell_ref left, right;
};

static void dispose(void *self)
{
    struct cell *cell = self;
    stress_tag_die(&cell->tag);
}

static const gari_type cell_type =
    GARI_TYPE(struct cell, .refs = GARI_REFS(struct cell, left, right), .dispose = dispose);

static cell_ref table[TABLE];
static pthread_key_t early_key, late_key;
static uint64_t lives_lived;  /* atomically */
static uint64_t most_threads; /* atomically */

/* One short life; the thread-local value. */
struct life {
    struct stress_worker dice;
    struct cell *kept[KEPT];
    unsigned rounds;
};

static struct cell *make(void)
{
    struct cell *cell = STRESS_NEW(&cell_type);
    stress_tag_bear(&cell->tag);
    return cell;
}

static struct cell *make_ring(struct stress_worker *dice)
{
    struct cell *first = make(), *last = first;
    for (unsigned i = stress_below(dice, 6); i > 0; i--) {
        struct cell *cell = make();
        gari_store(&cell->right, first);
        gari_init(&last->left, cell);
        last = cell;
    }
    gari_store(&last->left, first);
    return first;
}

static void drop_kept(struct life *life)
{
    struct cell **kept = &life->kept[life->rounds % KEPT];
    if (*kept)
        stress_tag_alive(&(*kept)->tag, 0, "in a destructor");
    gari_decref(*kept);
    *kept = NULL;
}

/* One of the keys was made before gari's own, one after. Several rounds, so that some come after
 * the detach for certain. */
static void drop_some(struct life *life, pthread_key_t key)
{
    drop_kept(life);
    struct cell *fresh = make();
    gari_move(&fresh->left, gari_load(&table[stress_below(&life->dice, TABLE)]));
    gari_move(&table[stress_below(&life->dice, TABLE)], fresh);
    if (++life->rounds < KEPT) {
        pthread_setspecific(key, life);
        return;
    }
    for (; life->rounds < 2 * KEPT; life->rounds++)
        drop_kept(life);
    free(life);
}

static void at_exit_early(void *arg)
{
    struct life *life = arg;
    /* From here on it is the other key's. */
    drop_kept(life);
    life->rounds++;
    pthread_setspecific(late_key, life);
}

static void at_exit_late(void *arg)
{
    struct life *life = arg;
    /* The C library goes round four times at most, of which ThreadSanitizer takes the last. */
    if (life->rounds >= 2)
        life->rounds = KEPT;
    drop_some(life, late_key);
}

static void *live(void *arg)
{
    struct life *life = arg;
    struct stress_worker *dice = &life->dice;
    for (unsigned i = stress_below(dice, 40); i > 0; i--) {
        struct cell *ring = make_ring(dice);
        cell_ref *place = &table[stress_below(dice, TABLE)];
        switch (stress_below(dice, 4)) {
        case 0:
            gari_decref(ring);
            break;
        case 1:
            gari_move(place, ring);
            break;
        case 2: {
            struct cell *old = gari_exchange(place, ring);
            struct cell **kept = &life->kept[stress_below(dice, KEPT)];
            gari_decref(*kept);
            *kept = old;
            break;
        }
        default:
            gari_store(&ring->right, NULL);
            gari_move(&ring->right, gari_take(place));
            gari_decref(ring);
        }
    }
    gari__fetch_add_relaxed(&lives_lived, 1);
    if (stress_once_in(dice, 8)) {
        /* No destructors: the references are given back before. */
        for (int i = 0; i < KEPT; i++)
            gari_decref(life->kept[i]);
        free(life);
    } else {
        pthread_setspecific(stress_once_in(dice, 2) ? early_key : late_key, life);
    }
    return NULL;
}

static void note_threads(void)
{
    uint64_t threads = stress_stats().threads;
    uint64_t most = gari__load_relaxed(&most_threads);
    while (threads > most && !gari__cas_acq_rel(&most_threads, &most, threads))
        continue;
}

static void work(struct stress_worker *worker)
{
    while (stress_tick(worker)) {
        struct life *life = calloc(1, sizeof *life);
        pthread_t thread;
        if (!life)
            stress_fail("no memory");
        life->dice.random = stress_random(worker) | 1;
        if (pthread_create(&thread, NULL, live, life) != 0)
            stress_fail("the system gives no thread");
        if (stress_once_in(worker, 16)) {
            note_threads();
            gari_store(&table[stress_below(worker, TABLE)], NULL);
        }
        if (stress_once_in(worker, 64))
            gari_collect((int)stress_below(worker, 3));
        pthread_join(thread, NULL);
    }
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 3, "threads that come and go");
    if (pthread_key_create(&early_key, at_exit_early) != 0)
        stress_fail("no thread-local value");
    gari_decref(gari_load(&table[0]));
    stress_stats();
    if (pthread_key_create(&late_key, at_exit_late) != 0)
        stress_fail("no thread-local value");
    stress_run(stress.threads, work);

    uint64_t most = gari__load_relaxed(&most_threads);
    stress_check(most <= 2 * stress.threads + OTHERS,
                 "threads are detached: %lu have lived, at most %lu at once",
                 (unsigned long)gari__load_relaxed(&lives_lived), (unsigned long)most);
    stress_check(stress_stats().threads <= OTHERS, "no thread is left attached: %lu are",
                 (unsigned long)stress_stats().threads);
    uint64_t peak = stress_stats().heap_peak_bytes;
    stress_check(peak <= MOST_HEAP, "memory stays bounded: %lu KB at most",
                 (unsigned long)(peak >> 10));
    for (int i = 0; i < TABLE; i++)
        gari_store(&table[i], NULL);
    stress_settle(0);
    stress_check_shadow(0);
    return stress_end();
}
