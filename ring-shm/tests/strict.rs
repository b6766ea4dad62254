//! Strict rings between real processes: data, waits, ends and deaths.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
#[path = "support/spsc.rs"]
mod spsc;
#[path = "support/strict.rs"]
mod strict;
mod support;

use std::thread;
use std::time::{Duration, Instant};

use ring::{record, until};
use ring_shm::spsc::{Consumer, Options, Producer, RecvError, SendError, TryRecvError, TrySendError};
use ring_shm::wait::SLICE;
use strict::{PATIENCE, options, pair, unique_path};
use support::{Child, SOON, at_once, child, hear, say};

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "producer" => play_producer(&args[0]),
        "consumer" => play_consumer(&args[0]),
        "stranger" => play_stranger(&args[0]),
        "echo" => play_echo(&args[0], &args[1]),
        other => panic!("no role {other}"),
    });
}

/// Sends the next record an order, and leaves or dies when told.
fn play_producer(path: &str) {
    let mut tx = strict::producer(path, &options());
    tx.set_wait_strategy(at_once());
    say("ready");
    let (mut payload, mut seq) = (Vec::new(), 0);
    while let Some(order) = hear() {
        match order.as_str() {
            "send" => {
                let tag = record(1, seq, 100, &mut payload);
                tx.send(tag, &payload).unwrap();
                seq += 1;
                say("sent");
            }
            _ => return drop(tx),
        }
    }
}

/// Takes one record an order, and leaves or dies when told.
fn play_consumer(path: &str) {
    let mut rx = strict::consumer(path);
    rx.set_wait_strategy(at_once());
    say("ready");
    while let Some(order) = hear() {
        match order.as_str() {
            "take" => {
                let got = rx.recv_into(&mut [0; 4096]).unwrap();
                say(&format!("took {}", got.tag));
            }
            _ => return drop(rx),
        }
    }
}

/// Another user, who is given nothing but a connection.
fn play_stranger(path: &str) {
    let socket = strict::meet(path);
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
    let mut rx = Consumer::open_strict(&socket, PATIENCE).unwrap();
    say(&format!("got {}", rx.recv_into(&mut [0; 64]).unwrap().tag));
    assert_eq!(rx.recv_into(&mut [0; 64]), Err(RecvError::PeerDied));
    say("died");
}

fn play_echo(there: &str, back: &str) {
    let mut rx = strict::consumer(there);
    let mut tx = strict::producer(back, &options());
    rx.set_wait_strategy(at_once());
    tx.set_wait_strategy(at_once());
    let mut buf = [0; 4096];
    while let Ok(got) = rx.recv_into(&mut buf) {
        tx.send(got.tag, &buf[..got.len]).unwrap();
    }
    say("left");
}

/// A child that produces, and our consumer of its ring.
fn with_producer(tag: &str) -> (Child, Consumer) {
    let path = unique_path(tag);
    let mut peer = child("producer", &[&path]);
    let mut rx = strict::consumer(&path);
    rx.set_wait_strategy(at_once());
    peer.wait_for("ready");
    let _ = std::fs::remove_file(&path);
    (peer, rx)
}

/// A child that consumes, and our producer of its ring.
fn with_consumer(tag: &str) -> (Child, Producer) {
    let path = unique_path(tag);
    let mut peer = child("consumer", &[&path]);
    let mut tx = strict::producer(&path, &options());
    tx.set_wait_strategy(at_once());
    peer.wait_for("ready");
    let _ = std::fs::remove_file(&path);
    (peer, tx)
}

#[test]
fn words_go_there_and_back_between_sleepers() {
    let (there, back) = (unique_path("s-there"), unique_path("s-back"));
    let mut peer = child("echo", &[&there, &back]);
    let mut tx = strict::producer(&there, &options());
    let mut rx = strict::consumer(&back);
    rx.set_wait_strategy(at_once());
    let (mut payload, mut buf) = (Vec::new(), [0; 4096]);
    for seq in 0..2000 {
        let tag = record(1, seq, tx.max_len(), &mut payload);
        tx.send(tag, &payload).unwrap();
        let got = rx.recv_into(&mut buf).unwrap();
        assert!(got.tag == tag && buf[..got.len] == payload, "record {seq}");
    }
    drop(tx);
    peer.wait_for("left");
    assert_eq!(rx.recv_into(&mut buf), Err(RecvError::Disconnected));
    for path in [there, back] {
        std::fs::remove_file(path).unwrap();
    }
}

