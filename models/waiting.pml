/* Sleeping and waking with the processors' store buffers made explicit. Rows are those of docs/protocol-waiting.md.
 *
 * A publication is a plain store: it goes into its publisher's buffer, and the hardware moves it to memory at any later
 * time. A fence waits until the buffer is empty; the sleeper's membarrier empties the buffers of all registered
 * publishers, one after the other. Read-modify-writes empty the own buffer first (x86), or, with WEAK, do not (ARM).
 *
 * PUBLISHERS send M messages each, SLEEPERS take one after the other. LIGHT and REACH are sets (bit i: publisher i is
 * registered; sleeper i has a barrier that reaches others). CRASHES publishers or sleepers may die, before any step.
 *
 * A slice is over only when nothing else can move. If something is published then, that is an error unless somebody has
 * died, or it is a short slice of a sleeper that has told publishers to fence and has not slept a whole slice since.
 * Publishers may pause before a message until all slices that matter are over: without a pause every slice would end after the
 * last message, and nothing would ever be published to a sleeper whose slices are long. With DAWDLES they may also stop around
 * W10, which is when any slice may end: what a sleeper then believes of its announcement is what this is about.
 *
 * A sleeper whose announcement outlives its slice keeps it. So nobody may sleep without a bit and without a waker on
 * his way, but for one slice after a death. REPAIRS: somebody clears the bits of dead sleepers.
 */
#ifndef PUBLISHERS
#define PUBLISHERS 1
#endif
#ifndef SLEEPERS
#define SLEEPERS 1
#endif
#ifndef M
#define M 2
#endif
#ifndef LIGHT
#define LIGHT 3
#endif
#ifndef REACH
#define REACH 3
#endif
#ifndef CRASHES
#define CRASHES 0
#endif

byte memory[PUBLISHERS], buffer[PUBLISHERS], taken; /* messages published, by place */
byte bits, fences;
bool fresh[SLEEPERS], asleep[SLEEPERS], expired[SLEEPERS], news[SLEEPERS]; /* fresh: the event still is the ticket */
bool pausing[PUBLISHERS], dawdling[PUBLISHERS], dead[SLEEPERS], deaf[SLEEPERS];
byte crashes, running = PUBLISHERS, slices;
bool over;

#if PUBLISHERS > 1
#define published (memory[0] + memory[1])
#else
#define published memory[0]
#endif

/* A step that others can see, or a death before it. */
#if CRASHES > 0
#define W(step) if :: d_step { step } :: atomic { crashes < CRASHES -> crashes++ }; goto gone fi
#else
#define W(step) if :: d_step { step } fi
#endif

#ifdef BUG_NO_SHORT_SLICE
#define NEWS false
#else
#define NEWS true
#endif

#define drained (buffer[me] == 0)
#ifdef WEAK
#define RMW(step) W(step)
#else
#define RMW(step) if :: d_step { drained -> step } :: atomic { crashes < CRASHES -> crashes++ }; goto gone fi
#endif

#ifdef DAWDLES
#define somebody_dawdles (dawdling[0] || dawdling[PUBLISHERS - 1])
inline dawdle() {
    if
    :: dawdling[me] = true; !dawdling[me]
    :: true
    fi
}
#else
#define somebody_dawdles false
#define dawdle() skip
#endif

