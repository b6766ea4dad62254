//! The system calls of waiting: futexes that work between processes, the barrier that a sleeper runs on everybody
//! else's CPUs, and how many CPUs there are to spin on.
//!
//! # Safety
//!
//! 1. An event's address lies in memory that its handle keeps mapped for as long as anybody has the event. The kernel
//!    reads four bytes there; were they gone, it would say `EFAULT`.
//! 2. Every other pointer comes from a live local of the type that the call asks for.
#![allow(unsafe_code)]
#![allow(clippy::unnecessary_cast, clippy::useless_conversion)] // the widths of libc types differ between targets

use core::mem::MaybeUninit;
use core::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ring_core::{Event, Wake};

use crate::error::OsError;
use crate::fork;
use crate::guard;

/// `linux/membarrier.h`: runs a barrier on the CPUs of all processes that registered for it.
const GLOBAL_EXPEDITED: libc::c_int = 1 << 1;
/// `linux/membarrier.h`: registers this process for it.
const REGISTER_GLOBAL_EXPEDITED: libc::c_int = 1 << 2;

/// How a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slept {
    /// Somebody woke us, the event had moved on already, or a signal came: anything may be the case.
    Woken,
    /// The time is over.
    Expired,
}

/// Sleeps on `event` while its low half is `ticket`, for `timeout` at most. Not the private kind of futex: the other
/// side may be another process.
pub(crate) fn sleep(event: Event<'_>, ticket: u32, timeout: Duration) -> Result<Slept, OsError> {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos() as _,
    };
    let address = event.address().as_ptr();
    // SAFETY: 1 and 2. The time is relative, on the monotonic clock.
    let code = unsafe { libc::syscall(libc::SYS_futex, address, libc::FUTEX_WAIT, ticket, &timeout) };
    if code == 0 {
        return Ok(Slept::Woken);
    }
    match OsError::last("futex(FUTEX_WAIT)") {
        OsError { code: libc::ETIMEDOUT, .. } => Ok(Slept::Expired),
        OsError { code: libc::EAGAIN | libc::EINTR, .. } => Ok(Slept::Woken),
        // Its memory was cut: the next look meets the guard.
        OsError { code: libc::EFAULT, .. } if guard::is_on() => Ok(Slept::Woken),
        error => Err(error),
    }
}

/// Wakes who sleeps on `event`; whether anybody did. Safe in a signal handler but for `errno`, which it keeps.
pub(crate) fn wake(event: Event<'_>) -> bool {
    let address = event.address().as_ptr();
    // SAFETY: the address of a thread-local of the C library.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    // SAFETY: 1. Nothing is to be done about a failure: the sleeper's slice ends by itself.
    let woken = unsafe { libc::syscall(libc::SYS_futex, address, libc::FUTEX_WAKE, 1) };
    // SAFETY: as above.
    unsafe { *errno = before };
    woken > 0
}

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: plain numbers.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// How this process wakes others, registered for the barriers of their sleepers if the kernel (or a sandbox) lets it.
/// Asked once for each process image.
pub(crate) fn registered_wake() -> Wake {
    // No fork meanwhile: a child would find the lock below held for ever.
    let Ok(_pause) = fork::pause() else { return Wake::new(wake, false) };
    static REGISTERED: Mutex<Option<(u64, bool)>> = Mutex::new(None);
    let mut known = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    let light = match *known {
        Some((image, light)) if image == fork::epoch() => light,
        _ => membarrier(REGISTER_GLOBAL_EXPEDITED),
    };
    *known = Some((fork::epoch(), light));
    Wake::new(wake, light)
}

/// Runs a barrier on every CPU that runs a thread of a registered process, this one's included; false where that is
/// not to be had.
pub(crate) fn barrier() -> bool {
    membarrier(GLOBAL_EXPEDITED)
}

/// Whether this thread may run on one CPU only: then spinning keeps away whoever is being waited for.
pub(crate) fn is_alone_on_one_cpu() -> bool {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: 2; the size is that of the set.
    let code = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) };
    // SAFETY: zeroed bits are a valid set, and the call fills in others.
    let set = unsafe { ptr::read(set.as_ptr()) };
    // SAFETY: reads the set.
    code == 0 && unsafe { libc::CPU_COUNT(&set) } == 1
}
