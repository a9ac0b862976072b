#!/bin/bash
# usage: steps.sh MODEL.pml... -- PROGRAM...
# Runs each program for a moment and demands that every atomic step that a model names is come to by
# one of them at least: the delays there reach it.
set -u

models=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do models+=("$1") && shift; done
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT

failed=0
reached=
for program; do
    if ! timeout 120 "$program" --steps --seconds 0.3 >"$log" 2>&1 || ! grep -q '^step: ' "$log"; then
        echo "FAILED: $(basename "$program")"
        cat "$log"
        failed=$((failed + 1))
    fi
    reached+=$(sed -n 's/^step: //p' "$log")$'\n'
done

passed=0
for step in $(grep -ohE 'STEP\("%d [^ "]+' "${models[@]}" | sed 's/.*%d //' |
    grep -vE '^(user|broken)\.' | sort -u); do
    if echo "$reached" | grep -qxF -- "$step"; then
        passed=$((passed + 1))
    else
        echo "FAILED: no program has come to $step"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
