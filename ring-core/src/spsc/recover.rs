//! Sitting down: what a fresh handle, or the successor of a closed or dead one, has to find out before its first
//! operation. Cold. The walk is bounded by the capacity and every header on it is checked.

use super::consumer::Consumer;
use super::producer::Producer;
use super::ring::Ring;
use crate::error::{Corrupt, Field};
use crate::position::Position;
use crate::record::{HEADER, Header};
use crate::seat::{Before, Role, Seat, SeatError, SeatState, Verdict};
use crate::sync::{fence, ord};

/// Takes the producer's seat; *then* finds the end of the committed chain, stores it as the tail, and marks where the
/// former session ended. A death anywhere in between leaves the seat to the next, who does the same again.
pub(super) fn sit_producer<'m>(
    ring: &Ring<'m>,
    lease: u64,
    mut verdict: impl FnMut(u64) -> Verdict,
) -> Result<Producer<'m>, SeatError> {
    let before = take(ring, Role::Producer, lease, &mut verdict)?;
    ring.wake_up_in(Role::Producer);
    if let Some(side) = ring.strict {
        return Ok(Producer::new(ring, lease, side.start, side.start, 0, 0));
    }
    let (head, end, last_mark) = end_of_chain(ring)?;
    ring.tail.store(end.get(), ord!(R4, Relaxed));
    let told = ended(ring.seat(Role::Consumer)?, &mut verdict);
    // The oldest session without a mark is the one whose records come next; sessions after it, which found no room even
    // for a mark, are told with it. Its mark may stand there although the note was not taken back any more.
    let (mark, seat) = (before.unmarked, Seat::of(&ring.control.region(), Role::Producer));
    if last_mark == Some(mark) {
        if let Some(seat) = seat {
            seat.marked(lease);
        }
    }
    Ok(Producer::new(ring, lease, head, end, if last_mark == Some(mark) { 0 } else { mark }, told))
}

/// Takes the consumer's seat and goes on at the stored head.
pub(super) fn sit_consumer<'m>(
    ring: &Ring<'m>,
    lease: u64,
    mut verdict: impl FnMut(u64) -> Verdict,
) -> Result<Consumer<'m>, SeatError> {
    let before = take(ring, Role::Consumer, lease, &mut verdict)?;
    ring.wake_up_in(Role::Consumer);
    if let Some(side) = ring.strict {
        return Ok(Consumer::new(ring, lease, side.start, side.start, 0));
    }
    let at = ring.positions()?;
    // A session of which nothing is unread is not this consumer's to report: it waits for the next one. The seat is
    // looked at before the header, so that an end seen here has all its records in place. A producer that sits may have
    // noted a session that it is about to mark here. Whether its end was told is known from the consumer before; if the
    // note is gone, the header below is the mark (T3 comes after M2).
    let seat = |role| Seat::of(&ring.control.region(), role).ok_or(Corrupt::new(Field::TotalLen, 0, 0));
    let (state, noted) = seat(Role::Producer)?.load_noted()?;
    let ended = match ended(state, &mut verdict) {
        0 if noted == before.told => noted,
        lease => lease,
    };
    // Relaxed: nothing behind the header is read before the first look has loaded it again, with Acquire (C1).
    let word = ring.area.load_header(at.head, ord!(R5, Relaxed));
    let told = match Header::decode(word, at.head, &ring.geometry)? {
        Header::Zero => ended,
        Header::Mark { seat } => seat >> 1,
        Header::Record { .. } | Header::Train(_) | Header::Padding => 0,
    };
    if told != 0 && told != before.told {
        seat(Role::Consumer)?.told(lease, told);
    }
    Ok(Consumer::new(ring, lease, at.head, at.seen, told))
}

/// Takes a dead owner's seat for an operator: the tail is put where the committed records end, and the peer, or whoever
/// comes next, finds a dead owner still.
pub(super) fn recover(
    ring: &Ring<'_>,
    role: Role,
    lease: u64,
    put_back: bool,
    mut verdict: impl FnMut(u64) -> Verdict,
) -> Result<SeatState, SeatError> {
    if ring.strict.is_some() {
        return Err(SeatError::Strict);
    }
    let before = take(ring, role, lease, &mut verdict)?;
    if role == Role::Producer {
        let (_, end, _) = end_of_chain(ring)?;
        ring.tail.store(end.get(), ord!(R7, Relaxed));
    }
    if put_back {
        if let Some(seat) = Seat::of(&ring.control.region(), role) {
            seat.put_back(lease, &before);
        }
    }
    Ok(before.state)
}

/// Takes a seat of the ring. One of a strict ring only if it is the side's own and nobody ever had it: a successor would
/// have to put right what belongs to the other.
fn take(ring: &Ring<'_>, role: Role, lease: u64, verdict: &mut dyn FnMut(u64) -> Verdict) -> Result<Before, SeatError> {
    let seat = Seat::of(&ring.control.region(), role).ok_or(Corrupt::new(Field::TotalLen, 0, 0))?;
    match ring.strict {
        None => seat.take(lease, role == Role::Producer, verdict),
        Some(side) if side.role == role && seat.load()? == SeatState::Never => {
            // Whoever comes between is a liar, who may leave us no seat.
            seat.take(lease, false, &mut |_| Verdict::Unknown)
        }
        Some(_) => Err(SeatError::Strict),
    }
}

/// The lease of a session that is already over, else 0.
fn ended(state: SeatState, verdict: &mut dyn FnMut(u64) -> Verdict) -> u32 {
    let over = match state {
        SeatState::Never => false,
        SeatState::Closed(_) => true,
        SeatState::Held(lease) if verdict(lease) == Verdict::Dead => {
            // What the dead one left is looked at next.
            fence!(R8, Acquire);
            true
        }
        SeatState::Held(_) => false,
    };
    if over { state.lease().and_then(|l| u32::try_from(l).ok()).unwrap_or(0) } else { 0 }
}

/// Walks the committed headers from the larger of head and tail to the first zero. Neither the tail alone (a batch,
/// or a padding record with its record, is committed by one store before the tail moves) nor "at most one more"
/// would do: every death in between leaves another.
///
/// Returns the head, the end, and the session that the last header before the end marks, if it is a mark.
fn end_of_chain(ring: &Ring<'_>) -> Result<(Position, Position, Option<u32>), Corrupt> {
    let at = ring.positions()?;
    let (mut end, mut last_mark) = (at.head.max(at.tail), None);
    for _ in 0..=ring.geometry.capacity() / HEADER {
        // Relaxed: all of it was written by owners whose end the seat's compare-and-swap, or the fence after the
        // verdict, has put before us.
        let word = ring.area.load_header(end, ord!(R6, Relaxed));
        let header = Header::decode(word, end, &ring.geometry)?;
        let size = match header {
            Header::Zero => return Ok((at.head, end, last_mark)),
            Header::Record { len, .. } => ring.geometry.record_size(len),
            Header::Train(train) => train.size(),
            Header::Padding => ring.geometry.room_to_end(end),
            Header::Mark { .. } => ring.geometry.align(),
        };
        last_mark = if let Header::Mark { seat } = header { Some(seat) } else { None };
        end = end.plus(size);
        if end.since(at.head) > ring.geometry.capacity().wrapping_sub(HEADER) {
            return Err(Corrupt::new(Field::RecordHeader, word, end.get()));
        }
    }
    Err(Corrupt::new(Field::Tail, at.tail.get(), end.get()))
}
