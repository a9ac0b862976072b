/* The proof beside unbounded mutators: rules R1 to R9, V1-V2-V3-GP-RC, shrinking, commit, reuse.
 * The collector tries every set of objects any number of times. See docs/model.md. */
#ifdef M_R7_RESET
byte seen_fresh; /* of V1 */
#define bump_fresh(o) fresh = fresh & ~BIT(o)
#endif
#ifdef WEAK
#include "gate.pml"
#endif
#ifdef FINALIZERS
#include "finalizers.pml"
#endif
#ifdef ONE_BY_ONE
byte decided; /* ghost */
#define DECIDED_ON(o) (decided & BIT(o))
#endif
#include "heap.pml"

byte proving; /* the one open proof */
#include "mutator.pml"

#define IN(set, o) ((set) & BIT(o))
#define EDGE(x, f) edge[((x) - 1) * F + (f)]

/* What has fewer edges than references leaves the set; then what it referred to has fewer, and so
 * on. Edges are those that V2 saw. */
#ifdef FINALIZERS
#define HELD (held != 0)
#else
#define HELD 0
#endif
inline settle(set, c)
{
    hn = 1;
    do
    :: hn ->
        hn = 0;
        hi = 1;
        do
        :: hi <= N ->
            hk = 0;
            hj = 0;
            do
            :: hj < N * F ->
                if
                :: edge[hj] == hi && IN(set, hj / F + 1) -> hk = hk + 1
                :: else
                fi;
                hj++
            :: else -> break
            od;
            if
            :: IN(set, hi) && hk + HELD != seen[hi] -> hn = hn | BIT(hi)
            :: else
            fi;
            hi++
        :: else -> break
        od;
        set = set & ~hn;
#ifdef M_SHRINK_FAILED_ONLY
        break
#endif
    :: else -> break
    od;
    hi = 0;
    hj = 0;
    hk = 0;
    hn = 0
}

/* The code's way (WALK): who has fewer edges than references leaves, and joins those whose fields are still
 * to be read; what those refer to at that moment follows it. */
#ifdef WALK
inline refuse(set, c)
{
    hi = 1;
    do
    :: hi <= N ->
        hk = 0;
        hj = 0;
        do
        :: hj < N * F ->
            if
            :: edge[hj] == hi -> hk = hk + 1
            :: else
            fi;
            hj++
        :: else -> break
        od;
        if
        :: IN(set, hi) && hk + HELD != seen[hi] -> left = left | BIT(hi)
        :: else
        fi;
        hi++
    :: else -> break
    od;
    set = set & ~left;
    hi = 0;
    hj = 0;
    hk = 0
}

/* In a section in which he is seen alive. */
#define FOLLOW(i, f) \
    d_step { \
        STEP("%d shrink.walk %d\n", 9 + c, FLD(i, f)); \
        if \
        :: FLD(i, f) && IN(set, FLD(i, f)) -> \
            left = left | BIT(FLD(i, f)); \
            set = set & ~BIT(FLD(i, f)) \
        :: else \
        fi \
    }
#if F > 1
#define FOLLOW_ALL(i) FOLLOW(i, 0); FOLLOW(i, 1)
#else
#define FOLLOW_ALL(i) FOLLOW(i, 0)
#endif
#ifdef M_WALK_NOT
#define LEAVER(i) :: IN(left, i) -> left = left & ~BIT(i)
#elif defined(M_WALK_DEAD)
/* The dead one's edges are its death's to give back, some time. */
#define LEAVER(i) \
    :: atomic { IN(left, i) -> left = left & ~BIT(i); \
        if \
        :: st[i] == LIVE -> FOLLOW_ALL(i) \
        :: else \
        fi }
#else
#define LEAVER(i) \
    :: atomic { IN(left, i) -> left = left & ~BIT(i); \
        if \
        :: st[i] == LIVE -> FOLLOW_ALL(i) \
        :: else -> recount = 1 \
        fi }
#endif
#if N == 1
#define ANY_LEAVER LEAVER(1)
#elif N == 2
#define ANY_LEAVER LEAVER(1) LEAVER(2)
#else
#define ANY_LEAVER LEAVER(1) LEAVER(2) LEAVER(3)
#endif
#endif

