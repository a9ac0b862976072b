#!/bin/sh
# Runs a test, and the processes that it starts, under valgrind's memcheck, and fails it when any of
# them has reported anything: Criterion runs each test in a process of its own, of which it does not
# look at what it does after the test.
set -u
reports=$TEST_TMPDIR/valgrind_report

# Only the leaks of which nothing points to any part: a test that ends by abort(), as many do on
# purpose, leaves what its threads were in the middle of.
valgrind --quiet --vgdb=no --trace-children=yes --log-file="$reports.%p" --num-callers=20 \
    --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite "$@"
status=$?

for report in "$reports".*; do
    if [ -s "$report" ]; then
        cat "$report" >&2
        [ "$status" -ne 0 ] || status=1
    fi
done
exit "$status"
