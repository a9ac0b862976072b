/* The command line of the stress programs, for common.c. */
#ifndef GARI_STRESS_COMMON_OPTIONS_H
#define GARI_STRESS_COMMON_OPTIONS_H

#include "stress/common.h"

#define STRESS_MOST_WORKERS 256u

/* The command that does the same again. */
extern char stress_replay[512];

/* Reads the options into `stress`, prints the seed, and breaks the rule that is to be broken. Ends the
 * process if it does not understand. */
void stress_read_options(int argc, char **argv, const char *about);

#endif
