/* Which orders of memory the code relies on (docs/memory-ordering.md), one small program for each shape.
 * The other models are sequentially consistent; here a thread's steps happen in any order that C11 does
 * not forbid, on hardware where all threads see a store at once (x86-64 and aarch64 are such). Each
 * mutant takes one order away. What is left out: that a relaxed load may return an old value for ever,
 * which no argument of gari's depends on.
 *
 * The order of a read-modify-write that is acquire and release, but not sequentially consistent: a later
 * load may overtake its store, never its load. */
#define STEP(text, who, what) printf(text, who, what)
#define IN_ORDER(a, b) a; b
#define ANY_ORDER(a, b) if :: a; b :: b; a fi
#define THREAD(name) proctype name()

byte over; /* threads that have come to their end */
#define OVER d_step { over++ }

/* ---- Message: a release store after what it announces, an acquire load before what it is about ------ */

/* Fields are zero before the word says that the object lives; a stale pointer may lead the collector
 * there at any time (R2). Just so: an object and its publication in a field; a freed slot's version and
 * the list that hands the slot on (R7); the end of a section and the grace period; the counts of a
 * decided set and the gate's SHUT. */
bool word_lives, field_is_stale = true, saw_life, saw_stale;
#define ZERO d_step { STEP("%d new.zero %d\n", 0, 0); field_is_stale = false }
#define LIVE d_step { STEP("%d new %d\n", 0, 0); word_lives = true }
#define LOOK_WORD d_step { STEP("%d gather %d\n", 9, word_lives); saw_life = word_lives }
#define LOOK_FIELD d_step { STEP("%d gather %d\n", 9, field_is_stale); saw_stale = field_is_stale }
THREAD(birth)
{
#ifdef M_BIRTH_RELAXED
    ANY_ORDER(ZERO, LIVE);
#else
    IN_ORDER(ZERO, LIVE);
#endif
    OVER
}
THREAD(walker)
{
#ifdef M_WALK_RELAXED
    ANY_ORDER(LOOK_WORD, LOOK_FIELD);
#else
    IN_ORDER(LOOK_WORD, LOOK_FIELD);
#endif
    OVER
}

/* The gate is open before the first tag is visible. */
bool is_open, is_tagged, saw_tag, saw_open;
#define OPEN_GATE d_step { STEP("%d gate.open %d\n", 9, 0); is_open = true }
#define TAG d_step { STEP("%d gate.tag %d\n", 9, 0); is_tagged = true }
#define READ_TAG d_step { STEP("%d weak.read %d\n", 0, is_tagged); saw_tag = is_tagged }
#define LOOK_GATE d_step { STEP("%d gate.look %d\n", 0, is_open); saw_open = is_open }
THREAD(tagger)
{
#ifdef M_TAG_RELAXED
    ANY_ORDER(OPEN_GATE, TAG);
#else
    IN_ORDER(OPEN_GATE, TAG);
#endif
    OVER
}
THREAD(getter)
{
#ifdef M_GET_RELAXED
    ANY_ORDER(READ_TAG, LOOK_GATE);
#else
    IN_ORDER(READ_TAG, LOOK_GATE);
#endif
    OVER
}

/* ---- Each looks for the other: both update, then load, sequentially consistent ---------------------- */

/* A decref that finds the bit still set relies on the pass that takes it. */
bool is_counted_down, is_filed = true, saw_bit, saw_update;
#define COUNT_DOWN d_step { STEP("%d decref %d\n", 0, 0); is_counted_down = true }
#define LOOK_BIT d_step { STEP("%d filed.look %d\n", 0, is_filed); saw_bit = is_filed }
#define TAKE_BIT d_step { STEP("%d seed %d\n", 9, 0); is_filed = false }
#define READ_WORD d_step { STEP("%d seed.word %d\n", 9, is_counted_down); saw_update = is_counted_down }
THREAD(decref)
{
#ifdef M_FILED_ACQ_REL
    ANY_ORDER(COUNT_DOWN, LOOK_BIT);
#else
    IN_ORDER(COUNT_DOWN, LOOK_BIT);
#endif
    OVER
}
THREAD(seeder)
{
#ifdef M_SEED_ACQ_REL
    ANY_ORDER(TAKE_BIT, READ_WORD);
#else
    IN_ORDER(TAKE_BIT, READ_WORD);
#endif
    OVER
}

