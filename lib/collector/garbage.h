/* The garbage list: what was proved to be garbage but is kept, each with a counted reference; and
 * lists of references that are handed to users. */
#ifndef GARI_COLLECTOR_GARBAGE_H
#define GARI_COLLECTOR_GARBAGE_H

#include "lib/object/self.h"

/* Makes room for so many more; false when there is no memory for that. */
bool gari__objects_room(gari_objects *objects, size_t *room, size_t more);

/* Makes room on the list for so many more, all or none; somebody who clears the list takes it away. */
bool gari__garbage_room(size_t more);

/* Takes a reference to the object and lists it; false when there is no memory for that. The caller
 * has proved that nobody can reach it. */
bool gari__garbage_add(gari_object *object);

/* Calls visit for every object on the list, for the heap's check. */
void gari__garbage_walk(void (*visit)(const gari_object *object, void *arg), void *arg);

#endif
