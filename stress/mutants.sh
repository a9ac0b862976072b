#!/bin/sh
# usage: mutants.sh PROGRAM...
# Breaks one rule at a time on purpose and demands that it is noticed: by the schedule that plays just
# the interleaving that the rule is there for, and, where one meets it within seconds, by a program
# that finds it by chance.
set -u

# In two halves beside each other: most programs wait more than they work.
if [ -z "${MUTANTS_HALF-}" ]; then
    outputs=$(mktemp -d) || exit 2
    trap 'rm -rf "$outputs"' EXIT
    for half in 0 1; do
        MUTANTS_HALF=$half "$0" "$@" >"$outputs/$half" 2>&1 &
    done
    wait
    cat "$outputs"/?
    awk '/^[0-9]+ noticed, [0-9]+ not$/ { halves++; passed += $1; failed += $3 }
        END { print passed " passed, " failed " failed"; exit halves != 2 || failed != 0 }' "$outputs"/?
    exit
fi

killed=0
survived=0
asked=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

is_mine() {
    asked=$((asked + 1))
    [ $((asked % 2)) -eq "$MUTANTS_HALF" ]
}

path_of() {
    wanted=$1
    shift
    for program in "$@"; do
        [ "$(basename "$program")" = "$wanted" ] && echo "$program" && return
    done
    echo "mutants.sh: $wanted is not among the programs" >&2
    exit 2
}

# A crash is noticing. Status 2: the program has no such mutant.
noticed() { # STATUS
    [ "$1" -ne 0 ] && [ "$1" -ne 2 ]
}

passes() { # MUTANT BY
    echo "$1: noticed by $2: $(grep FAILED "$log" | head -n 1)"
    killed=$((killed + 1))
}

fails() { # MUTANT BY
    echo "$1: NOT NOTICED by $2"
    cat "$log"
    survived=$((survived + 1))
}

# The first violation is in that schedule, and it is one: the schedule did come about. With both ways
# that objects take through the collector.
by_schedule() { # MUTANT PROGRAM SCHEDULE
    is_mine || return
    # Labels of programs have no blanks.
    # shellcheck disable=SC2086
    program=$(path_of "$2" $programs) || exit 2
    for plain in "" --plain; do
        # On a busy machine a thread may be held up where the schedule only waits: three tries.
        for try in 1 2 3; do
            timeout 60 "$program" --mutant "$1" --seed "$try" $plain >"$log" 2>&1
            if noticed $? && grep FAILED "$log" | head -n 1 | grep -v "in another way" |
                grep -q "^FAILED in $3: "; then
                passes "$1" "the schedule '$3' of $2${plain:+ $plain}"
                continue 2
            fi
        done
        fails "$1" "the schedule '$3' of $2${plain:+ $plain}"
    done
}

by_chance() { # MUTANT PROGRAM
    is_mine || return
    # shellcheck disable=SC2086
    program=$(path_of "$2" $programs) || exit 2
    for seed in $(seq 24); do
        # Two seconds of work; who hangs has noticed.
        timeout 20 "$program" --mutant "$1" --seed "$seed" --perturb 50 \
            --seconds 2 >"$log" 2>&1
        if noticed $?; then
            passes "$1" "$2 with seed $seed"
            return
        fi
    done
    fails "$1" "$2"
}

programs=$*
schedules=$(path_of schedules "$@") || exit 2 # lists the mutants

by_schedule late-decref schedules drop
by_schedule no-grace schedules drop
by_schedule no-recheck schedules drop
by_schedule early-drop schedules "remove first"
by_schedule late-count lives "count first"
by_schedule early-birth lives birth
by_schedule bad-shrink schedules shrink
by_schedule take-no-bump schedules take
by_schedule no-version schedules load
by_schedule raise-dead lives "stay dead"
by_schedule no-reuse-grace lives "keep memory"
by_schedule no-sweep lives sweep
by_schedule reborn-version lives reborn
by_schedule forgotten-version lives reborn
by_schedule interleaved-v1 schedules "interleaved [a-z]*"
by_schedule two-places schedules "one place"
by_schedule two-proofs schedules "two proofs"
by_schedule move-no-candidate lives move
by_schedule late-clear lives "clear first"
by_schedule late-flag lives "clear first"
by_schedule bit-first lives "in order"
by_schedule list-first lives "in order"
by_schedule again-blindly lives "seen before"
by_schedule no-bit-in-child lives "fork between"

by_schedule stamp-unseen seedschedules "born later"
by_schedule settled-blindly seedschedules "born meanwhile"
by_schedule opened-late seedschedules "opened by a pass"
by_schedule opened-blindly seedschedules "opened by a look"

by_schedule no-reuse-grace lateschedules "keep below"
by_schedule late-unshared lateschedules shared
by_schedule late-unquiet lateschedules quiet
by_schedule late-in-walk lateschedules "in walk"
by_schedule late-lookup lateschedules aside

by_schedule bad-shrink sweepschedules leavers
by_schedule no-recount sweepschedules recount
by_schedule no-sweep-wait sweepschedules "sweep wait"

by_schedule kept-busy hotschedules step

by_schedule weak-no-gate weakschedules before-commit
by_schedule weak-late-tag weakschedules before-commit
by_schedule weak-no-grace weakschedules after-commit
by_schedule hold-blindly weakschedules died
by_schedule no-second-proof weakschedules "[a-z-]*"
by_schedule finalize-twice weakschedules second-proof
by_schedule no-grace weakschedules before-tag
by_schedule raise-dead weakschedules after-commit

by_chance kept-busy hot
by_chance kept-no-barrier hot
by_chance rest-forever graph
by_chance rest-forever late
by_chance weak-no-gate weakgets
by_chance no-second-proof finalizers
by_chance finalize-twice finalizers
by_chance no-grace readers
by_chance no-reuse-grace graph
by_chance no-reuse-grace late
by_chance no-recheck moves
by_chance raise-dead threads
by_chance late-clear collectors
by_chance no-sweep dying
by_chance lost-free handoff
by_chance walk-in-proof finders
by_chance insert-moves audit
by_chance erase-moves audit
by_chance splice-moves audit
by_chance sort-moves audit
by_chance rehash-moves audit

# Every mutant has been asked for.
for mutant in $("$schedules" --list-mutants); do
    ! is_mine || grep -q "^by_[a-z]* $mutant " "$0" || {
        echo "$mutant: nobody is asked to notice it"
        survived=$((survived + 1))
    }
done

echo "$killed noticed, $survived not"
