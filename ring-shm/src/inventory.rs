//! What is in `/dev/shm`: the list of segments, and the removal of those that nobody holds.
//!
//! `ringctl ls` and `ringctl rm --stale` call it, and embedders at start-up. It removes nothing of another user and
//! nothing that a living process holds, which it proves under the gate; it never judges by age.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::descriptor;
use crate::error::{OpenError, OsError, UnlinkError};
use crate::name::{PREFIX, SegmentName};
use crate::open;
use crate::posix::{self, DIRECTORY, Removal, TEMPORARY};
use crate::segment::{OpenRules, Segment};
use crate::sys::{self, Stat};

/// What can be said about a segment without opening it as one. All of it is a guess by the time it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Its name.
    pub name: SegmentName,
    /// Its size in bytes.
    pub len: u64,
    /// The user id of its owner.
    pub owner: u32,
    /// Its permission bits.
    pub mode: u32,
    /// Whether any lease is held on it; `None` if this process may not look.
    pub held: Option<bool>,
}

/// What a removal of stale segments did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StaleReport {
    /// The segments removed.
    pub removed: Vec<SegmentName>,
    /// How many temporary names of dead creators were removed.
    pub temporaries: usize,
    /// The segments left because they are held.
    pub held: Vec<SegmentName>,
    /// The segments that could not be removed, with the reason.
    pub failed: Vec<(SegmentName, UnlinkError)>,
}

impl Segment {
    /// Every regular file `ring.NAME` in `/dev/shm` whose NAME is valid, in order of the names.
    ///
    /// # Errors
    ///
    /// [`OsError`] if `/dev/shm` cannot be read. What vanishes meanwhile is left out.
    pub fn list() -> Result<Vec<SegmentInfo>, OsError> {
        list_in(Path::new(DIRECTORY))
    }

    /// Removes every segment of this user that no lease is held on, and the temporary names of dead creators.
    ///
    /// What it takes for a segment is any file `ring.NAME` of this user that [`Segment::open`] would open; where other programs
    /// may use such names, or a creator may not have attached yet, use [`Segment::remove_stale_if`].
    ///
    /// # Errors
    ///
    /// [`OsError`] if `/dev/shm` cannot be read. A segment that cannot be removed is in the report.
    pub fn remove_stale() -> Result<StaleReport, OsError> {
        Self::remove_stale_if(|_| true)
    }

    /// As [`Segment::remove_stale`], but only segments for which `ours` says so, by name or by contents.
    ///
    /// # Errors
    ///
    /// [`OsError`] if `/dev/shm` cannot be read.
    pub fn remove_stale_if(ours: impl FnMut(&Segment) -> bool) -> Result<StaleReport, OsError> {
        remove_stale_in(Path::new(DIRECTORY), ours)
    }
}

pub(crate) fn list_in(directory: &Path) -> Result<Vec<SegmentInfo>, OsError> {
    let mut segments = Vec::new();
    for path in entries(directory)? {
        let Some(name) = segment_name(&path) else { continue };
        let Ok(stat) = sys::stat_name(&path) else { continue };
        if stat.foreign_kind().is_some() {
            continue;
        }
        let held = held(&path, &stat);
        segments.push(SegmentInfo { name, len: stat.size, owner: stat.owner, mode: stat.permissions(), held });
    }
    segments.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(segments)
}

pub(crate) fn remove_stale_in(
    directory: &Path,
    mut ours: impl FnMut(&Segment) -> bool,
) -> Result<StaleReport, OsError> {
    let mut report = StaleReport::default();
    for path in entries(directory)? {
        if file_name(&path).starts_with(TEMPORARY) {
            // A living creator holds the gate of its temporary name.
            let own = sys::stat_name(&path).is_ok_and(|stat| stat.owner == sys::user());
            if own && matches!(posix::remove_unheld(&path), Ok(Removal::Done)) {
                report.temporaries += 1;
            }
            continue;
        }
        let Some(name) = segment_name(&path) else { continue };
        let segment = match open::open_in(directory, &name, &OpenRules::Own) {
            Ok(segment) => segment,
            // Nobody has looked at it: it may be stale.
            Err(OpenError::Os(error)) => {
                report.failed.push((name, error.into()));
                continue;
            }
            Err(_) => continue, // not ours, no segment, or gone
        };
        if !ours(&segment) {
            continue;
        }
        drop(segment);
        match posix::unlink_in(directory, &name, false) {
            Ok(()) => report.removed.push(name),
            Err(UnlinkError::InUse { .. }) => report.held.push(name),
            Err(UnlinkError::NotFound { .. }) => {}
            Err(error) => report.failed.push((name, error)),
        }
    }
    Ok(report)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, OsError> {
    let failed = |error: std::io::Error| OsError::from_io("read(/dev/shm)", &error);
    fs::read_dir(directory).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

/// How many temporary names this user has, of creators dead or alive.
pub(crate) fn temporaries() -> usize {
    let own = |path: &PathBuf| {
        file_name(path).starts_with(TEMPORARY) && sys::stat_name(path).is_ok_and(|stat| stat.owner == sys::user())
    };
    entries(Path::new(DIRECTORY)).map_or(0, |entries| entries.iter().filter(|path| own(path)).count())
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap_or("")
}

fn segment_name(path: &Path) -> Option<SegmentName> {
    SegmentName::new(file_name(path).strip_prefix(PREFIX)?).ok()
}

/// Asking about locks needs no right to write.
fn held(path: &Path, expected: &Stat) -> Option<bool> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    if sys::stat(file.as_raw_fd()).ok()?.id != expected.id {
        return None;
    }
    descriptor::any_lease(file.as_raw_fd()).ok().map(|lease| lease.is_some())
}
