//! The golden rings of layout version 1: this build writes them byte for byte, and reads what stands in them. They are
//! written by `cargo run -p ring-core --example golden -- write ring-core/tests/golden/v1`.
//!
//! A version's files stay as long as the version is read. A change that makes the first test fail is a new version,
//! unless the word that differs is history that nobody reads.
#![cfg(not(loom))]

use std::fs;
use std::mem::offset_of;
use std::sync::atomic::Ordering::Relaxed;

use ring_core::mpmc::{self, Redelivery};
use ring_core::spsc::{self, ReadError};
use ring_core::{
    AttachError, CONTROL_SIZE, Field, Identity, Kind, Line, Region, Role, SeatState, SessionEnd, SpscControl, Verdict,
};

#[path = "golden/rings.rs"]
mod rings;

/// Files of builds before this one, which writes them no more.
const OLD: [&str; 1] = ["spsc-no-trains"];

/// The file `name` in memory.
fn golden(name: &str) -> Vec<Line> {
    let file = format!("{}/tests/golden/v1/{name}.ring", env!("CARGO_MANIFEST_DIR"));
    rings::memory(&fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}")))
}

/// Everybody in these files is long dead.
fn dead(_: u64) -> Verdict {
    Verdict::Dead
}

/// The word `offset` bytes from the start.
fn word(memory: &[Line], offset: usize) -> u64 {
    rings::words(memory)[offset / 8].load(Relaxed)
}

/// How the end of a dead producer's session is noted by [`sit`].
fn died() -> (u32, Vec<u8>, bool) {
    (0, format!("{:?}", SessionEnd::Died).into_bytes(), false)
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
    assert_eq!(names.count(), rings::all().len() + OLD.len(), "a file that no test reads");
    for name in OLD {
        assert!(rings::all().iter().all(|(written, _)| *written != name), "{name} is of old builds");
        golden(name);
    }
}

#[test]
fn kinds_and_geometry_are_read() {
    for name in ["spsc-empty", "spsc-records", "spsc-closed", "spsc-no-trains"] {
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
        assert!(matches!(refused, AttachError::Incompatible { field: Field::IncompatibleFeatures, found: 0b1010, .. }));
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

/// Of this build, and of those before trains.
#[test]
fn records_are_read_and_so_is_the_death_of_their_sender() {
    for (name, features) in [("spsc-records", 8), ("spsc-no-trains", 0)] {
        let memory = golden(name);
        assert_eq!(word(&memory, offset_of!(Identity, features_incompatible)), features, "{name}");
        let ring = spsc::Ring::attach(Region::new(&memory)).unwrap();
        assert_eq!(
            (ring.seat(Role::Producer), ring.seat(Role::Consumer)),
            (Ok(SeatState::Held(1)), Ok(SeatState::Held(2)))
        );
        assert_eq!(ring.facts_of(Role::Consumer, 2).map(|facts| facts.pid), Some(1002));
        let expected = [(2, b"seen".to_vec(), true), (3, vec![], false), (4, vec![0x44; 100], false), died()];
        assert_eq!(sit(&ring), expected, "{name}");
    }
}

/// The rest of a train that a consumer has left in the middle, one of them seen; and what is behind it.
#[test]
fn the_rest_of_a_train_is_read() {
    let memory = golden("spsc-train");
    // One header of 5 records of 9 bytes behind the first record, and where its third one is.
    let (train, seen) = (24, 24 + 3 * 16);
    let data = CONTROL_SIZE as usize;
    assert_eq!(word(&memory, data + train), 7 << 32 | 1 << 31 | 5 << 17 | 9 << 3 | 0b010);
    assert_eq!(word(&memory, data + train + 8), u64::from_le_bytes([1; 8]));
    assert_eq!(word(&memory, data + train + 8 + 5 * 16), 8 << 32 | 8, "the header behind it");
    let head = [offset_of!(SpscControl, head.head), offset_of!(SpscControl, head.seen)];
    assert_eq!(head.map(|offset| word(&memory, offset)), [train as u64, seen as u64]);
    assert_eq!(word(&memory, offset_of!(SpscControl, head.within)), train as u64 + 2 * 16);
    let ring = spsc::Ring::attach(Region::new(&memory)).unwrap();
    let mut expected: Vec<_> = (3..=5).map(|n| (7, vec![n; 9], n == 3)).collect();
    expected.push((8, b"between".to_vec(), false));
    expected.extend((1..=3).map(|n| (9, vec![n; 16], false)));
    expected.push(died());
    assert_eq!(sit(&ring), expected);
}

/// Into a ring of a build before trains none are written: those who read it there would not know them.
#[test]
fn a_ring_of_before_gets_no_trains() {
    let memory = golden("spsc-no-trains");
    let ring = spsc::Ring::attach(Region::new(&memory)).unwrap();
    let mut rx = ring.sit_consumer(ring.next_lease().unwrap(), dead).unwrap();
    let mut tx = ring.sit_producer(ring.next_lease().unwrap(), dead).unwrap();
    let mut buf = [0; 256];
    while rx.try_recv_into(&mut buf) != Err(ReadError::Empty) {}
    for lap in 0..40_u8 {
        let mut batch = tx.try_claim_batch_exact(6, 8).unwrap();
        batch.push_each(7, (0..3).map(|n| [lap + n; 8])).unwrap();
        for n in 3..6 {
            batch.push(7, &[lap + n; 8]).unwrap();
        }
        batch.commit();
        for n in 0..6 {
            let got = rx.try_recv_into(&mut buf).unwrap();
            assert_eq!((got.tag, &buf[..got.len]), (7, &[lap + n; 8][..]));
            let header = CONTROL_SIZE + got.position.get() % 256;
            assert_eq!(word(&memory, header as usize), 7 << 32 | 9, "a header each");
        }
        let all = (0..256).step_by(8).map(|at| word(&memory, CONTROL_SIZE as usize + at));
        assert!(all.into_iter().all(|word| word & 0x8000_0007 != 0x8000_0002), "a train");
    }
    assert_eq!(word(&memory, offset_of!(SpscControl, head.within)), 0, "nor is it said where in a train one is");
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
