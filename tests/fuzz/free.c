/* The second flavour: the threads of a program run as they like, beside the collector's. What each
 * operation gives depends on the schedule, so only safety is watched while they run: nobody is handed
 * an object that has been disposed of. When they have ended, who must live is read off the heap itself:
 * counts have to be the edges found, and what was not reached must have been finalized, disposed of
 * and reclaimed, once each. */
#include "tests/fuzz/machine.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum { FREE_OBJECTS = 512, FREE_REGISTERS = 4, FREE_KEYS = 4, PATIENCE = 10000 /* ms */ };

struct being {
    gari_object header;
    int number;
    gari_ref field[3]; /* a, b, c: at fixed offsets, for GARI_REFS */
};

static struct {
    gari_object *address; /* NULL: not made yet */
    enum fuzz_kind kind;
    unsigned action;
    unsigned finalized, disposed, reclaimed;
    size_t edges; /* found at the end */
    bool reached;
} facts[FREE_OBJECTS];
static int beings;

static gari_ref root[ROOTS], weak_root[ROOTS], list_root, map_root;

static unsigned count_up(unsigned *what)
{
    return __atomic_add_fetch(what, 1, __ATOMIC_ACQ_REL);
}

static unsigned times(const unsigned *what)
{
    return __atomic_load_n(what, __ATOMIC_ACQUIRE);
}

/* Of an object that its caller owns. */
static struct being *check_alive(void *object, const char *call)
{
    struct being *being = object;
    if (!being)
        return NULL;
    int o = being->number;
    if (o < 0 || o >= __atomic_load_n(&beings, __ATOMIC_ACQUIRE) || facts[o].address != object)
        fuzz_fail("%s gives %p, which is no object", call, object);
    if (times(&facts[o].disposed))
        fuzz_fail("%s gives object %d, which has been disposed of", call, o);
    return being;
}

static void dispose_being(void *self)
{
    int o = ((struct being *)self)->number;
    if (facts[o].kind == FINAL && times(&facts[o].finalized) != 1)
        fuzz_fail("object %d is disposed of before it is finalized", o);
    if (count_up(&facts[o].disposed) != 1)
        fuzz_fail("object %d is disposed of twice", o);
}

static void reclaim_being(void *self)
{
    int o = ((struct being *)self)->number;
    if (times(&facts[o].disposed) != 1 || count_up(&facts[o].reclaimed) != 1)
        fuzz_fail("object %d is reclaimed twice, or alive", o);
}

static void finalize_being(void *self)
{
    struct being *being = self;
    int o = being->number;
    if (count_up(&facts[o].finalized) != 1 || times(&facts[o].disposed))
        fuzz_fail("object %d is finalized twice, or dead", o);
    for (unsigned i = 0; i < 3; i++) {
        gari_object *held = gari_load(&being->field[i]);
        check_alive(held, "a field in a finalizer");
        gari_decref(held);
    }
    if (facts[o].action % 2)
        gari_store(&root[facts[o].action / 2 % ROOTS], being);
}

#define FREE_REFS                                                                                  \
    {                                                                                              \
        3,                                                                                         \
        {                                                                                          \
            offsetof(struct being, field[0]), offsetof(struct being, field[1]),                    \
                offsetof(struct being, field[2])                                                   \
        }                                                                                          \
    }
static const gari_type plain_type = GARI_TYPE(struct being, .refs = FREE_REFS);
static const gari_type watched_type =
    GARI_TYPE(struct being, .refs = FREE_REFS, .dispose = dispose_being, .reclaim = reclaim_being,
              .flags = GARI_TYPE_HOT);
static const gari_type final_type =
    GARI_TYPE(struct being, .refs = FREE_REFS, .finalize = finalize_being, .dispose = dispose_being,
              .reclaim = reclaim_being);

static gari_object *new_being(unsigned choice)
{
    static const struct {
        const gari_type *type;
        enum fuzz_kind kind;
    } kinds[] = {{&plain_type, NODE},
                 {&watched_type, WATCHED},
                 {&final_type, FINAL},
                 {&watched_type, WATCHED}};
    int o = __atomic_fetch_add(&beings, 1, __ATOMIC_ACQ_REL);
    if (o >= FREE_OBJECTS) {
        __atomic_fetch_sub(&beings, 1, __ATOMIC_ACQ_REL);
        return NULL;
    }
    struct being *being = gari_new(kinds[choice % 4].type);
    if (!being)
        fuzz_fail("no memory");
    being->number = o;
    facts[o].kind = kinds[choice % 4].kind;
    facts[o].action = choice / 4;
    facts[o].address = (gari_object *)being;
    return (gari_object *)being;
}

