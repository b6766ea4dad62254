//! What there is: the lists of segments in `/dev/shm`, in a directory of files, and among the memfds of a process; and
//! the removal of those that nobody holds.
//!
//! `ringctl ls` and `ringctl rm --stale` call it, and embedders at start-up. It removes nothing of another user and
//! nothing that a living process holds, which it proves under the gate; it never judges by age.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring_core::Kind;

use crate::descriptor;
use crate::error::{OpenError, OsError, UnlinkError};
use crate::location::Location;
use crate::memfd::Memfd;
use crate::name::{PREFIX, SegmentName};
use crate::posix::{self, DIRECTORY, Removal, TEMPORARY};
use crate::segment::{OpenRules, Segment};
use crate::sys::{self, Stat};
use crate::sysv;

/// How the link of a descriptor of a ring's memfd begins.
const MEMFD: &str = "/memfd:ring.";

/// What can be said about a segment without opening it as one. All of it is a guess by the time it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Where it is.
    pub name: Location,
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
    pub removed: Vec<Location>,
    /// How many temporary names of dead creators were removed.
    pub temporaries: usize,
    /// The segments left because they are held.
    pub held: Vec<Location>,
    /// The segments that could not be removed, with the reason.
    pub failed: Vec<(Location, UnlinkError)>,
}

impl Segment {
    /// Every regular file `ring.NAME` in `/dev/shm` whose NAME is valid, in order of the names; behind them the System V
    /// segments that are rings and that this process may read.
    ///
    /// # Errors
    ///
    /// [`OsError`] if `/dev/shm` cannot be read. What vanishes meanwhile is left out.
    pub fn list() -> Result<Vec<SegmentInfo>, OsError> {
        let directory = Path::new(DIRECTORY);
        let mut segments = list_in(directory, |path, _| segment_name(path).map(Location::Posix))?;
        segments.extend(entries(directory)?.iter().filter_map(|path| sysv_info(path)));
        Ok(segments)
    }

    /// Every regular file in `directory` that begins as a ring does and may be read, in order of the names.
    ///
    /// # Errors
    ///
    /// [`OsError`] if the directory cannot be read. What vanishes meanwhile is left out.
    pub fn list_files(directory: &Path) -> Result<Vec<SegmentInfo>, OsError> {
        list_in(directory, |path, file| file.filter(|file| begins_as_ring(file)).map(|_| Location::file(path)))
    }

    /// Every memfd of the process `pid` that [`Memfd::new`] has made, there or elsewhere, in order of the descriptors.
    ///
    /// # Errors
    ///
    /// [`OsError`] if its descriptors may not be seen. What it closes meanwhile is left out.
    pub fn list_memfds(pid: u32) -> Result<Vec<SegmentInfo>, OsError> {
        let mut numbers: Vec<u32> = entries(Path::new(&format!("/proc/{pid}/fd")))?
            .iter()
            .filter(|path| {
                let target = fs::read_link(path).unwrap_or_default();
                target.to_str().is_some_and(|target| target.starts_with(MEMFD))
            })
            .filter_map(|path| file_name(path).parse().ok())
            .collect();
        numbers.sort_unstable();
        let (mut segments, mut seen) = (Vec::new(), Vec::new());
        for memfd in numbers.into_iter().filter_map(|number| Memfd::of_process(pid, number).ok()) {
            let fd = memfd.as_fd().as_raw_fd();
            let Ok(stat) = sys::stat(fd) else { continue };
            // Handles have several descriptors of one object.
            if !seen.contains(&stat.id) {
                seen.push(stat.id);
                segments.push(SegmentInfo::new(memfd.into(), &stat, is_held(fd)));
            }
        }
        Ok(segments)
    }

    /// Removes every POSIX and System V segment of this user that no lease is held on, and what dead creators have left.
    ///
    /// What it takes for a segment is any file `ring.NAME` of this user that [`Segment::open`] would open; where other programs
    /// may use such names, or a creator may not have attached yet, use [`Segment::remove_stale_if`]. System V segments
    /// are those that [`Segment::list`] shows; one that anybody is attached to stays.
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

    /// Removes every file in `directory` that begins as a ring does, belongs to this user, and that no lease is held on;
    /// and what dead creators have left there.
    ///
    /// # Errors
    ///
    /// [`OsError`] if the directory cannot be read. A file that cannot be removed is in the report.
    ///
    /// ```
    /// use ring_shm::{Segment, spsc};
    /// # let directory = std::env::temp_dir().join(format!("ring-stale-doc-{}", std::process::id()));
    /// # std::fs::create_dir(&directory)?;
    /// let at = |name| format!("file:{}/{name}", directory.display());
    /// spsc::create(at("left"), &spsc::Options::new())?;
    /// let _held = spsc::Producer::create(at("held"), &spsc::Options::new())?;
    /// let report = Segment::remove_stale_files(&directory)?;
    /// assert_eq!(report.removed[0].to_string(), at("left"));
    /// assert_eq!(report.held[0].to_string(), at("held"));
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_stale_files(directory: &Path) -> Result<StaleReport, OsError> {
        let file = |path: &Path| {
            let stat = sys::stat_name(path).ok().filter(|stat| stat.foreign_kind().is_none())?;
            open_same(path, &stat).filter(begins_as_ring).map(|_| Location::file(path))
        };
        remove_stale_where(directory, file, |_| true)
    }
}

