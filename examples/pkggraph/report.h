/* What the user sees: a bar while loading, a line each second, a table at the end. */
#ifndef PKGGRAPH_REPORT_H
#define PKGGRAPH_REPORT_H

#include "examples/pkggraph/service.h"

/* Draws a bar on a terminal, and nothing elsewhere. A service_progress; arg is not used. */
void report_progress(const char *step, size_t done, size_t total, void *arg);

/* Wipes the bar, so that a line can take its place. */
void report_progress_end(void);

/* One line about the files, one about the archive that was built from them. */
void report_sources(const struct sources *sources, uint64_t took_ns);
void report_first_load(const struct service *service);

/* One line about the last second; `lookups` keeps the figure of the second before. */
void report_second(const struct service *service, unsigned second, uint64_t *lookups);

struct outcome {
    uint64_t served_ns;
    uint64_t longest_wait_ns; /* before the shutdown, whose own waits are nobody's */
    gari_stats at_end;        /* after it */
    size_t left;
};

/* The closing table. Returns how many inconsistencies there were. */
uint64_t report_table(const struct service *service, const struct outcome *outcome);

/* For gari_shutdown: one line for each type of which objects are left. */
void report_left(const gari_type *type, size_t objects, size_t bytes, void *arg);

#endif
