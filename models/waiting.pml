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
 * last message, and nothing would ever be published to a sleeper whose slices are long.
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
bool pausing[PUBLISHERS];
byte crashes, running = PUBLISHERS, slices;
bool over;

#if PUBLISHERS > 1
#define published (memory[0] + memory[1])
#else
#define published memory[0]
#endif

/* A step that others can see, or a death before it. */
#if CRASHES > 0
#define W(step) if :: d_step { step } :: crashes < CRASHES -> crashes++; goto gone fi
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
#define RMW(step) if :: d_step { drained -> step } :: crashes < CRASHES -> crashes++; goto gone fi
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
                   RMW(fresh[x] = false); /* W10 */
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
    announced = true
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

proctype sleeper(byte me) {
    byte i;
    bool announced, told, found, early;
    do
    :: over -> break
    :: !over ->
       if
       :: W(found = published > taken; taken = taken + found)
       :: early -> early = false
       fi;
       if
       :: announced && !found -> /* FUTEX_WAIT */
          W(asleep[me] = fresh[me]; fresh[me] = false; early = false);
          atomic {
              !asleep[me];
#ifdef BUG_FIRST_SLICE_SPENT_UNSLEPT
              news[me] = false;
#else
              news[me] = news[me] && !expired[me];
#endif
              expired[me] = false
          };
          W(bits = bits & ~(1 << me); announced = false) /* W11 */
       :: announced && found -> W(bits = bits & ~(1 << me); announced = false; found = false)
       :: !announced && !found -> announce()
       :: else -> found = false
       fi
    od;
gone:
    asleep[me] = false
}

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
       :: asleep[i] && (condition) -> may = true; expired[i] = true; asleep[i] = false
       :: else
       fi;
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
       if
       :: over -> break
       :: !over && published == taken && running == 0 ->
          atomic {
              over = true;
              do
              :: i < SLEEPERS -> asleep[i] = false; i++
              :: else -> i = 0; break
              od
          }
       :: !over && published == taken && running > 0 -> /* somebody pauses: for long, or not */
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
        run kernel();
        i = 0
    }
}
