//! Marks of a sync that lie: their sums are no secret, so whoever may write the file can make them right. And cuts through trains.
#![cfg(not(loom))]
#![allow(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "the words of the ring, which are the test's")]

#[path = "golden/rings.rs"]
mod rings;
mod spsc_support;

use std::sync::atomic::Ordering::Relaxed;

use ring_core::spsc::{Format, ReadError, Ring, SYNC_MARK_LEN, SYNC_MARKS, SyncMark, cut_to_synced};
use ring_core::{CONTROL_SIZE, Line, Region, Role, SessionEnd, Verdict};
use spsc_support::trains::{Push, Sent, Take, check, push, take};
use spsc_support::{Bench, lines, recv, send, within};

fn mix(sum: u64, word: u64) -> u64 {
    let mixed = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed.wrapping_shr(29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(27)
}

const CAPACITY: u64 = 256;
/// Of rings with trains.
const LARGE: u64 = 1024;
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

/// What `memory` holds now, for a ring that is opened after a power loss.
fn copy(memory: &[Line]) -> Vec<Line> {
    rings::memory(&rings::bytes(memory, memory.len() as u64 * 128))
}

fn sync(memory: &[Line]) {
    let region = Region::new(memory);
    SyncMark::take(region).unwrap().store(region, Role::Producer).unwrap();
}

/// Both go on in a ring that was cut: what is unread comes, flagged as far as it was there, and the producer's end behind it.
fn after_cut(memory: &[Line], sent: &[Sent]) {
    let cut = cut_to_synced(Region::new(memory)).unwrap().unwrap();
    assert_eq!((cut.records, cut.whole), (sent.len() as u64, true), "{cut:?}");
    let ring = Ring::attach(Region::new(memory)).unwrap();
    let dead = |_| Verdict::Dead;
    let mut rx = ring.sit_consumer(ring.next_lease().unwrap(), dead).unwrap();
    let mut tx = ring.sit_producer(ring.next_lease().unwrap(), dead).unwrap();
    // New trains at the places of what was cut off.
    let new = push(&mut tx, Push::Each, &[(9, 9); 20], 500);
    let came = take(&mut rx, Take::Recv, sent.len(), true);
    assert!(came.iter().all(|(.., redelivered)| *redelivered), "who came before may have seen all of it");
    check(&came, sent);
    assert_eq!(rx.try_read().unwrap_err(), ReadError::Ended(SessionEnd::Died));
    let came = take(&mut rx, Take::Recv, 20, true);
    assert!(came.iter().all(|(.., redelivered)| !redelivered));
    check(&came, &new);
    assert_eq!(rx.try_read().unwrap_err(), ReadError::Empty);
}

/// A cut walks over trains and counts what is in them. One that had been taken in part, before the sync or after it, comes as a whole.
#[test]
fn a_train_at_the_head_comes_as_a_whole() {
    for (start, taken, later) in [0, LARGE - 64]
        .into_iter()
        .flat_map(|start| (0..14).flat_map(move |taken| (0..14 - taken).map(move |later| (start, taken, later))))
    {
        let memory = lines(CONTROL_SIZE + LARGE);
        let b = Bench::new(&memory, &Format::new(LARGE).start_at(start));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        let sent = push(&mut tx, Push::Each, &[[(5, 9); 7], [(6, 8); 7]].concat(), 1);
        let again = |taken: usize| sent.iter().position(|record| record.header == sent[taken].header).unwrap();
        check(&take(&mut rx, Take::Recv, taken, true), &sent);
        sync(&memory);
        after_cut(&copy(&memory), &sent[again(taken)..]);
        check(&take(&mut rx, Take::Recv, later, true), &sent[taken..]);
        // The head is further on: where it stands a train begins.
        after_cut(&copy(&memory), &sent[again(taken + later)..]);
    }
}

/// What is said of the middle of a train that is cut off says nothing of one that comes to its place.
#[test]
fn a_stale_place_in_a_train_that_was_cut_off() {
    for (first, taken) in (1..6).flat_map(|first| (0..40).map(move |taken| (first, taken))) {
        let memory = lines(CONTROL_SIZE + LARGE);
        let b = Bench::new(&memory, &Format::new(LARGE));
        let (mut tx, mut rx) = (b.producer(), b.consumer());
        let mut sent = push(&mut tx, Push::Each, &vec![(5, 16); first], 1);
        sync(&memory);
        let synced = copy(&memory);
        // None of this is on the disk but the words of the control block.
        sent.extend(push(&mut tx, Push::Each, &[(5, 8); 40], 100));
        take(&mut rx, Take::Recv, first + taken, true);
        let at = within(&memory).load(Relaxed);
        assert!(taken == 0 || taken % 15 == 0 || at > sent[first].header, "{at}: beyond the cut");
        within(&synced).store(at, Relaxed);
        after_cut(&synced, &sent[..first]);
    }
}
