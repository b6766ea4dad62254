#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

use super::*;
use crate::layout::CONTROL_SIZE;
use crate::region::{Line, Region};

const CAPACITY: u64 = 1024;

/// The first word of each line behind the start, that of the last header included where it is one, and nothing else.
#[test]
fn a_touch_is_one_word_a_line() {
    for (start, room) in
        (0..CAPACITY).step_by(8).flat_map(|start| (0..CAPACITY).step_by(8).map(move |room| (start, room)))
    {
        let memory = [const { Line::new() }; ((CONTROL_SIZE + CAPACITY) / 128) as usize];
        let area = Region::new(&memory).area(CONTROL_SIZE, CAPACITY).unwrap();
        let words = || (0..CAPACITY).step_by(8).map(Position::new);
        words().for_each(|at| area.store_header(at, 1, Ordering::Relaxed));
        let stretch = area.stretch(Position::new(start), room);
        stretch.touch(Ordering::Relaxed);
        let end = start + stretch.bytes() as u64;
        for at in words().map(Position::get) {
            let touched = at % 64 == 0 && at > start && at <= end;
            let word = area.load_header(Position::new(at), Ordering::Relaxed);
            assert_eq!(word, u64::from(!touched), "{at} of {start} to {end}");
        }
    }
}

/// A stretch goes on behind what was taken of a copy of it, and of nothing else.
#[test]
fn what_is_passed_was_taken_of_a_copy() {
    let memory = [const { Line::new() }; ((CONTROL_SIZE + CAPACITY) / 128) as usize];
    let area = Region::new(&memory).area(CONTROL_SIZE, CAPACITY).unwrap();
    let geometry = Geometry::new(CAPACITY, false);
    let whole = area.stretch(Position::new(64), 256);
    let mut copy = whole;
    copy.take(20, &geometry).unwrap();
    let behind = copy.behind();

    let mut stretch = whole;
    assert!(behind.is_known() && stretch.pass(&behind));
    assert_eq!((stretch.position(), stretch.bytes()), (Position::new(64 + 32), 256 - 32));

    for other in [whole.cut(0), whole.cut(24), whole.cut(248), area.stretch(Position::new(64), 264)] {
        let mut stretch = other;
        assert!(!stretch.pass(&behind) && stretch.position() == other.position());
    }
    let mut stretch = whole;
    assert!(!Behind::UNKNOWN.is_known() && !stretch.pass(&Behind::UNKNOWN) && stretch.position() == whole.position());
}
