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

#ifdef GARI_CHECKED
#define SENTENCE 1024 /* where the object was made and died, too */
#else
#define SENTENCE 512
#endif

static void spell(char sentence[SENTENCE], const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void spell(char sentence[SENTENCE], const char *format, va_list args)
{
    static const char name[] = "gari: ";
    memcpy(sentence, name, sizeof name);
    vsnprintf(sentence + sizeof name - 1, SENTENCE - sizeof name + 1, format, args);
}

/* write, not stdio: the state of the process may be in doubt. */
static void print(char sentence[SENTENCE])
{
    size_t length = strlen(sentence);
    if (length == SENTENCE - 1)
        length--;
    sentence[length++] = '\n';
    ssize_t written = write(STDERR_FILENO, sentence, length);
    (void)written; /* there is nobody left to tell */
}

void gari__say(const char *format, ...)
{
    char sentence[SENTENCE];
    va_list args;
    va_start(args, format);
    spell(sentence, format, args);
    va_end(args);
    print(sentence);
}

void gari__fatal(const char *format, ...)
{
    char sentence[SENTENCE];
    va_list args;
    va_start(args, format);
    spell(sentence, format, args);
    va_end(args);

    void (*hook)(const char *) = gari__load_acquire(&fatal_hook);
    if (hook)
        hook(sentence);
    print(sentence);
    abort();
}