/* ---- One thread --------------------------------------------------------------------------- */

struct runner {
    pthread_t thread;
    struct fuzz_bytes bytes;
    gari_object *holds[FREE_REGISTERS];
};

static void set(struct runner *runner, unsigned i, void *object, const char *call)
{
    check_alive(object, call);
    gari_object *old = runner->holds[i];
    runner->holds[i] = object;
    gari_decref(old);
}

static void do_fields(struct runner *runner, unsigned code, unsigned a, unsigned b, unsigned f)
{
    gari_object *object = runner->holds[a], *value = runner->holds[b];
    gari_ref *field = object && code < 8 ? &((struct being *)(void *)object)->field[f % 3] : NULL;
    if (code < 8 && !field)
        field = &root[f];
    switch (code) {
    case 0:
    case 1:
        gari_store(field, value);
        break;
    case 2:
        runner->holds[b] = NULL;
        gari_move(field, value);
        break;
    case 3:
        set(runner, b, gari_load(field), "gari_load");
        break;
    case 4:
        set(runner, b, gari_take(field), "gari_take");
        break;
    case 5:
        if (a != b) {
            runner->holds[b] = NULL;
            set(runner, b, gari_exchange(field, value), "gari_exchange");
        }
        break;
    case 6: {
        if (a == b)
            break;
        gari_object *expected = gari_load(field);
        if (gari_compare_exchange(field, expected, value)) {
            runner->holds[b] = NULL;
            set(runner, b, expected, "gari_compare_exchange");
        }
        gari_decref(expected);
        break;
    }
    case 7: {
        gari_read_begin();
        gari_object *seen = gari_borrow(field);
        if (seen && !gari_try_incref(seen))
            seen = NULL;
        gari_read_end();
        set(runner, b, seen, "gari_try_incref");
        break;
    }
    case 8:
        gari_store(&root[f], object);
        break;
    default:
        set(runner, a, gari_load(&root[f]), "gari_load of a root");
        break;
    }
}

static void do_shared(struct runner *runner, unsigned code, unsigned a, unsigned b, unsigned f)
{
    gari_object *object = runner->holds[a];
    gari_list *list = gari_load(&list_root);
    gari_map *map = gari_load(&map_root);
    gari_key key = gari_key_integer(f % FREE_KEYS);
    switch (code) {
    case 0:
        if (object && gari_list_length(list) < 16)
            gari_list_append(list, object);
        break;
    case 1:
        set(runner, b, gari_list_pop(list), "gari_list_pop");
        break;
    case 2:
        set(runner, b, gari_list_take(list, f), "gari_list_take");
        break;
    case 3:
        if (object)
            gari_map_put(map, key, object);
        break;
    case 4:
        set(runner, b, gari_map_get(map, key), "gari_map_get");
        break;
    case 5:
        set(runner, b, gari_map_take(map, key), "gari_map_take");
        break;
    case 6:
        if (object) {
            gari_weakref *weak = gari_weakref_new(object, NULL, NULL);
            gari_move(&weak_root[f], weak);
        }
        break;
    default: {
        gari_weakref *weak = gari_load(&weak_root[f]);
        if (weak)
            set(runner, b, gari_weakref_get(weak), "gari_weakref_get");
        gari_decref(weak);
        break;
    }
    }
    gari_decref(list);
    gari_decref(map);
}

static void *run(void *arg)
{
    struct runner *runner = arg;
    while (runner->bytes.at < runner->bytes.end) {
        unsigned code = fuzz_byte(&runner->bytes) % 28, operands = fuzz_byte(&runner->bytes);
        unsigned a = operands & 3, b = operands >> 2 & 3, f = operands >> 4 & 3;
        if (code < 6)
            set(runner, a, new_being(operands >> 2), "gari_new");
        else if (code < 8)
            set(runner, a, NULL, "nothing");
        else if (code < 18)
            do_fields(runner, code - 8, a, b, f);
        else if (code < 26)
            do_shared(runner, code - 18, a, b, f);
        else if (code == 26)
            gari_collect((int)(f % 3));
        else
            gari_step((size_t)1 << (operands >> 2) % 12);
    }
    for (unsigned i = 0; i < FREE_REGISTERS; i++)
        set(runner, i, NULL, "nothing");
    return NULL;
}

