//! Who must be woken, and how a sleeper makes sure that it will be. The system calls are the caller's: a ring is given
//! a [`Wake`] to end a sleep, and a [`Sleeper`] is told when the sleep itself may begin.
//!
//! The publisher's side costs a load or two of a line that nobody writes while nobody sleeps. What makes that enough is an
//! order that the *sleeper* pays for: between setting its bit and looking once more it runs a barrier on every CPU
//! that runs a publisher. Where that cannot be had, publishers fence. Steps and rows: `docs/protocol-waiting.md`.

use core::fmt;
#[cfg(not(loom))]
use core::ptr::NonNull;

use crate::sync::{Word, compiler_fence, fence, ord};

/// The word a participant sleeps on.
#[derive(Clone, Copy)]
pub struct Event<'m> {
    word: &'m Word,
}

impl<'m> Event<'m> {
    pub(crate) fn new(word: &'m Word) -> Self {
        Self { word }
    }

    /// The half of the word that the kernel compares: the low one, which little-endian puts first. For the
    /// platform's wait and wake calls alone; nothing else may access it.
    #[cfg(not(loom))]
    #[must_use]
    pub fn address(&self) -> NonNull<u32> {
        NonNull::from(self.word).cast()
    }

    /// What the kernel would compare, for the model of it.
    #[cfg(loom)]
    #[must_use]
    pub fn value(&self) -> u32 {
        low(self.word.load(ord!(W13, Relaxed)))
    }

    /// Which word it is, for the model of the kernel.
    #[cfg(loom)]
    #[must_use]
    pub fn key(&self) -> usize {
        core::ptr::from_ref(self.word).addr()
    }

    /// Whether it has been moved on since `ticket` was drawn: what the kernel would say. For who sleeps on many events
    /// and is told by none which it was.
    #[must_use]
    pub fn has_moved(&self, ticket: u32) -> bool {
        low(self.word.load(ord!(W13, Relaxed))) != ticket
    }

    /// The ticket that a sleep announced now would get, if nobody is woken before. A guess: nobody may sleep on it
    /// who has not announced it.
    #[must_use]
    pub fn ticket_guess(&self) -> u32 {
        low(self.word.load(ord!(W13, Relaxed)))
    }

    /// Makes whoever is about to sleep on a ticket given before not sleep. The caller then wakes who sleeps already.
    pub fn disturb(&self) {
        // Release, partner of W1: who draws a ticket that counts this sees why it was done.
        self.word.fetch_add(1, ord!(W12, Release));
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Event")
    }
}

/// In an event word: its owner does not sleep on it, but wants the [chime](Wake::with_chime). A count never gets there.
pub(crate) const WISH: u64 = 1 << 63;

/// How the platform ends a sleep, and what this process's publishers must do before they may look for sleepers.
#[derive(Clone, Copy)]
pub struct Wake {
    call: fn(Event<'_>) -> bool,
    chime: fn(i32, u64) -> bool,
    /// What the chime is given.
    object: i32,
    /// Whether a sleeper's barrier reaches this process's threads.
    light: bool,
    /// Whether nobody ever sleeps.
    #[cfg(loom)]
    never: bool,
}

impl Wake {
    /// For rings whose participants never sleep.
    pub const NEVER: Self = Self {
        call: |_| false,
        chime: |_, _| false,
        object: -1,
        light: true,
        #[cfg(loom)]
        never: true,
    };

