/* The environment and the profiles. */
#include "tests/support.h"

#include "lib/collector/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(environment, .timeout = 60);

/* What the first use of the library prints. */
static const char *printed_by_first_use(void)
{
    static char text[8192];
    int pipes[2], before = dup(STDERR_FILENO);
    check(pipe(pipes) == 0);
    dup2(pipes[1], STDERR_FILENO);
    gari_decref(new_leaf(0));
    dup2(before, STDERR_FILENO);
    close(pipes[1]);
    ssize_t n = read(pipes[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    close(pipes[0]);
    close(before);
    return text;
}

static void assert_thresholds(int a, int b, int c)
{
    int threshold[3];
    gari_get_threshold(threshold);
    assert_equal(threshold[0], a);
    assert_equal(threshold[1], b);
    assert_equal(threshold[2], c);
}

Test(environment, sets_thresholds)
{
    setenv("GARI_THRESHOLD", "5,6,7", 1);
    assert_equal(strlen(printed_by_first_use()), 0);
    assert_thresholds(5, 6, 7);
    assert_nothing_left();
}

Test(environment, may_set_the_first_threshold_alone)
{
    setenv("GARI_THRESHOLD", "5000", 1);
    gari_decref(new_leaf(0));
    assert_thresholds(5000, 10, 10);
    assert_nothing_left();
}

Test(environment, has_the_last_word_over_the_configuration)
{
    setenv("GARI_THRESHOLD", "5,6", 1);
    setenv("GARI_MODE", "manual", 1);
    gari_config config = GARI_CONFIG_INIT;
    config.threshold[2] = 99;
    config.mode = GARI_MODE_INLINE;
    assert_equal(gari_configure(&config), 0);
    for (int i = 0; i < 5000; i++)
        make_garbage_ring(&watched_type, 1);
    assert_equal(disposed_count(), 0); /* the mode is manual */
    assert_thresholds(5, 6, 99);
    assert_nothing_left();
}

Test(environment, gives_way_to_calls_that_come_later)
{
    setenv("GARI_THRESHOLD", "5,6,7", 1);
    setenv("GARI_DEBUG", "stats", 1);
    gari_decref(new_leaf(0));
    assert_equal(gari_get_debug(), GARI_DEBUG_STATS);
    gari_set_threshold(1, 2, 3);
    gari_set_debug(0);
    gari_decref(new_leaf(0));
    assert_thresholds(1, 2, 3);
    assert_equal(gari_get_debug(), 0);
    assert_nothing_left();
}

Test(environment, leaves_alone_what_it_does_not_mention)
{
    setenv("GARI_DEBUG", "collectable,saveall", 1);
    gari_set_threshold(1, 2, 3);
    gari_set_memory_limit(12345678);
    gari_decref(new_leaf(0));
    assert_thresholds(1, 2, 3);
    assert_equal(gari_get_memory_limit(), 12345678);
    assert_equal(gari_get_debug(), GARI_DEBUG_COLLECTABLE | GARI_DEBUG_SAVEALL);
    assert_nothing_left();
}

Test(environment, names_every_debug_flag)
{
    setenv("GARI_DEBUG", "stats,leak,uncollectable", 1);
    gari_decref(new_leaf(0));
    assert_equal(gari_get_debug(), GARI_DEBUG_STATS | GARI_DEBUG_LEAK);
    gari_set_debug(0);
    assert_nothing_left();
}

static void expect_limit(const char *value, size_t bytes)
{
    setenv("GARI_MEMORY_LIMIT", value, 1);
    assert_equal(strlen(printed_by_first_use()), 0);
    assert_equal(gari_get_memory_limit(), bytes);
    assert_nothing_left();
}

Test(environment, sets_a_memory_limit_in_bytes)
{
    expect_limit("123456789", 123456789);
}

Test(environment, sets_a_memory_limit_in_megabytes)
{
    expect_limit("64M", (size_t)64 << 20);
}

Test(environment, sets_a_memory_limit_in_gigabytes)
{
    expect_limit("2g", (size_t)2 << 30);
}

Test(environment, sets_a_memory_limit_that_holds)
{
    setenv("GARI_MODE", "manual", 1);
    setenv("GARI_MEMORY_LIMIT", "4M", 1);
    gari_decref(new_leaf(0));
    cr_assert(gari_new_items(&text_type, 8 << 20) == NULL);
    assert_nothing_left();
}

/* ---- What is refused ---------------------------------------------------------------------- */

static void expect_refusal(const char *variable, const char *value)
{
    setenv(variable, value, 1);
    const char *printed = printed_by_first_use();
    char sentence[256];
    snprintf(sentence, sizeof sentence, "gari: %s=%s is refused: ", variable, value);
    assert_mentions(printed, sentence);
    cr_assert(strchr(printed, '\n') == printed + strlen(printed) - 1, "more than one line: %s",
              printed);
    assert_thresholds(700, 10, 10);
    assert_equal(gari_get_memory_limit(), 0);
    assert_equal(gari_get_debug(), 0);
    assert_nothing_left();
}

#define REFUSES(name, variable, value)                                                             \
    Test(environment, refuses_##name)                                                              \
    {                                                                                              \
        expect_refusal(variable, value);                                                           \
    }

REFUSES(thresholds_that_are_negative, "GARI_THRESHOLD", "700,-1,10")
REFUSES(thresholds_that_are_no_numbers, "GARI_THRESHOLD", "7x0")
REFUSES(thresholds_with_nothing_after_the_comma, "GARI_THRESHOLD", "700,")
REFUSES(too_many_thresholds, "GARI_THRESHOLD", "1,2,3,4")
REFUSES(thresholds_beyond_an_int, "GARI_THRESHOLD", "2147483648")
REFUSES(empty_thresholds, "GARI_THRESHOLD", "")
REFUSES(debug_flags_that_there_are_not, "GARI_DEBUG", "stats,everything")
REFUSES(empty_debug_flags, "GARI_DEBUG", "")
REFUSES(modes_that_there_are_not, "GARI_MODE", "fast")
REFUSES(memory_limits_with_an_unknown_unit, "GARI_MEMORY_LIMIT", "64X")
REFUSES(memory_limits_with_two_units, "GARI_MEMORY_LIMIT", "64MB")
REFUSES(memory_limits_that_overflow, "GARI_MEMORY_LIMIT", "9999999999T")
REFUSES(memory_limits_below_zero, "GARI_MEMORY_LIMIT", "-1")
REFUSES(nice_values_out_of_range, "GARI_NICE", "20")
REFUSES(processors_that_are_no_numbers, "GARI_CPUS", "all")
REFUSES(ranges_of_processors_that_go_back, "GARI_CPUS", "3-1")
REFUSES(thread_names_that_are_too_long, "GARI_THREAD_NAME", "much-too-long")
REFUSES(stress_without_an_interval, "GARI_STRESS", "seed:5")
REFUSES(stress_with_an_interval_that_is_no_number, "GARI_STRESS", "every:often")
REFUSES(stress_with_two_intervals, "GARI_STRESS", "every:5,every:6")
REFUSES(stress_with_words_that_there_are_not, "GARI_STRESS", "every:5,at:6")
REFUSES(stress_with_nothing_after_the_comma, "GARI_STRESS", "every:5,")
REFUSES(stress_below_zero, "GARI_STRESS", "every:-1")
REFUSES(empty_stress, "GARI_STRESS", "")
REFUSES(profiles_that_there_are_not, "GARI_PROFILE", "gaming")

Test(environment, is_complained_of_once)
{
    setenv("GARI_MODE", "fast", 1);
    cr_assert(strlen(printed_by_first_use()) > 0);
    assert_nothing_left();
    gari_config config = GARI_CONFIG_INIT;
    assert_equal(gari_configure(&config), 0);
    assert_equal(strlen(printed_by_first_use()), 0);
    assert_nothing_left();
}

/* ---- Profiles ----------------------------------------------------------------------------- */

Test(environment, profiles_fill_in_a_configuration)
{
    gari_config config = GARI_CONFIG_INIT;
    config.debug = GARI_DEBUG_STATS;
    assert_equal(gari_config_profile(&config, GARI_PROFILE_THROUGHPUT), 0);
    assert_equal(config.mode, GARI_MODE_INLINE);
    cr_assert(config.threshold[0] > 700);
    assert_equal(config.debug, GARI_DEBUG_STATS);
    assert_equal(gari_config_profile(&config, GARI_PROFILE_BATCH), 0);
    assert_equal(config.mode, GARI_MODE_BACKGROUND);
    assert_equal(gari_config_profile(&config, GARI_PROFILE_LONG_RUNNING), 0);
    cr_assert(config.memory_limit == GARI_LIMIT_CGROUP);
    assert_equal(config.threshold[0], 700);
    assert_equal(gari_config_profile(&config, (gari_profile)0), EINVAL);
    assert_equal(gari_config_profile(&config, (gari_profile)4), EINVAL);
    config.debug = 0;
    assert_equal(gari_configure(&config), 0);
    assert_nothing_left();
}

Test(environment, may_name_a_profile_and_refine_it)
{
    setenv("GARI_PROFILE", "batch", 1);
    setenv("GARI_THRESHOLD", "123", 1);
    gari_decref(new_leaf(0));
    gari_config batch = GARI_CONFIG_INIT;
    gari_config_profile(&batch, GARI_PROFILE_BATCH);
    assert_thresholds(123, batch.threshold[1], batch.threshold[2]);
    assert_nothing_left();
}

/* ---- gari's threads ----------------------------------------------------------------------- */

/* Whether the process has a thread of that name; its nice value and the processors it may use. */
static bool find_thread(const char *name, int *nice, cpu_set_t *cpus)
{
    for (long tid = (long)getpid(); tid < (long)getpid() + 4000; tid++) {
        char path[64], line[64] = "";
        snprintf(path, sizeof path, "/proc/self/task/%ld/comm", tid);
        FILE *file = fopen(path, "r");
        if (!file)
            continue;
        bool read = fgets(line, sizeof line, file) != NULL;
        fclose(file);
        line[strcspn(line, "\n")] = '\0';
        if (!read || strcmp(line, name) != 0)
            continue;
        *nice = getpriority(PRIO_PROCESS, (id_t)tid);
        check(sched_getaffinity((pid_t)tid, sizeof *cpus, cpus) == 0);
        return true;
    }
    return false;
}

static const char *wanted_name;
static int wanted_nice;

static bool thread_is_there(void *cpus)
{
    int nice = -100;
    return find_thread(wanted_name, &nice, cpus) && nice == wanted_nice;
}

Test(environment, names_threads_and_says_how_nice_they_are_and_where_they_run)
{
    cpu_set_t mine, theirs;
    check(sched_getaffinity(0, sizeof mine, &mine) == 0);
    int last = CPU_SETSIZE - 1;
    while (!CPU_ISSET((size_t)last, &mine))
        last--;
    char cpus[16];
    snprintf(cpus, sizeof cpus, "%d", last);
    int nice = getpriority(PRIO_PROCESS, 0);
    wanted_nice = nice < 17 ? nice + 2 : 19;
    char text[16];
    snprintf(text, sizeof text, "%d", wanted_nice);
    setenv("GARI_NICE", text, 1);
    setenv("GARI_CPUS", cpus, 1);
    setenv("GARI_THREAD_NAME", "svc", 1);
    make_garbage_ring(&watched_type, 2);
    gari_collect(0);
    wanted_name = "svc-collector";
    cr_assert(wait_until(thread_is_there, &theirs, 20));
    assert_equal(CPU_COUNT(&theirs), 1);
    cr_assert(CPU_ISSET((size_t)last, &theirs));
    wanted_name = "svc-grace";
    cr_assert(wait_until(thread_is_there, &theirs, 20));
    assert_equal(getpriority(PRIO_PROCESS, 0), nice); /* our own is as it was */
    assert_nothing_left();
}

Test(environment, threads_are_named_gari_by_default)
{
    cpu_set_t theirs;
    gari_decref(new_leaf(0));
    wanted_name = "gari-collector";
    wanted_nice = getpriority(PRIO_PROCESS, 0);
    cr_assert(wait_until(thread_is_there, &theirs, 20));
    assert_nothing_left();
}

Test(environment, threads_are_described_by_the_configuration)
{
    cpu_set_t theirs;
    gari_config config = GARI_CONFIG_INIT;
    config.thread_name = "payments";
    config.nice = 19;
    assert_equal(gari_configure(&config), 0);
    gari_decref(new_leaf(0));
    wanted_name = "payments-collec"; /* 15 characters are what the system takes */
    wanted_nice = 19;
    cr_assert(wait_until(thread_is_there, &theirs, 20));
    assert_nothing_left();
}

Test(environment, threads_are_not_described_by_nonsense)
{
    gari_config config = GARI_CONFIG_INIT;
    config.thread_name = "0123456789";
    assert_equal(gari_configure(&config), EINVAL);
    config.thread_name = NULL;
    config.cpus = "0-";
    assert_equal(gari_configure(&config), EINVAL);
    config.cpus = NULL;
    config.nice = 20;
    assert_equal(gari_configure(&config), EINVAL);
    config.nice = 0;
    config.debug = 64;
    assert_equal(gari_configure(&config), EINVAL);
    assert_nothing_left();
}

Test(environment, modes_and_nice_values_out_of_range_are_refused)
{
    gari_config config = GARI_CONFIG_INIT;
    config.mode = (gari_mode)-1;
    assert_equal(gari_configure(&config), EINVAL);
    config.mode = GARI_MODE_MANUAL;
    config.nice = -21;
    assert_equal(gari_configure(&config), EINVAL);
    config.nice = 0;
    config.thread_name = "";
    assert_equal(gari_configure(&config), EINVAL);
    config.thread_name = "a b";
    assert_equal(gari_configure(&config), EINVAL);
    config.thread_name = NULL;
    config.cpus = "0-x";
    assert_equal(gari_configure(&config), EINVAL);
    config.cpus = "0,0-1,0";
    assert_equal(gari_configure(&config), 0);
    assert_nothing_left();
}

Test(environment, may_ask_for_a_thread)
{
    setenv("GARI_MODE", "thread", 1);
    use_manual_mode(); /* but the environment has the last word */
    make_garbage_ring(&watched_type, 1);
    gari_collect(0);
    cpu_set_t theirs;
    wanted_name = "gari-collector";
    wanted_nice = getpriority(PRIO_PROCESS, 0);
    cr_assert(wait_until(thread_is_there, &theirs, 20));
    assert_nothing_left();
}

Test(environment, may_ask_for_inline_mode)
{
    setenv("GARI_MODE", "inline", 1);
    use_manual_mode();
    for (size_t i = 0; i < 200000 && stats_now().generation[0].collections == 0; i++)
        make_garbage_ring(&watched_type, 2);
    cr_assert(stats_now().generation[0].collections > 0);
    cpu_set_t theirs;
    int nice;
    cr_assert(!find_thread("gari-collector", &nice, &theirs));
    assert_nothing_left();
}

/* What is printed from the first use to the end of gari's threads. */
static const char *printed_in_a_life(void)
{
    static char text[8192];
    int pipes[2], before = dup(STDERR_FILENO);
    check(pipe(pipes) == 0);
    dup2(pipes[1], STDERR_FILENO);
    make_garbage_ring(&watched_type, 2);
    gari_collect(2);
    check(gari_shutdown(NULL, NULL) == 0);
    dup2(before, STDERR_FILENO);
    close(pipes[1]);
    ssize_t n = read(pipes[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    close(pipes[0]);
    close(before);
    return text;
}

Test(environment, that_the_system_refuses_is_told_and_done_without)
{
    gari_config config = GARI_CONFIG_INIT;
    config.cpus = "1023"; /* a number that the set can hold, of a processor that nobody has */
    assert_equal(gari_configure(&config), 0);
    assert_mentions(printed_in_a_life(), "processors");
    assert_equal(disposed_count(), 2);
}

Test(environment, niceness_that_the_system_refuses_is_told_and_done_without)
{
    struct rlimit none = {0, 0};
    check(setrlimit(RLIMIT_NICE, &none) == 0);
    if (geteuid() == 0)
        check(setuid(65534) == 0); /* who may do everything is refused nothing */
    gari_config config = GARI_CONFIG_INIT;
    config.nice = -20;
    assert_equal(gari_configure(&config), 0);
    assert_mentions(printed_in_a_life(), "nice value of -20");
    assert_equal(disposed_count(), 2);
}

/* A program that was built with version 0.1, whose struct ended with the thresholds. */
Test(environment, accepts_the_first_versions_configuration)
{
    gari_config config = GARI_CONFIG_INIT;
    config.struct_size = 40;
    config.mode = GARI_MODE_MANUAL;
    config.threshold[2] = 77;
    config.debug = 0xffffffff; /* what lies behind it is no part of it */
    config.cpus = (const char *)1;
    assert_equal(gari_configure(&config), 0);
    assert_thresholds(700, 10, 77);
    assert_equal(gari_get_debug(), 0);
    assert_nothing_left();
}

/* ---- The cgroup's limit ------------------------------------------------------------------- */

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

Test(environment, cgroup_limit_is_the_tightest_on_the_way_up)
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

Test(environment, cgroup_limit_of_version_1_is_found)
{
    check(mkdtemp(folder) != NULL);
    put("cgroup", "5:cpu,cpuacct:/x\n3:memory:/x/y\n1:name=systemd:/z\n0::/\n");
    put("memory/x/memory.limit_in_bytes", "6000000\n");
    put("memory/x/y/memory.limit_in_bytes", "9223372036854771712\n");
    assert_equal(limit_found(), 6000000);
    put("cgroup", "3:memory_of_another_kind:/x/y\n");
    cr_assert(limit_found() == SIZE_MAX);
}

Test(environment, cgroup_lines_that_make_no_sense_are_passed_over)
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

Test(environment, cgroup_paths_longer_than_a_path_can_be_are_passed_over)
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

Test(environment, memory_limit_may_follow_the_cgroup)
{
    setenv("GARI_MEMORY_LIMIT", "cgroup", 1);
    assert_equal(strlen(printed_by_first_use()), 0);
    size_t limit = gari__cgroup_limit("/proc/self/cgroup", "/sys/fs/cgroup");
    size_t share = limit == SIZE_MAX ? 0 : limit - limit / 8;
    assert_equal(gari_get_memory_limit(), share);
    gari_set_memory_limit(77);
    assert_equal(gari_get_memory_limit(), 77);
    gari_set_memory_limit(GARI_LIMIT_CGROUP);
    assert_equal(gari_get_memory_limit(), share);
    assert_nothing_left();
}
