/* Whether the service's threads fill all processors. Then a thread of gari's that competes with them is
 * itself the pause, and they do the collector's work in small slices (design: docs/guide.md, "Modes"). */
#ifndef GARI_COLLECTOR_CROWD_H
#define GARI_COLLECTOR_CROWD_H

#include <stdbool.h>

/* The background thread, and only that one: looks, if it is time to, and returns what it has found. */
bool gari__crowd_look(void);

/* What was found last: any thread. */
bool gari__crowded(void);

/* There is no background thread any more. */
void gari__crowd_forget(void);

#endif
