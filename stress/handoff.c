/* handoff: objects made by one thread and freed by another.
 *
 * Invariant: memory finds its way home, and is counted right. Half of the workers make objects of
 * fixed, variable and very large sizes and put them into queues; the other half take them out,
 * check that their payload is what it was, and drop them. The work is done in rounds: between two
 * rounds nobody works, and gari's figures must be exactly those of what lies in the queues.
 *
 * A violation looks like: a payload that has changed; live objects or bytes that differ from what
 * is in the queues; a heap that grows from round to round. */
#include "stress/common.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE 64u
#define MOST_QUEUES 64u
#define LARGE ((size_t)256 << 10)
/* The queues hold up to a few megabytes; gigabytes a second pass through them, and the memory of
 * what is dropped waits for grace periods of ten milliseconds. */
#define MOST_HEAP ((uint64_t)256 << 20)

struct text {
    gari_object header;
    uint64_t sum;
    size_t length;
    unsigned char bytes[];
};

struct pair {
    gari_object header;
    uint64_t sum;
    GARI_REF(void) first, second;
};

struct array {
    gari_object header;
    uint64_t sum;
    size_t length;
    gari_ref item[];
};

struct wide {
    gari_object header;
    uint64_t sum;
    unsigned char bytes[1000];
};

static const gari_type text_type =
    GARI_TYPE(struct text, .items = GARI_ITEMS(struct text, length, bytes));
static const gari_type pair_type =
    GARI_TYPE(struct pair, .refs = GARI_REFS(struct pair, first, second));
static const gari_type array_type =
    GARI_TYPE(struct array, .items = GARI_REF_ITEMS(struct array, length, item));
static const gari_type wide_type = GARI_TYPE(struct wide);

struct queue {
    pthread_mutex_t lock;
    unsigned first, count;
    gari_object *item[QUEUE];
    uint64_t objects, bytes; /* of what lies in it, with what that refers to */
};

static struct queue queues[MOST_QUEUES];
static unsigned queue_count;
static uint64_t moved; /* atomically */

struct cargo {
    gari_object *object;
    uint64_t objects, bytes;
};

static size_t text_size(size_t length)
{
    size_t size = offsetof(struct text, bytes) + length;
    return size < sizeof(struct text) ? sizeof(struct text) : size;
}

static struct text *make_text(struct stress_worker *worker, size_t length)
{
    struct text *text = STRESS_NEW_ITEMS(&text_type, length);
    text->sum = stress_random(worker);
    memset(text->bytes, (int)(text->sum & 0x7f), length);
    return text;
}

static struct cargo make(struct stress_worker *worker)
{
    switch (stress_below(worker, 32)) {
    case 0: {
        size_t length = stress_below(worker, LARGE);
        return (struct cargo){&make_text(worker, length)->header, 1, text_size(length)};
    }
    case 1: {
        /* Many edges, in one place. */
        size_t length = stress_below(worker, LARGE / 64);
        struct array *array = STRESS_NEW_ITEMS(&array_type, length);
        struct text *text = make_text(worker, 10);
        for (size_t i = 0; i < length; i++)
            gari_init(&array->item[i], gari_incref(text));
        gari_decref(text);
        array->sum = length;
        uint64_t bytes = offsetof(struct array, item) + length * sizeof(gari_ref);
        uint64_t texts = length > 0;
        return (struct cargo){&array->header, 1 + texts, bytes + texts * text_size(10)};
    }
    case 2:
    case 3:
    case 4: {
        struct wide *wide = STRESS_NEW(&wide_type);
        wide->sum = stress_random(worker);
        memset(wide->bytes, (int)(wide->sum & 0x7f), sizeof wide->bytes);
        return (struct cargo){&wide->header, 1, sizeof *wide};
    }
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
    case 12: {
        struct pair *pair = STRESS_NEW(&pair_type);
        struct text *text = make_text(worker, 24);
        pair->sum = text->sum;
        gari_init(&pair->first, gari_incref(text));
        gari_init(&pair->second, text);
        return (struct cargo){&pair->header, 2, sizeof *pair + text_size(24)};
    }
    default: {
        size_t length = stress_below(worker, stress_once_in(worker, 8) ? 9000 : 100);
        return (struct cargo){&make_text(worker, length)->header, 1, text_size(length)};
    }
    }
}

static void check_bytes(const unsigned char *bytes, size_t length, uint64_t sum)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != (sum & 0x7f))
            stress_fail("byte %zu of %zu is %x and should be %x", i, length, bytes[i],
                        (unsigned)(sum & 0x7f));
}

