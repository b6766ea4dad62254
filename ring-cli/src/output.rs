//! Writing: records to a file or to standard output in a way that SIGINT and SIGTERM can end at any moment, and facts
//! for people and programs. Nothing is buffered, so nothing is ever left to be flushed. A reader that has gone away is
//! a clean end.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use nix::libc::{ENXIO, O_CLOEXEC, O_NONBLOCK};
use nix::poll::PollFlags;

use crate::exit::{Failure, io_failure};
use crate::input::wait_for;
use crate::signals::Signals;

/// What a pipe that is ready takes without blocking.
const PIPE_BUF: usize = 4096;

/// An open output.
#[derive(Debug)]
pub(crate) struct Output {
    file: File,
    name: String,
    /// The most to write at once without being sure that it does not block.
    at_once: usize,
}

/// Why not everything was written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// Nobody reads any more.
    ReaderGone,
    /// A failure, or a signal.
    Failed(Failure),
}

impl Output {
    /// Opens `path`, emptied, or standard output. Waits for the reader of a named pipe.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be written, or a signal comes meanwhile.
    pub(crate) fn open(path: Option<&Path>, signals: &Signals) -> Result<Self, Failure> {
        let Some(path) = path else { return Self::stdout().map_err(|e| io_failure("standard output", &e)) };
        let name = path.display().to_string();
        loop {
            let flags = O_NONBLOCK | O_CLOEXEC;
            match OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(path) {
                Ok(file) => return Ok(Self { file, name, at_once: usize::MAX }),
                Err(e) if e.raw_os_error() == Some(ENXIO) => signals.pause(Duration::MAX)?,
                Err(e) => return Err(io_failure(&name, &e)),
            }
        }
    }

    fn stdout() -> io::Result<Self> {
        let name = "standard output".to_owned();
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        if kind.is_fifo() {
            // A description of our own, so that not blocking is nobody else's affair.
            let own = OpenOptions::new().write(true).custom_flags(O_NONBLOCK | O_CLOEXEC).open("/proc/self/fd/1");
            if let Ok(file) = own {
                return Ok(Self { file, name, at_once: usize::MAX });
            }
        }
        let at_once = if kind.is_file() { usize::MAX } else { PIPE_BUF };
        Ok(Self { file, name, at_once })
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// [`Unwritten`]; some of the bytes may have been written.
    pub(crate) fn write_all(&mut self, mut bytes: &[u8], signals: &Signals) -> Result<(), Unwritten> {
        while !bytes.is_empty() {
            wait_for(self.file.as_fd(), PollFlags::POLLOUT, signals).map_err(Unwritten::Failed)?;
            let now = bytes.get(..self.at_once).unwrap_or(bytes);
            match self.file.write(now) {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(e) if e.kind() == ErrorKind::BrokenPipe => return Err(Unwritten::ReaderGone),
                Err(e) => return Err(Unwritten::Failed(io_failure(&self.name, &e))),
            }
        }
        Ok(())
    }
}

/// Writes facts to standard output.
///
/// # Errors
/// [`Failure`]; a reader that has gone away is none.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(io_failure("standard output", &e)),
        _ => Ok(()),
    }
}

/// Writes one JSON value as a line to standard output.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value}\n"))
}
