//! The refusals of the MPMC operations, and what stands in the way of one.

use core::fmt;

use crate::error::Corrupt;
use crate::position::Position;

/// What an operation that returned `Busy` is waiting for. Hand it to [`Ring::repair`](super::Ring::repair) when it
/// has lasted: who is in the way is found out then, not on the hot path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blocked {
    /// A position was claimed by a producer and is not committed yet.
    Write(Position),
    /// A message, or a gap, is in the hands of a consumer that has not released it, or waits for a new one.
    Read(Position),
    /// A close was asked for and the ring's only producer has not taken notice yet.
    Close,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(p) => write!(f, "a producer has claimed position {p} and not committed it yet"),
            Self::Read(p) => write!(f, "a consumer holds position {p} and has not released it yet"),
            Self::Close => f.write_str("the only producer has not noticed the close yet"),
        }
    }
}

/// Says what `Busy` means.
fn busy(f: &mut fmt::Formatter<'_>, blocked: Option<Blocked>) -> fmt::Result {
    match blocked {
        Some(blocked) => write!(f, "busy: {blocked}; try again, repair if it lasts"),
        None => f.write_str("busy: others were quicker every time; try again"),
    }
}

/// Why nothing could be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// Every slot holds a message that no consumer has taken yet.
    Full,
    /// Somebody is in the middle of the slot that is next, or (`None`) contention used up the retries.
    Busy(Option<Blocked>),
    /// The ring was closed.
    Closed,
    /// No slot of this ring holds so much (or no batch of it so many).
    TooLong {
        /// Bytes, or messages, asked for.
        len: usize,
        /// As many are possible.
        max: usize,
    },
    /// All 2^52 positions of this ring have been used.
    Exhausted,
    /// A shared word is impossible.
    Corrupt(Corrupt),
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the ring is full: wait until a consumer takes a message"),
            Self::Busy(blocked) => busy(f, *blocked),
            Self::Closed => f.write_str("the ring is closed: nothing can be sent any more"),
            Self::TooLong { len, max } => {
                write!(f, "{len} are too many, {max} are possible here; split, or create a ring with larger slots")
            }
            Self::Exhausted => f.write_str("the ring has used up its 2^52 positions: create a new one"),
            Self::Corrupt(c) => c.fmt(f),
        }
    }
}

impl core::error::Error for ClaimError {}

impl From<Corrupt> for ClaimError {
    #[cold]
    fn from(c: Corrupt) -> Self {
        Self::Corrupt(c)
    }
}

/// Why nothing was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// Everything committed has been taken.
    Empty,
    /// Somebody is in the middle of the position that is next, or (`None`) contention used up the retries.
    Busy(Option<Blocked>),
    /// The ring was closed, and every message has been released.
    Closed,
    /// The caller's buffer is shorter than the message, which this handle holds until its next call.
    BufferTooSmall {
        /// Bytes needed.
        needed: usize,
    },
    /// A shared word is impossible.
    Corrupt(Corrupt),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the ring is empty: wait until a producer commits"),
            Self::Busy(blocked) => busy(f, *blocked),
            Self::Closed => f.write_str("the ring is closed, and every message has been released"),
            Self::BufferTooSmall { needed } => {
                write!(f, "the next message has {needed} bytes and the buffer fewer; it has been kept")
            }
            Self::Corrupt(c) => c.fmt(f),
        }
    }
}

impl core::error::Error for ReadError {}

impl From<Corrupt> for ReadError {
    #[cold]
    fn from(c: Corrupt) -> Self {
        Self::Corrupt(c)
    }
}

/// Why nobody joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// Every entry that this role may take is taken.
    TableFull {
        /// Entries of the living.
        alive: usize,
        /// Entries whose owners cannot be shown to be dead.
        unknown: usize,
        /// Entries of the dead that something in the ring still names, because a live one is in the middle of the
        /// same position. They become free when it goes on.
        unsettled: usize,
    },
    /// The ring was closed: nothing can be sent any more.
    Closed,
    /// A shared word is impossible, or the lease is none.
    Corrupt(Corrupt),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableFull { alive, unknown, unsettled } => write!(
                f,
                "no free entry in the participant table: {alive} alive, {unknown} unknown, {unsettled} dead but not \
                 settled; end one, or create the ring with more"
            ),
            Self::Closed => f.write_str("the ring is closed: no producer can join"),
            Self::Corrupt(c) => c.fmt(f),
        }
    }
}

impl core::error::Error for JoinError {}

impl From<Corrupt> for JoinError {
    fn from(c: Corrupt) -> Self {
        Self::Corrupt(c)
    }
}
