//! The packed words of an MPMC ring: the slot word, the tail, the intent, and a slot's meta word. Pure functions over
//! numbers; nothing here touches memory.
//!
//! ```text
//!             63                            8 7       3 2    0
//! slot word  │ position                      │ attempt │ state │   0 free · 1 committed · 2 void · 3 orphaned
//!             63                                      1   0
//! tail       │ position                                │closed │
//!             63                              12 11          0
//! intent     │ position                         │ count      │    count 0: none
//!             63            32 31             0
//! meta       │ tag           │ length          │
//! ```

use crate::error::{Corrupt, Field};
use crate::position::Position;

/// Positions end here: an intent has 52 bits for them. A ring that moves 100 million messages a second gets there
/// after a year and a half.
pub const MAX_POSITION: u64 = 1 << 52;

/// The most slots that one claim can cover: an intent counts in 12 bits.
pub const MAX_BATCH: u64 = (1 << 12) - 1;

/// The highest attempt a slot word can count.
pub const MAX_ATTEMPT: u64 = (1 << 5) - 1;

/// How far slot words are apart from one position to the next.
pub(super) const NEXT: u64 = 1 << 8;

const COMMITTED: u64 = 1;
const VOID: u64 = 2;
const ORPHANED: u64 = 3;

/// The word of a slot that position `p` may be written to.
#[inline(always)]
pub(super) const fn free(p: Position) -> u64 {
    p.get() << 8
}

/// The word of a slot that holds the message of `p`, delivered `attempt` times before.
#[inline(always)]
pub(super) const fn committed(p: Position, attempt: u64) -> u64 {
    p.get() << 8 | attempt << 3 | COMMITTED
}

/// The word of a slot with a message that was not delivered before, of the position whose `free` word this is.
#[inline(always)]
pub(super) const fn committed_from(free: u64) -> u64 {
    free.wrapping_add(COMMITTED)
}

/// The word of a slot whose position `p` has no message.
#[inline(always)]
pub(super) const fn void(p: Position) -> u64 {
    p.get() << 8 | VOID
}

/// The word of a slot whose message has lost its reader and waits for another.
#[inline(always)]
pub(super) const fn orphaned(p: Position, attempt: u64) -> u64 {
    p.get() << 8 | attempt << 3 | ORPHANED
}

/// Where a handle that knows it claims its next slot: the intent to do so, from which all words of that claim follow by one
/// shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(Intent);

impl Place {
    /// The place of `p`.
    #[inline(always)]
    pub(super) const fn of(p: Position) -> Self {
        Self(Intent::new(p, 1))
    }

    /// Its position.
    #[inline(always)]
    pub(super) const fn position(self) -> Position {
        self.0.first()
    }

    /// The intent to claim it.
    #[inline(always)]
    pub(super) const fn intent(self) -> Intent {
        self.0
    }

    /// An open tail that stands there: what [`Tail::open`] makes.
    #[inline(always)]
    pub(super) const fn tail(self) -> Tail {
        Tail(self.0.0 >> 11)
    }

    /// The word of its slot before a message is written: what [`free`] makes.
    #[inline(always)]
    pub(super) const fn free(self) -> u64 {
        self.0.0 >> 4
    }

    /// The word of its slot with a message that was not delivered before: what [`committed`] makes.
    #[inline(always)]
    pub(super) const fn committed(self) -> u64 {
        self.free().wrapping_add(COMMITTED)
    }

    /// The next place.
    #[inline(always)]
    pub(super) const fn next(self) -> Self {
        Self(Intent(self.0.0.wrapping_add(1 << 12)))
    }

    /// Whether this is what comes after the place of the last position.
    #[inline(always)]
    pub(super) const fn is_beyond_the_last(self) -> bool {
        self.0.0 == 1
    }
}

/// How far slot words are apart from one lap to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lap(u64);

