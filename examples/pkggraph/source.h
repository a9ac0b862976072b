/* Finds and reads the files that hold package metadata, whole and decompressed. The texts stay in
 * memory: a reload parses them again, so that it measures the graph and not the disk. */
#ifndef PKGGRAPH_SOURCE_H
#define PKGGRAPH_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

struct source {
    char *name; /* the file, for messages */
    char *text;
    size_t length;
};

struct sources {
    struct source *items;
    size_t count;
    size_t bytes;
    char error[400]; /* why the last call returned false */
};

/* Called before each file of a directory is read. May be NULL. */
typedef void (*source_progress)(size_t done, size_t total, void *arg);

/* Reads one file; what its name ends in says how it is compressed: .lz4 is read with liblz4, the
 * others that apt may have chosen (.gz, .xz, .zst, .bz2) by apt's own helper. */
bool sources_read_file(struct sources *sources, const char *path);

/* Reads all package lists that apt has put into the directory. *found: how many. */
bool sources_read_lists(struct sources *sources, const char *directory, size_t *found,
                        source_progress progress, void *arg);

/* Adds a text that was made elsewhere; takes over its memory, also on failure. */
bool sources_add_text(struct sources *sources, const char *name, char *text, size_t length);

void sources_free(struct sources *sources);

#endif
