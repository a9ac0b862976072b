/* The layout of gari_array, for the list, which can be made one. */
#ifndef GARI_CONTAINERS_ARRAY_H
#define GARI_CONTAINERS_ARRAY_H

#include "lib/gari_containers.h"

struct gari__array {
    gari_object header;
    size_t length;
    gari_ref items[];
};

extern const gari_type gari__array_type;

#endif
