//! What the operating system says when it refuses, with the cure for the refusals that have one.

use core::fmt;
use std::io;

/// A system call that failed for a reason no variant of its operation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OsError {
    /// The call.
    pub call: &'static str,
    /// The `errno` it left.
    pub code: i32,
}

impl OsError {
    /// What `errno` says after `call`.
    pub(crate) fn last(call: &'static str) -> Self {
        Self::from_io(call, &io::Error::last_os_error())
    }

    /// The code inside `error`; `EIO` where it has none.
    pub(crate) fn from_io(call: &'static str, error: &io::Error) -> Self {
        Self { call, code: error.raw_os_error().unwrap_or(libc::EIO) }
    }

    fn cure(&self) -> &'static str {
        match self.code {
            libc::EMFILE => ": raise the limit of open files of this process (`ulimit -n`)",
            libc::ENFILE => ": raise the limit of open files of the system (`sysctl fs.file-max`)",
            libc::ENOMEM => {
                ": free memory, or raise the limits of address space (`ulimit -v`) and of mappings \
                 (`sysctl vm.max_map_count`)"
            }
            libc::ENOLCK => ": the kernel is out of locks, or this file system has none; use a tmpfs",
            libc::EACCES | libc::EPERM => ": run as the owner of the segment, and attach before giving up privileges",
            libc::ENOENT => ": mount `/proc` and `/dev/shm`",
            libc::ENOSPC | libc::EDQUOT => {
                ": the file system is full, or may have no more files (`df`, `df -i`): remove leftovers (`ringctl rm \
                 --stale`), or enlarge it"
            }
            libc::EROFS => ": the file system is mounted read-only: use another one, or let it be written to",
            libc::ENAMETOOLONG => ": give a shorter path",
            libc::ENOSYS => ": use Linux 5.3 or later, and let the sandbox allow this call",
            _ => "",
        }
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, code } = *self;
        write!(f, "{call} failed: {}{}", io::Error::from_raw_os_error(code), self.cure())
    }
}

impl core::error::Error for OsError {}

impl From<OsError> for io::Error {
    fn from(error: OsError) -> Self {
        Self::from_raw_os_error(error.code)
    }
}

/// What was found where a segment was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A fifo.
    Fifo,
    /// A socket.
    Socket,
    /// A character or block device.
    Device,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "directory",
            Self::Symlink => "symbolic link",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Device => "device",
        })
    }
}
