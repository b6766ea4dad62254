//! The backings with a path: segments as POSIX objects in `/dev/shm`, and as files anywhere else, created whole and
//! removed in order. (Opening: `open.rs`.)
//!
//! Embedders and `ringctl` call it through [`Segment`]. Nothing is ever visible under a segment's name before it is
//! complete, nothing is left behind by an error, and nothing that a living process holds is removed unless forced.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::descriptor::{self, Gate};
use crate::error::{CreateError, MapError, OsError, UnlinkError};
use crate::fork;
use crate::lease::First;
use crate::location::Location;
use crate::mapping::Mapping;
use crate::segment::{Access, Segment};
use crate::sys::{self, LockKind};

/// Where Linux keeps POSIX shared memory.
pub(crate) const DIRECTORY: &str = "/dev/shm";

/// What a temporary name begins with, where unnamed files are refused.
pub(crate) const TEMPORARY: &str = ".ring.tmp.";

/// How often to start again when a cleaner or a namesake comes between.
const TRIES: u32 = 32;

/// How long to wait for a gate. It is held for microseconds; only a stopped process holds it longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// How long to doubt that who is there stays. A lease is held for a moment more where a process that has let go of it was making a child,
/// which has what was open until its `exec`; and who attaches a System V segment does so without one, to take a number.
pub(crate) const LEAVING: Duration = Duration::from_millis(100);

/// How long to sleep between two looks at a gate.
pub(crate) const GATE_PAUSE: Duration = Duration::from_millis(1);

/// Whether to begin with an unnamed file. Tests refuse it as some file systems do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unnamed {
    Try,
    #[cfg(test)]
    Refused,
}

/// The path of the object, and the directory that has its name.
fn place(at: &Location) -> (PathBuf, PathBuf) {
    let path = at.path().unwrap_or_default();
    let directory = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    (path, directory)
}

/// `len` as the system wants it.
pub(crate) fn length(len: u64) -> Result<i64, CreateError> {
    let bytes = i64::try_from(len).ok().filter(|bytes| *bytes > 0 && isize::try_from(len).is_ok());
    let bytes = bytes.ok_or(CreateError::BadLength { len })?;
    let limit = sys::file_size_limit();
    if len > limit { Err(CreateError::FileSizeLimit { asked: len, limit }) } else { Ok(bytes) }
}

/// Refuses a mode that nobody could want.
pub(crate) fn check_mode(mode: u32) -> Result<(), CreateError> {
    let bad = mode & 0o600 != 0o600 || mode & 0o002 != 0 || mode & !0o777 != 0;
    if bad { Err(CreateError::BadMode { mode }) } else { Ok(()) }
}

pub(crate) fn create_at(
    at: &Location,
    len: u64,
    access: &Access,
    unnamed: Unnamed,
    hold: bool,
    init: impl FnOnce(&Mapping),
) -> Result<Segment, CreateError> {
    let bytes = length(len)?;
    check_mode(access.mode)?;
    let (path, directory) = place(at);
    // Only to save the work: the publication decides.
    if sys::stat_name(&path).is_ok() {
        return Err(CreateError::Exists { name: at.clone() });
    }
    let denied = |error: OsError| match error.code {
        libc::EACCES | libc::EPERM => CreateError::Permission { name: at.clone() },
        libc::EEXIST => CreateError::Exists { name: at.clone() },
        libc::ENOENT | libc::ENOTDIR if !directory.is_dir() => {
            CreateError::NoDirectory { name: at.clone(), directory: directory.clone() }
        }
        _ => CreateError::Os(error),
    };
    // The name comes last: what may fail comes before.
    let (file, stat, first) = match open_unnamed(&directory, unnamed).map_err(denied)? {
        Some(file) => {
            allow(&file, access)?;
            allocate(&file, bytes)?;
            let first = if hold { First::take(&file, len).map_err(|error| unmapped(error, len))? } else { None };
            match &first {
                Some(first) => init(first.mapping()),
                None => fill(&file, len, init)?,
            }
            let stat = sys::stat(file.as_raw_fd())?;
            sys::link_unnamed(&file, &path).map_err(denied)?;
            (file, stat, first)
        }
        None => {
            let (temporary, gate) = Temporary::make(&directory).map_err(|error| match error {
                CreateError::Os(error) => denied(error),
                error => error,
            })?;
            allow(gate.file(), access)?;
            allocate(gate.file(), bytes)?;
            fill(gate.file(), len, init)?;
            let file = gate.file().try_clone().map_err(|error| OsError::from_io("dup", &error))?;
            let stat = sys::stat(file.as_raw_fd())?;
            match sys::rename_noreplace(&temporary.path, &path) {
                Ok(()) => core::mem::forget(temporary),
                Err(OsError { code: libc::ENOENT, .. }) => return Err(CreateError::Contended { tries: 1 }),
                Err(error) => return Err(denied(error)),
            }
            (file, stat, None)
        }
    };
    Ok(Segment::from_file(file, &stat, at.clone()).with_first(first))
}

