/* hot: objects of hot types, of which each thread keeps what it gives back, taken back by others all the time.
 *
 * Invariant: a reference that a thread keeps is neither lost nor given out twice (docs/protocol.md, "Kept
 * references"). Workers take references to the same few objects in every way, give them back, leave some to
 * each other, and end and begin again; one puts new objects, some of them rings, in the place of others; one
 * collects and steps, and so takes back.
 *
 * A violation looks like: an object that is owned and dead; one that dies twice or never. */
#include "stress/shadow.h"

#define ROOTS 12
#define OWNED 8
#define LEFT 4

struct hot;
typedef GARI_REF(struct hot) hot_ref;
struct hot {
    gari_object header;
    struct stress_tag tag;
    hot_ref next;
};

static void dispose(void *self)
{
    stress_tag_die(&((struct hot *)self)->tag);
}

static const gari_type hot_type = GARI_TYPE(struct hot, .refs = GARI_REFS(struct hot, next),
                                            .dispose = dispose, .flags = GARI_TYPE_HOT);

/* Without references: given back in no section. */
static const gari_type leaf_type =
    GARI_TYPE(struct hot, .dispose = dispose, .flags = GARI_TYPE_HOT);

static hot_ref roots[ROOTS];
static struct hot *left[LEFT]; /* owned by whoever takes it away; atomically */

static struct hot *make(struct stress_worker *worker)
{
    bool leaf = stress_once_in(worker, 2);
    struct hot *hot = STRESS_NEW(leaf ? &leaf_type : &hot_type);
    stress_tag_bear(&hot->tag);
    if (leaf)
        return hot;
    if (stress_once_in(worker, 2))
        gari_store(&hot->next, hot);
    else if (stress_once_in(worker, 2))
        gari_move(&hot->next, gari_load(&roots[stress_below(worker, ROOTS)]));
    return hot;
}

static void replace(struct stress_worker *worker)
{
    while (stress_tick(worker)) {
        hot_ref *root = &roots[stress_below(worker, ROOTS)];
        struct hot *fresh = make(worker);
        gari_decref(gari_incref(fresh));
        if (stress_once_in(worker, 2)) {
            gari_move(root, fresh);
        } else {
            gari_store(root, fresh);
            gari_decref(fresh);
        }
        if (stress_births() - stress_deaths() > 100000)
            gari_collect(2);
        stress_dawdle(worker);
    }
}

static struct hot *find(struct stress_worker *worker)
{
    hot_ref *root = &roots[stress_below(worker, ROOTS)];
    if (stress_once_in(worker, 2))
        return gari_load(root);
    gari_read_begin();
    struct hot *hot = gari_borrow(root);
    if (hot && !gari_try_incref(hot))
        hot = NULL;
    gari_read_end();
    return hot;
}

static void check_owned(struct hot *hot, const char *what)
{
    if (!hot)
        return;
    stress_tag_alive(&hot->tag, 0, what);
    if (gari_getrefcount(hot) == 0)
        stress_fail("%s, and its count is 0", what);
}

static void use(struct stress_worker *worker)
{
    struct hot *owned[OWNED] = {NULL};
    while (stress_tick(worker)) {
        struct hot **one = &owned[stress_below(worker, OWNED)];
        check_owned(*one, "owned");
        struct hot *other = NULL;
        switch (stress_below(worker, 6)) {
        case 0:
        case 1:
            if (stress_once_in(worker, 2))
                other = gari_incref(owned[stress_below(worker, OWNED)]);
            gari_decref(*one);
            *one = other ? other : find(worker);
            break;
        case 2:
            *one = gari__exchange_acq_rel(&left[stress_below(worker, LEFT)], *one);
            break;
        default:
            /* What services do with such objects: take, look, give back, over and over. */
            for (unsigned i = stress_below(worker, 30); i > 0; i--) {
                struct hot *hot = *one ? gari_incref(*one) : find(worker);
                check_owned(hot, "taken");
                gari_decref(hot);
            }
        }
    }
    for (int i = 0; i < OWNED; i++)
        gari_decref(owned[i]);
}

static void work(struct stress_worker *worker)
{
    if (worker->index == 0)
        stress_collect(worker);
    else if (worker->index == 1)
        replace(worker);
    else
        use(worker);
}

int main(int argc, char **argv)
{
    enum { RUNS = 4 };
    stress_begin(argc, argv, 3, "references that threads keep and others take back");
    stress_share(RUNS);
    for (int i = 0; i < RUNS; i++)
        stress_run(stress.threads + 2, work);
    for (int i = 0; i < ROOTS; i++)
        gari_store(&roots[i], NULL);
    for (int i = 0; i < LEFT; i++)
        gari_decref(left[i]);
    gari_collect(2);
    stress_settle(0);
    stress_check_shadow(0);
    return stress_end();
}
