/* The fixed array: nothing but a trailing array of fields, each used through gari.h. */
#include "lib/gari_containers.h"

#include "concurrency/fatal.h"
#include "lib/containers/array.h"
#include "lib/object/shape.h"

const gari_type gari__array_type = {
    .struct_size = sizeof(gari_type),
    .name = "gari_array",
    .size = sizeof(struct gari__array),
    .align = _Alignof(struct gari__array),
    .items = GARI_REF_ITEMS(struct gari__array, length, items),
};

gari_array *gari_array_new(size_t length)
{
    return gari_new_items(&gari__array_type, length);
}

size_t gari_array_length(const gari_array *array)
{
    return ((const struct gari__array *)(const void *)array)->length;
}

gari_ref *gari_array_at(gari_array *array, size_t index)
{
    struct gari__array *self = (struct gari__array *)(void *)array;
    if (index >= self->length)
        gari__fatal("gari_array_at: index %zu is out of range for a gari_array of length %zu",
                    index, self->length);
    return &self->items[index];
}

bool gari_is_array(const void *object)
{
    return gari__shape_of(object)->identity == &gari__array_type;
}
