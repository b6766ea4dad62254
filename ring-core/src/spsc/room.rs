//! Where the next record goes: what is known to be free, and the look at the head when that does not suffice. Of the shared
//! words the producer reads the head alone, and only here.

use super::error::ClaimError;
use super::producer::{HEAD, Producer};
use crate::error::{Corrupt, Field};
use crate::position::Position;
use crate::record::{HEADER, mark_word};
use crate::region::{Behind, Span, Stretch};
use crate::seat::{Role, Seat, Verdict};
use crate::sync::ord;

/// Room for a record: its position, its payload, and what is known to be good behind it if it is at the tail.
#[derive(Debug)]
pub(super) struct Room<'m> {
    pub(super) record: Position,
    pub(super) span: Span<'m>,
    pub(super) behind: Behind<'m>,
}

impl<'m> Producer<'m> {
    /// Finds room. Of what is shared it changes free space alone.
    #[inline(always)]
    pub(super) fn reserve(&mut self, len: usize) -> Result<Room<'m>, ClaimError> {
        let mut stretch = self.stretch; // a claim may be dropped: the tail stays
        match stretch.take(len, &self.geometry) {
            Some(taken) => Ok(Room { record: self.tail(), span: taken.span(), behind: stretch.behind() }),
            None => self.reserve_slowly(len),
        }
    }

    /// What is behind a record of `len` payload bytes at the tail.
    #[inline(always)]
    pub(super) fn behind(&self, len: usize) -> Behind<'m> {
        let mut stretch = self.stretch;
        stretch.take(len, &self.geometry).map_or(Behind::UNKNOWN, |_| stretch.behind())
    }

    #[cold]
    #[inline(never)]
    pub(super) fn reserve_slowly(&mut self, len: usize) -> Result<Room<'m>, ClaimError> {
        let size = self.check_len(len)?;
        // The second round follows a refill that moved the tail past a session mark; a third does not happen.
        for _ in 0..3 {
            let tail = self.tail();
            let to_end = self.geometry.room_to_end(tail);
            let record = if size > to_end { tail.plus(to_end) } else { tail };
            let end = record.plus(size);
            // The next header is part of what must be free: commit zeroes it.
            if end.plus(HEADER).since(self.cached_head) <= self.window {
                if let Some(span) = self.area.span(record.plus(HEADER), len as u64) {
                    self.stretch = self.ready(self.free_at(tail), size);
                    // A record that padding goes before is not in this stretch, which ends where the area does.
                    return Ok(Room { record, span, behind: self.behind(len) });
                }
            }
            self.refill(end)?;
        }
        Err(ClaimError::Full)
    }

    /// How much from `at` on, which is the tail or behind it, is known to be free: for records that are not too long, and
    /// the header behind each. Nothing where quick ways are not for this process.
    #[inline]
    pub(super) fn free_at(&self, at: Position) -> Stretch<'m> {
        if !self.wake.is_light() {
            return self.area.stretch(at, 0);
        }
        let free = self.window.saturating_sub(at.since(self.cached_head)).saturating_sub(HEADER);
        self.area.stretch(at, free.min(self.geometry.reach(at)))
    }

    /// The size of a record of `len` bytes, if there can be one.
    #[inline(always)]
    pub(super) fn check_len(&self, len: usize) -> Result<u64, ClaimError> {
        if len as u64 > self.geometry.max_len() {
            return Err(self.too_long(len));
        }
        Ok(self.geometry.record_size(len as u64))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn too_long(&self, len: usize) -> ClaimError {
        ClaimError::TooLong { len, max: self.max_len() }
    }

    /// Looks how far the consumer has come, and writes the pending session mark if there is room for it.
    #[cold]
    #[inline(never)]
    pub(super) fn refill(&mut self, end: Position) -> Result<(), ClaimError> {
        self.patience.before_look();
        // Acquire, partner of C4: the consumer's reads of the space come before our overwriting it.
        let head = Position::new(self.area.word_before::<HEAD>().load(ord!(S1, Acquire)));
        let used = self.tail().since(self.cached_head);
        if head.since(self.cached_head) > used || head.get() & self.geometry.align().wrapping_sub(1) != 0 {
            return Err(Corrupt::new(Field::Head, head.get(), self.tail().get()).into());
        }
        self.cached_head = head;
        self.patience.looked(head == self.tail());
        if self.pending_mark != 0 {
            self.put_mark();
            return if self.pending_mark == 0 { Ok(()) } else { Err(ClaimError::Full) };
        }
        if end.plus(HEADER).since(head) <= self.window {
            self.patience.granted();
            Ok(())
        } else {
            self.patience.refused();
            Err(ClaimError::Full)
        }
    }

    /// Commits the mark of the former session, if one waits and there is room.
    pub(super) fn put_mark(&mut self) {
        let end = self.tail().plus(self.geometry.align());
        let fits = end.plus(HEADER).since(self.cached_head) <= self.geometry.capacity();
        if self.pending_mark != 0 && fits {
            self.area.store_header(end, 0, ord!(M1, Relaxed));
            self.stretch.store_header(mark_word(self.pending_mark), ord!(M2, Release));
            // The note goes before the tail moves: a successor that still finds it also finds the mark.
            if let Some(seat) = Seat::of(&self.control.region(), Role::Producer) {
                seat.marked(u64::from(self.lease));
            }
            self.stretch = self.area.stretch(end, 0);
            self.tail_moved(end);
            self.pending_mark = 0;
            self.tell();
        }
        self.window = if self.pending_mark == 0 { self.geometry.capacity() } else { 0 };
    }

    /// `Full`, unless the consumer is gone.
    #[cold]
    #[inline(never)]
    pub(super) fn why(&mut self, error: ClaimError, verdict: impl FnOnce(u64) -> Verdict) -> ClaimError {
        match error {
            ClaimError::Full => match self.consumer_end(verdict) {
                Ok(Some(end)) => ClaimError::Ended(end),
                Ok(None) => ClaimError::Full,
                Err(corrupt) => corrupt.into(),
            },
            other => other,
        }
    }
}
