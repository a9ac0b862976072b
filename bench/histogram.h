/* The histogram of the package graph example, for C and for C++. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#ifdef __cplusplus
extern "C" {
#endif
#include "examples/pkggraph/histogram.h"
#ifdef __cplusplus
}
#endif

#endif
