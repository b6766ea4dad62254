//! The errors of the operating-system layer: one small enum for each operation, with the facts in the variants.
//!
//! Segments, mappings and leases return them; the handles' own errors live elsewhere and may wrap these. Every
//! message names the cure. Nothing here makes a system call.

use core::fmt;
use std::io;

use crate::name::{NameError, SegmentName};

/// A system call that failed for a reason no variant of its operation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OsError {
    /// The call.
    pub call: &'static str,
    /// The `errno` it left.
    pub code: i32,
}

impl OsError {
    /// What `errno` says after `call`.
    pub(crate) fn last(call: &'static str) -> Self {
        Self::from_io(call, &io::Error::last_os_error())
    }

    /// The code inside `error`; `EIO` where it has none.
    pub(crate) fn from_io(call: &'static str, error: &io::Error) -> Self {
        Self { call, code: error.raw_os_error().unwrap_or(libc::EIO) }
    }

    fn cure(&self) -> &'static str {
        match self.code {
            libc::EMFILE => ": raise the limit of open files of this process (`ulimit -n`)",
            libc::ENFILE => ": raise the limit of open files of the system (`sysctl fs.file-max`)",
            libc::ENOMEM => {
                ": free memory, or raise the limits of address space (`ulimit -v`) and of mappings \
                 (`sysctl vm.max_map_count`)"
            }
            libc::ENOLCK => ": the kernel is out of locks, or this file system has none; use a tmpfs",
            libc::EACCES | libc::EPERM => ": run as the owner of the segment, and attach before giving up privileges",
            libc::ENOENT => ": mount `/proc` and `/dev/shm`",
            libc::ENOSYS => ": use Linux 5.3 or later, and let the sandbox allow this call",
            _ => "",
        }
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, code } = *self;
        write!(f, "{call} failed: {}{}", io::Error::from_raw_os_error(code), self.cure())
    }
}

impl core::error::Error for OsError {}

impl From<OsError> for io::Error {
    fn from(error: OsError) -> Self {
        Self::from_raw_os_error(error.code)
    }
}

/// What was found where a segment was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A fifo.
    Fifo,
    /// A socket.
    Socket,
    /// A character or block device.
    Device,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "directory",
            Self::Symlink => "symbolic link",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Device => "device",
        })
    }
}

/// Why a segment was not created. Nothing is left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateError {
    /// The name is taken.
    Exists {
        /// The name.
        name: SegmentName,
    },
    /// The length is zero or does not fit this machine.
    BadLength {
        /// The length asked for.
        len: u64,
    },
    /// The mode shuts out the owner, lets everybody write, or has bits beyond `0o777`.
    BadMode {
        /// The mode asked for.
        mode: u32,
    },
    /// The group may not be given to the segment.
    BadGroup {
        /// The group asked for.
        group: u32,
    },
    /// The file system has not enough room.
    NoSpace {
        /// Bytes asked for.
        asked: u64,
        /// Bytes free at the time.
        free: u64,
    },
    /// The length is above the file-size limit of this process.
    FileSizeLimit {
        /// Bytes asked for.
        asked: u64,
        /// The limit, `RLIMIT_FSIZE`.
        limit: u64,
    },
    /// `/dev/shm` may not be written.
    Permission {
        /// The name.
        name: SegmentName,
    },
    /// Temporary names kept vanishing under a cleaner; try again.
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// Any other failure.
    Os(OsError),
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists { name } => {
                write!(f, "segment {name} exists: open it, take another name, or remove it (`ringctl rm {name}`)")
            }
            Self::BadLength { len } => {
                write!(
                    f,
                    "a segment of {len} bytes cannot be made: ask for at least one byte and at most what this machine can map"
                )
            }
            Self::BadMode { mode } => write!(
                f,
                "mode {mode:#o} is refused: give the owner read and write, nobody else's write to all, and no bits beyond 0o777 (0o600, 0o660)"
            ),
            Self::BadGroup { group } => {
                write!(f, "the segment may not be given to group {group}: use a group this user belongs to")
            }
            Self::NoSpace { asked, free } => write!(
                f,
                "no room for a segment: {asked} bytes asked, {free} free in /dev/shm: make it smaller, remove leftovers (`ringctl rm --stale`), or enlarge /dev/shm (docker: `--shm-size`, else `mount -o remount,size=… /dev/shm`)"
            ),
            Self::FileSizeLimit { asked, limit } => write!(
                f,
                "a segment of {asked} bytes is above the file-size limit of {limit} bytes: raise it (`ulimit -f`)"
            ),
            Self::Permission { name } => {
                write!(f, "segment {name} may not be made: let this user write to /dev/shm (mode 1777)")
            }
            Self::Contended { tries } => {
                write!(f, "the temporary name was cleaned away {tries} times while the segment was made: try again")
            }
            Self::Os(error) => write!(f, "the segment was not made: {error}"),
        }
    }
}

