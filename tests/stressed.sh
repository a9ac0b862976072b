#!/bin/sh
# usage: stressed.sh PROGRAM [TEST...]
#
# Runs a test program with a collection at every so manieth call (GARI_STRESS), but for the tests that
# are named: those that are about when and how often something is collected.
set -eu
program=$1
shift
export GARI_STRESS=every:61,seed:5
skipped=$(IFS='|' && echo "$*")
if [ -n "$skipped" ]; then
    exec "$program" --filter="!($skipped)"
fi
exec "$program"