inline reset_edges()
{
    hi = 0;
    do
    :: hi < N * F -> edge[hi] = 0; hi++
    :: else -> break
    od;
    hi = 0
}

#ifdef ONE_BY_ONE
/* As where no member has a callback: each goes to zero, is taken apart and freed before the next does.
 * Its memory may be another object by the time that an edge to it is met. */
#define COMMIT(c, set) d_step { nobody_holds(set); decided = set }
#define COMMITTED(c, set)
#define ZERO(o) \
    d_step { \
        if \
        :: IN(set, o) -> \
            STEP("%d commit.zero %d\n", 9 + c, o); \
            assert(st[o] == LIVE); \
            st[o] = GONE; \
            cnt[o] = 0; \
            bump(o) \
        :: else \
        fi \
    }
#ifdef M_UNMARKED_EARLY
#define UNMARK(o) set = set & ~BIT(o)
#else
#define UNMARK(o)
#endif
#define FREE_ONE(o) \
    d_step { \
        if \
        :: IN(set, o) -> \
            STEP("%d commit.free %d\n", 9 + c, o); \
            release_memory(o); \
            decided = decided & ~BIT(o); \
            UNMARK(o) \
        :: else \
        fi \
    }
#define ONE(o) ZERO(o); DROP_OF(o); FREE_ONE(o)
#define TAKE_APART EACH(ONE)
#else
#define TAKE_APART EACH(DROP_OF); EACH(COMMIT_FREE)
#endif

#ifndef COMMIT
/* Counts to zero, versions up. Whether it was garbage is looked at here. */
#define COMMIT(c, set) d_step { commit_all(c, set) }
#define COMMITTED(c, set)
#define COMMIT_FREE(o) d_step { if :: IN(set, o) -> STEP("%d commit.free %d\n", 9 + c, o); release_memory(o) :: else fi }
inline commit_all(c, set)
{
    STEP("%d commit.zero %d\n", 9 + c, set);
    nobody_holds(set);
    hi = 1;
    do
    :: hi <= N ->
        if
        :: IN(set, hi) ->
            assert(st[hi] == LIVE); /* or somebody else frees it */
            st[hi] = GONE;
            cnt[hi] = 0;
            bump(hi)
        :: else
        fi;
        hi++
    :: else -> break
    od;
    hi = 0
}
#endif

#define V1(i) \
    atomic { \
        if \
        :: V1_TAKES(i) -> \
            d_step { \
                STEP("%d proof.v1 %d\n", 9 + c, i); \
                set = set | BIT(i); \
                seen[i] = cnt[i]; \
                changed[c] = changed[c] & ~BIT(i); \
                SEE_FRESH(i) \
            } \
        :: true \
        fi; \
        V1_THEN(i) \
    }
#ifdef M_V1_DYING
#define V1_TAKES(i) (st[i] != FREE && st[i] != GONE)
#else
#define V1_TAKES(i) (cnt[i] > 0 V1_HELD(i)) /* at zero it is dying by itself */
#ifdef FINALIZERS
#define V1_HELD(i) && (!held || (held & BIT(i)))
#else
#define V1_HELD(i)
#endif
#endif
#ifdef M_R7_RESET
#define SEE_FRESH(i) seen_fresh = (seen_fresh & ~BIT(i)) | (fresh & BIT(i));
#else
#define SEE_FRESH(i)
#endif
#ifdef M_INTERLEAVED
#define V1_THEN(i) if :: IN(set, i) -> V2_OF(i) :: else fi
#else
#define V1_THEN(i)
#endif
#ifdef M_V1_LATE
#define V1_AGAIN(i) \
    d_step { \
        if \
        :: IN(set, i) && cnt[i] -> STEP("%d proof.v1 %d\n", 9 + c, i); seen[i] = cnt[i]; changed[c] = changed[c] & ~BIT(i) \
        :: else -> set = set & ~BIT(i) \
        fi \
    }
#endif

#ifdef WALK
#define V2_READS(i) IN(set, i) && st[i] == LIVE
#else
#define V2_READS(i) IN(set, i)
#endif
#define V2(i, f) \
    d_step { \
        if \
        :: V2_READS(i) -> STEP("%d proof.v2 %d\n", 9 + c, FLD(i, f)); EDGE(i, f) = FLD(i, f); FORGET(i, f) \
        :: else \
        fi \
    }
