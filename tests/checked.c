/* The checked build names the mistakes of those who use it: at the call that goes wrong, with the object's
 * type, its address, and where it was made. */
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Whoever runs the tests may have switched the quarantine off. */
static void forget_environment(void)
{
    unsetenv("GARI_QUARANTINE");
}

TestSuite(checked, .timeout = 60, .init = forget_environment);

/* What the child that misuses gari has made; shared with it, for its address to be looked for. */
static void **culprit;

static const char *sentence_about(void (*misuse)(void))
{
    culprit = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(culprit != MAP_FAILED);
    const char *sentence = fatal_sentence(misuse);
    char address[32];
    snprintf(address, sizeof address, "%p", *culprit);
    assert_mentions(sentence, address);
    assert_mentions(sentence, "; made in ");
    return sentence;
}

static struct node *make(const gari_type *type)
{
    struct node *node = new_node(type, 0);
    *culprit = node;
    return node;
}

/* ---- References that were not owned ------------------------------------------------------- */

static void decref_twice_and_settle(void)
{
    use_manual_mode();
    struct node *node = make(&node_type);
    gari_decref(node);
    settle(); /* its memory would be free to be used again */
    for (int i = 0; i < 1000; i++)
        new_node(&node_type, i);
    gari_decref(node);
}

Test(checked, names_an_object_that_is_given_back_twice_though_its_memory_was_freed)
{
    const char *sentence = sentence_about(decref_twice_and_settle);
    assert_mentions(sentence, "gari_decref");
    assert_mentions(sentence, "struct node");
    assert_mentions(sentence, "is dead");
    assert_mentions(sentence, "; died in ");
}

static void decref_what_a_field_owns(void)
{
    use_manual_mode();
    struct node *holder = new_node(&node_type, 0);
    struct node *child = gari_incref(make(&node_type));
    gari_move(&holder->next, child);
    gari_decref(child);
    gari_store(&holder->prev, child); /* of which nothing is known to be wrong */
    gari_decref(child);
    _exit(3);
}

Test(checked, names_a_reference_given_back_that_a_field_owns)
{
    const char *sentence = sentence_about(decref_what_a_field_owns);
    assert_mentions(sentence, "gari_decref");
    assert_mentions(sentence, "has count 1, but 2 fields refer to it");
}

static void move_twice(void)
{
    use_manual_mode();
    struct node *holder = new_node(&node_type, 0);
    struct node *child = make(&node_type);
    gari_move(&holder->next, child);
    gari_move(&holder->prev, child);
    _exit(3);
}

Test(checked, names_a_reference_moved_into_two_fields)
{
    const char *sentence = sentence_about(move_twice);
    assert_mentions(sentence, "gari_move");
    assert_mentions(sentence, "was not owned");
}

static void init_and_exchange(void)
{
    use_manual_mode();
    struct node *holder = new_node(&node_type, 0);
    struct node *child = make(&node_type);
    gari_init(&holder->next, child);
    gari_exchange(&holder->prev, child);
    _exit(3);
}

static void move_into_roots(void)
{
    use_manual_mode();
    static gari_ref one, other;
    struct node *child = make(&node_type);
    gari_move(&one, child);
    gari_compare_exchange(&other, NULL, child);
    _exit(3);
}

Test(checked, names_them_in_other_calls_and_in_roots_too)
{
    assert_mentions(sentence_about(init_and_exchange), "gari_exchange");
    assert_mentions(sentence_about(move_into_roots), "gari_compare_exchange");
}

static void store_after_the_section(void)
{
    use_manual_mode();
    static gari_ref root;
    struct node *holder = new_node(&node_type, 0);
    gari_move(&root, make(&node_type));
    gari_read_begin();
    struct node *borrowed = gari_borrow(&root);
    gari_read_end();
    gari_store(&root, NULL);
    settle();
    gari_store(&holder->next, borrowed);
    _exit(3);
}

static void move_borrowed(void)
{
    use_manual_mode();
    static gari_ref root;
    struct node *holder = new_node(&node_type, 0);
    gari_move(&root, make(&node_type));
    gari_read_begin();
    struct node *borrowed = gari_borrow(&root);
    gari_move(&holder->next, borrowed);
    gari_read_end();
    _exit(3);
}

Test(checked, names_a_borrowed_pointer_that_is_stored)
{
    const char *sentence = sentence_about(store_after_the_section);
    assert_mentions(sentence, "gari_store");
    assert_mentions(sentence, "is dead");
    sentence = sentence_about(move_borrowed);
    assert_mentions(sentence, "gari_move");
    assert_mentions(sentence, "was not owned");
}

