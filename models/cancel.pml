/* Cancelling a wait, against its sleep and against the drop of the handle: ring-core/src/interrupt.rs. Rows are those of
 * docs/protocol-waiting.md.
 *
 * The owner waits; a canceller asks it to stop, CANCELS times. A publisher sends one message meanwhile, which the owner
 * or another sleeper takes. When its wait has ended the owner drops the handle, and the memory of the event goes.
 *
 * A canceller in a signal handler runs while the owner stands still: one of the orders tried here.
 *
 * Checked: nobody touches the event after it went; a request ends the wait without a slice; a message that is there is
 * taken by whoever is left to wait for it; the handle's drop ends.
 */
#ifndef CANCELS
#define CANCELS 1
#endif
#ifndef CANCELLERS
#define CANCELLERS 2
#endif

#define OWNER 0
#define OTHER 1

bool requested, gone, mapped = true, over, message, published;
byte inside; /* cancellers counted in */
byte bits, cancellers = CANCELLERS;
bool fresh[2], asleep[2], publishing = true, cancelled, done[2];
byte buffered; /* stores of a request that memory does not have yet */

#ifdef BUG_ASKED_BEFORE_THE_TICKET
#define CHECK !announced
#else
#define CHECK true
#endif

/* Either is enough: a waker that goes on when nobody slept, or a last look by who leaves. */
#if defined(COUNTS_THE_AWAKE) || defined(BUG_LEAVES_WITHOUT_A_LOOK)
#define COUNTED break
#else
#define COUNTED skip
#endif
#if defined(LEAVES_WITHOUT_A_LOOK) || defined(BUG_LEAVES_WITHOUT_A_LOOK)
#define LOOK skip
#else
#define LOOK look()
#endif

#define touch(step) d_step { assert(mapped); step }

/* I1 I2 W12 I3. */
proctype canceller() {
    byte n;
    bool out;
    do
    :: n == CANCELS -> break
    :: else ->
       n++;
#if defined(BUG_REQUEST_LATE)
       skip;
#elif defined(BUG_W12_RELAXED)
       buffered++; /* the store of the request may come after what follows */
#else
       requested = true; /* I1 */
#endif
#ifdef BUG_NOT_COUNTED
       out = gone;
#else
       d_step { inside++; out = gone }; /* I2 */
#endif
       if
#ifdef BUG_GONE_IGNORED
       :: true ->
#else
       :: !out ->
#endif
#ifdef BUG_I3_RELAXED
          inside--; /* seen before what was done at the event */
#endif
#ifndef BUG_NO_DISTURBANCE
          touch(fresh[OWNER] = false); /* W12 */
#endif
#ifdef BUG_REQUEST_LATE
          requested = true;
#endif
          touch(asleep[OWNER] = false)
#ifdef BUG_I3_RELAXED
          ; inside++
#endif
       :: else
       fi;
#ifndef BUG_NOT_COUNTED
       inside--; /* I3 */
#endif
       out = false
    od;
    cancellers--
}

/* The store of a request reaches memory. */
proctype hardware() {
end:
    do
    :: d_step { buffered > 0 -> buffered--; requested = true }
    od
}

/* One message for whoever sleeps: W5 to W10. */
proctype publisher() {
    byte b, x;
    published = true;
    message = true;
    do
    :: atomic { bits == 0 -> b = 0; x = 0; break }
    :: atomic { else -> b = bits; x = (b & 1 -> 0 : 1) };
       d_step { b = bits & (1 << x); bits = bits & ~(1 << x) }; /* W9 */
       if
       :: b != 0 ->
          fresh[x] = false; /* W10 */
          if
          :: d_step { asleep[x] -> asleep[x] = false }; break
          :: else -> COUNTED
          fi
       :: else
       fi
    od;
    publishing = false
}

inline look() {
    d_step { found = message; message = false }
}

/* The loop of ring-shm/src/wait.rs. */
inline wait(me) {
    do
    :: look();
       if
       :: found -> break
       :: else
       fi;
       if
       :: me == OWNER && requested && CHECK -> /* I6 */
          /* leave: a waker that took the bit may have taken us for somebody who sees to its message */
          d_step { taken = announced && !(bits & (1 << me)); bits = bits & ~(1 << me); announced = false };
          if
          :: taken -> LOOK
          :: else
          fi;
          if
          :: !found -> requested = false; cancelled = true /* I7 */
          :: else
          fi;
          break
       :: me == OTHER && over -> break
       :: else
       fi;
       if
       :: announced ->
          d_step { asleep[me] = fresh[me]; fresh[me] = false };
          (!asleep[me]);
          d_step { bits = bits & ~(1 << me); announced = false }
       :: else ->
          fresh[me] = true; /* W1 */
          bits = bits | (1 << me); /* W2, and the barrier */
          announced = true
       fi
    od;
    atomic { bits = bits & ~(1 << me); announced = false; taken = false };
    done[me] = true
}

proctype owner() {
    bool announced, found, taken;
    wait(OWNER);
#ifndef BUG_DROPS_AT_ONCE
    gone = true; /* I4 */
    (inside == 0); /* I5 */
#endif
    mapped = false
}

proctype other() {
    bool announced, found, taken;
    wait(OTHER)
}

/* Comes in when nobody else can move. */
proctype kernel() {
    do
    :: timeout ->
       if
       :: over -> break
       :: else ->
          assert(!(asleep[OWNER] && requested)); /* a request that nobody hears */
          assert(!(message && (asleep[OWNER] || asleep[OTHER]))); /* a lost wake */
          assert(cancellers == 0 && !publishing);
          assert(done[OWNER]); /* there was a request, and there may have been a message */
          assert(!mapped); /* the drop has ended */
          d_step { over = true; fresh[OTHER] = false; asleep[OTHER] = false }
       fi
    od
}

init {
    atomic {
        run owner(); run other(); run publisher(); run canceller();
#if CANCELLERS > 1
        run canceller();
#endif
        run hardware(); run kernel()
    }
}