/// An unnamed file in `directory`; `None` where the file system has no such thing.
fn open_unnamed(directory: &Path, unnamed: Unnamed) -> Result<Option<File>, OsError> {
    if unnamed != Unnamed::Try {
        return Ok(None);
    }
    match OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(directory) {
        Ok(file) => Ok(Some(file)),
        Err(error) => match error.raw_os_error() {
            Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT | libc::EINVAL) => Ok(None),
            _ => Err(OsError::from_io("open(O_TMPFILE)", &error)),
        },
    }
}

/// Gives the file its group and mode.
pub(crate) fn allow(file: &File, access: &Access) -> Result<(), CreateError> {
    if let Some(group) = access.group {
        // To the system this is no group but «leave it», and the segment would be shared with another one.
        if group == u32::MAX {
            return Err(CreateError::BadGroup { group });
        }
        std::os::unix::fs::fchown(file, None, Some(group)).map_err(|error| match error.raw_os_error() {
            Some(libc::EPERM | libc::EINVAL) => CreateError::BadGroup { group },
            _ => CreateError::Os(OsError::from_io("fchown", &error)),
        })?;
    }
    // After fchown, which may clear bits; and whatever the umask has taken away.
    file.set_permissions(Permissions::from_mode(access.mode)).map_err(|error| OsError::from_io("fchmod", &error))?;
    Ok(())
}

/// Gives the file its memory.
pub(crate) fn allocate(file: &File, len: i64) -> Result<(), CreateError> {
    let asked = len.unsigned_abs();
    sys::allocate(file, len).map_err(|error| match error.code {
        libc::ENOSPC | libc::EDQUOT => CreateError::NoSpace { asked, free: sys::free_space(file) },
        libc::EFBIG => CreateError::BadLength { len: asked },
        _ => CreateError::Os(error),
    })
}

/// Gives the file its contents.
pub(crate) fn fill(file: &File, len: u64, init: impl FnOnce(&Mapping)) -> Result<(), CreateError> {
    let mapped = Mapping::new(file, len, len, &fork::pause()?);
    init(&mapped.map_err(|error| unmapped(error, len))?);
    Ok(())
}

/// Why it was not mapped.
fn unmapped(error: MapError, len: u64) -> CreateError {
    match error {
        MapError::Os(error) => CreateError::Os(error),
        _ => CreateError::BadLength { len },
    }
}

/// A temporary name, removed when dropped. It is random, so it means our file or nothing.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// A file of a random name whose gate we hold, which tells cleaners that we live. A cleaner may remove the name
    /// before that: then it starts again.
    fn make(directory: &Path) -> Result<(Self, Gate), CreateError> {
        for _ in 0..TRIES {
            let random = fs::read_to_string("/proc/sys/kernel/random/uuid")
                .map_err(|error| OsError::from_io("read(/proc/sys/kernel/random/uuid)", &error))?;
            let path = directory.join(format!("{TEMPORARY}{}", random.trim_ascii()));
            let file = match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(OsError::from_io("open(O_CREAT|O_EXCL)", &error).into()),
            };
            let temporary = Self { path };
            let Some(gate) = Gate::try_take(file, LockKind::Exclusive)? else {
                continue;
            };
            if sys::stat(gate.file().as_raw_fd())?.links > 0 {
                return Ok((temporary, gate));
            }
        }
        Err(CreateError::Contended { tries: TRIES })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Opens what is to be removed, or says why it is not.
