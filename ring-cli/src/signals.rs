//! SIGINT and SIGTERM as something to look at: blocked, and read from a descriptor, so that a command can close its
//! ring in order wherever it stands. Commands that hold a seat watch; the others die of signals as usual. Children
//! inherit the mask and watch as well.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::exit::{Code, Failure};

/// The signals that end a command in order.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    /// What came, once something has.
    got: Cell<Option<Code>>,
}

impl Signals {
    /// Watches from now on. Call it before any thread is started.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let failed = |what: &str, errno: nix::Error| Failure::new(Code::NoResource, format!("{what}: {errno}"));
        let mut set = SigSet::empty();
        set.add(Signal::SIGINT);
        set.add(Signal::SIGTERM);
        set.thread_block().map_err(|errno| failed("blocking signals", errno))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let fd = SignalFd::with_flags(&set, flags).map_err(|errno| failed("signalfd", errno))?;
        Ok(Self { fd, got: Cell::new(None) })
    }

    /// `Err` once one of them has come: 130 or 143. A system call each time.
    ///
    /// # Errors
    /// The failure to end with.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.got.get().is_none() {
            if let Ok(Some(info)) = self.fd.read_signal() {
                let terminated = i64::from(info.ssi_signo) == Signal::SIGTERM as i64;
                self.got.set(Some(if terminated { Code::Terminated } else { Code::Interrupted }));
            }
        }
        match self.got.get() {
            None => Ok(()),
            Some(code) => {
                let name = if code == Code::Terminated { "SIGTERM" } else { "SIGINT" };
                Err(Failure::new(code, format!("ended by {name}")))
            }
        }
    }
}

impl AsFd for Signals {
    /// Readable when a signal has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
