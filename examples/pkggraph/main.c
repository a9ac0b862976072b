/* pkggraph: the index of a package archive as a live object graph.
 *
 * Readers walk the graph by borrowed reads; once a second a thread builds it anew and swaps it in,
 * which turns some hundred thousand objects into cyclic garbage while readers may still be in it.
 * See --help.
 *
 * Built from all sources of this folder with //lib:gari and -llz4 (and pthreads, as gari itself).
 */
#include "examples/pkggraph/report.h"
#include "examples/pkggraph/sample.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct service service;
static struct sources sources;

static int complain(int status, const char *what)
{
    report_progress_end();
    fprintf(stderr, "pkggraph: %s\n", what);
    return status;
}

static void show_reading(size_t done, size_t total, void *arg)
{
    report_progress("reading", done, total, arg);
}

/* ---- Finding something to read --------------------------------------------------------------- */

static int use_sample(size_t packages)
{
    size_t length;
    char *text = sample_make(packages, &length);
    if (!text)
        return complain(EXIT_SYSTEM, strerror(ENOMEM));
    if (!sources_add_text(&sources, "sample", text, length))
        return complain(EXIT_SYSTEM, sources.error);
    return 0;
}

/* What was asked for must be there, and is all that is read; the defaults may be missing. */
static int use_real(const struct options *options, source_progress progress)
{
    const char *status = options->status ? options->status : DEFAULT_STATUS;
    if (options->status || (!options->lists && access(status, F_OK) == 0))
        if (!sources_read_file(&sources, status))
            return complain(EXIT_INPUT, sources.error);
    const char *lists = options->lists ? options->lists : DEFAULT_LISTS;
    bool by_default = !options->no_lists && !options->status;
    size_t found = 0;
    if (options->lists || (by_default && access(lists, F_OK) == 0))
        if (!sources_read_lists(&sources, lists, &found, progress, NULL))
            return complain(EXIT_INPUT, sources.error);
    if (options->lists && found == 0) {
        fprintf(stderr, "pkggraph: %s: no package lists there\n", lists);
        return EXIT_INPUT;
    }
    return 0;
}

static int find_sources(const struct options *options)
{
    uint64_t start = service_now_ns();
    int result = options->sample ? use_sample(options->sample)
                                 : use_real(options, options->quiet ? NULL : show_reading);
    if (result != 0)
        return result;
    if (sources.count == 0) {
        printf("pkggraph: no package metadata on this machine: made up an archive of %d packages\n",
               SAMPLE_PACKAGES);
        result = use_sample(SAMPLE_PACKAGES);
        if (result != 0)
            return result;
    }
    report_progress_end();
    if (!options->quiet)
        report_sources(&sources, service_now_ns() - start);
    return 0;
}

/* ---- Serving ------------------------------------------------------------------------------ */

/* Waits out the seconds, with a line for each; an interrupt ends them early. Signals are blocked in
 * all threads and taken here, so no handler is needed. */
static void serve(const struct options *options, const sigset_t *interrupts)
{
    uint64_t start = service_now_ns(), lookups = 0;
    for (unsigned second = 1; second <= options->seconds; second++) {
        uint64_t due = start + second * UINT64_C(1000000000), now;
        while ((now = service_now_ns()) < due) {
            struct timespec rest = {.tv_sec = (time_t)((due - now) / 1000000000),
                                    .tv_nsec = (long)((due - now) % 1000000000)};
            if (sigtimedwait(interrupts, NULL, &rest) > 0)
                return;
        }
        if (!options->quiet)
            report_second(&service, second, &lookups);
    }
}

static int run(const struct options *options)
{
    sigset_t interrupts;
    sigemptyset(&interrupts);
    sigaddset(&interrupts, SIGINT);
    sigaddset(&interrupts, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &interrupts, NULL);

    struct outcome outcome = {.at_end = {.struct_size = sizeof(outcome.at_end)}};
    uint64_t start = service_now_ns();
    bool started = service_start(&service);
    if (started)
        serve(options, &interrupts);
    service_stop(&service);
    outcome.served_ns = service_now_ns() - start;
    gari_get_stats(&outcome.at_end);
    outcome.longest_wait_ns = outcome.at_end.longest_wait_ns;
    outcome.left = gari_shutdown(report_left, NULL);
    gari_get_stats(&outcome.at_end);
    if (!started)
        return complain(EXIT_SYSTEM, "the system gave no more threads or memory");
    uint64_t inconsistencies = report_table(&service, &outcome);
    return inconsistencies > 0 || outcome.left > 0 ? EXIT_FOUND_WRONG : 0;
}

static int load_and_run(const struct options *options)
{
    int result = find_sources(options);
    if (result != 0)
        return result;
    service.options = options;
    service.sources = &sources;
    enum load_result loaded =
        service_load_first(&service, options->quiet ? NULL : report_progress, NULL);
    report_progress_end();
    if (loaded != LOAD_FINE) {
        gari_shutdown(NULL, NULL);
        return loaded == LOAD_BROKEN ? complain(EXIT_INPUT, service.error)
                                     : complain(EXIT_SYSTEM, "out of memory");
    }
    if (!options->quiet)
        report_first_load(&service);
    return run(options);
}

int main(int argc, char **argv)
{
    struct options options;
    options_parse(&options, argc, argv);
    gari_config config = GARI_CONFIG_INIT;
    config.mode = options.mode;
    config.memory_limit = options.memory_limit;
    int error = gari_configure(&config);
    if (error != 0)
        return complain(EXIT_SYSTEM, strerror(error));
    int result = load_and_run(&options);
    service_free(&service);
    sources_free(&sources);
    return result;
}
