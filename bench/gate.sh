#!/bin/bash
# usage: bench/gate.sh             compares the hot paths with bench/hotpaths/baseline.txt
#        bench/gate.sh --renew     measures them and rewrites the baseline
#        bench/gate.sh --program PROGRAM BASELINE    what the test //bench:gate does
#
# Counts, with callgrind, the instructions and the locked (atomic read-modify-write) instructions
# that one operation of each hot path executes. Those do not depend on how busy the machine is, so a
# difference is a change of the code. Fails when an operation takes more than it did by more than the
# tolerance. A change that is meant is recorded by --renew, in the same commit as its reason.
set -eu

percent=4       # more instructions than that fail
least=1.5       # and so do they only if they are that many more in one operation
locked_more=0.1 # more locked instructions than that fail

export LC_ALL=C
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
    echo "gate: $1" >&2
    exit 1
}

# Prints NAME INSTRUCTIONS LOCKED for each operation, of one of them, the loop around it taken off.
count() { # PROGRAM
    valgrind --tool=callgrind --collect-bus=yes --callgrind-out-file="$folder/dump" "$1" \
        >"$folder/out" 2>"$folder/log" || {
        cat "$folder/out" "$folder/log" >&2
        fail "valgrind or the program failed, as shown above"
    }
    find "$folder" -name 'dump.*' -print0 | sort -zV | xargs -0 cat | awk '
        /^desc: Trigger: Client Request: / { name = $5; times = $6; order[++n] = name }
        /^events: / { for (i = 2; i <= NF; i++) column[$i] = i }
        /^totals: / {
            instructions[name] = $column["Ir"] / times
            locked[name] = $column["Ge"] / times
        }
        END {
            for (i = 1; i <= n; i++)
                if (order[i] != "loop_alone")
                    printf "%s %.2f %.3f\n", order[i],
                        instructions[order[i]] - instructions["loop_alone"],
                        locked[order[i]] - locked["loop_alone"]
        }'
}

compiler() {
    awk '$1 == "compiler" { $1 = ""; print substr($0, 2) }' "$1"
}

renew() { # BASELINE
    {
        echo "# Instructions and locked instructions of one operation; written by bench/gate.sh --renew."
        echo "compiler $(compiler "$folder/out")"
        cat "$folder/counts"
    } >"$1"
    cat "$1"
}

compare() { # BASELINE
    awk -v percent="$percent" -v least="$least" -v locked_more="$locked_more" '
        NR == FNR {
            if (NF == 3 && $1 !~ /^#/ && $1 != "compiler") {
                instructions[$1] = $2
                locked[$1] = $3
                known++
            }
            next
        }
        {
            seen++
            if (!($1 in instructions)) {
                printf "gate: %s is not in the baseline: bench/gate.sh --renew\n", $1
                bad = 1
                next
            }
            more = $2 - instructions[$1]
            verdict = ""
            if (more > least && more > instructions[$1] * percent / 100)
                verdict = sprintf("WORSE: %+.1f%% instructions", more * 100 / instructions[$1])
            if ($3 - locked[$1] > locked_more)
                verdict = verdict (verdict ? ", " : "WORSE: ") \
                    sprintf("%+.2f locked instructions", $3 - locked[$1])
            if (verdict)
                bad = 1
            else if (-more > least && -more > instructions[$1] * percent / 100 ||
                     locked[$1] - $3 > locked_more)
                verdict = "better: bench/gate.sh --renew keeps it so"
            printf "%-15s %9.2f instructions (was %9.2f) %7.3f locked (was %7.3f)  %s\n", $1, $2,
                instructions[$1], $3, locked[$1], verdict
        }
        END {
            if (seen != known || seen == 0) {
                print "gate: the baseline names other operations: bench/gate.sh --renew"
                bad = 1
            }
            if (bad)
                print "gate: a hot path got slower. If that is meant, say why in the commit and renew" \
                    " the baseline: bench/gate.sh --renew"
            exit bad
        }' "$1" "$folder/counts"
}

action=${1:-}
if [ "$action" = --program ]; then
    program=$2
    baseline=$3
else
    cd "$(dirname "$0")/.."
    baseline=bench/hotpaths/baseline.txt
    bazel build --config=opt --noshow_progress --show_result=0 //bench:gate_operations
    program=$(bazel info --config=opt bazel-bin 2>/dev/null)/bench/gate_operations
fi
command -v valgrind >/dev/null || fail "valgrind is not installed: tools/install-packages"
count "$program" >"$folder/counts"
[ -s "$folder/counts" ] || fail "callgrind counted nothing"
if [ "$action" = --renew ]; then
    renew "$baseline"
elif [ "$(compiler "$baseline")" != "$(compiler "$folder/out")" ]; then
    # Other instructions are to be expected; what they are is still worth a look.
    compare "$baseline" || true
    echo "gate: not judged: the baseline was made with compiler $(compiler "$baseline")," \
        "this is $(compiler "$folder/out")"
else
    compare "$baseline"
fi
