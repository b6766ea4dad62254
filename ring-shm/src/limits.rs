//! What a creator lets its rings take at most, and the check of it before a segment is made: of the ring alone, of all
//! rings of a service together, and of what the control groups leave.

use core::fmt;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

use crate::error::{CreateError, OsError};
use crate::memory;
use crate::name::SegmentName;
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
    /// Whether the segment `name` of `len` bytes keeps within the limits; the answer holds as long as what it returns
    /// lives. A name that is taken is that, whatever the limits say.
    pub(crate) fn reserve(&self, name: &SegmentName, len: u64) -> Result<Reserved, CreateError> {
        self.check(len).map_err(|error| {
            let taken = sys::stat_name(&Path::new(DIRECTORY).join(name.file_name())).is_ok();
            if taken { CreateError::Exists { name: name.clone() } } else { error }
        })
    }

    fn check(&self, len: u64) -> Result<Reserved, CreateError> {
        if let Some(limit) = self.size.filter(|limit| len > *limit) {
            return Err(CreateError::AboveLimit { asked: len, limit });
        }
        if let Some(room) = memory::room().filter(|room| len > room.free) {
            return Err(CreateError::MemoryLimit { asked: len, free: room.free, limit: room.limit });
        }
        let Some((prefix, budget)) = &self.budget else { return Ok(Reserved { _directory: None }) };
        let directory = lock_directory()?;
        let user = sys::user();
        let taken = |name: &SegmentName| name.as_str().starts_with(&**prefix);
        let used = Segment::list()?
            .iter()
            .filter(|info| info.owner == user && taken(&info.name))
            .fold(0_u64, |sum, info| sum.saturating_add(info.len));
        if used.saturating_add(len) > *budget {
            return Err(CreateError::OverBudget { prefix: prefix.clone(), asked: len, used, budget: *budget });
        }
        Ok(Reserved { _directory: Some(directory) })
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
