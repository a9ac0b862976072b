/* SipHash-1-3, after J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" (2012),
 * with one round for each word and three at the end, as CPython and Rust have it for their maps. */
#include "lib/containers/hash.h"

#include "concurrency/clock.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

static uint64_t secret[2];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose_secret(void)
{
    /* Early at boot the system may have none to give: then addresses and the time must do. */
    if (getrandom(secret, sizeof secret, GRND_NONBLOCK) != (ssize_t)sizeof secret) {
        secret[0] = gari__now_ns() * 0x9e3779b97f4a7c15u;
        secret[1] = (uintptr_t)&secret ^ (uintptr_t)__builtin_frame_address(0) << 20;
    }
}

static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

struct sip {
    uint64_t a, b, c, d;
};

static inline void mix(struct sip *v)
{
    v->a += v->b;
    v->c += v->d;
    v->b = rotate(v->b, 13) ^ v->a;
    v->d = rotate(v->d, 16) ^ v->c;
    v->a = rotate(v->a, 32);
    v->c += v->b;
    v->a += v->d;
    v->b = rotate(v->b, 17) ^ v->c;
    v->d = rotate(v->d, 21) ^ v->a;
    v->c = rotate(v->c, 32);
}

static inline void absorb(struct sip *v, uint64_t word)
{
    v->d ^= word;
    mix(v);
    v->a ^= word;
}

static inline struct sip begin(void)
{
    pthread_once(&once, choose_secret);
    return (struct sip){secret[0] ^ 0x736f6d6570736575u, secret[1] ^ 0x646f72616e646f6du,
                        secret[0] ^ 0x6c7967656e657261u, secret[1] ^ 0x7465646279746573u};
}

static inline uint64_t end(struct sip *v)
{
    v->c ^= 0xff;
    mix(v);
    mix(v);
    mix(v);
    return v->a ^ v->b ^ v->c ^ v->d;
}

/* Little-endian, whatever the machine. */
static inline uint64_t read_word(const unsigned char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

uint64_t gari__hash_bytes(const void *data, size_t length)
{
    struct sip v = begin();
    const unsigned char *at = data;
    size_t left = length;
    for (; left >= 8; left -= 8, at += 8)
        absorb(&v, read_word(at));
    uint64_t last = (uint64_t)length << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)at[i] << (8 * i);
    absorb(&v, last);
    uint64_t hash = end(&v);
    return hash ? hash : 1;
}

uint64_t gari__hash_number(uint64_t number)
{
    struct sip v = begin();
    absorb(&v, number);
    absorb(&v, (uint64_t)8 << 56);
    return end(&v);
}
