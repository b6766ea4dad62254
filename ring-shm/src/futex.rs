//! The system calls of waiting: futexes that work between processes, the barrier that a sleeper runs on everybody
//! else's CPUs, and how many CPUs there are to spin on.
//!
//! # Safety
//!
//! 1. An event's address lies in memory that its handle keeps mapped for as long as anybody has the event. The kernel
//!    reads four bytes there; were they gone, it would say `EFAULT`.
//! 2. Every other pointer comes from a live local of the type that the call asks for.
//! 3. The addresses of many events may outlive what they point at: the kernel compares four bytes of whatever is there
//!    now, or says `EFAULT`; it writes nothing. Nothing but the kernel goes to these addresses.
#![allow(unsafe_code)]
#![allow(clippy::unnecessary_cast, clippy::useless_conversion)] // the widths of libc types differ between targets

use core::mem::MaybeUninit;
use core::ptr;
use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ring_core::{Event, Wake};

use crate::chime;
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
    /// Some event's memory was cut, or has gone.
    Faulted,
}

/// One of many events to sleep on: `struct futex_waitv` of `linux/futex.h`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Target {
    ticket: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// `linux/futex.h`: the word has 32 bits. Without `FUTEX2_PRIVATE`, as in [`sleep`].
const FUTEX2_SIZE_U32: u32 = 2;

/// As many events as one call takes.
pub(crate) const MOST_TARGETS: usize = 128;

/// The longest sleep where the kernel cannot sleep on many events.
const NAP: Duration = Duration::from_millis(1);

impl Target {
    pub(crate) fn new(event: Event<'_>, ticket: u32) -> Self {
        let address = event.address().as_ptr().expose_provenance() as u64;
        Self { ticket: ticket.into(), address, flags: FUTEX2_SIZE_U32, reserved: 0 }
    }
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

/// Sleeps until one of up to [`MOST_TARGETS`] events is no longer its ticket, for `timeout` at most. `first` is among
/// them. Where the kernel or a sandbox does not let us sleep on many it is the only one that ends the sleep, which then
/// is a nap of a millisecond, and the caller has to look at all.
pub(crate) fn sleep_any(first: (Event<'_>, u32), targets: &[Target], timeout: Duration) -> Result<Slept, OsError> {
    let end = monotonic().checked_add(timeout).unwrap_or(Duration::MAX);
    let until = [i64::try_from(end.as_secs()).unwrap_or(i64::MAX), end.subsec_nanos().into()]; // 64-bit on all targets
    let count = targets.len().min(MOST_TARGETS);
    // SAFETY: 2 and 3. The time is absolute, on the monotonic clock.
    let code = unsafe {
        libc::syscall(libc::SYS_futex_waitv, targets.as_ptr(), count, 0, until.as_ptr(), libc::CLOCK_MONOTONIC)
    };
    if code >= 0 {
        return Ok(Slept::Woken);
    }
    match OsError::last("futex_waitv") {
        OsError { code: libc::ETIMEDOUT, .. } => Ok(Slept::Expired),
        OsError { code: libc::EAGAIN | libc::EINTR, .. } => Ok(Slept::Woken),
        OsError { code: libc::EFAULT, .. } => Ok(Slept::Faulted),
        // Not in this kernel, or not in this sandbox.
        OsError { code: libc::ENOSYS | libc::EPERM, .. } => match sleep(first.0, first.1, timeout.min(NAP))? {
            Slept::Expired if timeout > NAP => Ok(Slept::Woken),
            slept => Ok(slept),
        },
        error => Err(error),
    }
}

/// The monotonic clock, since whenever it counts.
fn monotonic() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: 2. It fails for no clock that exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Wakes all who sleep on `event`; whether anybody did. More than one: its owner, and a waiter that still remembers it. Safe
/// in a signal handler but for `errno`, which it keeps.
pub(crate) fn wake(event: Event<'_>) -> bool {
    let address = event.address().as_ptr();
    // SAFETY: the address of a thread-local of the C library.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    // SAFETY: 1. Nothing is to be done about a failure: the sleeper's slice ends by itself.
    let woken = unsafe { libc::syscall(libc::SYS_futex, address, libc::FUTEX_WAKE, libc::c_int::MAX) };
    // SAFETY: as above.
    unsafe { *errno = before };
    woken > 0
}

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: plain numbers.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// What [`registered_wake`] knows.
struct Registered {
    /// Of which process image, and whether barriers reach that.
    light: Option<(u64, bool)>,
    /// By descriptor and weight. There are no more than the process has ever had descriptors at a time.
    wakes: BTreeMap<(RawFd, bool), &'static Wake>,
}

/// How this process wakes the others at the ring of [`object`](chime::ring), registered for the barriers of their sleepers
/// if the kernel (or a sandbox) lets it, which is asked once for each process image.
pub(crate) fn registered_wake(object: RawFd) -> &'static Wake {
    static FENCING: Wake = Wake::new(wake, false);
    // No fork meanwhile: a child would find the lock below held for ever.
    let Ok(_pause) = fork::pause() else { return &FENCING };
    static REGISTERED: Mutex<Registered> = Mutex::new(Registered { light: None, wakes: BTreeMap::new() });
    let mut known = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    let light = match known.light {
        Some((image, light)) if image == fork::epoch() => light,
        _ => membarrier(REGISTER_GLOBAL_EXPEDITED),
    };
    known.light = Some((fork::epoch(), light));
    let new = || &*Box::leak(Box::new(Wake::new(wake, light).with_chime(chime::ring, object)));
    known.wakes.entry((object, light)).or_insert_with(new)
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
