/* Weak gets beside a collection, as docs/protocol.md ("Weak references") has it: the tags, the gate, the
 * set put aside for its finalizer and proved again, and the memory that waits for a grace period.
 *
 * With -DM_x a rule is broken and the checker has to find a trace: M_NO_GATE (a get ignores tags),
 * M_LATE_TAG (tags are set after the grace period), M_NO_GRACE (none in the proof), M_NO_LIMBO (memory is
 * freed without one), M_NO_UNTAG (the tag of what is put aside stays), M_NO_SECOND (no second proof),
 * M_HOLD_BLINDLY (what is put aside is held whatever its word), M_BLIND (a get counts up what is dead),
 * M_ONE_LOOK (DECIDED without a second look).
 *
 * Object 0 is a ring of one; object 1 is another, with a finalizer. Each has a weak reference; the only
 * other ways to them are what the mutators own. Words: a count, and "changed since V1" for the version.
 * A mutator's whole life is to get, cut or tie the ring, and drop. */
/* What a trace is read by: who did which step to what (0-1 mutators, 8 the reaper, 9 the collector). */
#define STEP(text, who, what) printf(text, who, what)

#define LIVE 0
#define DEAD 1  /* count zero, or committed */
#define FREED 2 /* another object may be here */
#define NONE 2
#ifndef M
#define M 2 /* mutators */
#endif
#ifndef NUMBERS
#define NUMBERS 8
#endif
#define PLAIN 1
#define TAGGED 2
#define SHUT 0
#define OPEN 1
#define BROKEN 2
#define DECIDED 3

byte st[2], cnt[2], edge[2], target[2];
bool changed[2], retired[2];
byte doomed; /* what a proof has decided to be garbage, and will commit */
byte gate, number; /* the number counts modulo NUMBERS: two looks of a get are never that far apart */
byte insec, waits, limbo[2];
bool finalized, aside;

inline enter()
{
    insec = insec | (1 << m)
}

inline leave()
{
    d_step {
        insec = insec & ~(1 << m);
        waits = waits & ~(1 << m);
        limbo[0] = limbo[0] & ~(1 << m);
        limbo[1] = limbo[1] & ~(1 << m)
    }
}

/* The death by count of o, or what follows a commit: weak references are emptied, then the memory is
 * retired. */
inline bury(o)
{
    target[o] = 0;
    d_step {
        STEP("%d weak.clear %d\n", 8, o);
        limbo[o] = insec;
#ifdef M_NO_LIMBO
        limbo[o] = 0;
#endif
        retired[o] = true
    }
}

proctype reaper()
{
    do
    :: d_step { retired[0] && limbo[0] == 0 && st[0] == DEAD -> STEP("%d reap.free %d\n", 8, 0); st[0] = FREED }
    :: d_step { retired[1] && limbo[1] == 0 && st[1] == DEAD -> STEP("%d reap.free %d\n", 8, 1); st[1] = FREED }
    od
}

proctype mutator(byte m)
{
    byte o, t, g, n;
    bool last;
again:
    if
    :: o = 0
    :: o = 1
    fi;
    enter();
read:
    atomic { STEP("%d weak.read %d\n", m, o); t = target[o] };
    if
    :: t == 0 -> goto null
    :: t == PLAIN -> goto count
    :: t == TAGGED -> skip
    fi;
#ifdef M_NO_GATE
    goto count;
#endif
    d_step { STEP("%d gate.look %d\n", m, gate); g = gate; n = number }
    if
    :: g == OPEN ->
        atomic {
            if
            :: gate == OPEN && number == n -> STEP("%d gate.break %d\n", m, o); gate = BROKEN; goto count
            :: else -> goto read
            fi
        }
    :: g == DECIDED ->
#ifndef M_ONE_LOOK
        if
        :: target[o] != TAGGED -> goto read
        :: else -> skip
        fi;
        if
        :: gate == DECIDED && number == n -> goto null
        :: else -> goto read
        fi
#else
        goto null
#endif
    :: else -> goto count
    fi;
count:
    assert(st[o] != FREED);
    atomic {
        if
#ifndef M_BLIND
        :: cnt[o] == 0 -> goto null
        :: else ->
#else
        :: true ->
#endif
            STEP("%d weak.try_incref %d\n", m, o);
            cnt[o] = cnt[o] + 1;
            changed[o] = true
        fi
    }
    leave();
    /* Owned. To cut or tie the ring is a gari_store, here in one step. */
    assert(st[o] == LIVE);
    if
    :: d_step { edge[o] == 1 -> STEP("%d store.exchange %d\n", m, o); edge[o] = 0; cnt[o] = cnt[o] - 1 }
    :: d_step { edge[o] == 0 -> STEP("%d store.exchange %d\n", m, o); edge[o] = 1; cnt[o] = cnt[o] + 1; changed[o] = true }
    :: skip
    fi;
    assert(st[o] == LIVE);
    d_step {
        STEP("%d decref %d\n", m, o);
        cnt[o] = cnt[o] - 1;
        last = cnt[o] == 0;
        if
        :: last -> st[o] = DEAD
        :: else
        fi
    }
    if
    :: last -> bury(o)
    :: else
    fi;
    goto again;
null:
    /* It is dead for good; so it is all the same when this is looked at. */
    assert(st[o] != LIVE || (doomed & (1 << o)));
    leave();
    goto again
}

