/* The MPMC ring: claim, commit, die, repair, sleep, wake. Steps and row ids are those of docs/protocol-mpmc.md and
 * docs/protocol-waiting.md; memory is sequentially consistent here (waiting.pml has store buffers).
 *
 * NP producers send M messages each through N slots to NC consumers, all by blocking calls. A killer stops up to
 * CRASHES of them, before any of their steps. A consumer may put a message back (KEEPS times in all) and may dawdle
 * (LINGER times in all), with a message in hand or after it: everybody else has to get on without it.
 *
 * The first producer to be through closes the ring (CLOSES), or else somebody does when nobody can move. Or all is sent
 * and the ring is closed at the start (SHUT): what three consumers make of its end.
 *
 * A slice is over only when nothing else can move (`timeout`). So who wakes by it was not woken by the protocol:
 * that is an error unless somebody has died. Checked as well: no living claim is settled by others, nothing committed
 * is lost, nothing comes twice unflagged, no word is impossible, nobody is stuck once slices are over.
 */
#ifndef NP
#define NP 2
#endif
#ifndef NC
#define NC 1
#endif
#ifndef M
#define M 2
#endif
#ifndef N
#define N 2
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef KEEPS
#define KEEPS 0
#endif
#ifndef LINGER
#define LINGER 0
#endif
#ifndef ABORTS
#define ABORTS 0 /* claims that may be aborted */
#endif

#define ALL (NP + NC)
#define T (NP * M)
#define ROUNDS 10 /* times that all slices may have to end after deaths */

#define FREE 0
#define COMM 1
#define VOID 2
#define ORPH 3

#define OK 0
#define IDLE 1   /* Full, Empty */
#define BUSY 2   /* blocked by what stands at `bp` */
#define CLOSED 3

/* The ring. An intent is the position + 1, 0 is none. */
byte tail, head, sp[N], ss[N], sa[N], wi[NP], ri[NC];
bool closed, hint;

/* Waiting. `fresh` stands for "the event still is the ticket", which is all that the kernel compares. */
byte receivers, senders;
bool fresh[ALL], asleep[ALL], slice[ALL];

/* What the model knows beyond the words. Claimers and readers are index + 1. */
byte writer[T], reader[T], crashes, keeps, lingers, aborts, rounds;
bool committed[T], delivered[T], received[T], dead[ALL + 1], done[ALL], dawdling[ALL];

#define at(p, w) (sp[(p) % N] == (p) && ss[(p) % N] == (w))
#ifdef BUG_END_NOT_TOLD
#define TWO_BITS 0
#else
#define TWO_BITS closed
#endif

#define next_lap(p) sp[(p) % N] = (p) + N; ss[(p) % N] = FREE; sa[(p) % N] = 0

/* A store or read-modify-write of a participant, or its death before it. A death between loads concerns nobody, and one
 * in a sleep is one before it. */
#if CRASHES > 0
#define W(step) if :: d_step { step } :: crashes < CRASHES && me < ALL -> crashes++; dead[me] = true; goto gone fi
#else
#define W(step) if :: d_step { step } fi
#endif

#ifdef BUG_ATTEMPT_NOT_COUNTED
#define COUNTED 0
#else
#define COUNTED 1
#endif

#ifdef BUG_ASKS_AGAIN
#define ASKED(x) 0
#else
#define ASKED(x) (1 << x)
#endif

/* W5 to W10: wakes up to `count` of those whose bits are set, each once: who sets its bit again has looked since. */
inline tell(bits, count) {
    left = count;
    do
    :: atomic { (bits & ~asked) == 0 || left == 0 -> b = 0; x = 0; left = 0; asked = 0; break }
    :: atomic {
           else -> b = bits & ~asked;
           x = (b & 1 -> 0 : (b & 2 -> 1 : (b & 4 -> 2 : (b & 8 -> 3 : 4))));
           asked = asked | ASKED(x)
       };
#ifndef BUG_BIT_AFTER_EVENT
       W(b = bits & (1 << x); bits = bits & ~(1 << x));
#endif
       if
       :: b != 0 ->
          W(fresh[x] = false);
          W(left = (asleep[x] -> left - 1 : left); asleep[x] = false);
#ifdef BUG_BIT_AFTER_EVENT
          W(bits = bits & ~(1 << x))
#endif
       :: else /* somebody else was quicker */
       fi
    od
}

/* W1 W2, in this order. */
inline announce(bits) {
#ifdef BUG_TICKET_AFTER_BIT
    W(bits = bits | (1 << me));
    W(fresh[me] = true);
#else
    W(fresh[me] = true);
    W(bits = bits | (1 << me));
#endif
    announced = true
}

