//! The machine: CPUs, the clock, fork, futexes, signals. Thin and safe to call from the rest of the crate.
//!
//! Nothing here knows of candidates or rounds. It must never be called inside a timed loop, but for [`now`].
#![allow(unsafe_code)]
//!
//! # Safety
//!
//! 1. A futex call gets the address of a live `AtomicU32`; the kernel reads four bytes there and no more.
//! 2. `fork` happens only while this process has one thread, so the child owes nothing to locks held by others.
//! 3. The signal handler only stores to an atomic, which is async-signal-safe.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{ForkResult, Pid, fork};
use std::time::Duration;

/// Set by SIGINT and SIGTERM.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The first two CPUs this process may use, or what to do about having only one.
pub fn two_cpus() -> Result<[usize; 2], String> {
    let set = sched_getaffinity(Pid::from_raw(0)).map_err(|e| format!("cannot read the CPU affinity: {e}"))?;
    let mut usable = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false));
    match (usable.next(), usable.next()) {
        (Some(first), Some(second)) => Ok([first, second]),
        _ => Err("only one CPU is available, and the two sides of a ring must run at the same time: \
                  give the process two CPUs (see `taskset -p` and the cgroup's cpuset)"
            .into()),
    }
}

/// Binds the calling thread to one CPU.
pub fn pin(cpu: usize) -> Result<(), String> {
    let mut set = CpuSet::new();
    set.set(cpu).map_err(|e| format!("CPU {cpu}: {e}"))?;
    sched_setaffinity(Pid::from_raw(0), &set).map_err(|e| format!("cannot pin to CPU {cpu}: {e}"))
}

/// Monotonic nanoseconds, the same clock in every process of the machine.
#[inline(always)]
pub(crate) fn now() -> u64 {
    match clock_gettime(ClockId::CLOCK_MONOTONIC) {
        Ok(time) => Duration::from(time).as_nanos() as u64,
        Err(_) => 0,
    }
}

/// Nanoseconds that went by without the calling thread having the CPU, since some fixed moment. The difference of two
/// calls around a stretch of polling is what the kernel gave to others meanwhile.
pub(crate) fn time_lost() -> u64 {
    let used = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0, |time| Duration::from(time).as_nanos() as u64);
    now().wrapping_sub(used)
}

/// Sleeps while `word` still holds `seen`, at most a second; may return early.
pub(crate) fn futex_wait(word: &AtomicU32, seen: u32) {
    let timeout = libc::timespec { tv_sec: 1, tv_nsec: 0 };
    // SAFETY: invariant 1, and `timeout` outlives the call. Not private: the word may lie in shared memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, seen, &raw const timeout) };
}

/// Wakes whoever sleeps on `word`.
pub(crate) fn futex_wake(word: &AtomicU32) {
    // SAFETY: invariant 1.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

extern "C" fn note_signal(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on SIGINT and SIGTERM only raise the flag that [`interrupted`] reads.
pub(crate) fn watch_signals() -> Result<(), String> {
    let action = SigAction::new(SigHandler::Handler(note_signal), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: invariant 3.
        unsafe { sigaction(signal, &action) }.map_err(|e| format!("cannot watch {signal}: {e}"))?;
    }
    Ok(())
}

/// True once the user asked to stop.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// A forked child; killed and reaped when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
}

impl Child {
    /// Forks; the child runs `body` and ends without running anybody's destructors. The child dies with its parent
    /// and leaves Ctrl-C to it. Call only before the first thread is spawned.
    pub(crate) fn spawn(body: impl FnOnce()) -> Result<Self, String> {
        let parent = Pid::this();
        // SAFETY: invariant 2, kept by the one caller, which forks before it spawns.
        match unsafe { fork() }.map_err(|e| format!("cannot fork: {e}"))? {
            ForkResult::Parent { child } => Ok(Self { pid: child }),
            ForkResult::Child => {
                let outlived = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).is_err() || Pid::parent() != parent;
                if !outlived {
                    // A panic must end here and not unwind into the parent's copy of the stack.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
                }
                // SAFETY: `_exit` takes no memory; skipping destructors is the point, they belong to the parent.
                unsafe { libc::_exit(0) }
            }
        }
    }

    /// True while the child has not ended.
    pub(crate) fn alive(&self) -> bool {
        matches!(waitpid(self.pid, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left to do.
        let _ = nix::sys::signal::kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}
