/* Reads Debian control data (Packages lists and dpkg's status database, see deb822(5)) into a
 * catalog. Knows nothing of gari. */
#ifndef PKGGRAPH_PARSE_H
#define PKGGRAPH_PARSE_H

#include "examples/pkggraph/catalog.h"

enum parse_result { PARSE_FINE, PARSE_BROKEN, PARSE_NO_MEMORY };

struct parse_error {
    size_t line;
    char message[200];
};

/* Called now and then with the number of bytes parsed so far. May be NULL. */
typedef void (*parse_progress)(size_t bytes, void *arg);

/* Adds every version of one text to the catalog, which refers to the text from then on.
 * PARSE_BROKEN fills in *error; the catalog then holds part of the text. */
enum parse_result parse_control(const char *text, size_t length, struct catalog *catalog,
                                parse_progress progress, void *arg, struct parse_error *error);

#endif
