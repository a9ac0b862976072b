#ifndef BENCH_PAUSE_SHAPE_H
#define BENCH_PAUSE_SHAPE_H

#define PAUSE_SLOTS 1024 /* of each thread */
#define PAUSE_RING 4     /* nodes */

#endif
