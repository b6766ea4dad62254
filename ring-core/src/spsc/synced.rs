//! What is certain after a power loss: a mark of what was unread when the ring was last synced, with a sum over it, and the
//! cut that makes a ring of that much. Cold.
//!
//! A mark is stored when the bytes that it sums are on the disk, and before the control block is written there (with the one
//! header that lies in its page, where payloads start on lines). So a mark that is found was true; whether the bytes still are
//! what they were, now that pages of other moments lie between, says the sum. Each side has two places for marks, and writes the older one: what a power loss tears is never the last one.

use core::mem::offset_of;

use super::ring::{Ring, geometry};
use crate::Region;
use crate::error::AttachError;
use crate::layout::{Purpose, SpscControl, read, spsc_data_offset, write};
use crate::position::Position;
use crate::record::{Geometry, HEADER, Header};
use crate::seat::{MAX_LEASE, Role, Seat, SeatFacts, SeatState};

/// Where the marks begin: two of the producer's, two of the consumer's, each of [`SYNC_MARK_LEN`] bytes.
pub const SYNC_MARKS: usize = 2048;

/// Bytes from one mark to the next: first and last position, the sum of what lies between, and a check over the three.
pub const SYNC_MARK_LEN: usize = 64;

const MARKS: usize = 4;

const TAIL: usize = offset_of!(SpscControl, tail);
const HEAD: usize = offset_of!(SpscControl, head.head);
const SEEN: usize = offset_of!(SpscControl, head.seen);
const WITHIN: usize = offset_of!(SpscControl, head.within);
const LAST_LEASE: usize = offset_of!(SpscControl, last_lease);

/// What was unread at some moment, by its positions and its sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncMark {
    start: u64,
    end: u64,
    sum: u64,
}

/// What is left of a ring after the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// The first record that comes next.
    pub head: Position,
    /// Where the last sync ended, and new records begin.
    pub tail: Position,
    /// Records that come.
    pub records: u64,
    /// Whether all is there that was unread at the last sync. If not, its space had been used again: more was sent
    /// afterwards than was free then. What comes then is from an earlier sync, or nothing.
    pub whole: bool,
}

impl SyncMark {
    /// What is unread in the ring of `region` now. The caller's handle, whichever side's, must do nothing meanwhile: then
    /// none of it changes.
    ///
    /// # Errors
    /// [`AttachError`] for what is no SPSC ring, or damaged.
    pub fn take(region: Region<'_>) -> Result<Self, AttachError> {
        let ring = Ring::attach(region)?;
        let at = ring.positions()?;
        // A dead producer may have left its tail behind the head.
        let (start, end) = (at.head.get(), at.head.max(at.tail).get());
        let sum = sum(&region, &ring.geometry, start, end, ring.generation())?;
        Ok(Self { start, end, sum })
    }

    /// Stores it among the marks of `role`: when what it sums is on the disk.
    ///
    /// # Errors
    /// [`AttachError`] for a region without marks.
    pub fn store(self, region: Region<'_>, role: Role) -> Result<(), AttachError> {
        let identity = Ring::examine(&region, 0, Purpose::Work)?;
        let (geometry, generation) = (geometry(&identity), identity.generation);
        let places = match role {
            Role::Producer => [0, 1],
            Role::Consumer => [2, 3],
        };
        let [first, second] = places;
        let order =
            |place| load(&region, place, &geometry, generation).map(|mark| mark.map(|mark| (mark.end, mark.start)));
        let place = if Self::is_older(order(first)?, order(second)?) { first } else { second };
        self.put(&region, place, generation);
        Ok(())
    }

