/* The objects that a fuzzed program makes, and what they tell the model. */
#ifndef GARI_TESTS_FUZZ_THINGS_H
#define GARI_TESTS_FUZZ_THINGS_H

#include "lib/gari.h"
#include "lib/gari_containers.h"
#include "tests/fuzz/model.h"

enum { ROOTS = 4 };

extern gari_ref things_root[ROOTS];
extern int things_root_holds[ROOTS]; /* as the model sees them */

/* A new object of a kind with fields, or a container: owned, and its number in the model set. */
int things_new(enum fuzz_kind kind, unsigned action);
/* A field of an object of a kind with fields. */
gari_ref *things_field(int o, unsigned i);
bool things_has_fields(int o);
/* A store gets a longer copy of what it has. */
void things_grow(int o);
unsigned things_deferred(void); /* functions of gari_defer not yet called */
void things_defer(void);

/* The callback of weak references and gari_finalize for object w. */
void things_callback(void *w);
void *things_callback_arg(int w);

/* The keys of maps, some integers, some strings. */
gari_key things_key(unsigned key);

/* What is in the field is what the model says. */
void things_check_fields(int o, const char *when);

#endif
