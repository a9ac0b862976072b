#include "lib/object/checked.h"

#ifdef GARI_CHECKED

#include "concurrency/fatal.h"
#include "concurrency/rcu.h"
#include "concurrency/word.h"
#include "lib/object/checked_slots.h"
#include "lib/object/count.h"
#include "lib/object/edges.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Frames of gari's own that may lie between the one that takes the trace and the service's. */
#define OWN_FRAMES 4

__thread const void *gari__checked_maker;
static __thread bool traverse_failed;

/* ---- Finding what is known ----------------------------------------------------------------- */

bool gari__checked_find(const void *address, struct gari__checked_place *place)
{
    const struct gari__block *block = gari__is_heap(address) ? gari__block_of(address) : NULL;
    if (!block || !gari__load_acquire(&block->kind) || (const char *)address < block->base)
        return false;
    uint32_t slot = gari__slot_of(block, address);
    struct gari__checked *table = gari__load_acquire(&block->checked);
    if (!table || slot >= gari__load_acquire(&block->carved))
        return false;
    *place = (struct gari__checked_place){block, &table[slot], gari__slot_at(block, slot)};
    return true;
}

static enum gari__checked_state state_of(const struct gari__checked_place *place)
{
    return (enum gari__checked_state)gari__load_acquire(&place->checked->state);
}

static const char *type_of(const struct gari__checked_place *place)
{
    return gari__shape_of(place->object)->type.name;
}

/* The trace from `maker` on; if it is not met, all of it but what takes it. */
static void take_trace(void *trace[GARI__CHECKED_FRAMES], const void *maker)
{
    void *frames[OWN_FRAMES + GARI__CHECKED_FRAMES];
    int count = backtrace(frames, OWN_FRAMES + GARI__CHECKED_FRAMES), first = 2;
    for (int i = 0; maker && i < count; i++) {
        if (frames[i] == maker) {
            first = i;
            break;
        }
    }
    for (int i = 0; i < GARI__CHECKED_FRAMES; i++)
        trace[i] = first + i < count ? frames[first + i] : NULL;
}

static void spell_frame(void *const trace[GARI__CHECKED_FRAMES], const char *what, char *text,
                        size_t room)
{
    int depth = 0;
    while (depth < GARI__CHECKED_FRAMES && trace[depth])
        depth++;
    if (depth == 0)
        return;
    gari__say("%s in:", what);
    backtrace_symbols_fd(trace, depth, STDERR_FILENO);
    char **symbols = backtrace_symbols(trace, depth);
    if (!symbols)
        return;
    /* The innermost function that is not one of gari's, if there is one. */
    int at = 0;
    while (at < depth && strstr(symbols[at], "(gari_"))
        at++;
    const char *symbol = symbols[at < depth ? at : 0], *name = strrchr(symbol, '/');
    snprintf(text, room, "; %s in %s", what, name ? name + 1 : symbol);
    free(symbols);
}

const char *gari__checked_story(const gari_object *object)
{
    static __thread char story[256];
    struct gari__checked_place place;
    story[0] = '\0';
    if (gari__checked_find(object, &place)) {
        spell_frame(place.checked->made, "made", story, sizeof story / 2);
        size_t used = strlen(story);
        spell_frame(place.checked->died, "died", story + used, sizeof story - used);
    }
    return story;
}

/* ---- Birth and death ----------------------------------------------------------------------- */

void gari__checked_birth(gari_object *object)
{
    struct gari__block *block = gari__block_of(object);
    struct gari__checked *table = gari__load_relaxed(&block->checked);
    if (!table) {
        /* Not counted as gari's memory, and it never fails: tests of failing memory see no difference. */
        table = calloc(block->slots, sizeof *table);
        if (!table)
            gari__fatal("gari_new: no memory for what the checked build keeps of an object");
        gari__store_release(&block->checked, table);
    }
    struct gari__checked *checked = &table[gari__slot_of(block, object)];
    take_trace(checked->made, gari__checked_maker);
    memset(checked->died, 0, sizeof checked->died);
    for (size_t i = 0; i < GARI__CHECKED_WORDS / 64; i++)
        gari__store_relaxed(&checked->stored[i], 0);
    gari__store_relaxed(&checked->edges, 0);
    gari__store_release(&checked->state, GARI__SLOT_ALIVE);
}

