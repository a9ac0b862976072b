#include "lib/collector/cgroup.h"

#include "concurrency/atomics.h"
#include "concurrency/cancel.h"
#include "concurrency/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_EVERY_NS 1000000000u
/* cgroup v1 says "none" with a number of this order. */
#define NO_LIMIT ((unsigned long long)1 << 60)

/* No stdio: this runs inside gari_new. */
static bool read_file(const char *path, char *text, size_t size)
{
    int cancel = gari__cancel_off();
    int file = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    while (file < 0 && errno == EINTR)
        file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        gari__cancel_restore(cancel);
        return false;
    }
    while (length < size - 1) {
        ssize_t n = read(file, text + length, size - 1 - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    close(file);
    gari__cancel_restore(cancel);
    text[length] = '\0';
    return length > 0;
}

static size_t read_limit(const char *folder, const char *name)
{
    char path[PATH_MAX], text[64];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path ||
        !read_file(path, text, sizeof text) || text[0] < '0' || text[0] > '9')
        return SIZE_MAX;
    unsigned long long limit = strtoull(text, NULL, 10);
    return limit >= NO_LIMIT ? SIZE_MAX : (size_t)limit;
}

/* The least on the way from `path`, below `root`, up to root itself. */
static size_t least_upwards(const char *root, const char *path, const char *name)
{
    char folder[PATH_MAX];
    int length = snprintf(folder, sizeof folder, "%s%s", root, path);
    if (length >= (int)sizeof folder)
        return SIZE_MAX;
    size_t least = SIZE_MAX, top = strlen(root);
    for (;;) {
        size_t limit = read_limit(folder, name);
        least = limit < least ? limit : least;
        char *slash = strrchr(folder, '/');
        if (!slash || slash < folder + top)
            return least;
        *slash = '\0';
    }
}

/* Whether the comma-separated list of controllers has memory in it. */
static bool has_memory(const char *controllers)
{
    for (const char *at = controllers; (at = strstr(at, "memory")) != NULL; at++) {
        bool begins = at == controllers || at[-1] == ',';
        if (begins && (at[6] == '\0' || at[6] == ','))
            return true;
    }
    return false;
}

size_t gari__cgroup_limit(const char *membership, const char *mount)
{
    char text[4096], root[PATH_MAX], *rest;
    if (!read_file(membership, text, sizeof text))
        return SIZE_MAX;
    size_t least = SIZE_MAX;
    /* A line: number:controllers:path; in v2 the controllers are empty. */
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        controllers++;
        size_t limit = SIZE_MAX;
        if (*controllers == '\0')
            limit = least_upwards(mount, path, "memory.max");
        else if (has_memory(controllers) &&
                 snprintf(root, sizeof root, "%s/memory", mount) < (int)sizeof root)
            limit = least_upwards(root, path, "memory.limit_in_bytes");
        least = limit < least ? limit : least;
    }
    return least;
}

size_t gari__cgroup_share(void)
{
    static uint64_t next_look;
    static size_t share;
    uint64_t now = gari__now_ns(), next = gari__load_relaxed(&next_look);
    if (now >= next && gari__cas_strong_acq_rel(&next_look, &next, now + LOOK_EVERY_NS)) {
        size_t limit = gari__cgroup_limit("/proc/self/cgroup", "/sys/fs/cgroup");
        gari__store_relaxed(&share, limit == SIZE_MAX ? 0 : limit - limit / 8);
    }
    return gari__load_relaxed(&share);
}
