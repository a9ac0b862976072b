/* Ages. An object's generation follows from when it was born; its birth stamp is the low half of that epoch. */
#ifndef GARI_COLLECTOR_EPOCH_H
#define GARI_COLLECTOR_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

/* Collections begun so far: the current epoch. Objects born now carry its low bits. */
extern uint64_t gari__epoch;
/* Counts it up. */
void gari__epoch_advance(void);

/* Whether an object with that stamp was born in an earlier epoch than that one. */
static inline bool gari__born_before(uint16_t stamp, uint64_t epoch)
{
    return (int16_t)(uint16_t)((uint16_t)epoch - stamp) > 0;
}

/* Whether it was born at or after `since` and before `epoch`. */
static inline bool gari__born_between(uint16_t stamp, uint64_t since, uint64_t epoch)
{
    /* An age of 0 or less, of what was born in this epoch or later, comes to be more than any. */
    uint16_t more = (uint16_t)((uint16_t)epoch - stamp - 1u);
    uint64_t oldest = epoch - since;
    return more < (oldest < INT16_MAX ? oldest : INT16_MAX);
}

/* A stamp is 16 bits of the epoch. Once in GARI__RESTAMP_EVERY epochs, before one could wrap and make
 * an old object young again, all stamps are brought up: of generation 2 (born before epoch
 * `boundary`) to an age that is as good as any larger one, of the younger ones to at most
 * GARI__BOUNDARY_AGE; a boundary that is older than that moves there too, so that nothing changes
 * its generation. The permanent generation lies beyond another boundary, at most GARI__FROZEN_AGE
 * away. Costs a pass over 4 bytes an object. */
#define GARI__RESTAMP_EVERY 4096u
#define GARI__BOUNDARY_AGE 8192u
#define GARI__FROZEN_AGE 20480u /* the same for the boundary of the permanent generation, if any */
/* Ages from here on are all the same, but that what is permanent is older still. */
#define GARI__OLDEST 16384
void gari__restamp(uint64_t boundary, uint64_t frozen);

#endif