void gari__checked_death(const gari_object *object)
{
    /* Of the call that has begun to take objects apart: what dies of it dies in it. */
    static __thread void *call[GARI__CHECKED_FRAMES];
    const struct gari__object_thread *self = (const struct gari__object_thread *)gari__self;
    struct gari__checked_place place;
    if (!gari__checked_find(object, &place) || state_of(&place) != GARI__SLOT_ALIVE)
        return;
    if (self && self->collecting) {
        memset(place.checked->died, 0, sizeof place.checked->died);
        place.checked->died[0] =
            (void *)(uintptr_t)gari_collect; /* its name says what there is to say */
    } else {
        if (!self || !self->unwinding)
            take_trace(call, NULL);
        memcpy(place.checked->died, call, sizeof call);
    }
    gari__store_release(&place.checked->state, GARI__SLOT_DEAD);
}

/* ---- Calls --------------------------------------------------------------------------------- */

void gari__checked_object(const gari_object *object, const char *call)
{
    struct gari__checked_place place;
    if (!object)
        return;
    if (!gari__checked_find(object, &place) || place.object != object ||
        state_of(&place) == GARI__SLOT_UNBORN)
        gari__fatal("%s: there is no object of gari's at %p", call, (const void *)object);
    if (state_of(&place) == GARI__SLOT_FREED)
        gari__fatal_dead(object, call);
}

static bool in_callback(void)
{
    const struct gari__object_thread *self = (const struct gari__object_thread *)gari__self;
    return !self || self->callbacks || self->collecting || self->unwinding;
}

void gari__checked_field(const gari_slot *field, const char *call)
{
    struct gari__checked_place place;
    if (!gari__checked_find(field, &place))
        return; /* of a root, or of memory of the service's */
    enum gari__checked_state state = state_of(&place);
    /* Until its memory is freed, who has borrowed it may use it. */
    if (state == GARI__SLOT_FREED || state == GARI__SLOT_UNBORN ||
        (state == GARI__SLOT_DEAD && !gari__in_section() && !in_callback()))
        gari__fatal("%s: the field at offset %zu of the object at %p of type '%s' is used after "
                    "the object's death%s",
                    call, (size_t)((const char *)field - (const char *)place.object),
                    (void *)place.object, type_of(&place), gari__checked_story(place.object));
}

static uint64_t *watch(const struct gari__checked_place *place, const gari_slot *field,
                       uint64_t *bit)
{
    size_t word = (size_t)((const char *)field - (const char *)place->object) / 8;
    *bit = (uint64_t)1 << (word % 64);
    return word < GARI__CHECKED_WORDS ? &place->checked->stored[word / 64] : NULL;
}

void gari__checked_stores(const gari_slot *field)
{
    struct gari__checked_place place;
    uint64_t bit, *stored = gari__checked_find(field, &place) ? watch(&place, field, &bit) : NULL;
    /* Release: pairs with gari__checked_visit, who sees what is stored after this. */
    if (stored)
        gari__fetch_or_acq_rel(stored, bit);
}

void gari__checked_owned(const gari_object *object, const char *call)
{
    struct gari__checked_place place;
    if (!gari__checked_find(object, &place))
        return;
    uint64_t *word = gari__word_of(object), before, after;
    int32_t edges;
    /* What is read while the word stays the same was so at one moment. */
    do {
        before = gari__load_acquire(word);
        edges = gari__fetch_add_acq_rel(&place.checked->edges, 0);
        after = gari__load_acquire(word);
    } while (before != after);
    /* Of a dead one nothing is known: the members of a garbage cycle still refer to each other. */
    if (gari__is_counted(before) && !(before & GARI__IMMORTAL) &&
        edges > (int32_t)gari__count_of(before))
        gari__fatal("%s: the object at %p of type '%s' has count %llu, but %d fields refer to it: "
                    "a reference was stored or given back that was not owned%s",
                    call, (const void *)object, type_of(&place),
                    (unsigned long long)gari__count_of(before), edges, gari__checked_story(object));
}

void gari__checked_edge(const gari_object *object, const char *call)
{
    struct gari__checked_place place;
    if (!object || !gari__checked_find(object, &place))
        return;
    gari__fetch_add_acq_rel(&place.checked->edges, 1);
    gari__checked_owned(object, call);
}

void gari__checked_no_edge(const gari_object *object)
{
    struct gari__checked_place place;
    if (object && gari__checked_find(object, &place))
        gari__fetch_sub_acq_rel(&place.checked->edges, 1);
}

/* ---- What types say of their fields -------------------------------------------------------- */

void gari__checked_traverse_failed(void)
{
    traverse_failed = true;
}