/* W11. */
inline withdraw(bits) {
    if
    :: announced -> W(bits = bits & ~(1 << me); announced = false)
    :: else
    fi
}

/* W20: a consumer of a closed ring waits for releases as well. */
inline announce_receiver() {
    both = TWO_BITS;
    announce(receivers);
    if
    :: both -> W(senders = senders | (1 << me))
    :: else
    fi
}

inline withdraw_receiver() {
    withdraw(receivers);
    if
    :: both -> W(senders = senders & ~(1 << me); both = false)
    :: else
    fi
}

/* FUTEX_WAIT: compare and sleep are one step. */
inline sleep() {
    W(asleep[me] = fresh[me]; fresh[me] = false);
    atomic { !asleep[me] -> slept = slice[me]; slice[me] = false }
}

/* The scan: which entries of the role (`from` is its first index) name bp, and is one of their owners alive? */
inline scan(intent, count, from) {
    atomic { abandoned = false; owned = false; e = 0 };
    do
    :: e == count || owned -> break
    :: else ->
       if
       :: intent == bp + 1 ->
#ifdef BUG_NO_LIVE_CHECK
          abandoned = true
#else
          if
          :: dead[from + e] -> abandoned = true
          :: else -> owned = true
          fi
#endif
       :: else
       fi;
       e++
    od;
    e = 0
}

/* Write repair of bp: MR1 MR2, scan, MR3. */
inline repair_write() {
#ifdef BUG_SCAN_FIRST
    scan(wi[e], NP, 0);
#endif
    if
    :: tail > bp ->
       if
       :: at(bp, FREE) ->
#ifndef BUG_SCAN_FIRST
          scan(wi[e], NP, 0);
#endif
          if
          :: abandoned && !owned ->
             W(
                 if
                 :: at(bp, FREE) ->
                    assert(dead[writer[bp] - 1] && !committed[bp]); /* no living claim is settled */
                    ss[bp % N] = VOID; writer[bp] = 0; settled = true
                 :: else
                 fi;
                 again = true
             );
             if
             :: settled -> tell(receivers, ALL)
             :: else
             fi
          :: else -> again = !owned
          fi
       :: else -> again = true
       fi
    :: else -> again = true
    fi;
    atomic { abandoned = false; owned = false; settled = false }
}

/* Read repair of bp: MR7 MR8, scan, MR10 to MR12. */
inline repair_read() {
#ifdef BUG_SCAN_FIRST
    scan(ri[e], NC, NP);
#endif
    if
    :: head > bp ->
       d_step { w = (sp[bp % N] == bp -> ss[bp % N] : FREE); a = sa[bp % N] };
       if
       :: w == COMM || w == VOID ->
#ifndef BUG_SCAN_FIRST
          scan(ri[e], NC, NP);
#endif
          if
          :: abandoned && !owned ->
             if
             :: w == COMM -> W(hint = true)
             :: else
             fi;
             W(
                 if
                 :: at(bp, w) && sa[bp % N] == a ->
                    assert(dead[reader[bp] - 1]); /* no living claim is settled */
                    reader[bp] = 0; settled = true;
                    if
                    :: w == COMM -> ss[bp % N] = ORPH; sa[bp % N] = a + COUNTED
                    :: else -> next_lap(bp)
                    fi
                 :: else
                 fi;
                 again = true
             );
             if
             :: settled && w == COMM -> W(hint = true); tell(receivers, 1)
             :: settled && w == VOID -> tell(senders, 1)
             :: else
             fi
          :: else -> again = again || !owned
          fi
       :: w == ORPH -> W(hint = true); again = true
       :: w == FREE -> again = true
       fi
    :: else -> again = true
    fi;
    atomic { abandoned = false; owned = false; settled = false; w = 0; a = 0 }
}

/* After a claim that was refused at first: whether the next slot is ready as well; then somebody else must know. */
inline pass_on(end, one, other, bits) {
#ifndef BUG_NO_PASSING_ON
    do
    :: p = end;
       if
       :: at(p, one) || at(p, other) -> tell(bits, 1); break
       :: else ->
#ifndef READY_LOOKS_AGAIN
          break
#else
          if
          :: p == end -> break
          :: else
          fi
#endif
       fi
    od;
    p = 0
#else
    skip
#endif
}

