/* Replays programs, as libFuzzer does, without it. */
#include "tests/fuzz/machine.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 4096 };

static unsigned programs;

static void replay(const char *hex)
{
    static uint8_t data[LONGEST];
    size_t size = 0;
    unsigned byte;
    for (; size < LONGEST && isxdigit((unsigned char)hex[0]) && sscanf(hex, "%2x", &byte) == 1;
         hex += 2)
        data[size++] = (uint8_t)byte;
    fuzz_run(data, size);
    programs++;
}

int main(int argc, char **argv)
{
    int i = 1;
    if (i < argc && strcmp(argv[i], "--trace") == 0) {
        model.trace = true;
        i++;
    }
    if (i == argc) {
        fprintf(stderr, "usage: replay [--trace] FILE...\n"
                        "       replay [--trace] HEX\n"
                        "A line of a file is a program, in hexadecimal.\n");
        return 2;
    }
    for (; i < argc; i++) {
        FILE *file = fopen(argv[i], "r");
        if (!file) {
            replay(argv[i]);
            continue;
        }
        static char line[2 * LONGEST + 2];
        while (fgets(line, sizeof line, file)) {
            if (isxdigit((unsigned char)line[0]))
                replay(line);
        }
        fclose(file);
    }
    printf("%u passed, 0 failed\n", programs);
    return programs == 0;
}
