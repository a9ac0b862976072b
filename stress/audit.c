/* audit: containers changed while they are audited (stress/audit.h).
 *
 * Invariant: no reference is met twice by a proof, or leaves its field without a word (R4, R8), while
 * elements are inserted, erased, sorted, spliced and rehashed. Workers are few and pause, so that what
 * an audit looks at is changed now and then, not all the time. */
#include "stress/audit.h"

#include "concurrency/clock.h"
#include "stress/things.h"

#include <errno.h>
#include <time.h>

#define WORKERS 2

static gari_list *lists[2];
static gari_map *map;
static struct thing *objects[KEYS];
static struct audit audit;

static size_t externals(gari_object *object)
{
    return gari_type_of(object) == &thing_type
               ? gari__load_acquire(&((struct thing *)(void *)object)->held)
               : 0;
}

/* What is done now: one thing at a time, for some 30 milliseconds, since the others give most elements
 * new references, which makes an audit void. */
enum task { INSERT, TAKE, SORT, SPLICE, REHASH, TASKS };
static enum task task_now(void)
{
    return (enum task)(gari__now_ns() / 30000000 % TASKS);
}

/* What moves references in a container that is not careful. */
static void rewire(struct hands *hands)
{
    struct stress_worker *worker = hands->worker;
    gari_list *list = lists[stress_below(worker, 2)];
    size_t at = stress_below(worker, LONG / 4);
    char text[32];
    gari_key key;
    int error;
    if (gari_list_length(list) > LONG)
        must(gari_list_splice(list, 0, LONG / 2, NULL), "gari_list_splice");
    switch (task_now()) {
    case INSERT:
        /* Room, so that an insertion in place would have it. */
        must(gari_list_reserve(list, 2 * LONG), "gari_list_reserve");
        gari_list_insert(list, at, some(hands));
        break;
    case TAKE:
        keep(hands, gari_list_take(list, at));
        if (gari_list_length(list) < LONG / 2)
            must(gari_list_append(list, some(hands)), "gari_list_append");
        break;
    case SORT:
        if ((error = gari_list_reverse(list)) == 0)
            error = gari_list_sort(list, by_order, NULL);
        if (error && error != EBUSY)
            must(error, "gari_list_sort");
        break;
    case SPLICE:
        hand_over(hands, lists[0], lists[1]);
        break;
    default:
        key = some_key(hands, objects, text);
        keep(hands, gari_map_take(map, key));
        if (!stress_once_in(worker, 4))
            must(gari_map_put(map, key, some(hands)), "gari_map_put");
    }
}

static void work(struct stress_worker *worker)
{
    struct hands hands = {.worker = worker};
    gari_object *roots[] = {GARI_OBJECT(lists[0]), GARI_OBJECT(lists[1]), GARI_OBJECT(map)};
    if (worker->index == 0)
        audit.worker = worker;
    while (stress_tick(worker)) {
        if (worker->index > 0) {
            rewire(&hands);
            if (stress_once_in(worker, 8))
                keep(&hands, make(worker));
            nanosleep(&(struct timespec){.tv_nsec = (long)stress_below(worker, 400000)}, NULL);
        } else if (task_now() == REHASH) {
            audit_round(&audit, &roots[2], 1, 3);
        } else {
            audit_round(&audit, roots, 2, 2);
        }
    }
    let_go(&hands);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 3, "containers changed while they are audited");
    struct stress_worker first = {.random = stress.seed | 1};
    for (int i = 0; i < 2; i++)
        lists[i] = stress_new(gari_list_new());
    map = stress_new(gari_map_new());
    for (unsigned i = 0; i < KEYS; i++)
        objects[i] = make(&first);
    audit.externals = externals;
    stress_run(1 + WORKERS, work);
    stress_check(audit.compared > 0, "%lu audits find %lu words unchanged",
                 (unsigned long)audit.rounds, (unsigned long)audit.compared);
    for (int i = 0; i < 2; i++)
        gari_decref(lists[i]);
    gari_decref(map);
    for (unsigned i = 0; i < KEYS; i++)
        gari_decref(objects[i]);
    stress_settle(0);
    stress_check(stress_births() == stress_deaths(), "every thing died once: %lu born, %lu died",
                 (unsigned long)stress_births(), (unsigned long)stress_deaths());
    return stress_end();
}
