#!/bin/sh
# Runs pkggraph (its path is the first argument) on a small made-up archive and on broken input.
# Prints nothing when all is fine.
set -u
program=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0

fail() {
    echo "pkggraph_test: $1" >&2
    sed 's/^/    /' "$folder/out" "$folder/err" >&2
    failures=$((failures + 1))
}

# expect WHAT CODE PATTERN ARGUMENT...: the exit code, and a line of the output (either stream).
expect() {
    what=$1 code=$2 pattern=$3
    shift 3
    "$program" "$@" >"$folder/out" 2>"$folder/err"
    got=$?
    [ "$got" -eq "$code" ] || fail "$what: exit code $got instead of $code"
    cat "$folder/out" "$folder/err" | grep -q -e "$pattern" || fail "$what: no line has \"$pattern\""
}

# broken WHAT PATTERN: pkggraph must refuse the status database on stdin, naming file and line.
broken() {
    cat >"$folder/status"
    expect "$1" 3 "^pkggraph: $folder/status:$2" --status "$folder/status" --seconds 1
}

for mode in background inline manual; do
    expect "a sample, $mode" 0 'objects left at the end  *0$' \
        --sample=2000 --seconds 2 --reload-ms 100 --threads 3 --mode $mode
    grep -q 'inconsistencies that readers saw  *0$' "$folder/out" || fail "$mode: inconsistencies"
    grep -q 'freed by the cycle collector  *[1-9]' "$folder/out" || fail "$mode: nothing collected"
    grep -q '^ *2 s .*lookups/s' "$folder/out" || fail "$mode: no live line"
    [ -s "$folder/err" ] && fail "$mode: something on stderr"
done
expect 'quiet' 0 'reloads' --sample=100 --seconds 1 --quiet
grep -q 'live' "$folder/out" && fail '--quiet prints live lines'
expect 'a heap too small' 4 'out of memory' --sample=20000 --seconds 1 --memory-limit 1
expect 'a reload gives up' 0 'the old archive stays' \
    --sample=40000 --seconds 2 --reload-ms 300 --memory-limit 40

expect 'help' 0 'Exit status: 0 when all was well' --help
expect 'version' 0 '^pkggraph (gari) [0-9]' --version
expect 'an unknown option' 2 'unrecognized option' --nonsense
expect 'a word too many' 2 '"word" is not an option' word
expect 'a bad number' 2 '--threads must be a number from 1' --threads 0
expect 'a bad mode' 2 '--mode must be background, inline or manual' --mode fast
expect 'a missing file' 3 'No such file' --status "$folder/missing"
expect 'missing lists' 3 'No such file' --lists "$folder/missing"
mkdir "$folder/lists"
expect 'no lists' 3 'no package lists' --lists "$folder/lists"
printf 'no lz4' >"$folder/lists/a_Packages.lz4"
expect 'broken lz4' 3 'a_Packages.lz4: .*lz4' --lists "$folder/lists"

broken 'no package' '2: stanza without a Package: field' <<END

Version: 1
END
broken 'stray line' '3: neither a field nor a continuation line: "what is this"' <<END
Package: a
Version: 1
what is this
END
broken 'stray continuation' '1: a continuation line without a field' <<END
 text
END
broken 'twice' '3: second Version: field' <<END
Package: a
Version: 1
version: 2
END
broken 'no version' '1: package a has no Version: field' <<END
Package: a
Depends: b
END
broken 'bad name' '1: "a b" is not a package name' <<END
Package: a b
Version: 1
END
broken 'bad dependency' '3: malformed Depends: a closing parenthesis expected at "|' <<END
Package: a
Version: 1
Depends: b (>= 1 | c
END
broken 'folded dependency' '5: malformed Pre-Depends: a comparison' <<END
Package: a
Version: 1
Pre-Depends: b,
 c | d,
 e (1)
END
broken 'dangling alternative' '3: malformed Depends: a package name expected, but' <<END
Package: a
Version: 1
Depends: b |
END
broken 'alternative provision' '3: malformed Provides: a comma expected at "| c"' <<END
Package: a
Version: 1
Provides: b | c
END
: >"$folder/status"
expect 'an empty file' 3 'no packages in it' --status "$folder/status"

# What may look odd and is right.
cat >"$folder/status" <<END
Package: a
Status: install ok installed
Version: 1:2.0~rc1-3+b1
Depends: b:any (>> 1.0) | c [weird]
END
expect 'an architecture list' 3 ':4: malformed Depends: a comma' --status "$folder/status"
cat >"$folder/status" <<END
Package: a
Status: install ok installed
Version: 1:2.0~rc1-3+b1
Depends: b:any (>> 1.0) | c,
 a (= 1:2.0~rc1-3+b1),
Suggests:
Description: text
 more text: with a colon
 .

Package: gone
Status: unknown ok not-installed

Package: b
Status: install ok installed
Version: 1.0
Provides: c (= 3)
END
printf 'Depends: a (>= 1)' >>"$folder/status"
expect 'odd but right' 0 'objects left at the end  *0$' --status "$folder/status" --seconds 1
grep -q ' 2 versions, 5 relations' "$folder/out" || fail 'odd but right: miscounted'

[ "$failures" -eq 0 ]
