/* Setting the library up: by the program, by a profile, by the environment. */
#include "lib/collector/config.h"

#include "concurrency/fatal.h"
#include "lib/collector/collector.h"
#include "lib/collector/stress.h"
#include "lib/heap/memory.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The size that the struct had when it ended with the thresholds, and when it ended with the
 * processors. */
#define FIRST_SIZE 40u
#define SECOND_SIZE 64u
_Static_assert(offsetof(gari_config, stress_every) == SECOND_SIZE, "what came first stays");

/* ---- Words and numbers -------------------------------------------------------------------- */

/* A number from least to most that ends at one of the characters `ends`, or at the end. */
static bool parse_number(const char **at, const char *ends, long long least, long long most,
                         long long *number)
{
    char *end;
    if (!isdigit((unsigned char)**at) && **at != '-')
        return false;
    errno = 0;
    *number = strtoll(*at, &end, 10);
    if (errno || end == *at || !memchr(ends, *end, strlen(ends) + 1) || *number < least ||
        *number > most)
        return false;
    *at = end;
    return true;
}

static bool parse_thresholds(const char *at, int threshold[3])
{
    int parsed[3] = {threshold[0], threshold[1], threshold[2]};
    for (int i = 0; i < 3; i++) {
        long long number;
        if (!parse_number(&at, ",", 0, INT_MAX, &number))
            return false;
        parsed[i] = (int)number;
        if (*at == '\0') {
            memcpy(threshold, parsed, sizeof parsed);
            return true;
        }
        at++;
    }
    return false;
}

static bool parse_bytes(const char *at, size_t *bytes)
{
    long long number;
    if (strcmp(at, "cgroup") == 0) {
        *bytes = GARI_LIMIT_CGROUP;
        return true;
    }
    if (!parse_number(&at, "KMGTkmgt", 0, LLONG_MAX, &number))
        return false;
    unsigned shift = 0;
    if (*at != '\0') {
        static const char units[] = "kmgt";
        shift = 10 * (unsigned)(strchr(units, tolower((unsigned char)*at)) - units + 1);
        if (at[1] != '\0' || number > LLONG_MAX >> shift)
            return false;
    }
    *bytes = (size_t)number << shift;
    return true;
}

/* "0-3,8" */
static bool parse_cpus(const char *at, struct gari__thread_style *style)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    for (;;) {
        long long first, last;
        if (!parse_number(&at, "-,", 0, CPU_SETSIZE - 1, &first))
            return false;
        last = first;
        if (*at == '-') {
            at++;
            if (!parse_number(&at, ",", first, CPU_SETSIZE - 1, &last))
                return false;
        }
        for (; first <= last; first++)
            CPU_SET((size_t)first, &cpus);
        if (*at == '\0')
            break;
        at++;
    }
    style->cpus = cpus;
    style->has_cpus = true;
    return true;
}

static bool parse_thread_name(const char *name, struct gari__thread_style *style)
{
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof style->name)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!isgraph((unsigned char)name[i]))
            return false;
    }
    memcpy(style->name, name, length + 1);
    return true;
}

static bool parse_debug(const char *at, unsigned *debug)
{
    static const struct {
        const char *name;
        unsigned flags;
    } names[] = {
        {"stats", GARI_DEBUG_STATS},
        {"collectable", GARI_DEBUG_COLLECTABLE},
        {"uncollectable", GARI_DEBUG_UNCOLLECTABLE},
        {"saveall", GARI_DEBUG_SAVEALL},
        {"leak", GARI_DEBUG_LEAK},
    };
    unsigned flags = 0;
    for (;;) {
        size_t length = strcspn(at, ","), i = 0, end = sizeof names / sizeof *names;
        while (i < end &&
               (strlen(names[i].name) != length || memcmp(names[i].name, at, length) != 0))
            i++;
        if (i == end)
            return false;
        flags |= names[i].flags;
        at += length;
        if (*at == '\0') {
            *debug = flags;
            return true;
        }
        at++;
    }
}

