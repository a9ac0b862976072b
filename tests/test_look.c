/* Grace periods that are looked for (concurrency/look.h): over at once when nobody is in a section, held
 * up by sections that were open when they began, and by no others. */
#include "tests/support.h"

#include "concurrency/atomics.h"
#include "concurrency/grace.h"
#include "concurrency/look.h"

#include <unistd.h>

struct reader {
    struct gate in, out;
};

static void *stay_in_section(void *arg)
{
    struct reader *reader = arg;
    gari_read_begin();
    gate_open(&reader->in);
    gate_wait(&reader->out);
    gari_read_end();
    return NULL;
}

static pthread_t start_reader(struct reader *reader)
{
    *reader = (struct reader){.in = GATE_CLOSED, .out = GATE_CLOSED};
    pthread_t thread = start_thread(stay_in_section, reader);
    gate_wait(&reader->in);
    return thread;
}

static void end_reader(struct reader *reader, pthread_t thread)
{
    gate_open(&reader->out);
    join_thread(thread);
}

Test(look, sees_at_once_that_nobody_is_in_a_section)
{
    use_manual_mode();
    cr_assert(gari__grace_look(gari__grace_note(), false));
    gari_read_begin();
    gari_read_end();
    cr_assert(gari__grace_look(gari__grace_note(), false));
}

Test(look, waits_for_a_section_of_the_caller)
{
    use_manual_mode();
    gari_read_begin();
    uint64_t ticket = gari__grace_note();
    cr_assert(!gari__grace_look(ticket, false));
    gari_read_begin();
    gari_read_end();
    cr_assert(!gari__grace_look(ticket, false));
    gari_read_end();
    cr_assert(gari__grace_look(ticket, false));
}

Test(look, waits_for_a_section_of_another_thread)
{
    use_manual_mode();
    struct reader reader;
    pthread_t thread = start_reader(&reader);
    uint64_t ticket = gari__grace_note();
    for (int i = 0; i < 3; i++)
        cr_assert(!gari__grace_look(ticket, false));
    end_reader(&reader, thread);
    cr_assert(gari__grace_look(ticket, false));
}

Test(look, does_not_wait_for_a_section_that_began_later)
{
    use_manual_mode();
    struct reader first, second;
    pthread_t one = start_reader(&first);
    uint64_t ticket = gari__grace_note();
    cr_assert(!gari__grace_look(ticket, false));
    pthread_t two = start_reader(&second);
    cr_assert(!gari__grace_look(ticket, false));
    end_reader(&first, one);
    cr_assert(gari__grace_look(ticket, false));
    uint64_t later = gari__grace_note();
    cr_assert(!gari__grace_look(later, false));
    end_reader(&second, two);
    cr_assert(gari__grace_look(later, false));
}

/* The ticket was taken after the grace period that is under way began. */
Test(look, begins_another_for_a_later_ticket)
{
    use_manual_mode();
    struct reader reader;
    pthread_t thread = start_reader(&reader);
    uint64_t ticket = gari__grace_note();
    cr_assert(!gari__grace_look(ticket, false));
    uint64_t later = gari__grace_note();
    cr_assert(later > ticket);
    end_reader(&reader, thread);
    while (!gari__grace_look(later, false))
        continue;
    cr_assert(gari__grace_passed(ticket));
}

/* It is held up, and over all the same by way of another that began later, of liburcu's: the next look begins anew,
 * and would ask anew. */
Test(look, does_not_go_on_with_one_that_another_has_ended)
{
    use_manual_mode();
    struct reader reader;
    pthread_t thread = start_reader(&reader);
    uint64_t ticket = gari__grace_note();
    cr_assert(!gari__grace_look(ticket, false));
    gari__grace_end(gari__grace_begin());
    cr_assert(gari__grace_passed(ticket));
    uint64_t later = gari__grace_note();
    cr_assert(!gari__grace_look(later, false));
    end_reader(&reader, thread);
    cr_assert(gari__grace_look(later, false));
}

/* What a thread does between the looks of the test. */
enum deed { REST, READ, BEGIN, END, ALLOCATE, LEAVE };
struct doer {
    struct gate ready, done;
    enum deed deed;
};

