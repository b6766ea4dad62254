//! Every way a copy can be put together: lines, pairs, words and odd bytes, from and to places of every alignment.
//!
//! # Safety
//!
//! 1. Nobody but the test's thread knows the region.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "tests")]

extern crate std;

use std::vec;
use std::vec::Vec;

use super::*;
use crate::position::Position;
use crate::region::{Line, Region};

/// Longer than a line, a pair, a word and some bytes after each other.
const MOST: usize = 64 + 64 + 16 + 8 + 7;
/// The byte that nobody writes.
const UNTOUCHED: u8 = 0xee;

/// Byte `i` of what is copied: no two alike within a line, and never [`UNTOUCHED`] or zero.
fn byte(i: usize) -> u8 {
    u8::try_from(i % 200 + 1).unwrap()
}

/// A span of `len` bytes on a multiple of 8 that is one of 16 or not, as `odd` says, with [`UNTOUCHED`] in and around it;
/// then what `act` has left: the word before the span, and all from its start on.
fn around(len: usize, odd: bool, act: impl FnOnce(Span<'_>)) -> (Vec<u8>, Vec<u8>) {
    let lines = [const { Line::new() }; 8];
    let slots = Region::new(&lines).slots(128, 1, 512).unwrap();
    let whole = slots.at(Position::new(0)).span(496).unwrap();
    whole.copy_in_at(0, &[UNTOUCHED; 496]);
    let skipped = if (whole.base.addr().get() % 16 == 8) == odd { 16 } else { 8 };
    // SAFETY: R5: inside `whole`, on a multiple of 8.
    act(Span { base: unsafe { whole.base.add(skipped) }, len, ..whole });
    // SAFETY: 1.
    let all = unsafe { whole.as_slice() };
    (all[skipped - 8..skipped].to_vec(), all[skipped..].to_vec())
}

fn lengths() -> impl Iterator<Item = (usize, bool)> {
    (0..=MOST).flat_map(|len| [(len, false), (len, true)])
}

#[test]
fn what_is_copied_in_fills_whole_words_and_nothing_else() {
    for (len, odd) in lengths() {
        for shift in [0, 1, 8] {
            let bytes: Vec<u8> = (0..shift + len).map(|i| byte(i.saturating_sub(shift))).collect();
            let (before, after) = around(len, odd, |span| span.copy_in(&bytes[shift..]));
            let end = len.next_multiple_of(8);
            let expected: Vec<u8> = (0..len).map(byte).chain((len..end).map(|_| 0)).collect();
            assert_eq!(after[..end], expected, "{len} bytes from {shift}");
            assert!(before.iter().chain(&after[end..]).all(|byte| *byte == UNTOUCHED), "{len} bytes from {shift}");
        }
    }
}

#[test]
fn as_many_as_fit_are_copied_in() {
    let bytes: Vec<u8> = (0..MOST).map(byte).collect();
    for (len, odd) in lengths() {
        let (_, after) = around(len, odd, |span| span.copy_in(&bytes));
        assert_eq!(after[..len], bytes[..len]);
        assert!(after[len.next_multiple_of(8)..].iter().all(|byte| *byte == UNTOUCHED), "{len}");
    }
}

#[test]
fn what_is_copied_in_at_a_place_leaves_what_is_beside_it() {
    let bytes: Vec<u8> = (0..MOST).map(byte).collect();
    for (len, odd) in lengths() {
        for at in [0, 1, 7, 8, 15, 64] {
            let (before, after) = around(at + len, odd, |span| span.copy_in_at(at, &bytes));
            assert_eq!(after[at..at + len], bytes[..len], "{len} at {at}");
            let beside = before.iter().chain(&after[..at]).chain(&after[at + len..]);
            assert!(beside.copied().all(|byte| byte == UNTOUCHED), "{len} at {at}");
        }
    }
}

#[test]
fn what_is_copied_out_is_what_was_copied_in() {
    for (len, odd) in lengths() {
        for shift in [0, 1, 8] {
            let bytes: Vec<u8> = (0..len).map(byte).collect();
            around(len, odd, |span| {
                span.copy_in(&bytes);
                // Into less than there is, as much, and more.
                for room in [len / 2, len, len + 9] {
                    let mut buf = vec![UNTOUCHED; shift + room + 8];
                    let copied = span.copy_out(&mut buf[shift..shift + room]);
                    assert_eq!(copied, len.min(room));
                    assert_eq!(buf[shift..shift + copied], bytes[..copied]);
                    assert!(buf[..shift].iter().chain(&buf[shift + copied..]).all(|byte| *byte == UNTOUCHED), "{len}");
                }
                let mut exact = vec![0; len];
                assert!(span.fill(&mut exact) && exact == bytes && !span.fill(&mut vec![0; len + 1]));
            });
        }
    }
}
