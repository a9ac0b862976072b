/* As much of Criterion as the unit tests use, for a machine that is emulated: each test is a forked
 * process, one after the other. Criterion itself starts its processes by exec, which the emulator of a
 * single program cannot do for programs of the other architecture. */
#ifndef GARI_TOOLS_AARCH64_CRITERION_H
#define GARI_TOOLS_AARCH64_CRITERION_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cr_options {
    double timeout;
    int signal;
    bool disabled;
};

struct cr_test {
    const char *suite, *name;
    void (*run)(void);
    struct cr_options options;
    struct cr_test *next;
};

void cr_add(struct cr_test *test);
/* With a sentence in printf's way, or "". */
_Noreturn void cr_fail(const char *file, int line, const char *what, const char *format, ...);

/* A suite's timeout is for another machine. */
#define TestSuite(suite, ...) extern int cr_suite_##suite

#define Test(suite_, name_, ...)                                                                   \
    static void cr_run_##suite_##_##name_(void);                                                   \
    __attribute__((constructor)) static void cr_add_##suite_##_##name_(void)                       \
    {                                                                                              \
        static struct cr_test test = {.suite = #suite_,                                            \
                                      .name = #name_,                                              \
                                      .run = cr_run_##suite_##_##name_,                            \
                                      .options = {__VA_ARGS__}};                                   \
        cr_add(&test);                                                                             \
    }                                                                                              \
    static void cr_run_##suite_##_##name_(void)

#define cr_assert(...) CR_ASSERT_(__VA_ARGS__, "")
#define CR_ASSERT_(condition, ...)                                                                 \
    ((condition) ? (void)0 : cr_fail(__FILE__, __LINE__, #condition, __VA_ARGS__))
#define cr_assert_eq(a, b, ...) cr_assert((a) == (b))
#define cr_assert_str_eq(a, b, ...) cr_assert(strcmp((a), (b)) == 0)
#define cr_log_info(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), (void)0)

#endif
