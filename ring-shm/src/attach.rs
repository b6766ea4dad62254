//! From a name to a segment to a lease, whatever ring is in it. Cold; called by the `setup` of each kind of ring, which
//! knows how to format and to validate.

use core::mem::offset_of;
use std::time::Instant;

use ring_core::{FormatError, Kind, MpmcControl, Region, SpscControl};

use crate::error::{CreateError, LeaseError, MapError, OsError};
use crate::lease::{First, LeasedMapping};
use crate::life;
use crate::location::{Location, ToLocation};
use crate::look::Look;
use crate::placement::Placement;
use crate::posix::{GATE_PAUSE, LEAVING};
use crate::segment::{Access, OpenRules, Segment};
use crate::setup_error::{SetupError, SetupErrorKind};

/// Where both kinds of ring have their tail, which stays 0 until something is sent.
const TAIL: usize = offset_of!(SpscControl, tail);
const _: () = assert!(TAIL == offset_of!(MpmcControl, tail));

/// How often a removal by others is answered by starting again.
const TRIES: u32 = 64;

/// What kind of ring is there: for tools that have no more than the name. Reads it, whoever owns it, and takes no
/// lease.
///
/// # Errors
/// [`SetupError`]; its kind is `NotFound` without such a segment, `Permission` when it may not be read, and `Corrupt`
/// when it is no ring.
pub fn kind_of(at: impl ToLocation) -> Result<Kind, SetupError> {
    Look::at(&at.to_location()?)?.with_copy(|region, _| Ok(Kind::of(&region)?))
}

/// Creates a segment of `len` bytes with an empty ring in it, complete before its name appears.
pub(crate) fn create(
    at: &Location,
    len: u64,
    access: &Access,
    format: impl FnOnce(Region<'_>) -> Result<(), FormatError>,
) -> Result<Segment, SetupError> {
    let mut formatted: Result<(), SetupError> = Ok(());
    // Whoever makes a ring sits down in it, in all likelihood; if not, the lease goes with the answer.
    let segment = Segment::create_held(at, len, access, true, |mapping| {
        formatted = life::with_region(mapping, format)
            .map_err(SetupError::from)
            .and_then(|result: Result<(), FormatError>| result.map_err(SetupError::from));
    })?;
    formatted.map(|()| segment)
}

/// Creates a segment by `create` and sits in it. If that fails the name is taken back, unless others have come to use
/// it meanwhile.
pub(crate) fn create_and_sit<H>(
    create: impl FnOnce() -> Result<Segment, SetupError>,
    sit: impl FnOnce(&Segment) -> Result<H, SetupError>,
) -> Result<H, SetupError> {
    let segment = create()?;
    sit(&segment).inspect_err(|_| take_back(&segment))
}

/// Places a segment that has just been created.
pub(crate) fn place(segment: Segment, wanted: &Placement) -> Result<Segment, SetupError> {
    if wanted.concerns_segment() {
        // The mapping has gone before the segment is taken back.
        let placed = || -> Result<(), SetupError> { Ok(wanted.place_segment(&segment.map_whole()?)?) };
        placed().inspect_err(|_| take_back(&segment))?;
    }
    Ok(segment)
}

/// What cannot be taken back is a ring like any other, whole and of nobody. Its locks may be held for a moment more: the gate by who
/// looks whether it is stale, and our own lease by a child between `vfork` and `exec`, which has all that was open.
fn take_back(segment: &Segment) {
    drop(segment.take_first());
    let deadline = Instant::now() + LEAVING;
    while matches!(segment.take_back(TAIL), Ok(true)) && Instant::now() < deadline {
        std::thread::sleep(GATE_PAUSE);
    }
}

/// Opens a segment under `rules` and sits; a removal in between is `NotFound`.
pub(crate) fn open<H>(
    at: impl ToLocation,
    rules: &OpenRules,
    sit: impl FnOnce(&Segment) -> Result<H, SetupError>,
) -> Result<H, SetupError> {
    sit(&Segment::open_with(at, rules)?)
}

/// Opens a segment and sits, or creates it and sits; whoever loses the race opens what the winner made. An
/// existing one must be shared as `access` says, or not at all: who asks for a ring of his own gets nobody else's.
pub(crate) fn open_or_create<H>(
    at: &Location,
    access: &Access,
    create: impl Fn() -> Result<Segment, SetupError>,
    mut sit: impl FnMut(&Segment) -> Result<H, SetupError>,
) -> Result<H, SetupError> {
    let rules = OpenRules::expecting(access);
    for _ in 0..TRIES {
        let sat = match Segment::open_with(at, &rules).map_err(SetupError::from) {
            Err(e) if e.kind() == SetupErrorKind::NotFound => create_and_sit(&create, &mut sit),
            opened => opened.and_then(|segment| sit(&segment)),
        };
        match sat {
            // Nobody who comes between has taken the directory away.
            Err(SetupError::Create(CreateError::NoDirectory { .. })) => return sat,
            Err(e) if matches!(e.kind(), SetupErrorKind::Exists | SetupErrorKind::NotFound) => {}
            other => return other,
        }
    }
    Err(SetupError::Contended)
}

/// Whether the segment is as long as the ring in it. A longer one has been made so by somebody who may write to it: what we
/// map, lock or fault in is to be no more than what the creator reserved.
pub(crate) fn exact(segment: &Segment, footprint: u64) -> Result<(), SetupError> {
    if segment.is_made_for(footprint) {
        return Ok(());
    }
    Err(MapError::Resized { expected: footprint, found: segment.len() }.into())
}

/// A mapping of the whole segment under a lease. `next` takes the next number from the ring in it, which is looked at
/// without a lease for that.
pub(crate) fn lease(
    segment: &Segment,
    mut next: impl FnMut(Region<'_>) -> Result<u64, SetupError>,
) -> Result<LeasedMapping, SetupError> {
    if let Some(first) = segment.take_first() {
        // Somebody who came meanwhile found the first number held, and has counted on.
        if life::with_region(first.mapping(), &mut next)?? == First::NUMBER {
            return Ok(first.of(segment));
        }
    }
    LeasedMapping::acquire_within(segment, |mapping| life::with_region(mapping, &mut next)?).map_err(|error| {
        match error {
            // Not the machine is to blame where somebody has made it larger than there are addresses.
            SetupError::Lease(LeaseError::Os(OsError { code: libc::ENOMEM, .. })) => grown(segment).unwrap_or(error),
            error => error,
        }
    })
}

/// That the segment is longer than the ring in it says to be, if it is.
fn grown(segment: &Segment) -> Option<SetupError> {
    let expected = segment.total_len().filter(|len| *len > 0 && *len < segment.len())?;
    Some(MapError::Resized { expected, found: segment.len() }.into())
}

#[cfg(test)]
mod tests;
