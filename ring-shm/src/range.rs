//! A range of addresses behind which a file is mapped, shared and writable, or several in parts; unmapped when dropped.
//! `mapping.rs` makes a segment's mapping of it.
//!
//! Ranges of 2 MiB and more begin at a multiple of that, so that huge pages can be mapped as such.
//!
//! # Safety
//!
//! 1. `start` is the beginning of a mapping of `mapped` bytes, made here or taken over from who made it. Nobody else
//!    unmaps it, and it is unmapped at most once, in `drop`.
//! 2. The kernel chooses the address of a new mapping, or it lies in a range that was mapped for nothing else but to
//!    make room for it. (A strict ring's is such a range; its handle has not been made yet, or is of no use yet.)
#![allow(unsafe_code)]

use core::ptr::{self, NonNull};
use std::os::fd::RawFd;

use memmap2::MmapMut;

use crate::error::OsError;

/// The size of a huge page.
pub(crate) const HUGE: usize = 2 << 20;

/// A mapped range.
#[derive(Debug)]
pub(crate) struct Range {
    start: NonNull<u8>,
    len: usize,
    mapped: usize,
}

// SAFETY: 1; an address and numbers. What happens to the bytes is ring-core's affair, which shares them between processes.
unsafe impl Send for Range {}
// SAFETY: as above.
unsafe impl Sync for Range {}

impl Range {
    /// The first `len` bytes of `fd`, left out of forks. `unit` is what its file system likes to be asked for: where it
    /// has huge pages, one of them, which can be mapped and unmapped only whole.
    pub(crate) fn of_file(fd: RawFd, len: usize, unit: u64) -> Result<Self, OsError> {
        let unit = usize::try_from(unit).ok().filter(|unit| unit.is_power_of_two()).unwrap_or(1).max(4096);
        let mapped = len.checked_next_multiple_of(unit).ok_or(NO_ROOM)?;
        let align = if mapped >= HUGE { unit.max(HUGE) } else { unit };
        // From here on it is unmapped by `drop`.
        let range = Self { start: map(fd, mapped, align)?, len, mapped };
        range.leave_out_of_forks(range.start.as_ptr(), mapped)?;
        Ok(range)
    }

    /// `len` bytes of zeros, only to be read and left out of forks, into which [`put`](Self::put) maps files. The byte at
    /// `border` begins a huge page if what follows could be one.
    pub(crate) fn in_parts(len: usize, border: usize) -> Result<Self, OsError> {
        let mapped = len.checked_next_multiple_of(4096).ok_or(NO_ROOM)?;
        let align = if mapped.saturating_sub(border) >= HUGE { HUGE } else { 4096 };
        let room = mapped.checked_add(align).ok_or(NO_ROOM)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let base = mmap(ptr::null_mut(), room, libc::PROT_READ, flags, -1)?.as_ptr();
        let before = base.wrapping_add(border).align_offset(align);
        let start = base.wrapping_add(before);
        unmap(base, before);
        unmap(start.wrapping_add(mapped), room.saturating_sub(before).saturating_sub(mapped));
        // From here on it is unmapped by `drop`.
        let range = Self { start: NonNull::new(start).ok_or(NO_ROOM)?, len, mapped };
        range.leave_out_of_forks(start, mapped)?;
        Ok(range)
    }

    /// Maps `len` bytes of `fd` from `from` at `offset` of a range [in parts](Self::in_parts), to be written too or not.
    /// Both begin on a page.
    pub(crate) fn put(&self, offset: usize, fd: RawFd, from: u64, len: usize, writable: bool) -> Result<(), OsError> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.len);
        if !inside || len == 0 {
            return Err(NO_ROOM);
        }
        let permissions = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let at = self.start.as_ptr().wrapping_add(offset);
        mmap_from(at, len, permissions, libc::MAP_SHARED | libc::MAP_FIXED, fd, from)?;
        self.leave_out_of_forks(at, len)
    }

    fn leave_out_of_forks(&self, at: *mut u8, len: usize) -> Result<(), OsError> {
        // SAFETY: 1; a part of the range. Changes nothing but what a fork does.
        let done = unsafe { libc::madvise(at.cast(), len, libc::MADV_DONTFORK) };
        if done == 0 { Ok(()) } else { Err(OsError::last("madvise(MADV_DONTFORK)")) }
    }

    /// Its first byte.
    #[inline]
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// How many bytes of the file were asked for.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many are mapped, in whole pages.
    pub(crate) fn mapped(&self) -> usize {
        self.mapped
    }

    /// Waits until `len` bytes from `offset` are where the file is, with what is before them in their page.
    pub(crate) fn flush(&self, offset: usize, len: usize) -> Result<(), OsError> {
        // SAFETY: plain numbers.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096).max(1);
        let before = offset % page;
        let (offset, len) = (offset - before, len.saturating_add(before));
        let start = self.start.as_ptr().wrapping_add(offset.min(self.mapped));
        let len = len.min(self.mapped.saturating_sub(offset));
        // SAFETY: 1; changes no byte.
        if unsafe { libc::msync(start.cast(), len, libc::MS_SYNC) } == 0 { Ok(()) } else { Err(OsError::last("msync")) }
    }
}

impl From<MmapMut> for Range {
    fn from(mut map: MmapMut) -> Self {
        let (start, len) = (NonNull::from(&mut map[..]).cast(), map.len());
        // `drop` unmaps it in its stead.
        core::mem::forget(map);
        Self { start, len, mapped: len }
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        unmap(self.start.as_ptr(), self.mapped);
    }
}

/// What the kernel says when the addresses run out.
const NO_ROOM: OsError = OsError { call: "mmap", code: libc::ENOMEM };

/// Maps `len` bytes of `fd` at a multiple of `align`, a power of two; `len` is one of pages.
fn map(fd: RawFd, len: usize, align: usize) -> Result<NonNull<u8>, OsError> {
    let (shared, read_write) = (libc::MAP_SHARED, libc::PROT_READ | libc::PROT_WRITE);
    if align <= 4096 {
        return mmap(ptr::null_mut(), len, read_write, shared, fd);
    }
    let room = len.checked_add(align).ok_or(NO_ROOM)?;
    let nothing = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let base = mmap(ptr::null_mut(), room, libc::PROT_NONE, nothing, -1)?.as_ptr();
    let before = base.align_offset(align);
    let start = base.wrapping_add(before);
    let made = mmap(start, len, read_write, shared | libc::MAP_FIXED, fd);
    if made.is_ok() {
        unmap(base, before);
        unmap(start.wrapping_add(len), room.saturating_sub(before).saturating_sub(len));
    } else {
        unmap(base, room);
    }
    made
}

fn mmap(at: *mut u8, len: usize, permissions: i32, flags: i32, fd: RawFd) -> Result<NonNull<u8>, OsError> {
    mmap_from(at, len, permissions, flags, fd, 0)
}

fn mmap_from(
    at: *mut u8,
    len: usize,
    permissions: i32,
    flags: i32,
    fd: RawFd,
    from: u64,
) -> Result<NonNull<u8>, OsError> {
    let from = libc::off_t::try_from(from).map_err(|_| NO_ROOM)?;
    // SAFETY: 2.
    let start = unsafe { libc::mmap(at.cast(), len, permissions, flags, fd, from) };
    let start = if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) };
    start.ok_or_else(|| OsError::last("mmap"))
}

/// Unmaps a range that this file has mapped.
fn unmap(start: *mut u8, len: usize) {
    if len > 0 {
        // SAFETY: 1 and 2. Of whole mappings it cannot fail.
        unsafe { libc::munmap(start.cast(), len) };
    }
}
