/* Late death (docs/protocol.md): a late root R, dead by its count, whose fields stay until its grace
 * period is over; C, which R's field or another place P refers to; and who may see C meanwhile.
 *
 * C is freed at once when the pass that takes R apart finds its count 1 and SHARED not set, and no pass
 * of the collector at it; else it is counted down. Its memory is used again at once: then nobody may
 * have a pointer to it. LEAF: an untracked C, of which a move says nothing.
 * P lives for ever, as a field of a root. R is made anew, with gari_init, any number of times.
 * SWEEPER: a pass of the collector that comes to C because it lies in a block with a candidate. */
#ifndef M
#define M 2
#endif
#define BIT(m) (1 << (m))
#define STEP(text, who) printf(text, who, 1)

#define FREE 0
#define LIVE 1
#define DEAD 2

byte c_life, c_count;
bit c_shared;
byte c_wait;  /* sections that C's memory waits for, once it is dead by count */
byte r_life; /* LIVE: the root refers to it */
byte r_wait;
bit r_field, p_field; /* whether they refer to C */
bit bar;              /* walks are kept out */
byte insec;
bit own[M];   /* a reference to C */
bit bor[M];   /* C, borrowed */
bit borR[M];  /* R, borrowed */
bit old[M];   /* C has left a field and is still counted */
bit taken[M]; /* the same; it will be the thread's own */
bit moved[M]; /* C has come to a field from the thread, which has not yet said so */
bit marks[M]; /* mutant: it has counted down and not yet set SHARED */
bit queued;   /* C is in the collector's queue: its block has a scratch array */
bit visited;  /* the collector is at its fields, in a section */
#ifdef SWEEPER
bit swept;   /* a sweep has a scratch array in C's block */
bit sweeping; /* and is at C's fields, in a section */
#else
#define swept 0
#define sweeping 0
#endif

inline nobody_has_c()
{
    assert(!p_field && !visited && !sweeping);
    assert(!own[0] && !bor[0] && !old[0] && !taken[0] && !moved[0] && !marks[0]);
#if M > 1
    assert(!own[1] && !bor[1] && !old[1] && !taken[1] && !moved[1] && !marks[1]);
#endif
}

inline leave(m)
{
    insec = insec & ~BIT(m);
    r_wait = r_wait & ~BIT(m);
    c_wait = c_wait & ~BIT(m)
}
#define ENTER(m) insec = insec | BIT(m)
#define IN_CALL(m) (old[m] || taken[m] || moved[m] || marks[m])
inline maybe_leave(m)
{
    if
    :: !bor[m] && !borR[m] && !IN_CALL(m) -> leave(m)
    :: else
    fi
}

/* One reference less; the last one: C dies, and its memory waits. */
inline down(m)
{
    assert(c_life == LIVE && c_count > 0);
    c_count--;
    if
    :: c_count == 0 -> c_life = DEAD; c_wait = insec
#ifdef M_MARK_LATER
    :: c_count > 0 && (m) < M && !c_shared -> marks[m] = 1
    :: c_count > 0 && ((m) >= M || c_shared) -> c_shared = 1
#elif defined(M_UNSHARED)
    :: else
#else
    :: else -> c_shared = 1
#endif
    fi
}

/* The fields that m may use: P's always, R's when it has R borrowed (dead or alive). */
#define FIELD(f) if :: f = 0 :: borR[m] -> f = 1 fi
#define READ(f) (f == 0 && p_field || f == 1 && r_field)
#define WRITE(f, v) if :: f == 0 -> p_field = v :: else -> r_field = v fi

proctype mutator(byte m)
{
    byte f;
end:
    do
    :: atomic { !IN_CALL(m) && c_life == FREE && !r_field && !p_field && !queued ->
        d_step { STEP("%d new %d\n", m); c_life = LIVE; c_count = 1; c_shared = 0; own[m] = 1 } }
    /* A new root that owns what its maker gives it. */
    :: atomic { !IN_CALL(m) && r_life == FREE && own[m] ->
        d_step { STEP("%d user.init %d\n", m); r_life = LIVE; r_field = 1; own[m] = 0 } }
    :: atomic { !IN_CALL(m) && r_life == LIVE ->
        d_step {
            STEP("%d user.drop-root %d\n", m);
            r_life = DEAD;
#ifdef M_NO_GRACE
            r_wait = 0
#else
            r_wait = insec
#endif
        } }
    :: atomic { !IN_CALL(m) && r_life == LIVE && !borR[m] ->
        d_step { STEP("%d borrow.read %d\n", m); ENTER(m); borR[m] = 1 } }
    :: atomic { !IN_CALL(m) && !bor[m] -> FIELD(f);
        if
        :: READ(f) -> d_step { STEP("%d borrow.read %d\n", m); ENTER(m); bor[m] = 1 }
        :: else
        fi;
        f = 0 }
    :: atomic { !IN_CALL(m) && bor[m] && !own[m] && c_count > 0 ->
        d_step { STEP("%d try_incref %d\n", m); c_count++; own[m] = 1 } }
    :: atomic { !IN_CALL(m) && (bor[m] || borR[m]) ->
        d_step { STEP("%d section.end %d\n", m); bor[m] = 0; borR[m] = 0; leave(m) } }
    :: atomic { !IN_CALL(m) && own[m] ->
        d_step { STEP("%d decref %d\n", m); ENTER(m); own[m] = 0; down(m); maybe_leave(m) } }
    :: atomic { !IN_CALL(m) -> FIELD(f);
        if
        :: READ(f) -> d_step { STEP("%d store.exchange %d\n", m); ENTER(m); WRITE(f, 0); old[m] = 1 }
        :: READ(f) -> d_step { STEP("%d take.exchange %d\n", m); ENTER(m); WRITE(f, 0); taken[m] = 1 }
        :: !READ(f) && own[m] -> d_step { STEP("%d store.exchange %d\n", m); c_count++; WRITE(f, 1) }
        :: !READ(f) && own[m] ->
            d_step {
                STEP("%d move.exchange %d\n", m);
                WRITE(f, 1);
                own[m] = 0;
#ifndef LEAF
                ENTER(m);
                moved[m] = 1
#endif
            }
        :: else
        fi;
        f = 0 }
    :: atomic { old[m] -> d_step { STEP("%d drop %d\n", m); old[m] = 0; down(m); maybe_leave(m) } }
    :: atomic { taken[m] && !own[m] ->
        d_step {
            STEP("%d moved %d\n", m);
            taken[m] = 0;
            own[m] = 1;
#ifndef M_TAKE_UNSHARED
            c_shared = 1;
#endif
            maybe_leave(m)
        } }
    /* Two registers would be needed: the other reference goes. */
    :: atomic { taken[m] && own[m] ->
        d_step { STEP("%d moved %d\n", m); taken[m] = 0; c_shared = 1; down(m); maybe_leave(m) } }
    /* A candidate, unless it has died in the field meanwhile. */
    :: atomic { moved[m] ->
        d_step { STEP("%d suspect %d\n", m); moved[m] = 0; if :: c_count -> c_shared = 1 :: else fi; maybe_leave(m) } }
    :: atomic { marks[m] -> d_step { STEP("%d broken.marks-later %d\n", m); marks[m] = 0; c_shared = 1; maybe_leave(m) } }
    /* Finds C by looking at memory. */
    :: atomic { !IN_CALL(m) && c_life == LIVE && c_count > 0 && !own[m] && !bar ->
        d_step { STEP("%d walk %d\n", m); c_count++; own[m] = 1 } }
    od
}

