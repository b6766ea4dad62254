//! The stacks of loom's threads are kept for the next execution.
//!
//! Loom maps a stack and its guard page for each thread of each execution, and unmaps it at the end: three system calls
//! and a few page faults, which took a third of the time of all models. So this program has its own `mmap`, `mprotect` and
//! `munmap` between those crates and the kernel. They keep what looks like such a stack, guard page and all, and pass on
//! everything else.
//!
//! # Safety
//!
//! 1. What is passed on reaches the kernel as it came, and its answer goes back as libc would give it.
//! 2. A kept stack was mapped by this OS thread with the size and the protections that are asked for now, and its last
//!    user has unmapped it: nobody else has a pointer into it.
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
    /// Its first page cannot be touched any more.
    guarded: bool,
}

std::thread_local! {
    static STACKS: Cell<[Option<Stack>; KEPT]> = const { Cell::new([None; KEPT]) };
}

/// What `change` makes of the first place among those of this thread that it accepts.
fn find<R>(mut change: impl FnMut(&mut Option<Stack>) -> Option<R>) -> Option<R> {
    // A thread that ends has no places left.
    STACKS
        .try_with(|places| {
            let mut stacks = places.get();
            let result = stacks.iter_mut().find_map(&mut change);
            places.set(stacks);
            result
        })
        .ok()
        .flatten()
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
        find(|place| place.is_none().then(|| *place = Some(Stack { address: made, size, used: true, guarded: false })));
    }
    made
}

/// A change of protection, as libc's. A kept stack has its guard page.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mprotect(address: *mut c_void, size: size_t, protection: c_int) -> c_int {
    let guards = protection == libc::PROT_NONE;
    let has_it = find(|place| match place {
        Some(kept) if guards && kept.address == address => Some(std::mem::replace(&mut kept.guarded, true)),
        _ => None,
    });
    if has_it == Some(true) {
        return 0;
    }
    // SAFETY: 1.
    (unsafe { libc::syscall(libc::SYS_mprotect, address, size, protection) }) as c_int
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
