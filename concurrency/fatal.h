/* The end of the road for misuse: one sentence, the user's hook, abort(). */
#ifndef GARI_CONCURRENCY_FATAL_H
#define GARI_CONCURRENCY_FATAL_H

void gari__set_fatal_hook(void (*hook)(const char *sentence));

/* One line on stderr, and nothing else: for what is refused, and for debugging. */
__attribute__((cold, format(printf, 1, 2))) void gari__say(const char *format, ...);

__attribute__((noreturn, cold, format(printf, 1, 2))) void gari__fatal(const char *format, ...);

#endif
