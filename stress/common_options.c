#include "stress/common_options.h"

#include "concurrency/perturb.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct stress_options stress = {.threads = 4, .seed = 1, .perturb = 10, .watchdog = 60};
char stress_replay[512];

static const char *const mode_names[] = {"background", "inline", "manual"};

__attribute__((noreturn)) static void usage(const char *program, const char *about, int status)
{
    fprintf(status ? stderr : stdout,
            "%s: %s\n"
            "  --seconds S      how long (default %g)\n"
            "  --threads N      how many workers (%u)\n"
            "  --seed N|random  what the workers do (%lu)\n"
            "  --perturb N      delay about N in 1000 protocol steps (%u)\n"
            "  --mutant NAME    break a rule on purpose; --list-mutants names them\n"
            "  --mode MODE      background, inline or manual\n"
            "  --watchdog S     fail after so long without progress (%u)\n"
            "  --progress S     a line every S seconds, for make soak\n"
            "  --plain          types without callbacks, which take other ways through gari\n"
            "  --steps          say which of the model's steps have been come to (docs/model.md)\n"
            "  --abort          abort at a violation, for a debugger\n",
            program, about, stress.seconds, stress.threads, (unsigned long)stress.seed,
            stress.perturb, stress.watchdog);
    exit(status);
}

__attribute__((noreturn)) static void refuse(const char *what, const char *text)
{
    fprintf(stderr, "%s: %s\n", what, text);
    exit(2);
}

static unsigned long number(const char *text, unsigned long most)
{
    char *end;
    unsigned long n = strtoul(text, &end, 0);
    if (end == text || *end || n > most)
        refuse("not a number that fits", text);
    return n;
}

static gari_mode mode_of(const char *name)
{
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(name, mode_names[i]) == 0)
            return (gari_mode)i;
    refuse("no such mode", name);
}

static void parse(int argc, char **argv, const char *about)
{
    static const struct option options[] = {
        {"seconds", required_argument, NULL, 's'},  {"threads", required_argument, NULL, 't'},
        {"seed", required_argument, NULL, 'e'},     {"perturb", required_argument, NULL, 'p'},
        {"mutant", required_argument, NULL, 'm'},   {"mode", required_argument, NULL, 'o'},
        {"watchdog", required_argument, NULL, 'w'}, {"plain", no_argument, NULL, 'i'},
        {"abort", no_argument, NULL, 'a'},          {"list-mutants", no_argument, NULL, 'l'},
        {"steps", no_argument, NULL, 'S'},          {"progress", required_argument, NULL, 'g'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            stress.seconds = atof(optarg);
            break;
        case 't':
            stress.threads = (unsigned)number(optarg, STRESS_MOST_WORKERS);
            break;
        case 'e':
            if (strcmp(optarg, "random") == 0)
                stress.seed = (uint64_t)time(NULL) * 1000003u ^ (uint64_t)getpid();
            else
                stress.seed = number(optarg, UINT64_MAX);
            break;
        case 'p':
            stress.perturb = (unsigned)number(optarg, 1000);
            break;
        case 'm':
            stress.mutant = optarg;
            break;
        case 'o':
            stress.mode = mode_of(optarg);
            break;
        case 'w':
            stress.watchdog = (unsigned)number(optarg, 1000000);
            break;
        case 'g':
            stress.progress = (unsigned)number(optarg, 1000000);
            break;
        case 'i':
            stress.plain = true;
            break;
        case 'a':
            stress.abort = true;
            break;
        case 'S':
            stress.steps = true;
            break;
        case 'l':
            for (const char *const *name = gari__mutant_names(); *name; name++)
                puts(*name);
            exit(0);
        case 'h':
            usage(argv[0], about, 0);
        default:
            usage(argv[0], about, 2);
        }
    }
    if (optind < argc || stress.threads == 0)
        usage(argv[0], about, 2);
}

void stress_read_options(int argc, char **argv, const char *about)
{
    parse(argc, argv, about);
    const char *slash = strrchr(argv[0], '/');
    snprintf(stress_replay, sizeof stress_replay,
             "%s --seed %lu --seconds %g --threads %u --perturb %u --mode %s%s%s%s",
             slash ? slash + 1 : argv[0], (unsigned long)stress.seed, stress.seconds,
             stress.threads, stress.perturb, mode_names[stress.mode],
             stress.plain ? " --plain" : "", stress.mutant ? " --mutant " : "",
             stress.mutant ? stress.mutant : "");
    printf("seed %lu: %s\n", (unsigned long)stress.seed, stress_replay);
    fflush(stdout);

    if (stress.mutant && !gari__mutant_set(stress.mutant))
        refuse("no such mutant", stress.mutant);
}
