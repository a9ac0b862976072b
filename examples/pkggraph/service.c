#include "examples/pkggraph/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SECOND_NS UINT64_C(1000000000)

uint64_t service_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* ---- Loading ------------------------------------------------------------------------------ */

struct step {
    service_progress progress;
    void *arg;
    const char *name;
    size_t before; /* bytes of the texts that are done */
    size_t total;
};

static void show_step(size_t done, void *arg)
{
    struct step *step = arg;
    step->progress(step->name, step->before + done, step->total, step->arg);
}

static enum load_result parse_all(struct service *service, service_progress progress, void *arg)
{
    struct step step = {progress, arg, "parsing", 0, service->sources->bytes};
    catalog_reset(&service->catalog);
    for (size_t i = 0; i < service->sources->count; i++) {
        const struct source *source = &service->sources->items[i];
        struct parse_error error = {0};
        enum parse_result result = parse_control(source->text, source->length, &service->catalog,
                                                 progress ? show_step : NULL, &step, &error);
        if (result == PARSE_NO_MEMORY)
            return LOAD_NO_MEMORY;
        if (result == PARSE_BROKEN) {
            snprintf(service->error, sizeof(service->error), "%s:%zu: %s", source->name, error.line,
                     error.message);
            return LOAD_BROKEN;
        }
        step.before += source->length;
    }
    if (service->catalog.version_count == 0) {
        snprintf(service->error, sizeof(service->error), "%s: no packages in it",
                 service->sources->count ? service->sources->items[0].name : "nothing to read");
        return LOAD_BROKEN;
    }
    return LOAD_FINE;
}

static enum load_result load(struct service *service, service_progress progress, void *arg,
                             uint64_t *parse_ns, uint64_t *build_ns)
{
    uint64_t start = service_now_ns();
    enum load_result result = parse_all(service, progress, arg);
    if (result != LOAD_FINE)
        return result;
    uint64_t parsed = service_now_ns();
    struct step step = {progress, arg, "building", 0, service->catalog.packages.count};
    struct archive *archive =
        index_build(&service->catalog, service->serial + 1, progress ? show_step : NULL, &step);
    if (!archive)
        return LOAD_NO_MEMORY;
    service->serial++;
    *parse_ns = parsed - start;
    *build_ns = service_now_ns() - parsed;
    /* The swap: one store. From here on the old archive is garbage that some reader is still in. */
    gari_move(&service->current, archive);
    return LOAD_FINE;
}

enum load_result service_load_first(struct service *service, service_progress progress, void *arg)
{
    gari_stats before = {.struct_size = sizeof(before)};
    gari_get_stats(&before);
    struct first_load *first = &service->first;
    enum load_result result = load(service, progress, arg, &first->parse_ns, &first->build_ns);
    if (result != LOAD_FINE)
        return result;
    gari_stats after = {.struct_size = sizeof(after)};
    gari_get_stats(&after);
    first->packages = (uint32_t)service->catalog.packages.count;
    first->versions = (uint32_t)service->catalog.version_count;
    first->relations = (uint32_t)service->catalog.relation_count;
    first->objects = after.objects_live - before.objects_live;
    first->bytes = after.bytes_live - before.bytes_live;
    first->heap_bytes = after.heap_bytes;
    return LOAD_FINE;
}

static void reload(struct service *service)
{
    struct reloads *reloads = &service->reloads;
    uint64_t parse_ns, build_ns;
    enum load_result result = load(service, NULL, NULL, &parse_ns, &build_ns);
    if (result != LOAD_FINE) {
        reloads->given_up++;
        fprintf(stderr, "pkggraph: %s: this reload gives up, the old archive stays\n",
                result == LOAD_BROKEN ? service->error : "out of memory");
        return;
    }
    uint64_t took = parse_ns + build_ns;
    reloads->last_ns = took;
    reloads->total_ns += took;
    if (took > reloads->longest_ns)
        reloads->longest_ns = took;
    reloads->count++;
    if (service->options->mode == GARI_MODE_MANUAL)
        gari_collect(2);
}

static void *run_reloader(void *arg)
{
    struct service *service = arg;
    uint64_t next = service_now_ns();
    while (!service->stop) {
        next += service->options->reload_ms * UINT64_C(1000000);
        struct timespec until = {.tv_sec = (time_t)(next / SECOND_NS),
                                 .tv_nsec = (long)(next % SECOND_NS)};
        while (sem_clockwait(&service->wake_reloader, CLOCK_MONOTONIC, &until) != 0 &&
               errno == EINTR)
            continue;
        if (service->stop)
            break;
        reload(service);
        /* A reload that takes longer than the interval is not made up for. */
        uint64_t now = service_now_ns();
        if (next < now)
            next = now;
    }
    return NULL;
}