#if F > 1
#define V2_OF(i) V2(i, 0); V2(i, 1)
#else
#define V2_OF(i) V2(i, 0)
#endif
/* Only what leads to a member matters: fewer states. */
#if defined(M_STALE_EDGES) || defined(M_INTERLEAVED)
#define FORGET(i, f)
#else
#define FORGET(i, f) if :: !IN(set, EDGE(i, f)) -> EDGE(i, f) = 0 :: else fi
#endif

/* Merged with V3, unless something comes in between. */
#if defined(WEAK) || defined(M_NO_GRACE)
#define GRACE_BEGINS skip
#elif defined(M_SHRINK_NO_GRACE)
#define GRACE_BEGINS if :: !waited -> STEP("%d proof.grace %d\n", 9 + c, insec); wait[c] = insec :: else fi
#else
#define GRACE_BEGINS STEP("%d proof.grace %d\n", 9 + c, insec); wait[c] = insec
#endif

#define RC(i) \
    d_step { \
        wait[c] == 0 -> \
        if \
        :: !IN(set, i) -> skip \
        :: else -> \
            STEP("%d proof.rc %d\n", 9 + c, i); \
            if \
            :: RC_REFUSES(i) -> bad = bad | BIT(i) \
            :: else \
            fi \
        fi \
    }
#ifdef M_NO_RC
#define RC_REFUSES(i) false
#else
#define RC_REFUSES(i) (IN(changed[c], i) || cnt[i] != seen[i])
#endif

/* The outgoing edge, read anew; an edge between members is forgotten. */
#define DROP(i, f) \
    d_step { \
        if \
        :: IN(set, i) -> \
            bad = OUTGOING(i, f); \
            FLD(i, f) = 0; \
            if \
            :: bad && !IN(set, bad) -> STEP("%d commit.drop %d\n", 9 + c, bad); down(bad); DROPPED(bad) \
            :: else \
            fi; \
            bad = 0 \
        :: else \
        fi \
    }
#ifdef FINALIZERS
#define DROPPED(o) if :: cnt[o] == 0 && UNFINALIZED(o) -> CLAIM(o) :: else fi
#else
#define DROPPED(o) skip
#endif
#ifdef M_STALE_EDGES
#define OUTGOING(i, f) EDGE(i, f)
#else
#define OUTGOING(i, f) FLD(i, f)
#endif
#if F > 1
#define DROP_OF(i) DROP(i, 0); DROP(i, 1)
#else
#define DROP_OF(i) DROP(i, 0)
#endif

#if N == 1
#define EACH(what) what(1)
#elif N == 2
#define EACH(what) what(1); what(2)
#else
#define EACH(what) what(1); what(2); what(3)
#endif
#ifdef M_TWO_PROOFS
#define MAY_PROVE true
#else
#define MAY_PROVE proving == 0
#endif

