/* The shadow: a table beside the heap that says of every object whether it is alive. Each program
 * is one file, so it has one shadow. */
#ifndef GARI_STRESS_SHADOW_H
#define GARI_STRESS_SHADOW_H

#include "stress/common.h"

#include <stdio.h>

#define SHADOW_SLOTS ((uint64_t)1 << 20)
#define SHADOW_CANARY 0x9a71c0de5afe0b1eu

/* In every object whose life is followed. The id names one life, it is never used twice:
 * generation << 32 | slot. */
struct stress_tag {
    uint64_t id;
    uint64_t canary;
};

/* By slot: generation << 1 | alive. Atomically. */
static uint64_t shadow_lives[SHADOW_SLOTS];
static const struct stress_tag *shadow_places[SHADOW_SLOTS]; /* for whoever looks into a failure */
static uint64_t shadow_births, shadow_deaths;                /* atomically */

static inline uint64_t *shadow_life_of(uint64_t id)
{
    return &shadow_lives[(id & UINT32_MAX) % SHADOW_SLOTS];
}

static inline uint64_t shadow_alive(uint64_t id)
{
    return id >> 32 << 1 | 1;
}

/* At birth, before anybody else sees the object. */
static inline void stress_tag_bear(struct stress_tag *tag)
{
    static __thread uint64_t cursor;
    if (cursor == 0)
        cursor = gari__load_relaxed(&shadow_births) * 4099 + (uintptr_t)&cursor / 64;
    for (uint64_t tries = 0; tries < SHADOW_SLOTS; tries++) {
        uint64_t slot = cursor++ % SHADOW_SLOTS;
        uint64_t life = gari__load_relaxed(&shadow_lives[slot]);
        if ((life & 1) == 0 && gari__cas_strong_acq_rel(&shadow_lives[slot], &life, life + 3)) {
            tag->id = (life + 3) >> 1 << 32 | slot;
            tag->canary = tag->id ^ SHADOW_CANARY;
            gari__store_relaxed(&shadow_places[slot], tag);
            gari__fetch_add_relaxed(&shadow_births, 1);
            return;
        }
    }
    stress_fail("%lu objects are alive: garbage is not freed", (unsigned long)SHADOW_SLOTS);
}

/* For a borrowed object: the memory is that of an object, dead or alive. Returns its id. */
static inline uint64_t stress_tag_readable(const struct stress_tag *tag, const char *where)
{
    /* Atomically only so that the compiler reads again each time; nobody may be writing. */
    uint64_t id = gari__load_relaxed(&tag->id);
    uint64_t canary = gari__load_relaxed(&tag->canary);
    if ((id ^ canary) != SHADOW_CANARY)
        stress_fail("%s: memory used again while in use: id %lx, canary %lx", where,
                    (unsigned long)id, (unsigned long)canary);
    return id;
}

/* The same, and it is still the object whose id was read earlier in the section. */
static inline void stress_tag_same(const struct stress_tag *tag, uint64_t id, const char *where)
{
    uint64_t found = stress_tag_readable(tag, where);
    if (found != id)
        stress_fail("%s: object %lx has become %lx in a section", where, (unsigned long)id,
                    (unsigned long)found);
}

/* For an owned object: it is also alive, and if id is not 0 it is the same as ever. */
static inline uint64_t stress_tag_alive(const struct stress_tag *tag, uint64_t id,
                                        const char *where)
{
    uint64_t found = stress_tag_readable(tag, where);
    if (id && found != id)
        stress_fail("%s: object %lx has become %lx while owned", where, (unsigned long)id,
                    (unsigned long)found);
    if (gari__load_acquire(shadow_life_of(found)) != shadow_alive(found))
        stress_fail("%s: object %lx is dead while owned", where, (unsigned long)found);
    return found;
}

/* Called by dispose. */
static inline void stress_tag_die(const struct stress_tag *tag)
{
    uint64_t id = stress_tag_readable(tag, "dispose");
    uint64_t alive = shadow_alive(id);
    if (!gari__cas_strong_acq_rel(shadow_life_of(id), &alive, alive - 1))
        stress_fail("object %lx dies twice", (unsigned long)id);
    gari__fetch_add_relaxed(&shadow_deaths, 1);
}

static inline uint64_t stress_births(void)
{
    return gari__load_relaxed(&shadow_births);
}

static inline uint64_t stress_deaths(void)
{
    return gari__load_relaxed(&shadow_deaths);
}

/* Counts two invariants, at the end: every object died, and gari's own counts agree. `untagged`
 * objects were made without a tag. */
static inline void stress_check_shadow(uint64_t untagged)
{
    uint64_t born = stress_births(), died = stress_deaths();
    stress_check(born == died, "every object died once: %lu born, %lu died", (unsigned long)born,
                 (unsigned long)died);
    for (uint64_t slot = 0, shown = 0; born != died && slot < SHADOW_SLOTS && shown < 10; slot++) {
        if (shadow_lives[slot] & 1) {
            const uint64_t *word = (const uint64_t *)(const void *)shadow_places[slot] - 1;
            printf("  alive: tag at %p, refcount word %016lx\n", (const void *)shadow_places[slot],
                   (unsigned long)*word);
            shown++;
        }
    }
    gari_stats stats = stress_stats();
    stress_check(stats.allocated == born + untagged &&
                     stats.allocated == stats.freed_by_count + stats.freed_by_cycles,
                 "the counts agree: %lu made, %lu freed by count, %lu by cycles",
                 (unsigned long)stats.allocated, (unsigned long)stats.freed_by_count,
                 (unsigned long)stats.freed_by_cycles);
}

#endif