/* ---- Readers ------------------------------------------------------------------------------ */

static uint64_t draw(struct reader *reader)
{
    uint64_t z = reader->random += UINT64_C(0x9e3779b97f4a7c15); /* SplitMix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Every reload reads the same text, so a package's closure has the same size in every archive. A
 * reader that strays into freed memory would not find it so. */
static bool size_is_right(struct reader *reader, enum lookup_kind kind)
{
    const struct lookup *lookup = &reader->lookup;
    if (kind == LOOKUP_NAME)
        return true;
    uint32_t size = lookup->found + 1, known = 0;
    _Atomic uint32_t *expected = &reader->service->sizes[kind][lookup->package];
    return atomic_compare_exchange_strong_explicit(expected, &known, size, memory_order_relaxed,
                                                   memory_order_relaxed) ||
           known == size;
}

static void complain(struct reader *reader, const char *what)
{
    if (atomic_fetch_add(&reader->inconsistencies, 1) == 0)
        fprintf(stderr, "pkggraph: inconsistent at package %" PRIu32 ": %s\n",
                reader->lookup.package, what);
}

/* False when the reader cannot go on. */
static bool look_up_once(struct reader *reader)
{
    struct service *service = reader->service;
    uint64_t random = draw(reader);
    /* Out of eight: five names, two closures, one reverse closure. */
    unsigned pick = random & 7;
    enum lookup_kind kind = pick < 5 ? LOOKUP_NAME : pick < 7 ? LOOKUP_NEEDS : LOOKUP_REVERSE;
    uint64_t start = service_now_ns();
    switch (lookup_run(&reader->lookup, &service->current, kind, random >> 3)) {
    case LOOKUP_DONE:
        break;
    case LOOKUP_EMPTY:
        return true;
    case LOOKUP_LOST:
        reader->lost++;
        return true;
    case LOOKUP_NO_MEMORY:
        fprintf(stderr, "pkggraph: out of memory: a reader gives up\n");
        return false;
    case LOOKUP_INCONSISTENT:
        complain(reader, reader->lookup.wrong);
        return true;
    }
    histogram_add(&reader->times[kind], service_now_ns() - start);
    if (!size_is_right(reader, kind))
        complain(reader, "its closure has another size than before");
    reader->found += reader->lookup.found;
    reader->sections += reader->lookup.sections;
    uint64_t lookups = atomic_load_explicit(&reader->lookups, memory_order_relaxed);
    atomic_store_explicit(&reader->lookups, lookups + 1, memory_order_relaxed);
    return true;
}

static void *run_reader(void *arg)
{
    struct reader *reader = arg;
    while (!atomic_load_explicit(&reader->service->stop, memory_order_relaxed) &&
           look_up_once(reader))
        continue;
    return NULL;
}

/* ---- The whole ---------------------------------------------------------------------------- */

bool service_start(struct service *service)
{
    unsigned threads = service->options->threads;
    sem_init(&service->wake_reloader, 0, 0);
    service->readers = calloc(threads, sizeof(*service->readers));
    bool fine = service->readers != NULL;
    for (unsigned kind = LOOKUP_NEEDS; fine && kind < LOOKUP_KINDS; kind++) {
        service->sizes[kind] = calloc(service->first.packages, sizeof(*service->sizes[kind]));
        fine = service->sizes[kind] != NULL;
    }
    for (unsigned i = 0; fine && i < threads; i++) {
        struct reader *reader = &service->readers[i];
        reader->service = service;
        reader->random = i;
        fine = pthread_create(&reader->thread, NULL, run_reader, reader) == 0;
        service->running += fine;
    }
    if (fine)
        fine = service->reloading =
            pthread_create(&service->reloader, NULL, run_reloader, service) == 0;
    return fine;
}

void service_stop(struct service *service)
{
    service->stop = true;
    sem_post(&service->wake_reloader);
    if (service->reloading)
        pthread_join(service->reloader, NULL);
    for (unsigned i = 0; i < service->running; i++) {
        pthread_join(service->readers[i].thread, NULL);
        lookup_free(&service->readers[i].lookup);
    }
    gari_store(&service->current, NULL);
}

void service_free(struct service *service)
{
    for (unsigned kind = 0; kind < LOOKUP_KINDS; kind++)
        free(service->sizes[kind]);
    free(service->readers);
    catalog_free(&service->catalog);
}
