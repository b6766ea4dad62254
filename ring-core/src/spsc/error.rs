//! The refusals of the SPSC operations.

use core::fmt;

use crate::error::Corrupt;
use crate::seat::SessionEnd;

/// Why nothing could be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// The consumer has not released enough space yet.
    Full,
    /// No ring of this capacity ever takes such a record (or an exact batch of that many).
    TooLong {
        /// Bytes asked for.
        len: usize,
        /// Bytes possible.
        max: usize,
    },
    /// The ring is full, and its consumer has left. Reported once for each consumer, by the `asking` calls.
    Ended(SessionEnd),
    /// A shared word is impossible.
    Corrupt(Corrupt),
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the ring is full: wait until the consumer releases space"),
            Self::TooLong { len, max } => write!(
                f,
                "{len} bytes are too long, the longest possible here is {max}; split it, or create a ring of more than \
                 twice the size"
            ),
            Self::Ended(SessionEnd::Closed) => {
                f.write_str("the ring is full and its consumer has closed; start another")
            }
            Self::Ended(SessionEnd::Died) => f.write_str("the ring is full and its consumer has died; start another"),
            Self::Corrupt(c) => c.fmt(f),
        }
    }
}

impl core::error::Error for ClaimError {}

impl From<Corrupt> for ClaimError {
    fn from(c: Corrupt) -> Self {
        Self::Corrupt(c)
    }
}

/// Why nothing was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing is committed at the head.
    Empty,
    /// The session that wrote everything so far has ended here. Reported once; what follows, if anything, is a
    /// successor's.
    Ended(SessionEnd),
    /// The caller's buffer is shorter than the record, which stays where it is.
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
            Self::Empty => f.write_str("the ring is empty: wait until the producer commits"),
            Self::Ended(SessionEnd::Closed) => f.write_str("the producer closed, and everything it sent has been read"),
            Self::Ended(SessionEnd::Died) => {
                f.write_str("the producer died, and everything it committed has been read; a successor may go on")
            }
            Self::BufferTooSmall { needed } => {
                write!(f, "the next record has {needed} bytes and the buffer fewer; the record has been kept")
            }
            Self::Corrupt(c) => c.fmt(f),
        }
    }
}

impl core::error::Error for ReadError {}

impl From<Corrupt> for ReadError {
    fn from(c: Corrupt) -> Self {
        Self::Corrupt(c)
    }
}
