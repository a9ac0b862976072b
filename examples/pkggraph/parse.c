#include "examples/pkggraph/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum field {
    FIELD_PACKAGE,
    FIELD_VERSION,
    FIELD_ARCHITECTURE,
    FIELD_SECTION,
    FIELD_STATUS,
    FIELD_RELATIONS, /* from here on one field for each relation_kind, in its order */
    FIELD_COUNT = FIELD_RELATIONS + RELATION_KINDS
};

static const struct {
    const char *name;
    size_t length;
} fields[FIELD_COUNT] = {
    {"Package", 7},      {"Version", 7}, {"Architecture", 12}, {"Section", 7},  {"Status", 6},
    {"Pre-Depends", 11}, {"Depends", 7}, {"Recommends", 10},   {"Suggests", 8}, {"Provides", 8},
};

struct value {
    const char *at; /* NULL: the stanza does not have the field */
    const char *end;
    size_t line;
};

struct parser {
    struct catalog *catalog;
    struct parse_error *error;
    struct value values[FIELD_COUNT];
    size_t stanza_line; /* of the stanza's first field, 0 between stanzas */
};

__attribute__((format(printf, 3, 4))) static enum parse_result
broken(struct parser *parser, size_t line, const char *format, ...)
{
    parser->error->line = line;
    va_list args;
    va_start(args, format);
    vsnprintf(parser->error->message, sizeof(parser->error->message), format, args);
    va_end(args);
    return PARSE_BROKEN;
}

/* ctype.h depends on the locale; control data does not. */
static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool in_name(char c)
{
    return is_alnum(c) || c == '+' || c == '-' || c == '.';
}

static bool in_version(char c)
{
    return in_name(c) || c == '~' || c == ':';
}

static size_t span(const char *at, const char *end, bool (*belongs)(char))
{
    const char *from = at;
    while (at < end && belongs(*at))
        at++;
    return (size_t)(at - from);
}

static void skip_space(struct value *value)
{
    value->at += span(value->at, value->end, is_space);
}

/* ---- Relations: a (>= 1), b | c:any ------------------------------------------------------- */

/* What is wrong where `at` stands, with the line counted through folded lines. */
static enum parse_result broken_relation(struct parser *parser, const struct value *field,
                                         unsigned kind, const char *at, const char *expected)
{
    size_t line = field->line;
    for (const char *c = field->at; c < at; c++)
        line += *c == '\n';
    size_t rest = (size_t)(field->end - at);
    const char *name = fields[FIELD_RELATIONS + kind].name;
    if (rest == 0)
        return broken(parser, line, "malformed %s: %s expected, but the field ends", name,
                      expected);
    return broken(parser, line, "malformed %s: %s expected at \"%.*s\"", name, expected,
                  (int)(rest < 40 ? rest : 40), at);
}

/* Takes an operator; VERSION_ANY when there is none. A bare < or > is old for <= and >=. */
static enum version_op take_op(struct value *rest)
{
    static const struct {
        const char *text;
        enum version_op op;
    } ops[] = {{"<<", VERSION_EARLIER},   {"<=", VERSION_EARLIER_EQUAL},
               {">>", VERSION_LATER},     {">=", VERSION_LATER_EQUAL},
               {"=", VERSION_EQUAL},      {"<", VERSION_EARLIER_EQUAL},
               {">", VERSION_LATER_EQUAL}};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        size_t length = strlen(ops[i].text);
        if ((size_t)(rest->end - rest->at) >= length &&
            memcmp(rest->at, ops[i].text, length) == 0) {
            rest->at += length;
            return ops[i].op;
        }
    }
    return VERSION_ANY;
}

/* Takes "(op version)" behind a name. Returns what was expected and not there, or NULL; on a want
 * of memory, constraint is CATALOG_NONE though op is not VERSION_ANY. */
static const char *take_constraint(struct catalog *catalog, struct value *rest,
                                   struct catalog_relation *relation)
{
    rest->at++;
    skip_space(rest);
    enum version_op op = take_op(rest);
    if (op == VERSION_ANY)
        return "a comparison (<<, <=, =, >=, >>)";
    if (relation->kind == RELATION_PROVIDES && op != VERSION_EQUAL)
        return "= as the only comparison";
    skip_space(rest);
    size_t length = span(rest->at, rest->end, in_version);
    if (length == 0)
        return "a version";
    const char *version = rest->at;
    rest->at += length;
    skip_space(rest);
    if (rest->at == rest->end || *rest->at != ')')
        return "a closing parenthesis";
    rest->at++;
    relation->op = (uint8_t)op;
    relation->constraint = names_add(&catalog->strings, version, length);
    return NULL;
}

