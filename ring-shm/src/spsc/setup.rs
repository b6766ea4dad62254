//! From a name to a seat: create, open, open or create, and the heap twin. Cold.

use std::sync::Arc;

use ring_core::spsc::{Ring, SeatFacts};
use ring_core::{Role, SeatError, SeatState, Verdict};

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

/// Opens the segment, or creates it; whoever loses the race opens what the winner made.
pub(super) fn open_or_create<H>(
    at: &Location,
    options: &Options,
    sit: impl FnMut(&Segment) -> Result<H, SetupError>,
) -> Result<H, SetupError> {
    options.format().check()?;
    attach::open_or_create(at, options.access(), || create(at, options), sit)
}

/// A place in a ring: memory under a lease, and the validated ring in it. What every handle stands on.
#[derive(Debug)]
pub(super) struct Place {
    /// What waiting needs; before the memory that it sleeps in.
    pub(super) waiter: Option<Box<Waiter>>,
    pub(super) ring: Ring<'static>,
    pub(super) life: Life,
    pub(super) lease: u64,
}

impl Place {
    /// A place in a segment: the ring is validated without a lease first, since that is where the next number is.
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
        Ok(Self { waiter: None, ring, life: Life::mapped(mapping), lease })
    }

    /// The same place, with its mapping placed as `wanted`.
    pub(super) fn placed(self, wanted: &Placement) -> Result<Self, SetupError> {
        self.life.place(wanted)?;
        Ok(self)
    }

    /// A place in a heap ring.
    pub(super) fn in_heap(heap: &Arc<Heap>) -> Result<Self, SetupError> {
        let ring = Ring::attach(life::heap_region(heap))?.with_wake(futex::registered_wake(chime::HEAP));
        let lease = ring.next_lease()?;
        Ok(Self { waiter: None, ring, life: Life::heap(HeapLease::take(heap.clone(), lease)), lease })
    }

    /// Sits down by `sit`, which is given the lease and the oracle about the seats' holders.
    pub(super) fn sit<H>(
        self,
        role: Role,
        sit: impl FnOnce(&Ring<'static>, u64, &mut dyn FnMut(u64) -> Verdict) -> Result<H, SeatError>,
    ) -> Result<(H, Box<Self>), SetupError> {
        let mut verdict = |lease| self.verdict(role, lease);
        match sit(&self.ring, self.lease, &mut verdict) {
            Ok(handle) => {
                self.sign(role);
                Ok((handle, Box::new(self)))
            }
            Err(error) => Err(SetupError::seat(error, role, self.ring.facts(role).pid)),
        }
    }

    /// The kernel's answer about the holder of `role`'s seat.
    pub(super) fn verdict(&self, role: Role, lease: u64) -> Verdict {
        // The facts matter only where the file system does not keep locks with mappings; they are this lease's or none.
        self.life.verdict(lease, self.ring.facts_of(role, lease).map(facts))
    }

    /// The same for a poll: `Alive` without asking while the last question is not 250 µs old.
    pub(super) fn ask(&mut self, role: Role, lease: u64) -> Verdict {
        if self.life.probe_is_due() { self.verdict(role, lease) } else { Verdict::Alive }
    }

    /// The same for one that comes after many.
    pub(super) fn ask_again(&mut self, role: Role, lease: u64) -> Verdict {
        if self.life.interval_is_over() { self.verdict(role, lease) } else { Verdict::Alive }
    }

    /// Whether the seat of `role` was held once and is held by nobody alive now.
    pub(super) fn is_over(&self, role: Role) -> bool {
        match self.ring.seat(role) {
            Ok(SeatState::Closed(_)) => true,
            Ok(SeatState::Held(lease)) => self.verdict(role, lease) == Verdict::Dead,
            _ => false,
        }
    }

    /// Writes who sits here now, for people.
    fn sign(&self, role: Role) {
        let me = Facts::of_self();
        self.ring.set_facts(
            role,
            self.lease,
            SeatFacts { pid: me.pid, start_time: me.start_time, boot: me.boot_hash, pid_namespace: me.pid_namespace },
        );
    }
}

/// The identity of a process as a ring stores it.
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
