#!/bin/sh
# usage: linking.sh libgari.a libgari.so.0 gari.h program.c
# Builds the program by the compiler alone, as the README says, with each of the libraries, and runs
# it.
set -eu
archive=$1
shared=$2
include=$(dirname "$3")
program=$4

gcc -std=c11 "-I$include" "$program" "$archive" -lurcu-bp -lpthread -o "$TEST_TMPDIR/static"
"$TEST_TMPDIR/static"

gcc -std=c11 "-I$include" "$program" "$shared" -o "$TEST_TMPDIR/shared"
LD_LIBRARY_PATH=$(dirname "$shared") "$TEST_TMPDIR/shared"