    /// Whether one is to be overwritten rather than the other: none before any.
    fn is_older(one: Option<(u64, u64)>, other: Option<(u64, u64)>) -> bool {
        match (one, other) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((end, start)), Some((other_end, other_start))) => {
                let [end, other_end] = [end, other_end].map(Position::new);
                end.precedes(other_end) || end == other_end && Position::new(start).precedes(Position::new(other_start))
            }
        }
    }

    fn check(&self, generation: u64) -> u64 {
        [self.start, self.end, self.sum].into_iter().fold(mix(generation, u64::MAX), mix)
    }

    fn put(self, region: &Region<'_>, place: usize, generation: u64) {
        // All words in one line, and one sector: torn or not, the check tells.
        for (i, word) in [self.start, self.end, self.sum, self.check(generation)].into_iter().enumerate() {
            write(region, offset(place, i), word);
        }
    }
}

/// Makes a ring of what was synced last in the ring of `region`, whatever pages of other moments lie between: positions and
/// seats as those of a producer that has died when it had sent that much, and nothing behind it. What was sent later is
/// gone. `None`: it has never been synced, or nothing can be found that was.
///
/// Nobody may have the ring open. To do it again, after having died in the middle, comes to the same.
///
/// # Errors
/// [`AttachError`] for what is no SPSC ring: its identity line was there before the first sync.
pub fn cut_to_synced(region: Region<'_>) -> Result<Option<Cut>, AttachError> {
    let identity = Ring::examine(&region, 0, Purpose::Work)?;
    let geometry = geometry(&identity);
    let (mut newest, mut found): (Option<SyncMark>, Option<(SyncMark, Chain)>) = (None, None);
    let head = Position::new(read(&region, HEAD)?);
    for place in 0..MARKS {
        let Some(mark) = load(&region, place, &geometry, identity.generation)? else { continue };
        let newer = |than: Option<SyncMark>| {
            than.is_none_or(|than| SyncMark::is_older(Some((than.end, than.start)), Some((mark.end, mark.start))))
        };
        if newer(newest) {
            newest = Some(mark);
        }
        if newer(found.map(|(mark, _)| mark))
            && sum(&region, &geometry, mark.start, mark.end, identity.generation)? == mark.sum
        {
            if let Some(chain) = walk(&region, &geometry, &mark, head)? {
                found = Some((mark, chain));
            }
        }
    }
    let Some(newest) = newest else { return Ok(None) };
    let whole = found.is_some_and(|(mark, _)| mark.end == newest.end);
    let (mark, chain) = found.unwrap_or((
        SyncMark { start: newest.end, end: newest.end, sum: 0 },
        Chain { head: Position::new(newest.end), records: 0 },
    ));
    // Marks of what is cut off would be taken for newer than those to come.
    for place in 0..MARKS {
        if load(&region, place, &geometry, identity.generation)?.is_some_and(|other| other.end != mark.end) {
            (0..SYNC_MARK_LEN / 8).for_each(|word| write(&region, offset(place, word), 0));
        }
    }
    let tail = Position::new(mark.end);
    write(&region, at(&geometry, tail), 0);
    write(&region, TAIL, tail.get());
    write(&region, HEAD, chain.head.get());
    // Whoever received before may have seen all of it. A train at the head comes as a whole: how far it had been taken might be
    // said of one that is not here any more, and places behind the end will be used again.
    write(&region, SEEN, tail.get());
    write(&region, WITHIN, chain.head.get());
    reseat(&region)?;
    Ok(Some(Cut { head: chain.head, tail, records: chain.records, whole }))
}

/// The seats, of which none is held by anybody alive: the producer's by somebody who has died, whose number is beyond all
/// that were given; nobody has told of that yet.
fn reseat(region: &Region<'_>) -> Result<(), AttachError> {
    let mut last = read(region, LAST_LEASE)?.min(MAX_LEASE);
    let mut came = false;
    for role in [Role::Producer, Role::Consumer] {
        // A word that nobody writes says nothing, not even that it is wrong.
        let state = Seat::of(region, role).map_or(Ok(SeatState::Never), |seat| seat.load()).unwrap_or(SeatState::Never);
        last = last.max(state.lease().unwrap_or(0).min(MAX_LEASE));
        came |= role == Role::Producer && state != SeatState::Never;
    }
    write(region, Role::Consumer.line(), 0);
    if came || last > 0 {
        let lease = last.saturating_add(1).min(MAX_LEASE);
        // Tied to the new number, so that who needs more than the lock to see him dead still has it.
        let (facts, _): (SeatFacts, u64) = SeatFacts::load(region, Role::Producer);
        facts.store(region, Role::Producer, lease);
        write(region, Role::Producer.line(), SeatState::Held(lease).word());
        last = lease;
    }
    write(region, LAST_LEASE, last);
    Ok(())
}