proctype publisher(byte me) {
    byte b, f, x, left, asked, sent;
    do
    :: sent == M -> break
    :: else ->
       if
       :: sent > 0 -> pausing[me] = true; !pausing[me]
       :: true
       fi;
#ifdef BUG_COMPILER_MOVES_THE_LOAD
       b = bits; f = fences;
#endif
       W(buffer[me]++; sent++); /* MP5, S3 */
#ifndef BUG_NO_W4
       if
       :: !(LIGHT >> me & 1) -> drained
       :: else
       fi;
#endif
#ifndef BUG_COMPILER_MOVES_THE_LOAD
       b = bits; /* W5 */
       f = fences; /* W6 */
#endif
       if
       :: (b | f) != 0 ->
#ifndef BUG_NO_W7
          if
          :: (LIGHT >> me & 1) && fences != 0 -> drained
          :: else
          fi;
#endif
          left = 1;
          do
          :: atomic { (bits & ~asked) == 0 || left == 0 -> b = 0; x = 0; left = 0; asked = 0; break } /* W8 */
          :: else ->
             atomic { b = bits & ~asked; x = (b & 1 -> 0 : 1); asked = asked | b & (1 << x) };
             if
             :: b == 0
#ifdef BUG_W9_RELAXED
             :: b != 0 -> /* the event is moved on before the bit is taken; what was guessed wrongly is undone */
                W(fresh[x] = false);
                if
                :: d_step { bits & (1 << x) -> bits = bits & ~(1 << x) }
                :: else -> goto stop
                fi;
                W(left = (asleep[x] -> 0 : left); asleep[x] = false)
#endif
             :: b != 0 ->
#ifndef BUG_BIT_AFTER_EVENT
                RMW(b = bits & (1 << x); bits = bits & ~(1 << x)); /* W9 */
#endif
                if
                :: b != 0 ->
                   dawdle();
                   RMW(fresh[x] = false); /* W10 */
                   dawdle();
                   W(left = (asleep[x] -> 0 : left); asleep[x] = false)
                :: else
                fi
#ifdef BUG_BIT_AFTER_EVENT
                ;
                RMW(bits = bits & ~(1 << x))
#endif
             fi
          od
       :: else
       fi;
       atomic { b = 0; f = 0 }
    od;
gone:
    running--;
stop:
    skip
}

/* W1 W2, the barrier. */
inline announce() {
#ifdef BUG_NO_W3
    early = published == taken; /* loads are done before the bit is seen by others */
#endif
#ifdef BUG_BARRIER_FIRST
    barrier();
#endif
#ifdef BUG_TICKET_AFTER_BIT
    W(bits = bits | (1 << me));
    W(fresh[me] = true);
#else
    if
    :: W(fresh[me] = true);
       W(bits = bits | (1 << me))
#ifdef BUG_W2_RELAXED
    :: W(bits = bits | (1 << me));
       W(fresh[me] = true)
#endif
    fi;
#endif
#ifndef BUG_BARRIER_FIRST
    barrier();
#endif
    atomic { announced = true; deaf[me] = false }
}

inline barrier() {
    if
    :: REACH >> me & 1 ->
#ifndef BUG_NO_MEMBARRIER
       do
       :: i == PUBLISHERS -> i = 0; break
       :: i < PUBLISHERS && (LIGHT >> i & 1) -> W(memory[i] = memory[i] + buffer[i]; buffer[i] = 0; i++)
       :: i < PUBLISHERS && !(LIGHT >> i & 1) -> i++
       od
#else
       skip
#endif
    :: !(REACH >> me & 1) && !told -> W(fences = fences | (1 << me); told = true; news[me] = NEWS) /* W15 */
    :: else
    fi
}

/* When a slice is over. */
inline look_at_announcement() {
#ifndef BUG_SLEEPS_ON_THOUGH_RUNG
#ifndef BUG_BIT_BELIEVED
    stands = stands && (bits >> me & 1); /* W21 */
#endif
    stands = stands && fresh[me] /* W13 */
#else
    skip
#endif
}

proctype sleeper(byte me) {
    byte i;
    bool announced, told, found, early, stands;
    do
    :: over -> break
    :: !over ->
       if
#ifdef BUG_NO_LOOK_BETWEEN_SLICES
       :: stands
       :: !stands && !early -> W(found = published > taken; taken = taken + found)
#else
       :: W(found = published > taken; taken = taken + found)
#endif
       :: early -> early = false
       fi;
       if
       :: announced && !found -> /* FUTEX_WAIT */
#ifdef BUG_SLEEPS_ON_THOUGH_RUNG
          W(asleep[me] = fresh[me] || stands; early = false); /* on whatever the event is now */
#else
          W(asleep[me] = fresh[me]; early = false);
#endif
          atomic {
              !asleep[me];
              stands = expired[me];
#ifdef BUG_FIRST_SLICE_SPENT_UNSLEPT
              news[me] = false;
#else
              news[me] = news[me] && !expired[me];
#endif
              expired[me] = false
          };
          look_at_announcement();
          if
          :: stands
          :: else -> W(bits = bits & ~(1 << me); fresh[me] = false; announced = false) /* W11 */
          fi
       :: announced && found ->
          W(bits = bits & ~(1 << me); fresh[me] = false; announced = false; found = false; stands = false)
       :: !announced && !found -> announce()
       :: else -> found = false
       fi
    od;
    goto left;
gone:
    dead[me] = true;
left:
    asleep[me] = false
}

