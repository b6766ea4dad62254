//! Raw bytes, wherever they come from, seen as atomic words. With its parts (`region/`) the only place of the crate that
//! turns addresses into references, and where payload bytes move. Under loom `model.rs` stands in for it.
//!
//! # Safety
//!
//! R1. A `Region` spans `len` bytes at `base`, readable and writable for `'m`, `base` is a multiple of 128.
//! R2. For `'m` these bytes are reached by this process only through atomics, or through slices for which the
//!     caller of an `unsafe` function has answered. Other processes may write anything at any time.
//!     In the parts of a strict ring (`spsc/strict.rs`) some of them are only readable: those that its handle's own side
//!     never writes.
//! R3. An `Area` lies inside a region, its length `mask + 1` is a power of two ≥ 8. Its base is a multiple of 64, or 8 bytes
//!     before one; there the region has had at least `CONTROL_SIZE` bytes.
//! R4. A `Control` has `CONTROL_SIZE` bytes of a region, its base is a multiple of 128.
//! R5. A `Span` lies inside an area, its base is a multiple of 8, and `len` rounded up to 8 is still inside.
#![allow(unsafe_code)]

use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use crate::layout::CONTROL_SIZE;
use crate::position::Position;
use crate::record::BEYOND;
use crate::sync::{Ordering, Word};

mod alike;
mod copy;
mod hint;
mod members;
mod slots;
mod span;
mod stretch;
mod walk;

pub(crate) use alike::Alike;
pub(crate) use members::Members;
pub(crate) use slots::{Slot, Slots};
pub(crate) use span::Span;
pub(crate) use stretch::{Behind, Stretch, Taken};
pub(crate) use walk::{Ahead, Passed, Walk};

/// 128 bytes of ring memory. A slice of lines is a safe home for a ring in a `static` or on the heap.
#[repr(C, align(128))]
pub struct Line([Word; 16]);

impl Line {
    /// A zeroed line.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { Word::new(0) }; 16])
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

/// Why bytes cannot be a [`Region`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegionError {
    /// The address is not a multiple of 128.
    Misaligned {
        /// Its remainder modulo 128.
        remainder: usize,
    },
    /// More bytes than a pointer offset can span.
    TooLong,
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned { remainder } => {
                write!(f, "the region starts {remainder} bytes past a multiple of 128: align it")
            }
            Self::TooLong => f.write_str("the region is longer than isize::MAX bytes"),
        }
    }
}

impl core::error::Error for RegionError {}

/// Address and length of raw bytes that hold, or will hold, one ring.
#[derive(Clone, Copy)]
pub struct Region<'m> {
    base: NonNull<u8>,
    len: usize,
    memory: PhantomData<&'m [Word]>,
}

// SAFETY: by R2 all access is atomic or answered for by an unsafe caller, whichever thread makes it.
unsafe impl Send for Region<'_> {}
// SAFETY: as above.
unsafe impl Sync for Region<'_> {}

impl<'m> Region<'m> {
    /// The region made of `lines`.
    ///
    /// ```
    /// use ring_core::{Line, Region};
    /// static MEMORY: [Line; 64] = [const { Line::new() }; 64];
    /// assert_eq!(Region::new(&MEMORY).len(), 64 * 128);
    /// ```
    #[must_use]
    pub fn new(lines: &'m [Line]) -> Self {
        Self { base: NonNull::from(lines).cast(), len: size_of_val(lines), memory: PhantomData }
    }

    /// The region of `len` bytes at `base`.
    ///
    /// # Errors
    /// [`RegionError`] when `base` is not a multiple of 128 or `len` exceeds `isize::MAX`.
    ///
    /// # Safety
    /// For `'m` the bytes must be mapped readable and writable, must not be covered by any Rust reference, and must
    /// be accessed in this process only through `ring-core` (R1, R2). Other processes may do what they like.
    pub unsafe fn from_raw_parts(base: NonNull<u8>, len: usize) -> Result<Self, RegionError> {
        let remainder = base.addr().get() % 128;
        if remainder != 0 {
            return Err(RegionError::Misaligned { remainder });
        }
        if isize::try_from(len).is_err() {
            return Err(RegionError::TooLong);
        }
        Ok(Self { base, len, memory: PhantomData })
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is not a single byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Address of the byte at `offset`, for the platform's wait calls; `None` outside.
    #[must_use]
    pub fn address(&self, offset: usize) -> Option<NonNull<u8>> {
        // SAFETY: R1, and the offset was checked to be inside.
        (offset < self.len).then(|| unsafe { self.base.add(offset) })
    }

    /// The word at `offset`; `None` outside or when `offset` is no multiple of 8.
    pub(crate) fn word(&self, offset: usize) -> Option<&'m Word> {
        if offset % 8 != 0 || offset.checked_add(8)? > self.len {
            return None;
        }
        let at = self.address(offset)?.cast::<Word>();
        // SAFETY: R1 with the bound just checked; aligned since base and offset are multiples of 8; R2 for access.
        Some(unsafe { at.as_ref() })
    }

