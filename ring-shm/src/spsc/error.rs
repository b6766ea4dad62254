//! The refusals of SPSC handles.

use core::fmt;

use ring_core::spsc::{ClaimError, ReadError};
use ring_core::{Corrupt, SessionEnd};

use crate::life::Refusal;

/// What every operation says in a process that inherited the handle.
pub(super) const FORKED: &str =
    "this handle was inherited over fork and belongs to the parent process; open the ring again in this process";

/// Why nothing was sent, or claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError {
    /// The consumer has not released enough space yet.
    Full,
    /// Longer than [`max_len`](crate::spsc::Producer::max_len), or an exact batch that no empty ring would take.
    TooLong {
        /// Bytes asked for.
        len: usize,
        /// Bytes possible.
        max: usize,
    },
    /// The ring is full and its consumer has closed. Said once for each consumer; the next calls say `Full` until a
    /// successor releases space.
    Disconnected,
    /// The ring is full and its consumer has died. Said once for each consumer, as above.
    PeerDied,
    /// A peer broke the protocol. The handle does nothing from now on.
    Corrupt(Corrupt),
    /// The handle belongs to another process.
    Forked,
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => ClaimError::Full.fmt(f),
            Self::TooLong { len, max } => ClaimError::TooLong { len: *len, max: *max }.fmt(f),
            Self::Disconnected => ClaimError::Ended(SessionEnd::Closed).fmt(f),
            Self::PeerDied => ClaimError::Ended(SessionEnd::Died).fmt(f),
            Self::Corrupt(c) => c.fmt(f),
            Self::Forked => f.write_str(FORKED),
        }
    }
}

impl core::error::Error for TrySendError {}

impl From<ClaimError> for TrySendError {
    #[inline]
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::TooLong { len, max } => Self::TooLong { len, max },
            ClaimError::Ended(SessionEnd::Closed) => Self::Disconnected,
            ClaimError::Ended(SessionEnd::Died) => Self::PeerDied,
            ClaimError::Corrupt(c) => Self::Corrupt(c),
            _ => Self::Full,
        }
    }
}

impl From<Refusal> for TrySendError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Forked => Self::Forked,
            Refusal::Corrupt(c) => Self::Corrupt(c),
        }
    }
}

/// Why nothing was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// Nothing is committed and unread.
    Empty,
    /// The caller's buffer is too short. The record is kept; the next call finds it again.
    BufferTooSmall {
        /// Bytes needed.
        needed: usize,
    },
    /// The producer closed, and everything it committed has been read. Said once for each session; the next call
    /// waits for a successor.
    Disconnected,
    /// The producer died, and everything it committed has been read. Said once for each session, as above.
    PeerDied,
    /// A typed handle met a record that is no `T`: a handle of bytes has sent it. It was released.
    WrongLength {
        /// Its bytes.
        len: usize,
        /// The bytes of a `T`.
        expected: usize,
    },
    /// A peer broke the protocol. The handle does nothing from now on.
    Corrupt(Corrupt),
    /// The handle belongs to another process.
    Forked,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => ReadError::Empty.fmt(f),
            Self::BufferTooSmall { needed } => ReadError::BufferTooSmall { needed: *needed }.fmt(f),
            Self::Disconnected => ReadError::Ended(SessionEnd::Closed).fmt(f),
            Self::PeerDied => ReadError::Ended(SessionEnd::Died).fmt(f),
            Self::WrongLength { len, expected } => write!(
                f,
                "a record of {len} bytes came where a value has {expected}, and was released: somebody sends bytes into \
                 a typed ring"
            ),
            Self::Corrupt(c) => c.fmt(f),
            Self::Forked => f.write_str(FORKED),
        }
    }
}

impl core::error::Error for TryRecvError {}

impl From<ReadError> for TryRecvError {
    #[inline]
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Ended(SessionEnd::Closed) => Self::Disconnected,
            ReadError::Ended(SessionEnd::Died) => Self::PeerDied,
            ReadError::BufferTooSmall { needed } => Self::BufferTooSmall { needed },
            ReadError::Corrupt(c) => Self::Corrupt(c),
            _ => Self::Empty,
        }
    }
}

impl From<Refusal> for TryRecvError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Forked => Self::Forked,
            Refusal::Corrupt(c) => Self::Corrupt(c),
        }
    }
}
