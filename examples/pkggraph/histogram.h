/* A log-linear histogram of durations: 32 equal steps within each power of two, so a percentile is
 * right to about three percent over the whole range, in a fixed 15 KiB. */
#ifndef PKGGRAPH_HISTOGRAM_H
#define PKGGRAPH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 5
#define HISTOGRAM_STEPS (1u << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS)

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Counts one value. One thread at a time. */
void histogram_add(struct histogram *histogram, uint64_t value);

/* Adds all that `from` has counted. */
void histogram_merge(struct histogram *histogram, const struct histogram *from);

/* The value that `fraction` (0 to 1) of the counted ones do not exceed, to within a bucket and
 * never above the maximum; 0 when nothing was counted. */
uint64_t histogram_percentile(const struct histogram *histogram, double fraction);

#endif
