//! Descriptors that other code of the process may close behind our back, and the bytes of a segment that carry locks.
//!
//! Segments, leases and the gate use it. Every descriptor here remembers which object it meant, so that a number
//! that was closed and given to another file is neither believed nor closed. A new description is always opened
//! through `/proc/self/fd`; the name is only the way back to an object whose descriptor is lost.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, IntoRawFd as _, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{MapError, OsError};
use crate::fork;
use crate::posix::DIRECTORY;
use crate::sys::{self, FileId, LockKind};

/// The first byte that carries a lock: far beyond any data, the same for 32- and 64-bit peers.
const BASE: i64 = 1 << 40;

/// The largest lease number. Numbers count up by one for each attach, so this is never reached honestly.
pub(crate) const MAX_LEASE: u64 = 1 << 62;

/// The byte whose write lock is the lease `number`; `None` if no lease can have that number. Byte `BASE` itself
/// is the gate, so 0 is no lease.
#[inline]
pub(crate) fn lease_byte(number: u64) -> Option<i64> {
    if number == 0 || number > MAX_LEASE {
        return None;
    }
    i64::try_from(number).ok()?.checked_add(BASE)
}

/// Any lease that is held on the object of `fd` by another description.
pub(crate) fn any_lease(fd: RawFd) -> Result<Option<u64>, OsError> {
    let first = sys::conflict(fd, BASE + 1, 0)?;
    // A lock over a wider range, which no lease is, reads as the first lease.
    Ok(first.map(|byte| u64::try_from(byte - BASE).unwrap_or(1).max(1)))
}

/// The gate: held shared while somebody attaches, exclusively while somebody removes. Unlocked when dropped, by a
/// call of its own: closing would not do while another process has inherited the descriptor.
#[derive(Debug)]
pub(crate) struct Gate {
    file: File,
    left: bool,
}

impl Gate {
    /// Takes the gate through `file`, a description of its own, without waiting. `None`: somebody else has it.
    pub(crate) fn try_take(file: File, kind: LockKind) -> Result<Option<Self>, OsError> {
        Ok(sys::try_lock(file.as_raw_fd(), kind, BASE, 1)?.then_some(Self { file, left: false }))
    }

    /// Leaves the gate to what was mapped through [`file`](Self::file): it stays held as long as that is mapped. No child has
    /// it then. Where the file system does not keep locks with mappings it is held no more.
    pub(crate) fn leave(mut self) {
        self.left = true;
    }

    /// The object behind the gate.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if !self.left {
            // It cannot fail on a descriptor we have open; if it did, closing would release the lock all the same.
            let _ = sys::try_lock(self.file.as_raw_fd(), LockKind::Unlocked, BASE, 1);
        }
    }
}

/// A descriptor that closes its number only while that still means the same object.
///
/// Two of them for one object cannot be told apart when other code closes the number of the first and the second gets
/// it: dropping the first then closes the second's, which its owner notices as any other loss.
#[derive(Debug)]
pub(crate) struct Descriptor {
    fd: RawFd,
    id: FileId,
}

impl Descriptor {
    pub(crate) fn new(file: File, id: FileId) -> Self {
        Self { fd: file.into_raw_fd(), id }
    }

    /// Whether the number still means the object.
    fn is_ours(&self) -> bool {
        match sys::stat(self.fd) {
            Ok(stat) => stat.id == self.id,
            // Short of memory the kernel may not say. Then it does in all likelihood.
            Err(error) => error.code != libc::EBADF,
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.is_ours() {
            sys::close(self.fd);
        }
    }
}

/// The descriptor of a segment that locks are probed through, and the way to new descriptions of the object.
#[derive(Debug)]
pub(crate) struct ProbeFile {
    current: Mutex<Descriptor>,
    id: FileId,
    /// Where the object was found, which is the way back to it; `None` if it has never had a name.
    path: Option<PathBuf>,
}

impl ProbeFile {
    pub(crate) fn new(file: File, id: FileId, path: Option<PathBuf>) -> Self {
        Self { current: Mutex::new(Descriptor::new(file, id)), id, path }
    }

    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// Whether the object had a name, and has lost it when it has no links.
    pub(crate) fn was_named(&self) -> bool {
        self.path.is_some()
    }

