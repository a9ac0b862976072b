/* Sorting and turning round. The elements are taken out as owned references, ordered in plain memory,
 * and put back as a new store if the list is still what it was. Not in the new store: though
 * nobody but us knows it yet, the collector could be reading it when it is published, having met one
 * element in two of its fields (R8). */
#include "lib/containers/list.h"

#include "concurrency/fatal.h"
#include "lib/containers/broken.h"
#include "lib/heap/memory.h"

#include <errno.h>
#include <string.h>

#define ATTEMPTS 8

struct order {
    int (*compare)(void *a, void *b, void *arg); /* NULL: the reverse of what it is */
    void *arg;
    void **spare; /* as many again, for merging */
};

/* One pass of a bottom-up merge sort: runs of `length` in `from` become runs of twice that in `to`. */
static void merge_runs(const struct order *order, void **from, void **to, size_t count,
                       size_t length)
{
    for (size_t begin = 0; begin < count; begin += 2 * length) {
        size_t left = begin, middle = begin + length < count ? begin + length : count;
        size_t right = middle, end = middle + length < count ? middle + length : count;
        for (size_t at = begin; at < end; at++) {
            /* The left one when they are equal: stable. */
            bool take_left =
                left < middle &&
                (right == end || order->compare(from[left], from[right], order->arg) <= 0);
            to[at] = take_left ? from[left++] : from[right++];
        }
    }
}

static void sort(const struct order *order, struct gari__elements *elements)
{
    void **from = elements->item, **to = order->spare;
    for (size_t length = 1; length < elements->count; length *= 2) {
        merge_runs(order, from, to, elements->count, length);
        void **swap = from;
        from = to;
        to = swap;
    }
    if (from != elements->item)
        memcpy(elements->item, from, elements->count * sizeof *from);
}

static void reverse(struct gari__elements *elements)
{
    for (size_t i = 0, j = elements->count; i + 1 < j; i++) {
        void *swap = elements->item[--j];
        elements->item[j] = elements->item[i];
        elements->item[i] = swap;
    }
}

static int try_rearrange(struct gari__list *list, struct order *order, const char *call)
{
    struct gari__elements elements;
    int error = gari__list_snapshot(list, 0, SIZE_MAX, call, &elements);
    if (error)
        return error;
    if (elements.count > 1 && order->compare) {
        order->spare = gari__memory_new(elements.count * sizeof *order->spare);
        if (order->spare)
            sort(order, &elements);
        else
            error = ENOMEM;
        gari__memory_free(order->spare);
    } else {
        reverse(&elements);
    }
    if (!error && elements.count > 1) {
        struct gari__edit edit = {.call = call,
                                  .remove = SIZE_MAX,
                                  .item = elements.item,
                                  .count = elements.count,
                                  .changes = &elements.changes};
        error = gari__list_edit(list, &edit);
    }
    gari__elements_drop(&elements);
    return error;
}

static int rearrange(gari_list *list, struct order *order, const char *call)
{
    int error = EBUSY;
    for (int i = 0; i < ATTEMPTS && error == EBUSY; i++)
        error = try_rearrange(gari__list_of(list), order, call);
    return error;
}

int gari_list_sort(gari_list *list, int (*compare)(void *a, void *b, void *arg), void *arg)
{
    struct order order = {.compare = compare, .arg = arg};
    if (!compare)
        gari__fatal("gari_list_sort: compare is NULL");
    if (GARI_BROKEN_SORT(list, compare, arg))
        return 0;
    return rearrange(list, &order, "gari_list_sort");
}

int gari_list_reverse(gari_list *list)
{
    struct order order = {0};
    return rearrange(list, &order, "gari_list_reverse");
}
