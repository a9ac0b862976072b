/* The service: readers that look things up, and a thread that reloads the archive under them. */
#ifndef PKGGRAPH_SERVICE_H
#define PKGGRAPH_SERVICE_H

#include "examples/pkggraph/histogram.h"
#include "examples/pkggraph/lookup.h"
#include "examples/pkggraph/options.h"
#include "examples/pkggraph/parse.h"
#include "examples/pkggraph/source.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

struct service;

struct reader {
    struct service *service;
    pthread_t thread;
    uint64_t random;
    struct lookup lookup;
    struct histogram times[LOOKUP_KINDS]; /* nanoseconds; read by others after service_stop */
    uint64_t found;                       /* packages */
    uint64_t sections;
    uint64_t lost;
    _Atomic uint64_t lookups; /* written by the reader alone, read by the live line */
    _Atomic uint64_t inconsistencies;
};

struct reloads {
    _Atomic uint64_t count;
    _Atomic uint64_t given_up;
    _Atomic uint64_t last_ns;
    _Atomic uint64_t longest_ns;
    _Atomic uint64_t total_ns;
};

/* What the first load took, and what one archive is. */
struct first_load {
    uint64_t parse_ns;
    uint64_t build_ns;
    uint32_t packages; /* names: also virtual and missing ones */
    uint32_t versions;
    uint32_t relations;
    uint64_t objects;
    uint64_t bytes;
    uint64_t heap_bytes;
};

typedef void (*service_progress)(const char *step, size_t done, size_t total, void *arg);

enum load_result { LOAD_FINE, LOAD_BROKEN, LOAD_NO_MEMORY };

struct service {
    archive_root current;
    const struct options *options;
    const struct sources *sources;
    struct catalog catalog;
    char error[600]; /* of the load that failed: file, line, sentence */
    uint64_t serial;
    struct first_load first;
    struct reloads reloads;
    struct reader *readers;
    unsigned running; /* readers that were started */
    pthread_t reloader;
    bool reloading;
    sem_t wake_reloader;
    atomic_bool stop;
    _Atomic uint32_t
        *sizes[LOOKUP_KINDS]; /* by package: 1 + the size of its closure, 0: not known */
};

/* Parses all sources, builds the archive and publishes it. */
enum load_result service_load_first(struct service *service, service_progress progress, void *arg);

/* Starts the threads. False when the system refuses one, or memory; service_stop is still due. */
bool service_start(struct service *service);

/* Ends the threads and withdraws the archive. The figures stay. */
void service_stop(struct service *service);

void service_free(struct service *service);

uint64_t service_now_ns(void);

#endif
