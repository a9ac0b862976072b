#include "examples/pkggraph/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lz4frame.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define APT_HELPER "/usr/lib/apt/apt-helper"

struct buffer {
    char *bytes;
    size_t length;
    size_t room;
};

__attribute__((format(printf, 2, 3))) static bool fail(struct sources *sources, const char *format,
                                                       ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(sources->error, sizeof(sources->error), format, args);
    va_end(args);
    return false;
}

/* Makes room for at least one byte more. */
static bool buffer_grow(struct buffer *buffer)
{
    if (buffer->length < buffer->room)
        return true;
    size_t room = buffer->room ? buffer->room * 2 : 64 * 1024;
    char *bytes = realloc(buffer->bytes, room);
    if (!bytes)
        return false;
    buffer->bytes = bytes;
    buffer->room = room;
    return true;
}

static bool read_all(struct sources *sources, const char *path, int fd, struct buffer *buffer)
{
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        /* One byte more than the file has, so that its end is seen without growing. */
        buffer->room = (size_t)status.st_size + 1;
        buffer->bytes = malloc(buffer->room);
        if (!buffer->bytes)
            return fail(sources, "%s: %s", path, strerror(ENOMEM));
    }
    for (;;) {
        if (!buffer_grow(buffer))
            return fail(sources, "%s: %s", path, strerror(ENOMEM));
        ssize_t got = read(fd, buffer->bytes + buffer->length, buffer->room - buffer->length);
        if (got == 0)
            return true;
        if (got < 0 && errno != EINTR)
            return fail(sources, "%s: %s", path, strerror(errno));
        if (got > 0)
            buffer->length += (size_t)got;
    }
}

static bool read_plain(struct sources *sources, const char *path, struct buffer *buffer)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(sources, "%s: %s", path, strerror(errno));
    bool fine = read_all(sources, path, fd, buffer);
    close(fd);
    return fine;
}

/* Decompresses all frames of `packed`. */
static bool unpack_lz4(struct sources *sources, const char *path, const struct buffer *packed,
                       LZ4F_dctx *context, struct buffer *buffer)
{
    size_t at = 0, hint = 1;
    while (at < packed->length) {
        if (!buffer_grow(buffer))
            return fail(sources, "%s: %s", path, strerror(ENOMEM));
        size_t used = packed->length - at;
        size_t made = buffer->room - buffer->length;
        hint = LZ4F_decompress(context, buffer->bytes + buffer->length, &made, packed->bytes + at,
                               &used, NULL);
        if (LZ4F_isError(hint))
            return fail(sources, "%s: broken lz4 data: %s", path, LZ4F_getErrorName(hint));
        at += used;
        buffer->length += made;
    }
    /* What fits no more is kept back in the context even when all input is used. */
    while (hint != 0) {
        if (!buffer_grow(buffer))
            return fail(sources, "%s: %s", path, strerror(ENOMEM));
        size_t used = 0;
        size_t made = buffer->room - buffer->length;
        hint = LZ4F_decompress(context, buffer->bytes + buffer->length, &made, "", &used, NULL);
        if (LZ4F_isError(hint))
            return fail(sources, "%s: broken lz4 data: %s", path, LZ4F_getErrorName(hint));
        buffer->length += made;
        if (made == 0 && hint != 0)
            return fail(sources, "%s: truncated lz4 data", path);
    }
    return true;
}

