#!/bin/bash
# usage: run.sh [--short|--long] [--only PATTERN] [--trace]
#
# Checks the models with Spin. What has to hold is explored to the last state; of every mutant, a
# model with one rule or step removed, the checker has to find a trace. Fails when a property does
# not hold, a search does not end, or a mutant survives. --short leaves out what takes longer than a
# few seconds, --long leaves nothing out; --only takes what matches PATTERN (a regular expression of grep -E); --trace tells
# each trace that was found, the shortest there is, step by step.
set -u
cd "$(dirname "$0")" || exit 2

form=full
only=.
trace=
while [ $# -gt 0 ]; do
    case $1 in
    --short | --long) form=${1#--} ;;
    --trace) trace=1 ;;
    --only) only=$2 && shift ;;
    *) echo "run.sh: no such argument: $1" >&2 && exit 2 ;;
    esac
    shift
done
for tool in spin gcc tcc; do
    command -v $tool >/dev/null || { echo "run.sh: $tool is not installed" >&2 && exit 2; }
done

scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
count=0

# 6 GB is the most that a search may take. MURMUR: Spin's own hash function collides badly on models
# like these. COLLAPSE: exact, a third of the memory.
options="-w -DMEMLIM=6000 -DMURMUR"
# Most of a short search is its compilation, in which tcc is done when the others have hardly begun, and
# the table that has to be cleared.
compile="gcc -O2"
table=24
[ "$form" != short ] || { compile=tcc && table=20; }

search() { # DIRECTORY MODEL DEFINES PAN-OPTIONS COMPILER-OPTIONS
    mkdir "$1" && cp ./*.pml "$1" || exit 2
    # The definitions and options are meant to be split.
    # shellcheck disable=SC2086
    (cd "$1" && spin -a $3 "$2" && $compile $options $5 pan.c -o pan) >"$1/log" 2>&1 || return
    # shellcheck disable=SC2086
    (cd "$1" && ./pan -n -w$table $4) >"$1/log" 2>&1
}

report() { # DIRECTORY NAME VERDICT
    awk -v name="$2" -v verdict="$3" '
        / states, stored/ { states = $1 }
        /total actual memory usage/ { megabytes = $1 }
        /elapsed time/ { seconds = $4 }
        END {
            printf "%-34s %11d states %8.1f s %6.0f MB   %s\n", name, states, seconds, megabytes, verdict
        }' "$1/log"
}

# The steps of the trace, one to a line: thread, step, object. Threads: mutators from 0, 8 the reaper of
# the dead, 9 and 10 the collectors.
tell() { # DIRECTORY
    (cd "$1" && ./pan -r 2>/dev/null || true) | grep -E '^ *[0-9]+ [a-z]|^ *pan:|CYCLE' | sed 's/^ */        /'
}

check() { # KIND DIRECTORY NAME MODEL DEFINES PAN-OPTIONS COMPILER-OPTIONS
    local log=$2/log verdict
    search "$2" "$4" "$5" "$6" "$7"
    if ! grep -q 'errors: [0-9]' "$log"; then
        verdict="FAILED: no search"
        sed 's/^/        /' "$log"
    elif [ "$1" = mutant ] && grep -q 'errors: 1$' "$log"; then
        verdict="trace found: $(grep -m1 -oE 'assertion violated.*|invalid end state|acceptance cycle' "$log" | sed 's/ (at depth.*//')"
    elif [ "$1" = mutant ]; then
        verdict="FAILED: the mutant survives"
    elif ! grep -q 'errors: 0$' "$log"; then
        verdict="FAILED: $(grep -m1 '^pan:' "$log")"
    elif grep -qE 'max search depth too small|Search not completed|out of memory' "$log"; then
        verdict="FAILED: the search did not end"
    else
        verdict=holds
    fi
    report "$2" "$3" "$verdict"
    if [ -n "$trace" ] && grep -q 'errors: 1$' "$log"; then tell "$2"; fi
    rm -rf "$2"
}

wanted() { # FORM
    case "$form" in
    short) [ "$1" = short ] ;;
    full) [ "$1" != long ] ;;
    esac
}

run() { # KIND FORM NAME MODEL DEFINES PAN-OPTIONS COMPILER-OPTIONS
    wanted "$2" && echo "$3" | grep -qE -- "$only" || return 0
    count=$((count + 1))
    local result
    result=$scratch/$(printf '%03d' $count).result
    # A long search has the machine's memory to itself; short ones go two at a time.
    if [ "$2" = short ]; then
        while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
        check "$1" "$scratch/$count" "${@:3}" >"$result" &
    else
        wait
        echo "$3 ..." >&2
        check "$1" "$scratch/$count" "${@:3}" >"$result"
    fi
}

holds() { # FORM NAME MODEL DEFINES [PAN-OPTIONS [COMPILER-OPTIONS]]
    run holds "$1" "$2" "$3" "$4" "-m9000000 ${5:-}" "${6:--DSAFETY -DCOLLAPSE}"
}

# The shortest trace is found breadth first.
mutant() { # FORM NAME MODEL DEFINES [PAN-OPTIONS [COMPILER-OPTIONS]]
    run mutant "$1" "$2" "$3" "$4" "-m9000000 ${5:-}" "${6:--DSAFETY -DBFS}"
}

. ./checks.sh
wait

cat "$scratch"/*.result
failed=$(cat "$scratch"/*.result | grep -c 'FAILED: ')
passed=$((count - failed))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
