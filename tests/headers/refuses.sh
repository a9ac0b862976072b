#!/bin/sh
# usage: refuses.sh gari.h
# What the macros of the public header must not let through: each snippet alone has to be refused,
# by both compilers, in C (as the warnings that are on by default, made errors) and in C++. The same
# program without a snippet has to compile: a refusal for another reason proves nothing.
set -u
include=$(dirname "$1")
failed=0

program() {
    cat <<END
#include <gari.h>
struct node { gari_object header; long value; GARI_REF(struct node) next; };
struct leaf { gari_object header; int value; };
struct plain { long value; struct node *next; };
void use(struct node *node, struct leaf *leaf, struct plain *plain, int *number);
void use(struct node *node, struct leaf *leaf, struct plain *plain, int *number)
{
    (void)node; (void)leaf; (void)plain; (void)number;
    $1
}
END
}

compiles() {
    program "$2" | $1 -Werror "-I$include" -fsyntax-only - 2>/dev/null
}

for compiler in "gcc -std=c11 -x c" "clang -std=c11 -x c" \
    "g++ -std=c++17 -x c++" "clang++ -std=c++17 -x c++"; do
    if ! compiles "$compiler" "gari_store(&node->next, node); gari_decref(leaf);"; then
        echo "FAILED: $compiler refuses a correct program"
        program "" | $compiler -Werror "-I$include" -fsyntax-only -
        failed=1
    fi
    while IFS= read -r snippet; do
        if compiles "$compiler" "$snippet"; then
            echo "FAILED: $compiler accepts: $snippet"
            failed=1
        fi
    done <<'END'
gari_store(&node->next, leaf);
gari_move(&node->next, leaf);
gari_init(&node->next, leaf);
gari_exchange(&node->next, leaf);
gari_compare_exchange(&node->next, node, leaf);
gari_compare_exchange(&node->next, leaf, node);
struct leaf *wrong = gari_load(&node->next); (void)wrong;
struct leaf *wrong = gari_borrow(&node->next); (void)wrong;
struct leaf *wrong = gari_take(&node->next); (void)wrong;
struct leaf *wrong = gari_incref(node); (void)wrong;
gari_store(&node->value, node);
gari_store(&plain->next, node);
gari_load(&plain->next);
gari_incref(plain);
gari_decref(plain);
gari_decref(&node);
gari_decref(number);
gari_getrefcount(plain);
gari_try_incref(number);
node->next = node;
static const gari_type type = GARI_TYPE(struct plain); (void)type;
static const gari_type type = GARI_TYPE(struct node, .refs = GARI_REFS(struct node, value)); (void)type;
END
done

# A machine whose words have 32 bits is refused with a sentence. The compiler knows such machines without
# their C libraries; for one with 64 bits the same call has to compile.
for_machine() { # TRIPLE
    echo '#include <gari.h>' |
        clang "--target=$1" -ffreestanding -std=c11 -fsyntax-only -x c "-I$include" - 2>&1
}
if ! sentence=$(for_machine x86_64-linux-gnu); then
    echo "FAILED: refused for x86_64: $sentence"
    failed=1
fi
for machine in i686-linux-gnu armv7-linux-gnueabihf; do
    if sentence=$(for_machine $machine); then
        echo "FAILED: accepted for $machine"
        failed=1
    elif ! echo "$sentence" | grep -q 'gari needs a 64-bit machine'; then
        echo "FAILED: refused for $machine without the sentence: $sentence"
        failed=1
    fi
done
exit $failed
