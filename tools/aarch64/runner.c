/* Runs the tests of one program, each in a process of its own; the last line is "N passed, N failed". */
#include <criterion/criterion.h>

#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

static struct cr_test *first, **last = &first;

void cr_add(struct cr_test *test)
{
    *last = test;
    last = &test->next;
}

void cr_fail(const char *file, int line, const char *what, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: %s ", file, line, what);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    fflush(NULL);
    _exit(1);
}

/* How long one test may take: the emulator is some ten times slower than the machine. */
#define SECONDS 600

int main(void)
{
    int passed = 0, failed = 0;
    for (struct cr_test *test = first; test; test = test->next) {
        if (test->options.disabled)
            continue;
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            alarm(SECONDS);
            test->run();
            fflush(NULL);
            exit(0);
        }
        int status = -1;
        bool as_told =
            child > 0 && waitpid(child, &status, 0) == child &&
            (test->options.signal ? WIFSIGNALED(status) && WTERMSIG(status) == test->options.signal
                                  : WIFEXITED(status) && WEXITSTATUS(status) == 0);
        if (as_told) {
            passed++;
        } else {
            printf("FAILED: %s::%s (status %#x)\n", test->suite, test->name, (unsigned)status);
            failed++;
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
