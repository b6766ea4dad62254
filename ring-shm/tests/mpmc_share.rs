//! MPMC rings between users, and looks at them: by the rules of SPSC rings, with the right to read alone, leaving nothing
//! behind, and whatever happens to the ring meanwhile.
#![allow(unsafe_code)]

mod support;

use std::fs;
use std::os::unix::fs::chown;
use std::sync::mpsc;

use ring_shm::mpmc::{Consumer, Options, Producer, TryRecvError, inspect, recover};
use ring_shm::{OpenRules, SetupError, SetupErrorKind, Verdict};
use support::{child, say, unique};

const USER: u32 = 65_534;
const GROUP: u32 = 54_321;

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "reader" => play_reader(&args[0]),
        other => panic!("no role {other}"),
    });
}

fn small() -> Options {
    Options::new().slots(8).slot_size(16)
}

#[track_caller]
fn refused<H>(result: Result<H, SetupError>) {
    let error = result.err().expect("it was let through");
    assert_eq!(error.kind(), SetupErrorKind::Permission, "{error}");
}

#[test]
fn rules_decide_whose_rings_are_opened() {
    let name = unique("mpmc-rules");
    ring_shm::mpmc::create(name.as_str(), &small().mode(0o660)).unwrap();
    drop(Producer::open_with(name.as_str(), &OpenRules::Own).unwrap());
    if chown(name.path(), Some(USER), Some(0)).is_err() {
        return println!("skipped: needs root to give a segment away");
    }
    for rules in [OpenRules::Own, OpenRules::Group(GROUP)] {
        refused(Producer::open_with(name.as_str(), &rules));
        refused(Consumer::open_with(name.as_str(), &rules));
    }
    for rules in [OpenRules::Shared, OpenRules::Group(0), OpenRules::Anyone] {
        let mut tx = Producer::open_with(name.as_str(), &rules).unwrap();
        let mut rx = Consumer::open_with(name.as_str(), &rules).unwrap();
        tx.try_send(7, b"shared").unwrap();
        assert_eq!(rx.try_recv_into(&mut [0; 16]).unwrap().tag, 7);
    }
    // Who asks for a ring of his own, or for one of another group, gets nobody else's.
    refused(Producer::open_or_create(name.as_str(), &small()));
    refused(Consumer::open_or_create(name.as_str(), &small().mode(0o660).group(GROUP)));
    drop(Consumer::open_or_create(name.as_str(), &small().mode(0o660).group(0)).unwrap());
}

/// Reading suffices for a look, and a look leaves nothing behind.
#[test]
fn looks_need_only_the_right_to_read() {
    let name = unique("mpmc-look");
    let mut tx = Producer::create(name.as_str(), &small().mode(0o644)).unwrap();
    let mut rx = Consumer::open(name.as_str()).unwrap();
    // The slot in question lies beyond everything that every look copies.
    for n in 0..13 {
        tx.try_send(n, b"").unwrap();
        rx.try_recv_into(&mut []).unwrap();
    }
    let claim = tx.try_claim(8).unwrap();
    let mut reader = child("reader", &[name.as_str()]);
    println!("{}", reader.next().unwrap());
    assert!(reader.finish().success());
    let seen = inspect(name.as_str()).unwrap();
    let writing = seen.members[0].writing.unwrap();
    assert_eq!((writing.position.get(), writing.count, writing.open), (13, 1, true));
    assert!(!seen.members[1].reading.unwrap().open);
    claim.commit();
    let record = rx.try_read().unwrap();
    let seen = inspect(name.as_str()).unwrap();
    assert_eq!(seen.members.iter().map(|m| m.verdict).collect::<Vec<_>>(), [Verdict::Alive; 2]);
    assert!(!seen.members[0].writing.unwrap().open);
    assert!(seen.members[1].reading.unwrap().open);
    drop(record);
    // The same as who looks under a lease sees; which is the third, since no look has taken one.
    assert_eq!(recover(name.as_str(), None).unwrap().0, inspect(name.as_str()).unwrap());
    assert_eq!(Producer::open(name.as_str()).unwrap().stats().lease, 4);
}

fn play_reader(name: &str) {
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } != 0 {
        return say("skipped: needs root to become somebody else");
    }
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::setresuid(USER, USER, USER) }, 0);
    refused(Producer::open(name));
    let seen = inspect(name).unwrap();
    assert_eq!((seen.slots, seen.mode, seen.tail.get()), (8, 0o644, 14));
    assert_eq!(seen.members[0].verdict, Verdict::Alive);
    assert!(seen.members[0].writing.unwrap().open);
    say("done");
}

/// An owner who cuts the segment under a look ends nobody.
#[test]
fn looks_survive_a_segment_that_is_cut() {
    let name = unique("mpmc-cut");
    let mut tx = Producer::create(name.as_str(), &small()).unwrap();
    let claim = tx.try_claim(1).unwrap();
    std::mem::forget(claim);
    std::mem::forget(tx); // its memory is about to go
    let whole = fs::metadata(name.path()).unwrap().len();
    let file = fs::File::options().write(true).open(name.path()).unwrap();
    std::thread::scope(|s| {
        let cutter = s.spawn(|| {
            for i in 0..2000 {
                file.set_len([0, 1, 4095, 4096, 12_288, whole][i % 6]).unwrap();
            }
        });
        while !cutter.is_finished() {
            let _ = inspect(name.as_str());
        }
    });
}

/// A busy ring does not look damaged because a copy of it takes time.
#[test]
fn looks_at_a_busy_ring_are_never_corrupt() {
    let name = unique("mpmc-busy");
    ring_shm::mpmc::create(name.as_str(), &small()).unwrap();
    std::thread::scope(|s| {
        let mut held = Vec::new();
        for _ in 0..2 {
            let (mut tx, mut rx) = (Producer::open(name.as_str()).unwrap(), Consumer::open(name.as_str()).unwrap());
            let (stop, stopped) = mpsc::channel::<()>();
            held.push(stop);
            s.spawn(move || {
                while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                    for _ in 0..1000 {
                        let _ = tx.try_send(0, &[0; 16]);
                        match rx.try_recv_into(&mut [0; 16]) {
                            Ok(_) | Err(TryRecvError::Empty | TryRecvError::Busy { .. }) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                }
            });
        }
        for _ in 0..1000 {
            let seen = inspect(name.as_str()).unwrap();
            assert_eq!((seen.members.len(), seen.count(ring_shm::Role::Producer, Verdict::Alive)), (4, 2));
        }
        drop(held);
    });
}
