#ifndef PKGGRAPH_OPTIONS_H
#define PKGGRAPH_OPTIONS_H

#include "lib/gari.h"

#define EXIT_FOUND_WRONG 1 /* an inconsistency, or objects left at the end */
#define EXIT_USAGE 2
#define EXIT_INPUT 3
#define EXIT_SYSTEM 4

#define DEFAULT_STATUS "/var/lib/dpkg/status"
#define DEFAULT_LISTS "/var/lib/apt/lists"

struct options {
    unsigned threads;
    unsigned seconds;
    unsigned reload_ms;
    size_t sample; /* packages; 0: use real metadata */
    size_t memory_limit;
    gari_mode mode;
    const char *status; /* NULL: the default, which may be missing */
    const char *lists;
    bool no_lists;
    bool quiet;
};

/* Ends the process after --help, --version, and on bad usage. */
void options_parse(struct options *options, int argc, char **argv);

#endif
