#!/bin/sh
# Runs a test under a sanitizer and fails it when any of its processes has reported anything. A
# report alone may not: Criterion runs each test in a process of its own and does not look at what
# that process does after the test, which is when LeakSanitizer speaks.
set -u
reports=$TEST_TMPDIR/sanitizer_report
# Later options win; the runtimes of the two configurations read one variable each, and UBSan's
# writes where ASan's does.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:log_path=$reports"
export TSAN_OPTIONS="${TSAN_OPTIONS:-}:log_path=$reports"

"$@"
status=$?

for report in "$reports".*; do
    if [ -s "$report" ]; then
        cat "$report" >&2
        [ "$status" -ne 0 ] || status=1
    fi
done
exit "$status"
