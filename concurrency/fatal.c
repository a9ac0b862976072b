#include "concurrency/fatal.h"

#include "concurrency/atomics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*fatal_hook)(const char *sentence);

void gari__set_fatal_hook(void (*hook)(const char *sentence))
{
    gari__store_release(&fatal_hook, hook);
}

void gari__fatal(const char *format, ...)
{
    char sentence[512] = "gari: ";
    va_list args;
    va_start(args, format);
    size_t start = strlen(sentence);
    vsnprintf(sentence + start, sizeof sentence - start, format, args);
    va_end(args);

    void (*hook)(const char *) = gari__load_acquire(&fatal_hook);
    if (hook)
        hook(sentence);
    /* write, not stdio: the state of the process is in doubt. */
    size_t length = strlen(sentence);
    if (length == sizeof sentence - 1)
        length--;
    sentence[length++] = '\n';
    if (write(STDERR_FILENO, sentence, length) < 0)
        abort();
    abort();
}
