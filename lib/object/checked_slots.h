/* What the checked build keeps of each slot, for its own parts: checked.c and quarantine.c. */
#ifndef GARI_OBJECT_CHECKED_SLOTS_H
#define GARI_OBJECT_CHECKED_SLOTS_H

#include "lib/object/shape.h"

#define GARI__CHECKED_FRAMES 4
/* Fields in the first two kilobytes of an object are watched. */
#define GARI__CHECKED_WORDS 256u

enum gari__checked_state { GARI__SLOT_UNBORN, GARI__SLOT_ALIVE, GARI__SLOT_DEAD, GARI__SLOT_FREED };

struct gari__checked {
    void *made[GARI__CHECKED_FRAMES], *died[GARI__CHECKED_FRAMES];
    uint64_t stored[GARI__CHECKED_WORDS / 64]; /* atomically */
    /* Atomically. Below zero where a reference leaves its field before whoever has put it there has
     * counted it, or where a field was filled behind gari's back. */
    int32_t edges;
    uint8_t state;     /* atomically */
    gari_object *next; /* in quarantine; under its lock */
};

struct gari__checked_place {
    const struct gari__block *block;
    struct gari__checked *checked;
    gari_object *object;
};

/* The object that the address lies in. False: none that has ever lived. */
bool gari__checked_find(const void *address, struct gari__checked_place *place);

#endif
