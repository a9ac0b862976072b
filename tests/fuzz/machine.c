#include "tests/fuzz/machine.h"

#include <pthread.h>
#include <string.h>

struct machine machine;

static const char *const names[OP_CODES] = {
    "new",           "new",     "drop",        "copy",           "load",
    "store",         "store",   "move",        "take",           "exchange",
    "cas",           "init",    "borrow",      "dying",          "root",
    "grow",          "defer",   "thread",      "exit",           "section",
    "try",           "weakref", "armed",       "weak get",       "handle",
    "call",          "detach",  "weakmap set", "weakmap get",    "weakmap remove",
    "weakmap count", "append",  "insert",      "list set",       "pop",
    "list take",     "splice",  "order",       "slice",          "put",
    "map take",      "clear",   "look",        "collect",        "step",
    "settle",        "freeze",  "unfreeze",    "run finalizers", "saveall",
    "clear garbage", "search"};

/* ---- Threads: who has the baton works --------------------------------------------------------- */

static struct worker {
    pthread_t thread;
    bool started;
    const struct fuzz_operation *operation; /* to do; this and the next under the lock */
    bool stop;
    pthread_cond_t wake;
} workers[THREADS];
static pthread_mutex_t baton = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;

static void perform(const struct fuzz_operation *op)
{
    if (!machine_field(op) && !machine_weak(op) && !machine_container(op))
        machine_collector(op);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    pthread_mutex_lock(&baton);
    while (!worker->stop) {
        if (worker->operation) {
            perform(worker->operation);
            worker->operation = NULL;
            pthread_cond_signal(&done);
        } else {
            pthread_cond_wait(&worker->wake, &baton);
        }
    }
    pthread_mutex_unlock(&baton);
    return NULL;
}

/* Thread 0 is the caller. */
static void perform_on(unsigned t, const struct fuzz_operation *op)
{
    struct worker *worker = &workers[t];
    if (t == 0) {
        perform(op);
        return;
    }
    if (!worker->started) {
        *worker = (struct worker){.started = true, .wake = PTHREAD_COND_INITIALIZER};
        if (pthread_create(&worker->thread, NULL, work, worker) != 0)
            fuzz_fail("the system gives no thread");
    }
    pthread_mutex_lock(&baton);
    worker->operation = op;
    pthread_cond_signal(&worker->wake);
    while (worker->operation)
        pthread_cond_wait(&done, &baton);
    pthread_mutex_unlock(&baton);
}

static void end_thread(unsigned t)
{
    struct worker *worker = &workers[t];
    if (!worker->started)
        return;
    pthread_mutex_lock(&baton);
    worker->stop = true;
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&baton);
    pthread_join(worker->thread, NULL);
    worker->started = false;
}

static void close_section(unsigned t)
{
    if (!machine.in_section[t])
        return;
    machine.thread = t;
    perform_on(t, &(struct fuzz_operation){.code = OP_SECTION});
}

/* ---- Comparing ---------------------------------------------------------------------------- */

static void compare_registers(void)
{
    model_doubt_late();
    for (unsigned i = 0; i < REGISTERS; i++) {
        int o = machine.holds[i];
        if (o == NONE)
            continue;
        gari_object *object = machine_address(o);
        size_t count = gari_getrefcount(object), least, most;
        model_bounds(o, &least, &most);
        if (count < least || count > most)
            fuzz_fail("%s %d: %zu references, and should have %zu to %zu",
                      fuzz_kind_name(model_of(o)->kind), o, count, least, most);
        int generation = model_of(o)->permanent ? GARI_PERMANENT : model_of(o)->generation;
        if (generation != NONE && gari_generation(object) != generation)
            fuzz_fail("%s %d: generation %d, not %d", fuzz_kind_name(model_of(o)->kind), o,
                      gari_generation(object), generation);
        if (gari_is_tracked(object) != model_is_tracked(model_of(o)->kind))
            fuzz_fail("%s %d: tracked: %d", fuzz_kind_name(model_of(o)->kind), o,
                      gari_is_tracked(object));
        bool finalized = model_of(o)->finalized || model_of(o)->claimed;
        /* While deaths may be late, so may the claim. */
        if (model_of(o)->kind == FINAL && !model.lag && gari_is_finalized(object) != finalized)
            fuzz_fail("final %d: finalized: %d", o, gari_is_finalized(object));
    }
}

static struct fuzz_operation decode(struct fuzz_bytes *bytes)
{
    struct fuzz_operation op = {.code = fuzz_byte(bytes) % OP_CODES};
    unsigned operands = fuzz_byte(bytes);
    op.a = operands & 7;
    op.b = operands >> 3 & 7;
    op.field = operands >> 6;
    bool long_one = op.code <= OP_NEW_AGAIN || op.code == OP_COMPARE_EXCHANGE ||
                    op.code == OP_INIT || op.code == OP_ROOT || op.code == OP_STEP ||
                    (op.code >= OP_WEAKMAP_SET && op.code <= OP_WEAKMAP_REMOVE) ||
                    op.code == OP_INSERT || op.code == OP_LIST_SET || op.code == OP_LIST_TAKE ||
                    (op.code >= OP_SPLICE && op.code <= OP_MAP_TAKE);
    if (long_one)
        op.more = fuzz_byte(bytes);
    return op;
}

