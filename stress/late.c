/* late: trees of a late type against everybody who may still see parts of them.
 *
 * Invariant: what hangs on a late root that has died is freed at once only if nobody can see it
 * (docs/protocol.md, "Late death"). Trees are made with gari_init, some with shared parts, and swapped
 * in roots; others borrow their way down, store, take parts out, put parts of one tree into another,
 * keep what try_incref or a weak reference gives them, find objects by walks of the blocks, collect,
 * freeze and unfreeze.
 *
 * A violation looks like: an object that becomes another in a section; an object that is owned, or is
 * reached from one that is, and is dead; one that dies twice or never; figures that are wrong. */
#include "stress/shadow.h"

#define ROOTS 3
#define KEPT 4
#define DEEPEST 6u
#define FIELDS 2
#define MANY 40

struct twig;
typedef GARI_REF(struct twig) twig_ref;
struct twig {
    gari_object header;
    struct stress_tag tag;
    twig_ref next[FIELDS];
    gari_ref leaf;
};

struct leaf {
    gari_object header;
    struct stress_tag tag;
};

struct bush {
    gari_object header;
    struct stress_tag tag;
    size_t length;
    twig_ref items[];
};

static void dispose(void *self)
{
    stress_tag_die(&((struct twig *)self)->tag);
}

static void dispose_leaf(void *self)
{
    stress_tag_die(&((struct leaf *)self)->tag);
}

static void dispose_bush(void *self)
{
    stress_tag_die(&((struct bush *)self)->tag);
}

/* Late types have no callbacks: the program is told of deaths as with --plain. */
static const gari_type twig_type =
    GARI_TYPE(struct twig, .refs = GARI_REFS(struct twig, next[0], next[1], leaf),
              .dispose = dispose, .flags = GARI_TYPE_LATE);
static const gari_type leaf_type = GARI_TYPE(struct leaf, .dispose = dispose_leaf);
static const gari_type bush_type =
    GARI_TYPE(struct bush, .items = GARI_REF_ITEMS(struct bush, length, items),
              .dispose = dispose_bush, .flags = GARI_TYPE_LATE);

static twig_ref roots[ROOTS];
static uint64_t weak_references; /* made; atomically */

static struct leaf *make_leaf(void)
{
    struct leaf *leaf = STRESS_NEW(&leaf_type);
    stress_tag_bear(&leaf->tag);
    return leaf;
}

static struct twig *grow(struct stress_worker *worker, unsigned depth)
{
    struct twig *twig = STRESS_NEW(&twig_type);
    stress_tag_bear(&twig->tag);
    if (stress_once_in(worker, 2))
        gari_init(&twig->leaf, GARI_OBJECT(make_leaf()));
    if (depth == 0)
        return twig;
    struct twig *below = grow(worker, depth - 1);
    if (stress_once_in(worker, 6)) /* both ways lead to the same */
        gari_init(&twig->next[1], gari_incref(below));
    else if (!stress_once_in(worker, 4))
        gari_init(&twig->next[1], grow(worker, depth - 1));
    gari_init(&twig->next[0], below);
    return twig;
}

/* So wide that the pass that takes it apart has no room for all. */
static void drop_bush(struct stress_worker *worker)
{
    size_t length = 100 + stress_below(worker, 400);
    struct bush *bush = STRESS_NEW_ITEMS(&bush_type, length);
    stress_tag_bear(&bush->tag);
    for (size_t i = 0; i < length; i++)
        gari_init(&bush->items[i], grow(worker, 0));
    if (stress_once_in(worker, 2))
        gari_move(&bush->items[0], gari_load(&roots[stress_below(worker, ROOTS)]));
    gari_decref(bush);
}

