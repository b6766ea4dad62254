//! Signals that a sleeper gets.

use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::Failure;

/// How often this process was stopped and went on.
static STOPS: AtomicU64 = AtomicU64::new(0);

extern "C" fn nothing(_: i32) {}

extern "C" fn goes_on(_: i32) {
    STOPS.fetch_add(1, Ordering::Relaxed);
}

/// From now on the rain interrupts, and does nothing else.
pub(super) fn catch() -> Result<(), Failure> {
    for (signal, handler) in [(Signal::SIGUSR1, nothing as extern "C" fn(i32)), (Signal::SIGCONT, goes_on)] {
        let action = SigAction::new(SigHandler::Handler(handler), SaFlags::empty(), SigSet::empty());
        // SAFETY: one handler does nothing, the other one adds to an atomic number.
        #[allow(unsafe_code)]
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// How often somebody has stopped this process: the campaign does not, but whoever wants the machine for a while may. What
/// that delays is nobody's fault. It goes on in this function's thread first, so that this is known before anything else.
pub(super) fn stops() -> u64 {
    STOPS.load(Ordering::Relaxed)
}
