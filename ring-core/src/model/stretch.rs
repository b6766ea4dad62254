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
    area: Area<'m>,
    at: Position,
    span: Span<'m>,
}

impl<'m> Area<'m> {
    pub(crate) fn stretch(&self, position: Position, bytes: u64) -> Stretch<'m> {
        let most = (self.mask as u64 + 1) - (position.get() & self.mask as u64) - HEADER;
        Stretch { area: *self, at: position, left: bytes.min(most) & !7 }
    }

    pub(crate) fn record(&self, position: Position, len: usize, size: u64) -> Option<(Taken<'m>, Stretch<'m>)> {
        let span = self.span(position.plus(HEADER), len as u64)?;
        Some((Taken { area: *self, at: position, span }, self.stretch(position.plus(size), 0)))
    }
}

impl<'m> Stretch<'m> {
    pub(crate) fn position(&self) -> Position {
        self.at
    }

    pub(crate) fn position_of(&self, taken: &Taken<'_>) -> Position {
        taken.at
    }

    pub(crate) fn load_header(&self, ordering: Ordering) -> u64 {
        self.area.load_header(self.at, ordering)
    }

    pub(crate) fn store_header(&self, word: u64, ordering: Ordering) {
        self.area.store_header(self.at, word, ordering);
    }

    pub(crate) fn take(&mut self, len: usize, geometry: &Geometry) -> Option<Taken<'m>> {
        let (at, size) = (self.at, geometry.size_of(len)? as u64);
        let left = self.left.checked_sub(size)?;
        let span = self.area.span(at.plus(HEADER), len as u64)?;
        (self.at, self.left) = (at.plus(size), left);
        Some(Taken { area: self.area, at, span })
    }

    pub(crate) fn is_past_line_of(&self, taken: &Taken<'_>) -> bool {
        (self.at.get() ^ taken.at.get()) >= 64
    }
}

impl<'m> Taken<'m> {
    pub(crate) fn span(&self) -> Span<'m> {
        self.span
    }

    pub(crate) fn store_header(&self, word: u64, ordering: Ordering) {
        self.area.store_header(self.at, word, ordering);
    }
}
