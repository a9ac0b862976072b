#!/bin/sh
# usage: readme_example.sh README.md
# Prints the example that the README promises: the first ```c block under "## Thirty lines". Fails
# when it is not there or has more lines than the heading says.
set -eu
awk '
    /^## / { under = $0 == "## Thirty lines" }
    in_block && /^```/ { complete = 1; exit }
    in_block { print; lines++ }
    under && $0 == "```c" { in_block = 1 }
    END {
        if (!complete) {
            print "README.md has no complete ```c block under \"## Thirty lines\"" >"/dev/stderr"
            exit 1
        }
        if (lines > 30) {
            print "the thirty lines of README.md are " lines >"/dev/stderr"
            exit 1
        }
    }
' "$1"
