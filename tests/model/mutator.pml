/* Mutators and the reaper of dead objects. Which operations there are: OP_* (with BUDGET: how many
 * each mutator does; without: any number). A mutator with a borrowed pointer is in a section of its
 * user's, in which it may do everything else as well; other operations have a section each. */

#ifdef BUDGET
byte spent[M];
#define MAY spent[m] < BUDGET &&
#define SPEND spent[m]++;
#else
#define MAY
#define SPEND
#endif

/* Hooks of the model of candidates. */
#ifndef MAY_STAMP
#define MAY_STAMP
#define STAMP(m)
#endif
#ifdef M_DECREF_LOOKS_FIRST
#define LOOK_IS_OVER y = 0;
#else
#define LOOK_IS_OVER
#endif
#ifndef SUSPECT_DROPPED
#define SUSPECT_DROPPED(m)
#define SUSPECT_MOVED(m, y)
#define SUSPECT_REAPED
#endif

/* Fewer states. With one register and one mutator nothing is ever referred to by another object then,
 * unless the heap does not begin empty. */
#ifdef NEW_OUTSIDE
#define NEW_WHERE(m) && !bor[m]
#else
#define NEW_WHERE(m)
#endif

inline section_end(m)
{
    if
    :: bor[m] == 0 -> leave(m)
    :: else
    fi
}

#ifdef TWO_REGISTERS
#define ROOM(m) (!own[m] || !own2[m])
#define PUT(m, o) if :: !own[m] -> own[m] = o :: else -> own2[m] = o fi
#else
#define ROOM(m) (!own[m])
#define PUT(m, o) own[m] = o
#endif

/* An object whose field the mutator may use: one that it owns, or borrows. */
inline pick_holder(m, x)
{
    if
    :: own[m] -> x = own[m]
#ifdef TWO_REGISTERS
    :: own2[m] -> x = own2[m]
#endif
#if defined(OP_BORROW)
    :: bor[m] && bor[m] != own[m] && bor[m] != own2[m] -> x = bor[m]
#endif
#ifdef FINALIZERS
    :: fin[m] && fin[m] != own[m] -> x = fin[m]
#endif
    fi
}

#ifdef FINALIZERS
#define HOLDER(m) (own[m] || bor[m] || fin[m])
#else
#define HOLDER(m) (own[m] || bor[m])
#endif

#if F > 1
#define PICK_FIELD(f) if :: f = 0 :: f = 1 fi
#else
#define PICK_FIELD(f) f = 0
#endif

#ifdef WEAK
#define GETS_NOT(m) && !got[m]
#else
#define GETS_NOT(m)
#endif

#define DROP_OLD(m) \
    if \
    :: old[m] -> goto drop_old \
    :: else -> d_step { section_end(m) } \
    fi

#ifdef M_R9
#define MAY_WALK true
#else
#define MAY_WALK !proving
#endif
#define IS(o, state) (o <= N && st[o] == state)

