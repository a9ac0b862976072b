/* pause without a collector: the ring that is replaced is freed by hand. Shows the machine's own
 * noise. */
#include "bench/driver.h"

#include "bench/pause/shape.h"

struct node {
    struct node *refs[3];
    uint64_t payload;
};

static inline void drop_ring(struct node *ring)
{
    for (int i = 0; i < PAUSE_RING; i++) {
        struct node *next = ring->refs[0];
        free(ring);
        ring = next;
    }
}

#define NEW(size) malloc(size)
#include "bench/pause/plain.h"

static void pause_begin(uint64_t count)
{
    build_live(count);
}
static void pause_end(void)
{
}
#define PAUSE_ARGUMENTS ""
#include "bench/pause/pause.h"
