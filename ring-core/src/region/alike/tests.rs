#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

use super::*;
use crate::layout::CONTROL_SIZE;
use crate::position::Position;
use crate::region::{Area, Line, Region};

const CAPACITY: u64 = 8192;
const BOTH: [Geometry; 2] = [Geometry::new(CAPACITY, false), Geometry::new(CAPACITY, true)];

fn memory() -> [Line; ((CONTROL_SIZE + CAPACITY) / 128) as usize] {
    [const { Line::new() }; ((CONTROL_SIZE + CAPACITY) / 128) as usize]
}

/// Stretches of many lengths, up to the last word of the area.
fn stretches<'m>(area: &Area<'m>) -> impl Iterator<Item = Stretch<'m>> {
    let starts = [0, 8, 64, 1000, 4096, 7000, 8120, 8184];
    let rooms = [0, 8, 16, 64, 72, 1016, 1024, 1032, 1040, 2048, 2072, 8184];
    starts
        .into_iter()
        .flat_map(move |start| rooms.into_iter().map(move |room| area.stretch(Position::new(start), room)))
}

const LENS: [usize; 9] = [0, 1, 8, 16, 64, 120, 250, 1016, 2000];
const MOST: [usize; 7] = [0, 1, 2, 7, 64, 1000, usize::MAX];

/// As many places as fit, are wished, and lie within the bytes; each behind the one before, and the last ends inside.
#[test]
fn places_alike_are_what_fits() {
    let memory = memory();
    let area = Region::new(&memory).area(CONTROL_SIZE, CAPACITY).unwrap();
    for geometry in BOTH {
        for (stretch, len) in stretches(&area).flat_map(|s| LENS.map(|len| (s, len))) {
            let (size, room) = (geometry.size_of(len).unwrap(), stretch.bytes());
            for (most, bytes) in MOST.into_iter().flat_map(|most| [0, 7, 8, 16, 100, 1024, u64::MAX].map(|b| (most, b)))
            {
                let mut places = stretch.alike(len, most, bytes, &geometry);
                let within = usize::try_from(bytes).unwrap_or(usize::MAX).min(room);
                for i in 0..most.min(within / size) {
                    let (next, taken) = (places.next().unwrap(), places.take().unwrap());
                    assert_eq!(taken.at.addr().get(), stretch.at.addr().get() + i * size);
                    assert_eq!((next.at, taken.len), (taken.at, len));
                    assert!(places.rest().at <= stretch.end, "{len} {room} {most} {bytes}");
                }
                assert!(places.next().is_none() && places.take().is_none(), "{len} {room} {most} {bytes}: {places:?}");
            }
        }
        assert!(area.stretch(Position::new(0), 4000).none_alike().take().is_none());
        assert!(area.stretch(Position::new(0), 4000).alike(usize::MAX, 1, u64::MAX, &geometry).take().is_none());
    }
}

/// The same of a train, in which a place is a word shorter; up to the area's last byte.
#[test]
fn members_are_what_fits() {
    let memory = memory();
    let area = Region::new(&memory).area(CONTROL_SIZE, CAPACITY).unwrap();
    for (stretch, len) in stretches(&area).flat_map(|s| LENS.map(|len| (s, len))) {
        let (step, room) = (len.next_multiple_of(8), stretch.bytes());
        for (most, bytes) in MOST.into_iter().flat_map(|most| [0, 7, 8, 100, 1024, u64::MAX].map(|b| (most, b))) {
            let mut places = stretch.members(len, most, bytes);
            let within = usize::try_from(bytes).unwrap_or(usize::MAX).min(room);
            for i in 0..most.min(within.checked_div(step).unwrap_or(0)) {
                let taken = if i % 2 == 0 { places.take() } else { places.take_of(len) }.unwrap();
                assert_eq!((taken.at.addr().get(), taken.len), (stretch.at.addr().get() + i * step, len));
                assert!(places.take_of(len + 1).is_none());
                assert!(places.rest().at <= stretch.end, "{len} {room} {most} {bytes}");
            }
            assert!(places.next().is_none() && places.take().is_none(), "{len} {room} {most} {bytes}: {places:?}");
        }
    }
    assert!(area.stretch(Position::new(0), 4000).members(usize::MAX, 1, u64::MAX).take().is_none());
}

/// Records join the one before where the stretch begins right behind it, and nowhere else; what was taken is then behind them.
#[test]
fn records_join_the_one_before() {
    let memory = memory();
    let area = Region::new(&memory).area(CONTROL_SIZE, CAPACITY).unwrap();
    for (whole, len) in stretches(&area).flat_map(|s| LENS.map(|len| (s, len))) {
        let mut rest = whole;
        let Some(before) = rest.take(len, &BOTH[0]) else { continue };
        for (stretch, count) in [(whole, 1), (rest, 0), (rest, 2), (rest, usize::MAX), (rest, usize::MAX / 8)] {
            assert!(stretch.coupled(&before, count).is_none() || len == 0, "{count} of {len}");
        }
        let coupled = rest.coupled(&before, 1).unwrap();
        assert_eq!((coupled.bytes(), coupled.position().plus(8)), (rest.bytes(), rest.position()));
        let mut places = coupled.members(len, 3, u64::MAX);
        assert_eq!(rest.behind_coupled(&places).position(), rest.position());
        let step = len.next_multiple_of(8);
        let mut taken = 0;
        while let Some(member) = places.take() {
            taken += 1;
            let payload = member.span().base.addr().get() - before.span().base.addr().get();
            assert_eq!((payload, member.len), (taken * step, len));
            let behind = rest.behind_coupled(&places);
            assert_eq!(behind.position(), rest.position().plus((taken * step) as u64));
            assert_eq!(behind.end, rest.end);
            let more = behind.coupled(&before, 1 + taken).unwrap();
            assert_eq!((more.position(), more.bytes()), (places.rest().position(), behind.bytes()));
        }
        assert_eq!(taken, rest.bytes().checked_div(step).unwrap_or(0).min(3));
        // Of another place it says nothing.
        let elsewhere = area.stretch(Position::new(0), 0).members(len, 3, u64::MAX);
        let behind = rest.behind_coupled(&elsewhere);
        assert!(behind.at >= rest.at && behind.at <= rest.end);
    }
}
