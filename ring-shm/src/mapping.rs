//! One process's view of a segment: an address and a length, unmapped when dropped.
//!
//! Segments and leases make it; handles give its address to ring-core. It never makes a reference or a slice over
//! the bytes, which others write at any time, and it is never inherited: each mapping is `MADV_DONTFORK`.
//!
//! # Safety
//!
//! 1. `raw` is a mapping (or an attachment) of `len` bytes made by this process image (`born` is the number of that
//!    image), and nobody else unmaps it. It is dropped at most once, in `drop`.
//! 2. In a forked child the range is not mapped, and may have come to hold something else: there `raw` is never
//!    dropped.
#![allow(unsafe_code)]

use core::fmt;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use std::fs::File;
use std::os::fd::AsRawFd as _;

use memmap2::{MmapMut, MmapOptions};

use crate::error::{MapError, OsError};
use crate::fork::{self, Pause};
use crate::guard::Guarded;
use crate::range::Range;
use crate::shm::Attached;
use crate::sys;
use crate::sysv::{NAME_LEN, NAME_OFFSET};

/// Where the positions are: the rest of a ring is payload, and words beside it that say whose it is.
const CONTROL: usize = ring_core::CONTROL_SIZE as usize;

/// The bytes of a segment in the address space of this process, writable and shared with every other mapping.
///
/// It lends only an address. All access goes through ring-core's atomics, since a peer may write at any time; and
/// a peer that may write may also truncate the object, after which touching it is SIGBUS.
///
/// A child made by `fork` does not have the mapping: there [`Mapping::is_inherited`] is true, the address must not
/// be used, and dropping does nothing.
pub struct Mapping {
    raw: ManuallyDrop<Raw>,
    guarded: Option<Guarded>,
    born: u64,
}

/// A piece of a file for a mapping [in parts](Mapping::in_parts).
pub(crate) struct Piece<'a> {
    /// Where it is to lie.
    pub(crate) at: u64,
    pub(crate) of: &'a File,
    /// Where it begins in the file.
    pub(crate) from: u64,
    pub(crate) len: u64,
    pub(crate) writable: bool,
}

/// By what system call it came.
enum Raw {
    Mmap(Range),
    /// A strict ring's objects: some parts are only readable.
    Parts(Range),
    Shm(Attached),
}

impl Mapping {
    /// Maps the first `len` bytes of `file`, which has to have `size` bytes. No `fork` can come between the mapping
    /// and its `MADV_DONTFORK`: the caller holds the pause.
    pub(crate) fn new(file: &File, size: u64, len: u64, _pause: &Pause) -> Result<Self, MapError> {
        let stat = sys::stat(file.as_raw_fd())?;
        if stat.size != size {
            return Err(MapError::Resized { expected: size, found: stat.size });
        }
        let len = usize::try_from(len).map_err(|_| MapError::TooLarge { len: size })?;
        if isize::try_from(len).is_err() {
            return Err(MapError::TooLarge { len: size });
        }
        let raw = Range::of_file(file.as_raw_fd(), len, stat.unit)?;
        let guarded = Guarded::over(&raw)?;
        Ok(Self { raw: ManuallyDrop::new(Raw::Mmap(raw)), guarded, born: fork::epoch() })
    }

    /// A range for the objects of a strict ring, zeros to begin with.
    pub(crate) fn in_parts(len: u64, border: u64, _pause: &Pause) -> Result<Self, MapError> {
        let too_large = || MapError::TooLarge { len };
        let bytes = usize::try_from(len).ok().filter(|len| isize::try_from(*len).is_ok()).ok_or_else(too_large)?;
        let raw = Range::in_parts(bytes, usize::try_from(border).map_err(|_| too_large())?)?;
        Ok(Self { raw: ManuallyDrop::new(Raw::Parts(raw)), guarded: None, born: fork::epoch() })
    }

    /// Maps `piece` into such a range: for who has it to himself.
    pub(crate) fn put(&self, piece: &Piece<'_>, _pause: &Pause) -> Result<(), MapError> {
        let too_large = MapError::TooLarge { len: piece.len };
        let Raw::Parts(range) = &*self.raw else { return Err(too_large) };
        let (Ok(at), Ok(len)) = (usize::try_from(piece.at), usize::try_from(piece.len)) else { return Err(too_large) };
        Ok(range.put(at, piece.of.as_raw_fd(), piece.from, len, piece.writable)?)
    }

    /// Whether it is a strict ring's, of which this side cannot write all.
    pub(crate) fn is_in_parts(&self) -> bool {
        matches!(&*self.raw, Raw::Parts(_))
    }

