#!/bin/sh
# usage: plain.sh PROGRAM [OPTION...]
# Runs a stress program with types that have no callbacks.
program=$1
shift
exec "$program" --plain "$@"
