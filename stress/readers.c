/* readers: borrowed pointers against structures that are swapped away under them.
 *
 * Invariant: what is borrowed in a section stays what it was until the section ends, though its
 * last counted reference went long ago (rule R6, the proof's grace period), and what try_incref has
 * saved is saved with all that it reaches (the recheck, and how the proof shrinks). Two roots are
 * swapped for fresh cyclic structures all the time; some readers cut the edges of what they borrow,
 * some store new ones, some save a reference, walk on from it later and drop it.
 *
 * A violation looks like: an object that becomes another in a section; nodes of two structures in
 * one; an object that was saved by try_incref, or is reached from one that was, and is dead. */
#include "stress/shadow.h"

#define ROOTS 2
#define KEPT 4
#define LONGEST 4u
#define FIELDS 2

struct link;
typedef GARI_REF(struct link) link_ref;
struct link {
    gari_object header;
    struct stress_tag tag;
    uint64_t structure; /* the number of the structure that it was made for */
    link_ref next[FIELDS];
};

static void dispose(void *self)
{
    struct link *link = self;
    stress_tag_die(&link->tag);
}

static const gari_type link_type =
    GARI_TYPE(struct link, .refs = GARI_REFS(struct link, next[0], next[1]), .dispose = dispose);

static link_ref roots[ROOTS];
static uint64_t structures; /* atomically */

static struct link *make(uint64_t structure)
{
    struct link *link = STRESS_NEW(&link_type);
    stress_tag_bear(&link->tag);
    link->structure = structure;
    return link;
}

/* A fresh structure: mostly a ring, sometimes one that has been a ring and has lost its edges, so
 * that its words look like those of a ring that is garbage. */
static struct link *build(struct stress_worker *worker)
{
    uint64_t structure = gari__fetch_add_relaxed(&structures, 1);
    unsigned length = 1 + stress_below(worker, LONGEST);
    struct link *first = make(structure), *last = first;
    for (unsigned i = 1; i < length; i++) {
        struct link *link = make(structure);
        if (stress_once_in(worker, 2))
            gari_store(&last->next[1], link);
        gari_init(&last->next[0], link);
        last = link;
    }
    gari_store(&last->next[0], first);
    if (stress_once_in(worker, 4))
        gari_store(&last->next[0], NULL);
    return first;
}

static void swap_roots(struct stress_worker *worker)
{
    while (stress_tick(worker)) {
        link_ref *root = &roots[stress_below(worker, ROOTS)];
        struct link *fresh = build(worker);
        if (stress_once_in(worker, 2)) {
            gari_move(root, fresh);
        } else {
            uint64_t id = fresh->tag.id;
            struct link *old = gari_exchange(root, fresh);
            if (old)
                stress_tag_alive(&old->tag, 0, "the old root");
            gari_decref(old);
            /* It can have been exchanged by the other writer, not have died. */
            gari_read_begin();
            struct link *found = gari_borrow(root);
            if (found && found->tag.id == id)
                stress_tag_readable(&found->tag, "the new root");
            gari_read_end();
        }
        stress_dawdle(worker);
        if (stress_births() - stress_deaths() > 10000)
            gari_collect(2);
    }
}

struct kept {
    struct link *link;
    uint64_t id;
};

/* From one that is owned, everything is alive; others may change the edges meanwhile. */
static void walk_kept(struct kept *kept, struct stress_worker *worker)
{
    if (!kept->link)
        return;
    stress_tag_alive(&kept->link->tag, kept->id, "saved");
    struct link *at = gari_incref(kept->link);
    for (unsigned i = 0; i < LONGEST; i++) {
        struct link *next = gari_load(&at->next[stress_below(worker, FIELDS)]);
        if (!next)
            break;
        stress_tag_alive(&next->tag, 0, "reached from a saved one");
        if (next->structure != kept->link->structure)
            stress_fail("an edge of structure %lu leads to %lu",
                        (unsigned long)kept->link->structure, (unsigned long)next->structure);
        gari_decref(at);
        at = next;
    }
    gari_decref(at);
}

/* What a reader does to what it borrows. */
static void meddle(struct stress_worker *worker, struct link *link, struct link *first,
                   struct kept *kept)
{
    link_ref *field = &link->next[stress_below(worker, FIELDS)];
    switch (stress_below(worker, 12)) {
    case 0:
        gari_store(field, NULL);
        break;
    case 1: {
        struct link *taken = gari_take(field);
        stress_dawdle(worker);
        gari_decref(taken);
        break;
    }
    case 2: {
        struct link *fresh = make(link->structure);
        gari_move(&fresh->next[0], gari_load(field));
        gari_move(field, fresh);
        break;
    }
    case 3:
        if (gari_try_incref(first)) {
            stress_tag_alive(&first->tag, 0, "try_incref");
            gari_move(field, first);
        }
        break;
    case 4:
    case 5:
    case 6:
        if (gari_try_incref(link)) {
            stress_tag_alive(&link->tag, 0, "try_incref");
            if (kept->link)
                stress_tag_alive(&kept->link->tag, kept->id, "before it is dropped");
            gari_decref(kept->link);
            *kept = (struct kept){link, link->tag.id};
        }
        break;
    default:
        break;
    }
}

static void read_roots(struct stress_worker *worker)
{
    struct kept kept[KEPT] = {{NULL, 0}};
    while (stress_tick(worker)) {
        struct link *seen[LONGEST + 1];
        uint64_t ids[LONGEST + 1];
        unsigned count = 0;
        gari_read_begin();
        struct link *link = gari_borrow(&roots[stress_below(worker, ROOTS)]);
        uint64_t structure = link ? link->structure : 0;
        while (link && count <= LONGEST) {
            seen[count] = link;
            ids[count++] = stress_tag_readable(&link->tag, "first look");
            if (link->structure != structure)
                stress_fail("a walk through structure %lu has come to %lu",
                            (unsigned long)structure, (unsigned long)link->structure);
            link = gari_borrow(&link->next[stress_below(worker, FIELDS)]);
        }
        if (stress_once_in(worker, 20000))
            stress_await_proof(worker);
        else
            stress_dawdle(worker);
        if (count > 0)
            meddle(worker, seen[stress_below(worker, count)], seen[0],
                   &kept[stress_below(worker, KEPT)]);
        for (unsigned i = 0; i < count; i++)
            stress_tag_same(&seen[i]->tag, ids[i], "last look");
        gari_read_end();
        struct kept *one = &kept[stress_below(worker, KEPT)];
        walk_kept(one, worker);
        if (stress_once_in(worker, 8)) {
            gari_decref(one->link);
            one->link = NULL;
        }
    }
    for (int i = 0; i < KEPT; i++)
        gari_decref(kept[i].link);
}

static void work(struct stress_worker *worker)
{
    if (worker->index == 0)
        stress_collect(worker);
    else if (worker->index == 1)
        swap_roots(worker);
    else
        read_roots(worker);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 3, "borrowed readers of structures that are swapped away");
    stress_run(stress.threads + 2, work);
    for (int i = 0; i < ROOTS; i++)
        gari_store(&roots[i], NULL);
    stress_settle(0);
    stress_check_shadow(0);
    return stress_end();
}
