#!/bin/bash
# usage: run.sh [--seconds N] [--keep] [-- LIBFUZZER_OPTION...]
#
# Builds the fuzz target with libFuzzer, AddressSanitizer and UBSan, and runs it, from the corpus on,
# for N seconds (60). A finding is told as the line that replays it. With --keep, what reaches code or
# values that the corpus does not is added to it, minimised.
set -u
cd "$(dirname "$0")/../.." || exit 2

seconds=60
keep=
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=$2 && shift ;;
    --keep) keep=1 ;;
    --) shift && break ;;
    *) echo "run.sh: no such argument: $1" >&2 && exit 2 ;;
    esac
    shift
done

bazel build --config=fuzz --noshow_progress --show_result=0 //tests/fuzz:fuzz //tests/fuzz:replay ||
    { echo "0 passed, 1 failed" && exit 1; }
bin=$(bazel info --config=fuzz bazel-bin 2>/dev/null)/tests/fuzz
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/corpus" "$scratch/small" "$scratch/found"

# A line of the corpus is a program, a file of libFuzzer's likewise.
number=0
while read -r line; do
    case $line in
    [0-9a-f]*) number=$((number + 1)) && xxd -r -p <<<"$line" >"$scratch/corpus/$number" ;;
    esac
done <tests/fuzz/corpus.txt

export FUZZ_REPORT=$scratch/report
# report_slow_units: what only takes its time, on a busy machine more than the ten seconds that it is given
# otherwise, is no finding; what takes longer than the timeout is.
"$bin/fuzz" -max_len=300 -timeout=60 -report_slow_units=60 -max_total_time="$seconds" -fork=1 -ignore_crashes=1 \
    -ignore_timeouts=0 -print_final_stats=1 -artifact_prefix="$scratch/found/" "$@" \
    "$scratch/corpus" 2>&1 | grep -v -e NEW_FUNC -e '^  *#'
[ ! -e "$FUZZ_REPORT" ] || sed 's/^/finding: /' "$FUZZ_REPORT"
findings=0
for file in "$scratch"/found/*; do
    [ -e "$file" ] || continue
    findings=$((findings + 1))
    echo "finding: replay $(xxd -p "$file" | tr -d '\n')"
done

if [ -n "$keep" ]; then
    "$bin/fuzz" -merge=1 "$scratch/small" "$scratch/corpus" 2>/dev/null
    {
        sed -n '/^#/p' tests/fuzz/corpus.txt
        for file in "$scratch"/small/*; do
            xxd -p "$file" | tr -d '\n' && echo
        done | awk '{ print length($0), $0 }' | sort -n -k1,1 -k2 | cut -d' ' -f2
    } >"$scratch/corpus.txt" && cp "$scratch/corpus.txt" tests/fuzz/corpus.txt
    echo "corpus: $(grep -c '^[0-9a-f]' tests/fuzz/corpus.txt) programs"
fi
[ "$findings" -eq 0 ] && echo "1 passed, 0 failed" && exit 0
echo "0 passed, $findings failed"
exit 1
