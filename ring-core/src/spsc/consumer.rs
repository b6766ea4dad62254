//! The consumer's half: read, release. It polls the header at its own head and nothing else; a header is loaded once,
//! checked once, and then only its private copy is used.

use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::offset_of;

use super::batch::ReadBatch;
use super::bell;
use super::error::ReadError;
use super::pace::Slip;
use super::record::Record;
use super::ring::Ring;
use crate::error::{Corrupt, Field};
use crate::layout::SpscControl;
use crate::park::{Sleeper, Wake};
use crate::position::Position;
use crate::record::{Geometry, HEADER, Header, stated_len, tag};
use crate::region::{Area, Control, Span, Stretch, Taken};
use crate::seat::{Role, Seat, SessionEnd, Verdict};
use crate::sync::ord;

/// How far ahead of the head a stream is prefetched: the way from record to record depends on what was just read, so
/// without it each line is a miss of its own.
const READ_AHEAD: u64 = 512;

/// The reading handle of an SPSC ring. `Send`, not `Sync`; there is one per seat, and `&mut self` keeps it single.
#[derive(Debug)]
pub struct Consumer<'m> {
    area: Area<'m>,
    geometry: Geometry,
    /// Where the next header is polled.
    head: Position,
    /// What is at the head. A record that fits into what is left of it is not too long: the quick part's one question.
    /// Nothing is left where that is not known.
    stretch: Stretch<'m>,
    /// The head as last stored for the producer.
    published: Position,
    /// Records before this position may have been seen by a dead predecessor.
    redelivered_before: Position,
    /// The `seen` mark as this handle has stored it. It never goes back: a batch that was kept has been seen, whatever
    /// is read singly afterwards.
    seen: Position,
    control: Control<'m>,
    wake: Wake,
    /// Unpublished bytes that are tolerated before the head is stored.
    release_every: u32,
    lease: u32,
    /// Lease of the producer session whose end has been reported.
    told: u32,
    /// Whether that was at the present head: a mark that comes to stand there has been reported.
    told_here: bool,
    slip: Slip,
    not_sync: PhantomData<Cell<()>>,
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
}

/// What came with a message that was copied out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Payload bytes.
    pub len: usize,
    /// The sender's tag.
    pub tag: u32,
    /// The delivery id.
    pub position: Position,
    /// Whether a consumer that died may have seen this record already. May be true wrongly, never false wrongly.
    pub redelivered: bool,
}

impl<'m> Consumer<'m> {
    /// A consumer that goes on at `head`.
    pub(super) fn new(ring: &Ring<'m>, lease: u64, head: Position, seen: Position, told: u32) -> Self {
        Self {
            area: ring.area,
            geometry: ring.geometry,
            head,
            published: head,
            redelivered_before: seen,
            stretch: ring.area.stretch(head, 0),
            seen: seen.max(head),
            control: ring.control,
            wake: ring.wake,
            release_every: u32::try_from(ring.release_every).unwrap_or(u32::MAX),
            lease: u32::try_from(lease).unwrap_or(0),
            told,
            told_here: told != 0,
            slip: Slip::new(),
            not_sync: PhantomData,
        }
    }

    /// Copies the next record out and releases it.
    ///
    /// # Errors
    /// [`ReadError`]; on `BufferTooSmall` the record stays.
    #[inline(always)]
    pub fn try_recv_into(&mut self, buf: &mut [u8]) -> Result<Received, ReadError> {
        match self.recv_here::<true>(buf) {
            Ok(received) => Ok(received),
            Err(word) => self.recv_rest::<true>(word, buf),
        }
    }

