/* A made-up archive in the format of the real ones, for machines without package metadata and for
 * tests: libraries in layers, applications, virtual packages with several providers, alternatives,
 * version constraints, and dependencies in circles. */
#ifndef PKGGRAPH_SAMPLE_H
#define PKGGRAPH_SAMPLE_H

#include <stddef.h>

#define SAMPLE_PACKAGES 5000

/* The text of an archive of that many packages, the same at every call; NULL when memory is
 * exhausted. The caller frees it. */
char *sample_make(size_t packages, size_t *length);

#endif
