//! The loom twin of a stretch, and of records alike in it.

use super::{Area, Span};
use crate::position::Position;
use crate::record::{Geometry, HEADER, step_of};
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

#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind<'m>(Option<Stretch<'m>>);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Alike<'m> {
    rest: Stretch<'m>,
    places: u64,
    len: usize,
    size: u64,
}

/// Of a train; see `region/members.rs`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members<'m> {
    area: Area<'m>,
    at: Position,
    len: usize,
    left: usize,
}

impl<'m> Area<'m> {
    pub(crate) fn members(&self, record: Position, len: usize, count: usize) -> Option<Members<'m>> {
        let room = (self.mask as u64 + 1) - (record.get() & self.mask as u64) - HEADER;
        let fits = step_of(len as u64) * count as u64 <= room;
        fits.then_some(Members { area: *self, at: record, len, left: count })
    }

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

    pub(crate) fn here(&self) -> Taken<'m> {
        let span = self.area.span(self.at, 0).expect("nothing fits everywhere");
        Taken { area: self.area, at: self.at, span }
    }

    pub(crate) fn load_header(&self, ordering: Ordering) -> u64 {
        self.area.load_header(self.at, ordering)
    }

    pub(crate) fn store_header(&self, word: u64, ordering: Ordering) {
        self.area.store_header(self.at, word, ordering);
    }

    pub(crate) fn cut(&self, bytes: u64) -> Self {
        Self { left: self.left.min(bytes) & !7, ..*self }
    }

    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    pub(crate) fn ask(&self) {}

    pub(crate) fn behind(&self) -> Behind<'m> {
        Behind(Some(*self))
    }

    pub(crate) fn pass(&mut self, behind: &Behind<'m>) -> bool {
        match behind.0 {
            Some(rest) if rest.at.plus(rest.left) == self.at.plus(self.left) => {
                *self = rest;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn take(&mut self, len: usize, geometry: &Geometry) -> Option<Taken<'m>> {
        let (at, size) = (self.at, geometry.size_of(len)? as u64);
        let left = self.left.checked_sub(size)?;
        let span = self.area.span(at.plus(HEADER), len as u64)?;
        (self.at, self.left) = (at.plus(size), left);
        Some(Taken { area: self.area, at, span })
    }

    pub(crate) fn alike(&self, len: usize, most: usize, bytes: u64, geometry: &Geometry) -> Alike<'m> {
        self.places(len, geometry.size_of(len).map_or(0, |size| size as u64), most, bytes)
    }

    pub(crate) fn no_members(&self) -> Members<'m> {
        Members { area: self.area, at: self.at, len: 0, left: 0 }
    }

    pub(crate) fn joining(&self, first: &Taken<'m>, count: usize, most: usize, bytes: u64) -> Option<Members<'m>> {
        let step = step_of(first.span.len() as u64);
        let at = first.at.plus(step * count as u64);
        if step == 0 || at.plus(HEADER) != self.at {
            return None;
        }
        let left = most.min((self.left.min(bytes) / step) as usize);
        Some(Members { area: self.area, at, len: first.span.len(), left })
    }

    pub(crate) fn behind_joined(&self, joined: &Members<'m>) -> Self {
        let by = joined.at.plus(HEADER).since(self.at);
        if by <= self.left { Self { at: self.at.plus(by), left: self.left - by, ..*self } } else { *self }
    }

    fn places(&self, len: usize, size: u64, most: usize, bytes: u64) -> Alike<'m> {
        let fits = self.left.min(bytes).checked_div(size).unwrap_or(0);
        Alike { rest: *self, places: fits.min(most as u64), len, size }
    }

    pub(crate) fn none_alike(&self) -> Alike<'m> {
        Alike { rest: *self, places: 0, len: 0, size: 0 }
    }
}

impl Behind<'_> {
    pub(crate) const UNKNOWN: Self = Self(None);

    pub(crate) const fn is_known(&self) -> bool {
        self.0.is_some()
    }
}

impl<'m> Alike<'m> {
    pub(crate) fn next(&self) -> Option<Stretch<'m>> {
        (self.places > 0).then_some(self.rest)
    }

    pub(crate) fn take(&mut self) -> Option<Taken<'m>> {
        self.places = self.places.checked_sub(1)?;
        let Stretch { area, at, left } = self.rest;
        let span = area.span(at.plus(HEADER), self.len as u64)?;
        (self.rest.at, self.rest.left) = (at.plus(self.size), left - self.size);
        Some(Taken { area, at, span })
    }

    pub(crate) fn rest(&self) -> Stretch<'m> {
        self.rest
    }
}

impl<'m> Members<'m> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }

    pub(crate) fn position(&self) -> Position {
        self.at
    }

    pub(crate) fn end(&self) -> Position {
        self.at.plus(step_of(self.len as u64) * self.left as u64)
    }

    pub(crate) fn take(&mut self) -> Option<Taken<'m>> {
        self.take_of(self.len)
    }

    pub(crate) fn take_of(&mut self, len: usize) -> Option<Taken<'m>> {
        if len != self.len {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let at = self.at;
        let span = self.area.span(at.plus(HEADER), len as u64)?;
        self.at = at.plus(step_of(len as u64));
        Some(Taken { area: self.area, at, span })
    }

    pub(crate) fn take_all_but(&mut self, left: usize) -> usize {
        let count = self.left.saturating_sub(left);
        self.at = self.at.plus(step_of(self.len as u64) * count as u64);
        self.left -= count;
        count
    }

    pub(crate) fn ask(&self, _bytes: usize) {}
}

impl<'m> Taken<'m> {
    pub(crate) fn alone(&self, record: Position) -> Members<'m> {
        Members { area: self.area, at: record, len: self.span.len(), left: 1 }
    }

    pub(crate) fn span(&self) -> Span<'m> {
        self.span
    }

    pub(crate) fn store_header(&self, word: u64, ordering: Ordering) {
        self.area.store_header(self.at, word, ordering);
    }
}
