/* Hashes for keys that may come from outside the process: under a random key, made once. */
#ifndef GARI_CONTAINERS_HASH_H
#define GARI_CONTAINERS_HASH_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-1-3. Never 0. */
uint64_t gari__hash_bytes(const void *data, size_t length);

/* Of an integer or an address. */
uint64_t gari__hash_number(uint64_t number);

#endif
