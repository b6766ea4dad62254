use super::{BEYOND, Geometry, HEADER_BYTES, Lines};
use crate::position::Position;

const BOTH: [Geometry; 2] = [Geometry::new(1 << 20, false), Geometry::new(1 << 20, true)];

/// Sizes are computed below zero; here they are as one would write them.
#[test]
fn sizes_are_rounded_up_from_payload_and_header() {
    for (geometry, align) in BOTH.into_iter().zip([8, 64]) {
        assert_eq!(geometry.align(), align as u64);
        let lens = (0..=300).chain((1 << 31) - 100..(1 << 31) - 16);
        for len in lens {
            let size = (len + HEADER_BYTES).next_multiple_of(align);
            assert_eq!(geometry.size_of(len), Some(size), "{len}, {align}");
            assert_eq!(geometry.record_size(len as u64), size as u64, "{len}, {align}");
        }
    }
}

/// A stretch adds a size to an address without looking whether that wraps.
#[test]
fn no_size_is_beyond_what_addresses_go_on_for() {
    let most = if BEYOND == 0 { usize::MAX } else { BEYOND };
    for geometry in BOTH {
        let sizes = (most - 200..=most).map(|len| geometry.size_of(len));
        for size in sizes.flatten() {
            assert!(size <= most, "{size:#x}");
        }
        assert_eq!(geometry.size_of(most - 8), None);
        for len in [isize::MAX as usize, usize::MAX - 71, usize::MAX - 8, usize::MAX] {
            assert!(geometry.size_of(len).is_none_or(|size| size > len && BEYOND == 0), "{len:#x}");
        }
    }
}

/// Wherever a record begins and however long it is, where the positions wrap too.
#[test]
fn lines_of_what_follows_a_record() {
    for (start, size) in (0..128_u64).step_by(8).flat_map(|start| (8..400).step_by(8).map(move |size| (start, size))) {
        let expected = match (start / 64 == (start + size) / 64, size > 64) {
            (true, _) => Lines::Same,
            (false, false) => Lines::Next,
            (false, true) => Lines::Many,
        };
        for lap in [0, 1 << 32, 128_u64.wrapping_neg()] {
            let record = Position::new(start.wrapping_add(lap));
            assert_eq!(Lines::of(record, record.plus(size)), expected, "{size} bytes at {start}");
        }
    }
}