static void swap_roots(struct stress_worker *worker)
{
    while (stress_tick(worker)) {
        twig_ref *root = &roots[stress_below(worker, ROOTS)];
        struct twig *fresh = grow(worker, stress_below(worker, DEEPEST));
        switch (stress_below(worker, 4)) {
        case 0:
            gari_move(root, fresh);
            break;
        case 1:
            gari_store(root, fresh);
            gari_decref(fresh);
            break;
        case 2:
            gari_decref(gari_exchange(root, fresh));
            break;
        default: {
            /* Part of the old tree hangs on the new one. */
            struct twig *old = gari_load(root);
            if (old)
                gari_move(&fresh->next[stress_below(worker, FIELDS)], old);
            gari_move(root, fresh);
            if (stress_once_in(worker, 4))
                gari_store(root, NULL);
        }
        }
        if (stress_once_in(worker, 50))
            drop_bush(worker);
        stress_dawdle(worker);
        if (stress_births() - stress_deaths() > 100000)
            gari_collect(2);
    }
}

struct kept {
    struct twig *twig;
    uint64_t id;
    gari_weakref *weak;
};

static void let_go(struct kept *kept)
{
    gari_decref(kept->twig);
    gari_decref(kept->weak);
    *kept = (struct kept){NULL, 0, NULL};
}

static void keep(struct kept *kept, struct twig *owned)
{
    let_go(kept);
    if (owned)
        *kept = (struct kept){owned, stress_tag_alive(&owned->tag, 0, "to be kept"), NULL};
}

/* From one that is owned, everything is alive; others may change the edges meanwhile. */
static void walk_kept(struct kept *kept, struct stress_worker *worker)
{
    if (!kept->twig)
        return;
    stress_tag_alive(&kept->twig->tag, kept->id, "kept");
    struct twig *at = gari_incref(kept->twig);
    for (unsigned i = 0; at && i < DEEPEST; i++) {
        struct leaf *leaf = (struct leaf *)gari_load(&at->leaf);
        if (leaf)
            stress_tag_alive(&leaf->tag, 0, "a leaf of a kept one");
        gari_decref(GARI_OBJECT(leaf));
        struct twig *next = gari_load(&at->next[stress_below(worker, FIELDS)]);
        if (next)
            stress_tag_alive(&next->tag, 0, "reached from a kept one");
        gari_decref(at);
        at = next;
    }
    gari_decref(at);
}

/* Weak references to what hangs on trees give out what is alive, or nothing. */
static void look_weakly(struct kept *kept, struct stress_worker *worker)
{
    if (kept->twig && !kept->weak) {
        kept->weak = gari_weakref_new(kept->twig, NULL, NULL);
        if (!kept->weak)
            stress_fail("gari_weakref_new finds no memory");
        gari__fetch_add_relaxed(&weak_references, 1);
        gari_decref(kept->twig);
        kept->twig = NULL;
    } else if (kept->weak) {
        struct twig *twig = gari_weakref_get(kept->weak);
        if (twig)
            stress_tag_alive(&twig->tag, kept->id, "a weak reference's");
        if (stress_once_in(worker, 2))
            gari_decref(twig);
        else
            keep(kept, twig);
    }
}

static void meddle(struct stress_worker *worker, struct twig *twig, struct twig *first,
                   struct kept *kept)
{
    twig_ref *field = &twig->next[stress_below(worker, FIELDS)];
    switch (stress_below(worker, 16)) {
    case 0:
        gari_store(field, NULL);
        break;
    case 1:
        keep(kept, gari_take(field));
        break;
    case 2: { /* a leaf changes its place, perhaps to one that is dead */
        gari_object *leaf = gari_take(&twig->leaf);
        stress_dawdle(worker);
        gari_move(&first->leaf, leaf);
        break;
    }
    case 3: {
        gari_object *leaf = gari_load(&twig->leaf);
        gari_store(&first->leaf, leaf);
        gari_decref(leaf);
        break;
    }
    case 4:
        gari_move(&twig->leaf, GARI_OBJECT(make_leaf()));
        break;
    case 5:
        gari_move(field, grow(worker, 2));
        break;
    case 6:
        if (kept->twig) { /* stays kept */
            gari_store(field, kept->twig);
        }
        break;
    case 7:
        gari_decref(gari_exchange(field, gari_load(&first->next[0])));
        break;
    case 8:
    case 9:
    case 10:
        if (gari_try_incref(twig))
            keep(kept, twig);
        break;
    default:
        break;
    }
}