static void *do_deeds(void *arg)
{
    struct doer *doer = arg;
    for (enum deed deed = READ; deed != LEAVE;) {
        if (deed == READ || deed == BEGIN)
            gari_read_begin();
        if (deed == READ || deed == END)
            gari_read_end();
        if (deed == REST)
            gari__reader_rest();
        if (deed == ALLOCATE)
            gari_decref(new_leaf(1));
        gate_open(&doer->done);
        gate_wait(&doer->ready);
        doer->ready = (struct gate)GATE_CLOSED;
        deed = doer->deed;
    }
    return NULL;
}

/* It has read already. */
static pthread_t start_doer(struct doer *doer)
{
    *doer = (struct doer){.ready = GATE_CLOSED, .done = GATE_CLOSED};
    pthread_t thread = start_thread(do_deeds, doer);
    gate_wait(&doer->done);
    return thread;
}

static void have_done(struct doer *doer, enum deed deed)
{
    doer->done = (struct gate)GATE_CLOSED;
    doer->deed = deed;
    gate_open(&doer->ready);
    if (deed != LEAVE)
        gate_wait(&doer->done);
}

static void end_doer(struct doer *doer, pthread_t thread)
{
    have_done(doer, LEAVE);
    join_thread(thread);
}

Test(look, is_patient_with_readers_until_they_rest)
{
    use_manual_mode();
    struct doer doer;
    pthread_t thread = start_doer(&doer);
    uint64_t ticket = gari__grace_begin();
    cr_assert(!gari__grace_look(ticket, true));
    have_done(&doer, READ);
    cr_assert(!gari__grace_look(ticket, true));
    have_done(&doer, REST);
    cr_assert(gari__grace_look(ticket, true));
    /* It rests still. */
    cr_assert(gari__grace_look(gari__grace_begin(), true));
    end_doer(&doer, thread);
}

Test(look, asks_those_who_do_not_rest_if_it_is_not_patient)
{
    use_manual_mode();
    struct doer doer;
    pthread_t thread = start_doer(&doer);
    uint64_t ticket = gari__grace_begin();
    cr_assert(!gari__grace_look(ticket, true));
    cr_assert(gari__grace_look(ticket, false));
    end_doer(&doer, thread);
}

Test(look, waits_for_a_section_that_began_after_a_rest)
{
    use_manual_mode();
    struct doer doer;
    pthread_t thread = start_doer(&doer);
    have_done(&doer, REST);
    have_done(&doer, BEGIN);
    uint64_t ticket = gari__grace_begin();
    cr_assert(!gari__grace_look(ticket, true));
    cr_assert(!gari__grace_look(ticket, false));
    have_done(&doer, REST); /* in the section, which is none */
    cr_assert(!gari__grace_look(ticket, true));
    cr_assert(!gari__grace_look(ticket, false));
    have_done(&doer, END);
    cr_assert(!gari__grace_look(ticket, true));
    cr_assert(gari__grace_look(ticket, false));
    end_doer(&doer, thread);
}

/* The thread has rested since it began; the section that is open now sees what was dead before. */
Test(look, goes_by_a_rest_that_is_over)
{
    use_manual_mode();
    struct doer doer;
    pthread_t thread = start_doer(&doer);
    uint64_t ticket = gari__grace_begin();
    have_done(&doer, REST);
    have_done(&doer, BEGIN);
    uint64_t later = gari__grace_begin();
    cr_assert(!gari__grace_look(later, true));
    cr_assert(gari__grace_look(ticket, true));
    cr_assert(!gari__grace_look(later, true));
    cr_assert(!gari__grace_look(later, false));
    have_done(&doer, END);
    cr_assert(gari__grace_look(later, false));
    end_doer(&doer, thread);
}

