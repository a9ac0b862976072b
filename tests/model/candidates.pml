/* Completeness: what the collector examines, and that no garbage stays. Each mutator does BUDGET
 * operations and then rests, with what it holds by then; when nothing can happen any more, everything
 * that no thread can reach has to be free memory. As in the code: the CANDIDATE flag in the word
 * stands for an entry in a thread's ring; filing clears it and sets the block's bit; a pass over the
 * young or over the whole heap takes bits, guesses, proves. See docs/model.md. */
#define CANDIDATES
byte flag;     /* words with CANDIDATE: in some ring */
byte bits;     /* candidates in the blocks' bitmaps */
byte young;    /* generation 0: born since the last pass began */
byte inside[2]; /* for each pass: born before its boundary, and of its ages */
byte proving;

#define BORN_MORE(o) \
    young = young | BIT(o); \
    inside[0] = inside[0] & ~BIT(o); \
    inside[1] = inside[1] & ~BIT(o);

#define COLLECTORS 2 /* a young pass and one over everything, side by side */
#define YOUNG 0
#define WHOLE 1

/* A dead object is taken apart while its CANDIDATE flag holds the memory: whoever clears the flag then
 * retires it. */
#define APART 5

#ifdef M_DECREF_NO_CANDIDATE
#define SUSPECT_DROPPED(m)
#else
#define SUSPECT_DROPPED(m) \
    if \
    :: old[m] && cnt[old[m]] > 0 && !(flag & BIT(old[m])) -> goto suspect_old \
    :: else \
    fi
#endif
#ifdef M_MOVE_NO_CANDIDATE
#define SUSPECT_MOVED(m, y)
#else
#define SUSPECT_MOVED(m, y) goto suspect_moved
#endif
/* A decref that finds the bit still set need do nothing: the pass that takes the bit reads the word
 * later. (A move changes no word. Here, where memory is sequentially consistent, it could do the same.) */
#define SUSPECT_REAPED \
    if \
    :: cnt[rp] > 0 -> flag = flag | BIT(rp) \
    :: else \
    fi
#define SUSPECT_STEPS \
suspect_old: \
    atomic { \
        d_step { \
            if \
            :: cnt[old[m]] > 0 && !(bits & BIT(old[m])) -> STEP("%d suspect %d\n", m, old[m]); flag = flag | BIT(old[m]) \
            :: else \
            fi; \
            old[m] = 0; \
            section_end(m) \
        } \
        goto end \
    }; \
suspect_moved: \
    atomic { \
        d_step { \
            if \
            :: cnt[y] > 0 -> STEP("%d suspect %d\n", m, y); flag = flag | BIT(y) \
            :: else \
            fi; \
            y = 0 \
        } \
        DROP_OLD(m); \
        goto end \
    };

#ifdef M_HOLD_IGNORED
#define HOLDS_MEMORY(o) false
#else
#define HOLDS_MEMORY(o) (flag & BIT(o))
#endif
#define RETIRE_OR_APART(o) \
    if \
    :: HOLDS_MEMORY(o) -> st[o] = APART \
    :: else -> st[o] = LIMBO; lim[o] = insec \
    fi

#include "heap.pml"
#include "mutator.pml"

#define IN(set, o) ((set) & BIT(o))

/* Empties the rings: by the owner of a ring, or anybody. */
proctype filer()
{
    byte o;
end:
    do
    :: atomic {
        flag ->
        if
        :: IN(flag, 1) -> o = 1
        :: IN(flag, 2) -> o = 2
        :: IN(flag, 3) -> o = 3
        fi;
#ifdef M_FILE_BIT_FIRST
        d_step { STEP("%d file.bit %d\n", 7, o); bits = bits | BIT(o) }
    };
    atomic {
#endif
        d_step {
            STEP("%d file.clear %d\n", 7, o);
            assert(st[o] != FREE);
            flag = flag & ~BIT(o);
            if
            :: cnt[o] == 0 ->
                if
                :: st[o] == APART -> st[o] = LIMBO; lim[o] = insec
                :: else
                fi;
                o = 0
            :: else
            fi
        }
#ifndef M_FILE_BIT_FIRST
        if
        :: o == 0 -> goto end
        :: else
        fi
    };
    atomic {
        d_step { STEP("%d file.bit %d\n", 7, o); bits = bits | BIT(o) }
#endif
        o = 0
    }
    od
}

#define EACH(what) what(1); what(2); THIRD(what)
#if N > 2
#define THIRD(what) what(3);
#else
#define THIRD(what)
#endif

/* The bit goes first, then the object is read. */
#define SEED(o) \
    d_step { \
        if \
        :: IN(bits, o) && (c == WHOLE || IN(inside[c], o)) -> \
            STEP("%d seed %d\n", 9 + c, o); \
            CLEAR_BIT(o) \
            if \
            :: cnt[o] > 0 -> seeds = seeds | BIT(o) \
            :: else LATE_DEAD(o) \
            fi \
        :: else \
        fi \
    }
#ifdef M_BIT_CLEARED_LATE
#define CLEAR_BIT(o)
#define LATE_DEAD(o) -> bits = bits & ~BIT(o)
#else
#define CLEAR_BIT(o) bits = bits & ~BIT(o);
#define LATE_DEAD(o)
#endif

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
    :: IN(set, o) -> assert(st[o] == LIVE); st[o] = GONE; cnt[o] = 0; bump(o) \
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
                    if \
                    :: cnt[bad] -> flag = flag | BIT(bad) \
                    :: else \
                    fi \
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
        :: IN(set, o) && HOLDS_MEMORY(o) -> st[o] = APART \
        :: IN(set, o) && !HOLDS_MEMORY(o) -> STEP("%d commit.free %d\n", 9 + c, o); release_memory(o) \
        :: else \
        fi \
    }

proctype pass(byte c)
{
    byte seeds, reached, todo, live, set, bad;
    byte edges[N + 1];
    byte seen[N + 1];
#ifdef GIVES_UP
    byte gave_up; /* at most once; 1: in this pass */
#endif
end:
    do
    :: atomic {
        (c == YOUNG && (bits & young)) || (c == WHOLE && bits) ->
        d_step {
            if
            :: c == YOUNG -> STEP("%d young.begin %d\n", 9 + c, young); inside[c] = young; young = 0
            :: else -> STEP("%d whole.begin %d\n", 9 + c, bits)
            fi;
#ifdef M_EPOCH_FIRST
            if :: c == WHOLE -> inside[c] = 255; young = 0 :: else fi
#endif
        }
    };
    EACH(SEED);
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
                    :: IN(seeds, hi) && cnt[hi] > 0 -> STEP("%d keep %d\n", 9 + c, hi); bits = bits | BIT(hi)
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
#ifdef M_BIT_CLEARED_LATE
                bits = bits & ~seeds
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
#endif
            changed[0] = 255;
            changed[1] = 255
        };
        run mutator(0);
#if M > 1
        run mutator(1);
#endif
        run reaper();
        run filer();
#ifndef NO_YOUNG
        run pass(YOUNG);
#endif
        run pass(WHOLE);
        run quiescence()
    }
}

#ifdef LIVENESS
ltl quiescent_garbage_is_freed { <> (at_rest == 1) }
#endif
