//! The loom twin of a stretch.

use super::{Area, Span};
use crate::position::Position;
use crate::record::{Geometry, HEADER};
use crate::sync::Ordering;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch<'m> {
    area: Area<'m>,
    at: Position,
    left: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken<'m> {
    pub(crate) span: Span<'m>,
    pub(crate) size: u64,
    pub(crate) rest: Stretch<'m>,
}

impl<'m> Area<'m> {
    pub(crate) fn stretch(&self, position: Position, bytes: u64) -> Stretch<'m> {
        let most = (self.mask as u64 + 1) - (position.get() & self.mask as u64) - HEADER;
        Stretch { area: *self, at: position, left: bytes.min(most) & !7 }
    }
}

impl<'m> Stretch<'m> {
    pub(crate) fn load_header(&self, ordering: Ordering) -> u64 {
        self.area.load_header(self.at, ordering)
    }

    pub(crate) fn store_header(&self, word: u64, ordering: Ordering) {
        self.area.store_header(self.at, word, ordering);
    }

    pub(crate) fn take(&self, len: usize, geometry: &Geometry) -> Option<Taken<'m>> {
        let size = geometry.record_size(len as u64);
        let left = self.left.checked_sub(size)?;
        let span = self.area.span(self.at.plus(HEADER), len as u64)?;
        Some(Taken { span, size, rest: Self { area: self.area, at: self.at.plus(size), left } })
    }
}
