/* gari's own threads as the environment and the configuration want them: which there are, their names, how
 * nice they are, where they run. */
#include "tests/support.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(own_threads, .timeout = 60);

/* Whether the thread of the process is of that name; its nice value and the processors it may use. */
static bool is_thread(const char *tid, const char *name, int *nice, cpu_set_t *cpus)
{
    char path[300], line[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", tid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false; /* "..", or it has ended */
    bool read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
    if (!read || strcmp(line, name) != 0)
        return false;
    long number = strtol(tid, NULL, 10);
    *nice = getpriority(PRIO_PROCESS, (id_t)number);
    return sched_getaffinity((pid_t)number, sizeof *cpus, cpus) == 0;
}

/* Threads have any numbers: also lower ones than the process, when those of the system have begun anew. */
static bool find_thread(const char *name, int *nice, cpu_set_t *cpus)
{
    DIR *tasks = opendir("/proc/self/task");
    check(tasks != NULL);
    bool found = false;
    const struct dirent *task;
    while (!found && (task = readdir(tasks)) != NULL)
        found = is_thread(task->d_name, name, nice, cpus);
    closedir(tasks);
    return found;
}

static const char *wanted_name;
static int wanted_nice;

static bool thread_is_there(void *cpus)
{
    int nice = -100;
    return find_thread(wanted_name, &nice, cpus) && nice == wanted_nice;
}

Test(own_threads, are_named_by_the_environment_which_says_how_nice_they_are_and_where_they_run)
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

Test(own_threads, are_named_gari_by_default)
{
    cpu_set_t theirs;
    gari_decref(new_leaf(0));
    wanted_name = "gari-collector";
    wanted_nice = getpriority(PRIO_PROCESS, 0);
    cr_assert(wait_until(thread_is_there, &theirs, 20));
    assert_nothing_left();
}

Test(own_threads, are_described_by_the_configuration)
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

Test(own_threads, are_not_described_by_nonsense)
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

Test(own_threads, modes_and_nice_values_out_of_range_are_refused)
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

Test(own_threads, are_there_when_the_environment_asks_for_them)
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

Test(own_threads, are_not_there_in_inline_mode)
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

/* From the first use to the end of gari's threads. */
static void live(void)
{
    make_garbage_ring(&watched_type, 2);
    gari_collect(2);
    check(gari_shutdown(NULL, NULL) == 0);
}

Test(own_threads, placement_that_the_system_refuses_is_told_and_done_without)
{
    gari_config config = GARI_CONFIG_INIT;
    config.cpus = "1023"; /* a number that the set can hold, of a processor that nobody has */
    assert_equal(gari_configure(&config), 0);
    assert_mentions(printed_by(live), "processors");
    assert_equal(disposed_count(), 2);
}

Test(own_threads, niceness_that_the_system_refuses_is_told_and_done_without)
{
    struct rlimit none = {0, 0};
    check(setrlimit(RLIMIT_NICE, &none) == 0);
    if (geteuid() == 0)
        check(setuid(65534) == 0); /* who may do everything is refused nothing */
    gari_config config = GARI_CONFIG_INIT;
    config.nice = -20;
    assert_equal(gari_configure(&config), 0);
    assert_mentions(printed_by(live), "nice value of -20");
    assert_equal(disposed_count(), 2);
}
