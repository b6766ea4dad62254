//! Why a segment was not opened.

use core::fmt;

use super::{Keyless, Path};
use crate::error::{FileKind, OsError};
use crate::location::Location;
use crate::memfd::Unsealed;
use crate::name::NameError;

/// What to do about something else in a segment's place. Whoever says a path may have hit upon anything, and shall not be
/// told to remove it.
fn instead(at: &Location) -> &'static str {
    match at {
        Location::File(_) => "give another path",
        _ => "take another name, or remove it",
    }
}

/// Why a segment was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// That is no location.
    Name(NameError),
    /// There is no segment of that name.
    NotFound {
        /// The name.
        name: Location,
    },
    /// This process may not read and write it.
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
    /// Another user owns it, and does not share it as the [rules](crate::OpenRules) want it.
    ForeignOwner {
        /// The name.
        name: Location,
        /// The owner's user id.
        owner: u32,
        /// The effective user id of this process.
        user: u32,
    },
    /// Everybody may write to it.
    WorldWritable {
        /// The name.
        name: Location,
        /// Its mode.
        mode: u32,
    },
    /// The System V segment of that key is the ring of another name.
    OtherName {
        /// The name asked for.
        name: Location,
        /// The name it has.
        found: String,
    },
    /// It has other names as well: somebody has made hard links to it.
    Linked {
        /// The name.
        name: Location,
        /// How many names it has.
        links: u64,
    },
    /// It has no bytes.
    Empty {
        /// The name.
        name: Location,
    },
    /// It is a descriptor, but no memfd that is sealed against shrinking and growing.
    Unsealed {
        /// The descriptor.
        name: Location,
        /// What is wrong with it.
        trouble: Unsealed,
    },
    /// It was removed while it was opened.
    Gone {
        /// The name.
        name: Location,
    },
    /// Any other failure.
    Os(OsError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::NotFound { name } => {
                write!(f, "there is no segment {name}: create it (`ringctl create {name}`) or wait for it")
            }
            Self::Permission { name } => write!(
                f,
                "segment {name} may not be opened: run as its owner, or have it created with a group and mode 0o660"
            ),
            Self::NotASegment { name, found } => {
                write!(f, "{} is a {found}, no segment: {}", Path(name), instead(name))
            }
            Self::ForeignOwner { name, owner, user } => write!(
                f,
                "segment {name} belongs to user {owner}, this process is user {user}: take another name, or have its owner share it with a group of yours (`ringctl create --mode 0660 --group GROUP`)"
            ),
            Self::WorldWritable { name, mode } => write!(
                f,
                "segment {name} has mode {mode:#o} and anybody may write to it: `chmod o-w {}`, or remove it",
                Path(name)
            ),
            Self::OtherName { name, found } => {
                write!(
                    f,
                    "the key of segment {name} is that of {found:?}: give one of the two another key (`{}@KEY`)",
                    Keyless(name)
                )
            }
            Self::Linked { name, links } => write!(
                f,
                "segment {name} has {links} names, and this may not be the one it was made under: find the others (`find DIRECTORY -samefile {}`) and remove them",
                Path(name)
            ),
            Self::Empty { name } => {
                write!(f, "segment {name} is empty, no ring made it: remove it (`ringctl rm {name}`)")
            }
            Self::Unsealed { name, trouble } => write!(f, "{name} holds no ring to rely on: {trouble}"),
            Self::Gone { name } => write!(f, "segment {name} was removed while it was opened: open it again"),
            Self::Os(error) => write!(f, "the segment was not opened: {error}"),
        }
    }
}

impl core::error::Error for OpenError {}

impl From<NameError> for OpenError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl From<OsError> for OpenError {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}
