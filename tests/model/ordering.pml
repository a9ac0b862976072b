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

/* The block's bits and whether it is listed: who has set a bit lists the block, unless it is; who takes it
 * off the list reads the bits after that. */
bool has_bit, is_listed = true, list_says, took_bit;
#define SET_BIT d_step { STEP("%d suspect.bit %d\n", 0, 0); has_bit = true }
#define LIST d_step { STEP("%d dirty.list %d\n", 0, is_listed); list_says = is_listed; is_listed = true }
#define UNLIST d_step { STEP("%d dirty.take %d\n", 9, 0); is_listed = false }
#define READ_BITS d_step { STEP("%d seed %d\n", 9, has_bit); took_bit = has_bit }
THREAD(lister)
{
#ifdef M_LIST_ACQ_REL
    ANY_ORDER(SET_BIT, LIST);
#else
    IN_ORDER(SET_BIT, LIST);
#endif
    OVER
}
THREAD(taker)
{
#ifdef M_UNLIST_ACQ_REL
    ANY_ORDER(UNLIST, READ_BITS);
#else
    IN_ORDER(UNLIST, READ_BITS);
#endif
    OVER
}

/* A block that has just been listed, and a worker about to sleep. */
bool is_dirty, is_asleep, saw_asleep, saw_dirty;
#define MAKE_DIRTY d_step { STEP("%d dirty.list %d\n", 0, 0); is_dirty = true }
#define LOOK_ASLEEP d_step { STEP("%d dirty.wake %d\n", 0, is_asleep); saw_asleep = is_asleep }
#define FALL_ASLEEP d_step { STEP("%d worker.sleep %d\n", 9, 0); is_asleep = true }
#define LOOK_DIRTY d_step { STEP("%d worker.look %d\n", 9, is_dirty); saw_dirty = is_dirty }
THREAD(waker)
{
#ifdef M_WAKE_ACQ_REL
    ANY_ORDER(MAKE_DIRTY, LOOK_ASLEEP);
#else
    IN_ORDER(MAKE_DIRTY, LOOK_ASLEEP);
#endif
    OVER
}
THREAD(worker)
{
#ifdef M_SLEEP_ACQ_REL
    ANY_ORDER(FALL_ASLEEP, LOOK_DIRTY);
#else
    IN_ORDER(FALL_ASLEEP, LOOK_DIRTY);
#endif
    OVER
}

/* What the code does not do, since it would need this order at every decref: one that looks whether the bit
 * is still set, and then relies on the pass that takes it. */
bool is_counted_down, bit_is_set = true, saw_bit, saw_update;
#define COUNT_DOWN d_step { STEP("%d decref %d\n", 0, 0); is_counted_down = true }
#define LOOK_BIT d_step { STEP("%d broken.look %d\n", 0, bit_is_set); saw_bit = bit_is_set }
#define TAKE_BIT d_step { STEP("%d seed %d\n", 9, 0); bit_is_set = false }
#define READ_WORD d_step { STEP("%d seed.word %d\n", 9, is_counted_down); saw_update = is_counted_down }
THREAD(decref)
{
#ifdef M_DECREF_LOOKS_AT_BIT
    ANY_ORDER(COUNT_DOWN, LOOK_BIT);
#else
    IN_ORDER(COUNT_DOWN, LOOK_BIT);
#endif
    OVER
}
THREAD(seeder)
{
    IN_ORDER(TAKE_BIT, READ_WORD);
    OVER
}

/* ---- Three threads: what is seen is handed on --------------------------------------------------------- */

/* The flag and the bit. One makes the object a candidate, another relies on him, a pass takes it; the bit
 * may also be an earlier one's. The other changes a field, then comes to the word: by a read-modify-write,
 * whose order is that of the word, so that the flag which it returns is one that will be taken later. */
bool change, relied, flag, bit_set, saw;
#define SUSPECT d_step { STEP("%d suspect %d\n", 0, flag); flag = true }
#define MARK d_step { STEP("%d suspect.bit %d\n", 0, 0); bit_set = true }
#define CHANGE d_step { STEP("%d move.exchange %d\n", 1, 0); change = true }
#define RELY d_step { STEP("%d suspect %d\n", 1, flag); relied = flag }
#define TAKE d_step { bit_set -> STEP("%d seed %d\n", 9, 0); bit_set = false }
#define TAKE_FLAG d_step { STEP("%d seed.word %d\n", 9, flag); flag = false }
#define READ d_step { STEP("%d gather %d\n", 9, change); saw = change }
THREAD(suspecter)
{
#ifdef M_SUSPECT_RELAXED
    ANY_ORDER(SUSPECT, MARK);
#else
    IN_ORDER(SUSPECT, MARK);
#endif
    OVER
}
THREAD(relier)
{
    /* A load that only looks at the flag may overtake the exchange; so it is no load, and a release. */
#ifdef M_MOVE_LOOKS_AT_FLAG
    ANY_ORDER(CHANGE, RELY);
#else
    IN_ORDER(CHANGE, RELY);
#endif
    OVER
}
THREAD(reader)
{
#if defined(M_TAKE_RELAXED)
    ANY_ORDER(TAKE, TAKE_FLAG);
    READ;
#elif defined(M_READ_RELAXED)
    TAKE;
    ANY_ORDER(TAKE_FLAG, READ);
#else
    TAKE;
    IN_ORDER(TAKE_FLAG, READ);
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
        :: run waker(); run worker()
        :: run lister(); run taker()
        :: run suspecter(); run relier(); run reader(); threads = 3;
           if :: bit_set = true :: skip fi
        fi
    };
    over == threads;
    assert(!saw_life || !saw_stale);                  /* of a new object, a field of the old one */
    assert(!saw_tag || saw_open);                     /* a tag without its gate */
    assert(!saw_bit || !is_counted_down || saw_update); /* a candidate is lost */
    assert(!is_dirty || !is_asleep || saw_asleep || saw_dirty); /* a worker sleeps for ever */
    assert(!has_bit || took_bit || !list_says || is_listed); /* a bit in a block that nobody lists */
    assert(!flag || bit_set);                         /* a flag for ever */
    assert(!change || !relied || saw || bit_set)      /* a candidate is lost */
}
