#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::cast_possible_truncation, reason = "tests")]

use super::*;
use crate::layout::CONTROL_SIZE;
use crate::record::Geometry;
use crate::region::{Line, Region};

const CAPACITY: u64 = 8192;
const PACKED: Geometry = Geometry::new(CAPACITY, false);

fn memory() -> [Line; ((CONTROL_SIZE + CAPACITY) / 128) as usize] {
    [const { Line::new() }; ((CONTROL_SIZE + CAPACITY) / 128) as usize]
}

const STARTS: [u64; 8] = [0, 8, 64, 1000, 4096, 7000, 8120, 8184];
const LENS: [usize; 9] = [0, 1, 8, 16, 64, 120, 250, 1016, 2000];
const MOST: [usize; 7] = [0, 1, 2, 7, 64, 1000, usize::MAX];

/// Places are given where all of them end before the area does, whatever is asked for; each is a step behind the one before.
#[test]
fn members_are_what_fits() {
    let memory = memory();
    let area = Region::new(&memory).area(CONTROL_SIZE, CAPACITY).unwrap();
    for (start, len) in STARTS.into_iter().flat_map(|start| LENS.map(|len| (start, len))) {
        // One lap further: positions grow for ever.
        let (record, step) = (Position::new(start + CAPACITY), len.next_multiple_of(8));
        let room = (CAPACITY - start - 8) as usize;
        let fits = room.checked_div(step).unwrap_or(usize::MAX);
        for count in [0, 1, 2, 7, 64, 1000, fits.saturating_sub(1), fits, fits.saturating_add(1), usize::MAX] {
            let Some(mut places) = area.members(record, len, count) else {
                assert!(count > fits, "{count} of {len} at {start}");
                continue;
            };
            assert!(count <= fits, "{count} of {len} at {start}");
            assert_eq!((places.len(), places.left(), places.position()), (len, count, record));
            assert_eq!(places.end(), record.plus(step.wrapping_mul(count) as u64));
            places.ask(1024);
            let first = area.stretch(record, 0).at.addr().get();
            for i in 0..count.min(2000) {
                assert!(places.take_of(len + 1).is_none());
                let taken = if i % 2 == 0 { places.take() } else { places.take_of(len) }.unwrap();
                assert_eq!((taken.at.addr().get(), taken.len), (first + i * step, len));
                assert_eq!(places.position(), record.plus(((i + 1) * step) as u64));
                assert!(places.position().since(Position::new(CAPACITY)) <= CAPACITY - 8);
            }
            assert_eq!(places.left(), count - count.min(2000));
            if count <= 2000 {
                assert!(places.take().is_none());
            }
        }
        assert!(area.members(record, usize::MAX, 1).is_none() && area.members(record, usize::MAX - 7, 2).is_none());
    }
}

/// Many places taken at once are those taken one by one.
#[test]
fn many_are_taken_at_once() {
    let memory = memory();
    let area = Region::new(&memory).area(CONTROL_SIZE, CAPACITY).unwrap();
    for (len, count) in LENS.into_iter().flat_map(|len| [0, 1, 2, 3].map(|count| (len, count))) {
        let places = area.members(Position::new(64), len, count).unwrap();
        for left in 0..=count + 2 {
            let (mut one, mut many) = (places, places);
            let taken = count.saturating_sub(left);
            (0..taken).for_each(|_| assert!(one.take().is_some()));
            assert_eq!(many.take_all_but(left), taken);
            assert_eq!((many.at, many.len, many.left, many.bias), (one.at, one.len, one.left, one.bias));
        }
    }
}

/// Records join the one before where the stretch begins right behind it, and nowhere else; as many as are wished and fit; what was
/// taken is then behind them.
#[test]
fn records_join_the_one_before() {
    let memory = memory();
    let area = Region::new(&memory).area(CONTROL_SIZE, CAPACITY).unwrap();
    let rooms = [8, 16, 64, 72, 1016, 1024, 1032, 1040, 2048, 2072, 8184];
    let stretches = STARTS.into_iter().flat_map(|start| rooms.map(|room| area.stretch(Position::new(start), room)));
    for (whole, len) in stretches.flat_map(|stretch| LENS.map(|len| (stretch, len))) {
        let (mut rest, step) = (whole, len.next_multiple_of(8));
        let Some(before) = rest.take(len, &PACKED) else { continue };
        for (stretch, count) in [(whole, 1), (rest, 0), (rest, 2), (rest, usize::MAX), (rest, usize::MAX / 8)] {
            assert!(stretch.joining(&before, count, 9, u64::MAX).is_none(), "{count} of {len}");
        }
        if len == 0 {
            assert!(rest.joining(&before, 1, 9, u64::MAX).is_none());
            continue;
        }
        for (most, bytes) in MOST.into_iter().flat_map(|most| [0, 7, 8, 100, 1024, u64::MAX].map(|b| (most, b))) {
            let mut places = rest.joining(&before, 1, most, bytes).unwrap();
            let within = usize::try_from(bytes).unwrap_or(usize::MAX).min(rest.bytes());
            assert_eq!((places.left(), places.position().plus(8)), (most.min(within / step), rest.position()));
            assert_eq!(rest.behind_joined(&places).position(), rest.position());
            let mut taken = 0;
            while let Some(member) = places.take() {
                taken += 1;
                let payload = member.span().base.addr().get() - before.span().base.addr().get();
                assert_eq!((payload, member.len), (taken * step, len));
                let behind = rest.behind_joined(&places);
                assert_eq!(behind.position(), rest.position().plus((taken * step) as u64));
                assert_eq!(behind.end, rest.end);
                let more = behind.joining(&before, 1 + taken, usize::MAX, u64::MAX).unwrap();
                assert_eq!((more.position(), more.left()), (places.position(), behind.bytes() / step));
            }
        }
        // Of another place it says nothing. Not "not before": what would be wrong here, compilers may take for impossible.
        let elsewhere = area.stretch(Position::new(0), 0).no_members();
        assert_eq!(rest.behind_joined(&elsewhere).at, rest.at);
    }
}

/// What is handed out alone is what was taken, once.
#[test]
fn one_is_taken_once_more() {
    let memory = memory();
    let area = Region::new(&memory).area(CONTROL_SIZE, CAPACITY).unwrap();
    for (start, len) in STARTS.into_iter().flat_map(|start| LENS.map(|len| (start, len))) {
        let record = Position::new(start + CAPACITY);
        let Some((taken, _)) = area.record(record, len, PACKED.record_size(len as u64)) else { continue };
        let mut places = taken.alone(record);
        assert_eq!((places.left(), places.len(), places.position()), (1, len, record));
        let again = places.take().unwrap();
        assert_eq!((again.at, again.len), (taken.at, len));
        assert!(places.take().is_none());
        assert_eq!(places.position(), record.plus(len.next_multiple_of(8) as u64));
    }
}
