//! Strict rings whose producer or consumer is killed at any moment.

#[path = "support/ring.rs"]
mod ring;
#[path = "support/spsc.rs"]
mod spsc;
#[path = "support/strict.rs"]
mod strict;
mod support;

use std::thread;
use std::time::{Duration, Instant};

use ring::{Item, Ledger, Rng, record, seed};
use ring_shm::spsc::{TryRecvError, TrySendError};
use strict::{options, unique_path};
use support::child;

#[test]
fn child_entry() {
    support::run_role(|role, args| match role {
        "source" => play_source(&args[0], &args[1]),
        "sink" => play_sink(&args[0]),
        other => panic!("no role {other}"),
    });
}

/// Sends as fast as it can, and keeps account, until it is killed.
fn play_source(path: &str, ledger: &str) {
    let mut tx = strict::producer(path, &options());
    let account = Ledger::join(ledger).account(1);
    let (mut payload, mut seq) = (Vec::new(), 0);
    loop {
        let tag = record(1, seq, 300, &mut payload);
        account.put(Item::Announced, seq + 1);
        tx.send(tag, &payload).unwrap();
        seq += 1;
        account.put(Item::Committed, seq);
    }
}

/// Receives as fast as it can until it is killed.
fn play_sink(path: &str) {
    let mut rx = strict::consumer(path);
    while rx.recv_into(&mut [0; 4096]).is_ok() {}
}

/// A producer killed at any moment: what it had committed arrives, whole and in order, and then its death.
#[test]
fn producers_killed_at_any_moment_have_delivered() {
    let mut rng = Rng(seed());
    for round in 0..60 {
        let (path, ledger) = (unique_path("s-kill"), Ledger::new());
        let mut peer = child("source", &[&path, &ledger.path()]);
        let mut rx = strict::consumer(&path);
        std::fs::remove_file(&path).unwrap();
        let (mut seq, mut expected, mut buf) = (0, Vec::new(), [0; 4096]);
        let until = Instant::now() + rng.delay(Duration::from_millis(5));
        let mut killed = false;
        let end = loop {
            if !killed && Instant::now() > until {
                peer.kill();
                killed = true;
            }
            match rx.try_recv_into(&mut buf) {
                Ok(got) => {
                    let tag = record(1, seq, 300, &mut expected);
                    assert!(got.tag == tag && buf[..got.len] == expected, "round {round}: record {seq}");
                    seq += 1;
                }
                Err(TryRecvError::Empty) => thread::yield_now(),
                Err(end) => break end,
            }
        };
        let account = ledger.account(1);
        assert_eq!(end, TryRecvError::PeerDied);
        let committed = account.get(Item::Committed)..=account.get(Item::Announced);
        assert!(killed && committed.contains(&seq), "round {round}: {seq} records, committed {committed:?}");
    }
}

/// A consumer killed at any moment: its producer learns of it as soon as there is no room.
#[test]
fn consumers_killed_at_any_moment_are_missed() {
    let mut rng = Rng(seed());
    for _ in 0..60 {
        let path = unique_path("s-kill");
        let mut peer = child("sink", &[&path]);
        let mut tx = strict::producer(&path, &options());
        std::fs::remove_file(&path).unwrap();
        let until = Instant::now() + rng.delay(Duration::from_millis(5));
        let (mut payload, mut seq, mut killed) = (Vec::new(), 0, false);
        let end = loop {
            if !killed && Instant::now() > until {
                peer.kill();
                killed = true;
            }
            let tag = record(1, seq, 300, &mut payload);
            match tx.try_send(tag, &payload) {
                Ok(_) => seq += 1,
                Err(TrySendError::Full) => thread::yield_now(),
                Err(end) => break end,
            }
        };
        assert!(killed && end == TrySendError::PeerDied, "{end:?}");
    }
}
