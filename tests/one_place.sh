#!/bin/sh
# usage: one_place.sh LIBRARY
#
# The library asks the system for memory, threads and exit handlers in one place each, where
# concurrency/fault.h can refuse them: no other object file refers to those functions.
set -eu
functions='malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|memalign|valloc'
functions="$functions|mmap|mmap64|mremap|sbrk|brk|strdup|strndup|asprintf|vasprintf|open_memstream|getline"
functions="$functions|getdelim|fopen|fopen64|fdopen|opendir|scandir|setlocale|pthread_create"
functions="$functions|pthread_setspecific|atexit|on_exit|__cxa_atexit|call_rcu|cds_lfht_new|_cds_lfht_new"
found=$(nm -A -u "$1" | awk -v functions="^($functions)\$" '
    {
        name = $NF
        sub(/@.*/, "", name)
        object = $1
        sub(/:[^:]*$/, "", object)
        sub(/.*:/, "", object)
        sub(/\.pic\.o$|\.o$/, "", object)
        if (name ~ functions)
            print object, name
    }' | sort)
expected='finalizer atexit
memory calloc
memory mmap
memory realloc
thread pthread_create
thread pthread_setspecific'
if [ "$found" != "$expected" ]; then
    printf 'expected (object file, function):\n%s\nfound:\n%s\n' "$expected" "$found" >&2
    exit 1
fi
