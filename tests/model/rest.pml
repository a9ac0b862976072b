/* Readers that rest (docs/protocol.md, "Grace periods"): an object that is unlinked, freed after a grace period, and
 * linked again in the same memory, over and over; readers that look for it in sections, and in between say that they
 * rest; and who looks whether all have. What a reader says goes through a store buffer, as on x86-64; a full barrier
 * of its own empties that.
 *
 * Nobody may have the object borrowed when its memory is free; and when the readers have come to their end, resting,
 * the last grace period ends too. */
#define STEP(text, who, what) printf(text, who, what)

#define R 2      /* readers */
#define LOOKER 9
#ifndef OPERATIONS
#define OPERATIONS 3 /* of each reader, and then it rests for good */
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif

bool linked = true, is_free; /* the object, and its memory */
byte begun;                  /* grace periods */
bool borrows[R];

/* In memory: whether a reader rests, and which grace period had begun when it last said so. */
bool resting[R];
byte rested[R];
/* On the way there: what it says next, if anything. */
bool on_the_way[R], next_resting[R];
byte next_rested[R];
#define ARRIVE(k) \
    if \
    :: on_the_way[k] -> resting[k] = next_resting[k]; rested[k] = next_rested[k]; on_the_way[k] = false \
    :: else \
    fi
/* Stores are seen in their order: an earlier one has arrived by then. */
#define SAY(k, rests, number) ARRIVE(k); next_resting[k] = rests; next_rested[k] = number; on_the_way[k] = true

proctype drain(byte k)
{
end:
    do
    :: d_step { on_the_way[k] -> ARRIVE(k) }
    od
}

#ifdef M_REST_NO_BARRIER
#define FULL_BARRIER(k) skip
#else
#define FULL_BARRIER(k) ARRIVE(k)
#endif

proctype reader(byte k)
{
    byte operations, number;
    bool rests;
    goto next;

section:
    if
    :: rests ->
        rests = false;
#ifndef M_REST_FOREVER
        d_step { STEP("%d rest.end %d\n", k, number); SAY(k, false, number) };
#endif
        d_step { FULL_BARRIER(k) }
    :: else
    fi;
    d_step {
        STEP("%d borrow.read %d\n", k, linked);
        assert(!linked || !is_free);
        borrows[k] = linked
    };
#ifdef M_REST_IN_SECTION
    if
    :: number = begun; rests = true; d_step { STEP("%d rest.say %d\n", k, number); SAY(k, true, number) }
    :: skip
    fi;
#endif
    d_step { STEP("%d section.end %d\n", k, 0); borrows[k] = false };
    goto next;

rest:
    number = begun;
#ifdef M_REST_NUMBER_AHEAD
    number = number + 1;
#endif
    rests = true;
    d_step { STEP("%d rest.say %d\n", k, number); SAY(k, true, number) };

next:
    if
    :: operations < OPERATIONS -> operations++; goto section
    :: operations < OPERATIONS -> operations++; goto rest
    :: else -> /* for good */
        number = begun;
        d_step { STEP("%d rest.say %d\n", k, number); SAY(k, true, number) }
    fi;
}

proctype looker()
{
    byte rounds, number, k;
    do
    :: rounds == ROUNDS -> break
    :: else ->
        rounds++;
#ifdef M_REST_BEGUN_BEFORE
        d_step { begun++; number = begun };
        d_step { STEP("%d store.exchange %d\n", LOOKER, 0); linked = false };
#else
        d_step { STEP("%d store.exchange %d\n", LOOKER, 0); linked = false };
        d_step { STEP("%d reap.retire %d\n", LOOKER, 0); begun++; number = begun };
#endif
        k = 0;
        do
        :: k == R -> break
#ifdef M_REST_OLD_NUMBER
        :: k < R && (resting[k] || rested[k] >= number - 1) -> STEP("%d rest.look %d\n", LOOKER, k); k++
#else
        :: k < R && (resting[k] || rested[k] >= number) -> STEP("%d rest.look %d\n", LOOKER, k); k++
#endif
        :: k > 0 && k < R -> k = 0 /* it has not: another look */
        od;
        skip;
        d_step {
            STEP("%d reap.free %d\n", LOOKER, 0);
            is_free = true;
            assert(!borrows[0] && !borrows[1])
        };
        d_step { STEP("%d new %d\n", LOOKER, 0); is_free = false; linked = true }
    od
}

init
{
    atomic { run drain(0); run drain(1); run reader(0); run reader(1); run looker() }
}