proctype mutator(byte m)
{
    byte x, y, f;
end:
    do
#if defined(OP_GIVE) && M > 1
    :: atomic { /* hands its reference to the other thread, by a queue or a lock of the user's */
        MAY own[m] && !own[1 - m] && !old[1 - m] GETS_NOT(1 - m) ->
        d_step { STEP("%d user.give %d\n", m, own[m]); own[1 - m] = own[m]; own[m] = 0; SPEND }
    }
#endif
#ifdef OP_NEW
    :: atomic {
        MAY ROOM(m) NEW_WHERE(m) MAY_STAMP && (IS(1, FREE) || IS(2, FREE) || IS(3, FREE)) ->
        STAMP(m)
        if
        :: IS(1, FREE) -> x = 1
        :: IS(2, FREE) -> x = 2
        :: IS(3, FREE) -> x = 3
        fi;
        d_step { STEP("%d new %d\n", m, x); birth(x); PUT(m, x); x = 0; SPEND }
    }
#endif
#ifdef TWO_REGISTERS
    :: atomic {
        MAY own[m] && !own2[m] -> d_step { STEP("%d incref %d\n", m, own[m]); up(own[m]); own2[m] = own[m]; SPEND }
    }
#endif
    :: atomic {
        MAY own[m] ->
        d_step {
            STEP("%d decref %d\n", m, own[m]);
            old[m] = own[m];
            own[m] = 0;
            insec = insec | BIT(m);
            SPEND
        }
#ifdef M_DECREF_LOOKS_FIRST
        d_step { y = flag & BIT(old[m]) }
    };
    atomic {
#endif
        d_step { down(old[m]) }
        SUSPECT_DROPPED(m);
        d_step { old[m] = 0; LOOK_IS_OVER section_end(m) }
    }
#ifdef TWO_REGISTERS
    :: atomic { own2[m] && !own[m] -> d_step { own[m] = own2[m]; own2[m] = 0 } }
#endif
#ifdef OP_BORROW
    :: atomic { /* load: borrow, try_incref, end of section */
        MAY HOLDER(m) ->
        pick_holder(m, x);
        PICK_FIELD(f);
        d_step {
            STEP("%d borrow.read %d\n", m, FLD(x, f));
            insec = insec | BIT(m);
            bor[m] = FLD(x, f);
            section_end(m);
            x = 0;
            f = 0;
            SPEND
        }
    }
    :: atomic {
        MAY bor[m] && ROOM(m) ->
        d_step {
            STEP("%d try_incref %d\n", m, bor[m]);
            SPEND
            if
#ifdef M_R5_BLIND
            :: true ->
                cnt[bor[m]] = cnt[bor[m]] + 1;
                bump(bor[m]);
                PUT(m, bor[m])
#else
            :: cnt[bor[m]] > 0 || UNFINALIZED(bor[m]) -> up(bor[m]); PUT(m, bor[m])
            :: else
#endif
            fi
        }
    }
    :: atomic {
        bor[m] -> d_step { STEP("%d section.end %d\n", m, bor[m]); bor[m] = 0; section_end(m) }
    }
#ifdef M_R5_OUTSIDE
    :: atomic {
        bor[m] && (insec & BIT(m)) -> d_step { STEP("%d broken.section.end %d\n", m, bor[m]); leave(m) }
    }
#endif
#endif
#ifdef OP_STORE
    :: atomic { /* copies own */
        MAY own[m] ->
        pick_holder(m, x);
        PICK_FIELD(f);
        y = own[m];
        d_step {
            insec = insec | BIT(m);
            SPEND
#ifndef M_R2
            STEP("%d store.count %d\n", m, y);
            up(y)
#endif
        }
    };
#ifdef M_R3
    d_step { STEP("%d broken.drop %d\n", m, FLD(x, f)); down(FLD(x, f)) };
    d_step { STEP("%d store.exchange %d\n", m, y); FLD(x, f) = y; x = 0; f = 0; y = 0; section_end(m) }
#else
    atomic {
        d_step { STEP("%d store.exchange %d\n", m, y); old[m] = FLD(x, f); FLD(x, f) = y; x = 0; f = 0 }
#ifdef M_R2
    };
    atomic {
        d_step { STEP("%d broken.count %d\n", m, y); up(y) };
#endif
        y = 0;
        DROP_OLD(m)
    }
#endif
    :: atomic { /* stores NULL */
        MAY HOLDER(m) ->
        pick_holder(m, x);
        PICK_FIELD(f);
        d_step {
            STEP("%d store.exchange %d\n", m, 0);
            old[m] = FLD(x, f);
            FLD(x, f) = 0;
            x = 0;
            f = 0;
            insec = insec | BIT(m);
            SPEND
        }
        DROP_OLD(m)
    }
#endif
#ifdef OP_MOVE
    :: atomic { /* steals own */
        MAY own[m] ->
        pick_holder(m, x);
        PICK_FIELD(f);
        d_step {
            STEP("%d move.exchange %d\n", m, own[m]);
            insec = insec | BIT(m);
            old[m] = FLD(x, f);
            FLD(x, f) = own[m];
            y = own[m];
            own[m] = 0;
            x = 0;
            f = 0;
            SPEND
        }
        SUSPECT_MOVED(m, y);
        y = 0;
        DROP_OLD(m)
    }
#endif
#ifdef OP_TAKE
    :: atomic {
        MAY ROOM(m) && HOLDER(m) ->
        pick_holder(m, x);
        PICK_FIELD(f);
        if
        :: FLD(x, f) == 0 -> d_step { x = 0; f = 0; SPEND } goto end
        :: else
        fi;
        d_step {
            STEP("%d take.exchange %d\n", m, FLD(x, f));
            insec = insec | BIT(m);
            old[m] = FLD(x, f);
            FLD(x, f) = 0;
            x = 0;
            f = 0;
            SPEND
        }
        goto own_old
    }
#endif
#ifdef OP_EXCHANGE
    :: atomic { /* steals own, returns owned; so does a compare-exchange that succeeds */
        MAY own[m] ->
        pick_holder(m, x);
        PICK_FIELD(f);
        d_step {
            STEP("%d exchange.exchange %d\n", m, own[m]);
            insec = insec | BIT(m);
            old[m] = FLD(x, f);
            FLD(x, f) = own[m];
            y = own[m];
            own[m] = 0;
            x = 0;
            f = 0;
            SPEND
        }
        SUSPECT_MOVED(m, y);
        y = 0;
        if
        :: old[m] -> goto own_old
        :: else -> d_step { section_end(m) }
        fi
    }
#endif
#ifdef OP_SHIFT
    /* R8: from field 0 to field 1, by take and move in one section. */
    :: atomic {
        own[m] && FLD(own[m], 0) && !FLD(own[m], 1) ->
#ifdef M_R8
        d_step { STEP("%d broken.copy %d\n", m, FLD(own[m], 0)); insec = insec | BIT(m); y = FLD(own[m], 0); FLD(own[m], 1) = y }
    };
    d_step { STEP("%d broken.empty %d\n", m, y); y = 0; FLD(own[m], 0) = 0; section_end(m) }
#else
        d_step { STEP("%d take.exchange %d\n", m, FLD(own[m], 0)); insec = insec | BIT(m); old[m] = FLD(own[m], 0); FLD(own[m], 0) = 0 }
    };
    d_step { STEP("%d moved %d\n", m, old[m]); bump(old[m]) };
    atomic {
        d_step {
            STEP("%d move.exchange %d\n", m, old[m]);
            y = FLD(own[m], 1);
            FLD(own[m], 1) = old[m];
            old[m] = y;
            y = 0
        }
        DROP_OLD(m)
    }
