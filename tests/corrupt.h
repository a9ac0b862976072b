/* For tests that corrupt the heap through internal headers, and see it named by gari_check_heap. */
#ifndef GARI_TESTS_CORRUPT_H
#define GARI_TESTS_CORRUPT_H

#include "concurrency/word.h"
#include "lib/collector/collector.h"
#include "lib/object/count.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

/* What the last check reported, one sentence a line, the first so many. */
static char reported[16384];

static inline void report(const char *sentence, void *arg)
{
    (void)arg;
    size_t used = strlen(reported);
    snprintf(reported + used, sizeof reported - used, "%s\n", sentence);
}

static inline size_t check_now(size_t (*external)(gari_object *object, void *arg))
{
    gari_check check = GARI_CHECK_INIT;
    check.report = report;
    check.external = external;
    reported[0] = '\0';
    return gari_check_heap(&check);
}

/* Checks a corrupt heap; the caller then mends it. */
#define assert_found(...) assert_found_((const char *const[]){__VA_ARGS__, NULL})
static inline void assert_found_(const char *const *words)
{
    size_t found = check_now(NULL);
    cr_assert(found > 0 && found != GARI_UNCHECKED, "nothing was found");
    for (; *words; words++)
        assert_mentions(reported, *words);
}

static inline void assert_sound(void)
{
    size_t found = check_now(NULL);
    cr_assert(found == 0, "%zu inconsistencies: %s", found, reported);
}

static inline const char *address_of(const void *object)
{
    static char text[32];
    snprintf(text, sizeof text, "%p", object);
    return text;
}

static inline uint64_t *word_of(void *object)
{
    return gari__word_of(object);
}

static inline struct gari__block *block_of(const void *object)
{
    return gari__block_of(object);
}

/* With the flag of the word turned over. */
static inline void check_flag(void *object, uint64_t flag, const char *words)
{
    *word_of(object) ^= flag;
    assert_found(address_of(object), words);
    *word_of(object) ^= flag;
    assert_sound();
}

#endif
