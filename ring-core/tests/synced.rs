//! Marks of a sync that lie: their sums are no secret, so whoever may write the file can make them right.
#![cfg(not(loom))]
#![allow(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "the words of the ring, which are the test's")]

#[path = "golden/rings.rs"]
mod rings;
mod spsc_support;

use std::sync::atomic::Ordering::Relaxed;

use ring_core::spsc::{Format, SYNC_MARK_LEN, SYNC_MARKS, SyncMark, cut_to_synced};
use ring_core::{CONTROL_SIZE, Region, Role};
use spsc_support::{Bench, lines, recv, send};

fn mix(sum: u64, word: u64) -> u64 {
    let mixed = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed.wrapping_shr(29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(27)
}

const CAPACITY: u64 = 256;
const GENERATION: u64 = 77;

/// A ring whose headers lead round and round, and a mark over `words` words of it from `start` to `end`, with right sums.
fn lie(start: u64, end: u64) -> Vec<u64> {
    let memory = lines(CONTROL_SIZE + CAPACITY);
    let b = Bench::new(&memory, &Format::new(CAPACITY).generation(GENERATION));
    let (mut tx, mut rx) = (b.producer(), b.consumer());
    send(&mut tx, 1, 8);
    let region = Region::new(&memory);
    SyncMark::take(region).unwrap().store(region, Role::Producer).unwrap();
    recv(&mut rx, 1, 8);
    let mut words: Vec<u64> = rings::words(&memory).iter().map(|word| word.load(Relaxed)).collect();
    let data = CONTROL_SIZE as usize / 8;
    words[data..].fill(1);
    let all = end.wrapping_sub(start).min(CAPACITY) / 8;
    let sum = (0..all).fold(mix(mix(GENERATION, start), end), |sum, i| {
        mix(sum, words[data + (start / 8 + i) as usize % (CAPACITY / 8) as usize])
    });
    let check = [start, end, sum].into_iter().fold(mix(GENERATION, u64::MAX), mix);
    for place in 0..4 {
        let at = (SYNC_MARKS + place * SYNC_MARK_LEN) / 8;
        words[at..at + 4].copy_from_slice(&[start, end, sum, check]);
    }
    words
}

#[test]
fn marks_of_more_than_a_ring_holds() {
    for (start, end, good) in [
        (0, 64, true),
        (8, 8 + CAPACITY, true),
        (0, CAPACITY + 8, false),
        (0, 1 << 50, false),
        (64, 0, false),
        (4, 68, false),
        (0, 60, false),
    ] {
        let bytes: Vec<u8> = lie(start, end).into_iter().flat_map(u64::to_le_bytes).collect();
        let memory = rings::memory(&bytes);
        let cut = cut_to_synced(Region::new(&memory)).unwrap();
        assert_eq!(cut.is_some(), good, "from {start} to {end}: {cut:?}");
    }
}