/* Push: one look. Leaves the position claimed in t. */
inline push() {
    d_step { t = tail; shut = closed; named = false; result = IDLE };
    do
    :: shut -> result = CLOSED; break
    :: else ->
       if
       :: at(t, FREE) -> /* MP2 */
#ifndef BUG_INTENT_LATE
          W(wi[me] = t + 1); /* MP3 */
#endif
          W( /* MP4 */
              if
              :: tail == t && !closed -> tail = t + 1; result = OK; writer[t] = me + 1
              :: else -> t = tail; shut = closed; named = true
              fi
          );
          if
          :: result == OK ->
#ifdef BUG_INTENT_LATE
             W(wi[me] = t + 1);
#endif
             break
          :: else
          fi
       :: else ->
          if
          :: d_step { tail != t || closed -> t = tail; shut = closed } /* MP10 */
          :: else ->
             h = head; /* MP12 */
             d_step { p = sp[t % N]; w = ss[t % N] }; /* MP13 */
             if
             :: p == t && w == FREE
             :: p + N == t && w == ORPH -> W(hint = true); result = BUSY; bp = p; break /* MP14 */
             :: p + N == t && w != ORPH && h <= p -> break /* Full */
             :: p + N == t && w != ORPH && h > p -> assert(w != FREE); result = BUSY; bp = p; break
             :: else -> d_step { assert(p + N >= t && (tail != t || closed)); t = tail; shut = closed } /* MP11 */
             fi
          fi
       fi
    od;
    atomic { h = 0; p = 0; w = 0; shut = 0 };
    if
    :: result == OK ->
       if
       :: refused -> refused = false; pass_on(tail, FREE, FREE, senders)
       :: else
       fi
    :: else ->
       atomic { refused = true; t = 0 };
#ifndef BUG_NO_WITHDRAWAL
       if
       :: named -> W(wi[me] = 0) /* MP7 */
       :: else
       fi
#endif
    fi;
    named = false
}

/* The message of p at attempt a, if it still has no reader: MD6 MD4 MD5. */
inline adopt() {
    W(ri[me - NP] = p + 1);
    W(
        if
        :: at(p, ORPH) && sa[p % N] == a -> ss[p % N] = COMM; reader[p] = me + 1; result = OK; t = p
        :: else
        fi
    );
    if
    :: result == OK ->
       W(hint = true);
#ifndef BUG_ADOPTS_SILENTLY
       tell(receivers, 1)
#endif
    :: else -> W(ri[me - NP] = 0); a = 0 /* MC7 */
    fi
}

/* MD2 MD3: the first message without a reader before h. */
inline adopt_first() {
    atomic { p = (t > N -> t - N : 0); t = 0 };
    do
    :: p >= h || result == OK -> break
    :: else ->
       if
       :: d_step { at(p, ORPH) -> a = sa[p % N] }; adopt()
       :: else
       fi;
       p++
    od
}

/* ME7: every slot of the last lap of a closed ring, up to h. */
inline drained() {
    atomic { p = (h > N -> h - N : 0); t = 0; result = CLOSED };
    do
    :: p == h || result == OK -> break
    :: else ->
       d_step { w = (sp[p % N] == p -> ss[p % N] : FREE); a = sa[p % N] };
       if
       :: w == ORPH ->
          atomic { old = result; result = IDLE };
          adopt();
          if
          :: result == OK
          :: else -> result = BUSY; bp = p
          fi;
          old = 0
       :: w == COMM || w == VOID -> atomic { bp = (result == BUSY -> bp : p); result = BUSY; a = 0 }
       :: w == FREE -> a = 0
       fi;
       p++
    od
}