static void read_roots(struct stress_worker *worker)
{
    struct kept kept[KEPT] = {{NULL, 0, NULL}};
    while (stress_tick(worker)) {
        struct twig *seen[DEEPEST + 1];
        struct leaf *leaves[DEEPEST + 1];
        uint64_t ids[DEEPEST + 1], leaf_ids[DEEPEST + 1];
        unsigned count = 0;
        gari_read_begin();
        struct twig *twig = gari_borrow(&roots[stress_below(worker, ROOTS)]);
        while (twig && count <= DEEPEST) {
            seen[count] = twig;
            ids[count] = stress_tag_readable(&twig->tag, "first look");
            leaves[count] = (struct leaf *)gari_borrow(&twig->leaf);
            leaf_ids[count] =
                leaves[count] ? stress_tag_readable(&leaves[count]->tag, "first look") : 0;
            count++;
            twig = gari_borrow(&twig->next[stress_below(worker, FIELDS)]);
        }
        stress_dawdle(worker);
        if (count > 0)
            meddle(worker, seen[stress_below(worker, count)], seen[0],
                   &kept[stress_below(worker, KEPT)]);
        for (unsigned i = 0; i < count; i++) {
            stress_tag_same(&seen[i]->tag, ids[i], "last look");
            if (leaves[i])
                stress_tag_same(&leaves[i]->tag, leaf_ids[i], "last look at a leaf");
        }
        gari_read_end();
        struct kept *one = &kept[stress_below(worker, KEPT)];
        walk_kept(one, worker);
        if (stress_once_in(worker, 4))
            look_weakly(one, worker);
        if (stress_once_in(worker, 8))
            let_go(one);
    }
    for (int i = 0; i < KEPT; i++)
        let_go(&kept[i]);
}

/* What is found may be so young that it has no tag yet. */
static void check_found(const gari_objects *found)
{
    for (size_t i = 0; i < found->count; i++) {
        if (gari_getrefcount(found->items[i]) == 0)
            stress_fail("found by a walk, owned, and dead");
    }
}

/* Looks at the whole heap, and collects. */
static void look_on(struct stress_worker *worker)
{
    while (stress_tick(worker)) {
        gari_objects found = {0, NULL};
        struct twig *root;
        switch (stress_below(worker, 8)) {
        case 0:
        case 1:
            if (gari_get_objects(GARI_ALL, &found) != 0)
                stress_fail("gari_get_objects finds no memory");
            break;
        case 2:
            root = gari_load(&roots[stress_below(worker, ROOTS)]);
            if (root && gari_get_referrers(root, &found) != 0)
                stress_fail("gari_get_referrers finds no memory");
            gari_decref(root);
            break;
        case 3:
            gari_freeze();
            break;
        case 4:
            gari_unfreeze();
            break;
        case 5:
            gari_collect((int)stress_below(worker, 3));
            break;
        default:
            for (int i = 0; i < MANY; i++)
                gari_step(100);
        }
        check_found(&found);
        gari_objects_release(&found);
    }
}

static void work(struct stress_worker *worker)
{
    if (worker->index == 0)
        look_on(worker);
    else if (worker->index <= 2)
        swap_roots(worker);
    else
        read_roots(worker);
}

int main(int argc, char **argv)
{
    stress.plain = true;
    stress_begin(argc, argv, 3, "trees that die late, and whoever still sees their parts");
    stress_run(stress.threads + 1, work);
    gari_unfreeze();
    for (int i = 0; i < ROOTS; i++)
        gari_store(&roots[i], NULL);
    stress_settle(0);
    stress_check_shadow(gari__load_relaxed(&weak_references));
    return stress_end();
}
