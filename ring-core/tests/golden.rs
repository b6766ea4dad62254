//! The golden rings of layout version 1: this build writes them byte for byte, and reads what stands in them. They are
//! written by `cargo run -p ring-core --example golden -- write ring-core/tests/golden/v1`.
//!
//! A version's files stay as long as the version is read. A change that makes the first test fail is a new version,
//! unless the word that differs is history that nobody reads.
#![cfg(not(loom))]

use std::fs;

use ring_core::mpmc::{self, Redelivery};
use ring_core::spsc::{self, ReadError};
use ring_core::{AttachError, Field, Kind, Line, Region, Role, SeatState, SessionEnd, Verdict};

#[path = "golden/rings.rs"]
mod rings;

/// The file `name` in memory.
fn golden(name: &str) -> Vec<Line> {
    let file = format!("{}/tests/golden/v1/{name}.ring", env!("CARGO_MANIFEST_DIR"));
    rings::memory(&fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}")))
}

/// Everybody in these files is long dead.
fn dead(_: u64) -> Verdict {
    Verdict::Dead
}

fn sit(ring: &spsc::Ring<'_>) -> Vec<(u32, Vec<u8>, bool)> {
    let mut rx = ring.sit_consumer(ring.next_lease().unwrap(), dead).unwrap();
    let mut buf = [0; 256];
    let mut got = Vec::new();
    loop {
        match rx.try_recv_into_asking(&mut buf, dead) {
            Ok(r) => got.push((r.tag, buf[..r.len].to_vec(), r.redelivered)),
            Err(ReadError::Ended(end)) => got.push((0, format!("{end:?}").into_bytes(), false)),
            Err(ReadError::Empty) => return got,
            Err(error) => panic!("{error}"),
        }
    }
}

fn join(ring: &mpmc::Ring<'_>) -> (Vec<(u32, Vec<u8>, bool)>, mpmc::ReadError) {
    let mut rx = ring.join_consumer(ring.next_lease().unwrap(), dead).unwrap();
    let mut buf = [0; 24];
    let mut got = Vec::new();
    loop {
        match rx.try_recv_into(&mut buf) {
            Ok(r) => got.push((r.tag, buf[..r.len].to_vec(), r.redelivered)),
            Err(error) => return (got, error),
        }
    }
}