/* Pop: one look. Leaves the position claimed in t, its attempt in a. */
inline pop() {
    d_step { h = head; named = false; result = IDLE };
    do
    :: d_step { w = ss[h % N]; p = sp[h % N]; a = sa[h % N] }; /* MC2 */
       if
       :: p == h && (w == COMM && a == 0 || w == VOID) ->
#ifndef BUG_INTENT_LATE
          W(ri[me - NP] = h + 1); /* MC3 */
#endif
          W( /* MC4 */
              if
              :: head == h -> head = h + 1; result = OK; t = h; reader[h] = me + 1
              :: else -> h = head; named = true
              fi;
              p = 0
          );
          if
          :: result == OK ->
#ifdef BUG_INTENT_LATE
             W(ri[me - NP] = t + 1);
#endif
             if
             :: refused ->
                refused = false;
                pass_on(head, COMM, VOID, receivers);
#ifndef BUG_PASSES_NO_ORPHANS
                if
                :: hint -> tell(receivers, 1)
                :: else
                fi
#endif
             :: else
             fi;
             if
             :: w == VOID -> /* a gap: given back at once */
                W(assert(at(t, VOID)); next_lap(t); reader[t] = 0);
                tell(senders, 1);
                atomic { h = t + 1; t = 0; named = false; result = IDLE }
             :: else -> break
             fi
          :: else
          fi
       :: else ->
          if
          :: d_step { head != h -> h = head } /* ME1 */
          :: else ->
             d_step { t = tail; shut = closed }; /* ME5 */
             d_step { p = sp[h % N]; w = ss[h % N]; a = sa[h % N] }; /* ME2 */
             if
             :: p == h && (w == VOID || w == COMM && a == 0)
             :: p > h || p == h && (w == ORPH || w == COMM && a > 0) ->
                d_step { assert(head != h); h = head } /* ME3; else Corrupt */
             :: p < h || p == h && w == FREE ->
                assert(h <= t && (p == h || h == t)); /* else Corrupt */
                a = 0;
                if
                :: h < t -> result = BUSY; bp = h; wr = true
                :: h == t && shut -> drained()
                :: h == t && !shut ->
                   if
                   :: hint ->
                      W(hint = false); /* MD1 */
#ifndef BUG_STALE_HEAD
                      h = head; /* MD8 */
#endif
                      adopt_first()
                   :: else /* Empty */
                   fi
                fi;
                break
             fi
          fi
       fi
    od;
    atomic { h = 0; p = 0; w = 0; shut = 0 };
    if
    :: result == OK
    :: else ->
       atomic { refused = true; t = 0; a = 0 };
       if
       :: named -> W(ri[me - NP] = 0) /* MC7 */
       :: else
       fi
    fi;
    named = false
}

inline dawdle() {
#if LINGER > 0
    if
    :: lingers < LINGER -> W(lingers++; dawdling[me] = true); (!dawdling[me])
    :: true
    fi
#else
    skip
#endif
}

proctype producer(byte me) {
    byte t, h, p, w, a, bp, e, b, x, left, asked, result, sent;
    bool shut, named, refused, announced, slept, again, abandoned, owned, settled;
    do
    :: sent == M || result == CLOSED -> break
    :: else ->
       do
       :: push();
          if
          :: result == BUSY && crashes > 0 ->
             if
             :: repair_read(); if :: again -> push() :: else fi
             :: !slept
             fi
          :: else
          fi;
          atomic { again = false; slept = false; bp = 0 };
          if
          :: result == OK || result == CLOSED -> break
          :: else
          fi;
          if
          :: announced -> sleep(); withdraw(senders)
          :: else -> announce(senders)
          fi
       od;
       if
       :: result == OK ->
          if
          :: W( /* MP5 */
                 assert(at(t, FREE) && writer[t] == me + 1);
                 ss[t % N] = COMM; committed[t] = true; writer[t] = 0; t = 0; sent++
             )
          :: aborts < ABORTS ->
             W( /* MP6 */
                 assert(at(t, FREE) && writer[t] == me + 1);
                 ss[t % N] = VOID; writer[t] = 0; t = 0; sent++; aborts++
             )
          fi;
          tell(receivers, 1)
       :: else
       fi;
       withdraw(senders)
    od;
#ifdef CLOSES
    if
    :: result != CLOSED -> W(closed = true); tell(receivers, ALL); tell(senders, ALL) /* MX4 */
    :: else
    fi;
#endif
    W(done[me] = true);
gone:
    skip
}

proctype consumer(byte me) {
    byte t, h, p, w, a, bp, e, b, x, left, asked, result, old;
    bool shut, named, refused, announced, both, slept, again, abandoned, owned, settled, wr;
    do
    :: result == CLOSED -> break
    :: else ->
       do
       :: pop();
          if
          :: result == BUSY && crashes > 0 ->
             if
             :: if :: wr -> repair_write() :: else -> repair_read() fi;
                if :: again -> pop() :: else fi
             :: !slept
             fi
          :: result == IDLE && slept -> /* looks at everything, hint or no hint */
             bp = (head > N -> head - N : 0);
             do
             :: bp >= head -> break
             :: else -> repair_read(); bp++
             od;
             pop()
#ifdef SWEEPS /* looks after what the first producer has left, claimed or not */
          :: result == IDLE && dead[0] && wi[0] > 0 -> bp = wi[0] - 1; repair_write(); pop()
          :: result == IDLE && !slept
#endif
          :: else
          fi;
          atomic { again = false; slept = false; bp = 0; wr = false };
          if
          :: result == OK || result == CLOSED -> break
          :: else
          fi;
          if
#ifndef BUG_END_SEEN_TOO_LATE
          :: announced && both != TWO_BITS -> withdraw_receiver() /* closed since: from the start */
          :: announced && both == TWO_BITS -> sleep(); withdraw_receiver()
#else
          :: announced -> sleep(); withdraw_receiver()
#endif
          :: else -> announce_receiver()
          fi
       od;
       withdraw_receiver();
#ifndef BUG_END_NOT_PASSED_ON
       if
       :: result == CLOSED -> tell(senders, 1) /* others may wait for the same end */
       :: else
       fi;
#endif
       if
       :: result == OK ->
          W(
              assert(at(t, COMM) && sa[t % N] == a && reader[t] == me + 1 && committed[t]);
              assert(a > 0 || !delivered[t]); /* nothing comes twice unflagged */
              delivered[t] = true
          );
          dawdle();
          if
          :: W( /* MC6 */
                 assert(at(t, COMM) && sa[t % N] == a && reader[t] == me + 1);
                 received[t] = true; reader[t] = 0; next_lap(t); t = 0; a = 0
             );
             tell(senders, 1)
          :: keeps < KEEPS ->
             W( /* MC12 */
                 assert(at(t, COMM) && sa[t % N] == a && reader[t] == me + 1);
                 keeps++; reader[t] = 0; ss[t % N] = ORPH; sa[t % N] = a + 1; t = 0; a = 0
             );
#ifndef BUG_NO_HINT
             W(hint = true); /* MC13 */
#endif
             tell(receivers, 1);
             W(ri[me - NP] = 0) /* MC7 */
          fi;
          dawdle()
       :: else
       fi
    od;
    W(done[me] = true);
gone:
    skip
}

