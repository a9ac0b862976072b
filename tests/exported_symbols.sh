#!/bin/sh
# usage: exported_symbols.sh libgari.so.0 HEADER...
# The shared library exports exactly the functions that the headers declare, under its soname.
set -eu
library=$1
shift
exported=$TEST_TMPDIR/exported
declared=$TEST_TMPDIR/declared

nm -D --defined-only --extern-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$exported"

# A declaration runs from GARI_API to its first parenthesis after a name of ours.
awk '/^GARI_API / && match($0, /gari_[a-z_0-9]+\(/) {
    print substr($0, RSTART, RLENGTH - 1)
}' "$@" | sort >"$declared"

if [ "$(cat "$@" | grep -c '^GARI_API ')" -ne "$(wc -l <"$declared")" ]; then
    echo "this script does not understand every GARI_API declaration"
    exit 1
fi
if ! diff -u "$declared" "$exported"; then
    echo "declared in the headers (-) and exported (+) differ"
    exit 1
fi
if ! readelf -d "$library" | grep -q 'soname: \[libgari\.so\.0\]'; then
    echo "the soname is not libgari.so.0"
    exit 1
fi
