//! SIGINT and SIGTERM as something to look at: blocked, and read from a descriptor, so that a command can close its
//! ring in order wherever it stands. Commands that hold a seat watch; the others die of signals as usual. Children
//! inherit the mask and watch as well.
//!
//! A wait on a ring cannot look at a descriptor, so a thread does that for it, and interrupts it. Should there be no
//! thread to be had, a signal is noticed when the wait has lasted its time, [`REGULARLY`].

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use ring_shm::wait::Canceller;

use crate::exit::{Code, Failure};

/// How long a wait on a ring may last before its command looks around.
pub(crate) const REGULARLY: Duration = Duration::from_millis(500);

/// The pause between two looks at something that tells nobody when it changes.
const PAUSE: Duration = Duration::from_millis(10);

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

    /// Has a signal interrupt the wait in which it finds the owner of `canceller`, or the next one.
    pub(crate) fn interrupt(&self, canceller: Canceller) {
        let Ok(fd) = self.fd.as_fd().try_clone_to_owned() else { return };
        let watch = move || {
            // Only looked at: the command itself reads which one it was.
            while poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE) == Err(Errno::EINTR) {}
            canceller.cancel();
        };
        let _ = thread::Builder::new().name("signals".to_owned()).stack_size(1 << 16).spawn(watch);
    }

    /// Waits a little, `most` at most.
    ///
    /// # Errors
    /// What to end with when a signal has come.
    pub(crate) fn pause(&self, most: Duration) -> Result<(), Failure> {
        let time = PollTimeout::try_from(most.min(PAUSE)).unwrap_or(PollTimeout::ZERO);
        let _ = poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)], time);
        self.check()
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
