//! Hand-overs of strict rings that fail, in every way short of attacks: told at once, with the cure, and without a leak.

#[path = "support/strict.rs"]
mod strict;
mod support;

use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use ring_shm::placement::{Placement, Wish};
use ring_shm::spsc::{Consumer, Options, Producer, TypedConsumer, TypedProducer};
use ring_shm::{HandoverError, Memfd, Role, SetupError, SetupErrorKind};
use strict::{PATIENCE, options, pair, try_pair, unique_path};
use support::{child, hear, play_alone, say};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "taker" => play_taker(&args[0]),
        "counter" => play_counter(),
        other => panic!("no role {other}"),
    });
}

/// Takes the producer's objects, and is killed with them in its hands.
fn play_taker(path: &str) {
    let socket = strict::meet(path);
    let _common = Memfd::receive_from(&socket).unwrap();
    say("took");
    hear();
}

fn handover<T>(result: Result<T, SetupError>) -> HandoverError {
    match result.map(drop) {
        Err(SetupError::Handover(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn types_are_compared() {
    let (here, there) = UnixStream::pair().unwrap();
    let (tx, rx) = thread::scope(|s| {
        let consumer = s.spawn(move || TypedConsumer::<u32>::open_strict(&there, PATIENCE));
        (TypedProducer::<u64>::create_strict(&here, &options(), PATIENCE), consumer.join().unwrap())
    });
    let refused = rx.unwrap_err();
    assert_eq!(refused.kind(), SetupErrorKind::WrongType);
    assert!(refused.to_string().contains("u64") && refused.to_string().contains("u32"), "{refused}");
    assert_eq!(handover(tx), HandoverError::PeerGone { peer: Role::Consumer });
}

#[test]
fn what_makes_no_sense_is_refused_before_anybody_is_asked() {
    let (here, _there) = UnixStream::pair().unwrap();
    let refused = |options: &Options| Producer::create_strict(&here, options, PATIENCE).unwrap_err();
    assert_eq!(refused(&Options::new().capacity(100)).kind(), SetupErrorKind::Invalid);
    assert_eq!(refused(&options().max_size(4096)).kind(), SetupErrorKind::NoResource);
    assert_eq!(refused(&options().budget("s", 1 << 30)).kind(), SetupErrorKind::Invalid);
    let placed = refused(&options().placement(Placement::new().prefault(Wish::Try)));
    assert!(placed.to_string().contains("leave the placement out"), "{placed}");
    let (mut tx, _rx) = pair(&options());
    assert!(tx.place(&Placement::new().lock(Wish::Require)).is_err());
    assert!(tx.placed().is_ok());
}

#[test]
fn nobody_answers() {
    let (here, there) = UnixStream::pair().unwrap();
    let (start, wait) = (Instant::now(), Duration::from_millis(50));
    assert_eq!(
        handover(Producer::create_strict(&here, &options(), wait)),
        HandoverError::TimedOut { peer: Role::Consumer }
    );
    assert!(start.elapsed() >= wait);
    // The consumer comes too late: the ring is there, and its producer has left.
    let late = Consumer::open_strict(&there, wait);
    assert_eq!(handover(late), HandoverError::TimedOut { peer: Role::Producer });
    let (here, _there) = UnixStream::pair().unwrap();
    let nobody = handover(Consumer::open_strict(&here, wait));
    assert_eq!(nobody, HandoverError::TimedOut { peer: Role::Producer });
    assert!(nobody.to_string().contains("Producer::create_strict"), "{nobody}");
    // No time at all.
    assert!(Consumer::open_strict(&here, Duration::ZERO).is_err());
}

#[test]
fn a_socket_of_somebody_else_is_refused() {
    let (here, there) = UnixStream::pair().unwrap();
    drop(there);
    assert_eq!(handover(Consumer::open_strict(&here, PATIENCE)), HandoverError::PeerGone { peer: Role::Producer });
    let gone = handover(Producer::create_strict(&here, &options(), PATIENCE));
    assert_eq!(gone, HandoverError::PeerGone { peer: Role::Consumer });
    // Both ends produce.
    let (here, there) = UnixStream::pair().unwrap();
    let [one, other] = thread::scope(|s| {
        let other = s.spawn(|| Producer::create_strict(&there, &options(), PATIENCE));
        [Producer::create_strict(&here, &options(), PATIENCE), other.join().unwrap()]
    });
    for end in [one, other] {
        assert_eq!(handover(end), HandoverError::NoHandover { peer: Role::Consumer, descriptors: 2 });
    }
}

/// A consumer that dies with the objects in its hands is an error of the producer, at once.
#[test]
fn a_death_in_the_middle_is_told() {
    let path = unique_path("s-mid");
    let mut peer = child("taker", &[&path]);
    let socket = strict::meet(&path);
    std::fs::remove_file(&path).unwrap();
    thread::scope(|s| {
        let tried = s.spawn(|| Producer::create_strict(&socket, &options(), PATIENCE));
        peer.wait_for("took");
        peer.kill();
        assert_eq!(handover(tried.join().unwrap()), HandoverError::PeerGone { peer: Role::Consumer });
    });
}

/// A strict ring is none that others could open: by its descriptors, as who may trace its users would.
#[test]
fn its_objects_are_no_ordinary_rings() {
    let (tx, rx) = pair(&options());
    let ours: Vec<_> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.unwrap();
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            target.to_string_lossy().contains("strict").then(|| entry.file_name().into_string().unwrap())
        })
        .collect();
    assert!(!ours.is_empty());
    for number in ours {
        assert!(Producer::open(format!("fd:{number}")).is_err());
        assert!(Consumer::open(format!("fd:{number}")).is_err());
        assert!(ring_shm::spsc::recover(format!("fd:{number}"), None).is_err());
        assert!(ring_shm::spsc::inspect(format!("fd:{number}")).is_err());
    }
    drop((tx, rx));
}

/// Descriptors and mappings are as many as before, whether it works or not. In a process of its own, since other tests of
/// this program have rings too.
#[test]
fn nothing_is_left_behind() {
    play_alone("counter", "flat");
}

fn play_counter() {
    let count = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mapped = maps.lines().filter(|line| line.contains("memfd:")).count();
        (mapped, std::fs::read_dir("/proc/self/fd").unwrap().count())
    };
    drop(pair(&options()));
    let before = count();
    for _ in 0..50 {
        let (tx, rx) = pair(&options());
        assert!(count().0 > before.0);
        drop((tx, rx));
        let (here, there) = UnixStream::pair().unwrap();
        assert!(Producer::create_strict(&here, &options(), Duration::ZERO).is_err());
        assert!(Consumer::open_strict(&there, Duration::from_millis(1)).is_err());
        drop((here, there));
        let (tx, rx) = try_pair(&Options::new().capacity(3));
        assert!(tx.is_err() && rx.is_err());
    }
    assert_eq!(count(), before);
    say("flat");
}
