/* R8, the second way: an object keeps its references in a store of its own, and rearranges them by
 * filling a fresh copy that it publishes by one pointer store. No version is bumped, so V2 has nothing
 * but the rule to rely on: it loads the pointer once, and what it leads to is not written again as long
 * as V2's section lasts.
 *
 * Object 0 is a garbage ring of one, in which a mutator is a reader; object 1 is referred to by an
 * element of its store, and owned by the mutator. See docs/model.md. */
#define STEP(text, who, what) printf(text, who, what)

#define STORES 2
#define ELEMENT(s, k) element[(s)*2 + (k)]
#define MUTATOR 1   /* in `insec` and the like */
#define COLLECTOR 2

byte cnt[2];
bool changed[2];    /* the version has grown since V1 */
bool element[STORES * 2]; /* refers to object 1 */
byte current;       /* the store that object 0's pointer leads to */
byte insec;
byte wait;          /* the proof's grace period */
byte retired[STORES]; /* those in whose sections this store may still be read: it is not fresh */
byte own;           /* references of the mutator's to object 1 */
bool own_holder, borrowed; /* and to object 0 */
bool taken;         /* out of an element, not yet counted as the mutator's */

inline leave(who)
{
    insec = insec & ~who;
    wait = wait & ~who;
    retired[0] = retired[0] & ~who;
    retired[1] = retired[1] & ~who
}

inline done()
{
    if
    :: !borrowed -> leave(MUTATOR)
    :: else
    fi
}

#ifdef M_R8_WRITTEN_AGAIN
#define FRESH(s) (s != current)
#else
#define FRESH(s) (s != current && retired[s] == 0)
#endif
#define HAS_HOLDER (borrowed || own_holder)

proctype mutator()
{
    byte s, k;
end:
    do
    :: atomic { /* copies the two elements, as they are or swapped */
        HAS_HOLDER && (FRESH(0) || FRESH(1)) ->
        if
        :: FRESH(0) -> s = 0
        :: FRESH(1) -> s = 1
        fi;
        if
        :: k = 0
        :: k = 1
        fi;
        insec = insec | MUTATOR;
        STEP("%d user.copy %d\n", 0, s);
        ELEMENT(s, 0) = ELEMENT(current, k)
    };
    d_step { STEP("%d user.copy %d\n", 0, s); ELEMENT(s, 1) = ELEMENT(current, 1 - k); k = 0 };
    d_step {
        STEP("%d user.publish %d\n", 0, s);
        retired[current] = insec;
        current = s;
        s = 0;
        done()
    }
    :: atomic {
        HAS_HOLDER && own < 2 && (ELEMENT(current, 0) || ELEMENT(current, 1)) ->
        if
        :: ELEMENT(current, 0) -> k = 0
        :: ELEMENT(current, 1) -> k = 1
        fi;
        d_step {
            STEP("%d take.exchange %d\n", 0, 1);
            insec = insec | MUTATOR;
            ELEMENT(current, k) = 0;
            k = 0;
            taken = true
        }
    };
    d_step { STEP("%d moved %d\n", 0, 1); changed[1] = true; taken = false; own++; done() }
    :: atomic {
        HAS_HOLDER && own && !(ELEMENT(current, 0) && ELEMENT(current, 1)) ->
        if
        :: !ELEMENT(current, 0) -> k = 0
        :: !ELEMENT(current, 1) -> k = 1
        fi;
        d_step { STEP("%d move.exchange %d\n", 0, 1); ELEMENT(current, k) = 1; k = 0; own-- }
    }
    :: d_step { own == 1 -> STEP("%d incref %d\n", 0, 1); cnt[1] = cnt[1] + 1; changed[1] = true; own = 2 }
    :: d_step { own && cnt[1] > 1 -> STEP("%d decref %d\n", 0, 1); cnt[1] = cnt[1] - 1; own-- }
    :: d_step { borrowed && !own_holder -> STEP("%d try_incref %d\n", 0, 0); cnt[0] = cnt[0] + 1; changed[0] = true; own_holder = true }
    :: d_step { own_holder && cnt[0] > 1 -> STEP("%d decref %d\n", 0, 0); cnt[0] = cnt[0] - 1; own_holder = false }
    :: d_step { own_holder && !borrowed -> STEP("%d borrow.read %d\n", 0, 0); borrowed = true; insec = insec | MUTATOR }
    :: d_step { borrowed -> STEP("%d section.end %d\n", 0, 0); borrowed = false; done() }
    od
}

proctype collector()
{
    byte word[2], s, edges;
    bool both;
    do
    :: d_step { STEP("%d proof.v1 %d\n", 9, 0); word[0] = cnt[0]; changed[0] = false };
        d_step { STEP("%d proof.v1 %d\n", 9, 1); word[1] = cnt[1]; changed[1] = false };
        d_step { insec = insec | COLLECTOR; s = current };
        d_step { STEP("%d proof.v2 %d\n", 9, ELEMENT(s, 0)); edges = ELEMENT(s, 0) };
#ifdef M_R8_TWO_LOADS
        s = current;
#endif
        d_step { STEP("%d proof.v2 %d\n", 9, ELEMENT(s, 1)); edges = edges + ELEMENT(s, 1); leave(COLLECTOR); s = 0 };
        /* Object 0 has the one edge to itself. */
        if
        :: word[0] == 1 ->
            d_step {
                both = edges == word[1];
                STEP("%d proof.v3 %d\n", 9, 1 + both);
                STEP("%d proof.grace %d\n", 9, insec);
                wait = insec
            };
            d_step { wait == 0 -> STEP("%d proof.rc %d\n", 9, 0); both = both && !changed[1] && cnt[1] == word[1] };
            if
            :: !changed[0] && cnt[0] == word[0] ->
                d_step {
                    STEP("%d commit.zero %d\n", 9, 1 + both);
                    assert(!borrowed && !own_holder);
                    assert(!both || (!own && !taken))
                };
                break
            :: else
            fi
        :: else
        fi;
        d_step { edges = 0; both = false; word[0] = 0; word[1] = 0; changed[0] = true; changed[1] = true }
    od
}

init
{
    atomic {
        cnt[0] = 1;
        cnt[1] = 2;
        ELEMENT(0, 0) = true;
        own = 1;
        borrowed = true;
        insec = MUTATOR;
        run mutator();
        run collector()
    }
}
