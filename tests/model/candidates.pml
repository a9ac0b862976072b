/* Completeness: what the collector examines, and that no garbage stays. Each mutator does BUDGET
 * operations and then rests, with what it holds by then; when nothing can happen any more, everything
 * that no thread can reach has to be free memory. As in the code: whoever makes an object a candidate
 * sets the flag CANDIDATE in its word, then the object's bit in its block, then lists the block as
 * dirty; a pass over the young or over the whole heap takes the block off the list, takes bits, then
 * flags, guesses, proves. All objects lie in one block. See docs/model.md. */
#define CANDIDATES
byte flag;     /* words with CANDIDATE */
byte bits;     /* candidates' bits in the block */
bit dirty;     /* the block is on the list of those with new candidates */
byte list;     /* the collector's list that it is on, */
#define NO_LIST 0
#define YOUNG_LIST 1 /* of blocks that have young candidates, */
#define OLD_LIST 2   /* or old ones only; */
#define TAKEN 3      /* or a pass has it in hand */
bit again;     /* it has been dirty meanwhile */
bit settled;   /* it is dirty, but not on that list: on OLD_LIST, and all in it is old */
bit settling;  /* a pass is about to make it so, or the opposite; the collector's lock is held */
bit newest;    /* the block's newest stamp is of the present epoch */
bit relied;    /* somebody has made a young candidate, and found the block marked by whom has it in hand */
byte stamped;  /* a birth is under way; 1: with the present stamp, 2: with one of an earlier epoch */
byte sus[M];   /* what each mutator is making a candidate, from the step that makes it one to the bit */
byte young;    /* generation 0: born since the last pass began */
byte inside[2]; /* for each pass: born before its boundary, and of its ages */
byte proving;

/* The word of a newborn has no flag, whatever the dead one's had. The bit stays what it was. */
#ifdef M_BIRTH_KEEPS_FLAG
#define NEW_WORD(o)
#else
#define NEW_WORD(o) flag = flag & ~BIT(o);
#endif
#define BORN_MORE(o) \
    NEW_WORD(o) \
    if \
    :: stamped == 2 -> \
        inside[0] = inside[0] | BIT(o); \
        inside[1] = inside[1] | BIT(o) \
    :: else -> \
        young = young | BIT(o); \
        inside[0] = inside[0] & ~BIT(o); \
        inside[1] = inside[1] & ~BIT(o) \
    fi; \
    stamped = 0;

