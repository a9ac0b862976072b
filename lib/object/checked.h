/* The checked build: what it keeps of every object, and what it watches for. Nothing in other builds.
 *
 * Of each slot, in a table beside its block: where in the program the object was made and died, into
 * which of its fields something has been stored, and how many fields of whatever object hold it. From
 * that it tells, at the call that goes wrong: a reference that is stored or given back and was not
 * owned; the use of an object after its death; a type that does not name a field, or names what is
 * none, or one twice. Freed memory is poisoned and kept in quarantine for a while before it is used
 * again. docs/checking.md is for users.
 *
 * An edge is counted here after it is there, and no longer before it ceases to be, each while the
 * reference that it holds is counted; so at no moment is an object held by more edges than its count
 * says, whatever other threads do. */
#ifndef GARI_OBJECT_CHECKED_H
#define GARI_OBJECT_CHECKED_H

#include "lib/object/shape.h"

#ifdef GARI_CHECKED

/* Whose call makes an object: the return address of gari_new. */
extern __thread const void *gari__checked_maker;
#define GARI__CHECKED_MAKER() (gari__checked_maker = __builtin_return_address(0))

/* Before the word says that the object lives. */
void gari__checked_birth(gari_object *object);
/* The last reference is gone. */
void gari__checked_death(const gari_object *object);
/* Takes slots that are free over, linked from head; puts those back that have been here long enough. */
void gari__checked_quarantine(struct gari__block *block, uint32_t head);
/* Puts all of them back. */
void gari__checked_release(void);
/* Calls visit for all of them. Nobody else is at work. */
void gari__checked_walk(void (*visit)(const gari_object *object, void *arg), void *arg);
void gari__checked_before_fork(void);
void gari__checked_after_fork(void);

/* `object` is given to a call: an object it is, and not freed. */
void gari__checked_object(const gari_object *object, const char *call);
/* A call uses the field: it is not one of a dead object. Before the call's own section. */
void gari__checked_field(const gari_slot *field, const char *call);
/* Something is about to be stored into the field. */
void gari__checked_stores(const gari_slot *field);
/* A field has come to hold the object (or NULL). */
void gari__checked_edge(const gari_object *object, const char *call);
/* A field holds the object no more; its reference is still counted. */
void gari__checked_no_edge(const gari_object *object);
/* Around a step that needs no section, for the sake of what is asked after it. */
#define gari__checked_section_begin() gari__section_begin()
#define gari__checked_section_end() gari__section_end()
/* After a reference was given back, in a section. */
void gari__checked_owned(const gari_object *object, const char *call);

/* A walk has come to a field, which holds target. In a section. */
void gari__checked_visit(const gari_slot *field, const gari_object *target);
/* Whether what the type says of its fields agrees with what was stored into the object, which does not
 * change. Outside of sections. NULL: it does, or it cannot be told; else a sentence, until the next
 * call of the thread. */
const char *gari__checked_traverse(const struct gari__shape *shape, gari_object *object);
/* The same at the object's death, where it is fatal. */
void gari__checked_apart(const struct gari__shape *shape, gari_object *object);
/* gari_traverse_failed was called. */
void gari__checked_traverse_failed(void);

/* Prints the traces of the object, and returns for a sentence where it was made and died. */
const char *gari__checked_story(const gari_object *object);

#else

#define GARI__CHECKED_MAKER() ((void)0)
#define gari__checked_birth(object) ((void)0)
#define gari__checked_death(object) ((void)0)
#define gari__checked_release() ((void)0)
#define gari__checked_before_fork() ((void)0)
#define gari__checked_after_fork() ((void)0)
#define gari__checked_object(object, call) ((void)0)
#define gari__checked_field(field, call) ((void)0)
#define gari__checked_stores(field) ((void)0)
#define gari__checked_edge(object, call) ((void)0)
#define gari__checked_no_edge(object) ((void)0)
#define gari__checked_section_begin() ((void)0)
#define gari__checked_section_end() ((void)0)
#define gari__checked_owned(object, call) ((void)0)
#define gari__checked_visit(field, target) ((void)0)
#define gari__checked_apart(shape, object) ((void)0)
#define gari__checked_traverse_failed() ((void)0)
#define gari__checked_story(object) ""

#endif

#endif