/* The first candidate in a ring, and a worker about to sleep. */
bool is_staged, is_asleep, saw_asleep, saw_staged;
#define STAGE d_step { STEP("%d ring.stage %d\n", 0, 0); is_staged = true }
#define LOOK_ASLEEP d_step { STEP("%d ring.wake %d\n", 0, is_asleep); saw_asleep = is_asleep }
#define FALL_ASLEEP d_step { STEP("%d worker.sleep %d\n", 9, 0); is_asleep = true }
#define LOOK_STAGED d_step { STEP("%d worker.look %d\n", 9, is_staged); saw_staged = is_staged }
THREAD(stager)
{
#ifdef M_STAGE_ACQ_REL
    ANY_ORDER(STAGE, LOOK_ASLEEP);
#else
    IN_ORDER(STAGE, LOOK_ASLEEP);
#endif
    OVER
}
THREAD(worker)
{
#ifdef M_SLEEP_ACQ_REL
    ANY_ORDER(FALL_ASLEEP, LOOK_STAGED);
#else
    IN_ORDER(FALL_ASLEEP, LOOK_STAGED);
#endif
    OVER
}

/* ---- A flag that two exchange ------------------------------------------------------------------------- */

/* A block with a new bit is listed unless it is; the taker unlists it, then reads the bits. */
bool has_bit, is_listed = true, list_says, took_bit;
#define SET_BIT d_step { STEP("%d file.bit %d\n", 7, 0); has_bit = true }
#define LIST d_step { STEP("%d dirty.list %d\n", 7, is_listed); list_says = is_listed; is_listed = true }
#define UNLIST d_step { STEP("%d dirty.take %d\n", 9, 0); is_listed = false }
#define READ_BITS d_step { STEP("%d seed %d\n", 9, has_bit); took_bit = has_bit }
THREAD(lister)
{
#ifdef M_LIST_RELAXED
    ANY_ORDER(SET_BIT, LIST);
#else
    IN_ORDER(SET_BIT, LIST);
#endif
    OVER
}
THREAD(taker)
{
#ifdef M_UNLIST_RELAXED
    ANY_ORDER(UNLIST, READ_BITS);
#else
    IN_ORDER(UNLIST, READ_BITS);
#endif
    OVER
}

/* ---- Three threads: what is seen is handed on --------------------------------------------------------- */

/* A decref that finds CANDIDATE relies on the filer, who clears it and then sets the bit, for the pass
 * that takes the bit. */
bool update, relied, candidate = true, filed, saw;
#define UPDATE d_step { STEP("%d decref %d\n", 0, candidate); update = true; relied = candidate }
#define CLEAR d_step { STEP("%d file.clear %d\n", 7, 0); candidate = false }
#define SET d_step { STEP("%d file.bit %d\n", 7, 0); filed = true }
#define TAKE d_step { filed -> STEP("%d seed %d\n", 9, 0) }
#define READ d_step { STEP("%d seed.word %d\n", 9, update); saw = update }
THREAD(dropper)
{
    UPDATE;
    OVER
}
THREAD(filer)
{
#ifdef M_FILE_RELAXED
    ANY_ORDER(CLEAR, SET);
#else
    IN_ORDER(CLEAR, SET);
#endif
    OVER
}
THREAD(reader)
{
#ifdef M_TAKE_RELAXED
    ANY_ORDER(TAKE, READ);
#else
    IN_ORDER(TAKE, READ);
#endif
    OVER
}

init
{
    byte threads = 2;
    atomic {
        if
        :: run birth(); run walker()
        :: run tagger(); run getter()
        :: run decref(); run seeder()
        :: run stager(); run worker()
        :: run lister(); run taker()
        :: run dropper(); run filer(); run reader(); threads = 3
        fi
    };
    over == threads;
    assert(!saw_life || !saw_stale);                  /* of a new object, a field of the old one */
    assert(!saw_tag || saw_open);                     /* a tag without its gate */
    assert(!saw_bit || !is_counted_down || saw_update); /* a candidate is lost */
    assert(!is_staged || !is_asleep || saw_asleep || saw_staged); /* a worker sleeps for ever */
    assert(!has_bit || took_bit || !list_says || is_listed); /* a bit in a block that nobody lists */
    assert(!update || !relied || saw || !filed)       /* a candidate is lost */
}