    /// `call` wakes whoever sleeps on the event, and says whether anybody did. It must not block, fail or unwind.
    ///
    /// `light` promises that a sleeper's barrier reaches this process's threads (on Linux: the process has registered
    /// for `MEMBARRIER_CMD_GLOBAL_EXPEDITED`). Otherwise each publication is followed by a fence.
    #[must_use]
    pub const fn new(call: fn(Event<'_>) -> bool, light: bool) -> Self {
        Self {
            call,
            chime: |_, _| false,
            object: -1,
            light,
            #[cfg(loom)]
            never: false,
        }
    }

    /// The same, with a way to reach a sleeper that does not sleep on its event and has said so
    /// ([`Sleeper::wish_for_chime`]): `chime` is given `object`, which says to it which ring this is, and the sleeper's
    /// lease, 0 where there is nobody else to wake. It says whether somebody who holds that lease was told, and must not
    /// block, fail or unwind. Without it no such sleeper is woken.
    #[must_use]
    pub const fn with_chime(self, chime: fn(i32, u64) -> bool, object: i32) -> Self {
        Self { chime, object, ..self }
    }

    /// Whether publishers need no fence of their own.
    #[must_use]
    pub const fn is_light(&self) -> bool {
        self.light
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wake").field("light", &self.is_light()).finish_non_exhaustive()
    }
}

/// Those who sleep until a ring changes in one way: a bit for each participant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bell<'m> {
    /// Who sleeps.
    pub(crate) sleepers: &'m Word,
    /// Whose barrier does not reach other processes. `None` where the upper half of the other word says that, by the same bits:
    /// where there are so few participants that one word has room for both.
    pub(crate) fences: Option<&'m Word>,
}

/// From the bit of who sleeps to that of the same who wants fences, in one word.
const HALF: u32 = 32;

impl Bell<'_> {
    /// After a publication of a process that is light: whether [`Bell::ring`] has to see who may be asleep that waits for it.
    /// The hot path asks this and no more, and passes nothing on the stack: a store for each message is what costs.
    ///
    /// `wake` is asked for by models alone: those of rings whose participants never sleep have no use for two more loads per
    /// step.
    #[inline(always)]
    #[cfg_attr(not(loom), expect(unused_variables, reason = "a load less"))]
    pub(crate) fn is_wanted<'w>(&self, wake: impl FnOnce() -> &'w Wake) -> bool {
        #[cfg(loom)]
        if wake().never {
            return false;
        }
        // The sleeper's barrier puts a real fence here, if it has to; the compiler must not move the loads up. Without
        // that barrier nothing can be told yet: there the fence comes first.
        compiler_fence();
        self.sleepers.load(ord!(W5, Relaxed)) | self.fences.map_or(0, |word| word.load(ord!(W6, Relaxed))) != 0
    }

    /// The same of any process.
    #[inline(always)]
    pub(crate) fn may_be_wanted(&self, wake: &Wake) -> bool {
        !wake.is_light() || self.is_wanted(|| wake)
    }

    /// Who wants fences.
    fn wishes(&self) -> u64 {
        match self.fences {
            Some(word) => word.load(ord!(W6, Relaxed)),
            None => self.sleepers.load(ord!(W6, Relaxed)) >> HALF,
        }
    }

    /// The word in which `bit` of who wants fences is, and that bit.
    fn wish(&self, bit: u64) -> (&Word, u64) {
        self.fences.map_or((self.sleepers, bit << HALF), |word| (word, bit))
    }

    /// The bits of all who can sleep here.
    fn all(&self) -> u64 {
        if self.fences.is_some() { u64::MAX } else { (1 << HALF) - 1 }
    }

    /// Wakes up to `count` sleepers. A bit whose owner did not sleep (it was just about to, or is dead) does not count.
    /// `bed` finds where a participant sleeps. Belongs out of line.
    pub(crate) fn ring<'a>(&self, count: u64, wake: &Wake, bed: impl Fn(u32) -> Option<Bed<'a>>) {
        if !wake.is_light() {
            // Partner of W3: either the load below sees the sleeper's bit, or the sleeper's look sees the publication.
            fence!(W4, SeqCst);
        } else if self.wishes() != 0 {
            // Somebody's barrier does not reach us.
            fence!(W7, SeqCst);
        }
        let (mut left, mut asked) = (count, !self.all());
        // Each bit once, so 64 rounds at most: who sets it again has looked since, and must not keep the others waiting.
        loop {
            let bits = self.sleepers.load(ord!(W8, Relaxed)) & !asked;
            if bits == 0 || left == 0 {
                return;
            }
            let index = bits.trailing_zeros();
            let bit = 1u64 << index;
            asked |= bit;
            // Acquire, partner of W2: the ticket was drawn before the event is moved on, so it is out of date.
            if self.sleepers.fetch_and(!bit, ord!(W9, Acquire)) & bit == 0 {
                continue; // somebody else was quicker
            }
            let Some(bed) = bed(index) else { continue }; // no participant has this bit
            #[cfg(loom)]
            crate::model::ticket_is_void(bed.event);
            // Relaxed: W9 has the wish too, which was made before the bit was set.
            let before = bed.event.fetch_add(1, ord!(W10, Relaxed));
            let woken = if before & WISH == 0 {
                (wake.call)(Event::new(bed.event))
            } else {
                // Of an owner who is another by now the chime tells nothing: so the next one is woken, too.
                let lease = bed.lease.map_or(0, |lease| lease.load(ord!(W24, Relaxed)));
                (wake.chime)(wake.object, lease)
            };
            if woken {
                left = left.wrapping_sub(1);
            }
        }
    }
}

