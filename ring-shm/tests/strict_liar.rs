//! A liar scribbles over the whole object that both sides of a strict ring write, while messages flow: what arrives is
//! right, byte for byte and in order, and all else is a refusal. Nobody crashes, and nobody hangs.
//!
//! # Safety
//!
//! 1. The liar's mapping is of the common object's page, which is sealed against truncation, and is reached as atomic
//!    words alone.
#![allow(unsafe_code)]
// The liar is the enemy; it needs no row in the protocol.
#![allow(clippy::disallowed_types)]

#[path = "support/hands.rs"]
mod hands;
#[path = "support/ring.rs"]
mod ring;
mod support;

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hands::{PAGE, overheard};
use ring::{PATIENCE, Rng, number, record, seed};
use ring_shm::Corrupt;
use ring_shm::spsc::{Consumer, Options, Producer, RecvError, SendError, TryRecvError, TrySendError};
use ring_shm::wait::Park;
use support::{child, say};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "liar" => play_liar(&args[0], args[1].parse().unwrap(), &args[2]),
        other => panic!("no role {other}"),
    });
}

/// Words of the seats, of who sleeps, and of what is slept on.
const OF_USE: [usize; 7] = [0, 16, 32, 48, 49, 64, 80];

/// Writes words until it is killed. A wild one writes anything, which soon ends in `Corrupt`; a sly one writes into the
/// seats only what could be.
fn play_liar(path: &str, seed: u64, kind: &str) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: no address is asked for; the descriptor is open.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    assert_ne!(at, libc::MAP_FAILED);
    // SAFETY: 1.
    let words = unsafe { std::slice::from_raw_parts(at.cast::<AtomicU64>(), PAGE / 8) };
    let mut rng = Rng(seed);
    say("lies");
    loop {
        for _ in 0..rng.below(256) {
            std::hint::spin_loop();
        }
        let index = if rng.once_in(4) { rng.below(words.len() as u64) as usize } else { rng.of(&OF_USE) };
        let now = words[index].load(Ordering::Relaxed);
        let value = match rng.below(6) {
            0 => rng.of(&[0, 1, 2, 3, 4, 5, u64::MAX, 1 << 63]),
            1 => now ^ (1 << rng.below(64)),
            2 => rng.below(64),
            3 => now.wrapping_add(1),
            _ => rng.next(),
        };
        let is_seat = index == 0 || index == 16;
        words[index].store(if is_seat && kind == "sly" { value | 2 } else { value }, Ordering::Relaxed);
    }
}

/// What came of one round.
#[derive(Debug, Default)]
struct Tally {
    received: u64,
    ends: u64,
    corrupt: Option<Corrupt>,
}

/// How long a round may go on.
const ROUND: Duration = Duration::from_millis(400);

