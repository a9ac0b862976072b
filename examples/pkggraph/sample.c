#include "examples/pkggraph/sample.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define PACKAGES_PER_VIRTUAL 100

struct sample {
    FILE *out;
    size_t packages;
    uint64_t state;
};

/* SplitMix64: the same archive everywhere. */
static uint64_t draw(struct sample *sample, uint64_t below)
{
    uint64_t z = sample->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

/* Mostly a package near the front, as real ones mostly need the common libraries. */
static size_t draw_package(struct sample *sample, size_t below)
{
    uint64_t a = draw(sample, below), b = draw(sample, below);
    return (size_t)(a < b ? a : b);
}

/* Every package has the same revision scheme, so that a constraint can be made to hold. */
static unsigned minor_version(size_t package)
{
    return (unsigned)(package * 7 % 40);
}

static void put_relation(struct sample *sample, const char *separator, size_t target)
{
    fprintf(sample->out, "%ssample-%zu", separator, target);
    if (draw(sample, 3) == 0)
        fprintf(sample->out, " (>= 1.%u~)", minor_version(target));
}

/* One dependency: plain, with an alternative, or on a virtual package. */
static void put_dependency(struct sample *sample, const char *separator, size_t package)
{
    size_t virtuals = sample->packages / PACKAGES_PER_VIRTUAL;
    uint64_t way = draw(sample, 20);
    if (way == 0 && virtuals > 0) {
        fprintf(sample->out, "%ssample-service-%" PRIu64, separator, draw(sample, virtuals));
        return;
    }
    put_relation(sample, separator, draw_package(sample, package));
    if (way < 4)
        put_relation(sample, " | ", draw_package(sample, sample->packages));
}

static void put_field(struct sample *sample, const char *field, uint64_t most, size_t package)
{
    uint64_t count = package > 0 ? draw(sample, most + 1) : 0;
    if (count > 0)
        fprintf(sample->out, "%s:", field);
    for (uint64_t i = 0; i < count; i++)
        put_dependency(sample, i > 0 ? ", " : " ", package);
    if (count > 0)
        fputc('\n', sample->out);
}

static void put_package(struct sample *sample, size_t package)
{
    static const char *const sections[] = {"libs", "admin", "utils", "net", "devel", "doc"};
    fprintf(sample->out, "Package: sample-%zu\nVersion: 1.%u-%u\nArchitecture: %s\nSection: %s\n",
            package, minor_version(package), 1 + (unsigned)(package % 5),
            package % 4 ? "amd64" : "all",
            sections[package % (sizeof(sections) / sizeof(sections[0]))]);
    if (package % 50 == 1)
        fprintf(sample->out, "Pre-Depends: sample-0 (>= 1.0~)\n");
    /* Pairs in a circle, as a library and its data often are: 10 needs 11, and 11 needs 10. */
    size_t partner = package ^ 1;
    if (package % 20 >= 10 && package % 20 < 12 && partner < sample->packages) {
        fprintf(sample->out, "Depends: sample-%zu (= 1.%u-%u)", partner, minor_version(partner),
                1 + (unsigned)(partner % 5));
        put_dependency(sample, ", ", package);
        fputc('\n', sample->out);
    } else {
        put_field(sample, "Depends", 9, package);
    }
    put_field(sample, "Recommends", 2, package);
    put_field(sample, "Suggests", 2, package);
    size_t virtuals = sample->packages / PACKAGES_PER_VIRTUAL;
    if (virtuals > 0 && package % 25 == 0)
        fprintf(sample->out, "Provides: sample-service-%zu%s\n", package / 25 % virtuals,
                package % 2 ? "" : " (= 2.0)");
    fprintf(sample->out, "Description: sample package %zu\n made up for a demonstration\n .\n",
            package);
}

char *sample_make(size_t packages, size_t *length)
{
    char *text = NULL;
    struct sample sample = {.packages = packages, .state = packages};
    sample.out = open_memstream(&text, length);
    if (!sample.out)
        return NULL;
    for (size_t package = 0; package < packages; package++) {
        put_package(&sample, package);
        fputc('\n', sample.out);
    }
    bool fine = !ferror(sample.out);
    if (fclose(sample.out) != 0 || !fine) {
        free(text);
        return NULL;
    }
    return text;
}
