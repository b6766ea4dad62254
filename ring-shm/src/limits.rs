//! What a creator lets its rings take at most, and the check of it before a segment is made: of the ring alone, of all
//! rings of a service together, and of what the control groups leave.

use core::fmt;
use std::fs::File;
use std::time::Instant;

use crate::error::{CreateError, OsError};
use crate::location::Location;
use crate::memory;
use crate::posix::{DIRECTORY, GATE_PAUSE, PATIENCE};
use crate::segment::Segment;
use crate::sys;

/// The limits of one creation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Limits {
    /// The most bytes of the segment.
    pub(crate) size: Option<u64>,
    /// The most bytes of all segments of this user whose names begin so.
    pub(crate) budget: Option<(Box<str>, u64)>,
}

/// Keeps other creators with a budget away until the segment has its name.
pub(crate) struct Reserved {
    _directory: Option<File>,
}

impl fmt::Debug for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reserved")
    }
}

impl Limits {
    /// Whether a segment of `len` bytes keeps within the limits; the answer holds as long as what it returns
    /// lives. A name that is taken is that, whatever the limits say.
    pub(crate) fn reserve(&self, at: &Location, len: u64) -> Result<Reserved, CreateError> {
        self.check(at, len).map_err(|error| {
            let taken = at.path().map_or_else(|| Segment::open(at).is_ok(), |path| sys::stat_name(&path).is_ok());
            if taken { CreateError::Exists { name: at.clone() } } else { error }
        })
    }

    fn check(&self, at: &Location, len: u64) -> Result<Reserved, CreateError> {
        if let Some(limit) = self.size.filter(|limit| len > *limit) {
            return Err(CreateError::AboveLimit { asked: len, limit });
        }
        if let Some(room) = memory::room_below(len).filter(|_| in_memory(at)) {
            return Err(CreateError::MemoryLimit { asked: len, free: room.free, limit: room.limit });
        }
        let Some((prefix, budget)) = &self.budget else { return Ok(Reserved { _directory: None }) };
        if let Location::File(_) | Location::Memfd(_) = at {
            return Err(CreateError::NoBudget { name: at.clone() });
        }
        let directory = lock_directory()?;
        let user = sys::user();
        let used = Segment::list()?
            .iter()
            .filter(|info| info.owner == user && info.name.name().starts_with(&**prefix))
            .fold(0_u64, |sum, info| sum.saturating_add(info.len));
        if used.saturating_add(len) > *budget {
            return Err(CreateError::OverBudget { prefix: prefix.clone(), asked: len, used, budget: *budget });
        }
        Ok(Reserved { _directory: Some(directory) })
    }
}

/// Whether a segment there takes memory that the kernel cannot get back, as it can from a file on a disk.
fn in_memory(at: &Location) -> bool {
    match at {
        Location::File(path) => {
            let directory = path.parent().and_then(|directory| File::open(directory).ok());
            directory.is_some_and(|directory| sys::is_tmpfs(&directory))
        }
        _ => true,
    }
}

/// An exclusive lock on the directory itself, which nobody else needs; so two creators cannot both find room for one.
fn lock_directory() -> Result<File, CreateError> {
    let directory = File::open(DIRECTORY).map_err(|error| OsError::from_io("open(/dev/shm)", &error))?;
    let deadline = Instant::now() + PATIENCE;
    while !sys::try_lock_whole(&directory)? {
        if Instant::now() >= deadline {
            return Err(CreateError::BudgetBusy);
        }
        std::thread::sleep(GATE_PAUSE);
    }
    Ok(directory)
}