impl Lap {
    /// That of a ring of `slots` slots.
    pub(super) const fn of(slots: u64) -> Self {
        Self((slots << 8).wrapping_sub(COMMITTED))
    }

    /// The word of a slot that is free for the next lap: what [`free`] makes. `committed`: of its position, first delivery.
    #[inline(always)]
    pub(super) const fn free_after(self, committed: u64) -> u64 {
        committed.wrapping_add(self.0)
    }
}

/// What a slot word says about its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// May be written.
    Free,
    /// A message, this many deliveries before.
    Committed(u64),
    /// Skipped.
    Void,
    /// A message without a reader, this many deliveries before.
    Orphaned(u64),
}

/// A slot word, decoded and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotState {
    pub(super) position: Position,
    pub(super) state: State,
}

impl SlotState {
    /// Decodes `word`, loaded once from the slot of `at` in a ring of `slots` slots.
    #[inline]
    pub(super) fn decode(word: u64, at: Position, slots: u64) -> Result<Self, Corrupt> {
        let position = Position::new(word >> 8);
        let attempt = word >> 3 & MAX_ATTEMPT;
        let state = match (word & 7, attempt) {
            (0, 0) => State::Free,
            (COMMITTED, _) => State::Committed(attempt),
            (VOID, 0) => State::Void,
            (ORPHANED, 1..) => State::Orphaned(attempt),
            _ => return Err(Corrupt::new(Field::Slot, word, at.get())),
        };
        if position.since(at) & slots.wrapping_sub(1) != 0 {
            return Err(Corrupt::new(Field::Slot, word, at.get()));
        }
        Ok(Self { position, state })
    }

    /// The state if the slot stands at `p`.
    pub(super) fn at(&self, p: Position) -> Option<State> {
        (self.position == p).then_some(self.state)
    }

    /// Whether somebody reads the message or the gap of `p`, or could: committed or void.
    pub(super) fn is_readable(&self, p: Position) -> bool {
        matches!(self.at(p), Some(State::Committed(_) | State::Void))
    }
}

/// The tail word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail(pub(super) u64);

impl Tail {
    /// The bit that ends the ring.
    pub(super) const CLOSED: u64 = 1;

    /// An open tail at `p`.
    #[inline(always)]
    pub(super) const fn open(p: Position) -> Self {
        Self(p.get() << 1)
    }

    /// Where the next message goes.
    #[inline(always)]
    pub(super) const fn position(self) -> Position {
        Position::new(self.0 >> 1)
    }

    /// Whether nothing goes there any more.
    #[inline(always)]
    pub(super) const fn is_closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    /// The tail `n` positions on.
    #[inline(always)]
    pub(super) const fn plus(self, n: u64) -> Self {
        Self(self.0.wrapping_add(n << 1))
    }

    /// How many of the next `n` positions can be claimed: none of a closed ring, and none beyond the last.
    #[inline(always)]
    pub(super) const fn room(self, n: u64) -> u64 {
        let left = MAX_POSITION.saturating_sub(self.position().get());
        if self.is_closed() {
            0
        } else if left < n {
            left
        } else {
            n
        }
    }

    /// The tail, if its position is one that a ring can reach.
    pub(super) const fn checked(self) -> Result<Self, Corrupt> {
        if self.position().get() > MAX_POSITION { Err(Corrupt::new(Field::Tail, self.0, 0)) } else { Ok(self) }
    }
}

/// What a participant is about to claim or has claimed. A stale intent, whose positions have all been settled, means
/// the same as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Intent(pub(super) u64);

impl Intent {
    /// No intent.
    pub(super) const NONE: Self = Self(0);

    /// The intent to claim `count` positions from `first`.
    #[inline(always)]
    pub(super) const fn new(first: Position, count: u64) -> Self {
        Self(first.get() << 12 | count)
    }

    /// The first position.
    #[inline(always)]
    #[must_use]
    pub const fn first(self) -> Position {
        Position::new(self.0 >> 12)
    }