static bool parse_mode(const char *value, gari_mode *mode)
{
    if (strcmp(value, "thread") == 0)
        *mode = GARI_MODE_BACKGROUND;
    else if (strcmp(value, "inline") == 0)
        *mode = GARI_MODE_INLINE;
    else if (strcmp(value, "manual") == 0)
        *mode = GARI_MODE_MANUAL;
    else
        return false;
    return true;
}

static bool parse_nice(const char *at, int *nice)
{
    long long number;
    if (!parse_number(&at, "", -20, 19, &number))
        return false;
    *nice = (int)number;
    return true;
}

/* "every:17,seed:5" */
static bool parse_stress(const char *at, unsigned *every, unsigned *seed)
{
    static const char *const names[] = {"every:", "seed:"};
    long long parsed[] = {-1, -1};
    for (;;) {
        int which = strncmp(at, names[0], strlen(names[0])) == 0 ? 0 : 1;
        size_t length = strlen(names[which]);
        if (strncmp(at, names[which], length) != 0 || parsed[which] >= 0)
            return false;
        at += length;
        if (!parse_number(&at, ",", 0, UINT_MAX, &parsed[which]))
            return false;
        if (*at == '\0')
            break;
        at++;
    }
    if (parsed[0] < 0)
        return false;
    *every = (unsigned)parsed[0];
    *seed = parsed[1] < 0 ? 0 : (unsigned)parsed[1];
    return true;
}

static bool parse_profile(const char *value, gari_config *config)
{
    static const char *const names[] = {"throughput", "batch", "long-running"};
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(value, names[i]) == 0)
            return gari_config_profile(config, (gari_profile)(i + 1)) == 0;
    }
    return false;
}

/* ---- Profiles ----------------------------------------------------------------------------- */

int gari_config_profile(gari_config *config, gari_profile profile)
{
    static const struct {
        gari_mode mode;
        size_t limit;
        int threshold[3];
        int nice;
    } profiles[] = {
        [GARI_PROFILE_THROUGHPUT] = {GARI_MODE_INLINE, 0, {50000, 20, 50}, 0},
        [GARI_PROFILE_BATCH] = {GARI_MODE_BACKGROUND, 0, {100000, 50, 100}, 5},
        [GARI_PROFILE_LONG_RUNNING] = {GARI_MODE_BACKGROUND, GARI_LIMIT_CGROUP, {700, 10, 10}, 0},
    };
    if (profile < GARI_PROFILE_THROUGHPUT || profile > GARI_PROFILE_LONG_RUNNING)
        return EINVAL;
    config->mode = profiles[profile].mode;
    config->memory_limit = profiles[profile].limit;
    memcpy(config->threshold, profiles[profile].threshold, sizeof config->threshold);
    config->nice = profiles[profile].nice;
    return 0;
}

/* ---- The environment ---------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *expected;
} variables[] = {
    {"GARI_PROFILE", "throughput, batch or long-running"},
    {"GARI_MODE", "thread, inline or manual"},
    {"GARI_THRESHOLD", "one to three numbers from 0 to 2147483647 with commas between them"},
    {"GARI_DEBUG", "stats, collectable, uncollectable, saveall, leak, with commas between them"},
    {"GARI_MEMORY_LIMIT", "a number of bytes, perhaps with K, M, G or T; or cgroup"},
    {"GARI_NICE", "a number from -20 to 19"},
    {"GARI_CPUS", "numbers and ranges of processors, as in 0-3,8"},
    {"GARI_THREAD_NAME", "1 to 9 characters without spaces"},
    {"GARI_STRESS", "every:N and perhaps seed:S with a comma between them, as in every:17,seed:5"},
};
#define VARIABLES (sizeof variables / sizeof *variables)

bool gari__config_variable(const char *variable, const char *value, gari_config *config,
                           struct gari__thread_style *style)
{
    switch (variable[5]) {
    case 'P':
        return parse_profile(value, config);
    case 'D':
        return parse_debug(value, &config->debug);
    case 'S':
        return parse_stress(value, &config->stress_every, &config->stress_seed);
    case 'N':
        return parse_nice(value, &config->nice);
    case 'C':
        return parse_cpus(value, style);
    case 'T':
        if (strcmp(variable, "GARI_THRESHOLD") == 0)
            return parse_thresholds(value, config->threshold);
        return parse_thread_name(value, style);
    default:
        if (strcmp(variable, "GARI_MODE") == 0)
            return parse_mode(value, &config->mode);
        return parse_bytes(value, &config->memory_limit);
    }
}

/* The values as they were when the library looked first: the environment may change, and a wrong one
 * is to be complained of once. NULL: not set, or not usable. */
