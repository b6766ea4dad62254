//! The consumer's look at the next header, and what it can be. A header is loaded once, checked once, and then only its
//! private copy is used.

use super::consumer::Consumer;
use super::error::ReadError;
use super::pace::streams;
use super::release::Releases;
use crate::error::{Corrupt, Field};
use crate::position::Position;
use crate::record::{Geometry, HEADER, Header, Lines, PADDING, Train, stated_len, states, step_of, tag};
use crate::region::{Alike, Area, Span, Stretch, Taken};
use crate::seat::{SessionEnd, Verdict};
use crate::sync::ord;

/// How far ahead of the head a stream is prefetched: the way from record to record depends on what was just read, so
/// without it each line is a miss of its own. Less than the producer asks for ahead of its tail: else a consumer close behind
/// takes the lines that the producer has just asked for. Figures: decision 0025.
const READ_AHEAD: u64 = 128;

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
    pub(super) taken: Taken<'m>,
    /// What is behind it.
    pub(super) rest: Stretch<'m>,
    pub(super) told: Told,
}

/// What a record is told with: its header, in which the padding's flag says instead whether a consumer that died may have seen
/// it. One word, since what has gaps is copied through memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told(u64);

impl Told {
    /// Of the record that `word` commits.
    #[inline(always)]
    fn new(word: u64, redelivered: bool) -> Self {
        Self(word | if redelivered { PADDING } else { 0 })
    }

    /// Of no record.
    pub(super) const NOTHING: Self = Self(0);

    /// Of a record of the train that `word` commits.
    #[inline(always)]
    pub(super) fn of_member(word: u64, redelivered: bool) -> Self {
        Self::new(word & !PADDING, redelivered)
    }

    /// The train, where it is one of a train.
    #[inline(always)]
    pub(super) fn train(self) -> Train {
        Train::of(self.0)
    }

    #[inline(always)]
    pub(super) fn tag(self) -> u32 {
        tag(self.0)
    }

    #[inline(always)]
    pub(super) fn redelivered(self) -> bool {
        self.0 & PADDING != 0
    }
}

impl<'m> Found<'m> {
    /// Its payload.
    #[inline(always)]
    pub(super) fn span(&self) -> Span<'m> {
        self.taken.span()
    }

    /// The next record of the same train, of which the header is then what `rest` begins with. `None` behind every other record.
    #[inline(always)]
    pub(super) fn within(&self) -> Option<Position> {
        let step = step_of(self.span().len() as u64);
        if self.record.precedes(self.rest.position()) { None } else { Some(self.record.plus(step)) }
    }

    /// Where it ends, for who marks what has been seen.
    #[inline(always)]
    pub(super) fn end(&self) -> Position {
        self.within().unwrap_or(self.rest.position())
    }
}

impl<'m> Consumer<'m> {
    /// Finds the record at `at`, which is the head or follows records of the batch being read, which has come to `within` the train
    /// there.
    #[inline(always)]
    pub(super) fn find(&mut self, at: Stretch<'m>, within: Option<Position>) -> Result<Found<'m>, ReadError> {
        match self.look(at, None) {
            (_, Some(found)) => Ok(found),
            (word, None) => self.find_rest(at, word, within),
        }
    }

    /// The header at `at`, and the record that it commits, if that lies within the stretch, and has `len` payload bytes if any
    /// number is given.
    #[inline(always)]
    pub(super) fn look(&mut self, at: Stretch<'m>, len: Option<usize>) -> (u64, Option<Found<'m>>) {
        let (word, found) = peek(&self.area, &self.geometry, at, len, self.dry);
        if let Some(found) = &found {
            self.slip.found(found.record);
        }
        (word, found)
    }

    /// What [`look`](Self::look) knows nothing of.
    #[inline(always)]
    pub(super) fn find_rest(
        &mut self,
        at: Stretch<'m>,
        word: u64,
        within: Option<Position>,
    ) -> Result<Found<'m>, ReadError> {
        match word {
            0 => Err(self.on_empty(at.position())),
            _ => match Train::decode(word, at.position(), &self.geometry) {
                Some(train) => self.member(at.position(), word, train, within),
                None => self.find_rare(at, word, within),
            },
        }
    }

