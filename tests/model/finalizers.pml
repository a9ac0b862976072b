/* Finalizers: at most once in a life, while somebody else still owns a reference to the object; what
 * is left of a set after they have run is proved once more. Every object has a finalizer, and any
 * mutator runs those that are queued: it may do with the object whatever it may do with its own.
 * That only a part of a set may have finalizers, and weak gets besides: aside.pml. */
byte finalized; /* set of words that have lost UNFINALIZED */
byte queued;    /* to be run; a counted reference belongs to each entry */
byte pending;   /* those among them that the collector waits for, and whose reference is its own */
byte ran;       /* ghost: in this life */
byte fin[M];    /* is being finalized by that mutator */

#define BORN_MORE(o) finalized = finalized & ~BIT(o); ran = ran & ~BIT(o);
#define NOT_IN_USE(o) \
    hi = 0; \
    do \
    :: hi < M -> assert(fin[hi] != o); hi++ \
    :: else -> break \
    od; \
    hi = 0;

/* By count: UNFINALIZED holds the object, at count zero it lives. Whoever has found it there turns flag
 * into reference, in one step, in the section of his decrement; others may have counted it up and down
 * in between. The version goes up: an edge's reference has become the queue's (R4). */
#define UNFINALIZED(o) (!(finalized & BIT(o)))
#ifdef M_FIN_CLAIM_BLIND
#define CLAIMABLE(o) true
#else
#define CLAIMABLE(o) (cnt[o] == 0 && UNFINALIZED(o))
#endif
#ifdef M_FIN_CLAIM_UNSEEN
#define CLAIM_BUMP(o)
#else
#define CLAIM_BUMP(o) bump(o);
#endif
#define CLAIM(o) \
    if \
    :: CLAIMABLE(o) -> \
        STEP("%d claim %d\n", 0, o); \
        finalized = finalized | BIT(o); \
        cnt[o] = cnt[o] + 1; \
        CLAIM_BUMP(o) \
        queued = queued | BIT(o) \
    :: else \
    fi
#define SUSPECT_DROPPED(m) \
    if \
    :: old[m] && cnt[old[m]] == 0 && UNFINALIZED(old[m]) -> goto claim_old \
    :: else \
    fi
#define SUSPECT_MOVED(m, y)
#define SUSPECT_REAPED d_step { if :: cnt[rp] == 0 && UNFINALIZED(rp) -> CLAIM(rp) :: else fi }
#define CLAIM_STEPS \
claim_old: \
    atomic { \
        d_step { CLAIM(old[m]); old[m] = 0; section_end(m) } \
        goto end \
    };

#define IS_QUEUED(o) (o <= N && (queued & BIT(o)))
#define RUN_FINALIZERS \
    :: atomic { \
        !fin[m] && !bor[m] && queued -> \
        if \
        :: IS_QUEUED(1) -> x = 1 \
        :: IS_QUEUED(2) -> x = 2 \
        fi; \
        d_step { \
            STEP("%d finalize.run %d\n", m, x); \
            assert(!(ran & BIT(x))); /* at most once */ \
            assert(st[x] == LIVE);   /* with everything readable */ \
            ran = ran | BIT(x); \
            fin[m] = x; \
            queued = queued & ~BIT(x); \
            x = 0 \
        } \
    } \
    :: atomic { \
        fin[m] && !bor[m] -> \
        d_step { \
            STEP("%d finalize.done %d\n", m, fin[m]); \
            if \
            :: pending & BIT(fin[m]) -> pending = pending & ~BIT(fin[m]) \
            :: else -> down(fin[m]) \
            fi; \
            fin[m] = 0 \
        } \
    }

/* The first proof has succeeded for a set with finalizers to run: first a reference to each member,
 * then the proof is closed, and only then may the first finalizer run. */
#define QUEUE(some) \
    pending = pending | ((some) & ~finalized); \
    queued = queued | ((some) & ~finalized); \
    finalized = finalized | (some);
#ifdef M_FIN_EARLY
#define QUEUE_EARLY(o) QUEUE(BIT(o))
#else
#define QUEUE_EARLY(o)
#endif
#ifdef M_FIN_NO_REFERENCE
#define HOLD(o) skip
#else
#define HOLD(o) \
    d_step { \
        if \
        :: IN(set, o) -> \
            STEP("%d finalize.hold %d\n", 9 + c, o); \
            up(o); \
            held = held | BIT(o); \
            QUEUE_EARLY(o) \
        :: else \
        fi \
    }
#endif

/* What fell out of the second proof lives on. */
#define LET_GO(o) \
    d_step { \
        if \
        :: (held & BIT(o)) && !IN(set, o) -> STEP("%d finalize.let-go %d\n", 9 + c, o); held = held & ~BIT(o); down(o) \
        :: else \
        fi \
    }
