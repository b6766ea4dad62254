//! The refusals of MPMC handles.

use core::fmt;

use ring_core::Corrupt;
use ring_core::mpmc::{ClaimError, ReadError};

use crate::life::Refusal;

/// What every operation says in a process that inherited the handle.
pub(super) const FORKED: &str =
    "this handle was inherited over fork and belongs to the parent process; open the ring again in this process";

/// A participant that stands in the way: alive, or not shown to be dead.
///
/// ```
/// use ring_shm::mpmc::{TryRecvError, heap};
/// let ring = heap(8, 48)?;
/// let (mut slow, mut tx, mut rx) = (ring.producer()?, ring.producer()?, ring.consumer()?);
/// let lease = slow.stats().lease;
/// let claim = slow.try_claim(8)?;
/// tx.try_send(7, b"in order, so not before the claim")?;
/// let holder = loop {
///     match rx.try_recv_into(&mut [0; 48]) {
///         Err(TryRecvError::Busy { by: Some(holder) }) => break holder,
///         other => assert_eq!(other, Err(TryRecvError::Busy { by: None })),
///     }
/// };
/// assert_eq!((holder.lease, holder.pid), (lease, std::process::id()));
/// claim.abort();
/// assert_eq!(rx.try_recv_into(&mut [0; 48])?.tag, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Holder {
    /// Its place in the participant table.
    pub index: u32,
    /// Its process id in its own PID namespace, as it said itself; 0 when it has not.
    pub pid: u32,
    /// Its lease, as `ringctl stat` shows it.
    pub lease: u64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (participant {}, lease {})", self.pid, self.index, self.lease)
    }
}

fn busy(f: &mut fmt::Formatter<'_>, by: Option<Holder>, doing: &str) -> fmt::Result {
    match by {
        Some(holder) => write!(f, "busy: {holder} is in the middle of {doing}; try again, or end it"),
        None => f.write_str("busy: others are in the middle of the next slot; try again"),
    }
}

/// Why nothing was sent, or claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError {
    /// Every slot holds a message that no consumer has taken yet.
    Full,
    /// Somebody is in the middle of the slot that is next, or contention used up the retries.
    Busy {
        /// Who, once the kernel has been asked: 250 µs after the first refusal.
        by: Option<Holder>,
    },
    /// The ring was closed: nothing can be sent any more.
    Disconnected,
    /// Longer than [`max_len`](crate::mpmc::Producer::max_len), or an exact batch larger than the ring.
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
}

impl TrySendError {
    /// The refusal of the core, with who is in the way if that is known.
    #[inline]
    pub(super) fn new(error: ClaimError, by: Option<Holder>) -> Self {
        match error {
            ClaimError::Full => Self::Full,
            ClaimError::Closed => Self::Disconnected,
            ClaimError::TooLong { len, max } => Self::TooLong { len, max },
            ClaimError::Exhausted => Self::Exhausted,
            ClaimError::Corrupt(c) => Self::Corrupt(c),
            _ => Self::Busy { by },
        }
    }
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => ClaimError::Full.fmt(f),
            Self::Busy { by } => busy(f, *by, "reading from the slot that is next"),
            Self::Disconnected => ClaimError::Closed.fmt(f),
            Self::TooLong { len, max } => ClaimError::TooLong { len: *len, max: *max }.fmt(f),
            Self::Exhausted => ClaimError::Exhausted.fmt(f),
            Self::Corrupt(c) => c.fmt(f),
            Self::Forked => f.write_str(FORKED),
        }
    }
}

impl core::error::Error for TrySendError {}

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
    /// Everything committed has been taken.
    Empty,
    /// Somebody is in the middle of the message that is next; or the ring was closed, and the last messages are in
    /// the hands of others, from which they may still come back; or contention used up the retries.
    Busy {
        /// Who, once the kernel has been asked: 250 µs after the first refusal.
        by: Option<Holder>,
    },
    /// The ring was closed, and every message has been released. Said from then on.
    Disconnected,
    /// The caller's buffer is too short. This handle keeps the message for its next call.
    BufferTooSmall {
        /// Bytes needed.
        needed: usize,
    },
    /// A typed handle met a message that is no `T`: a handle of bytes has sent it. It was released.
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

impl TryRecvError {
    /// The refusal of the core, with who is in the way if that is known.
    #[inline]
    pub(super) fn new(error: ReadError, by: Option<Holder>) -> Self {
        match error {
            ReadError::Empty => Self::Empty,
            ReadError::Closed => Self::Disconnected,
            ReadError::BufferTooSmall { needed } => Self::BufferTooSmall { needed },
            ReadError::Corrupt(c) => Self::Corrupt(c),
            _ => Self::Busy { by },
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => ReadError::Empty.fmt(f),
            Self::Busy { by } => busy(f, *by, "the message that is next"),
            Self::Disconnected => ReadError::Closed.fmt(f),
            Self::BufferTooSmall { needed } => ReadError::BufferTooSmall { needed: *needed }.fmt(f),
            Self::WrongLength { len, expected } => write!(
                f,
                "a message of {len} bytes came where a value has {expected}, and was released: somebody sends bytes into \
                 a typed ring"
            ),
            Self::Corrupt(c) => c.fmt(f),
            Self::Forked => f.write_str(FORKED),
        }
    }
}

impl core::error::Error for TryRecvError {}

impl From<Refusal> for TryRecvError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Forked => Self::Forked,
            Refusal::Corrupt(c) => Self::Corrupt(c),
        }
    }
}
