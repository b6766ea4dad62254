//! Why a segment was not created, opened or removed.

use core::fmt;
use std::path::PathBuf;

use super::{FileKind, OsError};
use crate::location::Location;
use crate::memfd::Unsealed;
use crate::name::NameError;

/// The path of a location, for a shell.
struct Path<'l>(&'l Location);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.path() {
            Some(path) => path.display().fmt(f),
            None => self.0.fmt(f),
        }
    }
}

/// A location without the key that it may name.
struct Keyless<'l>(&'l Location);

impl fmt::Display for Keyless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Location::Sysv(name) => write!(f, "sysv:{}", name.as_str()),
            at => at.fmt(f),
        }
    }
}

/// What to do about something else in a segment's place. Whoever says a path may have hit upon anything, and shall not be
/// told to remove it.
fn instead(at: &Location) -> &'static str {
    match at {
        Location::File(_) => "give another path",
        _ => "take another name, or remove it",
    }
}

/// Why a segment was not created. Nothing is left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateError {
    /// That is no location.
    Name(NameError),
    /// The name is taken.
    Exists {
        /// The name.
        name: Location,
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
    /// Another program's System V segment, or one whose side file has gone, has the key.
    KeyTaken {
        /// The name.
        name: Location,
        /// The key.
        key: i32,
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
    /// It is larger than its creator allows (`max_size`).
    AboveLimit {
        /// Bytes asked for.
        asked: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// The rings of its prefix would take more together than its creator allows (`budget`).
    OverBudget {
        /// What their names begin with.
        prefix: Box<str>,
        /// Bytes asked for.
        asked: u64,
        /// Bytes that they take.
        used: u64,
        /// The most that is allowed.
        budget: u64,
    },
    /// Somebody else kept the lock under which budgets are counted.
    BudgetBusy,
    /// There is a budget, and what has no name in shared memory is not counted.
    NoBudget {
        /// The file or memfd.
        name: Location,
    },
    /// A control group does not leave so much memory.
    MemoryLimit {
        /// Bytes asked for.
        asked: u64,
        /// Bytes that can be had.
        free: u64,
        /// Its limit.
        limit: u64,
    },
    /// Where the segment is to be, there is no directory for it.
    NoDirectory {
        /// The name.
        name: Location,
        /// What is missing.
        directory: PathBuf,
    },
    /// The directory may not be written.
    Permission {
        /// The name.
        name: Location,
    },
    /// The descriptor is no memfd that could be sealed.
    Unsealable {
        /// The descriptor.
        name: Location,
        /// Why not.
        trouble: Unsealed,
    },
    /// Temporary names kept vanishing under a cleaner, or another creator has stopped in the middle; try again.
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
            Self::Name(error) => error.fmt(f),
            Self::Exists { name } => {
                write!(f, "segment {name} exists: open it, take another name, or remove it (`ringctl rm {name}`)")
            }
            Self::KeyTaken { name, key } => write!(
                f,
                "segment {name} cannot be made, its key {key:#x} is taken: give another one (`ringctl create {}@KEY`), or remove what has it (`ipcrm -M {key:#x}`)",
                Keyless(name)
            ),
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
                "no room for a segment: {asked} bytes asked, {free} free: make it smaller, remove leftovers (`ringctl rm --stale`), or enlarge the file system (/dev/shm in docker: `--shm-size`, else `mount -o remount,size=… /dev/shm`)"
            ),
            Self::FileSizeLimit { asked, limit } => write!(
                f,
                "a segment of {asked} bytes is above the file-size limit of {limit} bytes: raise it (`ulimit -f`)"
            ),
            Self::AboveLimit { asked, limit } => write!(
                f,
                "a segment of {asked} bytes is above the limit of {limit} bytes that its creator sets: make it smaller, or raise `max_size`"
            ),
            Self::OverBudget { prefix, asked, used, budget } => write!(
                f,
                "no budget for a segment of {asked} bytes: those named {prefix:?}* take {used} of {budget} bytes: make it smaller, remove leftovers (`ringctl rm --stale`), or raise `budget`"
            ),
            Self::BudgetBusy => f.write_str(
                "the lock on /dev/shm, under which budgets are counted, was held all the time: try again, and look for who holds it (`lslocks`)",
            ),
            Self::NoBudget { name } => {
                write!(f, "no budget can be kept with {name}, only with names in shared memory: use `max_size` alone")
            }
            Self::MemoryLimit { asked, free, limit } => write!(
                f,
                "no memory for a segment: {asked} bytes asked, {free} left by a control group of {limit}: make it smaller, or raise the limit (docker: `--memory`, systemd: `MemoryMax=`, Kubernetes: `resources.limits.memory`)"
            ),
            Self::NoDirectory { name, directory } => write!(
                f,
                "segment {name} cannot be made, there is no directory {}: make it, or name one that is there{}",
                directory.display(),
                if directory.starts_with("/dev/shm") { " (`mount -t tmpfs -o mode=1777 tmpfs /dev/shm`)" } else { "" }
            ),
            Self::Permission { name } => {
                write!(f, "segment {name} may not be made: let this user write to its directory (/dev/shm: mode 1777)")
            }
            Self::Unsealable { name, trouble } => write!(f, "no segment can be made in {name}: {trouble}"),
            Self::Contended { tries } => {
                write!(f, "others came between {tries} times while the segment was made: try again")
            }
            Self::Os(error) => write!(f, "the segment was not made: {error}"),
        }
    }
}

impl core::error::Error for CreateError {}

impl From<NameError> for CreateError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl From<OsError> for CreateError {
    fn from(error: OsError) -> Self {
        Self::Os(error)
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
