//! The loom twin of `region/slots.rs`, with the tracked cells of the claims.
//!
//! loom's read-modify-write always acts on the newest store, so that a repairer's compare-and-swap never overtakes a
//! live owner's commit, however weak the orderings. The *decision* to swap is what can be premature. So each
//! (position, attempt) has a cell: the owner writes it right after its claim, a repairer reads it right before its
//! swap, and where the protocol did not order the two loom reports a race.

use std::vec::Vec;

use super::{Region, Span, Tracked};
use crate::layout::SlotHeader;
use crate::position::Position;
use crate::sync::{Ordering, Word};

const POSITIONS: u64 = 8;
const ATTEMPTS: u64 = 4;

/// A cell for each write at eight positions, and for each read at eight positions and four attempts.
pub(super) fn claim_cells() -> Vec<Tracked> {
    (0..POSITIONS * (ATTEMPTS + 1)).map(|_| Tracked::default()).collect()
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots<'m> {
    region: Region<'m>,
    first: usize,
    mask: u64,
    stride: usize,
}

impl<'m> Region<'m> {
    pub(crate) fn slots(&self, offset: u64, count: u64, stride: u64) -> Option<Slots<'m>> {
        let first = usize::try_from(offset).ok()?.checked_sub(self.model.data_offset)? / 8;
        let ok = count.is_power_of_two() && offset + count * stride <= self.len() as u64;
        ok.then(|| Slots { region: *self, first, mask: count - 1, stride: stride as usize / 8 })
    }
}

impl<'m> Slots<'m> {
    pub(crate) fn count(&self) -> u64 {
        self.mask + 1
    }

    pub(crate) fn at(&self, position: Position) -> Slot<'m> {
        let first = self.first + (position.get() & self.mask) as usize * self.stride;
        Slot { region: self.region, first, room: (self.stride * 8 - size_of::<SlotHeader>()) as u64 }
    }

    pub(crate) fn walk(&self, most: u64, alone: bool) -> Walk<'m> {
        let limit = most as usize + 1;
        let limits = if alone { (0, limit) } else { (limit, 0) };
        Walk { slots: *self, at: Position::new(0), limit: 0, alone: 0, kept: 0, limits }
    }

    fn cell(&self, writing: bool, position: Position, attempt: u64) -> Option<&'m Tracked> {
        let row = if writing { 0 } else { 1 + attempt.min(ATTEMPTS - 1) };
        self.region.model.claims.get((row * POSITIONS + position.get() % POSITIONS) as usize)
    }

    pub(crate) fn ahead(&self, _position: Position) -> Ahead {
        Ahead
    }

    pub(crate) fn note_claim(&self, writing: bool, position: Position, attempt: u64) {
        if let Some(cell) = self.cell(writing, position, attempt) {
            cell.write();
        }
    }

    pub(crate) fn note_decision(&self, writing: bool, position: Position, attempt: u64) {
        if let Some(cell) = self.cell(writing, position, attempt) {
            cell.read();
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot<'m> {
    region: Region<'m>,
    first: usize,
    room: u64,
}

impl<'m> Slot<'m> {
    pub(crate) fn word(&self) -> &'m Word {
        &self.region.model.data[self.first].0
    }

    pub(crate) fn load_meta(&self, ordering: Ordering) -> u64 {
        let (atomic, cell) = &self.region.model.data[self.first + 1];
        cell.read();
        atomic.load(ordering)
    }

    pub(crate) fn store_meta(&self, meta: u64, ordering: Ordering) {
        let (atomic, cell) = &self.region.model.data[self.first + 1];
        cell.write();
        atomic.store(meta, ordering);
    }

    pub(crate) fn span(&self, len: u64) -> Option<Span<'m>> {
        Some(self.with(len)?.payload())
    }

    pub(crate) fn with(self, len: u64) -> Option<Self> {
        (len <= self.room).then_some(Self { room: len, ..self })
    }

    pub(crate) fn prefetch_write(&self) {}

    pub(crate) fn room(&self) -> usize {
        self.room as usize
    }

    pub(crate) fn payload(&self) -> Span<'m> {
        let first = self.first + size_of::<SlotHeader>() / 8;
        Span { model: self.region.model, first, len: self.room() }
    }
}

/// The loom twin of `region/walk.rs`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'m> {
    slots: Slots<'m>,
    at: Position,
    limit: usize,
    alone: usize,
    kept: usize,
    limits: (usize, usize),
}

impl<'m> Walk<'m> {
    pub(crate) fn begin_at(&mut self, position: Position) {
        self.at = position;
        (self.limit, self.alone) = self.limits;
    }

    pub(crate) fn forget(&mut self) {
        (self.limit, self.alone) = (0, 0);
    }

    pub(crate) fn rest(&mut self) {
        self.kept = self.limit;
        self.limit = 0;
    }

    pub(crate) fn go_on(&mut self) {
        self.limit = self.kept;
    }

    fn pass(&mut self, claims: impl FnOnce(Slot<'m>) -> bool) -> Option<Passed<'m>> {
        let slot = self.slots.at(self.at);
        if !claims(slot) {
            return None;
        }
        self.at = self.at.plus(1);
        Some(Passed { slot, ahead: Ahead, last: self.at.get() & self.slots.mask == 0 })
    }

    pub(crate) fn take(&mut self, len: usize, claims: impl FnOnce(Slot<'m>) -> bool) -> Option<Passed<'m>> {
        if len < self.limit { self.pass(claims) } else { None }
    }

    pub(crate) fn take_alone(&mut self, len: usize, claims: impl FnOnce(Slot<'m>) -> bool) -> Option<Passed<'m>> {
        if len < self.alone { self.pass(claims) } else { None }
    }

    pub(crate) fn take_any(&mut self, claims: impl FnOnce(Slot<'m>) -> bool) -> Option<Passed<'m>> {
        if self.limit != 0 { self.pass(claims) } else { None }
    }

    pub(crate) fn ahead(&self) -> Ahead {
        Ahead
    }

    pub(crate) fn slot(&self) -> Option<Slot<'m>> {
        (self.limit | self.alone != 0).then(|| self.slots.at(self.at))
    }
}

/// What a walk has passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed<'m> {
    pub(crate) slot: Slot<'m>,
    pub(crate) ahead: Ahead,
    pub(crate) last: bool,
}

/// Nothing to hint at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead;

impl Ahead {
    pub(crate) fn prefetch_write(self) {}
}
