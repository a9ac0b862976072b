/* Kept references (docs/protocol.md, "Kept references"): one object of a hot type, two threads that keep what
 * they give back, each in a table of its own, and somebody who takes it back from there. The threads' plain
 * stores go through store buffers, as on x86-64; a locked instruction of the thread's empties its buffer, and
 * a barrier that passes through all processors empties every one.
 *
 * Nobody may lose the object while he has a reference, and nothing may be left of it in the end: not even if
 * the threads never come back to their tables. */
#define STEP(text, who, what) printf(text, who, what)

#define T 2      /* threads with tables */
#define REAPER 9 /* takes back */
#ifndef OPERATIONS
#define OPERATIONS 4 /* of each thread, and then it gives back what it has */
#endif

byte cnt = 1;    /* of the object: the root's reference to begin with */
bool root = true;
bool dead;
byte own[T];     /* references in the thread's variables */
byte over;

/* In memory: the table of each thread. One object, so one entry. */
bool busy[T], barred[T], used[T];
byte kept[T];
bool any;        /* somebody may keep something */

/* On their way there. */
#define BUSY 0
#define USED 1
#define KEPT 2
chan buffer0 = [6] of {byte, byte};
chan buffer1 = [6] of {byte, byte};
byte on_the_way[T]; /* stores to `kept` */
byte mine[T];       /* what the last of them stores */
#define PUT(k, what, value) \
    if \
    :: k == 0 -> buffer0!what, value \
    :: else -> buffer1!what, value \
    fi
#define FLUSHED(k) ((k == 0 && empty(buffer0)) || (k == 1 && empty(buffer1)))
/* A thread sees its own stores at once. */
#define KEEPS(k) (on_the_way[k] -> mine[k] : kept[k])
#define SET_KEPT(k, value) mine[k] = value; on_the_way[k] = on_the_way[k] + 1; PUT(k, KEPT, value)

proctype drain(byte k)
{
    byte what, value;
end:
    do
    :: atomic {
        if
        :: k == 0 && nempty(buffer0) -> buffer0?what, value
        :: k == 1 && nempty(buffer1) -> buffer1?what, value
        fi;
        if
        :: what == BUSY -> busy[k] = value
        :: what == USED -> used[k] = value
        :: else -> kept[k] = value; on_the_way[k] = on_the_way[k] - 1
        fi;
        what = 0;
        value = 0
    }
    od
}

inline count_down(n)
{
    assert(cnt >= n);
    cnt = cnt - n;
    if
    :: cnt == 0 ->
        assert(!dead && !root);
        assert(own[0] == 0 && own[1] == 0); /* the object dies, and somebody has it */
        dead = true
    :: else
    fi
}

inline begin(k)
{
    atomic { STEP("%d kept.busy %d\n", k, 0); PUT(k, BUSY, 1) }
}

/* With M_KEPT_END_RELAXED the end overtakes what was done before it. */
#ifdef M_KEPT_END_RELAXED
#define STORE_AND_END(k, value) PUT(k, BUSY, 0); SET_KEPT(k, value)
#else
#define STORE_AND_END(k, value) SET_KEPT(k, value); PUT(k, BUSY, 0)
#endif

/* If all that is left is what the thread keeps, it gives that back. */
inline settle(k)
{
    if
    :: used[k] && !dead ->
        begin(k);
        if
        :: atomic { !barred[k] && KEEPS(k) > 0 && KEEPS(k) >= cnt -> count = KEEPS(k);
#ifdef M_KEPT_GIVEN_AND_KEPT
                PUT(k, BUSY, 0)
#else
                STORE_AND_END(k, 0)
#endif
            };
            atomic {
                FLUSHED(k) ->
                STEP("%d kept.back %d\n", k, count);
                count_down(count);
                count = 0
            }
        :: atomic { barred[k] || KEEPS(k) == 0 || KEEPS(k) < cnt -> PUT(k, BUSY, 0) }
        fi
    :: else
    fi
}