    /// Finds the record at the head, or the reason why none will come.
    #[inline(always)]
    pub(super) fn find_asking(&mut self, verdict: impl FnOnce(u64) -> Verdict) -> Result<Found<'m>, ReadError> {
        match self.find(self.stretch, None) {
            Err(ReadError::Empty) => Err(self.why_empty(verdict)),
            other => other,
        }
    }

    /// What else is at the head, marked as seen, or why there is nothing. Not a `Result`, whose two cases lie in the same place: what comes
    /// out of that comes in pieces, for the quick way too.
    #[inline(never)]
    pub(super) fn find_rest_asking(
        &mut self,
        word: u64,
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> (Option<Found<'m>>, ReadError) {
        match self.find_rest(self.stretch, word, None) {
            Ok(found) => {
                self.mark_seen(found.end());
                (Some(found), ReadError::Empty)
            }
            Err(ReadError::Empty) => (None, self.why_empty(verdict)),
            Err(other) => (None, other),
        }
    }

    /// Nothing there. A head that was held back is published now: the producer may be waiting for it.
    #[inline(always)]
    pub(super) fn on_empty(&mut self, at: Position) -> ReadError {
        if self.published != self.head() {
            self.publish_head::<false>(self.head());
            self.tell();
        }
        if self.dry != at {
            self.told_here = false;
            self.rest.begins();
            self.slip.ran_dry(self.dry);
            self.dry = at;
        }
        ReadError::Empty
    }

    /// A record whose header has been checked: the head's, or one of a batch that began there.
    fn found(&mut self, record: Position, word: u64, len: u64) -> Result<Found<'m>, ReadError> {
        let (size, len) = (self.geometry.record_size(len), usize::try_from(len).unwrap_or(usize::MAX));
        let held = self.held_from(record);
        let mut rest = self.area.stretch(record, held.min(self.geometry.reach(record)));
        let taken = match rest.take(len, &self.geometry) {
            None => self.area.record(record, len, size), // it ends the area
            Some(taken) => Some((taken, rest)),
        };
        match taken {
            Some((taken, mut rest)) if size <= held => {
                self.slip.found(record);
                let (end, redelivered) = (record.plus(size), record.precedes(self.redelivered_before));
                // What is found without a question has been seen by nobody, and a light process releases it.
                if end.precedes(self.redelivered_before) || !self.wake.is_light() {
                    rest = self.area.stretch(end, 0);
                }
                Ok(Found { record, taken, rest, told: Told::new(word, redelivered) })
            }
            _ => Err(Corrupt::new(Field::RecordHeader, word, record.get()).into()),
        }
    }

    /// The next record of the train that `word` commits at `at`.
    #[inline(never)]
    fn member(
        &mut self,
        at: Position,
        word: u64,
        train: Train,
        within: Option<Position>,
    ) -> Result<Found<'m>, ReadError> {
        let corrupt = || Corrupt::new(Field::RecordHeader, word, at.get());
        let in_batch = within.map_or(0, |within| train.before(at, within));
        // What a batch is inside of goes as far as that: else headers that change would have it come round and round.
        if in_batch == 0 && within.is_some_and(|within| at.precedes(within)) {
            return Err(corrupt().into());
        }
        let before = in_batch.max(train.before(at, self.within()));
        let record = at.plus(before.wrapping_mul(train.step()));
        let len = usize::try_from(train.len).unwrap_or(usize::MAX);
        let taken = if train.size() <= self.held_from(at) { self.area.record(record, len, 0) } else { None };
        let Some((taken, _)) = taken else { return Err(corrupt().into()) };
        self.slip.found(record);
        let is_last = before.wrapping_add(1) == train.count;
        if within.is_none() {
            // Asked of what is at the head. Behind the last one another train may be there by the time that it is released.
            self.releases = match is_last {
                true => Releases::of(u64::from(self.release_every), self.wake, &self.geometry),
                false => Releases::Member,
            };
        }
        let rest = self.area.stretch(if is_last { at.plus(train.size()) } else { at }, 0);
        Ok(Found { record, taken, rest, told: Told::of_member(word, record.precedes(self.redelivered_before)) })
    }

    /// More bytes than the ring can hold from `at` on would be headers that lead round and round.
    #[inline(always)]
    fn held_from(&self, at: Position) -> u64 {
        self.geometry.capacity().wrapping_sub(HEADER).saturating_sub(at.since(self.head()))
    }

    /// Records beyond the stretch, trains, padding, session marks, nonsense. At most three headers are looked at, whatever a peer
    /// writes.
    #[cold]
    #[inline(never)]
    pub(super) fn find_rare(
        &mut self,
        stretch: Stretch<'m>,
        word: u64,
        within: Option<Position>,
    ) -> Result<Found<'m>, ReadError> {
        let at = stretch.position();
        match Header::decode(word, at, &self.geometry)? {
            Header::Record { len, .. } => self.found(at, word, len),
            Header::Train(train) => self.member(at, word, train, within),
            Header::Zero => Err(self.on_empty(at)),
            Header::Padding => {
                let record = at.plus(self.geometry.room_to_end(at));
                // Relaxed: the padding's Release published this header too. Nothing but a record can follow.
                let word = self.area.load_header(record, ord!(C2, Relaxed));
                match Header::decode(word, record, &self.geometry)? {
                    Header::Record { len, .. } => self.found(record, word, len),
                    Header::Train(train) => self.member(record, word, train, within),
                    _ => Err(Corrupt::new(Field::RecordHeader, word, record.get()).into()),
                }
            }
            Header::Mark { .. } if at != self.head() => Err(ReadError::Empty), // a batch ends with its session
            Header::Mark { seat } => {
                let behind = self.area.stretch(at.plus(self.geometry.align()), 0);
                let told_here = core::mem::take(&mut self.told_here) && self.dry == at;
                if self.dry == at {
                    self.dry = behind.position(); // a mark is no record
                }
                self.stretch = behind;
                let (lease, end) = (seat >> 1, if seat & 1 == 1 { SessionEnd::Closed } else { SessionEnd::Died });
                if lease != self.told && !told_here {
                    self.tells(lease);
                    return Err(ReadError::Ended(end));
                }
                // Reported already, when the ring had run empty here. What follows is the successor's.
                let (head, after) = (behind.position(), behind.load_header(ord!(C3, Acquire)));
                // One mark is passed, not two: nobody writes another one for the same session behind it.
                if matches!(Header::decode(after, head, &self.geometry)?, Header::Mark { seat } if seat >> 1 == self.told)
                {
                    return Err(Corrupt::new(Field::RecordHeader, after, head.get()).into());
                }
                self.find_rare(behind, after, within)
            }
        }
    }
}