    /// Whether a disk may be behind the object: it is neither anonymous nor in `/dev/shm`, where System V rings have their
    /// side files too.
    pub(crate) fn has_disk(&self) -> bool {
        self.path.as_deref().is_some_and(|path| path.parent() != Some(Path::new(DIRECTORY)))
    }

    /// Runs `ask` on the current number, which may mean another file by now: `ask` must be able to tell.
    pub(crate) fn with_fd<T>(&self, ask: impl FnOnce(RawFd) -> T) -> T {
        ask(self.current.lock().unwrap_or_else(PoisonError::into_inner).fd)
    }

    /// Whether `fd` means the object, which lives as long as somebody has it mapped or open. False also where the kernel does
    /// not say.
    pub(crate) fn is_meant_by(&self, fd: RawFd) -> bool {
        sys::stat(fd).is_ok_and(|stat| stat.id == self.id)
    }

    /// Makes sure that the number means the object, by opening it anew under its name if need be. False: the
    /// number was lost, and the name is gone or means another object.
    pub(crate) fn renew(&self) -> bool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_ours() {
            return true;
        }
        let Some(Ok(file)) = self.path.as_deref().map(open_existing) else {
            return false;
        };
        if !self.is_meant_by(file.as_raw_fd()) {
            return false;
        }
        // The old number is not ours any more, unless the new descriptor has just got it: never close it.
        core::mem::forget(core::mem::replace(&mut *current, Descriptor::new(file, self.id)));
        true
    }

    /// Takes away the object's name if it still has it, no lease is held, and `unused` says so of it. Needs no new
    /// descriptor: there may be none to be had. Whether another try may do it: somebody has the gate now, or a lease.
    pub(crate) fn take_back(&self, unused: impl FnOnce(RawFd) -> bool) -> Result<bool, OsError> {
        let Some(path) = self.path.as_deref() else { return Ok(false) };
        let _pause = fork::pause()?;
        self.with_fd(|fd| {
            if sys::stat(fd)?.id != self.id {
                return Ok(false);
            }
            if !sys::try_lock(fd, LockKind::Exclusive, BASE, 1)? {
                return Ok(true);
            }
            let named = sys::stat_name(path).is_ok_and(|stat| stat.id == self.id);
            let held = named && any_lease(fd)?.is_some();
            if named && !held && unused(fd) {
                let _ = std::fs::remove_file(path); // what cannot be removed stays
            }
            sys::try_lock(fd, LockKind::Unlocked, BASE, 1)?;
            Ok(held)
        })
    }

    /// Waits until the object and its name are where they survive the machine's end.
    pub(crate) fn sync(&self) -> Result<(), MapError> {
        let failed = |error: io::Error| OsError::from_io("fsync", &error);
        self.reopen()?.ok_or(MapError::Lost)?.sync_all().map_err(failed)?;
        match self.path.as_deref().and_then(Path::parent) {
            Some(directory) => Ok(File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?),
            None => Ok(()),
        }
    }

    /// A new description of the object, whatever its name means now. `None`: the object is out of reach.
    pub(crate) fn reopen(&self) -> Result<Option<File>, OsError> {
        if !self.renew() {
            return Ok(None);
        }
        let file = self.with_fd(open_anew)?;
        // The number may have changed hands between the check and the opening.
        let same = sys::stat(file.as_raw_fd())?.id == self.id;
        Ok(same.then_some(file))
    }
}

/// A new description of what the number means.
pub(crate) fn open_anew(fd: RawFd) -> Result<File, OsError> {
    let opened = OpenOptions::new().read(true).write(true).open(sys::proc_path(fd));
    opened.map_err(|error| OsError::from_io("open(/proc/self/fd)", &error))
}

/// Opens an object for reading and writing; no symbolic link, no waiting for the other end of a fifo.
pub(crate) fn open_existing(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

#[cfg(test)]
mod tests;
