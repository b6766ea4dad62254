//! Waking tasks without a thread in between: a publisher that finds a sleeper who has wished for it reads a byte of the
//! ring's file, nobody cares which, and inotify tells those of it who have the file watched. Their watch is a descriptor,
//! so a runtime's own reactor sleeps on it, and wakes the task in the thread that runs it.
//!
//! Files, memfds and the side files of System V rings serve alike, and need no descriptor handed over. The rings of the heap
//! share one memfd of the process. A chime that is lost (a limit of the kernel, a descriptor that was taken away)
//! costs a slice: the process's waiter ([`hub`](crate::hub)) counts those as ever.

use std::fs::File;
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::descriptor;
use crate::sys;

/// Stands for the process's own memfd, of all its heap rings.
pub(crate) const HEAP: RawFd = -1;

/// The process's own memfd, if it has had a chime. A child has its parent's: they hear each other's, and look in vain.
static OWN: OnceLock<File> = OnceLock::new();

fn own() -> Option<RawFd> {
    OWN.get().map(File::as_raw_fd)
}

/// Tells all who listen at `object`, a descriptor of the ring's file or [`HEAP`]; whether who holds `lease` there was among
/// them as far as the kernel knows. 0: nobody asks.
///
/// The number may mean another file by now, if other code of the process has closed it. Then a byte of that is read, which
/// moves no position and takes nothing away.
pub(crate) fn ring(object: RawFd, lease: u64) -> bool {
    if object == HEAP {
        return own().is_some_and(sys::touch); // no heap outlives its process
    }
    let lives = || {
        let byte = descriptor::lease_byte(lease)?;
        sys::conflict(object, byte, 1).ok()?
    };
    sys::touch(object) && (lease == 0 || lives().is_some())
}

/// The way to what is heard where a heap ring is chimed at.
pub(crate) fn heap_path() -> Option<PathBuf> {
    own().map(|fd| sys::proc_path(fd).into())
}

#[cfg(feature = "async")]
mod hears;
#[cfg(feature = "async")]
pub use hears::Chime;
#[cfg(feature = "async")]
pub(crate) use hears::{Heard, made};
