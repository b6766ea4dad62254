#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

use super::*;
use crate::layout::CONTROL_SIZE;
use crate::region::{Line, Region};

const CAPACITY: u64 = 8192;

#[test]
fn a_record_is_asked_for_with_the_header_behind_it() {
    let memory = [const { Line::new() }; ((CONTROL_SIZE + CAPACITY) / 128) as usize];
    let area = Region::new(&memory).area(CONTROL_SIZE, CAPACITY).unwrap();
    for from in [0, 8, 56, 64, 1000, CAPACITY - 72, CAPACITY - 264, 3 * CAPACITY + 40] {
        for size in [8, 16, 64, 72, 264, 4024, 4088, 4096, 5000] {
            let mut lines = (from / 64..=(from + size) / 64).take(OWNED).map(|line| line * 64 % CAPACITY);
            area.each_line::<OWNED>(Position::new(from), Position::new(from + size), |at| {
                let offset = (at.addr().get() - area.base.addr().get()) as u64;
                assert_eq!(Some(offset), lines.next(), "{size} bytes at {from}");
            });
            assert_eq!(None, lines.next(), "{size} bytes at {from}");
        }
    }
}