/// Where a waker finds a participant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bed<'m> {
    pub(crate) event: &'m Word,
    /// Whose it is, where it matters whether he lives: there are others to wake.
    pub(crate) lease: Option<&'m Word>,
}

/// The place where one participant sleeps.
#[derive(Debug, Clone, Copy)]
pub struct Sleeper<'m> {
    bell: Bell<'m>,
    /// Others that tell of the same end.
    also: Option<&'m Word>,
    event: Event<'m>,
    bit: u64,
}

impl<'m> Sleeper<'m> {
    pub(crate) fn new(bell: Bell<'m>, event: &'m Word, index: u32) -> Self {
        Self { bell, also: None, event: Event::new(event), bit: 1u64.checked_shl(index).unwrap_or(0) }
    }

    /// The same, woken by `other` as well. It must be one for which nobody else waits: a wake-up taken here is one that
    /// somebody there does not get.
    pub(crate) fn and(mut self, other: Bell<'m>) -> Self {
        self.also = Some(other.sleepers);
        self
    }

    /// Whether everybody who would wake `other`, another place of the same handle, wakes this one as well. Asked after the
    /// last look before a sleep: what this handle waits for may have come to an end since it announced that sleep, and
    /// others tell of the rest.
    #[must_use]
    pub fn hears_all_of(&self, other: &Self) -> bool {
        self.also.is_some() || other.also.is_none()
    }

    /// Whether it hears of the end of a closed ring from others who wait for it.
    pub(crate) fn waits_for_the_end(&self) -> bool {
        self.also.is_some()
    }

    /// Announces a sleep. The caller then runs its barrier ([`Sleeper::fence`], or the platform's), looks once more
    /// whether there is still nothing, and sleeps on the event only if its low half still is the ticket returned.
    ///
    /// The ticket is drawn first: drawn after the bit is set, it could be of after a waker took the bit, and the sleep
    /// would be one that nobody knows of.
    #[must_use]
    pub fn announce(&self) -> u32 {
        // Acquire, partner of W12.
        let ticket = self.event.word.load(ord!(W1, Acquire));
        #[cfg(loom)]
        let drawn = crate::model::Ticket::draw();
        // Release, partner of W9.
        self.bell.sleepers.fetch_or(self.bit, ord!(W2, Release));
        #[cfg(loom)]
        drawn.announce(self.event.word);
        if let Some(also) = self.also {
            also.fetch_or(self.bit, ord!(W2, Release));
        }
        low(ticket)
    }