/* ---- Use after death ---------------------------------------------------------------------- */

static void load_from_the_dead(void)
{
    use_manual_mode();
    struct node *node = make(&watched_type);
    gari_decref(node);
    gari_load(&node->next);
    _exit(3);
}

static void store_into_the_freed(void)
{
    use_manual_mode();
    struct node *node = make(&watched_type);
    gari_decref(node);
    settle();
    gari_read_begin();
    gari_store(&node->next, NULL);
    _exit(3);
}

static void incref_the_freed(void)
{
    use_manual_mode();
    struct node *node = make(&watched_type);
    gari_decref(node);
    settle();
    gari_incref(node);
    _exit(3);
}

static void ask_the_freed(void)
{
    use_manual_mode();
    struct node *node = make(&watched_type);
    gari_decref(node);
    settle();
    gari_getrefcount(node);
    _exit(3);
}

static void use_what_a_collection_freed(void)
{
    use_manual_mode();
    struct node *node = make(&node_type);
    gari_store(&node->next, node);
    gari_decref(node);
    gari_collect(2);
    gari_borrow(&node->next);
    _exit(3);
}

Test(checked, names_the_use_of_an_object_after_its_death)
{
    const char *sentence = sentence_about(load_from_the_dead);
    assert_mentions(sentence, "gari_load: the field at offset 16");
    assert_mentions(sentence, "after the object's death");
    assert_mentions(sentence, "; died in ");
    sentence = sentence_about(store_into_the_freed);
    assert_mentions(sentence, "gari_store: the field at offset 16");
    assert_mentions(sentence_about(incref_the_freed), "gari_incref");
    assert_mentions(sentence_about(ask_the_freed), "gari_getrefcount");
    sentence = sentence_about(use_what_a_collection_freed);
    assert_mentions(sentence, "gari_borrow");
    assert_mentions(sentence, "gari_collect");
}

static void write_into_the_freed(void)
{
    use_manual_mode();
    setenv("GARI_QUARANTINE", "1K", 1);
    struct node *node = make(&watched_type);
    gari_decref(node);
    settle();
    node->value = 5;
    for (int i = 0; i < 100; i++)
        gari_decref(new_node(&watched_type, i));
    settle();
    _exit(3);
}

Test(checked, names_what_was_written_to_after_its_death)
{
    const char *sentence = sentence_about(write_into_the_freed);
    assert_mentions(sentence, "struct node");
    assert_mentions(sentence, "written to at offset 8 after its memory");
}

Test(checked, poisons_the_dead_and_keeps_their_memory_for_a_while)
{
    use_manual_mode();
    struct node *node = new_node(&watched_type, 7);
    gari_decref(node);
    settle();
    for (int i = 0; i < 1000; i++)
        cr_assert(new_node(&node_type, i) != node);
    const unsigned char *value = (const unsigned char *)&node->value;
    for (size_t i = 0; i < sizeof node->value; i++)
        assert_equal(value[i], 0xDD);
    assert_heap_sound();
    assert_equal(gari_shutdown(NULL, NULL), 1000);
}

static void use_what_is_no_object(void)
{
    use_manual_mode();
    struct node *node = make(&node_type);
    static struct leaf leaf;
    *culprit = &leaf;
    gari_decref(node);
    gari_incref(&leaf);
}

Test(checked, names_an_address_where_there_is_no_object)
{
    culprit = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *sentence = fatal_sentence(use_what_is_no_object);
    assert_mentions(sentence, "gari_incref: there is no object of gari's at 0x");
}

/* ---- Types that lie about their fields ---------------------------------------------------- */

static const gari_type forgetful_type =
    GARI_TYPE(struct node, .refs = GARI_REFS(struct node, next));

static void forget_a_field(void)
{
    use_manual_mode();
    struct node *node = make(&forgetful_type);
    gari_move(&node->next, new_node(&node_type, 1));
    gari_move(&node->any, new_leaf(1));
    gari_decref(node);
    _exit(3);
}

enum lies { NONE, MISS, INVENT, INVENT_VALUE, TWICE };
static enum lies lie;
static gari_slot no_field;

static void traverse(void *self, gari_visit visit, void *arg)
{
    struct node *node = self;
    GARI_VISIT(&node->next, visit, arg);
    if (lie != MISS)
        GARI_VISIT(&node->prev, visit, arg);
    if (lie == INVENT)
        visit((gari_slot *)(void *)&node->value, arg);
    if (lie == INVENT_VALUE)
        visit(&no_field, arg);
    if (lie == TWICE)
        GARI_VISIT(&node->next, visit, arg);
}

