//! The cold half of a handle: what keeps its memory and its lease alive, and whom to ask about the peer. Handles box
//! it, so that the hot half fits two cache lines.
//!
//! # Safety
//!
//! 1. A `Region<'static>` made here stands for "as long as the `Life` beside it": a handle drops its core half
//!    (which holds only addresses) before its `Life`, and never hands the region out.
//! 2. The mappings that a strict ring's setup makes are all readable, with the common object and that of the own side
//!    writable.
#![allow(unsafe_code)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ring_core::spsc::SyncMark;
use ring_core::spsc::strict::{ConsumerParts, ProducerParts};
use ring_core::{Corrupt, Region, Role, Verdict};

use crate::chime;
use crate::error::MapError;
use crate::facts::Facts;
use crate::fork;
use crate::heap::{Heap, HeapLease};
use crate::lease::LeasedMapping;
use crate::mapping::{Mapping, Piece};
use crate::placement::{self, Placed, Placement, PlacementError};

/// Empty (or full) polls between two looks at the clock.
pub(crate) const POLLS_PER_LOOK: u8 = 64;

/// The least time between two questions to the kernel about a peer.
const PROBE_INTERVAL: Duration = Duration::from_micros(250);

/// What holds the memory and the lease of one handle.
#[derive(Debug)]
enum Hold {
    Mapped(LeasedMapping),
    Heap(HeapLease),
}

/// The cold half of a handle.
#[derive(Debug)]
pub(crate) struct Life {
    hold: Hold,
    /// The process image this handle belongs to.
    born: u64,
    /// What made the handle unusable, if anything did.
    poison: Option<Corrupt>,
    polls: u32,
    next_probe: Option<Instant>,
}

/// Why a handle does nothing any more.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    Forked,
    Corrupt(Corrupt),
}

/// An epoch no process image has: the handle's fast check fails, and [`Life::refusal`] says why.
pub(crate) const UNUSABLE: u64 = u64::MAX;

impl Life {
    pub(crate) fn mapped(mapping: LeasedMapping) -> Self {
        Self::new(Hold::Mapped(mapping))
    }

    pub(crate) fn heap(lease: HeapLease) -> Self {
        Self::new(Hold::Heap(lease))
    }

    fn new(hold: Hold) -> Self {
        Self { hold, born: fork::epoch(), poison: None, polls: 0, next_probe: None }
    }

    /// Whether the handle was inherited over a fork.
    pub(crate) fn is_inherited(&self) -> bool {
        self.born != fork::epoch()
    }

    /// Why the handle's fast check failed.
    #[cold]
    pub(crate) fn refusal(&self) -> Refusal {
        match self.poison {
            Some(corrupt) if !self.is_inherited() => Refusal::Corrupt(corrupt),
            _ => Refusal::Forked,
        }
    }

    /// Whether somebody has cut the segment, and the guard has put zero pages in its place.
    #[cold]
    #[inline(never)] // callers keep their registers for what does not fail
    pub(crate) fn cut(&self) -> Option<Corrupt> {
        match &self.hold {
            Hold::Mapped(leased) if leased.mapping().is_cut() => {
                Some(Corrupt::truncated(leased.mapping().len() as u64))
            }
            _ => None,
        }
    }

    /// Makes the handle unusable for good.
    #[cold]
    pub(crate) fn poison(&mut self, corrupt: Corrupt) {
        self.poison.get_or_insert(corrupt);
    }

    /// The mapping, where there is one that may be touched.
    fn mapping(&self) -> Result<&Mapping, PlacementError> {
        match &self.hold {
            Hold::Mapped(leased) if !self.is_inherited() => Ok(leased.mapping()),
            _ => Err(PlacementError::NoSegment),
        }
    }

    /// Maps the other side's page of a strict ring: before the handle does anything.
    pub(crate) fn put(&self, piece: &Piece<'_>) -> Result<(), MapError> {
        match &self.hold {
            Hold::Mapped(leased) if !self.is_inherited() => leased.mapping().put(piece, &fork::pause()?),
            _ => Err(MapError::Forked),
        }
    }

    /// Places the mapping.
    pub(crate) fn place(&self, wanted: &Placement) -> Result<(), PlacementError> {
        if *wanted == Placement::default() { Ok(()) } else { wanted.place_mapping(self.mapping()?) }
    }

    /// How the memory lies.
    pub(crate) fn placed(&self) -> Result<Placed, PlacementError> {
        placement::placed(self.mapping()?)
    }

    /// The kernel's answer about `lease`, now.
    pub(crate) fn verdict(&self, lease: u64, facts: Option<Facts>) -> Verdict {
        match &self.hold {
            Hold::Mapped(mapping) => mapping.verdict(lease, facts),
            Hold::Heap(own) => own.heap.verdict(lease),
        }
    }

