/* Weak references beside the proof: tags and the gate (docs/protocol.md, "Weak references"). Every object
 * has one weak reference, made at its birth; anybody may try to get a strong one from it at any time.
 * aside.pml adds the set that is put aside for its finalizers. */
byte weak;   /* set of objects whose weak reference still has a pointer */
byte tagged; /* set of those pointers that carry the tag */
byte gate;
byte turn;   /* stands for the number in the gate's word: modulo 2 */
byte doomed; /* ghost: members of a set that is decided, until their memory is free */
byte got[M]; /* read from a weak reference, not yet counted */

#define SHUT 0
#define OPEN 1
#define BROKEN 2
#define DECIDED 3

#define NOT_DOOMED(o) assert(!(doomed & BIT(o)));
#define BORN_MORE(o) assert(!(weak & BIT(o))); weak = weak | BIT(o);
#define NOT_IN_USE(o) \
    hi = 0; \
    do \
    :: hi < M -> assert(got[hi] != o); hi++ \
    :: else -> break \
    od; \
    hi = 0; \
    doomed = doomed & ~BIT(o); \
    weak = weak & ~BIT(o); \
    tagged = tagged & ~BIT(o);

/* A death by count: the pointer is emptied before the memory begins to wait. */
#ifdef M_WEAK_EMPTIED_LATE
#define RETIRE_MORE(o)
#else
#define RETIRE_MORE(o) weak = weak & ~BIT(o); tagged = tagged & ~BIT(o)
#endif

#ifdef M_WEAK_OUTSIDE_SECTION
#define WEAK_SECTION
#else
#define WEAK_SECTION insec = insec | BIT(m);
#endif
#ifdef M_WEAK_NO_GATE
#define HAS_TAG(o) false
#else
#define HAS_TAG(o) (tagged & BIT(o))
#endif

#define WEAK_GET \
    :: atomic { \
        MAY ROOM(m) && !bor[m] && weak -> \
        if \
        :: weak & BIT(1) -> x = 1 \
        :: weak & BIT(2) -> x = 2 \
        fi; \
        d_step { STEP("%d weak.begin %d\n", m, x); WEAK_SECTION got[m] = x; SPEND } \
        goto weak_read \
    }

/* Never waits. NULL only for what is dead or decided to be. */
#define WEAK_GET_STEPS \
weak_read: \
    atomic { \
        d_step { STEP("%d weak.read %d\n", m, x) } \
        if \
        :: !(weak & BIT(x)) -> d_step { got[m] = 0; x = 0; section_end(m) } goto end \
        :: (weak & BIT(x)) && !HAS_TAG(x) -> x = 0; goto weak_count \
        :: else \
        fi \
    }; \
weak_gate: \
    atomic { \
        if \
        :: gate == OPEN -> d_step { STEP("%d gate.look %d\n", m, gate); y = turn } goto weak_break \
        :: gate == DECIDED -> d_step { STEP("%d gate.look %d\n", m, gate); y = turn } goto weak_again \
        :: else -> d_step { STEP("%d gate.look %d\n", m, gate); x = 0 } goto weak_count \
        fi \
    }; \
weak_break: \
    atomic { \
        if \
        :: gate == OPEN && turn == y -> d_step { STEP("%d gate.break %d\n", m, got[m]); gate = BROKEN; x = 0; y = 0 } goto weak_count \
        :: else -> d_step { y = 0 } goto weak_read \
        fi \
    }; \
weak_again: \
    atomic { \
        WEAK_SECOND_LOOK(m) \
        if \
        :: gate == DECIDED && turn == y -> \
            d_step { \
                STEP("%d weak.null %d\n", m, got[m]); \
                assert((doomed & BIT(got[m])) || !cnt[got[m]]); /* no NULL for what lives on */ \
                got[m] = 0; \
                x = 0; \
                y = 0; \
                section_end(m) \
            } \
            goto end \
        :: else -> d_step { y = 0 } goto weak_read \
        fi \
    }; \
