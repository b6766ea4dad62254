#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

use super::*;
use crate::layout::CONTROL_SIZE;
use crate::region::{Line, Region};

const CAPACITY: u64 = 1024;

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
