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
