//! Why a segment was not mapped, or no lease taken.

use core::fmt;

use super::OsError;

/// Why a segment was not mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapError {
    /// The object has another size than when it was opened: somebody truncated or grew it.
    Resized {
        /// The size at opening.
        expected: u64,
        /// The size now.
        found: u64,
    },
    /// The segment does not fit this process's address space.
    TooLarge {
        /// Its length.
        len: u64,
    },
    /// The descriptor was closed behind our back and the object cannot be reached by its name.
    Lost,
    /// The System V segment was removed.
    Gone,
    /// The mapping is this process's parent's.
    Forked,
    /// Any other failure.
    Os(OsError),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resized { expected, found } => write!(
                f,
                "the segment had {expected} bytes and has {found}: somebody resized it; remove it and create it anew"
            ),
            Self::TooLarge { len } => {
                write!(f, "a segment of {len} bytes does not fit this address space: use a 64-bit process")
            }
            Self::Lost => LOST.fmt(f),
            Self::Gone => LeaseError::Gone.fmt(f),
            Self::Forked => {
                f.write_str("the mapping belongs to the process that this one was forked from: open the ring here")
            }
            Self::Os(error) => write!(f, "the segment was not mapped, or not written back: {error}"),
        }
    }
}

impl core::error::Error for MapError {}

impl From<OsError> for MapError {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}

/// Why no lease was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseError {
    /// The segment has been removed. Start again from its name.
    Gone,
    /// The gate stayed shut: somebody is in the middle of removing, perhaps stopped there.
    GateBusy,
    /// Every number offered is held already.
    NumbersTaken {
        /// How many were tried.
        tries: u32,
        /// The last of them.
        last: u64,
    },
    /// The number offered is no lease number.
    BadNumber {
        /// The number.
        number: u64,
    },
    /// The descriptor was closed behind our back and the object cannot be reached by its name.
    Lost,
    /// The segment could not be mapped.
    Map(MapError),
    /// Any other failure.
    Os(OsError),
}

/// What both errors say about a lost descriptor.
const LOST: &str = "the descriptor of the segment was closed by other code of this process, and its name is gone: open the segment again, and stop closing descriptors that are not yours";

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the segment was removed: open or create it again by its name"),
            Self::GateBusy => f.write_str(
                "the gate of the segment is held by a process that removes it: try again, and look for a stopped process",
            ),
            Self::NumbersTaken { tries, last } => write!(
                f,
                "{tries} lease numbers in a row are held already (the last is {last}): the counter in the segment is damaged; remove the segment and create it anew"
            ),
            Self::BadNumber { number } => write!(
                f,
                "{number} is no lease number: the counter in the segment is damaged; remove the segment and create it anew"
            ),
            Self::Lost => LOST.fmt(f),
            Self::Map(error) => error.fmt(f),
            Self::Os(error) => write!(f, "no lease was taken: {error}"),
        }
    }
}

impl core::error::Error for LeaseError {}

impl From<OsError> for LeaseError {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}

impl From<MapError> for LeaseError {
    fn from(error: MapError) -> Self {
        match error {
            MapError::Lost => Self::Lost,
            MapError::Gone => Self::Gone,
            MapError::Os(error) => Self::Os(error),
            error => Self::Map(error),
        }
    }
}
