//! What a consumer does that finds nothing to read at the head: tell Empty from Busy from Closed, honestly, and look
//! for messages that have lost their reader. Cold.

use super::consumer::{Consumer, Found};
use super::error::{Blocked, ReadError};
use super::word::{MAX_POSITION, SlotState, State, Tail};
use crate::error::{Corrupt, Field};
use crate::position::Position;
use crate::seat::{Role, Verdict};
use crate::sync::ord;

/// How to go on.
#[derive(Debug)]
pub(super) enum Next {
    /// Try again from this head.
    Head(Position),
    /// A message without a reader has been claimed.
    Adopted(Found),
}

/// Where the messages end.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Producers may go on. `None`: the only producer's tail tells nothing, its slots tell all.
    Open(Option<Position>),
    /// A close waits for the only producer.
    Closing,
    /// Nothing comes from here on.
    Closed(Position),
}

impl Consumer<'_> {
    /// Decides what nothing readable at `head` means. The order matters: the tail is loaded after the head was found
    /// to stand, and the slot once more after the tail, so that only a second look that still finds nothing counts.
    #[cold]
    pub(super) fn nothing(&mut self, head: Position) -> Result<Next, ReadError> {
        if head.get() > MAX_POSITION {
            return Err(Corrupt::new(Field::Head, head.get(), 0).into());
        }
        if !self.single {
            // Acquire, partner of MC4: what has been claimed up to here had been written, so the tail is not behind.
            let now = Position::new(self.ring.head().load(ord!(ME1, Acquire)));
            if now != head {
                return Ok(Next::Head(now));
            }
        }
        let end = self.end()?;
        let slots = self.ring.slots.count();
        // Acquire: it may be the message after all, or the word of the next lap with everything before it.
        let word = self.ring.slots.at(head).word().load(ord!(ME2, Acquire));
        let slot = SlotState::decode(word, head, slots)?;
        let vacant = match slot.at(head) {
            Some(State::Free) => true,
            Some(State::Void | State::Committed(0)) => return Ok(Next::Head(head)),
            Some(State::Committed(_)) if self.single => return Ok(Next::Head(head)),
            // A message that was delivered before, or a word of the next lap: the head has moved on meanwhile.
            _ if slot.position.since(head) == 0 || head.precedes(slot.position) => return self.overtaken(head, word),
            // Its last reader is not through with it, so nothing has been written here.
            _ if slot.position.plus(slots) == head && !self.single => false,
            _ => return Err(Corrupt::new(Field::Slot, word, head.get()).into()),
        };
        match end {
            End::Open(Some(tail)) | End::Closed(tail) if head.precedes(tail) => {
                // Claimed, so it was free for this lap. The only producer's closed tail is exact.
                if vacant && !self.ring.single(Role::Producer) {
                    return Err(ReadError::Busy(Some(Blocked::Write(head))));
                }
                Err(Corrupt::new(Field::Slot, word, head.get()).into())
            }
            End::Open(Some(tail)) | End::Closed(tail) if tail.precedes(head) => {
                Err(Corrupt::new(Field::Tail, tail.get(), head.get()).into())
            }
            End::Closed(tail) => self.drained(tail),
            End::Open(_) => self.adopt_or(ReadError::Empty),
            End::Closing => self.adopt_or(ReadError::Busy(Some(Blocked::Close))),
        }
    }

    /// The slot of `head` is past its first delivery: then so is the head, or the word is impossible.
    fn overtaken(&self, head: Position, word: u64) -> Result<Next, ReadError> {
        let now = Position::new(self.ring.head().load(ord!(ME3, Relaxed)));
        if self.single || now == head {
            return Err(Corrupt::new(Field::Slot, word, head.get()).into());
        }
        Ok(Next::Head(now))
    }

    /// Where the messages end. A close that waits for a producer who has left is settled on the way.
    fn end(&self) -> Result<End, ReadError> {
        if self.ring.single(Role::Producer) {
            if self.ring.closing.load(ord!(ME4, Relaxed)) == 0 {
                return Ok(End::Open(None));
            }
            return Ok(match self.ring.settle_close(self.lease, &mut |_| Verdict::Alive)? {
                Ok(tail) => End::Closed(tail),
                Err(_) => End::Closing,
            });
        }
        // Acquire, partner of MP4: the slots of everything claimed have been freed for their lap.
        let tail = Tail(self.ring.tail().load(ord!(ME5, Acquire))).checked()?;
        Ok(if tail.is_closed() { End::Closed(tail.position()) } else { End::Open(Some(tail.position())) })
    }

    /// Looks for messages without a reader if the hint says so; `otherwise` if there are none.
    fn adopt_or(&mut self, otherwise: ReadError) -> Result<Next, ReadError> {
        if self.single || self.ring.orphans.load(ord!(ME6, Relaxed)) == 0 {
            return Err(otherwise);
        }
        self.adopt_hinted()?.map(Next::Adopted).ok_or(otherwise)
    }

    /// The ring is closed and everything has been claimed: Closed if everything has been released as well. Without a
    /// hint, since the one who was to set it may have died.
    fn drained(&mut self, tail: Position) -> Result<Next, ReadError> {
        if self.single {
            return Err(ReadError::Closed);
        }
        let slots = self.ring.slots.count();
        let mut blocked = None;
        for p in (tail.get().saturating_sub(slots)..tail.get()).map(Position::new) {
            let word = self.ring.slots.at(p).word().load(ord!(ME7, Acquire));
            let slot = SlotState::decode(word, p, slots)?;
            match slot.at(p) {
                Some(State::Orphaned(attempt)) => {
                    if let Some(found) = self.adopt(p, attempt) {
                        return Ok(Next::Adopted(found));
                    }
                    blocked = Some(p);
                }
                Some(State::Committed(_) | State::Void) => blocked = blocked.or(Some(p)),
                None if p.precedes(slot.position) => {}
                _ => return Err(Corrupt::new(Field::Slot, word, p.get()).into()),
            }
        }
        let Some(p) = blocked else {
            // The last release has told one of those who wait for the end; each tells the next.
            self.ring.tell_senders(1);
            return Err(ReadError::Closed);
        };
        Err(ReadError::Busy(Some(Blocked::Read(p))))
    }
}
