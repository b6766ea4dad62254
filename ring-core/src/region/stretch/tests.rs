#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

use super::*;
use crate::layout::CONTROL_SIZE;
use crate::record::CLOSE;
use crate::region::{Line, Region};

const CAPACITY: u64 = 1024;

/// Both questions about lines agree at each place and for each size, and what is told about long records is so.
#[test]
fn lines_of_a_record() {
    let memory = [const { Line::new() }; ((CONTROL_SIZE + CAPACITY) / 128) as usize];
    let area = Region::new(&memory).area(CONTROL_SIZE, CAPACITY).unwrap();
    for geometry in [CLOSE, Geometry::new(CAPACITY, true)] {
        let starts = (0..512_u64).step_by(geometry.align() as usize);
        for (start, len) in starts.flat_map(|start| (0..300).map(move |len| (start, len))) {
            let mut rest = area.stretch(Position::new(start), CAPACITY);
            let taken = rest.take(len, &geometry).unwrap();
            let size = geometry.record_size(len as u64);
            let expected = match (start / 64 != (start + size) / 64, size > 64) {
                (false, _) => Lines::Same,
                (true, false) => Lines::Next,
                (true, true) => Lines::Many,
            };
            assert_eq!(rest.lines_of(&taken), expected, "{len} bytes at {start}");
            assert_eq!(rest.is_past_line_of(&taken), expected != Lines::Same, "{len} bytes at {start}");
        }
    }
}
