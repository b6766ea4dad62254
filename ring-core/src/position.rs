//! Positions: the `u64` coordinates of a ring. They grow for ever, are never stored masked, and are compared by
//! distance, so that even their wrap at 2^64 would be harmless.

use core::fmt;

/// A place in a ring's endless stream: bytes (SPSC) or slots (MPMC) since the ring was formatted.
///
/// The position of a record is its delivery id: unique for the life of the ring, the same for sender and receiver,
/// growing from record to record. SPSC positions are multiples of 8.
///
/// ```
/// use ring_core::Position;
/// let p = Position::new(64);
/// assert_eq!(p.get(), 64);
/// assert!(Position::new(72) > p);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(u64);

impl Position {
    /// The position `value`.
    #[inline(always)]
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The plain number.
    #[inline(always)]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position `n` further on.
    #[inline(always)]
    pub(crate) const fn plus(self, n: u64) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// How far `self` is past `earlier`, modulo 2^64: huge when it is really before it.
    #[inline(always)]
    pub(crate) const fn since(self, earlier: Self) -> u64 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Whether `self` lies before `other` (by distance: right while they are less than 2^63 apart).
    #[inline(always)]
    pub(crate) const fn precedes(self, other: Self) -> bool {
        other.since(self).wrapping_sub(1) < (1 << 63)
    }

    /// The later of the two (by distance).
    #[inline]
    pub(crate) const fn max(self, other: Self) -> Self {
        if self.precedes(other) { other } else { self }
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
