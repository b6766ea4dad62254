//! Whether more will come: what a consumer asks about its producer when it finds the ring empty, and how often.

use core::mem::offset_of;

use super::consumer::Consumer;
use super::error::ReadError;
use crate::error::Corrupt;
use crate::layout::SpscControl;
use crate::seat::{Role, Seat, SessionEnd, Verdict};
use crate::sync::ord;

/// Looks at an empty ring that need not ask after its producer: whether one has died is a question to the kernel, or to a
/// clock whether to ask it.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// How many more looks may go without.
    left: u8,
    /// How many go without, of those that follow each other.
    looks: u8,
}

impl Rest {
    /// From now on so many.
    pub(super) fn set(&mut self, looks: u8) {
        (self.looks, self.left) = (looks, 0);
    }

    /// The ring has just run dry: all of them.
    #[inline(always)]
    pub(super) fn begins(&mut self) {
        self.left = self.looks;
    }

    /// The next look asks.
    pub(super) fn ends(&mut self) {
        self.left = 0;
    }

    /// One more look: whether it may go without.
    #[inline(always)]
    fn goes_on(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

impl Consumer<'_> {
    /// From now on the `asking` calls ask for a verdict only after `looks` others in a row that found nothing either: to look
    /// is a few instructions, to ask is not. Whether the producer has closed is seen by each look as before. 0, as for a new
    /// handle: each of them asks.
    pub fn ask_after(&mut self, looks: u8) {
        self.rest.set(looks);
    }

    /// The next look that finds nothing asks: for a caller that looks seldom.
    pub fn ask_soon(&mut self) {
        self.rest.ends();
    }

    /// `Empty`, unless the producer's session is over. Whether it has closed is looked at each time, whether it has died
    /// when it is time.
    pub(super) fn why_empty(&mut self, verdict: impl FnOnce(u64) -> Verdict) -> ReadError {
        let seat = self.producer_seat();
        let is_time = !self.rest.goes_on();
        if is_time {
            self.rest.begins();
        }
        match self.producer_end(|lease| if is_time { verdict(lease) } else { Verdict::Alive }) {
            Ok(Some(end)) => ReadError::Ended(end),
            Ok(None) => {
                self.producer_was = seat;
                ReadError::Empty
            }
            Err(corrupt) => corrupt.into(),
        }
    }

    /// Whether an empty ring can be told without a further look: since the last one that asked there has been no record,
    /// nobody has left the producer's seat or sat down, and it is not time yet.
    #[inline(always)]
    pub(super) fn may_rest(&mut self) -> bool {
        self.dry == self.head() && self.producer_was == self.producer_seat() && self.rest.goes_on()
    }

    /// The lower half of the producer's seat word, as a hint: who acts on it looks again (T1).
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    fn producer_seat(&self) -> u32 {
        self.control.word::<{ offset_of!(SpscControl, producer) }>().load(ord!(C9, Relaxed)) as u32
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
        if self.stretch.load_header(ord!(C7, Relaxed)) != 0 {
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
    pub(super) fn tells(&mut self, session: u32) {
        self.told = session;
        self.rest.ends(); // there may be another one to tell, and the head behind a mark
        if let Some(seat) = Seat::of(&self.control.region(), Role::Consumer) {
            seat.told(u64::from(self.lease), session);
        }
    }
}
