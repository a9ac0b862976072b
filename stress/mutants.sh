#!/bin/sh
# usage: mutants.sh PROGRAM...
# Breaks one rule at a time on purpose and demands that the stress program named beside it notices,
# in one of a few tries. A crash is noticing. Rules whose breach no program catches reliably within
# seconds yet are listed in docs/testing.md.
set -u

killed=0
survived=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

path_of() {
    wanted=$1
    shift
    for program in "$@"; do
        [ "$(basename "$program")" = "$wanted" ] && echo "$program" && return
    done
    echo "mutants.sh: $wanted is not among the programs" >&2
    exit 2
}

must_notice() {
    mutant=$1
    name=$2
    shift 2
    program=$(path_of "$name" "$@") || exit 2
    for seed in 1 2 3 4 5 6; do
        timeout 60 "$program" --mutant "$mutant" --seed "$seed" --perturb 50 --seconds 4 >"$log" 2>&1
        status=$?
        if [ "$status" -ne 0 ] && [ "$status" -ne 2 ]; then
            echo "$mutant: noticed by $name with seed $seed: $(grep FAILED "$log" | head -n 1)"
            killed=$((killed + 1))
            return
        fi
    done
    echo "$mutant: NOT NOTICED by $name"
    survived=$((survived + 1))
}

must_notice no-grace readers "$@"
must_notice no-reuse-grace graph "$@"
must_notice no-recheck moves "$@"
must_notice bad-shrink threads "$@"
must_notice move-no-candidate moves "$@"
must_notice late-clear collectors "$@"
must_notice no-sweep dying "$@"
must_notice insert-moves audit "$@"
must_notice erase-moves audit "$@"
must_notice splice-moves audit "$@"
must_notice sort-moves audit "$@"
must_notice rehash-moves audit "$@"
must_notice take-no-bump audit "$@"
must_notice no-version audit "$@"

echo "$killed passed, $survived failed"
[ "$survived" -eq 0 ]
