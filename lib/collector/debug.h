/* The debug flags, and the lines that they make. */
#ifndef GARI_COLLECTOR_DEBUG_H
#define GARI_COLLECTOR_DEBUG_H

#include "lib/collector/pass.h"

void gari__debug_object(const char *verdict, const gari_object *object);
/* A collection has begun, or ended; nothing unless STATS is set. */
void gari__debug_begin(const struct gari__pass *pass);
void gari__debug_end(const struct gari__pass *pass, uint64_t took_ns);

#endif
