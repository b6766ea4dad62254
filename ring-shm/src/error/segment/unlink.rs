//! Why a segment was not removed.

use core::fmt;

use super::Path;
use crate::error::{FileKind, OsError};
use crate::location::Location;
use crate::name::NameError;

/// Why a segment was not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnlinkError {
    /// That is no location.
    Name(NameError),
    /// There is no segment of that name.
    NotFound {
        /// The name.
        name: Location,
    },
    /// This process may not remove it, or may not open it to see whether it is in use.
    Permission {
        /// The name.
        name: Location,
    },
    /// Something else has the name.
    NotASegment {
        /// The name.
        name: Location,
        /// What has it.
        found: FileKind,
    },
    /// A lease is held: somebody lives in it.
    InUse {
        /// The name.
        name: Location,
        /// One of the leases held.
        lease: u64,
    },
    /// The gate stayed shut: somebody is in the middle of attaching or removing, perhaps stopped there.
    GateBusy {
        /// The name.
        name: Location,
    },
    /// Somebody has it attached without a lease: a program that knows nothing of rings.
    Attached {
        /// The name.
        name: Location,
        /// How many attachments there are (`shm_nattch`).
        count: u64,
    },
    /// The System V segment of that key is the ring of another name.
    OtherName {
        /// The name asked for.
        name: Location,
        /// The name it has.
        found: String,
    },
    /// The file does not begin as a ring does.
    NotARing {
        /// The file.
        name: Location,
    },
    /// It has no name that could be removed.
    Nameless {
        /// The descriptor.
        name: Location,
    },
    /// Another segment took the name each time it was tried.
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// Any other failure.
    Os(OsError),
}

impl fmt::Display for UnlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::NotFound { name } => write!(f, "there is no segment {name}: nothing to remove"),
            Self::Permission { name } => write!(f, "segment {name} may not be removed: run as its owner"),
            Self::NotASegment { name, found } => {
                write!(f, "{} is a {found}, no segment: remove it by hand if you mean it", Path(name))
            }
            Self::InUse { name, lease } => write!(
                f,
                "segment {name} is in use (lease {lease} is held): end its users, or force the removal, which takes only the name"
            ),
            Self::GateBusy { name } => write!(
                f,
                "the gate of segment {name} is held by a process that is attaching or removing: try again, and look for a stopped process"
            ),
            Self::Attached { name, count } => write!(
                f,
                "segment {name} is attached {count} times by programs without a lease: end them (`ipcs -mp` shows the last), or force the removal, which takes only the name"
            ),
            Self::OtherName { name, found } => {
                write!(f, "the key of segment {name} is that of {found:?}: remove it under that name")
            }
            Self::NotARing { name } => write!(f, "{} holds no ring: remove it by hand if you mean it", Path(name)),
            Self::Nameless { name } => {
                write!(f, "{name} has no name to remove: it goes when the last process that has it ends")
            }
            Self::Contended { tries } => {
                write!(f, "the name went to another segment {tries} times while it was removed: try again")
            }
            Self::Os(error) => write!(f, "the segment was not removed: {error}"),
        }
    }
}

impl core::error::Error for UnlinkError {}

impl From<NameError> for UnlinkError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl From<OsError> for UnlinkError {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}
