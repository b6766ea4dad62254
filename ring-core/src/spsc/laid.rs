//! How the records of a claimed batch are laid out one after the other: those of one length and one tag as a train, behind one header.

use super::error::ClaimError;
use super::producer::Producer;
use crate::position::Position;
use crate::record::{padding_word, record_word, train_word};
use crate::region::{Members, Span, Stretch, Taken};
use crate::sync::ord;

/// How far the records are laid out. What takes time gets a copy and returns one: as long as nobody has its address, compilers keep it in
/// registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Laid<'m> {
    /// Where the next record (or the padding before it) goes, and how far from there on is known to be free.
    pub(super) at: Stretch<'m>,
    /// The header word at the tail, withheld until commit.
    first: u64,
    /// The records that were pushed last.
    group: Group<'m>,
    /// How many more there is room for, and how many there are.
    pub(super) left: usize,
    pub(super) pushed: usize,
}

/// Records behind one header, of whose kind others may join.
#[derive(Debug, Clone, Copy)]
struct Group<'m> {
    /// The first of them, behind whose header they all are.
    first: Taken<'m>,
    tag: u32,
    /// How many. From two on they are a train, and its header is not the one that is written.
    count: u32,
}

/// What comes behind payloads that have joined a train.
pub(super) enum Rest<P> {
    Nothing,
    /// One that does not join it. It has to be pushed by itself, for which there is room.
    Other(P),
    /// None of which it could be known.
    Unknown,
}

impl<'m> Laid<'m> {
    /// Nothing yet, where there is room for `room` records.
    #[inline(always)]
    pub(super) fn new(at: Stretch<'m>, room: usize) -> Self {
        Self { at, first: 0, group: Group { first: at.here(), tag: 0, count: 0 }, left: room, pushed: 0 }
    }

    /// Lays out one record: its header, or its place in a train, and its span.
    #[inline(always)]
    pub(super) fn place(&mut self, producer: &Producer<'m>, tag: u32, len: usize) -> Option<(Position, Span<'m>)> {
        if let Some(placed) = self.join(producer.train, tag, len) {
            return Some(placed);
        }
        let (mut rest, record) = (self.at, self.at.position());
        let taken = rest.take(len, &producer.geometry)?;
        if self.group.count > 1 {
            self.first = self.train_ended(producer.tail());
        }
        self.at = rest;
        self.begin(&taken, tag);
        Some((record, taken.span()))
    }

    /// Payloads that join the last record's train, which takes so many bytes at most.
    #[inline(always)]
    pub(super) fn push_alike<P: AsRef<[u8]>>(
        &mut self,
        longest: u16,
        payloads: &mut impl Iterator<Item = P>,
    ) -> Rest<P> {
        let Some(mut places) = self.alike(longest) else { return Rest::Unknown };
        let (most, mut rest) = (places.left(), Rest::Unknown);
        while places.left() > 0 {
            let Some(payload) = payloads.next() else {
                rest = Rest::Nothing;
                break;
            };
            let bytes = payload.as_ref();
            let Some(taken) = places.take_of(bytes.len()) else {
                rest = Rest::Other(payload);
                break;
            };
            taken.span().copy_in(bytes);
        }
        self.joined(&places, most.wrapping_sub(places.left()));
        rest
    }

    /// The places of records that would join the last one's train; `None` where there is none.
    #[inline(always)]
    fn alike(&self, longest: u16) -> Option<Members<'m>> {
        let taken = self.at.position().since(self.at.position_of(&self.group.first));
        let bytes = u64::from(longest).saturating_sub(taken);
        self.at.joining(&self.group.first, self.group.count as usize, self.left, bytes)
    }

    /// So many records have joined the train, at `places`.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "no more than a train has")]
    fn joined(&mut self, places: &Members<'m>, count: usize) {
        self.at = self.at.behind_joined(places);
        self.group.count = self.group.count.wrapping_add(count as u32);
        (self.left, self.pushed) = (self.left.wrapping_sub(count), self.pushed.wrapping_add(count));
    }

    /// A record that has the tag and the length of the one before and follows it directly.
    #[inline(always)]
    fn join(&mut self, longest: u16, tag: u32, len: usize) -> Option<(Position, Span<'m>)> {
        if len != self.group.first.span().len() || tag != self.group.tag || self.group.count == 0 {
            return None;
        }
        let mut places = self.alike(longest)?;
        let (position, taken) = (places.position(), places.take()?);
        self.joined(&places, 1);
        Some((position, taken.span()))
    }

    /// A record with a header of its own, which nobody can reach yet, or which is withheld if it is the one that will publish them
    /// all.
    #[inline(always)]
    fn begin(&mut self, taken: &Taken<'m>, tag: u32) {
        let word = record_word(taken.span().len() as u64, tag);
        match self.first {
            0 => self.first = word,
            _ => taken.store_header(word, ord!(B1, Relaxed)),
        }
        self.group = Group { first: *taken, tag, count: 1 };
        (self.left, self.pushed) = (self.left.wrapping_sub(1), self.pushed.wrapping_add(1));
    }

    /// Nobody joins the last records any more, and they are a train. Apart, for records of which no two are alike.
    #[inline(never)]
    fn train_ended(self, tail: Position) -> u64 {
        self.train_written(tail)
    }

    /// Where the last records are a train, it gets its header, or that becomes the first one. Returns the first one.
    #[inline(always)]
    pub(super) fn train_written(&self, tail: Position) -> u64 {
        let Group { first, tag, count } = &self.group;
        if *count < 2 {
            return self.first;
        }
        let word = train_word(first.span().len() as u64, u64::from(*count), *tag);
        if self.at.position_of(first) == tail {
            return word;
        }
        first.store_header(word, ord!(B1, Relaxed));
        self.first
    }

    /// A record for which nothing is ready, or that ends the area, or comes after padding.
    #[cold]
    #[inline(never)]
    pub(super) fn placed_slowly(
        mut self,
        producer: &Producer<'m>,
        tag: u32,
        len: usize,
    ) -> Result<(Self, Position, Span<'m>), ClaimError> {
        let size = producer.geometry.record_size(len as u64);
        let at = self.at.position();
        self.at = producer.ready_for(producer.free_at(at), size, self.left);
        if let Some((record, span)) = self.join(producer.train, tag, len) {
            return Ok((self, record, span));
        }
        let to_end = producer.geometry.room_to_end(at);
        let record = if size > to_end { at.plus(to_end) } else { at };
        let Some((taken, _)) = producer.area.record(record, len, size) else { return Err(ClaimError::Full) };
        self.first = self.train_written(producer.tail());
        if record != at {
            let padding = padding_word(to_end);
            match self.first {
                0 => self.first = padding,
                _ => producer.area.store_header(at, padding, ord!(B1, Relaxed)),
            }
        }
        self.at = producer.ready_for(producer.free_at(record.plus(size)), size, self.left);
        self.begin(&taken, tag);
        Ok((self, record, taken.span()))
    }
}
