//! The System V backing, for systems that already speak it: memory by `shmget`, and a side file for what System V lacks.
//!
//! A System V segment is there, empty, as soon as it has a key, and there is no lock that lives as long as an attachment.
//! Both come from a side file `/dev/shm/.ring.sysv.KEY`: its lock bytes are the gate and the leases, held by a mapping of
//! one page of it that ends after the attachment does; and a segment counts as made when the side file says so, which the
//! creator writes last, under the gate. `/dev/shm` goes with the IPC namespace, like the segments.

mod name;
mod side;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

use ring_core::CONTROL_SIZE;

pub use name::SysvName;
use side::{Side, stored_name};

use crate::descriptor::{self, Gate};
use crate::error::{CreateError, MapError, OpenError, OsError, UnlinkError};
use crate::fork;
use crate::location::Location;
use crate::mapping::Mapping;
use crate::name::SegmentName;
use crate::open;
use crate::placement;
use crate::posix::{self, DIRECTORY, GATE_PAUSE, LEAVING, PATIENCE};
use crate::segment::{Access, OpenRules, Segment};
use crate::shm::{self, Attached};
use crate::sys::{self, FileId, LockKind, Stat};

/// How a side file's name begins.
pub(crate) const SIDE: &str = ".ring.sysv.";

/// Bytes of a side file.
pub(crate) const SIDE_LEN: u64 = 4096;

/// Where the control block has the ring's name, and how many bytes, zeros behind it.
pub(crate) const NAME_OFFSET: usize = 2816;
pub(crate) const NAME_LEN: usize = 256;
const _: () = assert!((NAME_OFFSET + NAME_LEN) as u64 <= CONTROL_SIZE && SegmentName::MAX < NAME_LEN);

/// How often to begin again when others come between.
const TRIES: u32 = 32;

/// A segment in the making: taken back when dropped before it is done.
struct Making<'a> {
    path: &'a Path,
    side: FileId,
    id: Option<i32>,
    done: bool,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if !self.done {
            if let Some(id) = self.id {
                let _ = shm::remove(id);
            }
            let _ = remove_side(self.path, self.side);
        }
    }
}

/// Takes the side file's name away, if it still is its own.
fn remove_side(path: &Path, side: FileId) -> Result<(), OsError> {
    match sys::stat_name(path) {
        Ok(now) if now.id == side => fs::remove_file(path).map_err(|error| OsError::from_io("unlink", &error)),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(OsError::from_io("stat", &error)),
    }
}

/// Makes the segment, unless there is one.
pub(crate) fn create(
    at: &Location,
    name: &SysvName,
    len: u64,
    access: &Access,
    init: impl FnOnce(&Mapping),
) -> Result<Segment, CreateError> {
    if posix::length(len)?.unsigned_abs() < CONTROL_SIZE {
        return Err(CreateError::BadLength { len });
    }
    posix::check_mode(access.mode)?;
    let path = name.side();
    let deadline = Instant::now() + PATIENCE;
    let mut tries = 0;
    let (gate, stat) = loop {
        tries += 1;
        match link_side(at, &path, access)? {
            Some(linked) => break linked,
            None => match clear(name.key(), &path, false)? {
                Clear::Done if tries < TRIES => {}
                Clear::Busy if Instant::now() < deadline => std::thread::sleep(GATE_PAUSE),
                Clear::Exists => return Err(exists(at, name, &path)),
                _ => return Err(CreateError::Contended { tries }),
            },
        }
    };
    let file = gate.file();
    let mut making = Making { path: &path, side: stat.id, id: None, done: false };
    let id = shm::create(name.key(), len, access.mode).map_err(|error| match error.code {
        libc::EEXIST => CreateError::KeyTaken { name: at.clone(), key: name.key() },
        libc::EACCES | libc::EPERM => CreateError::Permission { name: at.clone() },
        libc::ENOMEM | libc::ENOSPC => CreateError::NoSpace { asked: len, free: sys::free_memory() },
        libc::EINVAL => CreateError::BadLength { len },
        _ => error.into(),
    })?;
    making.id = Some(id);
    Side { made: false, id: Some(id), len }.write(file)?;
    if let Some(group) = access.group {
        shm::set_group(id, group).map_err(|_| CreateError::BadGroup { group })?;
    }
    let mapping = Mapping::attached(id, len, &fork::pause()?).map_err(|error| match error {
        MapError::Os(error) => CreateError::Os(error),
        _ => CreateError::BadLength { len },
    })?;
    match placement::populate(&mapping) {
        // Kernels before 5.14 cannot: there, memory comes as it is used.
        Ok(()) | Err(OsError { code: libc::EINVAL, .. }) => {}
        Err(_) => return Err(CreateError::NoSpace { asked: len, free: sys::free_memory() }),
    }
    init(&mapping);
    mapping.write_name(name.as_str());
    drop(mapping);
    let own = file.try_clone().map_err(|error| OsError::from_io("dup", &error))?;
    Side { made: true, id: Some(id), len }.write(file)?;
    making.done = true;
    Ok(Segment::from_file(own, &stat, at.clone()).with_shm(id, len))
}