static const gari_type lying_type = GARI_TYPE(struct node, .traverse = traverse);

static struct node *make_liar(void)
{
    struct node *node = make(&lying_type);
    gari_move(&node->next, new_node(&node_type, 1));
    gari_move(&node->prev, new_node(&node_type, 2));
    return node;
}

static void miss(void)
{
    use_manual_mode();
    lie = MISS;
    gari_decref(make_liar());
    _exit(3);
}

static void invent(void)
{
    use_manual_mode();
    lie = INVENT;
    struct node *node = make_liar();
    node->value = (long)(intptr_t)node; /* by chance the address of an object */
    gari_decref(node);
    _exit(3);
}

static void invent_in_a_collection(void)
{
    use_manual_mode();
    lie = INVENT;
    struct node *node = make_liar();
    node->value = (long)(intptr_t)node;
    gari_decref(gari_incref(node));
    gari_collect(2);
    _exit(3);
}

static void invent_a_value(void)
{
    use_manual_mode();
    lie = INVENT_VALUE;
    no_field.pointer = (gari_object *)(uintptr_t)0x5151515151510;
    gari_decref(make_liar());
    _exit(3);
}

static void name_twice(void)
{
    use_manual_mode();
    lie = TWICE;
    gari_decref(make_liar());
    _exit(3);
}

Test(checked, names_a_field_that_a_type_misses)
{
    const char *sentence = sentence_about(forget_a_field);
    assert_mentions(sentence, "struct node");
    assert_mentions(sentence, "does not name the field at offset 32");
    assert_mentions(sentence, "struct leaf");
    assert_mentions(sentence_about(miss), "does not name the field at offset 24");
}

Test(checked, names_a_field_that_a_type_invents)
{
    const char *sentence = sentence_about(invent);
    assert_mentions(sentence, "struct node");
    assert_mentions(sentence, "reference at offset 8, into which nothing was ever stored");
    assert_mentions(sentence_about(invent_in_a_collection), "at offset 8, into which nothing");
    culprit = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sentence = fatal_sentence(invent_a_value);
    assert_mentions(sentence, "0x5151515151510, which is no object");
}

Test(checked, names_a_field_that_a_type_names_twice)
{
    assert_mentions(sentence_about(name_twice), "names the reference at offset 16 twice");
}

static char reported[1024];

static void report(const char *sentence, void *arg)
{
    (void)arg;
    snprintf(reported, sizeof reported, "%s", sentence);
}

Test(checked, names_a_field_that_a_type_misses_in_a_check_of_the_heap)
{
    use_manual_mode();
    culprit = calloc(1, sizeof *culprit);
    struct node *node = make_liar();
    gari_check how = GARI_CHECK_INIT;
    how.report = report;
    assert_equal(gari_check_heap(&how), 0);
    lie = MISS;
    assert_equal(gari_check_heap(&how), 1);
    assert_mentions(reported, "struct node");
    assert_mentions(reported, "does not name the field at offset 24");
    lie = NONE;
    gari_decref(node);
    free(culprit);
    assert_nothing_left();
}

/* ---- And nothing where there is nothing --------------------------------------------------- */

static void *rewire(void *arg)
{
    struct vec *shared = arg;
    uint64_t random = (uintptr_t)&random | 1;
    for (size_t i = 0; i < 20000; i++) {
        gari_ref *field = &shared->items[next_random(&random) % shared->length];
        gari_ref *other = &shared->items[next_random(&random) % shared->length];
        struct node *node;
        switch (next_random(&random) % 5) {
        case 0:
            gari_move(field, new_node(&node_type, 0));
            break;
        case 1:
            gari_move(field, gari_take(other));
            break;
        case 2:
            node = gari_load(field);
            if (node)
                gari_store(&node->next, node);
            gari_move(other, node);
            break;
        case 3:
            node = gari_exchange(field, new_node(&watched_type, 0));
            gari_decref(node);
            break;
        default:
            gari_store(field, NULL);
        }
    }
    return NULL;
}

Test(checked, says_nothing_of_threads_that_change_the_same_fields)
{
    use_mode(GARI_MODE_BACKGROUND);
    struct vec *shared = new_vec(16);
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        thread[i] = start_thread(rewire, shared);
    for (int i = 0; i < 4; i++)
        join_thread(thread[i]);
    assert_heap_sound();
    gari_decref(shared);
    assert_nothing_left();
}
