#!/bin/bash
# usage: steps.sh DOC MODEL.pml... -- SOURCE...
#
# The code against the models. Every atomic step that a model names (STEP in the .pml files) is done
# somewhere in the code, at a GARI_PERTURB_AT or GARI_PERTURB_EACH of that name; every such place names
# a step of a model; and DOC's table says where: each row's file and function have a place for the
# row's step, and each place has a row. Names that begin with "user." are steps of gari's users, with
# "broken." of mutants: the code has none of them.
set -u

doc=$1
shift
models=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do models+=("$1") && shift; done
shift
[ ${#models[@]} -gt 0 ] && [ $# -gt 0 ] || { echo "steps.sh: no models, or no sources" >&2 && exit 2; }
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

grep -ohE 'STEP\("%d [^ "]+' "${models[@]}" | sed 's/.*%d //' | grep -vE '^(user|broken)\.' |
    sort -u >"$scratch/model"

# step, file, function: the function is the last that began in the first column.
for source; do
    # Bazel may give the path a prefix.
    awk -v file="$(echo "$source" | grep -oE '(lib|concurrency)/.*')" '
        /^[A-Za-z_].*\(/ && !/^#/ && !/;$/ {
            line = $0
            gsub(/__attribute__\(\([^)]*\)\) */, "", line)
            sub(/\(.*/, "", line)
            sub(/.*[ *]/, "", line)
            name = line
        }
        {
            rest = $0
            while (match(rest, /GARI_PERTURB_(AT|EACH)\("[^"]*"/)) {
                step = substr(rest, RSTART, RLENGTH)
                sub(/^[^"]*"/, "", step)
                sub(/"$/, "", step)
                print step, file, name
                rest = substr(rest, RSTART + RLENGTH)
            }
        }' "$source"
done | sort -u >"$scratch/places"
cut -d' ' -f1 "$scratch/places" | sort -u >"$scratch/code"

# Rows: | `step` | `file`: `function`, `function`; `file`: `function` | what |
awk -F'|' '
    /^\| `[a-z][a-z0-9_.-]*` \| `[a-z]/ {
        step = $2
        gsub(/[ `]/, "", step)
        places = split($3, place, ";")
        for (i = 1; i <= places; i++) {
            split(place[i], part, ":")
            gsub(/[ `]/, "", part[1])
            functions = split(part[2], name, ",")
            for (j = 1; j <= functions; j++) {
                gsub(/[ `]/, "", name[j])
                print step, part[1], name[j]
            }
        }
    }' "$doc" | sort -u >"$scratch/rows"

passed=0
failed=0
compare() { # FILE FILE SENTENCE: what is in the first and not in the second
    local missing
    missing=$(comm -23 "$scratch/$1" "$scratch/$2")
    if [ -z "$missing" ] && [ -s "$scratch/$1" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $3"
        echo "$missing" | sed 's/^/    /'
    fi
}
compare model code "steps of the models that no line of the code is named after"
compare code model "names in the code that no model has"
compare rows places "rows of $doc for which the code has no such place"
compare places rows "places in the code that $doc does not name"
echo "$(wc -l <"$scratch/model") steps, $(wc -l <"$scratch/places") places"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