    /// The control block at the start; `None` where there is no room for one.
    pub(crate) fn control(&self) -> Option<Control<'m>> {
        (self.len as u64 >= CONTROL_SIZE).then_some(Control { base: self.base, memory: PhantomData })
    }

    /// What lies behind the first `offset` bytes, a multiple of 128; `None` where nothing does.
    pub(crate) fn behind(&self, offset: usize) -> Option<Self> {
        let len = self.len.checked_sub(offset).filter(|_| offset % 128 == 0)?;
        Some(Self { base: self.address(offset)?, len, memory: PhantomData })
    }

    /// The power-of-two area of `capacity` bytes at `offset`; `None` where R3 would not hold.
    pub(crate) fn area(&self, offset: u64, capacity: u64) -> Option<Area<'m>> {
        let (offset, capacity) = (usize::try_from(offset).ok()?, usize::try_from(capacity).ok()?);
        // By R1 what is so far from the base is a multiple of 64.
        let line = offset.checked_add(offset & 8)?;
        let inside = line % 64 == 0 && line as u64 >= CONTROL_SIZE && offset.checked_add(capacity)? <= self.len;
        if !inside || capacity < 8 || !capacity.is_power_of_two() {
            return None;
        }
        let base = self.address(offset)?;
        // R13. Memory so near to the end of what can be addressed is nowhere to be had.
        base.addr().get().checked_add(capacity)?.checked_add(BEYOND)?;
        Some(Area { base, mask: capacity.wrapping_sub(1), memory: PhantomData })
    }
}

impl fmt::Debug for Region<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("len", &self.len).finish_non_exhaustive()
    }
}

/// The control block: its words have fixed offsets, so they are found without a check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control<'m> {
    base: NonNull<u8>,
    memory: PhantomData<&'m [Word]>,
}

// SAFETY: as for `Region`.
unsafe impl Send for Control<'_> {}
// SAFETY: as for `Region`.
unsafe impl Sync for Control<'_> {}

impl<'m> Control<'m> {
    /// The word at `OFFSET`.
    #[inline(always)]
    pub(crate) fn word<const OFFSET: usize>(&self) -> &'m Word {
        const { assert!(OFFSET % 8 == 0 && OFFSET as u64 + 8 <= CONTROL_SIZE) };
        // SAFETY: R4 with the offset just checked.
        let at = unsafe { self.base.add(OFFSET) }.cast::<Word>();
        // SAFETY: R4: in bounds and aligned; R2.
        unsafe { at.as_ref() }
    }

    /// The control block as a region of its own, for cold code.
    #[expect(clippy::cast_possible_truncation, reason = "one page")]
    pub(crate) fn region(&self) -> Region<'m> {
        Region { base: self.base, len: CONTROL_SIZE as usize, memory: PhantomData }
    }
}

/// The data area: bytes addressed by ever-growing positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area<'m> {
    base: NonNull<u8>,
    mask: usize,
    memory: PhantomData<&'m [Word]>,
}

// SAFETY: as for `Region`.
unsafe impl Send for Area<'_> {}
// SAFETY: as for `Region`.
unsafe impl Sync for Area<'_> {}

impl<'m> Area<'m> {
    /// The byte offset of `position`, always inside.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the mask keeps only bits that a usize has")]
    fn offset(&self, position: Position) -> usize {
        position.get() as usize & self.mask
    }

    /// The word at `OFFSET` of the `CONTROL_SIZE` bytes before the area's first line. In an ordinary ring that is the control
    /// block; in a strict one it is where the *other* side's words are.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "one page")]
    pub(crate) fn word_before<const OFFSET: usize>(&self) -> &'m Word {
        const { assert!(OFFSET % 8 == 0 && OFFSET as u64 + 8 <= CONTROL_SIZE) };
        let to_line = self.base.addr().get() & 8;
        // SAFETY: R3 with the offset just checked, by which there are 8 bytes at least from there to the line.
        let at =
            unsafe { self.base.sub((CONTROL_SIZE as usize).wrapping_sub(OFFSET).wrapping_sub(to_line)) }.cast::<Word>();
        // SAFETY: R3: in bounds and aligned; R2.
        unsafe { at.as_ref() }
    }

    /// The word that `position` (rounded down to 8) falls on.
    #[inline(always)]
    fn word(&self, position: Position) -> &'m Word {
        let offset = self.offset(position) & !7;
        // SAFETY: R3: the masked offset is at most mask + 1 - 8.
        let at = unsafe { self.base.add(offset) }.cast::<Word>();
        // SAFETY: R3: in bounds and aligned; R2.
        unsafe { at.as_ref() }
    }

    /// Loads the header word at `position`.
    #[inline(always)]
    pub(crate) fn load_header(&self, position: Position, ordering: Ordering) -> u64 {
        self.word(position).load(ordering)
    }

    /// Stores the header word at `position`.
    #[inline(always)]
    pub(crate) fn store_header(&self, position: Position, word: u64, ordering: Ordering) {
        self.word(position).store(word, ordering);
    }

    /// The `len` bytes from `position` (a multiple of 8); `None` where they would cross the end of the area.
    #[inline(always)]
    pub(crate) fn span(&self, position: Position, len: u64) -> Option<Span<'m>> {
        let offset = self.offset(position) & !7;
        let room = self.mask.wrapping_add(1).wrapping_sub(offset);
        let len = usize::try_from(len).ok()?;
        // `room` is a multiple of 8, so rounding `len` up to 8 stays inside: R5.
        // SAFETY: R3, `offset` is masked.
        (len <= room).then(|| Span { base: unsafe { self.base.add(offset) }, len, memory: PhantomData })
    }
}