static enum parse_result parse_relation(struct parser *parser, const struct value *field,
                                        struct value *rest, unsigned kind)
{
    struct catalog *catalog = parser->catalog;
    struct catalog_relation relation = {.kind = (uint8_t)kind, .constraint = CATALOG_NONE};
    size_t length = span(rest->at, rest->end, in_name);
    if (length == 0 || !is_alnum(*rest->at))
        return broken_relation(parser, field, kind, rest->at, "a package name");
    relation.target = catalog_package(catalog, rest->at, length);
    if (relation.target == CATALOG_NONE)
        return PARSE_NO_MEMORY;
    rest->at += length;
    if (rest->at < rest->end && *rest->at == ':') { /* an architecture: python3:any */
        rest->at++;
        length = span(rest->at, rest->end, in_name);
        if (length == 0)
            return broken_relation(parser, field, kind, rest->at, "an architecture");
        rest->at += length;
    }
    skip_space(rest);
    if (rest->at < rest->end && *rest->at == '(') {
        const char *expected = take_constraint(catalog, rest, &relation);
        if (expected)
            return broken_relation(parser, field, kind, rest->at, expected);
        if (relation.constraint == CATALOG_NONE)
            return PARSE_NO_MEMORY;
        skip_space(rest);
    }
    if (rest->at < rest->end && *rest->at != ',') {
        if (*rest->at != '|' || kind == RELATION_PROVIDES)
            return broken_relation(parser, field, kind, rest->at, "a comma");
        relation.or_next = true;
    }
    return catalog_add_relation(catalog, &relation) ? PARSE_FINE : PARSE_NO_MEMORY;
}

static enum parse_result parse_relations(struct parser *parser, unsigned kind)
{
    const struct value *field = &parser->values[FIELD_RELATIONS + kind];
    if (!field->at)
        return PARSE_FINE;
    struct value rest = *field;
    bool alternative = false;
    skip_space(&rest);
    /* An empty field, and a comma at the end, are tolerated as apt does; a bar at the end is not.
     */
    while (rest.at < rest.end || alternative) {
        enum parse_result result = parse_relation(parser, field, &rest, kind);
        if (result != PARSE_FINE)
            return result;
        if (rest.at == rest.end)
            break;
        alternative = *rest.at++ == '|';
        skip_space(&rest);
    }
    return PARSE_FINE;
}

/* ---- Stanzas ------------------------------------------------------------------------------ */

/* Whether the status database says that the package is there: "install ok installed", but not
 * "deinstall ok config-files" or "unknown ok not-installed". The third word decides. */
static bool is_present(const struct value *status)
{
    const char *end = status->end;
    while (end > status->at && is_space(end[-1]))
        end--;
    const char *word = end;
    while (word > status->at && !is_space(word[-1]))
        word--;
    size_t length = (size_t)(end - word);
    return !(length == 12 && memcmp(word, "config-files", length) == 0) &&
           !(length == 13 && memcmp(word, "not-installed", length) == 0);
}

/* Trims a value. False when it is absent or empty. */
static bool trim(struct value *value)
{
    if (!value->at)
        return false;
    skip_space(value);
    while (value->end > value->at && is_space(value->end[-1]))
        value->end--;
    return value->end > value->at;
}

static bool add_string(struct catalog *catalog, const struct value *value, uint32_t *number)
{
    *number = names_add(&catalog->strings, value->at, (size_t)(value->end - value->at));
    return *number != CATALOG_NONE;
}

static enum parse_result end_stanza(struct parser *parser)
{
    struct value *values = parser->values;
    struct catalog *catalog = parser->catalog;
    if (!trim(&values[FIELD_PACKAGE]))
        return broken(parser, parser->stanza_line, "stanza without a Package: field");
    struct value *name = &values[FIELD_PACKAGE];
    size_t length = (size_t)(name->end - name->at);
    if (!is_alnum(*name->at) || span(name->at, name->end, in_name) != length)
        return broken(parser, name->line, "\"%.*s\" is not a package name",
                      (int)(length < 60 ? length : 60), name->at);
    if (values[FIELD_STATUS].at && !is_present(&values[FIELD_STATUS]))
        return PARSE_FINE;
    struct value *number = &values[FIELD_VERSION];
    if (!trim(number))
        return broken(parser, parser->stanza_line, "package %.*s has no Version: field",
                      (int)length, name->at);
    length = (size_t)(number->end - number->at);
    if (span(number->at, number->end, in_version) != length)
        return broken(parser, number->line, "\"%.*s\" is not a version",
                      (int)(length < 60 ? length : 60), number->at);