    /// [`try_recv_into`](Self::try_recv_into) that looks for no sleeper: for producers that poll. One that sleeps all the
    /// same is woken by the next release that is told, or by its slice.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub fn try_recv_into_untold(&mut self, buf: &mut [u8]) -> Result<Received, ReadError> {
        match self.recv_here::<false>(buf) {
            Ok(received) => Ok(received),
            Err(word) => self.recv_rest::<false>(word, buf),
        }
    }

    /// [`try_recv_into`](Self::try_recv_into) that, when empty, also looks whether the producer's session is over:
    /// `verdict` is asked about its lease.
    ///
    /// # Errors
    /// As `try_recv_into`; `Ended` once for each session.
    #[inline(always)]
    pub fn try_recv_into_asking(
        &mut self,
        buf: &mut [u8],
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<Received, ReadError> {
        match self.recv_here::<true>(buf) {
            Ok(received) => Ok(received),
            Err(word) => self.recv_rest_asking(word, buf, verdict),
        }
    }

    /// The quick part, which becomes part of its caller: the record at the head, if it is one of the many. Otherwise the
    /// header, for the rest to see to.
    #[inline(always)]
    fn recv_here<const TELLS: bool>(&mut self, buf: &mut [u8]) -> Result<Received, u64> {
        let (word, found) = self.look(self.head, self.stretch);
        match found {
            Some(found) if found.span.len() <= buf.len() => Ok(self.take::<TELLS>(found, buf)),
            _ => Err(word),
        }
    }

    #[inline(never)]
    fn recv_rest<const TELLS: bool>(&mut self, word: u64, buf: &mut [u8]) -> Result<Received, ReadError> {
        let found = self.find_rest(self.head, word)?;
        if found.span.len() > buf.len() {
            return Err(ReadError::BufferTooSmall { needed: found.span.len() });
        }
        Ok(self.take::<TELLS>(found, buf))
    }

    #[inline(never)]
    fn recv_rest_asking(
        &mut self,
        word: u64,
        buf: &mut [u8],
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<Received, ReadError> {
        match self.recv_rest::<true>(word, buf) {
            Err(ReadError::Empty) => Err(self.why_empty(verdict)),
            other => other,
        }
    }

    /// Copies out, into a buffer that is long enough, and releases.
    #[inline(always)]
    fn take<const TELLS: bool>(&mut self, found: Found<'m>, buf: &mut [u8]) -> Received {
        let len = found.span.len();
        if !found.span.fill(buf) {
            copy_shorter(found.span, buf);
        }
        let received =
            Received { len, tag: found.tag, position: found.record, redelivered: self.is_redelivered(found.record) };
        // Released before it is handed out, so `seen` matters only while the head is held back.
        if !self.release::<TELLS>(found.end, found.rest) {
            self.mark_seen(found.end);
        }
        received
    }

    /// Lends the next record in place. [`Record::release`] gives its space back; a record that is dropped is kept
    /// and comes again with the next call (this crate cannot tell an unwinding drop from another).
    ///
    /// # Errors
    /// [`ReadError`].
    #[inline]
    pub fn try_read(&mut self) -> Result<Record<'_, 'm>, ReadError> {
        let found = self.find(self.head, self.stretch)?;
        Ok(self.lend(found))
    }

    /// [`try_read`](Self::try_read) that asks as [`try_recv_into_asking`](Self::try_recv_into_asking) does.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub fn try_read_asking(&mut self, verdict: impl FnOnce(u64) -> Verdict) -> Result<Record<'_, 'm>, ReadError> {
        let found = match self.look(self.head, self.stretch) {
            (_, Some(found)) => found,
            (word, None) => self.find_rest_asking(word, verdict)?,
        };
        Ok(self.lend(found))
    }

    /// Hands out in place.
    #[inline(always)]
    fn lend(&mut self, found: Found<'m>) -> Record<'_, 'm> {
        self.mark_seen(found.end);
        let redelivered = self.is_redelivered(found.record);
        Record { consumer: self, found, redelivered }
    }

    /// Lends up to `max` records, released together.
    ///
    /// # Errors
    /// [`ReadError`] when there is not even one.
    #[inline]
    pub fn try_read_batch(&mut self, max: usize) -> Result<ReadBatch<'_, 'm>, ReadError> {
        self.find(self.head, self.stretch)?;
        Ok(ReadBatch::new(self, max))
    }

    /// [`try_read_batch`](Self::try_read_batch) that asks as
    /// [`try_recv_into_asking`](Self::try_recv_into_asking) does.
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn try_read_batch_asking(
        &mut self,
        max: usize,
        verdict: impl FnOnce(u64) -> Verdict,
    ) -> Result<ReadBatch<'_, 'm>, ReadError> {
        self.find_asking(verdict)?;
        Ok(ReadBatch::new(self, max))
    }

    /// Finds the record at the head, or the reason why none will come.
    #[inline(always)]
    fn find_asking(&mut self, verdict: impl FnOnce(u64) -> Verdict) -> Result<Found<'m>, ReadError> {
        match self.find(self.head, self.stretch) {
            Err(ReadError::Empty) => Err(self.why_empty(verdict)),
            other => other,
        }
    }

    #[inline(never)]
    fn find_rest_asking(&mut self, word: u64, verdict: impl FnOnce(u64) -> Verdict) -> Result<Found<'m>, ReadError> {
        match self.find_rest(self.head, word) {
            Err(ReadError::Empty) => Err(self.why_empty(verdict)),
            other => other,
        }
    }

    /// `Empty`, unless the producer's session is over.
    fn why_empty(&mut self, verdict: impl FnOnce(u64) -> Verdict) -> ReadError {
        match self.producer_end(verdict) {
            Ok(Some(end)) => ReadError::Ended(end),
            Ok(None) => ReadError::Empty,
            Err(corrupt) => corrupt.into(),
        }
    }

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
    fn look(&mut self, at: Position, stretch: Stretch<'m>) -> (u64, Option<Found<'m>>) {
        self.slip.before_look();
        // Acquire, partner of S3 and S5: the payload, and the zero after it, come before the header.
        let word = stretch.load_header(ord!(C1, Acquire));
        // The length of what is no record is beyond all bounds.
        let Some(Taken { span, size, rest }) = stretch.take(stated_len(word) as usize, &self.geometry) else {
            return (word, None);
        };
        let end = at.plus(size);
        if self.slip.found() && (end.get() ^ at.get()) >= 64 {
            self.area.prefetch_read(at.plus(READ_AHEAD), size);
        }
        (word, Some(Found { record: at, span, tag: tag(word), end, rest }))
    }

    /// What [`look`](Self::look) knows nothing of.
    #[inline(always)]
    fn find_rest(&mut self, at: Position, word: u64) -> Result<Found<'m>, ReadError> {
        if word == 0 { Err(self.on_empty()) } else { self.find_rare(at, word) }
    }

    /// A record whose header has been checked: the head's, or one of a batch that began there.
    fn found(&self, record: Position, word: u64, len: u64) -> Result<Found<'m>, ReadError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        // More than the ring can hold would be headers that lead round and round.
        let held = self.geometry.capacity().wrapping_sub(HEADER).saturating_sub(record.since(self.head));
        let stretch = self.area.stretch(record, held.min(self.geometry.reach(record)));
        let taken = match stretch.take(len, &self.geometry) {
            None => self.area.take(record, len, &self.geometry), // it ends the area
            some => some,
        };
        match taken {
            Some(Taken { span, size, rest }) if size <= held => {
                Ok(Found { record, span, tag: tag(word), end: record.plus(size), rest })
            }
            _ => Err(Corrupt::new(Field::RecordHeader, word, record.get()).into()),
        }
    }

    /// Records beyond the stretch, padding, session marks, nonsense. At most three headers are looked at, whatever a peer
    /// writes.
    #[cold]
    #[inline(never)]
    fn find_rare(&mut self, at: Position, word: u64) -> Result<Found<'m>, ReadError> {
        match Header::decode(word, at, &self.geometry)? {
            Header::Record { len, .. } => {
                self.slip.found();
                self.found(at, word, len)
            }
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

    /// Nothing there. A head that was held back is published now: the producer may be waiting for it.
    #[inline(always)]
    fn on_empty(&mut self) -> ReadError {
        if self.slip.ran_dry() {
            self.told_here = false;
        }
        if self.published != self.head {
            self.publish_head::<true>();
        }
        ReadError::Empty
    }

    /// Stores that records before `end` may have been seen. Release, partner of R3: an onlooker that sees the mark also
    /// sees a head that it fits.
    #[inline(always)]
    pub(super) fn mark_seen(&mut self, end: Position) {
        if self.seen.precedes(end) {
            self.seen = end;
            self.control.word::<{ offset_of!(SpscControl, head.seen) }>().store(end.get(), ord!(C5, Release));
        }
    }

    /// [`mark_seen`](Self::mark_seen) for a batch: some records ahead of `end` (a thirty-second of the capacity, 4 KiB
    /// at most), so that the line is not stored to for each record while the producer polls the head beside it. After
    /// a death these come flagged without having been seen, which a flag may.
    #[inline(always)]
    pub(super) fn mark_seen_ahead(&mut self, end: Position) {
        if self.seen.precedes(end) {
            let ahead = (self.geometry.capacity() / 32).min(4096) & !self.geometry.align().wrapping_sub(1);
            let (seen, limit) = (end.plus(ahead), self.published.plus(self.geometry.capacity()));
            self.mark_seen(if limit.precedes(seen) { limit } else { seen });
        }
    }

    #[inline(always)]
    pub(super) fn is_redelivered(&self, record: Position) -> bool {
        record.precedes(self.redelivered_before)
    }

    /// Moves the head to `end`; returns whether it was stored for the producer.
    #[inline(always)]
    pub(super) fn release<const TELLS: bool>(&mut self, end: Position, rest: Stretch<'m>) -> bool {
        self.moved(end, rest);
        let publish = end.since(self.published) >= u64::from(self.release_every);
        if publish {
            self.publish_head::<TELLS>();
        }
        publish
    }

    #[inline(always)]
    fn moved(&mut self, head: Position, stretch: Stretch<'m>) {
        self.head = head;
        self.stretch = stretch;
    }

    #[inline(always)]
    fn publish_head<const TELLS: bool>(&mut self) {
        self.published = self.head;
        // Release, partner of S1: our reads of the space come before the producer's overwriting it.
        self.control.word::<{ offset_of!(SpscControl, head) }>().store(self.head.get(), ord!(C4, Release));
        if TELLS {
            self.tell();
        }
    }

    /// Wakes the producer if it sleeps. After everything that it may be waiting for.
    #[inline(always)]
    fn tell(&self) {
        if bell::of_space(&self.control).is_wanted(&self.wake) {
            bell::wake_sender(self.control, self.wake);
        }
    }

    /// Where this handle sleeps until something is committed.
    #[must_use]
    pub fn sleeper(&self) -> Option<Sleeper<'m>> {
        let index = bell::index(Role::Consumer);
        Some(Sleeper::new(bell::of_data(&self.control), bell::event(&self.control, index)?, index))
    }

    /// Whether a record can be read now, asking as [`try_recv_into_asking`](Self::try_recv_into_asking) does. A
    /// promise: only this handle takes records.
    ///
    /// # Errors
    /// As there.
    pub fn ready_asking(&mut self, verdict: impl FnOnce(u64) -> Verdict) -> Result<(), ReadError> {
        self.find_asking(verdict).map(drop)
    }

    /// Tells the producer of everything released so far, where `release_every` held it back. Call before sleeping.
    pub fn flush(&mut self) {
        if self.published != self.head {
            self.publish_head::<true>();
        }
    }

    /// Asked when the ring is empty: whether the producer's session is over, reported once per session.
    ///
    /// # Errors
    /// [`Corrupt`] for an impossible seat word.
    #[inline]
    pub fn producer_end(&mut self, verdict: impl FnOnce(u64) -> Verdict) -> Result<Option<SessionEnd>, Corrupt> {
        let Some(seat) = Seat::of(&self.control.region(), Role::Producer) else { return Ok(None) };
        let Some(end) = seat.end(u64::from(self.told), verdict)? else { return Ok(None) };
        // Only a second zero is the end: the last records may have come between our look at the header and the
        // close, or the death. Relaxed: the seat's Acquire, or the fence, has put them before this load.
        if self.area.load_header(self.head, ord!(C7, Relaxed)) != 0 {
            return Ok(None);
        }
        // A session before this one may still want to be told: its successors found no room for its mark.
        self.told_here = true;
        let first = end.unmarked >> 1;
        if first != 0 && first != self.told {
            self.tells(first);
            return Ok(Some(if end.unmarked & 1 == 1 { SessionEnd::Closed } else { SessionEnd::Died }));
        }
        self.tells(u32::try_from(end.lease).unwrap_or(0));
        Ok(Some(end.end))
    }

    /// Remembers that the end of that session is told, for this handle and for its successors.
    #[cold]
    fn tells(&mut self, session: u32) {
        self.told = session;
        if let Some(seat) = Seat::of(&self.control.region(), Role::Consumer) {
            seat.told(u64::from(self.lease), session);
        }
    }

    /// Closes in order, everything released told to the producer. Call it last; a second call does nothing.
    pub fn close(&mut self) {
        self.flush();
        if let Some(seat) = Seat::of(&self.control.region(), Role::Consumer) {
            seat.close(u64::from(self.lease));
            self.tell();
        }
    }

    /// The lease this handle sits under.
    #[must_use]
    pub fn lease(&self) -> u64 {
        u64::from(self.lease)
    }

    /// Capacity of the data area in bytes; all but 8 of them hold records.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.geometry.capacity()
    }

    /// Longest payload of one record, in bytes.
    #[must_use]
    pub fn max_len(&self) -> usize {
        usize::try_from(self.geometry.max_len()).unwrap_or(usize::MAX)
    }

    /// The head, and what is there.
    pub(super) fn here(&self) -> (Position, Stretch<'m>) {
        (self.head, self.stretch)
    }

    /// The position where the next header is polled.
    #[must_use]
    pub fn head(&self) -> Position {
        self.head
    }

    /// Bytes committed and not yet released: a guess for the consumer (a lower bound while the producer lives; the
    /// stored tail may lag behind).
    #[must_use]
    pub fn len_guess(&self) -> u64 {
        let tail = self.area.word_before::<{ offset_of!(SpscControl, tail) }>().load(ord!(C8, Relaxed));
        let tail = Position::new(tail);
        if self.head.precedes(tail) { tail.since(self.head).min(self.geometry.capacity()) } else { 0 }
    }
}

/// Copies a record out that is shorter than the buffer.
#[inline(never)]
fn copy_shorter(span: Span<'_>, buf: &mut [u8]) {
    span.copy_out(buf);
}