#endif
#endif
#ifdef OP_WALK
    /* R9: finds an object by looking at memory. */
    :: atomic {
        ROOM(m) && !bor[m] && MAY_WALK && (IS(1, LIVE) || IS(2, LIVE) || IS(3, LIVE)) ->
        if
        :: IS(1, LIVE) -> x = 1
        :: IS(2, LIVE) -> x = 2
        :: IS(3, LIVE) -> x = 3
        fi;
        d_step { STEP("%d walk %d\n", m, x); up(x); PUT(m, x); x = 0 }
    }
#endif
#ifdef WEAK
    WEAK_GET
#endif
#ifdef FINALIZERS
    RUN_FINALIZERS
#endif
    od;

#ifdef WEAK
WEAK_GET_STEPS
#endif

#ifdef CANDIDATES
SUSPECT_STEPS
#endif
#ifdef FINALIZERS
CLAIM_STEPS
#endif

drop_old: /* The last step of an operation that replaced a reference: it is given back (R3). */
#ifdef M_R1_LATE_DROP
    atomic { d_step { STEP("%d broken.section.end %d\n", m, 0); bor[m] = 0; leave(m) } };
#endif
    atomic {
        d_step { STEP("%d drop %d\n", m, old[m]); down(old[m]) }
        SUSPECT_DROPPED(m);
        d_step { old[m] = 0; section_end(m) }
        goto end
    };

own_old: /* The last step of one that hands the replaced reference to its caller (R4). */
#ifdef M_R1_LATE_BUMP
    atomic { d_step { STEP("%d broken.section.end %d\n", m, 0); bor[m] = 0; leave(m) } };
#endif
    atomic {
        d_step {
            STEP("%d moved %d\n", m, old[m]);
#ifndef M_R4
            bump(old[m]);
#endif
            PUT(m, old[m]);
            old[m] = 0;
            section_end(m)
        }
        goto end
    }
}

/* Takes dead objects apart, waits for a grace period, looks at the fields once more, frees. Anybody
 * does it, at any time after the death; one process suffices, as each of its steps may come late. */
#ifndef RETIRE_MORE
#define RETIRE_MORE(o)
#endif
#ifdef M_R6_NO_GRACE
#define RETIRE(o) st[o] = LIMBO
#else
#define RETIRE(o) st[o] = LIMBO; lim[o] = insec
#endif

/* The fields may be left alone until the grace period is over. */
#ifdef UNTOUCHED
#define RETIRE_EARLY true
#else
#define RETIRE_EARLY false
#endif
#define DEAD(o) (o <= N && (st[o] == DYING || st[o] == LIMBO && lim[o] == 0))

proctype reaper()
{
    byte o, f;
end:
    do
    :: atomic {
        !rp && (DEAD(1) || DEAD(2) || DEAD(3)) ->
        if
        :: DEAD(1) -> o = 1
        :: DEAD(2) -> o = 2
        :: DEAD(3) -> o = 3
        fi;
        PICK_FIELD(f);
        d_step { all_empty(o, hn) }
        if
#ifdef M_R6_NO_SWEEP
        :: st[o] == DYING && FLD(o, f) ->
#else
        :: FLD(o, f) ->
#endif
            d_step {
                if
                :: st[o] == DYING -> STEP("%d reap.drop %d\n", 8, FLD(o, f))
                :: else -> STEP("%d reap.sweep %d\n", 8, FLD(o, f))
                fi;
                rp = FLD(o, f); FLD(o, f) = 0; o = 0; f = 0; hn = 0
            }
#ifdef M_R6_NO_SWEEP
        :: st[o] == DYING && hn ->
#else
        :: st[o] == DYING && (hn || RETIRE_EARLY) ->
#endif
            d_step {
                STEP("%d reap.retire %d\n", 8, o);
                RETIRE_MORE(o);
                RETIRE(o);
                hn = 0;
                o = 0;
                f = 0
            }
#ifdef M_R6_NO_SWEEP
        :: st[o] == LIMBO ->
#else
        :: st[o] == LIMBO && hn ->
#endif
            d_step { STEP("%d reap.free %d\n", 8, o); release_memory(o); o = 0; f = 0 }
        :: else -> o = 0; f = 0; hn = 0
        fi
    }
    :: atomic {
        rp ->
        d_step { STEP("%d reap.count %d\n", 8, rp); down(rp) }
        SUSPECT_REAPED;
        d_step { rp = 0 }
    }
    od
}