impl core::error::Error for CreateError {}

impl From<OsError> for CreateError {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}

/// Why a segment was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no segment of that name.
    NotFound {
        /// The name.
        name: SegmentName,
    },
    /// This process may not read and write it.
    Permission {
        /// The name.
        name: SegmentName,
    },
    /// Something else has the name.
    NotASegment {
        /// The name.
        name: SegmentName,
        /// What has it.
        found: FileKind,
    },
    /// Another user owns it.
    ForeignOwner {
        /// The name.
        name: SegmentName,
        /// The owner's user id.
        owner: u32,
        /// The effective user id of this process.
        user: u32,
    },
    /// Everybody may write to it.
    WorldWritable {
        /// The name.
        name: SegmentName,
        /// Its mode.
        mode: u32,
    },
    /// It has no bytes.
    Empty {
        /// The name.
        name: SegmentName,
    },
    /// It was removed while it was opened.
    Gone {
        /// The name.
        name: SegmentName,
    },
    /// Any other failure.
    Os(OsError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name } => {
                write!(f, "there is no segment {name}: create it (`ringctl create {name}`) or wait for it")
            }
            Self::Permission { name } => write!(
                f,
                "segment {name} may not be opened: run as its owner, or have it created with a group and mode 0o660"
            ),
            Self::NotASegment { name, found } => {
                write!(f, "/dev/shm/{} is a {found}, no segment: remove it", name.file_name())
            }
            Self::ForeignOwner { name, owner, user } => write!(
                f,
                "segment {name} belongs to user {owner}, this process is user {user}: take another name, or allow a foreign owner if you trust that one"
            ),
            Self::WorldWritable { name, mode } => write!(
                f,
                "segment {name} has mode {mode:#o} and anybody may write to it: `chmod o-w /dev/shm/{}`, or remove it",
                name.file_name()
            ),
            Self::Empty { name } => {
                write!(f, "segment {name} is empty, no ring made it: remove it (`ringctl rm {name}`)")
            }
            Self::Gone { name } => write!(f, "segment {name} was removed while it was opened: open it again"),
            Self::Os(error) => write!(f, "the segment was not opened: {error}"),
        }
    }
}

impl core::error::Error for OpenError {}

impl From<OsError> for OpenError {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}

/// Why a segment was not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnlinkError {
    /// The name is not a segment name.
    Name(NameError),
    /// There is no segment of that name.
    NotFound {
        /// The name.
        name: SegmentName,
    },
    /// This process may not remove it, or may not open it to see whether it is in use.
    Permission {
        /// The name.
        name: SegmentName,
    },
    /// Something else has the name.
    NotASegment {
        /// The name.
        name: SegmentName,
        /// What has it.
        found: FileKind,
    },
    /// A lease is held: somebody lives in it.
    InUse {
        /// The name.
        name: SegmentName,
        /// One of the leases held.
        lease: u64,
    },
    /// The gate stayed shut: somebody is in the middle of attaching or removing, perhaps stopped there.
    GateBusy {
        /// The name.
        name: SegmentName,
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
                write!(f, "/dev/shm/{} is a {found}, no segment: remove it by hand", name.file_name())
            }
            Self::InUse { name, lease } => write!(
                f,
                "segment {name} is in use (lease {lease} is held): end its users, or force the removal, which takes only the name"
            ),
            Self::GateBusy { name } => write!(
                f,
                "the gate of segment {name} is held by a process that is attaching or removing: try again, and look for a stopped process"
            ),
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
            Self::Os(error) => write!(f, "the segment was not mapped: {error}"),
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
            MapError::Os(error) => Self::Os(error),
            error => Self::Map(error),
        }
    }
}