/// A new side file under its name, with the gate taken before anybody can see it; `None` if there is one. All that may
/// fail comes before the name.
fn link_side(at: &Location, path: &Path, access: &Access) -> Result<Option<(Gate, Stat)>, CreateError> {
    let denied = |error: OsError| match error.code {
        libc::EACCES | libc::EPERM => CreateError::Permission { name: at.clone() },
        _ => error.into(),
    };
    let unnamed = OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(DIRECTORY);
    let file = unnamed.map_err(|error| denied(OsError::from_io("open(O_TMPFILE)", &error)))?;
    sys::allocate(&file, 4096)?;
    posix::allow(&file, access)?;
    Side { made: false, id: None, len: 0 }.write(&file)?;
    let Some(gate) = Gate::try_take(file, LockKind::Exclusive)? else {
        return Err(CreateError::Contended { tries: 1 });
    };
    let stat = sys::stat(gate.file().as_raw_fd())?;
    match sys::link_unnamed(gate.file(), path) {
        Ok(()) => Ok(Some((gate, stat))),
        Err(OsError { code: libc::EEXIST, .. }) => Ok(None),
        Err(error) => Err(denied(error)),
    }
}

/// What became of a side file in the way.
enum Clear {
    /// It was left by a dead creator, or its segment has gone: it is away.
    Done,
    /// Its segment is there, or something else has its name.
    Exists,
    /// Somebody is making, attaching or removing.
    Busy,
}

/// What stands in the way: this very ring, or another one of its key.
fn exists(at: &Location, name: &SysvName, path: &Path) -> CreateError {
    let found = |file: File| stored_name(Side::read(&file)?.segment(name.key()).ok()??.0).ok();
    match descriptor::open_existing(path).ok().and_then(found) {
        Some(found) if found != name.as_str() => CreateError::KeyTaken { name: at.clone(), key: name.key() },
        _ => CreateError::Exists { name: at.clone() },
    }
}

/// Clears away what a dead creator has left; whether it has left anything. Of what is there whole nothing is taken, nor of
/// what somebody lives in whose segment was removed.
pub(crate) fn clear_stale(path: &Path) -> bool {
    key_of(path).is_some_and(|key| matches!(clear(key, path, true), Ok(Clear::Done)))
}

/// Clears away the side file of the key that a dead creator has left, or whose segment is gone: then the living, who have
/// a lease on it, go on without, unless they are to be `spared`.
fn clear(key: i32, path: &Path, spared: bool) -> Result<Clear, CreateError> {
    let file = match descriptor::open_existing(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Clear::Done),
        Err(_) => return Ok(Clear::Exists),
    };
    let stat = sys::stat(file.as_raw_fd())?;
    if stat.foreign_kind().is_some() || stat.owner != sys::user() {
        return Ok(Clear::Exists);
    }
    let _pause = fork::pause()?;
    let Some(gate) = Gate::try_take(file, LockKind::Exclusive)? else {
        // While it is being made nobody can say that it exists.
        let made =
            descriptor::open_existing(path).ok().and_then(|file| Side::read(&file)).is_some_and(|side| side.made);
        return Ok(if made { Clear::Exists } else { Clear::Busy });
    };
    let Some(side) = Side::read(gate.file()) else { return Ok(Clear::Exists) };
    if spared && descriptor::any_lease(gate.file().as_raw_fd())?.is_some() {
        return Ok(Clear::Exists);
    }
    match (side.made, side.segment(key)?) {
        (true, Some(_)) => return Ok(Clear::Exists),
        (false, Some((id, _))) => shm::remove(id)?,
        // It died before it could note the id: then nobody has ever attached, and all of it is zero.
        (false, None) => remove_untouched(key)?,
        (true, None) => {}
    }
    remove_side(path, stat.id)?;
    Ok(Clear::Done)
}

/// Removes the segment `key` if it is this user's, nobody has it attached, and its first page is zero.
fn remove_untouched(key: i32) -> Result<(), OsError> {
    let Ok(id) = shm::find(key) else { return Ok(()) };
    let stat = shm::stat(id)?;
    if stat.owner != sys::user() || stat.attached != 0 {
        return Ok(());
    }
    let mut bytes = vec![1; usize::try_from(stat.size.min(CONTROL_SIZE)).unwrap_or(0)];
    Attached::new(id, bytes.len(), false)?.copy_out(&mut bytes, 0);
    if bytes.iter().all(|byte| *byte == 0) { shm::remove(id) } else { Ok(()) }
}

