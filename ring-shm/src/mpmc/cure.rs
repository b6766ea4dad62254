//! What a handle does about a refusal: asks who is in the way, settles what the dead have left, and says whether it
//! is worth another try. Cold. Repairs on the kernel's proof of death alone; a stopped or slow participant stays what
//! it is.

use ring_core::mpmc::{Blocked, Recovery, Repair, Ring};
use ring_core::{Corrupt, Position, Verdict};

use super::error::Holder;
use super::setup::Place;
use super::watch::{Idle, Watch};

/// What a refusal calls for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// Nothing: the caller has to change something, or to wait.
    None,
    /// The end of the handle.
    Corrupt(Corrupt),
    /// Somebody is in the way.
    Blocked(Blocked),
    /// Nothing to read, though the dead may have something.
    Idle,
}

/// What this handle has settled in place of the dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Settled {
    /// Claims of dead producers that became gaps.
    pub skipped: u64,
    /// Messages of dead consumers that were given back for another delivery.
    pub returned: u64,
    /// Messages of dead consumers that were dropped: the ring delivers at most once, or the message has had all the
    /// deliveries that can be counted.
    pub dropped: u64,
    /// Entries of the dead that were released.
    pub released: u64,
}

/// A handle's dealings with the dead.
#[derive(Debug)]
pub(super) struct Cure {
    watch: Watch,
    pub(super) settled: Settled,
}

impl Cure {
    pub(super) fn new(slots: u64) -> Self {
        Self { watch: Watch::new(slots), settled: Settled::default() }
    }

    /// See [`Watch::slept`].
    pub(super) fn slept(&mut self) {
        self.watch.slept();
    }

    /// Who is in the way of what a refusal named, if that is known.
    pub(super) fn holder(&self, trouble: Trouble) -> Option<Holder> {
        match trouble {
            Trouble::Blocked(blocked) => self.watch.holder(blocked),
            _ => None,
        }
    }

    /// Does what `trouble` calls for, if it is time; whether the operation is worth another try.
    #[cold]
    pub(super) fn treat(&mut self, place: &mut Place, trouble: Trouble) -> Result<bool, Corrupt> {
        match trouble {
            Trouble::Blocked(blocked) if self.watch.is_blocked(blocked) => self.unblock(place, blocked),
            Trouble::Idle => match self.watch.is_idle() {
                Idle::Wait => Ok(false),
                Idle::Round => self.round(place),
                Idle::Scan => Ok(self.round(place)? | self.scan(place)?),
            },
            _ => Ok(false),
        }
    }

    /// Settles what is in the way, if whoever put it there is dead.
    fn unblock(&mut self, place: &mut Place, blocked: Blocked) -> Result<bool, Corrupt> {
        let repair = repair(place, blocked)?;
        self.count(repair);
        match repair {
            Repair::Owned { lease, index, .. } => {
                let facts = place.ring.participant(index).filter(|entry| entry.lease == lease).map(|entry| entry.facts);
                let pid = facts.and_then(|facts| u32::try_from(facts.pid).ok()).unwrap_or(0);
                self.watch.found(Holder { index, pid, lease });
                // He lives, and others behind him may not.
                if matches!(blocked, Blocked::Read(_)) { self.round(place) } else { Ok(false) }
            }
            Repair::Contended => Ok(false),
            Repair::Moved | Repair::Closed => Ok(true),
            _ => {
                self.sweep(place)?;
                Ok(true)
            }
        }
    }

    /// Asks about everybody who holds a message, and takes it out of dead hands; whether there was one.
    fn round(&mut self, place: &mut Place) -> Result<bool, Corrupt> {
        for index in 0..entries(&place.ring) {
            let Some(entry) = place.ring.participant(index).filter(|entry| entry.lease != 0) else { continue };
            let (first, count) = (entry.read_intent.first().get(), entry.read_intent.count());
            for p in (0..count).map(|i| Position::new(first.saturating_add(i))) {
                match repair(place, Blocked::Read(p))? {
                    Repair::Moved => {} // the usual: long released
                    Repair::Owned { .. } | Repair::Contended => break,
                    repair => {
                        self.count(repair);
                        self.sweep(place)?;
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Looks at every slot for a message without a reader that no hint tells of; whether there was one.
    pub(super) fn scan(&mut self, place: &mut Place) -> Result<bool, Corrupt> {
        let head = place.ring.stat()?.head.get();
        let mut found = false;
        for p in head.saturating_sub(place.ring.capacity())..head {
            let repair = repair(place, Blocked::Read(Position::new(p)))?;
            self.count(repair);
            found |= !matches!(repair, Repair::Moved | Repair::Owned { .. } | Repair::Contended);
        }
        Ok(found)
    }

    /// Somebody has died. Settles everything that anybody dead has left, so that the next one in the way
    /// costs no time again.
    fn sweep(&mut self, place: &mut Place) -> Result<(), Corrupt> {
        for index in 0..entries(&place.ring) {
            if let Recovery::Released { .. } = recover(place, index, |verdict, _| verdict)? {
                self.settled.released = self.settled.released.saturating_add(1);
            }
        }
        Ok(())
    }

    fn count(&mut self, repair: Repair) {
        let counter = match repair {
            Repair::Skipped(_) => &mut self.settled.skipped,
            Repair::Orphaned(_) => &mut self.settled.returned,
            Repair::Dropped(_) => &mut self.settled.dropped,
            _ => return,
        };
        *counter = counter.saturating_add(1);
    }
}

/// Entries of the participant table.
pub(super) fn entries(ring: &Ring<'_>) -> u32 {
    u32::try_from(ring.max_participants()).unwrap_or(u32::MAX)
}

/// Settles `blocked` on the kernel's word.
pub(super) fn repair(place: &mut Place, blocked: Blocked) -> Result<Repair, Corrupt> {
    let (ring, lease) = (place.ring, place.lease);
    ring.repair(blocked, lease, |lease| place.verdict(lease))
}

/// Releases the entry `index` on the kernel's word, which `judge` may overrule for a lease.
pub(super) fn recover(
    place: &mut Place,
    index: u32,
    judge: impl Fn(Verdict, u64) -> Verdict,
) -> Result<Recovery, Corrupt> {
    let ring = place.ring;
    ring.recover(index, |lease| judge(place.verdict(lease), lease))
}
