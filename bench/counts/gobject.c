/* counts on GObject. --box 1: g_atomic_rc_box, GLib's counted memory without a type system. */
#include "bench/driver.h"

#include <glib-object.h>

typedef void *object_ref;
static int boxed;

static object_ref object_make(void)
{
    return boxed ? g_atomic_rc_box_alloc0(32) : g_object_new(G_TYPE_OBJECT, NULL);
}

static inline void object_pair(object_ref object)
{
    if (boxed) {
        g_atomic_rc_box_acquire(object);
        g_atomic_rc_box_release(object);
    } else {
        g_object_ref(object);
        g_object_unref(object);
    }
}

static void counts_begin(void);
static void counts_end(void);
#define COUNTS_ARGUMENTS "--box "
#include "bench/counts/counts.h"

static void counts_begin(void)
{
    boxed = bench_long("--box", 0) != 0;
}

static void counts_end(void)
{
    for (unsigned i = 0; i < counts_number; i++) {
        if (boxed)
            g_atomic_rc_box_release(counts_objects[i]);
        else
            g_object_unref(counts_objects[i]);
    }
}