static bool read_lz4(struct sources *sources, const char *path, struct buffer *buffer)
{
    struct buffer packed = {0};
    LZ4F_dctx *context = NULL;
    bool fine = read_plain(sources, path, &packed);
    if (fine && LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        fine = fail(sources, "%s: %s", path, strerror(ENOMEM));
    if (fine)
        fine = unpack_lz4(sources, path, &packed, context, buffer);
    LZ4F_freeDecompressionContext(context);
    free(packed.bytes);
    return fine;
}

/* apt knows every compression that it may have used itself. */
static bool read_by_apt(struct sources *sources, const char *path, struct buffer *buffer)
{
    if (access(path, R_OK) != 0)
        return fail(sources, "%s: %s", path, strerror(errno));
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail(sources, "%s: %s", path, strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    char helper[] = APT_HELPER, command[] = "cat-file";
    char *name = strdup(path);
    char *arguments[] = {helper, command, name, NULL};
    pid_t child;
    int error = name ? posix_spawn(&child, helper, &actions, NULL, arguments, environ) : ENOMEM;
    posix_spawn_file_actions_destroy(&actions);
    free(name);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        return fail(sources, "%s: cannot run " APT_HELPER ": %s", path, strerror(error));
    }
    bool fine = read_all(sources, path, ends[0], buffer);
    close(ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (fine && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        return fail(sources, "%s: " APT_HELPER " could not decompress it", path);
    return fine;
}

/* ---- What the files are ------------------------------------------------------------------- */

static const char *const packed_suffixes[] = {".gz", ".xz", ".zst", ".bz2", ".lzma"};

static bool ends_in(const char *name, const char *suffix)
{
    size_t length = strlen(name), suffix_length = strlen(suffix);
    return length >= suffix_length && strcmp(name + length - suffix_length, suffix) == 0;
}

static bool is_packed(const char *name)
{
    for (size_t i = 0; i < sizeof(packed_suffixes) / sizeof(packed_suffixes[0]); i++)
        if (ends_in(name, packed_suffixes[i]))
            return true;
    return false;
}

static int is_list(const struct dirent *entry)
{
    static const char kind[] = "_Packages";
    const char *found = strstr(entry->d_name, kind);
    if (!found)
        return 0;
    const char *suffix = found + sizeof(kind) - 1;
    return !*suffix || strcmp(suffix, ".lz4") == 0 || (*suffix == '.' && is_packed(suffix));
}

bool sources_add_text(struct sources *sources, const char *name, char *text, size_t length)
{
    struct source *items = realloc(sources->items, (sources->count + 1) * sizeof(*items));
    char *copy = strdup(name);
    if (items)
        sources->items = items;
    if (!items || !copy) {
        free(copy);
        free(text);
        return fail(sources, "%s: %s", name, strerror(ENOMEM));
    }
    sources->items[sources->count++] = (struct source){copy, text, length};
    sources->bytes += length;
    return true;
}

bool sources_read_file(struct sources *sources, const char *path)
{
    struct buffer buffer = {0};
    bool fine;
    if (ends_in(path, ".lz4"))
        fine = read_lz4(sources, path, &buffer);
    else if (is_packed(path))
        fine = read_by_apt(sources, path, &buffer);
    else
        fine = read_plain(sources, path, &buffer);
    if (!fine) {
        free(buffer.bytes);
        return false;
    }
    return sources_add_text(sources, path, buffer.bytes, buffer.length);
}

bool sources_read_lists(struct sources *sources, const char *directory, size_t *found,
                        source_progress progress, void *arg)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_list, alphasort);
    *found = 0;
    if (count < 0)
        return fail(sources, "%s: %s", directory, strerror(errno));
    bool fine = true;
    for (int i = 0; i < count; i++) {
        char *path = NULL;
        if (fine && progress)
            progress((size_t)i, (size_t)count, arg);
        if (fine && asprintf(&path, "%s/%s", directory, entries[i]->d_name) < 0) {
            path = NULL;
            fine = fail(sources, "%s: %s", directory, strerror(ENOMEM));
        }
        if (fine && sources_read_file(sources, path))
            ++*found;
        else
            fine = false;
        free(path);
        free(entries[i]);
    }
    free(entries);
    return fine;
}

void sources_free(struct sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        free(sources->items[i].name);
        free(sources->items[i].text);
    }
    free(sources->items);
    *sources = (struct sources){0};
}