/* A ticket whose grace period nobody has begun is not over because nobody has rested since. */
Test(look, begins_what_a_noted_ticket_waits_for)
{
    use_manual_mode();
    struct doer doer;
    pthread_t thread = start_doer(&doer);
    have_done(&doer, REST);
    uint64_t ticket = gari__grace_note();
    cr_assert(!gari__grace_look(ticket, true));
    cr_assert(gari__grace_look(ticket, false));
    cr_assert(!gari__grace_passed(gari__grace_note()));
    end_doer(&doer, thread);
}

/* A thread that comes for memory rests, unless it is in a section. */
Test(look, is_not_held_up_by_who_comes_for_memory)
{
    use_manual_mode();
    struct doer doer;
    pthread_t thread = start_doer(&doer);
    have_done(&doer, BEGIN);
    uint64_t ticket = gari__grace_begin();
    have_done(&doer, ALLOCATE);
    cr_assert(!gari__grace_look(ticket, true));
    have_done(&doer, END);
    cr_assert(!gari__grace_look(ticket, true));
    while (!gari__grace_look(ticket, true))
        have_done(&doer, ALLOCATE);
    end_doer(&doer, thread);
}

/* A thread of gari's that is gone is in nobody's way, nor is the next one that gets what liburcu had for it. */
Test(look, is_not_held_up_by_who_is_gone)
{
    use_manual_mode();
    for (int i = 0; i < 3; i++) {
        struct doer doer;
        pthread_t thread = start_doer(&doer);
        have_done(&doer, ALLOCATE);
        have_done(&doer, BEGIN);
        uint64_t ticket = gari__grace_begin();
        cr_assert(!gari__grace_look(ticket, true));
        have_done(&doer, END);
        cr_assert(!gari__grace_look(ticket, true));
        end_doer(&doer, thread);
        cr_assert(gari__grace_look(ticket, true));
    }
}

/* At the end of a thread liburcu may have forgotten it before the program has: here a destructor that comes after
 * liburcu's and before gari's, in which another thread gets what liburcu had for this one, and leaves it resting. */
static pthread_key_t late_key;
static struct reader late_reader;
static void (*late_call)(void);

static void *allocate_and_read(void *unused)
{
    (void)unused;
    gari_decref(new_leaf(1));
    gari_read_begin();
    gari_read_end();
    return NULL;
}

static void read_late(void *unused)
{
    (void)unused;
    join_thread(start_thread(allocate_and_read, NULL));
    late_call();
    stay_in_section(&late_reader);
}

static void *read_and_end(void *unused)
{
    (void)unused;
    cr_assert(pthread_setspecific(late_key, &late_key) == 0);
    return allocate_and_read(NULL);
}

static void step_once(void)
{
    gari_step(1);
}

static void freeze_all(void)
{
    gari_freeze();
}

static void look_past_the_end_of_a_thread(void (*call)(void))
{
    late_call = call;
    cr_assert(pthread_key_create(&late_key, read_late) == 0); /* before gari's */
    use_manual_mode();
    late_reader = (struct reader){.in = GATE_CLOSED, .out = GATE_CLOSED};
    pthread_t thread = start_thread(read_and_end, NULL);
    gate_wait(&late_reader.in);
    uint64_t ticket = gari__grace_begin();
    cr_assert(!gari__grace_look(ticket, true));
    cr_assert(!gari__grace_look(ticket, false));
    end_reader(&late_reader, thread);
    cr_assert(gari__grace_look(ticket, false));
}

Test(look, sees_a_section_that_follows_a_step_at_the_end_of_a_thread)
{
    look_past_the_end_of_a_thread(step_once);
}

Test(look, sees_a_section_that_follows_a_freeze_at_the_end_of_a_thread)
{
    look_past_the_end_of_a_thread(freeze_all);
}

struct bulk {
    gari_object header;
    gari_ref any;
    char room[1000];
};
static const gari_type bulk_type = GARI_TYPE(struct bulk, .refs = GARI_REFS(struct bulk, any));

static void make_bulky_garbage(size_t bytes)
{
    for (size_t made = 0; made < bytes; made += sizeof(struct bulk)) {
        struct bulk *bulk = gari_new(&bulk_type);
        cr_assert(bulk != NULL);
        gari_store(&bulk->any, &bulk->header);
        gari_decref(bulk);
    }
}