proctype thread(byte k)
{
    byte left = OPERATIONS, word, count;
    bool first;
    do
    :: left > 0 && own[k] < 2 && (own[k] || root) -> /* gari_incref, gari_load */
        left--;
        begin(k);
        if
        :: d_step { !barred[k] && KEEPS(k) > 0 -> count = KEEPS(k) };
            atomic {
                STEP("%d kept.take %d\n", k, count);
                STORE_AND_END(k, count - 1);
                own[k] = own[k] + 1;
                count = 0
            }
        :: atomic { !(!barred[k] && KEEPS(k) > 0) -> PUT(k, BUSY, 0) };
            if
            :: atomic {
                FLUSHED(k) && (own[k] || root) ->
                STEP("%d incref %d\n", k, cnt);
                assert(!dead);
                cnt = cnt + 1;
                own[k] = own[k] + 1
            }
            :: d_step { FLUSHED(k) && !own[k] && !root -> skip } /* it has left the field meanwhile */
            fi
        fi
    :: own[k] > 0 -> /* gari_decref */
        if
        :: left > 0 -> left--
        :: else
        fi;
        d_step { assert(!dead); word = cnt };
        begin(k);
        if
        :: atomic { barred[k] || (!used[k] && word <= 1) || (used[k] && word <= KEEPS(k) + 1) -> PUT(k, BUSY, 0) };
            atomic {
                FLUSHED(k) ->
                STEP("%d decref %d\n", k, cnt);
                own[k] = own[k] - 1;
                count_down(1)
            };
            settle(k)
        :: d_step { !barred[k] && !used[k] && word > 1 -> first = true };
            atomic {
                STEP("%d kept.give %d\n", k, 1);
                PUT(k, USED, 1);
                STORE_AND_END(k, 1);
                own[k] = own[k] - 1
            };
#ifndef M_KEPT_NOT_TOLD
            d_step { FLUSHED(k) -> STEP("%d kept.tell %d\n", k, 0); any = true; first = false }
#endif
        :: d_step { !barred[k] && used[k] && word > KEEPS(k) + 1 -> count = KEEPS(k) };
            atomic {
                STEP("%d kept.give %d\n", k, count);
                STORE_AND_END(k, count + 1);
                own[k] = own[k] - 1;
                count = 0
            }
        fi;
        word = 0
    :: k == 0 && root && (left > 0 || own[k] == 0) -> /* the field is emptied */
        if
        :: left > 0 -> left--
        :: else
        fi;
        atomic {
            FLUSHED(k) ->
            STEP("%d store.exchange %d\n", k, 0);
            root = false;
            count_down(1)
        };
        settle(k)
    :: left > 0 && own[k] == 0 && !root -> left = 0 /* there is no way to it any more */
    :: left == 0 && own[k] == 0 && !(k == 0 && root) -> break
    od;
    atomic { FLUSHED(k) -> over++ }
}

active proctype reaper()
{
    byte k, count;
    bool left;
    do
    :: any || over == T ->
        if
        :: !any -> break
        :: else
        fi;
#ifndef M_KEPT_LOOKED_BEFORE
        any = false;
#endif
        left = false;
        k = 0;
        do
        :: k < T ->
            if
            :: d_step { used[k] -> STEP("%d kept.bar %d\n", REAPER, k); barred[k] = true }
            :: d_step { !used[k] -> skip }
            fi;
            k++
        :: else -> break
        od;
#ifdef M_KEPT_LOOKED_BEFORE
        any = false;
#endif
#ifndef M_KEPT_NO_BARRIER
        empty(buffer0);
        empty(buffer1);
#endif
        k = 0;
        do
        :: k < T ->
            if
#ifdef M_KEPT_BUSY
            :: d_step { barred[k] -> STEP("%d kept.look %d\n", REAPER, k) };
#else
            :: d_step { barred[k] && busy[k] -> STEP("%d kept.look %d\n", REAPER, k); left = true; barred[k] = false }
            :: d_step { barred[k] && !busy[k] -> STEP("%d kept.look %d\n", REAPER, k) };
#endif
                d_step { count = kept[k]; kept[k] = 0 };
                d_step { used[k] = false };
                d_step {
                    STEP("%d kept.back %d\n", REAPER, count);
                    if
                    :: count -> count_down(count)
                    :: else
                    fi;
                    count = 0
                };
                d_step { barred[k] = false }
            :: d_step { !barred[k] -> skip }
            fi;
            k++
        :: else -> break
        od;
        if
        :: left -> any = true
        :: else
        fi
    od;
    assert(dead); /* something is kept for ever */
}

init
{
    atomic { run drain(0); run drain(1); run thread(0); run thread(1) }
}