byte set, word[2], c;
bool failed;
#define IN(o) (set & (1 << (o)))

inline tag(o)
{
    atomic {
        if
        :: IN(o) && target[o] != 0 -> STEP("%d gate.tag %d\n", 9, o); target[o] = TAGGED
        :: else
        fi
    }
}

inline untag(o)
{
    atomic {
        if
        :: target[o] == TAGGED -> STEP("%d gate.untag %d\n", 9, o); target[o] = PLAIN
        :: else
        fi
    }
}

inline v1(o)
{
    d_step {
        STEP("%d proof.v1 %d\n", 9, o);
        word[o] = cnt[o];
        changed[o] = false;
        if
        :: cnt[o] == 0 -> set = set & ~(1 << o)
        :: else
        fi
    }
}

/* The only edge to o is its own; held: the reference that is the collector's. */
inline v3(o, held)
{
    if
    :: IN(o) && edge[o] + held != word[o] -> set = set & ~(1 << o)
    :: else
    fi
}

inline rc(o)
{
    if
    :: IN(o) && (changed[o] || cnt[o] != word[o]) -> failed = true
    :: else
    fi
}

inline commit(o)
{
    if
    :: IN(o) -> d_step { STEP("%d commit.zero %d\n", 9, o); cnt[o] = 0; st[o] = DEAD }
    :: else
    fi
}

inline clear(o)
{
    if
    :: IN(o) -> bury(o)
    :: else
    fi
}

inline tags()
{
    d_step { STEP("%d gate.open %d\n", 9, set); gate = OPEN; number = (number + 1) % NUMBERS }
    tag(0);
    tag(1)
}

/* V1 to RC of what is in `set`; failed: refused. */
inline prove(held)
{
    failed = false;
    v1(0);
    v1(1);
    v3(0, 0);
    v3(1, held);
    if
    :: set != 0 ->
#ifndef M_LATE_TAG
        tags();
#endif
#ifndef M_NO_GRACE
        waits = insec;
        waits == 0;
#endif
        rc(0);
        rc(1);
#ifdef M_LATE_TAG
        tags()
#endif
    :: else -> failed = true
    fi
}

inline decide()
{
    atomic {
        if
        :: gate == OPEN -> STEP("%d gate.decide %d\n", 9, set); gate = DECIDED; doomed = doomed | set
        :: else -> failed = true
        fi
    }
#ifdef M_NO_GATE
    failed = false
#endif
}

inline finish()
{
    if
    :: failed ->
        gate = SHUT;
        untag(0);
        untag(1)
    :: else ->
        commit(0);
        commit(1);
        clear(0);
        clear(1);
        gate = SHUT
    fi
}

proctype collector()
{
    do
    :: st[0] != LIVE && st[1] != LIVE -> break
    :: else ->
        /* The first proof; a set may be smaller than it could be. */
        if
        :: set = 1
        :: set = 2
        :: set = 3
        fi;
        prove(0);
        if
        :: !failed && IN(1) && !finalized ->
            d_step {
                set = set & 1;
                if
#ifdef M_HOLD_BLINDLY
                :: true ->
#else
                :: changed[1] || cnt[1] != word[1]
                :: else ->
#endif
                    assert(cnt[1] > 0); /* what is dead never lives again */
                    STEP("%d finalize.hold %d\n", 9, 1);
                    aside = true;
                    finalized = true;
                    cnt[1] = cnt[1] + 1;
                    changed[1] = true
                fi
            }
#ifndef M_NO_UNTAG
            untag(1)
#endif
        :: else
        fi;
        if
        :: !failed && set != 0 -> decide()
        :: else
        fi;
        if
        :: set != 0 -> finish()
        :: else -> gate = SHUT
        fi;
        if
        :: aside ->
            /* Its finalizer runs: a time in which mutators do what they like. Then the second proof. */
            set = 2;
#ifdef M_NO_SECOND
            failed = false;
            d_step { gate = DECIDED; number = (number + 1) % NUMBERS }
#else
            prove(1);
            if
            :: !failed -> decide()
            :: else
            fi;
#endif
            if
            :: set != 0 -> finish()
            :: else -> gate = SHUT
            fi;
            aside = false;
            if
            :: failed ->
                d_step {
                    STEP("%d finalize.let-go %d\n", 9, 1);
                    cnt[1] = cnt[1] - 1;
                    c = cnt[1] == 0;
                    if
                    :: c -> st[1] = DEAD
                    :: else
                    fi
                }
                if
                :: c -> bury(1)
                :: else
                fi
            :: else
            fi
        :: else
        fi
    od
}

init
{
    byte i;
    atomic {
        cnt[0] = 1;
        cnt[1] = 1;
        edge[0] = 1;
        edge[1] = 1;
        target[0] = PLAIN;
        target[1] = PLAIN;
        run collector();
        run reaper();
        i = 0;
        do
        :: i < M -> run mutator(i); i++
        :: else -> break
        od
    }
}
