/* lateschedules: late death against those who may still see what hangs on the dead object, each
 * interleaving played exactly.
 *
 * Invariant: what a late root's grace period gives back is freed at once only if nobody can see it
 * (docs/protocol.md, "Late death"): neither a borrower who came another way, nor a pass of the
 * collector, nor a walk of the blocks. One thread, the dropper, drops the root and allocates until its
 * grace period is driven; it is held before it looks below the root, or before it frees.
 *
 * A violation looks like: a borrowed object that becomes another in a section; an object that was
 * found by a walk, and is dead while owned. */
#include "stress/schedule.h"

/* Late types have no callbacks: the program is told of deaths as with --plain. */
static const gari_type late_type =
    GARI_TYPE(struct part, .refs = GARI_REFS(struct part, next, other), .dispose = dispose,
              .flags = GARI_TYPE_LATE);

/* Wider than a section of the collector's, which ends at this edge. */
#define WIDE 400
#define SECTION 256
/* No more than the collector puts aside. */
#define ASIDE 16
struct wide {
    gari_object header;
    struct stress_tag tag;
    size_t length;
    part_ref items[];
};

static void dispose_wide(void *self)
{
    stress_tag_die(&((struct wide *)self)->tag);
}

static const gari_type wide_type =
    GARI_TYPE(struct wide, .items = GARI_REF_ITEMS(struct wide, length, items),
              .dispose = dispose_wide, .flags = GARI_TYPE_LATE);

/* It is looked at beside the collector, and must stay what it is while that is between two fields. */
static __thread bool is_dropper;

static void traverse(void *self, gari_visit visit, void *arg)
{
    struct part *part = self;
    uint64_t id = stress_tag_readable(&part->tag, "traversed");
    GARI_VISIT(&part->next, visit, arg);
    if (!is_dropper)
        GARI_PERTURB_STEP(TRAVERSE);
    stress_tag_same(&part->tag, id, "traversed");
    GARI_VISIT(&part->other, visit, arg);
}

static const gari_type slow_type = GARI_TYPE(struct part, .traverse = traverse, .dispose = dispose);

/* A candidate, in the root, which refers to so many objects: the first are plain ones, the others slow. */
static void make_wide(part_ref *root, int plain, int count)
{
    struct wide *wide = STRESS_NEW_ITEMS(&wide_type, WIDE);
    stress_tag_bear(&wide->tag);
    for (int i = 0; i < count; i++)
        gari_init(&wide->items[i], make(i < plain ? &part_type : &slow_type));
    gari_slot_init(&root->gari_slot_, wide);
    gari_decref(gari_load(root));
}

/* Untracked: that it has been shared is told by nothing but its flag. */
static const gari_type leaf_type = GARI_TYPE(struct part, .dispose = dispose);

/* Not so large that they have blocks of their own; so many that a thread in manual mode waits. */
#define BULKS 12000
struct bulk {
    gari_object header;
    unsigned char bytes[500];
};
static const gari_type bulk_type = GARI_TYPE(struct bulk);
static uint64_t bulks;

/* Drops the root, and allocates until it is told to stop; keeps what it has allocated, so that it
 * waits for no other grace period than the root's. */
struct dropper {
    pthread_t thread;
    part_ref *root;
    bool stop; /* atomically */
    bool done; /* atomically */
};

static void *drop_late(void *arg)
{
    struct dropper *dropper = arg;
    static struct bulk *bulk[BULKS];
    int made = 0;
    is_dropper = true;
    gari_store(dropper->root, NULL);
    while (made < BULKS && !gari__load_acquire(&dropper->stop))
        bulk[made++] = STRESS_NEW(&bulk_type);
    gari__store_release(&dropper->done, true);
    while (!gari__load_acquire(&dropper->stop))
        nap();
    for (int i = 0; i < made; i++, bulks++)
        gari_decref(bulk[i]);
    return NULL;
}

static void start_dropper(struct dropper *dropper, part_ref *root)
{
    *dropper = (struct dropper){.root = root};
    dropper->thread = start(drop_late, dropper);
}

/* The dropper goes on from the step, and does what it has to at once. */
static void finish_drop(struct dropper *dropper, enum gari__steps step)
{
    gari__store_release(&dropper->stop, true);
    gari__let_go(step);
    pthread_join(dropper->thread, NULL);
}

/* R6. What hangs on the dead root stays what it is in a section that began before the death. */
static void keep(void)
{
    part_ref root = {{NULL}};
    struct part *part = make(&late_type), *below = make(&part_type);
    uint64_t id = below->tag.id;
    gari_init(&part->next, below);
    gari_init(&root, part);
    gari_read_begin();
    part = gari_borrow(&root);
    below = gari_borrow(&part->next);
    struct dropper dropper;
    start_dropper(&dropper, &root);
    uint64_t end = gari__now_ns() + WATCH_NS;
    while (gari__now_ns() < end)
        nap();
    stress_tag_same(&below->tag, id, "borrowed");
    demand(!gari__load_acquire(&dropper.done), "the root's grace period waits for the section");
    gari__store_release(&dropper.stop, true);
    gari_read_end();
    pthread_join(dropper.thread, NULL);
    all_is_collected();
}

