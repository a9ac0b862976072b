/* The end of the road for misuse: one sentence, the user's hook, abort(). */
#ifndef GARI_CONCURRENCY_FATAL_H
#define GARI_CONCURRENCY_FATAL_H

void gari__set_fatal_hook(void (*hook)(const char *sentence));

__attribute__((noreturn, cold, format(printf, 1, 2))) void gari__fatal(const char *format, ...);

#endif