/// The segment that a side file of this owner tells of: its id, and its length.
pub(crate) fn found(at: &Location, name: &SysvName, file: &File, owner: u32) -> Result<(i32, u64), OpenError> {
    let missing = || OpenError::NotFound { name: at.clone() };
    let side = Side::read(file).ok_or_else(|| OpenError::Empty { name: at.clone() })?;
    // Not made is not there; and without its key it has been removed.
    let (id, stat) = side.segment(name.key())?.filter(|_| side.made).ok_or_else(missing)?;
    if stat.owner != owner {
        return Err(OpenError::ForeignOwner { name: at.clone(), owner: stat.owner, user: sys::user() });
    }
    if stat.mode & 0o002 != 0 {
        return Err(OpenError::WorldWritable { name: at.clone(), mode: stat.mode });
    }
    if stat.size < side.len || side.len < CONTROL_SIZE {
        return Err(OpenError::Empty { name: at.clone() });
    }
    let stored = stored_name(id).map_err(|error| match error.code {
        libc::EACCES => OpenError::Permission { name: at.clone() },
        libc::EIDRM | libc::EINVAL => missing(),
        _ => OpenError::Os(error),
    })?;
    if stored == name.as_str() {
        Ok((id, side.len))
    } else {
        Err(OpenError::OtherName { name: at.clone(), found: stored })
    }
}

/// Opens the segment under `rules`, which are about its side file and itself.
pub(crate) fn open(at: &Location, name: &SysvName, rules: &OpenRules) -> Result<Segment, OpenError> {
    let segment = open::open_at(at, rules)?;
    let file = segment.reopen().map_err(|_| OpenError::Gone { name: at.clone() })?;
    let (id, len) = found(at, name, &file, segment.owner())?;
    Ok(segment.with_shm(id, len))
}

/// Removes the segment and its side file.
pub(crate) fn unlink(at: &Location, name: &SysvName, force: bool) -> Result<(), UnlinkError> {
    let path = name.side();
    let (deadline, passing) = (Instant::now() + PATIENCE, Instant::now() + LEAVING);
    loop {
        let file = posix::open_to_remove(at, &path)?;
        let stat = sys::stat(file.as_raw_fd())?;
        let side = Side::read(&file).ok_or_else(|| UnlinkError::NotFound { name: at.clone() })?;
        let segment = side.segment(name.key())?;
        let stored = segment.filter(|_| side.made).and_then(|(id, _)| stored_name(id).ok());
        if let Some(found) = stored.filter(|found| found != name.as_str()) {
            return Err(UnlinkError::OtherName { name: at.clone(), found });
        }
        if force {
            return remove(at, &path, stat.id, segment.map(|(id, _)| id));
        }
        // A child forked now would inherit the gate.
        let pause = fork::pause()?;
        // Programs that know nothing of leases count as well. Ours are attached without one only for a moment.
        let attached = segment.map_or(0, |(_, stat)| stat.attached);
        match Gate::try_take(file, LockKind::Exclusive)? {
            Some(gate) => match descriptor::any_lease(gate.file().as_raw_fd())? {
                None if attached == 0 => return remove(at, &path, stat.id, segment.map(|(id, _)| id)),
                _ if Instant::now() < passing => {}
                Some(lease) => return Err(UnlinkError::InUse { name: at.clone(), lease }),
                None => return Err(UnlinkError::Attached { name: at.clone(), count: attached }),
            },
            None if Instant::now() >= deadline => return Err(UnlinkError::GateBusy { name: at.clone() }),
            None => {}
        }
        drop(pause);
        std::thread::sleep(GATE_PAUSE);
    }
}

/// First the segment: a side file without one is cleared away by the next creator.
fn remove(at: &Location, path: &Path, side: FileId, id: Option<i32>) -> Result<(), UnlinkError> {
    match id.map_or(Ok(()), shm::remove) {
        Ok(()) | Err(OsError { code: libc::EINVAL | libc::EIDRM, .. }) => Ok(remove_side(path, side)?),
        Err(OsError { code: libc::EPERM, .. }) => Err(UnlinkError::Permission { name: at.clone() }),
        Err(error) => Err(error.into()),
    }
}

/// The key in the name of a side file.
fn key_of(path: &Path) -> Option<i32> {
    let key = path.file_name()?.to_str()?.strip_prefix(SIDE)?;
    u32::from_str_radix(key, 16).ok().map(name::signed)
}

/// The location that a side file in `/dev/shm` is of, with the facts about its segment.
pub(crate) fn listed(path: &Path, file: &File) -> Option<(SysvName, shm::ShmStat)> {
    let key = key_of(path)?;
    let side = Side::read(file).filter(|side| side.made)?;
    let (id, stat) = side.segment(key).ok()??;
    Some((SysvName::with_key(&stored_name(id).ok()?, key).ok()?, stat))
}
