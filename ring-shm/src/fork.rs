//! What this crate must know about `fork`: a count that tells a handle it was inherited, and a pause.
//!
//! Mappings and leases call it. [`epoch`] is read for each operation of a handle; [`Pause`] keeps a `fork` of
//! another thread away from the few system calls during which a child would inherit a lock or a mapping.
//!
//! It cannot see children made by a raw `clone` system call (or `vfork`), which run no handlers. Such a child
//! still has no mapping, because every mapping is `MADV_DONTFORK`: a handle used there ends in SIGSEGV instead
//! of in two producers on one seat.

use core::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use ring_core::Epoch;

use crate::error::OsError;
use crate::sys;

/// Forks this image has gone through as the child.
static FORKS: Epoch = Epoch::new();

/// Held while a lock or a mapping is in the making, and across `fork`. The value: are the handlers registered?
static PAUSE: Mutex<bool> = Mutex::new(false);

thread_local! {
    /// The guard, while this thread is between the first and the last handler.
    static FORKING: Cell<Option<MutexGuard<'static, bool>>> = const { Cell::new(None) };
}

/// The number of this process image. A handle that was made under another number must touch nothing.
#[inline(always)]
pub(crate) fn epoch() -> u64 {
    FORKS.get()
}

/// While it lives no `fork` happens in this process. Keep it short and never wait for another process under it.
#[derive(Debug)]
pub(crate) struct Pause {
    _guard: MutexGuard<'static, bool>,
}

/// Keeps `fork` away until the answer is dropped. The first call registers the handlers.
pub(crate) fn pause() -> Result<Pause, OsError> {
    registered(PAUSE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The same for who can do without, and may have a pause already; `None` where it would have to wait.
pub(crate) fn try_pause() -> Option<Pause> {
    let free = match PAUSE.try_lock() {
        Err(TryLockError::WouldBlock) => return None,
        Err(TryLockError::Poisoned(free)) => free.into_inner(),
        Ok(free) => free,
    };
    registered(free).ok()
}

fn registered(mut registered: MutexGuard<'static, bool>) -> Result<Pause, OsError> {
    if !*registered {
        sys::at_fork(prepare, parent, child)?;
        *registered = true;
    }
    Ok(Pause { _guard: registered })
}

extern "C" fn prepare() {
    let guard = PAUSE.lock().unwrap_or_else(PoisonError::into_inner);
    // In a thread whose locals are gone already the guard is dropped here: the epoch still works.
    let _ = FORKING.try_with(|forking| forking.set(Some(guard)));
}

extern "C" fn parent() {
    let _ = FORKING.try_with(Cell::take);
}

extern "C" fn child() {
    FORKS.bump();
    parent();
}
