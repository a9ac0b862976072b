/* Comparing Debian version numbers ([epoch:]upstream[-revision], Debian Policy 5.6.12). */
#ifndef PKGGRAPH_VERSION_H
#define PKGGRAPH_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a dependency constrains the version of what it names. */
enum version_op {
    VERSION_ANY,
    VERSION_EARLIER,
    VERSION_EARLIER_EQUAL,
    VERSION_EQUAL,
    VERSION_LATER_EQUAL,
    VERSION_LATER
};

/* Below, equal to, or above zero, as a is earlier than, the same as, or later than b. Any bytes are
 * accepted. */
int version_compare(const char *a, size_t a_length, const char *b, size_t b_length);

/* Whether `comparison`, a result of version_compare(version, constraint), meets the operator. */
bool version_meets(int comparison, enum version_op op);

#endif
