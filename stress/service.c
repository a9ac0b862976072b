/* service: what make soak watches: a service that is treated badly.
 *
 * Sessions, each a thread of its own, share an index (a map, a list, roots) and leave cycles behind.
 * Memory is limited, and now and then somebody hoards until there is none; of what gari asks the system
 * for some is refused, in bursts. Invariants: a call that is refused says so and changes nothing; nobody
 * is handed an object that has died; and when all is over nothing is left. Each call's time is taken.
 *
 * A violation looks like: a dead tag, objects left, a heap above its limit, no refusals at all. */
#include "concurrency/clock.h"
#include "concurrency/fault.h"
#include "lib/gari_containers.h"
#include "stress/common.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

enum { ROOTS = 64, KEYS = 512, HELD = 8, SESSION = 600, LIST_LENGTH = 400, HOARD = 4096 };
#define LIMIT ((size_t)48 << 20)
#define ALIVE 0x616c6976u
#define DEAD 0x64656164u

/* ---- How long calls take ------------------------------------------------------------------ */

/* Eight buckets for each power of two of nanoseconds. */
#define BUCKETS (64 * 8)
static uint64_t histogram[BUCKETS], longest_ns; /* atomically */

static void took(uint64_t begin)
{
    uint64_t ns = gari__now_ns() - begin;
    unsigned power = 63u - (unsigned)__builtin_clzll(ns | 8);
    gari__fetch_add_relaxed(&histogram[power * 8 + (ns >> (power - 3) & 7)], 1);
    uint64_t longest = gari__load_relaxed(&longest_ns);
    while (ns > longest && !gari__cas_acq_rel(&longest_ns, &longest, ns))
        ;
}

/* The time within which all calls but one in 10,000 have returned. */
static uint64_t most_ns(void)
{
    uint64_t calls = 0, beyond = 0;
    for (unsigned i = 0; i < BUCKETS; i++)
        calls += gari__load_relaxed(&histogram[i]);
    unsigned i = BUCKETS;
    while (i > 24 && beyond <= calls / 10000)
        beyond += gari__load_relaxed(&histogram[--i]);
    return (uint64_t)(8 + i % 8 + 1) << (i / 8 - 3);
}

/* ---- Objects ------------------------------------------------------------------------------ */

struct entry {
    gari_object header;
    unsigned tag;
    char payload[36];
    gari_ref left, right;
};

static uint64_t refused, sessions, faults_met; /* atomically */

static void dispose(void *self)
{
    struct entry *entry = self;
    if (gari__exchange_acq_rel(&entry->tag, DEAD) != ALIVE)
        stress_fail("an entry is disposed of twice");
}

static const gari_type entry_type =
    GARI_TYPE(struct entry, .refs = GARI_REFS(struct entry, left, right), .dispose = dispose);
/* The same without callbacks, which the collector frees in another way. */
static const gari_type quiet_type =
    GARI_TYPE(struct entry, .refs = GARI_REFS(struct entry, left, right));

static gari_ref root[ROOTS], list_root, map_root;

static struct entry *check(void *object)
{
    struct entry *entry = object;
    if (entry && gari__load_acquire(&entry->tag) != ALIVE)
        stress_fail("an entry that is dead is given out: tag %x", entry->tag);
    return entry;
}

static bool refuses(int error)
{
    if (error == ENOMEM)
        gari__fetch_add_relaxed(&refused, 1);
    return error == ENOMEM;
}

static struct entry *make(const gari_type *type)
{
    uint64_t begin = gari__now_ns();
    struct entry *entry = gari_new(type);
    took(begin);
    if (!entry) {
        gari__fetch_add_relaxed(&refused, 1);
        return NULL;
    }
    if (entry->tag)
        stress_fail("a new entry is not zero");
    gari__store_release(&entry->tag, ALIVE);
    return entry;
}

static void drop(void *object)
{
    uint64_t begin = gari__now_ns();
    gari_decref((gari_object *)object);
    took(begin);
}

/* ---- One session -------------------------------------------------------------------------- */

struct session {
    struct stress_worker dice;
    struct entry *held[HELD];
};

static void hold(struct session *session, unsigned i, void *object)
{
    struct entry *old = session->held[i];
    session->held[i] = check(object);
    drop(old);
}

static void make_ring(struct session *session)
{
    const gari_type *type = stress_once_in(&session->dice, 2) ? &entry_type : &quiet_type;
    struct entry *first = make(type);
    for (unsigned i = stress_below(&session->dice, 20); first && i > 0; i--) {
        struct entry *next = make(type);
        if (!next)
            break;
        gari_move(&next->left, first);
        first = next;
    }
    struct entry *last = gari_incref(first);
    for (struct entry *next; last && (next = gari_load(&last->left)) != NULL; last = next)
        gari_decref(last);
    if (last)
        gari_store(&last->left, first);
    gari_decref(last);
    hold(session, stress_below(&session->dice, HELD), first);
}

