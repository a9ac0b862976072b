/* A plug-in's type: its object file stays as long as it is needed, and goes when it is not. */
#include "tests/plugin/plugin.h"
#include "tests/support.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(dlclose, .timeout = 60);

static long counts[2];
static void *library;
static const struct plugin *plugin;

static void load(void)
{
    const char *path = getenv("GARI_TEST_PLUGIN");
    library = dlopen(path ? path : "tests/plugin/plugin.so", RTLD_NOW | RTLD_LOCAL);
    cr_assert(library != NULL, "%s", dlerror());
    plugin = dlsym(library, "plugin");
    cr_assert(plugin != NULL, "%s", dlerror());
    plugin->count_in(counts);
}

static int opened;

/* Instead of the C library's, for gari too. */
void *dlopen(const char *file, int mode)
{
    static void *(*real)(const char *, int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "dlopen");
    opened++;
    return real(file, mode);
}

static bool is_mapped(void)
{
    char line[1024];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    check(maps != NULL);
    while (fgets(line, sizeof line, maps))
        found |= strstr(line, "plugin.so") != NULL;
    fclose(maps);
    return found;
}

static void check_unretired(gari_mode mode)
{
    use_mode(mode);
    load();
    gari_object *live = plugin->make();
    for (int i = 0; i < 100; i++)
        (gari_decref)(plugin->make());
    dlclose(library);
    cr_assert(is_mapped(), "the plug-in has gone, its objects have not");
    gari_collect(2);
    finish_pending();
    assert_equal(counts[0], 200);
    (gari_decref)(live);
    gari_collect(2);
    assert_nothing_left();
    assert_equal(counts[0], 202);
    assert_equal(counts[1], 202);
}

Test(dlclose, is_delayed_while_the_type_is_not_retired)
{
    check_unretired(GARI_MODE_MANUAL);
}

Test(dlclose, is_delayed_while_the_type_is_not_retired_in_the_background)
{
    check_unretired(GARI_MODE_BACKGROUND);
}

static int retire_error;

static void retire(void)
{
    retire_error = gari_type_retire(plugin->type);
}

Test(dlclose, is_refused_by_name_and_number_while_objects_live)
{
    use_manual_mode();
    load();
    gari_object *live[3];
    for (int i = 0; i < 3; i++)
        live[i] = plugin->make();
    const char *sentence = printed_by(retire);
    assert_equal(retire_error, EBUSY);
    assert_mentions(sentence, "6 objects");
    assert_mentions(sentence, "struct thing");
    for (int i = 0; i < 3; i++)
        (gari_decref)(live[i]);
    assert_equal(strlen(printed_by(retire)), 0);
    assert_equal(retire_error, 0); /* it collects what is garbage */
    assert_equal(counts[1], 6);
    dlclose(library);
    assert_nothing_left();
}

static void *make_and_keep(void *arg)
{
    (void)arg;
    return plugin->make();
}

static void load_use_unload(void)
{
    load();
    pthread_t thread = start_thread(make_and_keep, NULL);
    void *made;
    check(pthread_join(thread, &made) == 0);
    for (int i = 0; i < 100; i++)
        (gari_decref)(plugin->make());
    (gari_decref)((gari_object *)made);
    assert_equal(gari_type_retire(plugin->type), 0);
    dlclose(library);
    library = NULL;
#if !SANITIZED
    cr_assert(!is_mapped(), "the plug-in is still there");
#endif
    /* Its empty blocks are not looked at in a way that needs it. */
    make_garbage_ring(&watched_type, 100);
    gari_collect(2);
}

static void check_reloading(gari_mode mode)
{
    use_mode(mode);
    load_use_unload();
    size_t before = stats_now().heap_bytes;
    for (int i = 0; i < 50; i++)
        load_use_unload();
    assert_at_most(stats_now().heap_bytes, before + 64 * 1024);
    assert_equal(counts[0], 51 * 202);
    assert_equal(counts[1], 51 * 202);
    assert_nothing_left();
}

Test(dlclose, unloads_a_plug_in_whose_type_is_retired_again_and_again)
{
    check_reloading(GARI_MODE_MANUAL);
}

Test(dlclose, unloads_in_the_background_too)
{
    check_reloading(GARI_MODE_BACKGROUND);
}

Test(dlclose, is_no_matter_of_types_of_the_program)
{
    use_manual_mode();
    gari_decref(new_leaf(0));
    assert_equal(opened, 0);
    load();
    (gari_decref)(plugin->make());
    cr_assert(opened > 1, "nothing keeps the plug-in loaded");
    assert_equal(gari_type_retire(plugin->type), 0);
    dlclose(library);
    assert_nothing_left();
}

Test(dlclose, a_type_that_was_never_used_is_retired_at_once)
{
    use_manual_mode();
    assert_equal(gari_type_retire(&leaf_type), 0);
    gari_decref(new_leaf(0));
    assert_equal(gari_type_retire(&leaf_type), 0);
    gari_decref(new_leaf(0)); /* as if for the first time */
    assert_nothing_left();
    assert_equal(reclaimed_count(), 2);
}

static int said;

static void retire_here(void *self)
{
    (void)self;
    said = gari_type_retire(&leaf_type);
}

static const gari_type retiring_type = GARI_TYPE(struct leaf, .dispose = retire_here);

Test(dlclose, a_callback_cannot_retire_a_type)
{
    use_manual_mode();
    gari_decref(new_leaf(0));
    gari_decref((struct leaf *)gari_new(&retiring_type));
    assert_equal(said, EBUSY);
    assert_nothing_left();
}
