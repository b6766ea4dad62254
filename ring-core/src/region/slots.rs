//! The slots of an MPMC ring: equal pieces of the region, each a word, a meta word and room for a payload. Part of
//! `region.rs` in spirit and in its safety rules; under loom `model/slots.rs` stands in for it.
//!
//! # Safety
//!
//! R6. A `Slots` lies inside a region: `base` is a multiple of 8, `stride` too, `mask + 1` is a power of two, and
//!     `base .. base + (mask + 1) * stride` is inside; `stride >= 16 + room`, `room` a multiple of 8.
//! R7. A `Slot`'s base is `base + i * stride` of some `Slots`, `i <= mask`, its room at most theirs.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::mem::{offset_of, size_of};
use core::ptr::NonNull;

use super::hint::{OWNED, prefetch_write};
use super::{Ahead, Region, Span};
use crate::layout::SlotHeader;
use crate::position::Position;
use crate::sync::{Ordering, Word};

/// How many slots past a claim the line is asked for that the next claims will write to: those of producers, and of consumers
/// too, who give slots back. Figures: decisions 0010 and 0036.
pub(super) const AHEAD: u64 = 8;

/// All slots of a ring, addressed by ever-growing positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots<'m> {
    pub(super) base: NonNull<u8>,
    pub(super) mask: u64,
    pub(super) stride: usize,
    pub(super) room: usize,
    memory: PhantomData<&'m [Word]>,
}

// SAFETY: as for `Region`.
unsafe impl Send for Slots<'_> {}
// SAFETY: as for `Region`.
unsafe impl Sync for Slots<'_> {}

impl<'m> Region<'m> {
    /// `count` slots of `stride` bytes at `offset`; `None` where R6 would not hold.
    pub(crate) fn slots(&self, offset: u64, count: u64, stride: u64) -> Option<Slots<'m>> {
        let (offset, stride) = (usize::try_from(offset).ok()?, usize::try_from(stride).ok()?);
        let bytes = usize::try_from(count).ok()?.checked_mul(stride)?;
        let room = stride.checked_sub(size_of::<SlotHeader>())?;
        let aligned = (offset | stride) % 8 == 0 && count.is_power_of_two();
        if !aligned || offset.checked_add(bytes)? > self.len() {
            return None;
        }
        let base = self.address(offset)?;
        Some(Slots { base, mask: count.wrapping_sub(1), stride, room, memory: PhantomData })
    }
}

impl<'m> Slots<'m> {
    /// How many there are.
    #[inline(always)]
    pub(crate) fn count(&self) -> u64 {
        self.mask.wrapping_add(1)
    }

    /// The slot that `position` falls on.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "R6: all indices fit, or the region would not")]
    pub(crate) fn at(&self, position: Position) -> Slot<'m> {
        let offset = ((position.get() & self.mask) as usize).wrapping_mul(self.stride);
        // SAFETY: R6, the index is masked.
        Slot { base: unsafe { self.base.add(offset) }, room: self.room, memory: PhantomData }
    }

    /// The line that a claim soon after that of `position` will write to.
    #[inline(always)]
    pub(crate) fn ahead(&self, position: Position) -> Ahead {
        Ahead(self.at(position.plus(AHEAD)).base)
    }

    /// For models: the claim of `position` has succeeded. Nothing here.
    #[inline(always)]
    pub(crate) fn note_claim(&self, _writing: bool, _position: Position, _attempt: u64) {}

    /// For models: a repairer is about to settle the claim of `position`. Nothing here.
    #[inline(always)]
    pub(crate) fn note_decision(&self, _writing: bool, _position: Position, _attempt: u64) {}
}

/// One slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot<'m> {
    pub(super) base: NonNull<u8>,
    pub(super) room: usize,
    pub(super) memory: PhantomData<&'m [Word]>,
}

// SAFETY: as for `Region`.
unsafe impl Send for Slot<'_> {}
// SAFETY: as for `Region`.
unsafe impl Sync for Slot<'_> {}

impl<'m> Slot<'m> {
    /// The word that says whose the slot is.
    #[inline(always)]
    pub(crate) fn word(&self) -> &'m Word {
        let at = self.base.cast::<Word>();
        // SAFETY: R7: in bounds and aligned; R2 of `region.rs` for access.
        unsafe { at.as_ref() }
    }

    #[inline(always)]
    fn meta(&self) -> &'m Word {
        // SAFETY: R6: a slot is at least as long as its header.
        let at = unsafe { self.base.add(offset_of!(SlotHeader, meta)) }.cast::<Word>();
        // SAFETY: as for the word.
        unsafe { at.as_ref() }
    }

    /// Loads length and tag.
    #[inline(always)]
    pub(crate) fn load_meta(&self, ordering: Ordering) -> u64 {
        self.meta().load(ordering)
    }

    /// Stores length and tag. The slot belongs to the caller.
    #[inline(always)]
    pub(crate) fn store_meta(&self, meta: u64, ordering: Ordering) {
        self.meta().store(meta, ordering);
    }

    /// The first `len` bytes of the payload; `None` where there is no room for them.
    #[inline(always)]
    pub(crate) fn span(&self, len: u64) -> Option<Span<'m>> {
        Some(self.with(len)?.payload())
    }

    /// The slot with room for `len` bytes and no more; `None` where it has less.
    #[inline(always)]
    pub(crate) fn with(self, len: u64) -> Option<Self> {
        let room = usize::try_from(len).ok()?;
        (room <= self.room).then_some(Self { room, ..self })
    }

    /// As many bytes of payload as it has room for.
    #[inline(always)]
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// Asks to own its lines as far as its room goes, but for the first, which is stored to in any case. A hint.
    #[inline(always)]
    pub(crate) fn prefetch_write(&self) {
        let bytes = self.room.wrapping_add(size_of::<SlotHeader>()).min(OWNED.wrapping_mul(64));
        let mut by = 64;
        while by < bytes {
            // SAFETY: R6, R7: before the end of the slot.
            prefetch_write(unsafe { self.base.add(by) });
            by = by.wrapping_add(64);
        }
    }

    /// These bytes.
    #[inline(always)]
    pub(crate) fn payload(&self) -> Span<'m> {
        // SAFETY: R6: the room begins after the header.
        let base = unsafe { self.base.add(size_of::<SlotHeader>()) };
        // R7: at most the room of all slots, which is a multiple of 8, so R5 holds for the span.
        Span { base, len: self.room, memory: PhantomData }
    }
}
