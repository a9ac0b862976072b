#include "lib/containers/bytes.h"

#include "concurrency/atomics.h"
#include "lib/containers/hash.h"
#include "lib/object/shape.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const gari_type gari__bytes_type = {
    .struct_size = sizeof(gari_type),
    .name = "gari_bytes",
    .size = sizeof(struct gari__bytes),
    .align = _Alignof(struct gari__bytes),
    .items = GARI_ITEMS(struct gari__bytes, size, data),
};

static const struct gari__bytes *bytes_of(const gari_bytes *bytes)
{
    return (const struct gari__bytes *)(const void *)bytes;
}

/* With room for that many and a zero; the zero is there. */
static struct gari__bytes *make(size_t length)
{
    return length == SIZE_MAX ? NULL : gari_new_items(&gari__bytes_type, length + 1);
}

gari_bytes *gari_bytes_new(const void *data, size_t length)
{
    struct gari__bytes *bytes = make(length);
    if (bytes && length)
        memcpy(bytes->data, data, length);
    return (gari_bytes *)bytes;
}

gari_bytes *gari_bytes_from_string(const char *string)
{
    return gari_bytes_new(string, strlen(string));
}

gari_bytes *gari_bytes_format(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    struct gari__bytes *bytes = length < 0 ? NULL : make((size_t)length);
    if (bytes)
        vsnprintf(bytes->data, bytes->size, format, again);
    va_end(again);
    return (gari_bytes *)bytes;
}

gari_bytes *gari_bytes_concat(const gari_bytes *a, const gari_bytes *b)
{
    size_t first = gari_bytes_length(a), second = gari_bytes_length(b), length;
    if (__builtin_add_overflow(first, second, &length))
        return NULL;
    struct gari__bytes *bytes = make(length);
    if (!bytes)
        return NULL;
    memcpy(bytes->data, gari_bytes_data(a), first);
    memcpy(bytes->data + first, gari_bytes_data(b), second);
    return (gari_bytes *)bytes;
}

gari_bytes *gari_bytes_slice(const gari_bytes *bytes, size_t from, size_t to)
{
    size_t length = gari_bytes_length(bytes);
    to = to < length ? to : length;
    from = from < to ? from : to;
    return gari_bytes_new(gari_bytes_data(bytes) + from, to - from);
}

const char *gari_bytes_data(const gari_bytes *bytes)
{
    return bytes_of(bytes)->data;
}

size_t gari_bytes_length(const gari_bytes *bytes)
{
    return bytes_of(bytes)->size - 1;
}

bool gari_bytes_equal(const gari_bytes *a, const gari_bytes *b)
{
    size_t length = gari_bytes_length(a);
    return length == gari_bytes_length(b) &&
           memcmp(gari_bytes_data(a), gari_bytes_data(b), length) == 0;
}

int gari_bytes_compare(const gari_bytes *a, const gari_bytes *b)
{
    size_t first = gari_bytes_length(a), second = gari_bytes_length(b);
    int order = memcmp(gari_bytes_data(a), gari_bytes_data(b), first < second ? first : second);
    return order ? order : (first > second) - (first < second);
}

uint64_t gari_bytes_hash(const gari_bytes *bytes)
{
    struct gari__bytes *self = (struct gari__bytes *)(uintptr_t)bytes;
    uint64_t hash = gari__load_relaxed(&self->hash);
    if (hash == 0) {
        hash = gari__hash_bytes(self->data, self->size - 1);
        gari__store_relaxed(&self->hash, hash);
    }
    return hash;
}

bool gari_is_bytes(const void *object)
{
    return gari__shape_of(object)->identity == &gari__bytes_type;
}