/// Everything committed before the kill arrives, then the death is told, once; the same for a close.
#[test]
fn a_producer_that_dies_or_leaves_has_delivered() {
    for dies in [true, false] {
        let (mut peer, mut rx) = with_producer("s-end");
        for _ in 0..20 {
            peer.ask("send", "sent");
        }
        if dies {
            peer.kill();
        } else {
            assert!(peer.finish().success());
        }
        let (mut payload, mut buf) = (Vec::new(), [0; 4096]);
        for seq in 0..20 {
            let tag = record(1, seq, 100, &mut payload);
            let got = rx.recv_into(&mut buf).unwrap();
            assert!(got.tag == tag && buf[..got.len] == payload && !got.redelivered, "record {seq}");
        }
        let end = if dies { RecvError::PeerDied } else { RecvError::Disconnected };
        assert_eq!(rx.recv_into(&mut buf), Err(end));
        assert!(rx.is_disconnected());
        assert_eq!(rx.recv_into_timeout(&mut buf, Duration::from_millis(5)), Err(RecvError::Timeout), "told once");
    }
}

#[test]
fn a_consumer_that_dies_or_leaves_is_told_when_there_is_no_room() {
    for dies in [true, false] {
        let (mut peer, mut tx) = with_consumer("s-end");
        tx.send(7, &[0; 100]).unwrap();
        assert_eq!(peer.ask("take", "took"), "7");
        if dies {
            peer.kill();
        } else {
            assert!(peer.finish().success());
        }
        let end = loop {
            match tx.send(0, &[0; 100]) {
                Ok(_) => {}
                Err(end) => break end,
            }
        };
        assert_eq!(end, if dies { SendError::PeerDied } else { SendError::Disconnected });
        assert!(tx.is_disconnected());
        assert_eq!(tx.send_timeout(0, &[0; 100], Duration::from_millis(5)), Err(SendError::Timeout), "told once");
    }
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    println!("{took:?}");
    took[took.len() / 2]
}

#[test]
fn deaths_end_sleeps() {
    let mut took = Vec::new();
    for round in 0..10 {
        let kill_soon = |peer: &mut Child| {
            thread::sleep(Duration::from_millis(20));
            let now = Instant::now();
            peer.kill();
            now
        };
        let (killed, told) = if round % 2 == 0 {
            let (mut peer, mut rx) = with_producer("s-death");
            thread::scope(|s| {
                let killed = s.spawn(|| kill_soon(&mut peer));
                assert_eq!(rx.recv_into(&mut [0; 64]), Err(RecvError::PeerDied));
                let now = Instant::now();
                (killed.join().unwrap(), now)
            })
        } else {
            let (mut peer, mut tx) = with_consumer("s-death");
            while tx.try_send(0, &[0; 100]).is_ok() {}
            thread::scope(|s| {
                let killed = s.spawn(|| kill_soon(&mut peer));
                assert_eq!(tx.send(0, &[0; 100]), Err(SendError::PeerDied));
                let now = Instant::now();
                (killed.join().unwrap(), now)
            })
        };
        took.push(told - killed);
    }
    assert!(median(took) < SOON);
}

#[test]
fn a_stopped_peer_is_waited_for() {
    let (mut peer, mut rx) = with_producer("s-stop");
    peer.signal(libc::SIGSTOP);
    peer.wait_for_state('T');
    assert_eq!(rx.recv_into_timeout(&mut [0; 64], 4 * SLICE), Err(RecvError::Timeout));
    peer.signal(libc::SIGCONT);
    peer.tell("send");
    assert!(rx.recv_into(&mut [0; 100]).is_ok());
    peer.tell("leave");
    assert_eq!(rx.recv_into(&mut [0; 64]), Err(RecvError::Disconnected));
}

