//! What makes a record seen: the zero behind it, its header, the tail; whether somebody sleeps; and what is done for the records
//! that come next.

use core::mem::offset_of;

use super::bell;
use super::producer::Producer;
use crate::layout::SpscControl;
use crate::position::Position;
use crate::record::{padding_word, record_word};
use crate::region::{Stretch, Taken};
use crate::sync::ord;

impl<'m> Producer<'m> {
    /// Publishes the record of `len` payload bytes that has been taken at the tail, which is where `rest` begins now. A copy of it:
    /// whatever may be stored to the ring the compiler takes for a change of the handle.
    #[inline(always)]
    pub(super) fn publish_here<const TELLS: bool>(&self, taken: &Taken<'m>, rest: &Stretch<'m>, len: u64, tag: u32) {
        end_with_zero(rest);
        taken.store_header(record_word(len, tag), ord!(S3, Release));
        self.tail_moved(rest.position());
        self.ask_behind(rest.position_of(taken), rest.position());
        self.tell_here::<TELLS>();
    }

    /// After a record that was taken, so in a light process.
    #[inline(always)]
    pub(super) fn tell_here<const TELLS: bool>(&self) {
        if TELLS && bell::of_data(&self.control).is_wanted(|| self.wake) {
            self.wake_receiver();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake_receiver(&self) {
        bell::wake_receiver(self.control, self.wake);
    }

    /// Publishes the record at `record`, of which nothing else is known: the tail itself, or the start of the area with padding
    /// before it.
    #[cold]
    #[inline(never)]
    pub(super) fn publish_slowly<const TELLS: bool>(&mut self, record: Position, len: usize, tag: u32) {
        if record == self.tail() {
            if let Some(taken) = self.stretch.take(len, &self.geometry) {
                return self.publish_here::<TELLS>(&taken, &{ self.stretch }, len as u64, tag);
            }
        }
        let size = self.geometry.record_size(len as u64);
        let Some((taken, rest)) = self.area.record(record, len, size) else { return }; // it had a span
        let at = core::mem::replace(&mut self.stretch, rest);
        if record == at.position() {
            self.publish_here::<false>(&taken, &rest, len as u64, tag);
        } else {
            // The record first, unreachable still; then the padding before it, which publishes both.
            end_with_zero(&rest);
            taken.store_header(record_word(len as u64, tag), ord!(S4, Relaxed));
            at.store_header(padding_word(self.geometry.room_to_end(at.position())), ord!(S5, Release));
            self.tail_moved(rest.position());
        }
        if TELLS {
            self.tell();
        }
    }

    /// The tail has moved. Stored for successors and onlookers. Release, partner of R2: who sees this tail also sees a
    /// head that it fits.
    #[inline(always)]
    pub(super) fn tail_moved(&self, tail: Position) {
        self.control.word::<{ offset_of!(SpscControl, tail) }>().store(tail.get(), ord!(S6, Release));
    }

    /// Wakes the consumer if it sleeps. After everything that it may be waiting for.
    #[inline(always)]
    pub(super) fn tell(&self) {
        if bell::of_data(&self.control).may_be_wanted(self.wake) {
            bell::wake_receiver(self.control, self.wake);
        }
    }
}

/// The word after a record must be zero before the record can be seen (invariant S-1). Here and not at claim time: a
/// commit shorter than its claim ends elsewhere.
#[inline(always)]
fn end_with_zero(rest: &Stretch<'_>) {
    rest.store_header(0, ord!(S2, Relaxed));
}
