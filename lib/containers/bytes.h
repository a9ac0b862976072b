/* The layout of gari_bytes, for the map, whose string keys they are. */
#ifndef GARI_CONTAINERS_BYTES_H
#define GARI_CONTAINERS_BYTES_H

#include "lib/gari_containers.h"

struct gari__bytes {
    gari_object header;
    uint64_t hash; /* 0: not yet computed; atomically, whoever computes it writes the same */
    size_t size;   /* the length and one, for the zero */
    char data[];
};

extern const gari_type gari__bytes_type;

#endif