    /// The way to what the [`chime`](crate::chime) of this ring is heard at.
    #[cfg_attr(not(feature = "async"), allow(dead_code, reason = "for tasks"))]
    pub(crate) fn chime_path(&self) -> Option<PathBuf> {
        match &self.hold {
            _ if self.is_inherited() => None,
            Hold::Mapped(leased) => leased.object_path(),
            Hold::Heap(_) => chime::heap_path(),
        }
    }

    /// Waits until everything written so far survives the machine's end, where there is a disk behind the ring.
    pub(crate) fn sync(&self) -> Result<(), MapError> {
        match &self.hold {
            Hold::Mapped(mapping) => mapping.sync(),
            Hold::Heap(_) => Ok(()),
        }
    }

    /// Whether there is a disk behind the ring, on which something is left by a power loss.
    pub(crate) fn has_disk(&self) -> bool {
        matches!(&self.hold, Hold::Mapped(leased) if leased.has_disk())
    }

    /// The same for a handle of an SPSC ring, which does nothing meanwhile: with a mark of what was unread, by which that
    /// much can be found again. Of what is in memory no power loss leaves anything, so nobody sums up what it holds.
    pub(crate) fn sync_marked(&self, role: Role) -> Result<(), MapError> {
        match &self.hold {
            Hold::Mapped(leased) if !self.is_inherited() && self.has_disk() => {
                leased.sync_with(sync_mark(leased.mapping(), role)?)
            }
            _ => self.sync(),
        }
    }

    /// Makes the next poll ask, whenever the last one did: its caller has slept, and polls seldom.
    pub(crate) fn ask_soon(&mut self) {
        self.polls = u32::MAX;
        self.next_probe = None;
    }

    /// Whether the peer may be asked after again: at most four times a millisecond, and without a look at the clock in 63
    /// of 64 polls.
    pub(crate) fn probe_is_due(&mut self) -> bool {
        self.polls = self.polls.wrapping_add(1);
        self.polls % u32::from(POLLS_PER_LOOK) == 0 && self.interval_is_over()
    }

    /// Whether the peer may be asked after again, by the clock.
    pub(crate) fn interval_is_over(&mut self) -> bool {
        let now = Instant::now();
        let due = self.next_probe.is_none_or(|at| now >= at);
        if due {
            self.next_probe = now.checked_add(PROBE_INTERVAL);
        }
        due
    }
}

/// The region of a mapping, for as long as the mapping lives.
fn region(mapping: &Mapping) -> Result<Region<'static>, MapError> {
    // SAFETY: 1; a mapping is readable and writable and starts on a page. Nothing else refers to its bytes.
    unsafe { Region::from_raw_parts(mapping.as_ptr(), mapping.len()) }
        .map_err(|_| MapError::TooLarge { len: mapping.len() as u64 })
}

/// Runs `f` over the bytes of a mapping. The region must not outlive `f`'s result, which is why `f` cannot return it.
pub(crate) fn with_region<R>(mapping: &Mapping, f: impl FnOnce(Region<'_>) -> R) -> Result<R, MapError> {
    region(mapping).map(f)
}

/// Takes a mark of what is unread, which the answer stores as the `role`'s: in the middle of the sync that follows. For a ring
/// that is damaged, or in parts, it does nothing.
pub(crate) fn sync_mark(mapping: &Mapping, role: Role) -> Result<impl FnOnce(), MapError> {
    let region = if mapping.is_in_parts() { None } else { Some(region(mapping)?) };
    let mark = region.and_then(|region| Some((region, SyncMark::take(region).ok()?)));
    Ok(move || {
        if let Some((region, mark)) = mark {
            // Without a mark there is the one before.
            let _ = mark.store(region, role);
        }
    })
}

/// The region of a leased mapping, for the handle that will own both.
pub(crate) fn leased_region(mapping: &LeasedMapping) -> Result<Region<'static>, MapError> {
    region(mapping.mapping())
}

/// A strict ring's objects as its producer has mapped them, for the handle that will own both.
pub(crate) fn producer_parts(mapping: &LeasedMapping) -> Result<ProducerParts<'static>, MapError> {
    let mapping = mapping.mapping();
    // SAFETY: 1 and 2.
    unsafe { ProducerParts::from_raw_parts(mapping.as_ptr(), mapping.len()) }
        .map_err(|_| MapError::TooLarge { len: mapping.len() as u64 })
}

/// The same as its consumer has mapped them.
pub(crate) fn consumer_parts(mapping: &LeasedMapping) -> Result<ConsumerParts<'static>, MapError> {
    let mapping = mapping.mapping();
    // SAFETY: 1 and 2.
    unsafe { ConsumerParts::from_raw_parts(mapping.as_ptr(), mapping.len()) }
        .map_err(|_| MapError::TooLarge { len: mapping.len() as u64 })
}

/// The region of a heap ring, for the handle that will own both.
pub(crate) fn heap_region(heap: &Heap) -> Region<'static> {
    heap.region()
}

#[cfg(test)]
mod tests;
