//! Seats: who holds the right to be the producer, or the consumer, of an SPSC ring; and how that right passes on.
//!
//! A seat is one word, `lease * 2 + closed`, so that an orderly close and a take-over can never mix. The lease is a
//! number the platform can give a verdict on; this crate only asks. Every store of a seat's facts is for people.

use core::fmt;
use core::mem::offset_of;

use crate::Region;
use crate::error::{Corrupt, Field};
use crate::layout::{SeatLine, SpscControl, fnv};
use crate::sync::{Word, fence, ord};

/// The largest lease number: a session mark stores it in 31 bits.
pub const MAX_LEASE: u64 = (1 << 31) - 1;

/// The kernel's answer about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Verdict {
    /// The lock is held: the mapping exists, its owner may store at any time, stopped or not.
    Alive,
    /// The lock is free: the mapping is gone and no store can follow. Final for this lease number.
    Dead,
    /// Neither can be shown. Nothing of this lease may be taken over.
    Unknown,
}

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Writes at the tail.
    Producer,
    /// Reads at the head.
    Consumer,
}

impl Role {
    /// The other one.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Producer => Self::Consumer,
            Self::Consumer => Self::Producer,
        }
    }

    /// Offset of this role's seat line.
    pub(crate) const fn line(self) -> usize {
        match self {
            Self::Producer => offset_of!(SpscControl, producer),
            Self::Consumer => offset_of!(SpscControl, consumer),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        })
    }
}

/// What a seat word says. Whether a [`Held`](SeatState::Held) seat's owner lives is the verdict's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatState {
    /// Nobody has ever sat here.
    Never,
    /// Taken under this lease, and not closed.
    Held(u64),
    /// The holder of this lease closed in order.
    Closed(u64),
}

impl SeatState {
    /// Decodes the lower half of a seat word; [`Seat::load`] refuses those that nobody writes.
    const fn decode(word: u64) -> Self {
        let word = word & LOWER;
        match (word >> 1, word & 1) {
            (0, _) => Self::Never,
            (lease, 0) => Self::Held(lease),
            (lease, _) => Self::Closed(lease),
        }
    }

    /// The word of this state.
    pub(crate) const fn word(self) -> u64 {
        match self {
            Self::Never => 0,
            Self::Held(lease) => lease << 1,
            Self::Closed(lease) => lease << 1 | 1,
        }
    }

    /// The lease, whichever way it stands.
    #[must_use]
    pub const fn lease(&self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::Held(lease) | Self::Closed(lease) => Some(*lease),
        }
    }
}

/// The half of a seat word that says who sits there. The upper half is, in the producer's seat, the lower half of an
/// earlier word: of the oldest session that no mark in the stream tells of yet; in the consumer's seat, the lease of the
/// last session whose end was told. One word for both, so that a death at any moment leaves them together.
const LOWER: u64 = 0xffff_ffff;

/// The upper half of a seat word.
const fn unmarked(word: u64) -> u32 {
    (word >> 32) as u32
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// Its holder closed in order.
    Closed,
    /// Its holder died; everything it committed has been delivered.
    Died,
}

/// Why a seat was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeatError {
    /// A living process holds it.
    Taken {
        /// Its lease.
        lease: u64,
    },
    /// Somebody holds it whose death cannot be shown.
    Unknown {
        /// Its lease.
        lease: u64,
    },
    /// Others took and lost it all the while; try again.
    Contended,
    /// The ring is strict: each seat is taken once, by the side that holds its object.
    Strict,
    /// A word of the ring is impossible.
    Corrupt(Corrupt),
}

impl fmt::Display for SeatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { lease } => write!(f, "the seat is held by a living process (lease {lease}); end it first"),
            Self::Unknown { lease } => write!(
                f,
                "the owner of lease {lease} cannot be shown to be dead; make sure, then recover with assume-dead"
            ),
            Self::Contended => f.write_str("others are taking this seat at the same time; try again"),
            Self::Strict => f.write_str(
                "a strict ring has no second producer and no second consumer: make a new ring for the next two",
            ),
            Self::Corrupt(c) => c.fmt(f),
        }
    }
}