    struct catalog_version version = {.section = CATALOG_NONE};
    version.installed = values[FIELD_STATUS].at != NULL;
    version.package = catalog_package(catalog, name->at, (size_t)(name->end - name->at));
    if (version.package == CATALOG_NONE || !add_string(catalog, number, &version.version))
        return PARSE_NO_MEMORY;
    static const char all[] = "all";
    static const struct value any_architecture = {all, all + sizeof(all) - 1, 0};
    bool given = trim(&values[FIELD_ARCHITECTURE]);
    if (!add_string(catalog, given ? &values[FIELD_ARCHITECTURE] : &any_architecture,
                    &version.architecture))
        return PARSE_NO_MEMORY;
    if (trim(&values[FIELD_SECTION]) &&
        !add_string(catalog, &values[FIELD_SECTION], &version.section))
        return PARSE_NO_MEMORY;
    enum catalog_result added = catalog_add_version(catalog, &version);
    if (added != CATALOG_ADDED)
        return added == CATALOG_KNOWN ? PARSE_FINE : PARSE_NO_MEMORY;
    for (unsigned kind = 0; kind < RELATION_KINDS; kind++) {
        enum parse_result result = parse_relations(parser, kind);
        if (result != PARSE_FINE)
            return result;
    }
    return PARSE_FINE;
}

/* ---- Lines -------------------------------------------------------------------------------- */

/* FIELD_COUNT for the many that we do not keep. */
static unsigned find_field(const char *name, size_t length)
{
    unsigned field = 0;
    while (field < FIELD_COUNT &&
           (fields[field].length != length || strncasecmp(fields[field].name, name, length) != 0))
        field++;
    return field;
}

/* A line "Name: value". *open becomes the field that continuation lines extend. */
static enum parse_result take_field(struct parser *parser, const char *at, const char *end,
                                    size_t line, unsigned *open)
{
    const char *colon = at;
    while (colon<end && * colon> ' ' && *colon < 127 && *colon != ':')
        colon++;
    if (colon == at || colon == end || *colon != ':') {
        size_t length = (size_t)(end - at);
        return broken(parser, line, "neither a field nor a continuation line: \"%.*s\"",
                      (int)(length < 60 ? length : 60), at);
    }
    if (!parser->stanza_line)
        parser->stanza_line = line;
    *open = find_field(at, (size_t)(colon - at));
    if (*open == FIELD_COUNT)
        return PARSE_FINE;
    struct value *value = &parser->values[*open];
    if (value->at)
        return broken(parser, line, "second %s: field in one stanza", fields[*open].name);
    *value = (struct value){colon + 1, end, line};
    return PARSE_FINE;
}

enum parse_result parse_control(const char *text, size_t length, struct catalog *catalog,
                                parse_progress progress, void *arg, struct parse_error *error)
{
    struct parser parser = {.catalog = catalog, .error = error};
    const char *at = text, *end = text + length;
    unsigned open = FIELD_COUNT;
    size_t line = 0, stanzas = 0;
    while (at < end || parser.stanza_line) {
        line++;
        const char *next = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        const char *line_end = next ? next : end;
        bool blank = at == line_end || span(at, line_end, is_space) == (size_t)(line_end - at);
        enum parse_result result = PARSE_FINE;
        if (blank && parser.stanza_line) {
            result = end_stanza(&parser);
            memset(parser.values, 0, sizeof(parser.values));
            parser.stanza_line = 0;
            if (progress && ++stanzas % 512 == 0)
                progress((size_t)(at - text), arg);
        } else if (!blank && (*at == ' ' || *at == '\t')) {
            if (!parser.stanza_line)
                result = broken(&parser, line, "a continuation line without a field before it");
            else if (open < FIELD_COUNT)
                parser.values[open].end = line_end;
        } else if (!blank) {
            result = take_field(&parser, at, line_end, line, &open);
        }
        if (result != PARSE_FINE)
            return result;
        at = next ? next + 1 : end;
    }
    return PARSE_FINE;
}
