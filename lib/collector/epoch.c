#include "lib/collector/epoch.h"

#include "lib/heap/block.h"
#include "lib/object/self.h"

#define OLDEST_FROZEN 24576
_Static_assert(GARI__OLDEST + GARI__RESTAMP_EVERY <= GARI__FROZEN_AGE &&
                   GARI__FROZEN_AGE < OLDEST_FROZEN &&
                   OLDEST_FROZEN + 2 * GARI__RESTAMP_EVERY <= INT16_MAX + 1,
               "ages do not meet, and do not wrap, between two restamps");

uint64_t gari__epoch = 1;

void gari__epoch_advance(void)
{
    /* Written under the collector's lock, read by anybody. */
    gari__store_relaxed(&gari__epoch, gari__epoch + 1);
    gari__store_relaxed(&gari__birth_stamp, (uint16_t)gari__epoch);
}

struct restamping {
    uint16_t now;
    uint16_t boundary; /* ages above it are generation 2 */
    uint16_t frozen;   /* ages above it are permanent */
};

static void restamp(struct gari__block *block, void *arg)
{
    const struct restamping *how = arg;
    uint32_t carved = gari__load_acquire(&block->carved);
    for (uint32_t slot = 0; slot < carved; slot++) {
        uint16_t *birth = &block->side[slot].birth;
        uint16_t age = (uint16_t)(how->now - gari__load_relaxed(birth));
        uint16_t most = age > how->frozen     ? OLDEST_FROZEN
                        : age > how->boundary ? GARI__OLDEST
                                              : GARI__BOUNDARY_AGE;
        /* A newborn's stamp that is overwritten here by a race makes it older: a hint, no harm. */
        if (age > most)
            gari__store_relaxed(birth, (uint16_t)(how->now - most));
    }
}

void gari__restamp(uint64_t boundary, uint64_t frozen)
{
    struct restamping how = {(uint16_t)gari__epoch, (uint16_t)(gari__epoch - boundary),
                             frozen ? (uint16_t)(gari__epoch - frozen) : UINT16_MAX};
    gari__runs_walk(restamp, &how);
}
