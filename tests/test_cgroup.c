/* The memory limit of the cgroup that the process is in. */
#include "tests/support.h"

#include "lib/collector/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

TestSuite(cgroup, .timeout = 60);

static char folder[] = "/tmp/gari-cgroup-XXXXXX";

static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", folder, path);
    for (char *slash = full + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        check(mkdir(full, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    check(file != NULL);
    check(fputs(text, file) >= 0 && fclose(file) == 0);
}

static size_t limit_found(void)
{
    char membership[512];
    snprintf(membership, sizeof membership, "%s/cgroup", folder);
    return gari__cgroup_limit(membership, folder);
}

Test(cgroup, limit_is_the_tightest_on_the_way_up)
{
    check(mkdtemp(folder) != NULL);
    cr_assert(limit_found() == SIZE_MAX);
    put("cgroup", "0::/a/b/c\n");
    cr_assert(limit_found() == SIZE_MAX);
    put("a/b/c/memory.max", "max\n");
    cr_assert(limit_found() == SIZE_MAX);
    put("a/b/memory.max", "5000000\n");
    put("a/memory.max", "9000000\n");
    assert_equal(limit_found(), 5000000);
    put("a/b/c/memory.max", "7000000\n");
    assert_equal(limit_found(), 5000000);
    put("memory.max", "4000000\n"); /* the root of a container */
    assert_equal(limit_found(), 4000000);
}

Test(cgroup, limit_of_version_1_is_found)
{
    check(mkdtemp(folder) != NULL);
    put("cgroup", "5:cpu,cpuacct:/x\n3:memory:/x/y\n1:name=systemd:/z\n0::/\n");
    put("memory/x/memory.limit_in_bytes", "6000000\n");
    put("memory/x/y/memory.limit_in_bytes", "9223372036854771712\n");
    assert_equal(limit_found(), 6000000);
    put("cgroup", "3:memory_of_another_kind:/x/y\n");
    cr_assert(limit_found() == SIZE_MAX);
}

Test(cgroup, lines_that_make_no_sense_are_passed_over)
{
    check(mkdtemp(folder) != NULL);
    put("memory/x/memory.limit_in_bytes", "6000000\n");
    put("cgroup", "no colon\n1:one colon\n7:cpu,memory:/x\n");
    assert_equal(limit_found(), 6000000);
    put("cgroup", "7:xmemory,memory,cpu:/x\n");
    assert_equal(limit_found(), 6000000);
    put("cgroup", "7:xmemory,memoryx:/x\n");
    cr_assert(limit_found() == SIZE_MAX);
    put("memory/x/memory.limit_in_bytes", "-1\n");
    put("cgroup", "7:memory:/x\n");
    cr_assert(limit_found() == SIZE_MAX);
}

Test(cgroup, paths_longer_than_a_path_can_be_are_passed_over)
{
    check(mkdtemp(folder) != NULL);
    static char line[2 * PATH_MAX], mount[2 * PATH_MAX];
    char membership[512];
    snprintf(membership, sizeof membership, "%s/cgroup", folder);
    snprintf(line, sizeof line, "0::/%0*d\n", PATH_MAX - 20, 0); /* the file's name is too much */
    put("cgroup", line);
    cr_assert(limit_found() == SIZE_MAX);
    put("cgroup", "0::/x\n1:memory:/x\n");
    memset(mount, 'm', PATH_MAX - 2); /* too long with what follows it */
    cr_assert(gari__cgroup_limit(membership, mount) == SIZE_MAX);
    mount[PATH_MAX - 10] = '\0';
    cr_assert(gari__cgroup_limit(membership, mount) == SIZE_MAX);
}