/* The block has one owner, who alone makes objects there. */
#define MAY_STAMP && !stamped
#ifdef M_STAMP_UNSEEN
#define UNSETTLE
#else
#define UNSETTLE settled = 0
#endif
#define STAMP(m) \
        d_step { \
            stamped = 1; \
            if :: newest -> y = 0 :: else -> newest = 1; y = 1 fi \
        } \
    }; \
    if \
    :: y -> \
        d_step { \
            STEP("%d new.stamp %d\n", m, settled); \
            y = 0; \
            if :: settled -> UNSETTLE :: else fi \
        } \
    :: else \
    fi; \
    atomic {

#define COLLECTORS 2 /* a young pass and one over everything, side by side */
#define YOUNG 0
#define WHOLE 1

/* A decref that finds the flag, in the word that it has counted down, need do nothing. */
#ifdef M_DECREF_LOOKS_FIRST
#define LOOKED_AT y
#else
#define LOOKED_AT (flag & BIT(old[m]))
#endif
#ifdef M_DECREF_NO_CANDIDATE
#define SUSPECT_DROPPED(m)
#else
#define SUSPECT_DROPPED(m) \
    if \
    :: old[m] && cnt[old[m]] > 0 && !LOOKED_AT -> d_step { sus[m] = old[m]; old[m] = 0 } goto suspect \
    :: else \
    fi
#endif
#ifdef M_MOVE_NO_CANDIDATE
#define SUSPECT_MOVED(m, y)
#else
#define SUSPECT_MOVED(m, y) d_step { sus[m] = y; y = 0 } goto suspect
#endif

#ifdef M_NOT_LISTED
#define LIST_BLOCK skip
#else
#define LIST_BLOCK dirty = 1
#endif
#define SET_FLAG \
    atomic { \
        STEP("%d suspect %d\n", m, sus[m]); \
        assert(st[sus[m]] != FREE); \
        if \
        :: flag & BIT(sus[m]) -> sus[m] = 0; DROP_OLD(m); goto end \
        :: else -> flag = flag | BIT(sus[m]) \
        fi; \
        END_SECTION_EARLY(m) \
    }
#define SET_BIT \
    d_step { STEP("%d suspect.bit %d\n", m, sus[m]); assert(st[sus[m]] != FREE); bits = bits | BIT(sus[m]) }
/* A young candidate is listed where young passes see it. */
#define LIST_IT \
    d_step { \
        STEP("%d dirty.list %d\n", m, dirty); \
        assert(!settled || settling || !(young & BIT(sus[m]))); \
        if :: dirty && settling && (young & BIT(sus[m])) -> relied = 1 :: else fi; \
        LIST_BLOCK \
    }
#ifdef M_SECTION_ENDS_FIRST
#define END_SECTION_EARLY(m) d_step { section_end(m) }
#else
#define END_SECTION_EARLY(m)
#endif
#if defined(M_BIT_FIRST)
#define SUSPECT_IN_ORDER skip; SET_BIT; LIST_IT; SET_FLAG
#elif defined(M_LISTED_FIRST)
#define SUSPECT_IN_ORDER SET_FLAG; LIST_IT; SET_BIT
#else
#define SUSPECT_IN_ORDER SET_FLAG; SET_BIT; LIST_IT
#endif
#define SUSPECT_STEPS \
suspect: \
    SUSPECT_IN_ORDER; \
    atomic { sus[m] = 0; DROP_OLD(m); goto end };

/* The same by the reaper and by the collector's own decrefs, in one step: a mutator's are in three. */
#define SUSPECT_AT_ONCE(o) \
    if \
    :: cnt[o] > 0 && !(flag & BIT(o)) -> flag = flag | BIT(o); bits = bits | BIT(o); LIST_BLOCK \
    :: else \
    fi
#define SUSPECT_REAPED d_step { SUSPECT_AT_ONCE(rp) }

/* Nobody is about to set the bit of what is freed or committed. */
#if M > 1
#define NOT_IN_USE(o) assert(sus[0] != o && sus[1] != o);
#else
#define NOT_IN_USE(o) assert(sus[0] != o);
#endif

#include "heap.pml"
#include "mutator.pml"

#define IN(set, o) ((set) & BIT(o))

#define EACH(what) what(1); what(2); THIRD(what)
#if N > 2
#define THIRD(what) what(3);
#else
#define THIRD(what)
#endif

/* A look whether any candidate is alive drops those that are dead. The bit goes first, here too: another
 * may be born there. */
#ifdef M_LOOK_WORD_FIRST
#define LOOK(o) \
    d_step { if :: IN(bits, o) && cnt[o] == 0 -> STEP("%d look.word %d\n", 9 + c, o); todo = todo | BIT(o) :: else fi }; \
    d_step { if :: IN(todo, o) -> STEP("%d look.bit %d\n", 9 + c, o); bits = bits & ~BIT(o); todo = 0 :: else fi };
#else
#define LOOK(o) \
    d_step { if :: IN(bits, o) -> STEP("%d look.bit %d\n", 9 + c, o); bits = bits & ~BIT(o); todo = todo | BIT(o) :: else fi }; \
    d_step { \
        if \
        :: IN(todo, o) -> \
            STEP("%d look.word %d\n", 9 + c, o); \
            todo = 0; \
            if :: cnt[o] > 0 -> bits = bits | BIT(o) :: else fi \
        :: else \
        fi \
    };
#endif

/* The flag goes after the bit, and before anything of the object is read. */
#define WORD(o) \
    d_step { \
        if \
        :: IN(taken, o) -> \
            STEP("%d seed.word %d\n", 9 + c, o); \
            taken = taken & ~BIT(o); \
            TAKE_FLAG(o) \
            if \
            :: cnt[o] > 0 -> seeds = seeds | BIT(o) \
            :: else \
            fi \
        :: else \
        fi \
    }
#if defined(M_FLAG_TAKEN_LATE) || defined(M_FLAG_TAKEN_FIRST)
#define TAKE_FLAG(o)
#else
#define TAKE_FLAG(o) flag = flag & ~BIT(o);
#endif
#ifdef M_BIT_TAKEN_LATE
#define TAKE_BITS
#else
#define TAKE_BITS bits = bits & ~taken;
#endif
#define MINE (bits & (c == WHOLE -> 255 : inside[c]))

#define GATHER(o) \
    :: d_step { \
        IN(todo, o) -> \
        STEP("%d gather %d\n", 9 + c, o); \
        todo = todo & ~BIT(o); \
        if \
        :: cnt[o] && FLD(o, 0) && IN(inside[c], FLD(o, 0)) -> \
            edges[FLD(o, 0)] = edges[FLD(o, 0)] + 1; \
            todo = todo | (BIT(FLD(o, 0)) & ~reached); \
            reached = reached | BIT(FLD(o, 0)) \
        :: else \
        fi \
    }

#define SCAN(o) \
    d_step { \
        if \
        :: IN(reached, o) && !IN(live, o) && cnt[o] > edges[o] -> \
            STEP("%d scan.live %d\n", 9 + c, o); \
            live = live | BIT(o); \
            todo = todo | BIT(o) \
        :: else \
        fi \
    }
#define SPREAD(o) \
    :: d_step { \
        IN(todo, o) -> \
        todo = todo & ~BIT(o); \
        if \
        :: cnt[o] && FLD(o, 0) && IN(reached, FLD(o, 0)) -> \
            todo = todo | (BIT(FLD(o, 0)) & ~live); \
            live = live | BIT(FLD(o, 0)) \
        :: else \
        fi \
    }

#define V1(o) \
    d_step { \
        if \
        :: IN(set, o) -> \
            STEP("%d proof.v1 %d\n", 9 + c, o); \
            seen[o] = cnt[o]; \
            edges[o] = 0; \
            changed[c] = changed[c] & ~BIT(o); \
            if \
            :: cnt[o] == 0 -> set = set & ~BIT(o) \
            :: else \
            fi \
        :: else \
        fi \
    }
#define V2(o) \
    d_step { \
        if \
        :: IN(set, o) && FLD(o, 0) && IN(set, FLD(o, 0)) -> \
            STEP("%d proof.v2 %d\n", 9 + c, FLD(o, 0)); \
            edges[FLD(o, 0)] = edges[FLD(o, 0)] + 1 \
        :: else \
        fi \
    }
#define V3(o) \
    if \
    :: IN(set, o) && edges[o] != seen[o] -> bad = bad | BIT(o) \
    :: else \
    fi
#define RC(o) \
    d_step { \
        wait[c] == 0 -> \
        if \
        :: IN(set, o) && (IN(changed[c], o) || cnt[o] != seen[o]) -> \
            STEP("%d proof.rc %d\n", 9 + c, o); \
            bad = bad | BIT(o) \
        :: else \
        fi \
    }
#define ZERO(o) \
    if \
    :: IN(set, o) -> assert(st[o] == LIVE); NOT_IN_USE(o) st[o] = GONE; cnt[o] = 0; bump(o) \
    :: else \
    fi
#define DROP(o) \
    atomic { \
        if \
        :: IN(set, o) && FLD(o, 0) -> \
            d_step { \
                bad = FLD(o, 0); \
                FLD(o, 0) = 0; \
                if \
                :: !IN(set, bad) -> \
                    STEP("%d commit.drop %d\n", 9 + c, bad); \
                    down(bad); \
                    SUSPECT_AT_ONCE(bad) \
                :: else \
                fi; \
                bad = 0 \
            } \
        :: else \
        fi \
    }
#define RELEASE(o) \
    d_step { \
        if \
        :: IN(set, o) -> STEP("%d commit.free %d\n", 9 + c, o); release_memory(o) \
        :: else \
        fi \
    }

proctype pass(byte c)
{
    byte taken, seeds, reached, todo, live, set, bad;
    byte edges[N + 1];
    byte seen[N + 1];
#ifdef GIVES_UP
    byte gave_up; /* at most once; 1: in this pass */
#endif
end:
    do
    :: atomic {
        !settling && ((c == YOUNG && young && ((dirty && !settled) || list == YOUNG_LIST)) || (c == WHOLE && (dirty || list == YOUNG_LIST || list == OLD_LIST))) ->
        d_step {
            if
            :: c == YOUNG ->
                STEP("%d young.begin %d\n", 9 + c, young);
                inside[c] = young;
                young = 0;
                newest = 0;
                if :: stamped -> stamped = 2 :: else fi
            :: else -> STEP("%d whole.begin %d\n", 9 + c, bits)
            fi;
#ifdef M_EPOCH_FIRST
            if :: c == WHOLE -> inside[c] = 255; young = 0 :: else fi
#endif
        }
    };
#ifdef M_READ_FIRST
    d_step { if :: list != TAKEN -> taken = MINE :: else fi };
#endif
    /* The block comes off the list, then its bits are read. If the other pass has it in hand, that is told. */
    atomic {
        !settling ->
        d_step {
            STEP("%d dirty.take %d\n", 9 + c, dirty);
            if
            :: list == TAKEN && dirty && !settled -> again = 1
            :: list == TAKEN && (!dirty || settled)
            :: list == OLD_LIST && (!dirty || settled) && c == YOUNG
            :: else -> list = TAKEN; todo = 1
            fi;
            if :: settled :: else -> dirty = 0 fi
        };
        if
        :: todo == 0 -> taken = 0; goto finish
        :: else -> todo = 0
        fi
    };
#ifdef M_OPENED_LATE
    d_step { taken = MINE };
#endif
    /* It may be settled, or have been until now. */
    atomic {
        !settling ->
        if
        :: settled -> d_step { settled = 0; settling = 1 }
        :: else
        fi
    };
    if
    :: settling -> d_step { STEP("%d settle.open %d\n", 9 + c, dirty); dirty = 0; settling = 0; relied = 0 }
    :: else
    fi;
#ifdef LOOKS
    EACH(LOOK);
#endif
#ifdef M_FLAG_TAKEN_FIRST
    d_step { taken = MINE; flag = flag & ~taken };
    d_step { STEP("%d seed %d\n", 9 + c, bits); bits = bits & ~taken };
#elif defined(M_READ_FIRST) || defined(M_OPENED_LATE)
    d_step { STEP("%d seed %d\n", 9 + c, bits); TAKE_BITS };
#else
    d_step { STEP("%d seed %d\n", 9 + c, bits); taken = MINE; TAKE_BITS };
#endif
    EACH(WORD);
    /* What was left: younger than this pass looks at, or older; the bits of a whole one are all taken. */
    d_step {
        if
#ifndef M_AGAIN_IGNORED
        :: again -> list = YOUNG_LIST
#endif
        :: c == YOUNG && (bits & young) -> list = YOUNG_LIST
        :: c == YOUNG && bits && !(bits & young) ->
            list = OLD_LIST;
            /* All in it is old: it stays marked, unless it is listed. */
            if
            :: !newest && !dirty -> dirty = 1; settling = 1
            :: else
            fi
        :: else -> list = NO_LIST
        fi;
        again = 0
    };
    if
    :: c == YOUNG && settling ->
        d_step { STEP("%d settle.mark %d\n", 9 + c, newest); settled = 1 };
        d_step {
            STEP("%d settle.look %d\n", 9 + c, newest);
#ifndef M_SETTLED_BLINDLY
            if :: newest -> settled = 0 :: else fi;
#endif
            settling = 0;
            relied = 0;
            assert(!settled || !(bits & young)) /* a young candidate whom no young pass sees */
        }
    :: else
    fi;
    /* The boundary of a whole pass: after its candidates are taken. */
    atomic {
        d_step {
            if
#ifndef M_EPOCH_FIRST
            :: c == WHOLE -> STEP("%d whole.boundary %d\n", 9 + c, seeds); inside[c] = 255; young = 0
#endif
            :: else
            fi;
            reached = seeds;
            todo = seeds
        }
    };
    do
    GATHER(1)
    GATHER(2)
#if N > 2
    GATHER(3)
#endif
    :: atomic { todo == 0 -> break }
    od;
    atomic { skip };
    EACH(SCAN);
    do
    SPREAD(1)
    SPREAD(2)
#if N > 2
    SPREAD(3)
#endif
    :: atomic { todo == 0 -> break }
    od;
    atomic {
        d_step { set = reached & ~live; reached = 0; live = 0 };
        if
        :: set == 0 -> goto finish
        :: else
        fi
    };
#ifdef GIVES_UP
    if
    :: gave_up == 0 -> gave_up = 1; set = 0; goto finish
    :: true
    fi;
#endif
#ifdef M_TWO_PROOFS
    skip;
#else
    atomic { proving == 0 -> proving = 1 };
#endif
prove:
    skip;
    EACH(V1);
    EACH(V2);
    atomic {
        d_step {
            EACH(V3);
            if
            :: set && !bad -> STEP("%d proof.v3 %d\n", 9 + c, set); STEP("%d proof.grace %d\n", 9 + c, insec); wait[c] = insec
            :: else
            fi
        };
        if
        :: set == 0 -> goto close
        :: set && bad -> goto shrink
        :: else
        fi
    };
    EACH(RC);
    atomic {
        if
        :: bad -> goto shrink
        :: else
        fi;
        d_step {
            STEP("%d commit.zero %d\n", 9 + c, set);
            nobody_holds(set);
            EACH(ZERO)
            hi = 0
        };
        goto committed
    };
shrink:
#ifdef M_FAILURE_DROPS_ALL
    atomic { set = 0; bad = 0; goto close };
#endif
    /* What failed leaves, and takes all that it reaches along; the rest is proved anew. */
    atomic { d_step { STEP("%d shrink %d\n", 9 + c, bad); reached = set; live = bad; todo = bad; bad = 0 } };
    do
    SPREAD(1)
    SPREAD(2)
#if N > 2
    SPREAD(3)
#endif
    :: atomic { todo == 0 -> break }
    od;
    atomic {
        d_step { set = set & ~live; reached = 0; live = 0 };
        if
        :: set -> goto prove
        :: else -> goto close
        fi
    };
committed:
    skip;
    EACH(DROP);
    EACH(RELEASE);
close:
    atomic { proving = 0 };
finish:
    atomic {
        d_step {
            /* A verdict of a pass over some ages is none about what spans them; that of a whole one
             * is final, until the object becomes a candidate again. */
            if
#ifdef M_GIVING_UP_FORGETS
            :: c == YOUNG ->
#elif defined(M_WHOLE_KEEPS)
            :: true ->
#elif defined(GIVES_UP)
            :: c == YOUNG || gave_up == 1 ->
#else
            :: c == YOUNG ->
#endif
#ifndef M_YOUNG_FORGETS
                hi = 1;
                do
                :: hi <= N ->
                    if
                    :: IN(seeds, hi) && cnt[hi] > 0 -> STEP("%d keep %d\n", 9 + c, hi); bits = bits | BIT(hi); LIST_BLOCK
                    :: else
                    fi;
                    hi++
                :: else -> break
                od;
                hi = 0
#else
                skip
#endif
            :: else ->
#if defined(M_BIT_TAKEN_LATE)
                bits = bits & ~seeds
#elif defined(M_FLAG_TAKEN_LATE)
                flag = flag & ~seeds
#else
                skip
#endif
            fi;
#ifdef GIVES_UP
            if :: gave_up == 1 -> gave_up = 2 :: else fi;
#endif
            seeds = 0;
            set = 0;
            bad = 0;
            inside[c] = 0;
            changed[c] = 255;
            hi = 1;
            do
            :: hi <= N -> edges[hi] = 0; seen[hi] = 0; hi++
            :: else -> break
            od;
            hi = 0
        }
    }
    od
}

#ifdef LOOKER
/* A look whether a candidate has waited long opens the block, and leaves it on a list. Once. */
proctype looker()
{
end:
    atomic { settled && !settling && list == OLD_LIST -> d_step { settled = 0; settling = 1 } };
    d_step { STEP("%d settle.open %d\n", 11, dirty); dirty = 0 };
    d_step {
#ifndef M_OPENED_BLINDLY
        if :: newest -> list = YOUNG_LIST :: else fi;
#endif
        settling = 0;
        assert(!relied || list == YOUNG_LIST); /* a young candidate whom no young pass sees */
        relied = 0
    }
}
#endif

/* When nothing can happen any more. */
byte at_rest;
proctype quiescence()
{
    byte reach;
    timeout ->
    d_step {
        hi = 0;
        do
        :: hi < M -> if :: own[hi] -> reach = reach | BIT(own[hi]) :: else fi; hi++
        :: else -> break
        od;
        hj = 0;
        do
        :: hj < N ->
            hi = 1;
            do
            :: hi <= N ->
                if
                :: IN(reach, hi) && FLD(hi, 0) -> reach = reach | BIT(FLD(hi, 0))
                :: else
                fi;
                hi++
            :: else -> break
            od;
            hj++
        :: else -> break
        od;
        hi = 1;
        do
        :: hi <= N ->
            assert(st[hi] == FREE || IN(reach, hi)); /* garbage is left for ever */
            assert(st[hi] != FREE || !IN(reach, hi));
            hi++
        :: else -> break
        od;
        hi = 0;
        hj = 0;
        at_rest = 1
    }
}

init
{
    atomic {
        d_step {
#ifdef START_RING
            /* A ring of two across the ages, each member owned by a thread. */
            st[1] = LIVE;
            st[2] = LIVE;
            FLD(1, 0) = 2;
            FLD(2, 0) = 1;
            cnt[1] = 2;
            cnt[2] = 2;
#if M > 1
            own[0] = 1;
            own[1] = 2;
#else
            cnt[1] = 1;
            own[0] = 2;
#endif
            young = BIT(2);
            newest = 1;
#endif
            changed[0] = 255;
            changed[1] = 255
        };
        run mutator(0);
#if M > 1
        run mutator(1);
#endif
        run reaper();
#ifndef NO_YOUNG
        run pass(YOUNG);
#endif
        run pass(WHOLE);
#ifdef LOOKER
        run looker();
#endif
        run quiescence()
    }
}

#ifdef LIVENESS
ltl quiescent_garbage_is_freed { <> (at_rest == 1) }
#endif