pub(crate) fn open_to_remove(at: &Location, path: &Path) -> Result<File, UnlinkError> {
    let file = descriptor::open_existing(path).map_err(|error| failed(at, path, "open", &error))?;
    match sys::stat(file.as_raw_fd())?.foreign_kind() {
        Some(found) => Err(UnlinkError::NotASegment { name: at.clone(), found }),
        None => Ok(file),
    }
}

/// Why something could not be removed.
fn failed(at: &Location, path: &Path, call: &'static str, error: &io::Error) -> UnlinkError {
    if let Some(found) = sys::stat_name(path).ok().and_then(|stat| stat.foreign_kind()) {
        return UnlinkError::NotASegment { name: at.clone(), found };
    }
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => UnlinkError::NotFound { name: at.clone() },
        io::ErrorKind::PermissionDenied => UnlinkError::Permission { name: at.clone() },
        _ => UnlinkError::Os(OsError::from_io(call, error)),
    }
}

pub(crate) fn unlink_at(at: &Location, force: bool) -> Result<(), UnlinkError> {
    let (path, _) = place(at);
    let failed = |call, error: &io::Error| failed(at, &path, call, error);
    if force {
        let stat = sys::stat_name(&path).map_err(|error| failed("stat", &error))?;
        if let Some(found) = stat.foreign_kind() {
            return Err(UnlinkError::NotASegment { name: at.clone(), found });
        }
        return fs::remove_file(&path).map_err(|error| failed("unlink", &error));
    }
    let (deadline, leaving) = (Instant::now() + PATIENCE, Instant::now() + LEAVING);
    let mut tries = 0;
    loop {
        match remove_unheld(&path) {
            Ok(Removal::Done) => return Ok(()),
            Ok(Removal::Foreign(found)) => return Err(UnlinkError::NotASegment { name: at.clone(), found }),
            Ok(Removal::Held(_)) if Instant::now() < leaving => std::thread::sleep(GATE_PAUSE),
            Ok(Removal::Held(lease)) => return Err(UnlinkError::InUse { name: at.clone(), lease }),
            Ok(Removal::GateBusy) if Instant::now() < deadline => std::thread::sleep(GATE_PAUSE),
            Ok(Removal::GateBusy) => return Err(UnlinkError::GateBusy { name: at.clone() }),
            Ok(Removal::Replaced) if tries < TRIES => tries += 1,
            Ok(Removal::Replaced) => return Err(UnlinkError::Contended { tries }),
            Err(RemovalError::Os(error)) => return Err(error.into()),
            Err(RemovalError::Io(call, error)) => return Err(failed(call, &error)),
        }
    }
}

/// What became of one try to remove an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    Done,
    /// No regular file.
    Foreign(crate::error::FileKind),
    /// This lease is held.
    Held(u64),
    /// Somebody attaches, removes, or is making it.
    GateBusy,
    /// The name means another object by now.
    Replaced,
}

#[derive(Debug)]
pub(crate) enum RemovalError {
    Os(OsError),
    Io(&'static str, io::Error),
}

impl From<OsError> for RemovalError {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}

/// Removes `path` if no lease is held on what it means: under the exclusive gate no lease can come into being, so
/// a look at the locks is proof.
pub(crate) fn remove_unheld(path: &Path) -> Result<Removal, RemovalError> {
    let file = descriptor::open_existing(path).map_err(|error| RemovalError::Io("open", error))?;
    let stat = sys::stat(file.as_raw_fd())?;
    if let Some(found) = stat.foreign_kind() {
        return Ok(Removal::Foreign(found));
    }
    // A child forked now would inherit the gate.
    let _pause = fork::pause()?;
    let Some(gate) = Gate::try_take(file, LockKind::Exclusive)? else {
        return Ok(Removal::GateBusy);
    };
    if let Some(lease) = descriptor::any_lease(gate.file().as_raw_fd())? {
        return Ok(Removal::Held(lease));
    }
    match sys::stat_name(path) {
        Ok(now) if now.id == stat.id => {}
        Ok(_) => return Ok(Removal::Replaced),
        Err(error) => return Err(RemovalError::Io("stat", error)),
    }
    fs::remove_file(path).map_err(|error| RemovalError::Io("unlink", error))?;
    Ok(Removal::Done)
}

#[cfg(test)]
mod tests;