/// What a walk over a mark's records found.
#[derive(Debug, Clone, Copy)]
struct Chain {
    head: Position,
    records: u64,
}

/// Walks the records of a mark whose sum is right. `None` if they do not end where it says: nobody has written such a one.
/// The stored head is where it goes on if a record begins there.
fn walk(
    region: &Region<'_>,
    geometry: &Geometry,
    mark: &SyncMark,
    stored: Position,
) -> Result<Option<Chain>, AttachError> {
    let end = Position::new(mark.end);
    let (mut now, mut all, mut from_stored) = (Position::new(mark.start), 0_u64, None);
    while now.precedes(end) {
        if now == stored {
            from_stored = Some(all);
        }
        let Ok(header) = Header::decode(read(region, at(geometry, now))?, now, geometry) else { return Ok(None) };
        let size = match header {
            Header::Zero => return Ok(None),
            Header::Record { len, .. } => {
                all = all.saturating_add(1);
                geometry.record_size(len)
            }
            Header::Train(train) => {
                all = all.saturating_add(train.count);
                train.size()
            }
            Header::Padding => geometry.room_to_end(now),
            Header::Mark { .. } => geometry.align(),
        };
        now = now.plus(size);
    }
    if now != end {
        return Ok(None);
    }
    Ok(Some(match from_stored {
        Some(before) => Chain { head: stored, records: all.saturating_sub(before) },
        // All of it was released, and more.
        None if !stored.precedes(end) && stored.since(end) <= geometry.capacity() => Chain { head: end, records: 0 },
        None => Chain { head: Position::new(mark.start), records: all },
    }))
}

/// The mark at `place`, if there is one that could be: of no more than a ring holds, between places of records.
fn load(
    region: &Region<'_>,
    place: usize,
    geometry: &Geometry,
    generation: u64,
) -> Result<Option<SyncMark>, AttachError> {
    let mark = SyncMark {
        start: read(region, offset(place, 0))?,
        end: read(region, offset(place, 1))?,
        sum: read(region, offset(place, 2))?,
    };
    let fits = Position::new(mark.end).since(Position::new(mark.start)) <= geometry.capacity()
        && (mark.start | mark.end) & geometry.align().wrapping_sub(1) == 0;
    Ok((fits && read(region, offset(place, 3))? == mark.check(generation)).then_some(mark))
}

const fn offset(place: usize, word: usize) -> usize {
    SYNC_MARKS.wrapping_add(place.wrapping_mul(SYNC_MARK_LEN)).wrapping_add(word.wrapping_mul(8))
}

/// Where in the region the word at a position is.
#[expect(clippy::cast_possible_truncation, reason = "an offset within the region, whose length is a usize")]
fn at(geometry: &Geometry, position: Position) -> usize {
    let data = spsc_data_offset(!geometry.is_packed());
    data.wrapping_add(position.get() & geometry.capacity().wrapping_sub(1)) as usize
}

/// The sum of what lies between two positions, which are no more than a lap apart.
fn sum(region: &Region<'_>, geometry: &Geometry, start: u64, end: u64, generation: u64) -> Result<u64, AttachError> {
    let words = Position::new(end).since(Position::new(start)).min(geometry.capacity()) / HEADER;
    let mut sum = mix(mix(generation, start), end);
    let mut now = Position::new(start);
    for _ in 0..words {
        sum = mix(sum, read(region, at(geometry, now))?);
        now = now.plus(HEADER);
    }
    Ok(sum)
}

/// One word more: a change of any bit changes about half of them.
fn mix(sum: u64, word: u64) -> u64 {
    let mixed = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed.wrapping_shr(29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(27)
}
