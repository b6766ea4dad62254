//! The questions that only the kernel can answer.
//!
//! # Safety
//!
//! 1. Plain numbers: no pointer, or a null one with a length of 0.
//! 2. The pointer is to a live local of the type that the call asks for.
#![allow(unsafe_code)]
#![allow(clippy::unnecessary_cast, clippy::useless_conversion)] // the widths of libc types differ between targets

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::error::OsError;
use crate::fork;
use crate::mapping::Mapping;
use crate::sys::{self, LockKind};

/// The commands that `membarrier` knows, as bits; `None` if it may not be called.
pub(super) fn membarrier() -> Option<u64> {
    // SAFETY: 1.
    u64::try_from(unsafe { libc::syscall(libc::SYS_membarrier, 0, 0, 0) }).ok()
}

/// Whether there is `futex_waitv`: asked to wait for nothing it says that this is no number of futexes.
pub(super) fn futex_waitv() -> bool {
    // SAFETY: 1.
    let code = unsafe { libc::syscall(libc::SYS_futex_waitv, 0, 0, 0, 0, 0) };
    code == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}

/// A limit of this process; `None`: unlimited.
pub(super) fn limit(which: Limit) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    let which = match which {
        Limit::Descriptors => libc::RLIMIT_NOFILE,
        Limit::LockedMemory => libc::RLIMIT_MEMLOCK,
        Limit::AddressSpace => libc::RLIMIT_AS,
        Limit::FileSize => libc::RLIMIT_FSIZE,
    };
    // SAFETY: 2. On failure it keeps the value above.
    unsafe { libc::getrlimit(which, &mut limit) };
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur as u64)
}

/// One of this process's limits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    Descriptors,
    LockedMemory,
    AddressSpace,
    FileSize,
}

/// An unnamed file in `directory`.
pub(super) fn unnamed(directory: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(directory)
}

/// Whether a lock lives with the mapping that was made through its description, when that is closed: what leases rest
/// on. Tried on `file`, which nobody else has.
pub(super) fn lock_lives_with_mapping(file: &File) -> Result<bool, OsError> {
    file.set_len(4096).map_err(|error| OsError::from_io("ftruncate", &error))?;
    let pause = fork::pause()?;
    let other = OpenOptions::new()
        .read(true)
        .write(true)
        .open(sys::proc_path(file.as_raw_fd()))
        .map_err(|error| OsError::from_io("open(/proc/self/fd)", &error))?;
    if !sys::try_lock(other.as_raw_fd(), LockKind::Exclusive, 1, 1)? {
        return Ok(false);
    }
    let Ok(mapping) = Mapping::new(&other, 4096, 4096, &pause) else { return Ok(false) };
    drop(other);
    let held = sys::conflict(file.as_raw_fd(), 1, 1)?.is_some();
    drop(mapping);
    Ok(held && sys::conflict(file.as_raw_fd(), 1, 1)?.is_none())
}