/// The peer's user is no matter: what he may do, the descriptors say.
#[test]
fn strangers_are_served() {
    // SAFETY: plain numbers.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped: only root can be two users");
        return;
    }
    let path = unique_path("s-user");
    let mut peer = child("stranger", &[&path]);
    let mut tx = strict::producer(&path, &options());
    std::fs::remove_file(&path).unwrap();
    tx.send(11, b"for a stranger").unwrap();
    assert_eq!(peer.wait_for("got"), "11");
    // Without a word, as a killed process: its lease ends with its mapping.
    thread::spawn(move || {
        let _tx = tx;
        std::panic::resume_unwind(Box::new("no fault, but a sudden end"));
    })
    .join()
    .unwrap_err();
    peer.wait_for("died");
}

#[test]
fn every_size_and_option_works() {
    for capacity in [64, 4096, 1 << 16, 1 << 22] {
        for (lines, every) in [(false, 0), (true, 0), (false, capacity / 4)] {
            if lines && capacity < 256 {
                continue;
            }
            let options = Options::new().capacity(capacity).line_aligned(lines).release_every(every);
            let (mut tx, mut rx) = pair(&options);
            assert_eq!((tx.capacity(), rx.capacity()), (capacity, capacity));
            let (mut payload, mut buf) = (Vec::new(), vec![0; tx.max_len()]);
            for seq in 0..300 {
                let tag = record(1, seq, tx.max_len().min(1 << 14), &mut payload);
                let sent = tx.try_send(tag, &payload).unwrap_or_else(|_| {
                    // A head that was held back is told when the ring is found empty.
                    assert_eq!(rx.try_recv_into(&mut buf), Err(TryRecvError::Empty));
                    tx.try_send(tag, &payload).unwrap()
                });
                let got = rx.try_recv_into(&mut buf).unwrap();
                assert!(got.tag == tag && got.position == sent && buf[..got.len] == payload, "{capacity}: {seq}");
                assert!(tx.len_guess() <= capacity && rx.len_guess() <= capacity);
            }
            assert_eq!(tx.stats().lease + 1, rx.stats().lease);
            tx.sync().unwrap();
            rx.sync().unwrap();
            tx.close();
            assert_eq!(rx.try_recv_into(&mut buf), Err(TryRecvError::Disconnected));
        }
    }
}

#[test]
fn full_is_full_and_ends_are_told_both_ways() {
    let (mut tx, rx) = pair(&Options::new().capacity(64));
    while tx.try_send(0, &[0; 8]).is_ok() {}
    assert_eq!(tx.try_send(0, &[0; 8]), Err(TrySendError::Full));
    drop(rx);
    assert_eq!(
        until("the end", || tx.try_send(0, &[0; 8]).err().filter(|e| *e != TrySendError::Full)),
        TrySendError::Disconnected
    );
}

#[test]
fn a_forked_child_has_nothing_of_it() {
    let (mut tx, mut rx) = pair(&options());
    // SAFETY: the child looks at its handles, waits to be looked at, and leaves.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let good = tx.try_send(0, b"x") == Err(TrySendError::Forked)
            && rx.try_recv_into(&mut [0; 8]) == Err(TryRecvError::Forked);
        // SAFETY: plain numbers.
        unsafe { libc::raise(libc::SIGSTOP) };
        drop((tx, rx));
        // SAFETY: plain numbers.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    let mut status = -1;
    // SAFETY: our child, and a live local.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, libc::WUNTRACED) }, pid);
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    assert!(!maps.contains("memfd:ring.strict"), "{maps}");
    // SAFETY: plain numbers; our child, not reaped yet.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGCONT) }, 0);
    // SAFETY: our child, and a live local.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0);
    tx.try_send(3, b"still here").unwrap();
    assert_eq!(rx.try_recv_into(&mut [0; 16]).unwrap().tag, 3);
}
