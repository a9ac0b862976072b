#include "lib/collector/garbage.h"

#include "lib/heap/memory.h"
#include "lib/object/count.h"

#include <errno.h>

static struct {
    pthread_mutex_t lock; /* a leaf */
    gari_objects list;
    size_t room;
} garbage = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool gari__objects_room(gari_objects *objects, size_t *room, size_t more)
{
    if (*room - objects->count >= more)
        return true;
    size_t wanted = *room ? *room * 2 : 64;
    if (wanted - objects->count < more)
        wanted = objects->count + more;
    gari_object **items = gari__memory_resize(objects->items, wanted * sizeof *items);
    if (!items)
        return false;
    objects->items = items;
    *room = wanted;
    return true;
}

void gari_objects_release(gari_objects *objects)
{
    for (size_t i = 0; i < objects->count; i++)
        (gari_decref)(objects->items[i]);
    gari__memory_free(objects->items);
    *objects = (gari_objects){0, NULL};
}

bool gari__garbage_room(size_t more)
{
    pthread_mutex_lock(&garbage.lock);
    bool enough = gari__objects_room(&garbage.list, &garbage.room, more);
    pthread_mutex_unlock(&garbage.lock);
    return enough;
}

bool gari__garbage_add(gari_object *object)
{
    pthread_mutex_lock(&garbage.lock);
    bool listed = gari__objects_room(&garbage.list, &garbage.room, 1);
    if (listed) {
        gari__count_up(object, "the garbage list");
        garbage.list.items[garbage.list.count++] = object;
    }
    pthread_mutex_unlock(&garbage.lock);
    return listed;
}

int gari_garbage_get(gari_objects *objects)
{
    size_t room = 0;
    bool enough = true;
    *objects = (gari_objects){0, NULL};
    pthread_mutex_lock(&garbage.lock);
    for (size_t i = 0; enough && i < garbage.list.count; i++) {
        enough = gari__objects_room(objects, &room, 1);
        if (enough) {
            gari__count_up(garbage.list.items[i], "gari_garbage_get");
            objects->items[objects->count++] = garbage.list.items[i];
        }
    }
    pthread_mutex_unlock(&garbage.lock);
    if (enough)
        return 0;
    gari_objects_release(objects);
    return ENOMEM;
}

size_t gari_garbage_count(void)
{
    pthread_mutex_lock(&garbage.lock);
    size_t count = garbage.list.count;
    pthread_mutex_unlock(&garbage.lock);
    return count;
}

void gari_garbage_clear(void)
{
    pthread_mutex_lock(&garbage.lock);
    gari_objects list = garbage.list;
    garbage.list = (gari_objects){0, NULL};
    garbage.room = 0;
    pthread_mutex_unlock(&garbage.lock);
    gari_objects_release(&list);
}

void gari__garbage_walk(void (*visit)(const gari_object *object, void *arg), void *arg)
{
    pthread_mutex_lock(&garbage.lock);
    for (size_t i = 0; i < garbage.list.count; i++)
        visit(garbage.list.items[i], arg);
    pthread_mutex_unlock(&garbage.lock);
}