/* Steals the object. */
static struct cargo check_and_drop(gari_object *object)
{
    struct cargo cargo = {NULL, 1, 0};
    const gari_type *type = gari_type_of(object);
    void *any = object;
    if (type == &text_type) {
        struct text *text = any;
        cargo.bytes = text_size(text->length);
        check_bytes(text->bytes, text->length, text->sum);
    } else if (type == &wide_type) {
        struct wide *wide = any;
        cargo.bytes = sizeof *wide;
        check_bytes(wide->bytes, sizeof wide->bytes, wide->sum);
    } else if (type == &pair_type) {
        struct pair *pair = any;
        struct text *text = gari_load(&pair->second);
        cargo.objects++;
        cargo.bytes = sizeof *pair + text_size(text->length);
        if (text->sum != pair->sum)
            stress_fail("a pair refers to another text than at first");
        check_bytes(text->bytes, text->length, text->sum);
        gari_decref(text);
    } else if (type == &array_type) {
        struct array *array = any;
        cargo.bytes = offsetof(struct array, item) + array->length * sizeof(gari_ref);
        if (array->length) {
            cargo.objects++;
            cargo.bytes += text_size(10);
        }
        if (array->length != array->sum)
            stress_fail("the length of an array has become %zu", array->length);
    } else {
        stress_fail("an object of an unknown type");
    }
    gari_decref(object);
    return cargo;
}

static bool enqueue(struct queue *queue, struct cargo cargo)
{
    pthread_mutex_lock(&queue->lock);
    bool room = queue->count < QUEUE;
    if (room) {
        queue->item[(queue->first + queue->count++) % QUEUE] = cargo.object;
        queue->objects += cargo.objects;
        queue->bytes += cargo.bytes;
    }
    pthread_mutex_unlock(&queue->lock);
    return room;
}

static bool dequeue(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    gari_object *object = NULL;
    if (queue->count) {
        object = queue->item[queue->first];
        queue->first = (queue->first + 1) % QUEUE;
        queue->count--;
    }
    pthread_mutex_unlock(&queue->lock);
    if (!object)
        return false;
    struct cargo cargo = check_and_drop(object);
    pthread_mutex_lock(&queue->lock);
    queue->objects -= cargo.objects;
    queue->bytes -= cargo.bytes;
    pthread_mutex_unlock(&queue->lock);
    gari__fetch_add_relaxed(&moved, 1);
    return true;
}

static void work(struct stress_worker *worker)
{
    bool producer = worker->index % 2 == 0;
    while (stress_tick(worker)) {
        struct queue *queue = &queues[stress_below(worker, queue_count)];
        if (!producer) {
            if (!dequeue(queue))
                sched_yield();
        } else {
            struct cargo cargo = make(worker);
            if (!enqueue(queue, cargo)) {
                check_and_drop(cargo.object);
                sched_yield();
            }
        }
        if (stress_once_in(worker, 1000))
            gari_step(1000);
    }
}

/* Nobody works: the figures are those of the queues. */
static bool figures_agree(uint64_t *heap)
{
    uint64_t objects = 0, bytes = 0;
    for (unsigned i = 0; i < queue_count; i++) {
        objects += queues[i].objects;
        bytes += queues[i].bytes;
    }
    stress_settle(objects);
    gari_stats stats = stress_stats();
    *heap = stats.heap_bytes;
    return stress_check(stats.bytes_live == bytes, "live bytes: %lu, in the queues %lu",
                        (unsigned long)stats.bytes_live, (unsigned long)bytes);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 3, "objects made by one thread and freed by another");
    unsigned threads = stress.threads < 2 ? 2 : stress.threads;
    queue_count = threads < MOST_QUEUES ? threads : MOST_QUEUES;
    for (unsigned i = 0; i < queue_count; i++)
        pthread_mutex_init(&queues[i].lock, NULL);
    /* Three rounds. The first may still build up what gari keeps for later. */
    uint64_t heap[3];
    stress_share(3);
    for (int round = 0; round < 3; round++) {
        stress_run(threads, work);
        figures_agree(&heap[round]);
    }
    uint64_t peak = stress_stats().heap_peak_bytes;
    stress_check(peak < MOST_HEAP, "the heap stays bounded: %lu KB at most, %lu moved",
                 (unsigned long)(peak >> 10), (unsigned long)gari__load_relaxed(&moved));
    stress_check(heap[2] < heap[0] * 2 + ((uint64_t)32 << 20),
                 "and does not grow: %lu, %lu, %lu KB", (unsigned long)(heap[0] >> 10),
                 (unsigned long)(heap[1] >> 10), (unsigned long)(heap[2] >> 10));
    for (unsigned i = 0; i < queue_count; i++)
        while (dequeue(&queues[i]))
            continue;
    uint64_t empty;
    figures_agree(&empty);
    return stress_end();
}