/* A pass of the collector: sees the root alive in a section, and what its field refers to, and later in that section
 * looks up where that is; comes to it in another one, if it is alive then. */
proctype collector()
{
    bit aside; /* C has been met in the field */
end:
    do
    :: atomic { !queued && r_life == LIVE -> d_step { STEP("%d gather %d\n", 9); ENTER(M) } };
        atomic {
            d_step {
                if :: r_field -> STEP("%d gather %d\n", 9); aside = 1 :: else fi;
#ifdef M_LOOKED_UP_LATER
                leave(M)
#endif
            }
        };
        atomic {
            d_step {
                queued = aside;
                aside = 0;
#ifndef M_LOOKED_UP_LATER
                leave(M)
#endif
            }
        };
        if
        :: queued ->
            atomic { d_step { ENTER(M); if :: c_life == LIVE && c_count > 0 -> STEP("%d gather %d\n", 9); visited = 1 :: else fi } };
            atomic { d_step { visited = 0; leave(M) } };
            atomic { d_step { queued = 0 } }
        :: else
        fi
    od
}

#ifdef SWEEPER
/* Another candidate of the block gives it the scratch array; then all its objects are looked at, however
 * they are referred to. Not if walks are kept out at that moment. */
proctype sweeper()
{
    bit member;
end:
    do
    :: atomic { !swept -> d_step { STEP("%d seed %d\n", 10); swept = 1 } };
#ifdef M_NO_SWEEP_WAIT
        atomic { STEP("%d sweep.begin %d\n", 10) };
#else
        if
        :: atomic { !bar -> STEP("%d sweep.begin %d\n", 10) }
        :: atomic { bar -> goto out }
        fi;
#endif
        atomic { if :: c_life == LIVE && c_count > 0 -> STEP("%d proof.v1 %d\n", 10); member = 1 :: else fi };
        if
        :: member ->
            atomic { d_step { ENTER(M + 1); if :: c_life == LIVE && c_count > 0 -> STEP("%d proof.v2 %d\n", 10); sweeping = 1 :: else fi } };
            atomic { d_step { sweeping = 0; member = 0; leave(M + 1) } }
        :: else
        fi;
out:
        atomic { d_step { swept = 0 } }
    od
}
#endif

/* Takes the dead root apart after its grace period. */
proctype late()
{
    bit exclusive;
end:
    do
    :: atomic { r_life == DEAD && r_wait == 0 ->
        d_step {
#ifndef M_IN_WALK
            bar = 1
#else
            skip
#endif
        } };
        if
        :: atomic { r_field ->
            d_step {
                STEP("%d late.look %d\n", 8);
                exclusive = (c_life == LIVE && c_count == 1
#ifndef M_IGNORES_SHARED
                    && !c_shared
#endif
#ifndef M_UNQUIET
                    && !queued && !swept
#endif
                    )
            } }
            if
            :: atomic { exclusive ->
                d_step { STEP("%d reap.free %d\n", 8); nobody_has_c(); c_life = FREE; c_count = 0; c_shared = 0; r_field = 0 } }
            :: atomic { !exclusive ->
                d_step { STEP("%d reap.count %d\n", 8); r_field = 0; down(M) } }
            fi
        :: !r_field
        fi;
        atomic {
            d_step {
                STEP("%d reap.free %d\n", 8);
                assert(!r_field && !borR[0]);
#if M > 1
                assert(!borR[1]);
#endif
                bar = 0;
                exclusive = 0;
                r_life = FREE
            }
        }
    /* C's ordinary death. */
    :: atomic { c_life == DEAD && c_wait == 0 ->
        d_step { STEP("%d reap.free %d\n", 8); assert(!r_field); nobody_has_c(); c_life = FREE; c_shared = 0 } }
    od
}

init
{
    atomic {
        run mutator(0);
#if M > 1
        run mutator(1);
#endif
        run collector();
#ifdef SWEEPER
        run sweeper();
#endif
        run late();
    }
}
