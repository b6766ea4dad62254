//! The consumer's look at the next header, and what it can be. A header is loaded once, checked once, and then only its
//! private copy is used.

use super::consumer::Consumer;
use super::error::ReadError;
use super::room::take_at;
use crate::error::{Corrupt, Field};
use crate::position::Position;
use crate::record::{Geometry, HEADER, Header, stated_len, tag};
use crate::region::{Area, Span, Stretch, Taken};
use crate::seat::{SessionEnd, Verdict};
use crate::sync::ord;

/// How far ahead of the head a stream is prefetched: the way from record to record depends on what was just read, so
/// without it each line is a miss of its own.
const READ_AHEAD: u64 = 512;

/// What a quick look did not see to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotHere {
    /// The ring is empty, and it is not yet time to ask after its producer.
    Nothing,
    /// This header, or nothing after which there is something to do.
    Header(u64),
}

/// A record that has been found and checked, and not yet handed out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'m> {
    pub(super) record: Position,
    pub(super) span: Span<'m>,
    pub(super) tag: u32,
    /// The position after it, and what is there.
    pub(super) end: Position,
    pub(super) rest: Stretch<'m>,
    /// Whether a consumer that died may have seen it.
    pub(super) redelivered: bool,
}

impl<'m> Consumer<'m> {
    /// Finds the record at `at`, which is the head or follows records of the batch being read; `stretch` is what is there.
    #[inline(always)]
    pub(super) fn find(&mut self, at: Position, stretch: Stretch<'m>) -> Result<Found<'m>, ReadError> {
        match self.look(at, stretch) {
            (_, Some(found)) => Ok(found),
            (word, None) => self.find_rest(at, word),
        }
    }

    /// The header at `at`, and the record that it commits, if that lies within the stretch.
    #[inline(always)]
    pub(super) fn look(&mut self, at: Position, stretch: Stretch<'m>) -> (u64, Option<Found<'m>>) {
        self.slip.before_look();
        peek(&self.area, &self.geometry, at, stretch, || self.slip.found())
    }

    /// What [`look`](Self::look) knows nothing of.
    #[inline(always)]
    pub(super) fn find_rest(&mut self, at: Position, word: u64) -> Result<Found<'m>, ReadError> {
        if word == 0 { Err(self.on_empty()) } else { self.find_rare(at, word) }
    }

    /// Finds the record at the head, or the reason why none will come.
    #[inline(always)]
    pub(super) fn find_asking(&mut self, verdict: impl FnOnce(u64) -> Verdict) -> Result<Found<'m>, ReadError> {
        match self.find(self.head, self.stretch) {
            Err(ReadError::Empty) => Err(self.why_empty(verdict)),
            other => other,
        }
    }

    #[inline(never)]
    pub(super) fn find_rest_asking(
        &mut self,
        word: u64,
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<Found<'m>, ReadError> {
        match self.find_rest(self.head, word) {
            Err(ReadError::Empty) => Err(self.why_empty(verdict)),
            other => other,
        }
    }

    /// Nothing there. A head that was held back is published now: the producer may be waiting for it.
    #[inline(always)]
    pub(super) fn on_empty(&mut self) -> ReadError {
        if self.slip.ran_dry() {
            self.told_here = false;
            self.rest.begins();
        }
        if self.published != self.head {
            self.publish_head::<true>();
        }
        ReadError::Empty
    }

    /// A record whose header has been checked: the head's, or one of a batch that began there.
    fn found(&mut self, record: Position, word: u64, len: u64) -> Result<Found<'m>, ReadError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        // More than the ring can hold would be headers that lead round and round.
        let held = self.geometry.capacity().wrapping_sub(HEADER).saturating_sub(record.since(self.head));
        let stretch = self.area.stretch(record, held.min(self.geometry.reach(record)));
        let taken = match stretch.take(len, &self.geometry) {
            None => take_at(&self.area, record, len, &self.geometry), // it ends the area
            some => some,
        };
        match taken {
            Some(Taken { span, size, mut rest }) if size <= held => {
                self.slip.found();
                let (end, redelivered) = (record.plus(size), record.precedes(self.redelivered_before));
                if end.precedes(self.redelivered_before) {
                    rest = self.area.stretch(end, 0);
                }
                Ok(Found { record, span, tag: tag(word), end, rest, redelivered })
            }
            _ => Err(Corrupt::new(Field::RecordHeader, word, record.get()).into()),
        }
    }

    /// Records beyond the stretch, padding, session marks, nonsense. At most three headers are looked at, whatever a peer
    /// writes.
    #[cold]
    #[inline(never)]
    pub(super) fn find_rare(&mut self, at: Position, word: u64) -> Result<Found<'m>, ReadError> {
        match Header::decode(word, at, &self.geometry)? {
            Header::Record { len, .. } => self.found(at, word, len),
            Header::Zero => Err(self.on_empty()),
            Header::Padding => {
                let record = at.plus(self.geometry.room_to_end(at));
                // Relaxed: the padding's Release published this header too. Nothing but a record can follow.
                let word = self.area.load_header(record, ord!(C2, Relaxed));
                match Header::decode(word, record, &self.geometry)? {
                    Header::Record { len, .. } => self.found(record, word, len),
                    _ => Err(Corrupt::new(Field::RecordHeader, word, record.get()).into()),
                }
            }
            Header::Mark { .. } if at != self.head => Err(ReadError::Empty), // a batch ends with its session
            Header::Mark { seat } => {
                let head = at.plus(self.geometry.align());
                self.moved(head, self.area.stretch(head, 0));
                let (lease, end) = (seat >> 1, if seat & 1 == 1 { SessionEnd::Closed } else { SessionEnd::Died });
                let told_here = core::mem::take(&mut self.told_here) && self.slip.is_dry();
                if lease != self.told && !told_here {
                    self.tells(lease);
                    return Err(ReadError::Ended(end));
                }
                // Reported already, when the ring had run empty here. What follows is the successor's.
                let after = self.area.load_header(self.head, ord!(C3, Acquire));
                // One mark is passed, not two: nobody writes another one for the same session behind it.
                if matches!(Header::decode(after, self.head, &self.geometry)?, Header::Mark { seat } if seat >> 1 == self.told)
                {
                    return Err(Corrupt::new(Field::RecordHeader, after, self.head.get()).into());
                }
                self.find_rare(self.head, after)
            }
        }
    }
}

/// The header at `at`, and the record that it commits, if that lies within the stretch; then whether it `streams` is asked,
/// once.
#[inline(always)]
pub(super) fn peek<'m>(
    area: &Area<'m>,
    geometry: &Geometry,
    at: Position,
    stretch: Stretch<'m>,
    streams: impl FnOnce() -> bool,
) -> (u64, Option<Found<'m>>) {
    // Acquire, partner of S3 and S5: the payload, and the zero after it, come before the header.
    let word = stretch.load_header(ord!(C1, Acquire));
    // The length of what is no record is beyond all bounds.
    let Some(Taken { span, size, rest }) = stretch.take(stated_len(word) as usize, geometry) else {
        return (word, None);
    };
    let end = at.plus(size);
    if streams() && (end.get() ^ at.get()) >= 64 {
        area.prefetch_read(at.plus(READ_AHEAD), size);
    }
    // A stretch that is not empty lies behind what may have been seen before.
    (word, Some(Found { record: at, span, tag: tag(word), end, rest, redelivered: false }))
}