/* Comes in when nobody else can move. */
proctype kernel() {
    byte me = ALL, i, b, x, left, asked;
    bool lost, busy, bare, finished, producers, consumers, sleepers, alive; /* bare: nothing is in the ring */
    do
    :: timeout ->
       atomic {
           bare = head == tail; finished = true; i = 0;
           do
           :: i < N -> bare = bare && ss[i] == FREE; i++
           :: else -> break
           od;
           i = 0;
           do
           :: i < ALL ->
              finished = finished && (done[i] || dead[i]);
              producers = producers || i < NP && !done[i] && !dead[i];
              consumers = consumers || i >= NP && !done[i] && !dead[i];
              alive = alive || i >= NP && !dead[i];
              busy = busy || dawdling[i];
              sleepers = sleepers || asleep[i];
              /* Somebody sleeps although there is something for him. */
              lost = lost || asleep[i] && (i < NP ->
                  closed || at(tail, FREE) :
                  at(head, COMM) || at(head, VOID) || closed && bare ||
                  head == tail && (ss[0] == ORPH || ss[N - 1] == ORPH));
              i++
           :: else -> break
           od;
           i = 0;
           assert(!lost || crashes > 0)
       };
       if
       :: finished || !consumers -> break
       :: !finished && consumers && busy && !lost -> /* those who dawdled go on */
          atomic {
              do
              :: i < ALL -> dawdling[i] = false; i++
              :: else -> break
              od;
              i = 0
          }
       :: !finished && consumers && !lost && (bare || busy) && !producers && !closed -> /* MX4 */
          closed = true;
          tell(receivers, ALL);
          tell(senders, ALL)
       :: else ->
          atomic {
              assert(sleepers && crashes > 0); /* without a death nobody else needs a slice */
              assert(rounds < ROUNDS); /* and with one only a few: nobody is stuck */
              rounds++;
              do
              :: i < ALL ->
                 slice[i] = asleep[i];
                 asleep[i] = false;
                 i++
              :: else -> break
              od;
              i = 0
          }
       fi;
       atomic {
           lost = false; busy = false; bare = false; finished = false; producers = false; consumers = false;
           sleepers = false; alive = false
       }
    od;
    atomic {
        /* who is left has received whatever was committed */
        do
        :: i < T -> assert(!committed[i] || received[i] || !alive); i++
        :: else -> i = 0; break
        od;
        /* a full ring that nobody reads: its producers may sleep for ever */
        closed = true;
        do
        :: i < ALL -> asleep[i] = false; i++
        :: else -> break
        od
    };
gone:
    skip
}

init {
    byte i;
    atomic {
        do
        :: i < N -> sp[i] = i; i++
        :: else -> break
        od;
#ifdef SHUT
        i = 0;
        do
        :: i < T -> ss[i] = COMM; committed[i] = true; i++
        :: else -> break
        od;
        tail = T;
        closed = true;
#endif
        i = 0;
        do
#ifdef SHUT
        :: i < NP -> done[i] = true; i++
#else
        :: i < NP -> run producer(i); i++
#endif
        :: i >= NP && i < ALL -> run consumer(i); i++
        :: i == ALL -> break
        od;
        run kernel();
        i = 0
    }
}