static char *values[VARIABLES];
static pthread_once_t looked = PTHREAD_ONCE_INIT;

static void look(void)
{
    for (size_t i = 0; i < VARIABLES; i++) {
        gari_config config = GARI_CONFIG_INIT;
        struct gari__thread_style style = {.name = ""};
        const char *value = secure_getenv(variables[i].name);
        if (!value)
            continue;
        if (!gari__config_variable(variables[i].name, value, &config, &style))
            gari__say("%s=%s is refused: %s expected", variables[i].name, value,
                      variables[i].expected);
        else if ((values[i] = gari__memory_new(strlen(value) + 1)) != NULL)
            memcpy(values[i], value, strlen(value) + 1);
        else
            gari__say("%s=%s is ignored: out of memory", variables[i].name, value);
    }
}

/* ---- What is in force --------------------------------------------------------------------- */

static gari_config wanted = GARI_CONFIG_INIT;
static struct gari__thread_style wanted_style;

static void apply(void)
{
    gari_config config = wanted;
    struct gari__thread_style style = wanted_style;
    pthread_once(&looked, look);
    for (size_t i = 0; i < VARIABLES; i++) {
        if (values[i])
            gari__config_variable(variables[i].name, values[i], &config, &style);
    }
    style.nice = config.nice;
    gari__thread_set_style(&style);
    gari__collector.mode = config.mode;
    gari_set_memory_limit(config.memory_limit);
    gari_set_threshold(config.threshold[0], config.threshold[1], config.threshold[2]);
    gari_set_debug(config.debug);
    gari__stress_set(config.stress_every, config.stress_seed);
}

/* Calls before the first use (gari_set_threshold) stand where the environment says nothing. */
void gari__config_start(void)
{
    pthread_once(&looked, look);
    for (size_t i = 0; i < VARIABLES; i++) {
        if (!values[i])
            continue;
        wanted.memory_limit = gari__load_relaxed(&gari__collector.limit);
        gari_get_threshold(wanted.threshold);
        wanted.debug = gari_get_debug();
        apply();
        return;
    }
}

int gari_configure(const gari_config *config)
{
    gari_config asked = GARI_CONFIG_INIT;
    struct gari__thread_style style = {.name = ""};
    if (config->struct_size == FIRST_SIZE)
        memcpy(&asked, config, offsetof(gari_config, debug));
    else if (config->struct_size == SECOND_SIZE)
        memcpy(&asked, config, SECOND_SIZE);
    else if (config->struct_size == sizeof asked)
        asked = *config;
    else
        return EINVAL;
    if (asked.mode < GARI_MODE_BACKGROUND || asked.mode > GARI_MODE_MANUAL ||
        (asked.debug & ~(GARI_DEBUG_STATS | GARI_DEBUG_LEAK)) || asked.nice < -20 ||
        asked.nice > 19 || (asked.cpus && !parse_cpus(asked.cpus, &style)) ||
        (asked.thread_name && !parse_thread_name(asked.thread_name, &style)))
        return EINVAL;
    for (int i = 0; i < 3; i++) {
        if (asked.threshold[i] < 0)
            return EINVAL;
    }
    if (gari__load_relaxed(&gari__collector.used))
        return EBUSY;
    wanted = asked;
    wanted.struct_size = sizeof asked;
    wanted.cpus = wanted.thread_name = NULL;
    wanted_style = style;
    apply();
    return 0;
}