static void begin(unsigned options)
{
    model_reset();
    machine = (struct machine){.thread = 0};
    for (unsigned i = 0; i < REGISTERS; i++)
        machine.holds[i] = NONE;
    for (unsigned i = 0; i < ROOTS; i++)
        things_root_holds[i] = NONE;
    gari_config config = GARI_CONFIG_INIT;
    config.mode = GARI_MODE_MANUAL;
    if (gari_configure(&config) != 0)
        fuzz_fail("gari_configure fails");
    model.queued = options & 2;
    gari_set_finalizers(model.queued ? GARI_FINALIZERS_QUEUED : GARI_FINALIZERS_THREAD, NULL, NULL);
}

static void drop_all(void)
{
    for (unsigned i = 0; i < REGISTERS; i++)
        machine_set(i, NONE);
    for (unsigned i = 0; i < ROOTS; i++)
        perform(&(struct fuzz_operation){.code = OP_ROOT, .field = i});
}

/* In a cycle that may not be taken apart, or reached from one. Any other object that is stuck dies when what
 * it hangs from has been freed and the garbage list given up. */
static bool stays_stuck(int o)
{
    for (int other = 0; other < model.objects; other++) {
        const struct model_object *stuck = model_of(other);
        bool in_cycle = false;
        if (stuck->kind != STUCK || stuck->dead)
            continue;
        for (unsigned i = 0; i < stuck->edges && !in_cycle; i++)
            in_cycle = stuck->edge[i] != NONE && model_reaches(stuck->edge[i], other);
        if (in_cycle && model_reaches(other, o))
            return true;
    }
    return false;
}

static void shut_down(void)
{
    model_freeze(false);
    for (int o = 0; o < model.objects; o++) {
        for (; model_of(o)->listed; model_of(o)->listed--)
            model_release(o);
    }
    for (int w = 0; w < model.objects; w++) {
        if (model_of(w)->kind == HANDLE && model_of(w)->at_exit)
            model_of(w)->cleared = true;
    }
    model.lag = model.collecting = true;
    model_doubt();
    size_t left = gari_shutdown(NULL, NULL);
    model.collecting = false;
    for (int w = 0; w < model.objects; w++) {
        const struct model_object *weak = model_of(w);
        if (weak->kind == HANDLE && weak->at_exit && !weak->called && !weak->cancelled)
            fuzz_fail("gari_shutdown has not called the function of handle %d", w);
    }
    bool stuck[OBJECTS];
    model_walk();
    for (int o = 0; o < model.objects; o++) {
        stuck[o] = model_of(o)->kind == STUCK && !model_of(o)->dead && !model_of(o)->live;
        stuck[o] = stuck[o] && stays_stuck(o);
    }
    /* It stays, and is on no list. */
    for (int o = 0; o < model.objects; o++) {
        if (stuck[o])
            model_hold(o);
    }
    model_settled();
    for (int o = 0; o < model.objects; o++) {
        if (stuck[o])
            model_release(o);
    }
    model_check_prompt();
    if (model.containers ? left < model_living() : left != model_living())
        fuzz_fail("gari_shutdown finds %zu objects left, not %u", left, model_living());
    if (model_living() == 0 && left != 0)
        fuzz_fail("gari_shutdown finds %zu objects left", left);
    fuzz_trace("shut down, %zu left", left);
}

/* What is stuck is listed again and again, until its cycle is opened by hand. */
static void open_cycles(void)
{
    for (int o = 0; o < model.objects; o++) {
        model_walk();
        if (!model_of(o)->live || !model_of(o)->listed || !things_has_fields(o))
            continue;
        model_hold(o);
        void *self = gari_incref((gari_object *)machine_address(o));
        for (unsigned i = 0; i < model_of(o)->edges; i++) {
            model_set_edge(o, i, NONE);
            gari_store(things_field(o, i), NULL);
        }
        model_release(o);
        gari_decref((gari_object *)self);
    }
}

static void end(unsigned options)
{
    for (unsigned t = 0; t < THREADS; t++)
        close_section(t);
    machine.thread = 0;
    model.queues = false;
    machine_settle();
    for (unsigned t = 1; t < THREADS; t++)
        end_thread(t);
    if (options & 4) {
        /* With objects left, of which the service has yet to drop the last references. */
        shut_down();
        machine_look_at_garbage();
    }
    /* Finalizers bring back one object after another. */
    for (int round = 0; model_living() && round < OBJECTS; round++) {
        drop_all();
        open_cycles();
        perform(&(struct fuzz_operation){.code = OP_CLEAR_GARBAGE});
        perform(&(struct fuzz_operation){.code = OP_UNFREEZE});
        machine_settle();
    }
    if (model_living())
        fuzz_fail("%u objects live at the end", model_living());
    shut_down();
}

void machine_run(unsigned options, struct fuzz_bytes bytes)
{
    begin(options);
    while (bytes.at < bytes.end) {
        struct fuzz_operation op = decode(&bytes);
        model.step++;
        fuzz_trace("%s a=%u b=%u field=%u more=%u (thread %u)", names[op.code], op.a, op.b,
                   op.field, op.more, machine.thread);
        if (op.code == OP_THREAD) {
            machine.thread = op.a % THREADS;
        } else if (op.code == OP_EXIT) {
            unsigned t = op.a % THREADS;
            if (t != 0) {
                close_section(t);
                end_thread(t);
                machine.thread = 0;
            }
        } else {
            model.queues = machine.in_section[machine.thread];
            perform_on(machine.thread, &op);
        }
        if (!model.lag)
            model_check_prompt();
        compare_registers();
    }
    end(options);
}

void fuzz_run(const uint8_t *data, size_t size)
{
    struct fuzz_bytes bytes = {data, data + size};
    unsigned options = fuzz_byte(&bytes);
    if (options >= 0xc0)
        free_run(options, bytes);
    else
        machine_run(options, bytes);
}
