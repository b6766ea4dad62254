//! System V shared memory: the four system calls, and an attachment that ends when it is dropped.
//!
//! `sysv.rs` and `mapping.rs` call it. It decides nothing.
//!
//! # Safety
//!
//! 1. `address` is where `shmat` has put `mapped` bytes in this process, of which `len` are lent, and is detached once, in
//!    `drop`.
//! 2. Every pointer handed to the kernel comes from a live local of the type that the call asks for.
#![allow(unsafe_code)]
// The widths of libc types differ between targets.
#![allow(clippy::unnecessary_cast, clippy::useless_conversion)]

use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use crate::error::OsError;

/// The facts about a segment that this crate looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShmStat {
    pub(crate) key: i32,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    /// How many attachments there are, in all processes.
    pub(crate) attached: u64,
}

/// Makes the segment `key` of `len` bytes; `EEXIST` if there is one.
pub(crate) fn create(key: i32, len: u64, mode: u32) -> Result<i32, OsError> {
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | mode as libc::c_int;
    // SAFETY: plain numbers.
    let id = unsafe { libc::shmget(key, usize::try_from(len).unwrap_or(usize::MAX), flags) };
    if id < 0 { Err(OsError::last("shmget")) } else { Ok(id) }
}

/// The segment that `key` means now.
pub(crate) fn find(key: i32) -> Result<i32, OsError> {
    // SAFETY: plain numbers.
    let id = unsafe { libc::shmget(key, 0, 0) };
    if id < 0 { Err(OsError::last("shmget")) } else { Ok(id) }
}

fn raw_stat(id: i32) -> Result<libc::shmid_ds, OsError> {
    let mut raw = MaybeUninit::<libc::shmid_ds>::zeroed();
    // SAFETY: 2.
    if unsafe { libc::shmctl(id, libc::IPC_STAT, raw.as_mut_ptr()) } < 0 {
        return Err(OsError::last("shmctl(IPC_STAT)"));
    }
    // SAFETY: 2; plain numbers, which were zero before the kernel filled them.
    Ok(unsafe { raw.assume_init() })
}

pub(crate) fn stat(id: i32) -> Result<ShmStat, OsError> {
    let raw = raw_stat(id)?;
    Ok(ShmStat {
        key: raw.shm_perm.__key,
        size: raw.shm_segsz as u64,
        mode: u32::from(raw.shm_perm.mode) & 0o777,
        owner: raw.shm_perm.uid,
        attached: raw.shm_nattch as u64,
    })
}

/// Gives the segment to a group.
pub(crate) fn set_group(id: i32, group: u32) -> Result<(), OsError> {
    let mut raw = raw_stat(id)?;
    raw.shm_perm.gid = group;
    // SAFETY: 2.
    let done = unsafe { libc::shmctl(id, libc::IPC_SET, &mut raw) };
    if done < 0 { Err(OsError::last("shmctl(IPC_SET)")) } else { Ok(()) }
}

/// Removes the segment: its key is free at once, its memory when the last attachment has gone.
pub(crate) fn remove(id: i32) -> Result<(), OsError> {
    // SAFETY: plain numbers; this command takes no structure.
    let done = unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) };
    if done < 0 { Err(OsError::last("shmctl(IPC_RMID)")) } else { Ok(()) }
}

/// Removes the segment if nobody has it attached and its word at `unused` is 0. Whether it is done.
pub(crate) fn remove_unused(id: i32, unused: usize) -> bool {
    let mut word = [1; 8];
    stat(id).is_ok_and(|stat| stat.attached == 0)
        && Attached::new(id, unused.saturating_add(8), false).is_ok_and(|shm| shm.copy_out(&mut word, unused) == 8)
        && word == [0; 8]
        && remove(id).is_ok()
}

/// A segment in the address space of this process, and of no child.
#[derive(Debug)]
pub(crate) struct Attached {
    address: NonNull<u8>,
    len: usize,
    mapped: usize,
}

// SAFETY: an address and a length; whoever uses them answers for that.
unsafe impl Send for Attached {}
// SAFETY: as above.
unsafe impl Sync for Attached {}

impl Attached {
    /// Attaches the first `len` bytes of a segment that has at least as many.
    pub(crate) fn new(id: i32, len: usize, write: bool) -> Result<Self, OsError> {
        // It is attached whole, however much of it is wanted.
        let mapped = usize::try_from(stat(id)?.size).unwrap_or(len);
        let flags = if write { 0 } else { libc::SHM_RDONLY };
        // SAFETY: no address is asked for, so nothing that is mapped is replaced.
        let address = unsafe { libc::shmat(id, ptr::null(), flags) };
        // The call fails with -1 for an address.
        let address = NonNull::new(address.cast::<u8>()).filter(|address| address.as_ptr().addr() != usize::MAX);
        let attached = Self { address: address.ok_or_else(|| OsError::last("shmat"))?, len, mapped };
        // SAFETY: 1; the range has just been attached, and the advice changes nothing in this process.
        let done = unsafe { libc::madvise(attached.address.as_ptr().cast(), attached.mapped, libc::MADV_DONTFORK) };
        if done < 0 { Err(OsError::last("madvise(MADV_DONTFORK)")) } else { Ok(attached) }
    }

    pub(crate) fn as_ptr(&self) -> NonNull<u8> {
        self.address
    }

    /// How many bytes were asked for.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many bytes the segment has.
    pub(crate) fn mapped(&self) -> usize {
        self.mapped
    }

    /// Copies words from `offset`, a multiple of 8, into `buf`, as they are each at some moment; what lies beyond the end
    /// is left out. How many bytes there were.
    pub(crate) fn copy_out(&self, buf: &mut [u8], offset: usize) -> usize {
        let len = buf.len().min(self.len.saturating_sub(offset));
        let (buf, mut at) = (buf.get_mut(..len).unwrap_or_default(), offset & !7);
        for part in buf.chunks_mut(8) {
            // SAFETY: 1; `at` is a multiple of 8 below `len`, and a page, which is all there, ends at such a one. Others
            // write to these bytes, so there is neither a reference to them nor a plain load of them.
            let word = unsafe { self.address.as_ptr().wrapping_add(at).cast::<u64>().read_volatile() };
            for (to, from) in part.iter_mut().zip(word.to_ne_bytes()) {
                *to = from;
            }
            at = at.wrapping_add(8);
        }
        len
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: 1.
        unsafe { libc::shmdt(self.address.as_ptr().cast()) };
    }
}

#[cfg(test)]
mod tests;