/// The header of the next record, if there is one. Acquire, partner of S3 and S5: the payload, and the zero after it, come
/// before it.
#[inline(always)]
pub(super) fn header(at: &Stretch<'_>) -> u64 {
    at.load_header(ord!(C1, Acquire))
}

/// The header at `at`, and the record that it commits, as [`Consumer::look`] says, the ring having been empty at `dry`.
#[inline(always)]
pub(super) fn peek<'m>(
    area: &Area<'m>,
    geometry: &Geometry,
    at: Stretch<'m>,
    len: Option<usize>,
    dry: Position,
) -> (u64, Option<Found<'m>>) {
    let (word, record, mut rest) = (header(&at), at.position(), at);
    // The length of what is no record is beyond all bounds.
    let stated = stated_len(word) as usize;
    // One that is known is a constant to most callers, and so is the size.
    let taken = match len {
        Some(len) if len == stated => rest.take(len, geometry),
        Some(_) => None,
        None => rest.take(stated, geometry),
    };
    let Some(taken) = taken else { return (word, None) };
    ask(area, record, rest.position(), dry);
    // A stretch that is not empty lies behind what may have been seen before.
    (word, Some(Found { record, taken, rest, told: Told::new(word, false) }))
}

/// The record at the next of `places`, all of one length, if there is one whose header `states` just that.
#[inline(always)]
pub(super) fn next_alike<'m>(places: &mut Alike<'m>, states_their_len: u32) -> Option<Found<'m>> {
    let at = places.next()?;
    let word = header(&at);
    if states(word) != states_their_len {
        return None;
    }
    let taken = places.take()?;
    // As in `peek`.
    Some(Found { record: at.position(), taken, rest: places.rest(), told: Told::new(word, false) })
}

/// Asks for lines, where the record at `record` ends on another one than it began on: in a stream for those that it comes to after a
/// few more records like this; in a conversation, where the next record is awaited, to own this one's. Figures: decisions 0025 and
/// 0041. `next` is behind the record, and the ring was empty at `dry`.
#[inline(always)]
pub(super) fn ask(area: &Area<'_>, record: Position, next: Position, dry: Position) {
    match Lines::of(record, next) {
        Lines::Same => {}
        _ if !streams(record, dry) => area.prefetch_write(record, next),
        Lines::Next => area.prefetch_read_at(next.plus(READ_AHEAD)),
        Lines::Many => area.prefetch_read(record.plus(READ_AHEAD), next.plus(READ_AHEAD)),
    }
}