static void use_index(struct session *session)
{
    struct stress_worker *dice = &session->dice;
    struct entry *mine = session->held[stress_below(dice, HELD)];
    unsigned to = stress_below(dice, HELD);
    gari_map *map = gari_load(&map_root);
    gari_list *list = gari_load(&list_root);
    gari_key key = gari_key_integer(stress_below(dice, KEYS));
    uint64_t begin = gari__now_ns();
    void *found = NULL;
    switch (stress_below(dice, 8)) {
    case 0:
        refuses(mine ? gari_map_put(map, key, mine) : 0);
        break;
    case 1:
    case 2:
        found = gari_map_get(map, key);
        break;
    case 3:
        found = gari_map_take(map, key);
        break;
    case 4:
        if (mine && gari_list_length(list) < LIST_LENGTH)
            refuses(gari_list_append(list, mine));
        break;
    case 5:
        found = gari_list_pop(list);
        break;
    case 6:
        found = gari_list_get(list, stress_below(dice, LIST_LENGTH));
        break;
    default:
        if (mine) {
            gari_weakref *weak = gari_weakref_new(mine, NULL, NULL);
            found = weak ? gari_weakref_get(weak) : NULL;
            if (weak && found != mine)
                stress_fail("a weak reference to what is held reads %p", found);
            gari_decref(weak);
        }
        break;
    }
    took(begin);
    hold(session, to, found);
    gari_decref(map);
    gari_decref(list);
}

static void *live(void *arg)
{
    struct session *session = arg;
    struct stress_worker *dice = &session->dice;
    for (unsigned i = stress_below(dice, SESSION); i > 0; i--) {
        struct entry *mine = session->held[stress_below(dice, HELD)];
        struct entry *other = session->held[stress_below(dice, HELD)];
        gari_ref *place = &root[stress_below(dice, ROOTS)];
        uint64_t begin;
        switch (stress_below(dice, 8)) {
        case 0:
            make_ring(session);
            break;
        case 1:
        case 2:
        case 3:
            use_index(session);
            break;
        case 4:
            begin = gari__now_ns();
            gari_store(place, mine);
            took(begin);
            break;
        case 5:
            hold(session, stress_below(dice, HELD), gari_load(place));
            break;
        case 6:
            if (mine) {
                begin = gari__now_ns();
                gari_store(stress_once_in(dice, 2) ? &mine->left : &mine->right, other);
                took(begin);
            }
            break;
        default:
            if (mine)
                hold(session, stress_below(dice, HELD), gari_load(&mine->right));
            break;
        }
    }
    for (unsigned i = 0; i < HELD; i++)
        hold(session, i, NULL);
    return NULL;
}

/* Takes what there is, in lists of large pieces, and gives it back. */
static void hoard(void)
{
    gari_ref *pieces[HOARD / 64];
    gari_array *arrays[HOARD / 64];
    unsigned taken = 0;
    for (; taken < HOARD / 64; taken++) {
        uint64_t begin = gari__now_ns();
        arrays[taken] = gari_array_new(HOARD * 32);
        took(begin);
        if (!arrays[taken])
            break;
        pieces[taken] = gari_array_at(arrays[taken], 0);
        gari_store(pieces[taken], arrays[taken]); /* a cycle */
    }
    if (taken < HOARD / 64)
        gari__fetch_add_relaxed(&refused, 1);
    else
        stress_fail("%u MB fit under a limit of %zu MB", taken, LIMIT >> 20);
    while (taken > 0)
        gari_decref(arrays[--taken]);
}

static void arm(struct stress_worker *worker)
{
    gari__fetch_add_relaxed(&faults_met, (uint64_t)gari__faults_met());
    long first = 1 + (long)stress_below(worker, 20);
    struct gari__faults faults = {
        .kinds = GARI__FAULT_ANY, .first = first, .last = first + (long)stress_below(worker, 30)};
    gari__faults_arm(&faults);
}

static void work(struct stress_worker *worker)
{
    while (stress_tick(worker)) {
        struct session session = {.dice = {.random = stress_random(worker) | 1}};
        pthread_t thread;
        if (pthread_create(&thread, NULL, live, &session) != 0)
            stress_fail("the system gives no thread");
        pthread_join(thread, NULL);
        gari__fetch_add_relaxed(&sessions, 1);
        if (worker->index == 0 && stress_once_in(worker, 4))
            arm(worker);
        if (worker->index == 1 && stress_once_in(worker, 400))
            hoard();
    }
}

static void report(FILE *file)
{
    fprintf(file, " sessions=%lu refused=%lu faults=%lu p9999_ns=%lu longest_ns=%lu",
            (unsigned long)gari__load_relaxed(&sessions),
            (unsigned long)gari__load_relaxed(&refused),
            (unsigned long)gari__load_relaxed(&faults_met), (unsigned long)most_ns(),
            (unsigned long)gari__exchange_acq_rel(&longest_ns, 0));
}

int main(int argc, char **argv)
{
    stress_report = report;
    stress_begin(argc, argv, 3,
                 "a service whose memory is limited and refused, and whose threads "
                 "come and go");
    gari_set_memory_limit(LIMIT);
    gari_move(&map_root, gari_map_new());
    gari_move(&list_root, gari_list_new());
    unsigned threads = stress.threads < 2 ? 2 : stress.threads;
    stress_run(threads, work);
    uint64_t peak = stress_stats().heap_peak_bytes;
    stress_check(peak <= LIMIT, "the heap kept to its limit: %lu bytes of %zu at most",
                 (unsigned long)peak, LIMIT);
    stress_check(gari__load_relaxed(&faults_met) > 0, "%lu requests were refused, %lu calls failed",
                 (unsigned long)gari__load_relaxed(&faults_met),
                 (unsigned long)gari__load_relaxed(&refused));
    gari__faults_arm(NULL);
    for (unsigned i = 0; i < ROOTS; i++)
        gari_store(&root[i], NULL);
    gari_store(&map_root, NULL);
    gari_store(&list_root, NULL);
    stress_settle(0);
    return stress_end();
}