#[test]
fn this_build_writes_them_byte_for_byte() {
    for (name, bytes) in rings::all() {
        let file = fs::read(format!("{}/tests/golden/v1/{name}.ring", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let differing: Vec<_> = (0..file.len().max(bytes.len())).filter(|i| file.get(*i) != bytes.get(*i)).collect();
        assert!(differing.is_empty(), "{name}: bytes {differing:?} differ");
    }
    let names = fs::read_dir(format!("{}/tests/golden/v1", env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert_eq!(names.count(), rings::all().len(), "a file that no test reads");
}

#[test]
fn kinds_and_geometry_are_read() {
    for name in ["spsc-empty", "spsc-records", "spsc-closed"] {
        let memory = golden(name);
        assert_eq!(Kind::of(&Region::new(&memory)), Ok(Kind::Spsc));
        let ring = spsc::Ring::attach(Region::new(&memory)).unwrap();
        assert_eq!((ring.capacity(), ring.line_aligned(), ring.release_every()), (256, false, 0));
        assert_eq!((ring.generation(), ring.type_hash()), (0x0123_4567_89ab_cdef, 0));
    }
    for name in ["mpmc-empty", "mpmc-records", "mpmc-closed"] {
        let memory = golden(name);
        assert_eq!(Kind::of(&Region::new(&memory)), Ok(Kind::Mpmc));
        let ring = mpmc::Ring::attach(Region::new(&memory)).unwrap();
        assert_eq!((ring.capacity(), ring.max_len(), ring.generation()), (4, 24, 0x0123_4567_89ab_cdef));
        assert_eq!((ring.max_participants(), ring.max_producers(), ring.max_consumers()), (4, 3, 3));
        assert_eq!(ring.redelivery(), Redelivery::AtLeastOnce { attempts: 3 });
    }
}

#[test]
fn a_strict_ring_is_three_objects() {
    let file = fs::read(format!("{}/tests/golden/v1/spsc-strict.ring", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (producers, others) = file.split_at(file.len() - 8192);
    let (common, consumers) = others.split_at(4096);
    let memory = rings::strict_consumer(producers, common);
    let ring = spsc::Ring::attach_strict(spsc::strict::ConsumerParts::new(&memory)).unwrap();
    assert_eq!((ring.capacity(), ring.generation()), (256, 0x0123_4567_89ab_cdef));
    assert_eq!((ring.type_hash(), ring.type_text().as_bytes()), (rings::type_hash(), rings::TYPE_TEXT.as_bytes()));
    assert_eq!(ring.seat(Role::Producer), Ok(SeatState::Held(1)));
    assert_eq!(ring.footprint(), file.len() as u64, "three objects and nothing else");
    assert_eq!(rings::bytes(&memory, 4096), consumers);
    ring.sit_consumer(2, dead).unwrap();
    // What looks like an ordinary ring in the producer's object is none that others could use.
    let inner = rings::memory(&producers[3712..]);
    for refused in [spsc::Ring::attach(Region::new(&inner)), spsc::Ring::look(Region::new(&inner))] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, AttachError::Incompatible { field: Field::IncompatibleFeatures, found: 2, .. }));
    }
}

#[test]
fn an_empty_ring_can_be_used() {
    let memory = golden("spsc-empty");
    let ring = spsc::Ring::attach(Region::new(&memory)).unwrap();
    assert_eq!((ring.seat(Role::Producer), ring.seat(Role::Consumer)), (Ok(SeatState::Never), Ok(SeatState::Never)));
    ring.sit_producer(ring.next_lease().unwrap(), dead).unwrap().try_send(5, b"new").unwrap();
    assert_eq!(sit(&ring)[0], (5, b"new".to_vec(), false));

    let memory = golden("mpmc-empty");
    let ring = mpmc::Ring::attach(Region::new(&memory)).unwrap();
    ring.join_producer(ring.next_lease().unwrap(), dead).unwrap().try_send(5, b"new").unwrap();
    assert_eq!(join(&ring).0, [(5, b"new".to_vec(), false)]);
}

#[test]
fn records_are_read_and_so_is_the_death_of_their_sender() {
    let memory = golden("spsc-records");
    let ring = spsc::Ring::attach(Region::new(&memory)).unwrap();
    assert_eq!(
        (ring.seat(Role::Producer), ring.seat(Role::Consumer)),
        (Ok(SeatState::Held(1)), Ok(SeatState::Held(2)))
    );
    assert_eq!(ring.facts_of(Role::Consumer, 2).map(|facts| facts.pid), Some(1002));
    let died = format!("{:?}", SessionEnd::Died).into_bytes();
    let expected = [(2, b"seen".to_vec(), true), (3, vec![], false), (4, vec![0x44; 100], false), (0, died, false)];
    assert_eq!(sit(&ring), expected);
}

#[test]
fn messages_are_read_and_the_dead_replaced() {
    let memory = golden("mpmc-records");
    let ring = mpmc::Ring::attach(Region::new(&memory)).unwrap();
    assert_eq!(ring.facts_of(2).map(|facts| facts.pid), Some(1002));
    for index in 0..4 {
        ring.recover(index, dead).unwrap();
    }
    let expected = vec![(5, b"in the second lap".to_vec(), false), (3, vec![0x33; 24], true)];
    assert_eq!(join(&ring), (expected, mpmc::ReadError::Empty));
}

#[test]
fn closed_sessions_and_rings_say_so() {
    let memory = golden("spsc-closed");
    let ring = spsc::Ring::attach(Region::new(&memory)).unwrap();
    assert_eq!(
        (ring.seat(Role::Producer), ring.seat(Role::Consumer)),
        (Ok(SeatState::Closed(3)), Ok(SeatState::Closed(1)))
    );
    let closed = format!("{:?}", SessionEnd::Closed).into_bytes();
    let expected = [
        (1, b"the first session".to_vec(), false),
        (0, closed.clone(), false),
        (2, b"the second session".to_vec(), false),
        (0, closed, false),
    ];
    assert_eq!(sit(&ring), expected);

    let memory = golden("mpmc-closed");
    let ring = mpmc::Ring::attach(Region::new(&memory)).unwrap();
    assert_eq!(join(&ring), (vec![(1, b"the last".to_vec(), false)], mpmc::ReadError::Closed));
}

#[test]
fn typed_rings_say_of_what() {
    for name in ["spsc-typed", "mpmc-typed"] {
        let memory = golden(name);
        let region = Region::new(&memory);
        let (hash, text, got) = if Kind::of(&region) == Ok(Kind::Spsc) {
            let ring = spsc::Ring::attach(region).unwrap();
            assert_eq!((ring.line_aligned(), ring.release_every()), (true, 64));
            (ring.type_hash(), ring.type_text(), sit(&ring))
        } else {
            let ring = mpmc::Ring::attach(region).unwrap();
            assert_eq!((ring.redelivery(), ring.max_participants()), (Redelivery::AtMostOnce, 2));
            (ring.type_hash(), ring.type_text(), join(&ring).0)
        };
        assert_eq!((hash, text.as_bytes()), (rings::type_hash(), rings::TYPE_TEXT.as_bytes()));
        let tick = [8, 7, 6, 5, 4, 3, 2, 1, 0xd, 0xc, 0xb, 0xa, 1, 0, 0, 0].to_vec();
        assert_eq!(got[0], (7, tick, false));
    }
}
