#include "examples/pkggraph/version.h"

#include <string.h>

struct span {
    const char *at;
    const char *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Where a character stands among the non-digits: a tilde before even the end of the part (so that
 * 1.0~rc1 is earlier than 1.0), letters before everything else. */
static int weight(const struct span *span)
{
    if (span->at == span->end || is_digit(*span->at))
        return 0;
    unsigned char c = (unsigned char)*span->at;
    if (c == '~')
        return -1;
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return letter ? c : c + 256;
}

/* Takes the digits at the front, without leading zeros: then a longer run is a larger number. */
static struct span take_number(struct span *span)
{
    while (span->at < span->end && *span->at == '0')
        span->at++;
    struct span number = {span->at, span->at};
    while (number.end < span->end && is_digit(*number.end))
        number.end++;
    span->at = number.end;
    return number;
}

static int compare_numbers(struct span a, struct span b)
{
    ptrdiff_t longer = (a.end - a.at) - (b.end - b.at);
    if (longer != 0)
        return longer < 0 ? -1 : 1;
    return memcmp(a.at, b.at, (size_t)(a.end - a.at));
}

/* Compares an upstream version or a revision: non-digits and numbers in turn. */
static int compare_parts(struct span a, struct span b)
{
    while (a.at < a.end || b.at < b.end) {
        for (;;) {
            int wa = weight(&a), wb = weight(&b);
            if (wa != wb)
                return wa < wb ? -1 : 1;
            if (wa == 0)
                break;
            a.at++, b.at++;
        }
        struct span na = take_number(&a), nb = take_number(&b);
        int order = compare_numbers(na, nb);
        if (order != 0)
            return order;
    }
    return 0;
}

static struct span take_epoch(struct span *version)
{
    struct span epoch = {version->at, version->at};
    const char *colon = memchr(version->at, ':', (size_t)(version->end - version->at));
    if (colon) {
        epoch.end = colon;
        version->at = colon + 1;
    }
    return take_number(&epoch);
}

/* Cuts off what follows the last hyphen; an absent revision counts as empty, which equals 0. */
static struct span take_revision(struct span *version)
{
    struct span revision = {version->end, version->end};
    const char *hyphen = memrchr(version->at, '-', (size_t)(version->end - version->at));
    if (hyphen) {
        revision.at = hyphen + 1;
        version->end = hyphen;
    }
    return revision;
}

int version_compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
    if (a_length == b_length && memcmp(a, b, a_length) == 0)
        return 0;
    struct span left = {a, a + a_length}, right = {b, b + b_length};
    struct span left_epoch = take_epoch(&left), right_epoch = take_epoch(&right);
    int order = compare_numbers(left_epoch, right_epoch);
    if (order != 0)
        return order;
    struct span left_revision = take_revision(&left), right_revision = take_revision(&right);
    order = compare_parts(left, right);
    return order != 0 ? order : compare_parts(left_revision, right_revision);
}

bool version_meets(int comparison, enum version_op op)
{
    switch (op) {
    case VERSION_ANY:
        return true;
    case VERSION_EARLIER:
        return comparison < 0;
    case VERSION_EARLIER_EQUAL:
        return comparison <= 0;
    case VERSION_EQUAL:
        return comparison == 0;
    case VERSION_LATER_EQUAL:
        return comparison >= 0;
    case VERSION_LATER:
        return comparison > 0;
    }
    return false;
}