/* Two roots hold one object. After the death of one, somebody borrows it by way of the other, where
 * the reference then goes: one is left, the dead root's, and still the object is not exclusive. */
static void shared(void)
{
    part_ref root = {{NULL}}, other = {{NULL}};
    struct part *dying = make(&late_type), *living = make(&late_type), *part = make(&leaf_type);
    uint64_t id = part->tag.id;
    gari_init(&living->next, gari_incref(part));
    gari_init(&dying->next, part);
    gari_init(&root, dying);
    gari_move(&other, living);
    gari__hold(GARI__STEP_LATE);
    struct dropper dropper;
    start_dropper(&dropper, &root);
    await(GARI__STEP_LATE);
    gari_read_begin();
    living = gari_borrow(&other);
    part = gari_borrow(&living->next);
    gari_store(&living->next, NULL);
    finish_drop(&dropper, GARI__STEP_LATE);
    stress_tag_same(&part->tag, id, "borrowed");
    gari_read_end();
    gari_store(&other, NULL);
    all_is_collected();
}

/* The collector has met what hangs on the root while the root lived, in a section that is over, and
 * comes back to it in one that began after the root's grace period. */
static void quiet(void)
{
    part_ref root = {{NULL}};
    make_wide(&root, 0, WIDE);
    pthread_t collector = collect_up_to(GARI__STEP_WALK);
    gari__hold(GARI__STEP_LATE);
    struct dropper dropper;
    start_dropper(&dropper, &root);
    await(GARI__STEP_LATE);
    go_on(GARI__STEP_WALK, GARI__STEP_TRAVERSE);
    finish_drop(&dropper, GARI__STEP_LATE);
    collect_on_from(GARI__STEP_TRAVERSE, collector);
    all_is_collected();
}

/* The collector has read the references to what hangs on the root in a section that is over, and put the last of them
 * aside, to look up together where they lead: it has done so before that section's end, or these may be found
 * exclusive, and be freed while it looks at them. They are in a block of their own, to which nothing else leads. */
static void aside(void)
{
    part_ref root = {{NULL}};
    make_wide(&root, SECTION - ASIDE, SECTION);
    pthread_t collector = collect_up_to(GARI__STEP_WALK);
    gari__hold(GARI__STEP_EXCLUSIVE);
    struct dropper dropper;
    start_dropper(&dropper, &root);
    if (comes_to(GARI__STEP_EXCLUSIVE, WATCH_NS))
        go_on(GARI__STEP_WALK, GARI__STEP_TRAVERSE);
    else
        gari__let_go(GARI__STEP_WALK);
    finish_drop(&dropper, GARI__STEP_EXCLUSIVE);
    collect_on_from(GARI__STEP_TRAVERSE, collector);
    all_is_collected();
}

/* A walk of the blocks comes to an object that has just been found exclusive. */
struct walker {
    gari_objects found;
    bool done; /* atomically */
};

static void *walk(void *arg)
{
    struct walker *walker = arg;
    if (gari_get_objects(GARI_ALL, &walker->found) != 0)
        stress_fail("gari_get_objects finds no memory");
    gari__store_release(&walker->done, true);
    return NULL;
}

static void in_walk(void)
{
    part_ref root = {{NULL}};
    struct part *part = make(&late_type);
    gari_init(&part->next, make(&part_type));
    gari_init(&root, part);
    gari__hold(GARI__STEP_EXCLUSIVE);
    struct dropper dropper;
    start_dropper(&dropper, &root);
    await(GARI__STEP_EXCLUSIVE);
    struct walker walker = {.done = false};
    pthread_t thread = start(walk, &walker);
    uint64_t end = gari__now_ns() + WATCH_NS;
    while (!gari__load_acquire(&walker.done) && gari__now_ns() < end)
        nap();
    finish_drop(&dropper, GARI__STEP_EXCLUSIVE);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < walker.found.count; i++) {
        if (gari_type_of(walker.found.items[i]) == &part_type)
            stress_tag_alive(&((struct part *)walker.found.items[i])->tag, 0, "found");
    }
    gari_objects_release(&walker.found);
    all_is_collected();
}

static const struct schedule schedules[] = {
    {"keep below", keep}, {"shared", shared},   {"quiet", quiet},
    {"aside", aside},     {"in walk", in_walk},
};

int main(int argc, char **argv)
{
    stress.plain = true;
    return play_all(argc, argv, "late death against those who still see", schedules,
                    sizeof schedules / sizeof *schedules, &bulks);
}