    /// Attaches the first `len` bytes of the System V segment `id`. The caller holds the pause.
    pub(crate) fn attached(id: i32, len: u64, _pause: &Pause) -> Result<Self, MapError> {
        let too_large = MapError::TooLarge { len };
        let len = usize::try_from(len).ok().filter(|len| isize::try_from(*len).is_ok()).ok_or(too_large)?;
        let attached = Attached::new(id, len, true).map_err(|error| match error.code {
            libc::EINVAL | libc::EIDRM => MapError::Gone,
            _ => error.into(),
        })?;
        Ok(Self { raw: ManuallyDrop::new(Raw::Shm(attached)), guarded: None, born: fork::epoch() })
    }

    /// Writes the ring's name where a System V ring has it. Only before anybody else has the segment.
    pub(crate) fn write_name(&self, name: &str) {
        for (i, byte) in name.bytes().take(NAME_LEN).enumerate() {
            // SAFETY: 1; a System V segment has a whole control block, in which the name lies.
            unsafe { self.as_ptr().as_ptr().wrapping_add(NAME_OFFSET + i).write_volatile(byte) };
        }
    }

    /// The address of the first byte, aligned to a page. Valid while the mapping lives, in the process that made it.
    #[inline]
    #[must_use]
    pub fn as_ptr(&self) -> NonNull<u8> {
        match &*self.raw {
            Raw::Mmap(range) | Raw::Parts(range) => range.start(),
            Raw::Shm(attached) => attached.as_ptr(),
        }
    }

    /// The number of bytes, at least 1.
    #[inline]
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // a mapping is never empty
    pub fn len(&self) -> usize {
        match &*self.raw {
            Raw::Mmap(range) | Raw::Parts(range) => range.len(),
            Raw::Shm(attached) => attached.len(),
        }
    }

    /// Waits until what has been written is where the file is: first what lies behind the control block; then `between`
    /// may say so in that, and it follows.
    pub(crate) fn flush(&self, between: impl FnOnce()) -> Result<(), MapError> {
        if self.is_inherited() {
            return Err(MapError::Forked);
        }
        // What is flushed then is not the segment any more.
        if self.is_cut() {
            return Err(MapError::Lost);
        }
        // Only a file has a disk.
        let Raw::Mmap(range) = &*self.raw else { return Ok(()) };
        let control = CONTROL.min(self.len());
        range.flush(control, self.len() - control)?;
        between();
        range.flush(0, control)?;
        Ok(())
    }

    /// Whether somebody has cut the segment, and zero pages have taken its place.
    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.guarded.as_ref().is_some_and(Guarded::is_cut)
    }

    /// The number of bytes with what is mapped beyond the end of the segment, because pages are whole.
    pub(crate) fn mapped(&self) -> usize {
        match &*self.raw {
            Raw::Mmap(range) | Raw::Parts(range) => range.mapped(),
            Raw::Shm(attached) => attached.mapped(),
        }
    }

    /// Whether this is a forked child's copy of its parent's handle, without any memory behind it.
    #[inline]
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.born != fork::epoch()
    }
}

/// Memory of this process alone that stands for a segment: zero, and taking no memory, where nothing was written.
#[derive(Debug)]
pub(crate) struct PrivateCopy(MmapMut);

impl PrivateCopy {
    /// Of `len` bytes.
    pub(crate) fn new(len: u64) -> Result<Self, MapError> {
        let too_large = MapError::TooLarge { len };
        let len = usize::try_from(len).ok().filter(|len| isize::try_from(*len).is_ok()).ok_or(too_large)?;
        let copy = MmapOptions::new().len(len).no_reserve_swap().map_anon();
        Ok(Self(copy.map_err(|error| OsError::from_io("mmap", &error))?))
    }

    /// Writes `bytes` at `offset`; what lies beyond the end is left out.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get_mut(offset..)).unwrap_or_default();
        for (to, from) in rest.iter_mut().zip(bytes) {
            *to = *from;
        }
    }
}

impl From<PrivateCopy> for Mapping {
    fn from(copy: PrivateCopy) -> Self {
        Self { raw: ManuallyDrop::new(Raw::Mmap(Range::from(copy.0))), guarded: None, born: fork::epoch() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Before the range can be anybody else's.
        self.guarded = None;
        if !self.is_inherited() {
            // SAFETY: 1 and 2; this process image made it, and `raw` is not used again.
            unsafe { ManuallyDrop::drop(&mut self.raw) };
        }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("address", &self.as_ptr()).field("len", &self.len()).finish()
    }
}