impl core::error::Error for SeatError {}

impl From<Corrupt> for SeatError {
    fn from(c: Corrupt) -> Self {
        Self::Corrupt(c)
    }
}

/// One seat of a ring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat<'m> {
    word: &'m Word,
}

impl<'m> Seat<'m> {
    /// The seat of `role` in the SPSC ring of `region`.
    pub(crate) fn of(region: &Region<'m>, role: Role) -> Option<Self> {
        region.word(role.line()).map(|word| Self { word })
    }

    /// What the seat says. Acquire: whoever sees `Closed` also sees all that the closer stored before (row T3).
    pub(crate) fn load(&self) -> Result<SeatState, Corrupt> {
        self.look().map(|(state, _)| state)
    }

    /// The same, with the lease of the session that the holder has noted and not marked yet; 0: none.
    pub(crate) fn load_noted(&self) -> Result<(SeatState, u32), Corrupt> {
        self.look().map(|(state, word)| (state, unmarked(word) >> 1))
    }

    /// The seat's state and its whole word.
    fn look(&self) -> Result<(SeatState, u64), Corrupt> {
        let word = self.word.load(ord!(T1, Acquire));
        let state = SeatState::decode(word);
        if state.word() != word & LOWER || state == SeatState::Never && word != 0 {
            return Err(Corrupt::new(Field::Seat, word, 0));
        }
        Ok((state, word))
    }

    /// Takes the seat for `lease`, from nobody, from a closer, or from the dead. Returns what it said before.
    ///
    /// The compare-and-swap publishes nothing but the seat itself; its Acquire half pairs with the closer's Release,
    /// and the fence after a verdict does the same for the dead.
    ///
    /// With `note` the new word also notes the oldest session that is not marked yet.
    pub(crate) fn take(
        &self,
        lease: u64,
        note: bool,
        verdict: &mut dyn FnMut(u64) -> Verdict,
    ) -> Result<Before, SeatError> {
        for _ in 0..16 {
            let (state, word) = self.look()?;
            if let SeatState::Held(owner) = state {
                match verdict(owner) {
                    Verdict::Alive => return Err(SeatError::Taken { lease: owner }),
                    Verdict::Unknown => return Err(SeatError::Unknown { lease: owner }),
                    Verdict::Dead => fence!(T5, Acquire),
                }
            }
            let oldest = if unmarked(word) == 0 { word & LOWER } else { word >> 32 };
            let new = SeatState::Held(lease).word() | if note { oldest << 32 } else { word & !LOWER };
            if self.word.compare_exchange(word, new, ord!(T2, AcqRel), ord!(T4, Relaxed)).is_ok() {
                return Ok(Before { state, word, unmarked: unmarked(oldest << 32), told: unmarked(word) });
            }
        }
        Err(SeatError::Contended)
    }

    /// Makes the seat say again what it said before `lease` took it. Release: who takes it next sees the tail stored.
    pub(crate) fn put_back(&self, lease: u64, before: &Before) {
        // It fails only where an operator declared us dead and a successor sits here already.
        let _ = self.change(lease, |_| before.word);
    }

    /// The mark of the noted session is in the stream: forgets the note. Release, as for a close: who sees the note gone
    /// sees the mark.
    pub(crate) fn marked(&self, lease: u64) {
        let _ = self.change(lease, |word| word & LOWER);
    }

    /// The consumer was told the end of the session under `told`, or it is not to be told any more: its successors need not
    /// be told again.
    pub(crate) fn told(&self, lease: u64, told: u32) {
        let _ = self.change(lease, |word| word & LOWER | u64::from(told) << 32);
    }

    /// Changes the word that `lease` holds: nobody else does while its owner lives.
    fn change(&self, lease: u64, new: impl FnOnce(u64) -> u64) -> Result<u64, u64> {
        let word = self.word.load(ord!(T6, Relaxed));
        if SeatState::decode(word) != SeatState::Held(lease) {
            return Err(word);
        }
        self.word.compare_exchange(word, new(word), ord!(T3, Release), ord!(T12, Relaxed))
    }

