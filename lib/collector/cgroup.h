/* The memory limit of the cgroup that the process is in. */
#ifndef GARI_COLLECTOR_CGROUP_H
#define GARI_COLLECTOR_CGROUP_H

#include <stddef.h>

/* The least of the limits of the process's memory cgroup and of those above it, in bytes, as the
 * files below `mount` (/sys/fs/cgroup) and the list in `membership` (/proc/self/cgroup) say, in
 * cgroup v1 or v2; SIZE_MAX: none. */
size_t gari__cgroup_limit(const char *membership, const char *mount);

/* What gari_new may use of it; 0: no limit. Looked up at most once a second. */
size_t gari__cgroup_share(void);

#endif