impl SegmentInfo {
    fn new(name: Location, stat: &Stat, held: Option<bool>) -> Self {
        Self { name, len: stat.size, owner: stat.owner, mode: stat.permissions(), held }
    }
}

/// The regular files of a directory that `locate`, which gets them opened if they may be read, takes for segments.
fn list_in(
    directory: &Path,
    locate: impl Fn(&Path, Option<&File>) -> Option<Location>,
) -> Result<Vec<SegmentInfo>, OsError> {
    let mut paths = entries(directory)?;
    paths.sort_unstable();
    let mut segments = Vec::new();
    for path in paths {
        let Ok(stat) = sys::stat_name(&path) else { continue };
        if stat.foreign_kind().is_some() {
            continue;
        }
        let file = open_same(&path, &stat);
        if let Some(name) = locate(&path, file.as_ref()) {
            // Asking about locks needs no right to write.
            let held = file.and_then(|file| is_held(file.as_raw_fd()));
            segments.push(SegmentInfo::new(name, &stat, held));
        }
    }
    Ok(segments)
}

pub(crate) fn remove_stale_in(directory: &Path, ours: impl FnMut(&Segment) -> bool) -> Result<StaleReport, OsError> {
    let real = directory == Path::new(DIRECTORY);
    let locate = |path: &Path| {
        if real && file_name(path).starts_with(sysv::SIDE) {
            return sysv_info(path).map(|info| info.name);
        }
        let name = segment_name(path)?;
        Some(if real { name.into() } else { Location::File(path.to_owned()) })
    };
    remove_stale_where(directory, locate, ours)
}

/// Removes what `locate` takes for a segment.
fn remove_stale_where(
    directory: &Path,
    locate: impl Fn(&Path) -> Option<Location>,
    mut ours: impl FnMut(&Segment) -> bool,
) -> Result<StaleReport, OsError> {
    let mut report = StaleReport::default();
    for path in entries(directory)? {
        if file_name(&path).starts_with(TEMPORARY) {
            // A living creator holds the gate of its temporary name.
            if is_own(&path) && matches!(posix::remove_unheld(&path), Ok(Removal::Done)) {
                report.temporaries += 1;
            }
            continue;
        }
        let Some(at) = locate(&path) else {
            report.temporaries += usize::from(directory == Path::new(DIRECTORY) && sysv::clear_stale(&path));
            continue;
        };
        let segment = match Segment::open_with(&at, &OpenRules::Own) {
            Ok(segment) => segment,
            // Nobody has looked at it: it may be stale.
            Err(OpenError::Os(error)) => {
                report.failed.push((at, error.into()));
                continue;
            }
            Err(_) => continue, // not ours, no segment, or gone
        };
        if !ours(&segment) {
            continue;
        }
        drop(segment);
        match Segment::unlink(&at, false) {
            Ok(()) => report.removed.push(at),
            Err(UnlinkError::InUse { .. } | UnlinkError::Attached { .. }) => report.held.push(at),
            Err(UnlinkError::NotFound { .. }) => {}
            Err(error) => report.failed.push((at, error)),
        }
    }
    Ok(report)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, OsError> {
    let failed = |error: std::io::Error| OsError::from_io("readdir", &error);
    fs::read_dir(directory).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

/// How many temporary names this user has, of creators dead or alive.
pub(crate) fn temporaries() -> usize {
    let own = |path: &&PathBuf| file_name(path).starts_with(TEMPORARY) && is_own(path);
    entries(Path::new(DIRECTORY)).map_or(0, |entries| entries.iter().filter(own).count())
}

/// Whether what has the name is this user's.
fn is_own(path: &Path) -> bool {
    sys::stat_name(path).is_ok_and(|stat| stat.owner == sys::user())
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap_or("")
}

fn segment_name(path: &Path) -> Option<SegmentName> {
    SegmentName::new(file_name(path).strip_prefix(PREFIX)?).ok()
}

/// Whether any lease is held, if the kernel says.
fn is_held(fd: RawFd) -> Option<bool> {
    descriptor::any_lease(fd).ok().map(|lease| lease.is_some())
}

/// Whether a file begins as rings do.
pub(crate) fn begins_as_ring(file: &File) -> bool {
    let mut magic = [0; 8];
    let read = file.read_exact_at(&mut magic, 0);
    read.is_ok() && [Kind::Spsc, Kind::Mpmc].iter().any(|kind| kind.magic() == u64::from_le_bytes(magic))
}

/// What a side file of a System V segment tells.
fn sysv_info(path: &Path) -> Option<SegmentInfo> {
    let file = open_same(path, &sys::stat_name(path).ok()?)?;
    let (name, stat) = sysv::listed(path, &file)?;
    let held = is_held(file.as_raw_fd());
    Some(SegmentInfo { name: name.into(), len: stat.size, owner: stat.owner, mode: stat.mode, held })
}

/// Opens what has the name for reading, if that still is what `expected` tells of.
fn open_same(path: &Path, expected: &Stat) -> Option<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    sys::stat(file.as_raw_fd()).is_ok_and(|stat| stat.id == expected.id).then_some(file)
}