    /// Whether the announcement that gave `ticket` is one that publishers still see. To be asked when a sleep has ended that
    /// nobody ended: then the next one needs no other announcement, and no barrier. Whatever is published the sleeper's look
    /// has found, or finds the bit; so it was, and the barrier was for good. Who takes the bit moves the event on, and may die
    /// in between: hence both. If it does not stand, [`Sleeper::withdraw`] and begin anew.
    #[must_use]
    pub fn stands(&self, ticket: u32) -> bool {
        // Relaxed: a waker that has taken the bit, and is not seen here, goes on to move the event. One that died before it
        // could is seen in the end.
        let is_up = |sleepers: &Word| sleepers.load(ord!(W21, Relaxed)) & self.bit == self.bit;
        is_up(self.bell.sleepers) && self.also.is_none_or(is_up) && !self.event.has_moved(ticket)
    }

    /// The barrier of a sleeper whose publishers all fence.
    pub fn fence(&self) {
        fence!(W3, SeqCst);
    }

    /// Ends what [`Sleeper::announce`] began. True if a waker had taken the bit: then something happened, and a caller
    /// that leaves without having looked since must look, or pass the wake on.
    pub fn withdraw(&self) -> bool {
        // Acquire, partner of the fences W4 and W7: the look that follows sees what the bit was taken for.
        let taken = |sleepers: &Word| sleepers.fetch_and(!self.bit, ord!(W11, Acquire)) & self.bit == 0;
        taken(self.bell.sleepers) | self.also.is_some_and(taken)
    }

    /// Says whether this participant's barrier reaches other processes; if not, all publishers fence. To be called
    /// before the first sleep. A publisher that goes light may miss the wish, and a sleeper, once: the first sleep
    /// after it should be short.
    pub fn set_reach(&self, reaches: bool) {
        let (word, bit) = self.bell.wish(self.bit);
        if reaches {
            word.fetch_and(!bit, ord!(W14, Relaxed));
        } else {
            word.fetch_or(bit, ord!(W15, Relaxed));
        }
    }

    /// Says whether wakers are to use the chime, since nobody sleeps on the event. To be called before the announcement
    /// that it is for, and without any that stands.
    pub fn wish_for_chime(&self, wish: bool) {
        // Relaxed: W2 publishes it.
        if wish {
            self.event.word.fetch_or(WISH, ord!(W22, Relaxed));
        } else {
            self.event.word.fetch_and(!WISH, ord!(W23, Relaxed));
        }
    }

    /// The event to sleep on.
    #[must_use]
    pub fn event(&self) -> Event<'m> {
        self.event
    }
}

/// How a participant waits and publishes: guesses, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Waiting {
    /// Whether it has announced a sleep.
    pub asleep: bool,
    /// Whether it publishes without a fence; `None` until it has said.
    pub light: Option<bool>,
    /// Whether its barrier does not reach other processes, so that all of them fence.
    pub wants_fences: bool,
}

impl Bell<'_> {
    /// What the words say of the participant `index`, whose barrier word is `barrier`.
    pub(crate) fn waiting(&self, index: u32, barrier: u64) -> Waiting {
        let bit = 1u64.checked_shl(index).unwrap_or(0);
        Waiting {
            asleep: self.sleepers.load(ord!(W8, Relaxed)) & bit != 0,
            light: match barrier {
                1 => Some(true),
                2 => Some(false),
                _ => None,
            },
            wants_fences: self.wishes() & bit != 0,
        }
    }
}

/// Forgets that the participant `index` sleeps, or wants fences: for who takes its place, or finds it dead.
pub(crate) fn forget(bells: [Bell<'_>; 2], index: u32) {
    let bit = 1u64.checked_shl(index).unwrap_or(0);
    for bell in bells {
        // Looked at first: a join that writes the line would disturb everybody.
        if bell.sleepers.load(ord!(W16, Relaxed)) & bit != 0 {
            bell.sleepers.fetch_and(!bit, ord!(W17, Relaxed));
        }
        let (word, wish) = bell.wish(bit);
        if word.load(ord!(W16, Relaxed)) & wish != 0 {
            word.fetch_and(!wish, ord!(W17, Relaxed));
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
fn low(word: u64) -> u32 {
    word as u32
}
