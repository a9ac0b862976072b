#!/bin/sh
# usage: warnings.sh gari.h uses.c uses.cc
# Compiles the two uses of the public header with both compilers, in the language modes and with the
# warnings that users have. Not through Bazel, which would hide warnings of the header itself.
set -u
include=$(dirname "$1")
c_file=$2
cxx_file=$3
failed=0

check() {
    if ! "$@" -Wall -Wextra -Wcast-qual -Wconversion -Wshadow -Wundef -Werror \
        "-I$include" -fsyntax-only; then
        echo "FAILED: $*"
        failed=1
    fi
}

for compiler in gcc clang; do
    for mode in c11 c17 gnu17; do
        check $compiler "-std=$mode" -pedantic "$c_file"
    done
done
for compiler in g++ clang++; do
    # Designated initialisers, which GARI_TYPE needs, are in the standard from C++20 on; before, an
    # extension that both compilers have.
    check $compiler -std=c++17 "$cxx_file"
    check $compiler -std=c++20 -pedantic "$cxx_file"
done
exit $failed