/* ---- The end ------------------------------------------------------------------------------ */

static void reach(void *object)
{
    if (!object)
        return;
    const struct being *being = check_alive(object, "a field at the end");
    int o = being->number;
    facts[o].edges++;
    if (facts[o].reached)
        return;
    facts[o].reached = true;
    for (unsigned i = 0; i < 3; i++)
        reach(__atomic_load_n(&being->field[i].gari_slot_.pointer, __ATOMIC_ACQUIRE));
}

static void find_all(void)
{
    for (int o = 0; o < beings; o++) {
        facts[o].edges = 0;
        facts[o].reached = false;
    }
    gari_read_begin();
    for (unsigned i = 0; i < ROOTS; i++)
        reach(gari_borrow(&root[i]));
    gari_list *list = gari_borrow(&list_root);
    for (size_t i = 0; list && i < gari_list_length(list); i++)
        reach(gari_list_borrow(list, i));
    gari_map *map = gari_borrow(&map_root);
    for (int i = 0; map && i < FREE_KEYS; i++)
        reach(gari_map_borrow(map, gari_key_integer(i)));
    gari_read_end();
}

/* What is wrong, if nothing more happens; or NULL. */
static const char *wrong(int *which)
{
    find_all();
    for (int o = 0; o < beings; o++) {
        *which = o;
        if (facts[o].reached && gari_getrefcount(facts[o].address) != facts[o].edges)
            return "has another count than references";
        if (facts[o].kind == NODE || facts[o].reached)
            continue;
        if (facts[o].kind == FINAL && times(&facts[o].finalized) != 1)
            return "is garbage and not finalized";
        if (times(&facts[o].disposed) != 1)
            return "is garbage and not collected";
        if (times(&facts[o].reclaimed) != 1)
            return "is dead and not reclaimed";
    }
    return NULL;
}

static void settle(void)
{
    const char *what = "";
    int which = 0;
    for (int i = 0; i < PATIENCE && what; i++) {
        gari_collect(2);
        gari_run_finalizers(1000);
        gari_stats stats = {.struct_size = sizeof stats};
        gari_get_stats(&stats);
        /* A finalizer that is running may be changing what is looked at. */
        what = stats.finalizers_waiting ? "has a finalizer that waits" : wrong(&which);
        if (what && i > 2)
            nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    if (what)
        fuzz_fail("at the end, object %d (%s) %s", which, fuzz_kind_name(facts[which].kind), what);
}

void free_run(unsigned options, struct fuzz_bytes bytes)
{
    model_reset();
    memset(facts, 0, sizeof facts);
    beings = 0;
    gari_config config = GARI_CONFIG_INIT;
    config.mode = (gari_mode)(options % 3);
    config.threshold[0] = 10 + (int)(options % 5) * 10;
    if (gari_configure(&config) != 0)
        fuzz_fail("gari_configure fails");
    gari_set_finalizers(options & 32 ? GARI_FINALIZERS_QUEUED : GARI_FINALIZERS_THREAD, NULL, NULL);
    gari_move(&list_root, gari_list_new());
    gari_move(&map_root, gari_map_new());

    struct runner runners[THREADS] = {0};
    size_t part = (size_t)(bytes.end - bytes.at) / THREADS;
    for (unsigned t = 0; t < THREADS; t++) {
        runners[t].bytes = (struct fuzz_bytes){bytes.at + t * part, bytes.at + (t + 1) * part};
        if (pthread_create(&runners[t].thread, NULL, run, &runners[t]) != 0)
            fuzz_fail("the system gives no thread");
    }
    for (unsigned t = 0; t < THREADS; t++)
        pthread_join(runners[t].thread, NULL);

    settle();
    /* Each finalizer may put its object in a root once more. */
    int left = 1;
    for (int round = 0; left && round < FREE_OBJECTS; round++) {
        for (unsigned i = 0; i < ROOTS; i++) {
            gari_store(&root[i], NULL);
            gari_store(&weak_root[i], NULL);
        }
        gari_store(&list_root, NULL);
        gari_store(&map_root, NULL);
        settle();
        left = 0;
        for (int o = 0; o < beings; o++)
            left += facts[o].reached;
    }
    if (left)
        fuzz_fail("%d objects are brought back again and again", left);
    if (gari_shutdown(NULL, NULL) != 0)
        fuzz_fail("gari_shutdown finds objects left");
}