proctype collector(byte c)
{
    byte set, bad;
#ifdef FINALIZERS
    byte held; /* members to which the collector itself holds a reference */
#endif
    byte seen[N + 1];
    byte edge[N * F];
#ifdef WALK
    byte left; /* have left the set; their fields are still to be read */
    bit recount;
#endif
#ifdef M_SHRINK_NO_GRACE
    bit waited;
#endif
end:
    do
#ifdef V1_BY_SCAN
    :: true ->
#else
    :: atomic { MAY_PROVE -> proving = 1 }
#endif
again:
#ifdef M_V1_LATE
    atomic { if :: set = BIT(1) :: set = BIT(2) :: set = BIT(1) | BIT(2) fi }
#else
    EACH(V1);
#endif
#ifdef V1_BY_SCAN
    /* The scan that made the guess has read the words: V1 was over before the proof is opened. */
    atomic { MAY_PROVE -> proving = 1 };
#endif
    atomic { if :: set == 0 -> goto close :: else fi }
#ifndef M_INTERLEAVED
    EACH(V2_OF);
#endif
#ifdef M_V1_LATE
    EACH(V1_AGAIN);
#endif
#ifdef WALK
    atomic {
        d_step {
            STEP("%d proof.v3 %d\n", 9 + c, set);
            refuse(set, c);
            if
            :: left -> STEP("%d shrink %d\n", 9 + c, left)
            :: else
            fi
        }
    };
    do
    ANY_LEAVER
    :: else -> break
    od;
    /* V1 again, and a new grace period: as for any other set. */
    atomic { if :: recount -> goto close :: else fi };
#endif
    atomic {
        d_step {
#if !defined(M_NO_V3) && !defined(WALK)
            settle(set, c);
#endif
            if
            :: set -> STEP("%d proof.v3 %d\n", 9 + c, set); GRACE_BEGINS
            :: else
            fi
        }
        if
        :: set == 0 -> goto close
        :: else
        fi
    };
#ifdef WEAK
    BEFORE_GRACE
    d_step { STEP("%d proof.grace %d\n", 9 + c, insec); wait[c] = insec };
#endif
    /* The first look of RC is the first step after the grace period. */
    EACH(RC);
#ifdef WALK
    atomic { if :: bad -> goto close :: else fi };
#endif
#ifdef M_SHRINK_NO_GRACE
    if
    :: bad && !waited -> atomic { bad = 0; set = 0; waited = 1; d_step { reset_edges() } goto again }
    :: else -> waited = 0
    fi;
#endif
    atomic {
        d_step {
            set = set & ~bad;
#ifdef M_SHRINK_FAILED_ONLY
            bad = 0;
#else
            if :: bad -> bad = 0; settle(set, c) :: else fi;
#endif
        }
        if
        :: set == 0 -> goto close
        :: else
        fi;
#ifdef FINALIZERS
        if
        :: !held && (set & ~finalized) -> goto finalize
        :: else
        fi;
#endif
        COMMIT(c, set)
    };
#ifdef FINALIZERS
    EACH(LET_GO);
    held = 0;
#endif
    COMMITTED(c, set)
    TAKE_APART;
    goto close;
#ifdef FINALIZERS
finalize:
    skip;
    EACH(HOLD);
    atomic {
        d_step { STEP("%d finalize.queue %d\n", 9 + c, set); QUEUE(set) proving = 0; bad = 0; set = 0; reset_edges(); changed[c] = 255 }
        d_step { hi = 1; do :: hi <= N -> seen[hi] = 0; hi++ :: else -> break od; hi = 0 }
    };
#ifdef M_FIN_NO_SECOND_PROOF
    pending == 0;
    d_step { set = held; commit_all(c, set) };
    held = 0;
    TAKE_APART;
    goto close;
#endif
    atomic { pending == 0 && MAY_PROVE -> proving = 1; goto again };
#endif
close:
#ifdef WEAK
    if
    :: gate != SHUT -> GIVEN_UP
    :: else
    fi;
#endif
#ifdef FINALIZERS
    if
    :: held -> set = 0; EACH(LET_GO); held = 0
    :: else
    fi;
#endif
    atomic {
        d_step {
            proving = 0;
            hi = 1;
            do
            :: hi <= N -> seen[hi] = 0; hi++
            :: else -> break
            od;
            reset_edges();
            set = 0;
            bad = 0;
#ifdef WALK
            recount = 0;
#endif
            changed[c] = 255
        }
    }
    od
}

/* Instead of an empty heap: a ring of two, each owned by a thread; or a garbage ring of one that refers
 * to an owned object, with a reader in it. */
inline start()
{
#ifdef START_RING
    st[1] = LIVE;
    st[2] = LIVE;
    FLD(1, 0) = 2;
    FLD(2, 0) = 1;
    cnt[1] = 2;
    own[0] = 1;
    cnt[2] = 1;
#if M > 1
    cnt[2] = 2;
    own[1] = 2;
#endif
#endif
#ifdef START_READ
    st[1] = LIVE;
    st[2] = LIVE;
    FLD(1, 0) = 1;
    FLD(1, 1) = 2;
    cnt[1] = 1;
    cnt[2] = 2;
    own[0] = 2;
    bor[0] = 1;
    insec = 1;
#endif
#if defined(WEAK) && defined(START_RING)
    weak = BIT(1) | BIT(2);
#endif
    changed[0] = 255;
#if COLLECTORS > 1
    changed[1] = 255;
#endif
}

init
{
    atomic {
        d_step { start() }
        run mutator(0);
#if M > 1
        run mutator(1);
#endif
        run reaper();
        run collector(0);
#if COLLECTORS > 1
        run collector(1);
#endif
    }
}
