/* The configuration as the program and its environment want it. */
#ifndef GARI_COLLECTOR_CONFIG_H
#define GARI_COLLECTOR_CONFIG_H

#include "concurrency/thread.h"
#include "lib/gari.h"

/* Whether the value of the environment variable can be used; if so changes *config or *style. The
 * strings in *config are not touched: what they mean is in *style. */
bool gari__config_variable(const char *variable, const char *value, gari_config *config,
                           struct gari__thread_style *style);

/* Puts the environment's wishes over the configuration in force. At the first use of the library. */
void gari__config_start(void);

#endif
