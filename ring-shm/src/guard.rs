//! The guard against truncation: whoever may write to a segment may also cut it, and touching what is gone is SIGBUS. A
//! process that asks for the guard gets an error instead.
//!
//! It is a signal handler, so nobody has it who has not asked. It maps zero pages over the whole range that was cut,
//! which takes the segment and the lease away from this process for good, and marks the mapping. Zeros are an empty ring:
//! so a receiver finds nothing and a sender soon no room, and whoever is refused anything looks for the mark, and says
//! `Corrupt`, with [`Field::Truncated`](crate::Field). So does each wait. What was sent after the cut, a lap at most in an
//! SPSC ring, is lost as is what was unread: no operation that succeeds pays for the guard.
//!
//! # Safety
//!
//! 1. The handler makes system calls, loads and stores of `ring_core::Ranges`, and calls the handler that was there
//!    before. It keeps `errno`.
//! 2. It maps over a range only while that belongs to a [`Mapping`](crate::Mapping) of this process image, found by an
//!    address that somebody has just touched in it; all access there goes through atomics of ring-core, for which any
//!    bytes will do.
//! 3. Every pointer comes from the kernel's call of the handler, or is to a live local.
#![allow(unsafe_code)]

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use std::sync::OnceLock;

use ring_core::Ranges;

use crate::error::OsError;
use crate::fork;
use crate::range::Range;

/// How many mappings can be guarded at a time.
const MOST: usize = 512;

static RANGES: Ranges<MOST> = Ranges::new();

/// What was done about SIGBUS before; set when the guard is on.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Turns the guard on, for the rest of the process, and for every mapping that is made from now on. Handlers that were
/// there before get all other SIGBUS signals; who installs one later has to pass them on. At most 512 mappings can be
/// guarded at a time; whoever opens more gets an error.
///
/// ```
/// # let name = format!("doc-guard-{}", std::process::id());
/// use ring_shm::spsc::{Options, Producer, TrySendError};
///
/// ring_shm::guard_against_truncation()?;
/// let mut tx = Producer::create(&name, &Options::new().capacity(4096))?;
/// // Somebody who may write to the ring cuts it.
/// std::fs::File::options().write(true).open(format!("/dev/shm/ring.{name}"))?.set_len(0)?;
/// let refused = loop {
///     if let Err(refused) = tx.try_send(0, b"into the cut") { break refused }
/// };
/// assert!(matches!(refused, TrySendError::Corrupt(_)));
/// # ring_shm::unlink(&name, true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`OsError`] if the system refuses the handler.
pub fn guard_against_truncation() -> Result<(), OsError> {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: 3; asks, and changes nothing.
    if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), before.as_mut_ptr()) } != 0 {
        return Err(OsError::last("sigaction"));
    }
    // SAFETY: zeroed bytes are a value, and the call has filled in others.
    if BEFORE.set(unsafe { before.assume_init() }).is_err() {
        return Ok(()); // it is on
    }
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_bus_error;
    // SAFETY: plain numbers and an empty mask, for which zero is a value.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: 1 and 3.
    let done = unsafe { libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) };
    if done == 0 { Ok(()) } else { Err(OsError::last("sigaction")) }
}

/// Whether it was asked for.
pub(crate) fn is_on() -> bool {
    BEFORE.get().is_some()
}

/// The guard over one range, for as long as that is mapped.
#[derive(Debug)]
pub(crate) struct Guarded {
    place: usize,
}

impl Guarded {
    /// Guards `range`, if the guard is on. The range must be unmapped after this has been dropped.
    pub(crate) fn over(range: &Range) -> Result<Option<Self>, OsError> {
        if !is_on() {
            return Ok(None);
        }
        let place = RANGES.put(range.start().as_ptr() as u64, range.mapped() as u64, fork::epoch());
        let full = OsError { call: "guarding more mappings than 512", code: libc::ENOMEM };
        place.map(|place| Some(Self { place })).ok_or(full)
    }

    /// Whether the segment behind the range was cut.
    pub(crate) fn is_cut(&self) -> bool {
        RANGES.is_marked(self.place)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        RANGES.take_out(self.place);
    }
}

extern "C" fn on_bus_error(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the address of a thread-local of the C library.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    // SAFETY: 3.
    let what = unsafe { info.read() };
    // SAFETY: 3; every fault has an address, and what is none is not used.
    let address = unsafe { what.si_addr() };
    if what.si_code != libc::BUS_ADRERR || !replace(address as u64) {
        pass_on(signal, info, context);
    }
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Puts zero pages in the place of the range in which `address` lies; false if none of ours does.
fn replace(address: u64) -> bool {
    let Some((place, start, len)) = RANGES.find(address, fork::epoch()) else { return false };
    let (start, len) = (start as *mut c_void, len as usize);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
    // SAFETY: 2.
    if unsafe { libc::mmap(start, len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) } == libc::MAP_FAILED {
        return false;
    }
    // SAFETY: 2; a child is not to have it, as before. Were it refused, the child would have zeros that it never touches.
    unsafe { libc::madvise(start, len, libc::MADV_DONTFORK) };
    RANGES.mark(place);
    true
}

/// Does what would have been done without the guard.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(before) = BEFORE.get() else { return };
    match before.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // A signal that was sent is not repeated when we return, and one of a fault cannot be ignored: both end the
            // process, as they did before.
            // SAFETY: 3.
            unsafe { libc::sigaction(signal, &raw const *before, ptr::null_mut()) };
            // SAFETY: 3.
            let sent = unsafe { info.read() }.si_code <= 0;
            if sent {
                // SAFETY: plain numbers.
                unsafe { libc::raise(signal) };
            }
        }
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: 1; whoever installed it said that it is such a function.
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                unsafe { core::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: 1; as above.
            let handler: extern "C" fn(c_int) = unsafe { core::mem::transmute(handler) };
            handler(signal);
        }
    }
}
