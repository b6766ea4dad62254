//! The stacks of loom's threads are kept for the next execution.
//!
//! Loom maps a stack and its guard page for each thread of each execution, and unmaps it at the end: three system calls
//! and a few page faults, a good part of what an execution of these models takes. So this program has its own `mmap`, `mprotect` and
//! `munmap` between those crates and the kernel. They keep what looks like such a stack, guard page and all, and pass on
//! everything else.
//!
//! # Safety
//!
//! 1. What is passed on reaches the kernel as it came, and its answer goes back as libc would give it.
//! 2. A kept stack was mapped by this OS thread with the size and the protections that are asked for now, and its last
//!    user has unmapped it, so that nobody may use a pointer into it any more. That holds where a model fails as well: the
//!    frames of threads that had not ended are not unwound then, but their stacks are unmapped all the same, or leaked,
//!    and a leaked one counts as used. An execution never leaves its OS thread, so no other one unmaps what this one keeps.
//! 3. Nothing here allocates, panics or takes a lock: an allocator may be the caller.
//! 4. A kept stack is not zeroed. No other mapping of this program has these flags, and who makes stacks writes what it
//!    reads.
#![allow(unsafe_code)]
#![allow(unreachable_pub)] // the linker reaches them

use std::cell::Cell;
use std::ptr;

use libc::{c_int, c_long, c_void, off_t, size_t};

/// Stacks kept per OS thread: those of one execution.
const KEPT: usize = loom::MAX_THREADS;

/// What a stack's mapping looks like.
const PROTECTION: c_int = libc::PROT_READ | libc::PROT_WRITE;
const FLAGS: c_int = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_STACK;
/// More is no stack of loom's.
const LARGEST: size_t = 1 << 20;

#[derive(Clone, Copy)]
struct Stack {
    address: *mut c_void,
    size: size_t,
    used: bool,
    /// So much at its beginning cannot be touched any more.
    guard: size_t,
}

std::thread_local! {
    static STACKS: Cell<[Option<Stack>; KEPT]> = const { Cell::new([None; KEPT]) };
}

/// What `change` makes of the first place among those of this thread that it accepts.
fn find<R>(mut change: impl FnMut(&mut Option<Stack>) -> Option<R>) -> Option<R> {
    // There is nothing to be dropped, so there are places until the thread has ended; what they keep then is leaked.
    STACKS.with(|places| {
        let mut stacks = places.get();
        let result = stacks.iter_mut().find_map(&mut change);
        places.set(stacks);
        result
    })
}

/// A mapping, as libc's.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap(
    address: *mut c_void,
    size: size_t,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: off_t,
) -> *mut c_void {
    let stack = address.is_null() && protection == PROTECTION && flags == FLAGS && size <= LARGEST;
    if stack {
        let kept = find(|place| match place {
            Some(kept) if !kept.used && kept.size == size => {
                kept.used = true;
                Some(kept.address)
            }
            _ => None,
        });
        if let Some(address) = kept {
            return address;
        }
    }
    // SAFETY: 1.
    let made = unsafe { libc::syscall(libc::SYS_mmap, address, size, protection, flags, file as c_long, offset) };
    let made = made as *mut c_void;
    if stack && !ptr::eq(made, libc::MAP_FAILED) {
        find(|place| place.is_none().then(|| *place = Some(Stack { address: made, size, used: true, guard: 0 })));
    }
    made
}

/// A change of protection, as libc's. A kept stack has its guard page.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mprotect(address: *mut c_void, size: size_t, protection: c_int) -> c_int {
    let of_kept = |place: &mut Option<Stack>| match place {
        Some(kept) if kept.address == address => Some(*kept),
        _ => None,
    };
    let guards = protection == libc::PROT_NONE;
    if guards && find(of_kept).is_some_and(|kept| kept.guard == size) {
        return 0;
    }
    // SAFETY: 1.
    let told = (unsafe { libc::syscall(libc::SYS_mprotect, address, size, protection) }) as c_int;
    if guards && told == 0 {
        find(|place| place.as_mut().filter(|kept| kept.address == address).map(|kept| kept.guard = size));
    }
    told
}

/// The end of a mapping, as libc's. A stack stays.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(address: *mut c_void, size: size_t) -> c_int {
    let kept = find(|place| match place {
        Some(kept) if kept.address == address && kept.size == size => {
            kept.used = false;
            Some(())
        }
        _ => None,
    });
    if kept.is_some() {
        return 0;
    }
    // SAFETY: 1.
    (unsafe { libc::syscall(libc::SYS_munmap, address, size) }) as c_int
}
