/* The heap that all models share: words, fields, read sections, deaths by count, reuse of memory.
 *
 * Objects are 1..N, 0 is NULL; mutators are 0..M-1. Sets are bit masks. A word's version only ever
 * grows, so all that two looks at it can tell is whether it has grown: one bit for each open proof
 * ("changed", cleared by V1's look, set by every bump) stands for 32 bits exactly, and threads may
 * run without bound. Every d_step is one atomic step of the code and prints its name.
 *
 * The beginning of a section is merged with the first step in it, its end with the last: a section
 * that is longer only makes grace periods wait longer, which the scheduler does anyway. */
#ifndef N
#define N 2 /* objects */
#endif
#ifndef F
#define F 1 /* fields of each */
#endif
#ifndef M
#define M 2 /* mutators */
#endif
#ifndef COLLECTORS
#define COLLECTORS 1
#endif

#define BIT(o) (1 << (o))
#define FLD(x, f) fld[((x) - 1) * F + (f)]

#define FREE 0
#define LIVE 1
#define DYING 2 /* its count reached zero */
#define LIMBO 3 /* retired: waits for a grace period */
#define GONE 4  /* committed by the collector */

byte st[4]; /* for up to three objects */
byte cnt[N + 1];
byte fld[N * F];
byte changed[COLLECTORS]; /* sets of objects: the version has grown since this collector's V1 */
byte insec;               /* set of mutators that are in a read section */
byte wait[COLLECTORS];    /* those that this collector's grace period waits for */
byte lim[4];          /* those that the reuse of this memory waits for */

/* What each mutator holds: two owned references, a borrowed one, one between a field and its count. */
byte own[M];
byte own2[M];
byte bor[M];
byte old[M];
byte rp; /* the reaper's: dropped from a field, not yet counted down */

byte hi, hj, hk, hn; /* for loops inside a step; 0 between steps */

/* What a trace is read by: who did which step to what. */
#define STEP(text, who, what) printf(text, who, what)

inline bump(o)
{
    changed[0] = changed[0] | BIT(o);
#if COLLECTORS > 1
    changed[1] = changed[1] | BIT(o);
#endif
}

/* A flag that keeps an object alive at count zero (finalizers.pml). */
#ifndef UNFINALIZED
#define UNFINALIZED(o) false
#endif
#ifndef NOT_DOOMED
#define NOT_DOOMED(o)
#endif

inline up(o)
{
    assert(cnt[o] > 0 || UNFINALIZED(o)); /* what has died never lives again */
    NOT_DOOMED(o)
    cnt[o] = cnt[o] + 1;
    assert(cnt[o] <= 5 * M + N * F + 2); /* no reference is lost; there are no more places */
#ifndef M_NO_VERSION
    bump(o);
#endif
}

/* Nothing for NULL. */
inline down(o)
{
    if
    :: (o) != 0 ->
        assert(cnt[o] > 0); /* more references given back than taken */
        cnt[o] = cnt[o] - 1;
        if
        :: cnt[o] == 0 && !UNFINALIZED(o) -> assert(st[o] == LIVE); st[o] = DYING
        :: else
        fi
    :: else
    fi
}

inline leave(m)
{
    insec = insec & ~BIT(m);
    wait[0] = wait[0] & ~BIT(m);
#if COLLECTORS > 1
    wait[1] = wait[1] & ~BIT(m);
#endif
    hi = 1;
    do
    :: hi <= N -> lim[hi] = lim[hi] & ~BIT(m); hi++
    :: else -> break
    od;
    hi = 0
}

/* Members of a decided set whose fields have not been dropped yet (proof.pml, ONE_BY_ONE). */
#ifndef DECIDED_ON
#define DECIDED_ON(o) false
#endif

/* No thread has a pointer to a member of `set`, and nothing outside of it refers into it. */
inline nobody_holds(set)
{
    hi = 0;
    do
    :: hi < M ->
        assert(!own[hi] || !((set) & BIT(own[hi])));
        assert(!own2[hi] || !((set) & BIT(own2[hi])));
        assert(!bor[hi] || !((set) & BIT(bor[hi])));
        assert(!old[hi] || !((set) & BIT(old[hi])));
        hi++
    :: else -> break
    od;
    assert(!rp || !((set) & BIT(rp)));
    hi = 1;
    do
    :: hi <= N ->
        hj = 0;
        do
        :: hj < F && st[hi] != FREE && !((set) & BIT(hi)) && !DECIDED_ON(hi) ->
            assert(!FLD(hi, hj) || !((set) & BIT(FLD(hi, hj))));
            hj++
        :: else -> break
        od;
        hi++
    :: else -> break
    od;
    hi = 0;
    hj = 0
}

inline all_empty(o, result)
{
    hj = 0;
    result = 1;
    do
    :: hj < F -> if :: FLD(o, hj) -> result = 0 :: else fi; hj++
    :: else -> break
    od;
    hj = 0
}

#ifndef NOT_IN_USE
#define NOT_IN_USE(o)
#endif

inline release_memory(o)
{
    nobody_holds(BIT(o));
    NOT_IN_USE(o)
    all_empty(o, hn);
    assert(hn); /* a reference stored into dead memory is lost */
    hn = 0;
    st[o] = FREE;
#ifdef M_R7_RESET
    fresh = fresh | BIT(o);
#endif
}

#ifdef M_R7_RESET
byte fresh = 255; /* objects whose version has not grown since their birth */
#endif

/* R2, R7: zero fields, then one store of the word, whose version nobody has seen in this place. */
#ifndef BORN_MORE
#define BORN_MORE(o)
#endif
inline birth(o)
{
    st[o] = LIVE;
    cnt[o] = 1;
#if defined(M_R7_SAME)
    /* The version is kept, but not bumped. */
#elif defined(M_R7_RESET)
    /* It begins at 0 again; the same as V1 saw if that object had never been copied either. */
    changed[0] = (changed[0] & ~BIT(o)) | (BIT(o) & ~seen_fresh);
#else
    bump(o);
#endif
    BORN_MORE(o)
}
