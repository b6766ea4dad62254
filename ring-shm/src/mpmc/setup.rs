//! From a name to a place in a ring: create, open, open or create, and the heap twin. Cold.

use std::sync::Arc;

use ring_core::Verdict;
use ring_core::mpmc::{Ring, SeatFacts};

use super::Options;
use crate::attach;
use crate::chime;
use crate::facts::Facts;
use crate::futex;
use crate::heap::{Heap, HeapLease};
use crate::life::{self, Life};
use crate::location::Location;
use crate::payload::{self, PayloadType};
use crate::placement::Placement;
use crate::segment::Segment;
use crate::setup_error::SetupError;
use crate::wait::Waiter;

/// Creates the segment with an empty ring in it, complete before its name appears.
pub(super) fn create(at: &Location, options: &Options) -> Result<Segment, SetupError> {
    let format = options.fresh_format();
    format.check()?;
    let _reserved = options.limits().reserve(at, format.footprint())?;
    let segment =
        attach::create(at, format.footprint(), options.access(), |region| Ring::format(region, &format).map(drop))?;
    attach::place(segment, options.wanted())
}

/// Opens the segment, or creates it, and joins; whoever loses the race opens what the winner made.
pub(super) fn open_or_create<H>(
    at: &Location,
    options: &Options,
    join: impl FnMut(&Segment) -> Result<H, SetupError>,
) -> Result<H, SetupError> {
    options.format().check()?;
    attach::open_or_create(at, options.access(), || create(at, options), join)
}

/// A place in a ring: memory under a lease, and the validated ring in it. What every handle stands on.
#[derive(Debug)]
pub(super) struct Place {
    /// What waiting needs; before the memory that it sleeps in.
    pub(super) waiter: Option<Box<Waiter>>,
    pub(super) ring: Ring<'static>,
    pub(super) life: Life,
    pub(super) lease: u64,
    /// The lease last found dead, which it stays; 0: none.
    dead: u64,
}

impl Place {
    /// A place in a segment.
    pub(super) fn in_segment(segment: &Segment) -> Result<Self, SetupError> {
        Self::in_segment_of(segment, None)
    }

    /// The same for who wants payload of that type.
    pub(super) fn in_segment_of(segment: &Segment, wanted: Option<&PayloadType>) -> Result<Self, SetupError> {
        let mapping = attach::lease(segment, |region| {
            let ring = Ring::attach(region)?;
            attach::exact(segment, ring.footprint())?;
            payload::check(wanted, ring.type_hash(), || ring.type_text())?;
            // A counter that is used up yields 0, which is no lease number.
            Ok(ring.next_lease().unwrap_or(0))
        })?;
        let ring = Ring::attach(life::leased_region(&mapping)?)?.with_wake(futex::registered_wake(mapping.object()));
        let lease = mapping.lease();
        Ok(Self { waiter: None, ring, life: Life::mapped(mapping), lease, dead: 0 })
    }

    /// The same place, with its mapping placed as `wanted`.
    pub(super) fn placed(self, wanted: &Placement) -> Result<Self, SetupError> {
        self.life.place(wanted)?;
        Ok(self)
    }

    /// A place in a heap ring.
    pub(super) fn in_heap(heap: &Arc<Heap>) -> Result<Self, SetupError> {
        Self::in_heap_of(heap, None)
    }

    /// The same for who wants payload of that type.
    pub(super) fn in_heap_of(heap: &Arc<Heap>, wanted: Option<&PayloadType>) -> Result<Self, SetupError> {
        let ring = Ring::attach(life::heap_region(heap))?.with_wake(futex::registered_wake(chime::HEAP));
        payload::check(wanted, ring.type_hash(), || ring.type_text())?;
        let lease = ring.next_lease()?;
        Ok(Self { waiter: None, ring, life: Life::heap(HeapLease::take(heap.clone(), lease)), lease, dead: 0 })
    }

    /// The kernel's answer about a participant's lease.
    pub(super) fn verdict(&mut self, lease: u64) -> Verdict {
        if lease != 0 && lease == self.dead {
            return Verdict::Dead;
        }
        // Facts matter only where the file system does not keep locks with mappings, and looking them up takes a walk
        // through the table. They are those of this lease, or none.
        let verdict = match self.life.verdict(lease, None) {
            Verdict::Unknown => self.life.verdict(lease, self.ring.facts_of(lease).map(facts)),
            verdict => verdict,
        };
        if verdict == Verdict::Dead {
            self.dead = lease;
        }
        verdict
    }
}

/// Who this process is, as a ring stores it.
pub(super) fn own_facts() -> SeatFacts {
    let me = Facts::of_self();
    SeatFacts { pid: me.pid, start_time: me.start_time, boot: me.boot_hash, pid_namespace: me.pid_namespace }
}

/// The same the other way round.
pub(super) fn facts(stored: SeatFacts) -> Facts {
    Facts {
        pid: stored.pid,
        start_time: stored.start_time,
        boot_hash: stored.boot,
        pid_namespace: stored.pid_namespace,
    }
}

/// A fresh heap ring.
pub(super) fn heap(options: &Options) -> Result<Arc<Heap>, SetupError> {
    let format = options.fresh_format();
    format.check()?;
    let heap = Heap::new(format.footprint()).ok_or(SetupError::NoMemory { asked: format.footprint() })?;
    Ring::format(life::heap_region(&heap), &format)?;
    Ok(heap)
}