void gari__checked_visit(const gari_slot *field, const gari_object *target)
{
    struct gari__checked_place holder, place;
    uint64_t bit, *stored;
    if (!target)
        return;
    bool in_heap = gari__checked_find(field, &holder);
    if (!gari__checked_find(target, &place) || place.object != target ||
        state_of(&place) == GARI__SLOT_UNBORN || state_of(&place) == GARI__SLOT_FREED)
        gari__fatal("a traverse names the field at %p, in %s at %p of type '%s', as a reference: "
                    "it holds %p, which is no object%s",
                    (const void *)field, in_heap ? "the object" : "memory that is none of gari's",
                    in_heap ? (void *)holder.object : NULL, in_heap ? type_of(&holder) : "",
                    (const void *)target, in_heap ? gari__checked_story(holder.object) : "");
    if (in_heap && (stored = watch(&holder, field, &bit)) && !(gari__load_acquire(stored) & bit))
        gari__fatal("the object at %p of type '%s': its type names a reference at offset %zu, "
                    "into which nothing was ever stored by a call of gari's%s",
                    (void *)holder.object, type_of(&holder),
                    (size_t)((const char *)field - (const char *)holder.object),
                    gari__checked_story(holder.object));
}

struct names {
    gari_object *object;
    size_t size;
    uint64_t words[GARI__CHECKED_WORDS / 64];
    const gari_slot *twice;
};

static void note_name(gari_slot *field, void *arg)
{
    struct names *names = arg;
    uintptr_t distance = (uintptr_t)field - (uintptr_t)names->object;
    if (distance >= names->size || distance / 8 >= GARI__CHECKED_WORDS)
        return;
    uint64_t *word = &names->words[distance / 512], bit = (uint64_t)1 << (distance / 8 % 64);
    if (*word & bit)
        names->twice = field;
    *word |= bit;
}

static const gari_slot *field_of(gari_object *object, size_t word)
{
    return (const gari_slot *)(const void *)((const char *)object + 8 * word);
}

/* A field that holds something and is not named, or NULL. `values`: as they were found. */
static const gari_slot *unnamed(const struct gari__checked_place *place, const struct names *names)
{
    for (size_t word = 1; word < GARI__CHECKED_WORDS && 8 * word < names->size; word++) {
        uint64_t bit = (uint64_t)1 << (word % 64);
        if ((gari__load_acquire(&place->checked->stored[word / 64]) & bit) &&
            !(names->words[word / 64] & bit) &&
            gari__load_acquire(&field_of(place->object, word)->pointer))
            return field_of(place->object, word);
    }
    return NULL;
}

static void ask(const struct gari__shape *shape, struct names *names)
{
    memset(names->words, 0, sizeof names->words);
    names->twice = NULL;
    traverse_failed = false;
    gari__section_begin();
    for (size_t at = 0; at != GARI__EDGES_DONE;)
        at = gari__edges(shape, names->object, at, GARI__EDGES_IN_SECTION, note_name, names);
    gari__section_end();
}

const char *gari__checked_traverse(const struct gari__shape *shape, gari_object *object)
{
    static __thread char sentence[400];
    struct gari__checked_place place, other;
    struct names names = {.object = object, .size = gari__size_of(shape, object)};
    /* A large array is walked by gari itself. */
    if (names.size > GARI__SLOT_MAX || !gari__checked_find(object, &place))
        return NULL;
    const gari_slot *missing, *again;
    ask(shape, &names);
    const char *name = shape->type.name;
    if (names.twice) {
        snprintf(sentence, sizeof sentence,
                 "the object at %p of type '%s': its type names the reference at offset %zu twice",
                 (void *)object, name, (size_t)((const char *)names.twice - (const char *)object));
        return sentence;
    }
    missing = unnamed(&place, &names);
    if (!missing || traverse_failed)
        return NULL;
    /* Who has borrowed the object may have stored just now: a second look. */
    gari_object *target = gari__load_acquire(&missing->pointer);
    ask(shape, &names);
    again = unnamed(&place, &names);
    if (again != missing || gari__load_acquire(&missing->pointer) != target)
        return NULL;
    snprintf(sentence, sizeof sentence,
             "the object at %p of type '%s': its type does not name the field at offset %zu, into "
             "which a reference to %p of type '%s' was stored",
             (void *)object, name, (size_t)((const char *)missing - (const char *)object),
             (void *)target, gari__checked_find(target, &other) ? type_of(&other) : "?");
    return sentence;
}

void gari__checked_apart(const struct gari__shape *shape, gari_object *object)
{
    const char *wrong = gari__checked_traverse(shape, object);
    if (wrong)
        gari__fatal("%s%s", wrong, gari__checked_story(object));
}

#else

/* ISO C wants a translation unit to declare something. */
typedef int gari__checked_is_off;

#endif
