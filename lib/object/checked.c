#include "lib/object/checked.h"

#ifdef GARI_CHECKED

#include "concurrency/fatal.h"
#include "concurrency/rcu.h"
#include "concurrency/word.h"
#include "lib/object/count.h"
#include "lib/object/edges.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAMES 4
/* Frames of gari's own that may lie between the one that takes the trace and the service's. */
#define OWN_FRAMES 4
/* Fields in the first two kilobytes of an object are watched. */
#define WATCHED_WORDS 256u
#define POISON 0xDD
#define QUARANTINE_BYTES ((size_t)16 << 20)

enum states { UNBORN, ALIVE, DEAD, FREED };

struct gari__checked {
    void *made[FRAMES], *died[FRAMES];
    uint64_t stored[WATCHED_WORDS / 64]; /* atomically */
    /* Atomically. Below zero where a reference leaves its field before whoever has put it there has
     * counted it, or where a field was filled behind gari's back. */
    int32_t edges;
    uint8_t state;     /* atomically */
    gari_object *next; /* in quarantine; under its lock */
};

__thread const void *gari__checked_maker;
static __thread bool traverse_failed;

/* ---- Finding what is known ----------------------------------------------------------------- */

struct place {
    const struct gari__block *block;
    struct gari__checked *checked;
    gari_object *object;
};

/* The object that the address lies in. False: none that has ever lived. */
static bool find(const void *address, struct place *place)
{
    const struct gari__block *block = gari__is_heap(address) ? gari__block_of(address) : NULL;
    if (!block || !gari__load_acquire(&block->kind) || (const char *)address < block->base)
        return false;
    uint32_t slot = gari__slot_of(block, address);
    struct gari__checked *table = gari__load_acquire(&block->checked);
    if (!table || slot >= gari__load_acquire(&block->carved))
        return false;
    *place = (struct place){block, &table[slot], gari__slot_at(block, slot)};
    return true;
}

static enum states state_of(const struct place *place)
{
    return (enum states)gari__load_acquire(&place->checked->state);
}

static const char *type_of(const struct place *place)
{
    return gari__shape_of(place->object)->type.name;
}

/* The trace from `maker` on; if it is not met, all of it but what takes it. */
static void take_trace(void *trace[FRAMES], const void *maker)
{
    void *frames[OWN_FRAMES + FRAMES];
    int count = backtrace(frames, OWN_FRAMES + FRAMES), first = 2;
    for (int i = 0; maker && i < count; i++) {
        if (frames[i] == maker) {
            first = i;
            break;
        }
    }
    for (int i = 0; i < FRAMES; i++)
        trace[i] = first + i < count ? frames[first + i] : NULL;
}