    /// How many positions; 0: none.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.0 & MAX_BATCH
    }

    /// Whether it names `p`.
    #[must_use]
    pub const fn covers(self, p: Position) -> bool {
        p.since(self.first()) < self.count()
    }

    /// Its positions.
    pub(super) fn positions(self) -> impl Iterator<Item = Position> {
        (0..self.count()).map(move |i| self.first().plus(i))
    }
}

/// A slot's meta word.
#[inline(always)]
pub(super) const fn meta(len: u64, tag: u32) -> u64 {
    (tag as u64) << 32 | len
}

/// The length in a meta word.
#[inline(always)]
pub(super) const fn meta_len(meta: u64) -> u64 {
    meta & 0xffff_ffff
}

/// The tag in a meta word.
#[inline(always)]
pub(super) const fn meta_tag(meta: u64) -> u32 {
    (meta >> 32) as u32
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn slot_words_decode_to_what_was_encoded_and_nothing_else_decodes() {
        for p in [0, 1, 5, 77, MAX_POSITION].map(Position::new) {
            let decode = |word| SlotState::decode(word, p, 4).map(|s| s.at(p));
            assert_eq!(decode(free(p)), Ok(Some(State::Free)));
            assert_eq!(decode(void(p)), Ok(Some(State::Void)));
            for a in 1..=MAX_ATTEMPT {
                assert_eq!(decode(committed(p, a)), Ok(Some(State::Committed(a))));
                assert_eq!(decode(orphaned(p, a)), Ok(Some(State::Orphaned(a))));
                assert!(decode(free(p) | a << 3).is_err());
                assert!(decode(void(p) | a << 3).is_err());
            }
            assert_eq!(decode(committed(p, 0)), Ok(Some(State::Committed(0))));
            assert!(decode(orphaned(p, 0)).is_err());
            assert!((4..8).all(|state| decode(free(p) | state).is_err()));
            assert!(decode(free(p.plus(1))).is_err());
            assert_eq!(decode(free(p.plus(4))), Ok(None));
        }
    }

    #[test]
    fn an_intent_covers_its_positions_and_no_others() {
        let intent = Intent::new(Position::new(10), 3);
        let covered = (0..100).map(Position::new).filter(|p| intent.covers(*p)).map(Position::get);
        assert!(covered.eq(10..13));
        assert!(intent.positions().map(Position::get).eq(10..13));
        assert!(!Intent::NONE.covers(Position::new(0)));
        let last = Intent::new(Position::new(MAX_POSITION - 1), 1);
        assert!(last.covers(Position::new(MAX_POSITION - 1)) && !last.covers(Position::new(MAX_POSITION)));
    }

    #[test]
    fn a_place_has_the_words_of_its_position() {
        for p in [0, 1, 5, 77, MAX_POSITION - 1].map(Position::new) {
            let place = Place::of(p);
            assert_eq!((place.position(), place.free(), place.committed()), (p, free(p), committed(p, 0)));
            assert_eq!((place.intent(), place.tail()), (Intent::new(p, 1), Tail::open(p)));
            assert_eq!(Lap::of(4).free_after(place.committed()), free(p.plus(4)));
            assert_eq!(place.next().is_beyond_the_last(), p.plus(1).get() == MAX_POSITION);
            assert!(place.next().is_beyond_the_last() || place.next() == Place::of(p.plus(1)));
        }
    }

    #[test]
    fn a_tail_has_room_up_to_the_last_position() {
        let tail = Tail::open(Position::new(MAX_POSITION - 2));
        assert_eq!([1, 2, 3].map(|n| tail.room(n)), [1, 2, 2]);
        assert_eq!(Tail(tail.0 | Tail::CLOSED).room(1), 0);
        assert!(tail.plus(2).checked().is_ok() && tail.plus(3).checked().is_err());
        assert_eq!(Tail(u64::MAX - 1).room(1), 0);
    }
}
