//! The system calls that say where and how memory is to lie.
//!
//! # Safety
//!
//! 1. The range is a whole mapping of this process, shared and writable, which lives until the call returns. None of
//!    these calls changes a byte of it, or takes a page away that is not replaced by its equal.
//! 2. The node mask is a live local, as long as the call is told.
#![allow(unsafe_code)]

use core::ffi::c_int;

use crate::error::OsError;
use crate::mapping::Mapping;

/// `linux/mman.h`: makes huge pages of what is there, at once, whatever the policy for faults (Linux 6.1).
const COLLAPSE: c_int = 25;

/// `linux/mempolicy.h`.
const PREFERRED: c_int = 1;
const BIND: c_int = 2;
/// Pages that are elsewhere are moved, and those that cannot be are an error.
const STRICTLY_MOVE: c_int = 1 | 2;

fn advise(mapping: &Mapping, advice: c_int, call: &'static str) -> Result<(), OsError> {
    loop {
        // SAFETY: 1.
        if unsafe { libc::madvise(mapping.as_ptr().as_ptr().cast(), mapping.mapped(), advice) } == 0 {
            return Ok(());
        }
        match OsError::last(call) {
            OsError { code: libc::EINTR, .. } => {}
            error => return Err(error),
        }
    }
}

/// Faults all pages in, ready to be written; their bytes stay.
pub(crate) fn populate(mapping: &Mapping) -> Result<(), OsError> {
    advise(mapping, libc::MADV_POPULATE_WRITE, "madvise(MADV_POPULATE_WRITE)")
}

/// Asks for huge pages on faults to come.
pub(super) fn prefer_huge(mapping: &Mapping) -> Result<(), OsError> {
    advise(mapping, libc::MADV_HUGEPAGE, "madvise(MADV_HUGEPAGE)")
}

/// Makes huge pages of the small ones that are there.
pub(super) fn collapse(mapping: &Mapping) -> Result<(), OsError> {
    advise(mapping, COLLAPSE, "madvise(MADV_COLLAPSE)")
}

/// Keeps all pages in memory, which are faulted in for it.
pub(super) fn lock(mapping: &Mapping) -> Result<(), OsError> {
    // SAFETY: 1.
    let done = unsafe { libc::mlock(mapping.as_ptr().as_ptr().cast(), mapping.mapped()) };
    if done == 0 { Ok(()) } else { Err(OsError::last("mlock")) }
}

/// Puts the memory on `node`: what is there, and what comes. `strictly`, or as a preference.
pub(super) fn put_on(mapping: &Mapping, node: u32, strictly: bool) -> Result<(), OsError> {
    let mut mask = [0_u64; 16];
    let Some(word) = mask.get_mut(node as usize / 64) else {
        return Err(OsError { call: "mbind", code: libc::EINVAL });
    };
    *word = 1 << (node % 64);
    let (policy, flags) = if strictly { (BIND, STRICTLY_MOVE) } else { (PREFERRED, STRICTLY_MOVE & !1) };
    let (start, len) = (mapping.as_ptr().as_ptr(), mapping.mapped());
    // The kernel counts one bit less than it is told.
    let bits = mask.len() * 64 + 1;
    // SAFETY: 1 and 2.
    let done = unsafe { libc::syscall(libc::SYS_mbind, start, len, policy, mask.as_ptr(), bits, flags) };
    if done == 0 { Ok(()) } else { Err(OsError::last("mbind")) }
}
