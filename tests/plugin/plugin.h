/* What tests/test_dlclose.c finds in tests/plugin/plugin.c, by dlsym. */
#ifndef GARI_TESTS_PLUGIN_H
#define GARI_TESTS_PLUGIN_H

#include "lib/gari.h"

struct plugin {
    const gari_type *type;
    /* A ring of two objects, owned. */
    gari_object *(*make)(void);
    /* Disposed and reclaimed so far are counted here, which the program owns. */
    void (*count_in)(long count[2]);
};

#endif