static void spell_frame(void *const trace[FRAMES], const char *what, char *text, size_t room)
{
    int depth = 0;
    while (depth < FRAMES && trace[depth])
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
    struct place place;
    story[0] = '\0';
    if (find(object, &place)) {
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
    for (size_t i = 0; i < WATCHED_WORDS / 64; i++)
        gari__store_relaxed(&checked->stored[i], 0);
    gari__store_relaxed(&checked->edges, 0);
    gari__store_release(&checked->state, ALIVE);
}

void gari__checked_death(const gari_object *object)
{
    /* Of the call that has begun to take objects apart: what dies of it dies in it. */
    static __thread void *call[FRAMES];
    const struct gari__object_thread *self = (const struct gari__object_thread *)gari__self;
    struct place place;
    if (!find(object, &place) || state_of(&place) != ALIVE)
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
    gari__store_release(&place.checked->state, DEAD);
}

/* ---- Quarantine ---------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    gari_object *first, *last;
    size_t bytes, most;
    bool configured;
} quarantine = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* GARI_QUARANTINE=bytes, with K, M or G for powers of 1024. Under the lock. */
static void configure(void)
{
    const char *text = getenv("GARI_QUARANTINE");
    quarantine.configured = true;
    quarantine.most = QUARANTINE_BYTES;
    if (!text)
        return;
    char *end;
    unsigned long long bytes = strtoull(text, &end, 10);
    static const char units[] = "KMG";
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (end == text || (*end && (!unit || end[1]))) {
        gari__say("GARI_QUARANTINE=%s is no number of bytes, with K, M or G", text);
        return;
    }
    quarantine.most = (size_t)bytes << (unit ? 10 * (unit - units + 1) : 0);
}

static size_t body_of(const struct place *place)
{
    return (place->block->slot_size
                ? place->block->slot_size
                : (size_t)(place->block->run + place->block->pages * GARI__PAGE_SIZE -
                           place->block->base)) -
           sizeof(gari_object);
}

/* Of an object with a block of its own: as far as free_slot knew its size, so a part. */
static void check_poison(const struct place *place)
{
#ifndef GARI__ASAN
    const unsigned char *body = (const unsigned char *)(place->object + 1);
    for (size_t i = 0; place->block->slot_size && i < body_of(place); i++)
        if (body[i] != POISON)
            gari__fatal("the object at %p of type '%s' was written to at offset %zu after its "
                        "memory had been freed%s",
                        (void *)place->object, type_of(place), sizeof(gari_object) + i,
                        gari__checked_story(place->object));
#else
    (void)place; /* it has told at the write */
#endif
}

/* Takes the oldest out; the lock is held. NULL: it is small enough. */
static gari_object *take_oldest(size_t most)
{
    gari_object *object = quarantine.bytes > most ? quarantine.first : NULL;
    struct place place;
    if (!object || !find(object, &place))
        return NULL;
    quarantine.first = place.checked->next;
    if (!quarantine.first)
        quarantine.last = NULL;
    quarantine.bytes -= body_of(&place);
    return object;
}

static void shrink(size_t most)
{
    for (;;) {
        pthread_mutex_lock(&quarantine.lock);
        gari_object *object = take_oldest(most);
        pthread_mutex_unlock(&quarantine.lock);
        struct place place;
        if (!object || !find(object, &place))
            return;
        check_poison(&place);
        struct gari__block *block = gari__block_of(object);
        uint32_t slot = gari__slot_of(block, object) + 1;
        gari__block_free(block, slot, slot, 1);
    }
}

void gari__checked_quarantine(struct gari__block *block, uint32_t head)
{
    pthread_mutex_lock(&quarantine.lock);
    if (!quarantine.configured)
        configure();
    for (uint32_t slot = head, next; slot; slot = next) {
        next = gari__load_relaxed(&block->side[slot - 1].link);
        struct place place;
        if (!find(gari__slot_at(block, slot - 1), &place))
            continue;
        gari__store_release(&place.checked->state, FREED);
        place.checked->next = NULL;
        struct place last;
        if (quarantine.last && find(quarantine.last, &last))
            last.checked->next = place.object;
        else
            quarantine.first = place.object;
        quarantine.last = place.object;
        quarantine.bytes += body_of(&place);
    }
    size_t most = quarantine.most;
    pthread_mutex_unlock(&quarantine.lock);
    shrink(most);
}

void gari__checked_release(void)
{
    shrink(0);
}

void gari__checked_walk(void (*visit)(const gari_object *object, void *arg), void *arg)
{
    pthread_mutex_lock(&quarantine.lock);
    struct place place;
    for (gari_object *object = quarantine.first; object && find(object, &place);
         object = place.checked->next)
        visit(object, arg);
    pthread_mutex_unlock(&quarantine.lock);
}

/* ---- Calls --------------------------------------------------------------------------------- */

void gari__checked_object(const gari_object *object, const char *call)
{
    struct place place;
    if (!object)
        return;
    if (!find(object, &place) || place.object != object || state_of(&place) == UNBORN)
        gari__fatal("%s: there is no object of gari's at %p", call, (const void *)object);
    if (state_of(&place) == FREED)
        gari__fatal_dead(object, call);
}

static bool in_callback(void)
{
    const struct gari__object_thread *self = (const struct gari__object_thread *)gari__self;
    return !self || self->callbacks || self->collecting || self->unwinding;
}

void gari__checked_field(const gari_slot *field, const char *call)
{
    struct place place;
    if (!find(field, &place))
        return; /* of a root, or of memory of the service's */
    enum states state = state_of(&place);
    /* Until its memory is freed, who has borrowed it may use it. */
    if (state == FREED || state == UNBORN ||
        (state == DEAD && !gari__in_section() && !in_callback()))
        gari__fatal("%s: the field at offset %zu of the object at %p of type '%s' is used after "
                    "the object's death%s",
                    call, (size_t)((const char *)field - (const char *)place.object),
                    (void *)place.object, type_of(&place), gari__checked_story(place.object));
}

static uint64_t *watch(const struct place *place, const gari_slot *field, uint64_t *bit)
{
    size_t word = (size_t)((const char *)field - (const char *)place->object) / 8;
    *bit = (uint64_t)1 << (word % 64);
    return word < WATCHED_WORDS ? &place->checked->stored[word / 64] : NULL;
}

void gari__checked_stores(const gari_slot *field)
{
    struct place place;
    uint64_t bit, *stored = find(field, &place) ? watch(&place, field, &bit) : NULL;
    /* Release: pairs with gari__checked_visit, who sees what is stored after this. */
    if (stored)
        gari__fetch_or_acq_rel(stored, bit);
}

void gari__checked_owned(const gari_object *object, const char *call)
{
    struct place place;
    if (!find(object, &place))
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
    struct place place;
    if (!object || !find(object, &place))
        return;
    gari__fetch_add_acq_rel(&place.checked->edges, 1);
    gari__checked_owned(object, call);
}

void gari__checked_no_edge(const gari_object *object)
{
    struct place place;
    if (object && find(object, &place))
        gari__fetch_sub_acq_rel(&place.checked->edges, 1);
}

/* ---- What types say of their fields -------------------------------------------------------- */

void gari__checked_traverse_failed(void)
{
    traverse_failed = true;
}

void gari__checked_visit(const gari_slot *field, const gari_object *target)
{
    struct place holder, place;
    uint64_t bit, *stored;
    if (!target)
        return;
    bool in_heap = find(field, &holder);
    if (!find(target, &place) || place.object != target || state_of(&place) == UNBORN ||
        state_of(&place) == FREED)
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
    uint64_t words[WATCHED_WORDS / 64];
    const gari_slot *twice;
};

static void note_name(gari_slot *field, void *arg)
{
    struct names *names = arg;
    uintptr_t distance = (uintptr_t)field - (uintptr_t)names->object;
    if (distance >= names->size || distance / 8 >= WATCHED_WORDS)
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
static const gari_slot *unnamed(const struct place *place, const struct names *names)
{
    for (size_t word = 1; word < WATCHED_WORDS && 8 * word < names->size; word++) {
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
    struct place place, other;
    struct names names = {.object = object, .size = gari__size_of(shape, object)};
    /* A large array is walked by gari itself. */
    if (names.size > GARI__SLOT_MAX || !find(object, &place))
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
             (void *)target, find(target, &other) ? type_of(&other) : "?");
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
