//! What a consumer gives back: the head, and how far it has come in a train, of which the head is the header until its last record is
//! released.

use core::mem::offset_of;

use super::bell;
use super::consumer::Consumer;
use super::find::header;
use crate::layout::SpscControl;
use crate::park::Wake;
use crate::position::Position;
use crate::record::{Geometry, Train};
use crate::region::Stretch;
use crate::sync::ord;

const WITHIN: usize = offset_of!(SpscControl, head.within);

/// What is to be asked about a release: in one byte, since a handle has no room for two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Releases {
    /// As [`Prompt`](Self::Prompt), and records need not start on lines.
    Plain,
    /// Nothing: each is to be published, by a process that need not fence before it looks for sleepers.
    Prompt,
    /// All there is.
    Other,
    /// The same; and the record at the head is one of a train, and not its last.
    Member,
}

impl Releases {
    /// Those of a consumer outside of trains.
    pub(super) fn of(release_every: u64, wake: &Wake, geometry: &Geometry) -> Self {
        match release_every == 0 && wake.is_light() {
            true if geometry.is_packed() => Self::Plain,
            true => Self::Prompt,
            false => Self::Other,
        }
    }
}

impl<'m> Consumer<'m> {
    /// Tells the producer of everything released so far, where `release_every` held it back. Call before sleeping.
    pub fn flush(&mut self) {
        if self.published != self.head() {
            self.publish_head::<false>(self.head());
            self.tell();
        }
    }

    /// The head has moved; returns whether it was stored for the producer.
    #[inline(always)]
    pub(super) fn release<const TELLS: bool>(&mut self, head: Position) -> bool {
        let held = self.release_every != 0 && head.since(self.published) < u64::from(self.release_every);
        if !held {
            self.publish_head::<TELLS>(head);
        }
        !held
    }

    /// Records that were lent by a batch are given back: [`go_on`](Self::go_on) from there.
    #[inline(always)]
    pub(super) fn released_batch(&mut self, rest: Stretch<'m>, within: Option<Position>) {
        self.stretch = rest;
        match (self.releases, within) {
            (Releases::Plain | Releases::Prompt, None) => self.publish_head::<true>(rest.position()),
            _ => self.go_on_telling(within),
        }
    }

    #[cold]
    #[inline(never)]
    fn go_on_telling(&mut self, within: Option<Position>) {
        self.go_on(within);
        self.tell();
    }

    /// The head has passed records that were lent, or stays where it is, before a train of which one was lent.
    #[inline(always)]
    pub(super) fn released(&mut self, head: Position) {
        match self.releases {
            Releases::Other | Releases::Member => self.released_otherwise(),
            Releases::Plain | Releases::Prompt => self.publish_head::<true>(head),
        }
    }

    #[cold]
    #[inline(never)]
    fn released_otherwise(&mut self) {
        let within = match self.releases {
            Releases::Member => self.lent_within(),
            _ => None,
        };
        self.go_on_telling(within);
    }

    /// What comes behind the record that is the next of the train at the head, and not its last.
    fn lent_within(&self) -> Option<Position> {
        let train = Train::decode(header(&self.stretch), self.head(), &self.geometry)?;
        let before = train.before(self.head(), self.within());
        Some(self.head().plus(train.step().wrapping_mul(before.wrapping_add(1))))
    }

    /// The head has moved to where it is now, and of the train there all is taken that comes before `within`, if that is one;
    /// returns whether that is known to a successor.
    pub(super) fn go_on(&mut self, within: Option<Position>) -> bool {
        let head = self.head();
        let Some(within) = within else {
            self.releases = Releases::of(u64::from(self.release_every), self.wake, &self.geometry);
            return self.release::<false>(head);
        };
        self.releases = Releases::Member;
        // Not held back: a successor who came from before would say anew how far it is in another train, and lose this.
        if self.published != head {
            self.publish_head::<false>(head);
        }
        // Kept nowhere else. Relaxed: a successor is ordered behind it by taking the seat, and by what proved a death.
        self.control.word::<WITHIN>().store(within.get(), ord!(C10, Relaxed));
        true
    }

    /// The next record of the train that is at the head, or will be, where that is inside. Those before have been taken, by this handle
    /// or by one that is gone.
    pub(super) fn within(&self) -> Position {
        // Relaxed: this handle's own word, or a predecessor's, behind whom taking the seat has put it.
        Position::new(self.control.word::<WITHIN>().load(ord!(C11, Relaxed)))
    }

    #[inline(always)]
    pub(super) fn publish_head<const TELLS: bool>(&mut self, head: Position) {
        self.published = head;
        // Release, partner of S1: our reads of the space come before the producer's overwriting it.
        self.control.word::<{ offset_of!(SpscControl, head) }>().store(head.get(), ord!(C4, Release));
        if TELLS && bell::of_space(&self.control).is_wanted(|| self.wake) {
            self.wake_sender();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake_sender(&self) {
        bell::wake_sender(self.control, self.wake);
    }

    /// Wakes the producer if it sleeps. After everything that it may be waiting for.
    #[inline(always)]
    pub(super) fn tell(&self) {
        if bell::of_space(&self.control).may_be_wanted(self.wake) {
            bell::wake_sender(self.control, self.wake);
        }
    }
}