/* A proof waits for a reader, and a thread that makes garbage meanwhile comes to wait for it too: a moment each time,
 * and no longer than for its memory. When the reader has gone allocation alone has all of it collected. */
Test(look, is_waited_for_by_who_is_far_ahead_a_moment_at_a_time)
{
    enum { MEGABYTE = 1 << 20 };
    use_mode(GARI_MODE_INLINE);
    gari_decref(new_leaf(1));
    struct reader reader;
    pthread_t thread = start_reader(&reader);
    make_bulky_garbage(16 * MEGABYTE);
    uint64_t held_up = stats_now().bytes_live;
    cr_assert(held_up > 10 * MEGABYTE, "the reader holds up nothing");
    cr_assert(stats_now().helped > 0);
    end_reader(&reader, thread);
    make_bulky_garbage(16 * MEGABYTE);
    assert_at_most(stats_now().bytes_live, held_up / 2);
    assert_nothing_left();
}

/* Mostly inside when somebody looks: liburcu, which is then asked, tells its sections apart. */
static bool stop; /* atomically */

static void *sections_without_end(void *arg)
{
    struct gate *in = arg;
    gari_read_begin();
    gate_open(in);
    while (!gari__load_relaxed(&stop)) {
        usleep(200);
        gari_read_end();
        gari_read_begin();
    }
    gari_read_end();
    return NULL;
}

static bool looks_over(void *ticket)
{
    return gari__grace_look(*(uint64_t *)ticket, false);
}

Test(look, is_over_though_a_thread_is_nearly_always_in_a_section, .timeout = 120)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_decref(new_leaf(1));
    struct gate in = GATE_CLOSED;
    pthread_t thread = start_thread(sections_without_end, &in);
    gate_wait(&in);
    uint64_t ticket = gari__grace_note();
    cr_assert(wait_until(looks_over, &ticket, 30));
    gari__store_relaxed(&stop, true);
    join_thread(thread);
}

/* More than are looked at; they come one after the other, and share what liburcu has for them. */
static void one_section(void *arg)
{
    (void)arg;
    gari_read_begin();
    gari_read_end();
}

Test(look, threads_come_and_go)
{
    use_manual_mode();
    for (size_t i = 0; i < SCALED(2000); i++)
        run_in_thread(one_section, NULL);
    cr_assert(gari__grace_look(gari__grace_note(), false));
}

/* More than are looked at, at a time: from then on grace periods are liburcu's. */
#define MANY 520

struct crowd {
    struct gate out;
    unsigned inside; /* atomically */
};

static void *stay_after_section(void *arg)
{
    struct crowd *crowd = arg;
    gari_read_begin();
    gari_read_end();
    gari__fetch_add_acq_rel(&crowd->inside, 1);
    gate_wait(&crowd->out);
    return NULL;
}

static bool are_inside(void *crowd)
{
    return gari__load_acquire(&((struct crowd *)crowd)->inside) == MANY;
}

Test(look, is_liburcus_where_there_are_too_many_threads, .timeout = 120,
     .disabled = EMULATED || THREAD_SANITIZED)
{
    use_mode(GARI_MODE_BACKGROUND);
    gari_decref(new_leaf(1));
    struct crowd crowd = {.out = GATE_CLOSED};
    static pthread_t threads[MANY];
    for (int i = 0; i < MANY; i++)
        threads[i] = start_thread(stay_after_section, &crowd);
    cr_assert(wait_until(are_inside, &crowd, 60));
    struct reader reader;
    pthread_t thread = start_reader(&reader);
    uint64_t ticket = gari__grace_note();
    for (int i = 0; i < 3; i++)
        cr_assert(!gari__grace_look(ticket, false));
    end_reader(&reader, thread);
    cr_assert(wait_until(looks_over, &ticket, 60));
    make_garbage_ring(&watched_type, 1000);
    gari_collect(2);
    assert_equal(disposed_count(), 1001);
    gate_open(&crowd.out);
    for (int i = 0; i < MANY; i++)
        join_thread(threads[i]);
    assert_nothing_left();
}