weak_count: \
    atomic { \
        d_step { \
            STEP("%d weak.try_incref %d\n", m, got[m]); \
            if \
            :: cnt[got[m]] > 0 -> up(got[m]); PUT(m, got[m]) \
            :: else -> BLIND_COUNT(got[m]) \
            fi; \
            got[m] = 0; \
            section_end(m) \
        } \
        goto end \
    };

/* Pointer and gate are looked at once more; here in one step, as the tag of a decided set stays. */
#define WEAK_SECOND_LOOK(m) \
    if \
    :: !(tagged & BIT(got[m])) -> d_step { y = 0 } goto weak_read \
    :: else \
    fi;
#ifdef M_WEAK_BLIND
#define BLIND_COUNT(o) cnt[o] = cnt[o] + 1; PUT(m, o)
#else
#define BLIND_COUNT(o) skip
#endif

/* Between V3 and the grace period. */
#define TAG(o) \
    d_step { \
        if \
        :: IN(set, o) && (weak & BIT(o)) -> STEP("%d gate.tag %d\n", 9 + c, o); tagged = tagged | BIT(o) \
        :: else \
        fi \
    }
#define UNTAG(o) d_step { if :: tagged & BIT(o) -> STEP("%d gate.untag %d\n", 9 + c, o); tagged = tagged & ~BIT(o) :: else fi }
#define TAGS \
    d_step { STEP("%d gate.open %d\n", 9 + c, set); gate = OPEN; turn = 1 - turn }; \
    EACH(TAG);
#ifdef M_WEAK_LATE_TAG
#define BEFORE_GRACE
#define AFTER_RECHECK TAGS
#else
#define BEFORE_GRACE TAGS
#define AFTER_RECHECK
#endif

/* What has left the set loses its tag before the rest is decided. */
#ifdef M_WEAK_TAG_STAYS
#define LEFT_LOSE_TAGS
#else
#define UNTAG_LEFT(o) \
    d_step { \
        if \
        :: (tagged & BIT(o)) && !IN(set, o) -> STEP("%d gate.untag %d\n", 9 + c, o); tagged = tagged & ~BIT(o) \
        :: else \
        fi \
    }
#define LEFT_LOSE_TAGS EACH(UNTAG_LEFT);
#endif

/* A proof that does not come to its end takes its tags back. */
#define GIVEN_UP \
    atomic { STEP("%d gate.shut %d\n", 9 + c, 0); gate = SHUT }; \
    EACH(UNTAG);

#define ZERO(o) \
    d_step { \
        if \
        :: IN(set, o) -> STEP("%d commit.zero %d\n", 9 + c, o); st[o] = GONE; cnt[o] = 0; bump(o) \
        :: else \
        fi \
    }
#ifdef M_WEAK_NO_GATE
#define MAY_DECIDE true
#else
#define MAY_DECIDE gate == OPEN
#endif
#define COMMIT(c, set) skip
#define COMMITTED(c, set) \
    AFTER_RECHECK \
    LEFT_LOSE_TAGS \
    atomic { \
        if \
        :: MAY_DECIDE -> \
            d_step { \
                STEP("%d gate.decide %d\n", 9 + c, set); \
                gate = DECIDED; \
                doomed = doomed | set; \
                nobody_holds(set) \
            } \
        :: else -> goto close \
        fi \
    }; \
    EACH(ZERO);

/* Emptied; and the memory waits for those who have read the pointer before. */
#ifdef M_WEAK_NO_GRACE
#define LIMBO_OF(o) 0
#else
#define LIMBO_OF(o) insec
#endif
#define COMMIT_FREE(o) \
    d_step { \
        if \
        :: IN(set, o) -> \
            STEP("%d weak.clear %d\n", 9 + c, o); \
            RETIRE_MORE(o); \
            st[o] = LIMBO; \
            lim[o] = LIMBO_OF(o) \
        :: else \
        fi \
    }
