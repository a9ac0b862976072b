#include "examples/pkggraph/options.h"

#include "examples/pkggraph/sample.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum key {
    KEY_STATUS = 256, /* no short options: beyond the characters */
    KEY_LISTS,
    KEY_NO_LISTS,
    KEY_SAMPLE,
    KEY_RELOAD_MS,
    KEY_MODE,
    KEY_MEMORY_LIMIT
};

static const struct argp_option known[] = {
    {.name = "threads", .key = 't', .arg = "N", .doc = "Reader threads (one per core, at least 2)"},
    {.name = "seconds", .key = 's', .arg = "N", .doc = "How long to serve lookups (15)"},
    {.name = "reload-ms",
     .key = KEY_RELOAD_MS,
     .arg = "N",
     .doc = "Time from the start of one reload to that of the next (1000)"},
    {.name = "mode",
     .key = KEY_MODE,
     .arg = "MODE",
     .doc = "Who collects: background (default), inline, or manual (the reloading thread)"},
    {.name = "memory-limit",
     .key = KEY_MEMORY_LIMIT,
     .arg = "MIB",
     .doc = "Limit of gari's heap; a reload that would pass it gives up (none)"},
    {.name = "status",
     .key = KEY_STATUS,
     .arg = "FILE",
     .doc = "The status database (" DEFAULT_STATUS ", if it is there and --lists is not given)"},
    {.name = "lists",
     .key = KEY_LISTS,
     .arg = "DIR",
     .doc = "Where apt keeps its package lists (" DEFAULT_LISTS
            ", if they are there and --status is not given)"},
    {.name = "no-lists", .key = KEY_NO_LISTS, .doc = "Read the status database only"},
    {.name = "sample",
     .key = KEY_SAMPLE,
     .arg = "N",
     .flags = OPTION_ARG_OPTIONAL,
     .doc = "Use an archive of N made-up packages (5000) instead of this machine's"},
    {.name = "quiet", .key = 'q', .doc = "Print the closing table only"},
    {0},
};

static const char before_and_after[] =
    "Keeps the package archive of this machine as a graph of gari objects with references both "
    "ways, answers lookups from several threads, and meanwhile builds the archive anew every "
    "second: each time, the old one becomes one big garbage cycle under its readers."
    "\v"
    "Exit status: 0 when all was well; 1 when a reader found an object that was not what it must "
    "be, or when objects were left at the end; 2 for a wrong option; 3 for a missing or broken "
    "input file; 4 when the system refused memory or a thread at the start.";

static unsigned long number(struct argp_state *state, const char *name, const char *arg,
                            unsigned long least, unsigned long most)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(arg, &end, 10);
    if (*arg < '0' || *arg > '9' || *end || errno || value < least || value > most)
        argp_error(state, "--%s must be a number from %lu to %lu, not \"%s\"", name, least, most,
                   arg);
    return value;
}

static gari_mode mode_of(struct argp_state *state, const char *arg)
{
    if (strcmp(arg, "inline") == 0)
        return GARI_MODE_INLINE;
    if (strcmp(arg, "manual") == 0)
        return GARI_MODE_MANUAL;
    if (strcmp(arg, "background") != 0)
        argp_error(state, "--mode must be background, inline or manual, not \"%s\"", arg);
    return GARI_MODE_BACKGROUND;
}

static error_t take(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case 't':
        options->threads = (unsigned)number(state, "threads", arg, 1, 1024);
        return 0;
    case 's':
        options->seconds = (unsigned)number(state, "seconds", arg, 1, 1000000);
        return 0;
    case KEY_RELOAD_MS:
        options->reload_ms = (unsigned)number(state, "reload-ms", arg, 0, 1000000);
        return 0;
    case KEY_MODE:
        options->mode = mode_of(state, arg);
        return 0;
    case KEY_MEMORY_LIMIT:
        options->memory_limit = number(state, "memory-limit", arg, 1, 1u << 30) << 20;
        return 0;
    case KEY_STATUS:
        options->status = arg;
        return 0;
    case KEY_LISTS:
        options->lists = arg;
        return 0;
    case KEY_NO_LISTS:
        options->no_lists = true;
        return 0;
    case KEY_SAMPLE:
        options->sample = arg ? number(state, "sample", arg, 1, 10000000) : SAMPLE_PACKAGES;
        return 0;
    case 'q':
        options->quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is not an option", arg);
        return 0;
    case ARGP_KEY_END:
        if (options->lists && options->no_lists)
            argp_error(state, "--lists and --no-lists exclude each other");
        if (options->sample && (options->lists || options->no_lists || options->status))
            argp_error(state, "--sample takes no other source");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void options_parse(struct options *options, int argc, char **argv)
{
    static const struct argp parser = {.options = known, .parser = take, .doc = before_and_after};
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
    argp_program_version = "pkggraph (gari) " TEXT(GARI_VERSION_MAJOR) "." TEXT(
        GARI_VERSION_MINOR) "." TEXT(GARI_VERSION_PATCH);
    argp_err_exit_status = EXIT_USAGE;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    *options = (struct options){
        .threads = cores > 2 ? (unsigned)cores : 2, .seconds = 15, .reload_ms = 1000};
    if (argp_parse(&parser, argc, argv, 0, NULL, options) != 0)
        exit(EXIT_SYSTEM);
}
