//! Reading what is to be sent: a file or standard input, in a way that SIGINT and SIGTERM can end at any moment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::exit::{Code, Failure, io_failure};
use crate::signals::Signals;

/// An open input.
#[derive(Debug)]
pub(crate) struct Input {
    file: File,
    /// What messages call it.
    name: String,
    /// Its length, where it has one.
    len: Option<u64>,
}

impl Input {
    /// Opens `path`, or standard input. Reads nothing, and does not wait for the writer of a pipe.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be read.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            let fd = io::stdin().as_fd().try_clone_to_owned().map_err(|e| io_failure("standard input", &e))?;
            return Self::new(fd.into(), "standard input".to_owned());
        };
        let name = path.display().to_string();
        let flags = nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
        match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => Self::new(file, name),
            Err(error) => Err(io_failure(&name, &error)),
        }
    }

    fn new(file: File, name: String) -> Result<Self, Failure> {
        let facts: fs::Metadata = file.metadata().map_err(|e| io_failure(&name, &e))?;
        if facts.is_dir() {
            return Err(Failure::new(Code::Other, format!("{name} is a directory: name a file")));
        }
        let len = facts.is_file().then_some(facts.len());
        Ok(Self { file, name, len })
    }

    /// Its length in bytes, where it has one.
    pub(crate) fn len(&self) -> Option<u64> {
        self.len
    }

    /// Waits for input and reads what is there into `buf`; 0 is the end.
    ///
    /// # Errors
    /// A failure to read, or a signal.
    pub(crate) fn read(&mut self, buf: &mut [u8], signals: &Signals) -> Result<usize, Failure> {
        loop {
            wait_for(self.file.as_fd(), PollFlags::POLLIN, signals).map_err(|e| e.at(&self.name))?;
            match self.file.read(buf) {
                Ok(n) => return Ok(n),
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(e) => return Err(io_failure(&self.name, &e)),
            }
        }
    }
}

/// Waits until `fd` is ready for `what`, or fails, which the next operation will say.
///
/// # Errors
/// What to end with when a signal has come.
pub(crate) fn wait_for(fd: BorrowedFd<'_>, what: PollFlags, signals: &Signals) -> Result<(), Failure> {
    loop {
        let mut fds = [PollFd::new(fd, what), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(Failure::new(Code::Other, format!("poll: {errno}"))),
        }
        if fds[1].any().unwrap_or(true) {
            signals.check()?;
        }
        if fds[0].any().unwrap_or(true) {
            return Ok(());
        }
    }
}