#ifdef REPAIRS
/* W16 W17, by who takes the place of a dead sleeper. */
proctype repairer() {
    byte i;
end:
    do
    :: dead[0] -> d_step { bits = bits & ~1; dead[0] = false }
#if SLEEPERS > 1
    :: dead[1] -> d_step { bits = bits & ~2; dead[1] = false }
#endif
#ifdef BUG_FORGETS_THE_LIVING
    :: bits & 1 -> bits = bits & ~1; break
#endif
    od
}
#endif

/* What is in the buffers reaches memory, in time. */
proctype hardware() {
end:
    do
    :: d_step { buffer[0] > 0 -> buffer[0]--; memory[0]++ }
#if PUBLISHERS > 1
    :: d_step { buffer[1] > 0 -> buffer[1]--; memory[1]++ }
#endif
    od
}

/* The slices of those asleep whose slice may be over. */
inline expire(condition) {
    do
    :: i < SLEEPERS ->
       if
       :: asleep[i] && (condition) ->
          may = true; expired[i] = true; asleep[i] = false;
          deaf[i] = !(bits >> i & 1)
       :: else
       fi;
       i++
    :: else -> i = 0; break
    od
}

/* Whoever sleeps has his bit up, but for the one slice that it takes him to notice that a dead waker took it. */
inline nobody_is_deaf() {
    do
    :: i < SLEEPERS ->
       assert(!asleep[i] || (bits >> i & 1) || somebody_dawdles || (crashes > 0 && !deaf[i]));
       i++
    :: else -> i = 0; break
    od
}

/* Comes in when nobody else can move. */
proctype kernel() {
    byte i;
    bool may;
    do
    :: timeout ->
       atomic { nobody_is_deaf() };
       if
#ifdef DAWDLES
       :: somebody_dawdles -> /* for longer than a slice, or not */
          if
          :: atomic { expire(true); may = false }
          :: true
          fi;
          atomic { dawdling[0] = false; dawdling[PUBLISHERS - 1] = false }
#endif
       :: !somebody_dawdles && over -> break
       :: !somebody_dawdles && !over && published == taken && running == 0 ->
          atomic {
              over = true;
              do
              :: i < SLEEPERS -> asleep[i] = false; i++
              :: else -> i = 0; break
              od
          }
       :: !somebody_dawdles && !over && published == taken && running > 0 -> /* somebody pauses: for long, or not */
          if
          :: atomic { expire(news[i]); may = false }
          :: true
          fi;
          atomic {
              do
              :: i < PUBLISHERS -> pausing[i] = false; i++
              :: else -> i = 0; break
              od
          }
       :: else ->
          atomic {
              /* Something is published, everybody sleeps, and nobody will wake anybody. */
              expire(crashes > 0 || news[i]);
              if
              :: may -> may = false; slices++
              :: !may && crashes >= SLEEPERS -> break /* nobody is left */
              :: else -> assert(false) /* a lost wake */
              fi;
              assert(slices <= SLEEPERS + PUBLISHERS * M) /* nobody is stuck */
          }
       fi
    od
}

init {
    byte i;
    atomic {
        do
        :: i < PUBLISHERS -> run publisher(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < SLEEPERS -> run sleeper(i); i++
        :: else -> break
        od;
        run hardware();
#ifdef REPAIRS
        run repairer();
#endif
        run kernel();
        i = 0
    }
}