fn send_all(mut tx: Producer, mut rng: Rng, over: &AtomicBool) -> Tally {
    let (mut tally, mut payload, mut seq) = (Tally::default(), Vec::new(), 0);
    tx.set_wait_strategy(Park::after(Duration::ZERO));
    while !over.load(Ordering::Relaxed) {
        let tag = record(1, seq, 200, &mut payload);
        let sent = if rng.once_in(64) {
            tx.send_timeout(tag, &payload, Duration::from_millis(3)).map_err(|error| match error {
                SendError::Timeout => TrySendError::Full,
                SendError::Disconnected => TrySendError::Disconnected,
                SendError::PeerDied => TrySendError::PeerDied,
                SendError::Corrupt(corrupt) => TrySendError::Corrupt(corrupt),
                other => panic!("{other:?}"),
            })
        } else {
            tx.try_send(tag, &payload)
        };
        match sent {
            Ok(_) => seq += 1,
            Err(TrySendError::Full) => thread::yield_now(),
            Err(TrySendError::Disconnected | TrySendError::PeerDied) => tally.ends += 1,
            Err(TrySendError::Corrupt(corrupt)) => {
                tally.corrupt = Some(corrupt);
                over.store(true, Ordering::Relaxed);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    tally
}

fn receive_all(mut rx: Consumer, mut rng: Rng, most: u64, over: &AtomicBool) -> Tally {
    let (mut tally, mut expected, mut buf) = (Tally::default(), Vec::new(), [0; 4096]);
    rx.set_wait_strategy(Park::after(Duration::ZERO));
    let (start, mut last) = (Instant::now(), Instant::now());
    while !over.load(Ordering::Relaxed) {
        let got = if rng.once_in(64) {
            rx.recv_into_timeout(&mut buf, Duration::from_millis(3)).map_err(|error| match error {
                RecvError::Timeout => TryRecvError::Empty,
                RecvError::Disconnected => TryRecvError::Disconnected,
                RecvError::PeerDied => TryRecvError::PeerDied,
                RecvError::Corrupt(corrupt) => TryRecvError::Corrupt(corrupt),
                other => panic!("{other:?}"),
            })
        } else {
            rx.try_recv_into(&mut buf)
        };
        match got {
            Ok(got) => {
                let tag = record(1, tally.received, 200, &mut expected);
                assert!(got.tag == tag && buf[..got.len] == expected, "record {} is another", tally.received);
                tally.received += 1;
                last = Instant::now();
            }
            Err(TryRecvError::Empty) => thread::yield_now(),
            Err(TryRecvError::Disconnected | TryRecvError::PeerDied) => tally.ends += 1,
            Err(TryRecvError::Corrupt(corrupt)) => {
                tally.corrupt = Some(corrupt);
                over.store(true, Ordering::Relaxed);
            }
            Err(other) => panic!("{other:?}"),
        }
        assert!(last.elapsed() < PATIENCE, "hung after {} records", tally.received);
        if tally.received >= most || start.elapsed() > ROUND {
            over.store(true, Ordering::Relaxed);
        }
    }
    tally
}

#[test]
fn hostile_liar_in_the_common_object() {
    let wanted = number("RING_OPS", if cfg!(debug_assertions) { 150_000 } else { 1_000_000 });
    let mut rng = Rng(seed());
    let (mut received, mut ends, mut corrupt, mut rounds) = (0, 0, 0, 0);
    let start = Instant::now();
    // As long as it takes until each of the lies has been heard: a fast machine is through with the records before.
    while received < wanted || ends == 0 || corrupt == 0 {
        rounds += 1;
        assert!(
            start.elapsed() < 5 * PATIENCE,
            "{received} records, {ends} ends that were none, {corrupt} times corrupt in {rounds} rounds"
        );
        let options = Options::new().capacity(4096).release_every(rng.of(&[0, 0, 1024]));
        let (tx, rx, [common, ..]) = overheard(
            |socket| Producer::create_strict(socket, &options, PATIENCE).unwrap(),
            |socket| Consumer::open_strict(socket, PATIENCE).unwrap(),
        );
        let path = format!("/proc/{}/fd/{}", std::process::id(), common.as_raw_fd());
        let kind = if rounds % 4 == 0 { "wild" } else { "sly" };
        let mut liar = child("liar", &[&path, &rng.next().to_string(), kind]);
        liar.wait_for("lies");
        let left = wanted.saturating_sub(received).max(10_000);
        let (over, seeds) = (AtomicBool::new(false), [Rng(rng.next()), Rng(rng.next())]);
        let [one, other] = seeds;
        let (sent, got) = thread::scope(|s| {
            let sender = s.spawn(|| send_all(tx, one, &over));
            let got = receive_all(rx, other, left, &over);
            (sender.join().unwrap(), got)
        });
        liar.kill();
        received += got.received;
        ends += got.ends + sent.ends;
        corrupt += u64::from(got.corrupt.is_some()) + u64::from(sent.corrupt.is_some());
    }
    println!("{received} records in {rounds} rounds, all right; {ends} ends that were none, {corrupt} times corrupt");
}
