//! The refusals of the blocking calls of SPSC handles.

use core::fmt;

use ring_core::Corrupt;

use super::error::{FORKED, TryRecvError, TrySendError};
use crate::error::OsError;
use crate::wait::Ended;

/// Why a blocking call sent, or claimed, nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The ring was full until the time was over.
    Timeout,
    /// A [`Canceller`](crate::wait::Canceller) ended the wait.
    Cancelled,
    /// As [`TrySendError::TooLong`].
    TooLong {
        /// Bytes asked for.
        len: usize,
        /// Bytes possible.
        max: usize,
    },
    /// The ring is full and its consumer has closed. Said once for each consumer; the next call waits for a successor.
    Disconnected,
    /// The ring is full and its consumer has died. Said once for each consumer, as above.
    PeerDied,
    /// A peer broke the protocol. The handle does nothing from now on.
    Corrupt(Corrupt),
    /// The handle belongs to another process.
    Forked,
    /// The kernel would not let this thread sleep.
    Os(OsError),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Timeout => {
                f.write_str("the ring was full all the time: the consumer is too slow, stopped, or not there")
            }
            Self::Cancelled => f.write_str("the wait for space was cancelled"),
            Self::TooLong { len, max } => TrySendError::TooLong { len, max }.fmt(f),
            Self::Disconnected => TrySendError::Disconnected.fmt(f),
            Self::PeerDied => TrySendError::PeerDied.fmt(f),
            Self::Corrupt(c) => c.fmt(f),
            Self::Forked => f.write_str(FORKED),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SendError {}

impl From<TrySendError> for SendError {
    fn from(error: TrySendError) -> Self {
        match error {
            TrySendError::Full => Self::Timeout,
            TrySendError::TooLong { len, max } => Self::TooLong { len, max },
            TrySendError::Disconnected => Self::Disconnected,
            TrySendError::PeerDied => Self::PeerDied,
            TrySendError::Corrupt(c) => Self::Corrupt(c),
            TrySendError::Forked => Self::Forked,
        }
    }
}

impl From<Ended<TrySendError>> for SendError {
    fn from(ended: Ended<TrySendError>) -> Self {
        match ended {
            Ended::Refused(error) => error.into(),
            Ended::Timeout => Self::Timeout,
            Ended::Cancelled => Self::Cancelled,
            Ended::Os(error) => Self::Os(error),
        }
    }
}

/// Why a blocking call received nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The ring was empty until the time was over.
    Timeout,
    /// A [`Canceller`](crate::wait::Canceller) ended the wait.
    Cancelled,
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
    /// As [`TryRecvError::WrongLength`].
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
    /// The kernel would not let this thread sleep.
    Os(OsError),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Timeout => {
                f.write_str("the ring was empty all the time: the producer is idle, stopped, or not there")
            }
            Self::Cancelled => f.write_str("the wait for a record was cancelled"),
            Self::BufferTooSmall { needed } => TryRecvError::BufferTooSmall { needed }.fmt(f),
            Self::Disconnected => TryRecvError::Disconnected.fmt(f),
            Self::PeerDied => TryRecvError::PeerDied.fmt(f),
            Self::WrongLength { len, expected } => TryRecvError::WrongLength { len, expected }.fmt(f),
            Self::Corrupt(c) => c.fmt(f),
            Self::Forked => f.write_str(FORKED),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RecvError {}

impl From<TryRecvError> for RecvError {
    fn from(error: TryRecvError) -> Self {
        match error {
            TryRecvError::Empty => Self::Timeout,
            TryRecvError::BufferTooSmall { needed } => Self::BufferTooSmall { needed },
            TryRecvError::Disconnected => Self::Disconnected,
            TryRecvError::PeerDied => Self::PeerDied,
            TryRecvError::WrongLength { len, expected } => Self::WrongLength { len, expected },
            TryRecvError::Corrupt(c) => Self::Corrupt(c),
            TryRecvError::Forked => Self::Forked,
        }
    }
}

impl From<Ended<TryRecvError>> for RecvError {
    fn from(ended: Ended<TryRecvError>) -> Self {
        match ended {
            Ended::Refused(error) => error.into(),
            Ended::Timeout => Self::Timeout,
            Ended::Cancelled => Self::Cancelled,
            Ended::Os(error) => Self::Os(error),
        }
    }
}
