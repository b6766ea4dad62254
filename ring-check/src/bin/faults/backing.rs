//! Where the rings of the scenes live, and how each place is emptied between two runs. The memfd is this program's own:
//! all its children find it under the number that its location names.
//!
//! # Safety
//!
//! 1. `IPC_RMID` takes the id and no memory. Who has the segment attached keeps it.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::libc;
use ring_shm::{Memfd, OsError, Segment, StaleReport};

use crate::Failure;
use crate::scenes::RING;

/// Where POSIX rings lie, and here rings in files too.
pub(crate) const DIRECTORY: &str = "/dev/shm";

/// Where a ring lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backing {
    Posix,
    File,
    Memfd,
    Sysv,
}

impl Backing {
    pub(crate) const ALL: [Self; 4] = [Self::Posix, Self::File, Self::Memfd, Self::Sysv];

    /// The location of the scene's ring.
    pub(crate) fn at(self) -> &'static str {
        match self {
            Self::Posix => RING,
            Self::File => "file:/dev/shm/a file",
            Self::Memfd => memfd(),
            Self::Sysv => "sysv:faults",
        }
    }

    /// What is put between the kind of ring and the operation.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Posix => "",
            Self::File => " file",
            Self::Memfd => " memfd",
            Self::Sysv => " sysv",
        }
    }

    /// Whether an operation of this name is another one than that of a POSIX ring, or exists at all.
    pub(crate) fn concerns(self, name: &str) -> bool {
        // What a handle does once it is there is the same everywhere, but for its end; a type is looked at in the ring.
        let elsewhere = !name.starts_with("wait for") && !name.ends_with("typed");
        match self {
            Self::Posix => true,
            Self::File => elsewhere,
            // It cannot be unsealed again, so what its creator could not sit in is left for others to open.
            Self::Memfd => {
                elsewhere
                    && !name.starts_with("remove")
                    && !name.starts_with("create and sit")
                    && !name.ends_with("by a temporary name")
            }
            Self::Sysv => elsewhere && !name.ends_with("by a temporary name"),
        }
    }

    /// Removes the rings of this kind that nobody holds.
    pub(crate) fn remove_stale(self) -> Result<StaleReport, OsError> {
        match self {
            Self::File => Segment::remove_stale_files(Path::new(DIRECTORY)),
            _ => Segment::remove_stale(),
        }
    }

    /// Lists the rings of this kind.
    pub(crate) fn list(self) -> Result<(), String> {
        let listed = match self {
            Self::Posix | Self::Sysv => Segment::list(),
            Self::File => Segment::list_files(Path::new(DIRECTORY)),
            Self::Memfd => Segment::list_memfds(std::process::id()),
        };
        listed.map(drop).map_err(|error| error.to_string())
    }
}

/// The number that the memfd has.
static NUMBER: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// The location of the memfd.
fn memfd() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| renew().map_or_else(|error| error.to_string(), |number| format!("fd:{number}")))
}

/// Puts an empty memfd under the number.
fn renew() -> Result<i32, Failure> {
    let fresh = Memfd::new(RING)?;
    let mut number = NUMBER.lock().unwrap_or_else(PoisonError::into_inner);
    let number = match &mut *number {
        Some(number) => number,
        none => none.insert(File::open("/dev/null")?.into()),
    };
    nix::unistd::dup2(fresh.as_fd(), number)?;
    Ok(number.as_raw_fd())
}

/// The location of the memfd, for who looks at all there is.
pub(crate) fn memfd_if_any() -> Option<&'static str> {
    let there = NUMBER.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    there.then(memfd)
}

/// Empties every place.
pub(crate) fn sweep() -> Result<(), Failure> {
    for entry in fs::read_dir(DIRECTORY)? {
        fs::remove_file(entry?.path())?;
    }
    for (id, _) in sysv()? {
        // SAFETY: 1.
        if unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) } < 0 {
            return Err("a System V segment stays".into());
        }
    }
    renew().map(drop)
}

/// The System V segments: their ids, and key, mode, size and attachments in words.
pub(crate) fn sysv() -> Result<Vec<(i32, String)>, Failure> {
    let text = fs::read_to_string("/proc/sysvipc/shm")?;
    let mut segments = Vec::new();
    for line in text.lines().skip(1) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if let [key, id, mode, size, _, _, attached, ..] = words[..] {
            segments.push((id.parse()?, format!("segment {key} of {size} bytes, mode {mode}, {attached} attached")));
        }
    }
    Ok(segments)
}
