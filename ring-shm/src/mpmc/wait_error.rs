//! The refusals of the blocking calls of MPMC handles.

use core::fmt;

use ring_core::Corrupt;

use super::error::{FORKED, Holder, TryRecvError, TrySendError};
use crate::error::OsError;
use crate::wait::Ended;

/// Why a blocking call sent, or claimed, nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The ring was full, or somebody in the middle of the next slot, until the time was over.
    Timeout {
        /// Who was in the way, if somebody was and the kernel has been asked.
        by: Option<Holder>,
    },
    /// A [`Canceller`](crate::wait::Canceller) ended the wait.
    Cancelled,
    /// The ring was closed: nothing can be sent any more.
    Disconnected,
    /// As [`TrySendError::TooLong`].
    TooLong {
        /// Bytes, or messages, asked for.
        len: usize,
        /// As many are possible.
        max: usize,
    },
    /// All 2⁵² positions of the ring have been used.
    Exhausted,
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
            Self::Timeout { by: None } => {
                f.write_str("the ring was full all the time: its consumers are too slow, stopped, or not there")
            }
            Self::Timeout { by } => TrySendError::Busy { by }.fmt(f),
            Self::Cancelled => f.write_str("the wait for a slot was cancelled"),
            Self::Disconnected => TrySendError::Disconnected.fmt(f),
            Self::TooLong { len, max } => TrySendError::TooLong { len, max }.fmt(f),
            Self::Exhausted => TrySendError::Exhausted.fmt(f),
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
            TrySendError::Full => Self::Timeout { by: None },
            TrySendError::Busy { by } => Self::Timeout { by },
            TrySendError::Disconnected => Self::Disconnected,
            TrySendError::TooLong { len, max } => Self::TooLong { len, max },
            TrySendError::Exhausted => Self::Exhausted,
            TrySendError::Corrupt(c) => Self::Corrupt(c),
            TrySendError::Forked => Self::Forked,
        }
    }
}

impl SendError {
    /// How a wait ended in which `by` was in the way last.
    pub(super) fn new(ended: Ended<TrySendError>, by: Option<Holder>) -> Self {
        match ended {
            Ended::Refused(error) => error.into(),
            Ended::Timeout => Self::Timeout { by },
            Ended::Cancelled => Self::Cancelled,
            Ended::Os(error) => Self::Os(error),
        }
    }
}

/// Why a blocking call received nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The ring was empty, or somebody in the middle of the next message, until the time was over.
    Timeout {
        /// Who was in the way, if somebody was and the kernel has been asked.
        by: Option<Holder>,
    },
    /// A [`Canceller`](crate::wait::Canceller) ended the wait.
    Cancelled,
    /// The ring was closed, and every message has been released. Said from then on.
    Disconnected,
    /// The caller's buffer is too short. This handle keeps the message for its next call.
    BufferTooSmall {
        /// Bytes needed.
        needed: usize,
    },
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
            Self::Timeout { by: None } => {
                f.write_str("the ring was empty all the time: its producers are idle, stopped, or not there")
            }
            Self::Timeout { by } => TryRecvError::Busy { by }.fmt(f),
            Self::Cancelled => f.write_str("the wait for a message was cancelled"),
            Self::Disconnected => TryRecvError::Disconnected.fmt(f),
            Self::BufferTooSmall { needed } => TryRecvError::BufferTooSmall { needed }.fmt(f),
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
            TryRecvError::Empty => Self::Timeout { by: None },
            TryRecvError::Busy { by } => Self::Timeout { by },
            TryRecvError::Disconnected => Self::Disconnected,
            TryRecvError::BufferTooSmall { needed } => Self::BufferTooSmall { needed },
            TryRecvError::WrongLength { len, expected } => Self::WrongLength { len, expected },
            TryRecvError::Corrupt(c) => Self::Corrupt(c),
            TryRecvError::Forked => Self::Forked,
        }
    }
}

impl RecvError {
    /// How a wait ended in which `by` was in the way last.
    pub(super) fn new(ended: Ended<TryRecvError>, by: Option<Holder>) -> Self {
        match ended {
            Ended::Refused(error) => error.into(),
            Ended::Timeout => Self::Timeout { by },
            Ended::Cancelled => Self::Cancelled,
            Ended::Os(error) => Self::Os(error),
        }
    }
}
