//! Why a segment was not created.

use core::fmt;
use std::path::{Path, PathBuf};

use super::Keyless;
use crate::error::OsError;
use crate::location::Location;
use crate::memfd::Unsealed;
use crate::name::NameError;
use crate::posix::DIRECTORY;

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
                if directory == Path::new(DIRECTORY) { " (`mount -t tmpfs -o mode=1777 tmpfs /dev/shm`)" } else { "" }
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