    /// How the session of this seat has ended, unless it is the one under `told`, or goes on, or was followed by
    /// another meanwhile (whose producer marks it in the stream).
    pub(crate) fn end(&self, told: u64, verdict: impl FnOnce(u64) -> Verdict) -> Result<Option<End>, Corrupt> {
        let end = |(state, word)| match state {
            SeatState::Closed(lease) => Some(End { lease, end: SessionEnd::Closed, unmarked: unmarked(word) }),
            SeatState::Held(lease) => Some(End { lease, end: SessionEnd::Died, unmarked: unmarked(word) }),
            SeatState::Never => None,
        };
        let seen = self.look()?;
        match seen.0 {
            SeatState::Closed(lease) if lease != told => Ok(end(seen)),
            SeatState::Held(lease) if lease != told && verdict(lease) == Verdict::Dead => {
                fence!(T13, Acquire);
                // It may have closed between the look and the verdict: a closer's mapping is gone soon after.
                Ok(end(self.look()?).filter(|end| end.lease == lease))
            }
            _ => Ok(None),
        }
    }

    /// Gives the seat back in order. Release: the successor, and a peer that sees `Closed`, see all our stores.
    pub(crate) fn close(&self, lease: u64) {
        // It fails only where an operator declared us dead and a successor sits here already.
        let _ = self.change(lease, |word| word | 1);
    }
}

/// What a seat said before it was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    pub(crate) state: SeatState,
    word: u64,
    /// Lower half of the seat word of the oldest session without a mark; 0: none.
    pub(crate) unmarked: u32,
    /// In the consumer's seat: the last session whose end was told; 0: none.
    pub(crate) told: u32,
}

/// A session that has ended, and the one before it that no mark tells of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) lease: u64,
    pub(crate) end: SessionEnd,
    pub(crate) unmarked: u32,
}

/// The people's part of a seat line: who sits there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeatFacts {
    /// Process id, in the holder's own PID namespace.
    pub pid: u64,
    /// Start time in clock ticks since boot.
    pub start_time: u64,
    /// Hash of the boot id.
    pub boot: u64,
    /// Inode of the PID namespace.
    pub pid_namespace: u64,
}

impl SeatFacts {
    /// The sum that ties these facts to the holder of `lease`.
    pub(crate) fn sum(&self, lease: u64) -> u64 {
        fnv(&[lease, self.pid, self.start_time, self.boot, self.pid_namespace])
    }

    /// The words with their offsets in a seat line, for the holder of `lease`.
    fn words(self, lease: u64) -> [(usize, u64); 5] {
        [
            (offset_of!(SeatLine, pid), self.pid),
            (offset_of!(SeatLine, start_time), self.start_time),
            (offset_of!(SeatLine, boot), self.boot),
            (offset_of!(SeatLine, pid_namespace), self.pid_namespace),
            (offset_of!(SeatLine, facts_sum), self.sum(lease)),
        ]
    }

    /// Writes the facts of the process that has just taken the seat of `role` under `lease`.
    pub(crate) fn store(self, region: &Region<'_>, role: Role, lease: u64) {
        for (offset, value) in self.words(lease) {
            if let Some(word) = region.word(role.line().wrapping_add(offset)) {
                word.store(value, ord!(T7, Relaxed));
            }
        }
    }

    /// Reads the facts of `role` with their sum. A take-over may be half way: whoever decides anything by them
    /// compares the sum, for which no ordering is needed; the rest is a guess for people.
    pub(crate) fn load(region: &Region<'_>, role: Role) -> (Self, u64) {
        let [pid, start_time, boot, pid_namespace, sum] = Self::default().words(0).map(|(offset, _)| {
            region.word(role.line().wrapping_add(offset)).map_or(0, |word| word.load(ord!(T8, Relaxed)))
        });
        (Self { pid, start_time, boot, pid_namespace }, sum)
    }
}
