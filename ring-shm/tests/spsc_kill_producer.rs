//! `kill -9` of producers of an SPSC ring at random times, under load, while this process reads and checks.
//!
//! `ci/kills.sh` is the long form; `RING_KILLS` and `RING_SEED` are its knobs.
#![allow(unsafe_code)]

#[path = "support/receiver.rs"]
mod receiver;
#[path = "support/ring.rs"]
mod ring;
mod support;
#[path = "support/workers.rs"]
mod workers;

use std::time::{Duration, Instant};

use receiver::{Receiver, drain, receive};
use ring::{Item, Ledger, Rng, one_at_a_time, seed, until};
use ring_shm::spsc::Consumer;
use support::unique;
use workers::*;

#[test]
fn child_entry() {
    workers::entry();
}

#[test]
fn kill_producer() {
    let _turn = one_at_a_time();
    let (kills, mut rng) = (kills(), Rng(seed()));
    let (start, mut tally) = (Instant::now(), Tally::default());
    while tally.kills < kills {
        kill_producers_of_one_ring(&mut rng, kills, &mut tally);
    }
    println!("kill_producer: {tally}, {:.1?}", start.elapsed());
}

fn kill_producers_of_one_ring(rng: &mut Rng, kills: u64, tally: &mut Tally) {
    let (name, ledger, options) = (unique("kp"), Ledger::new(), options(rng));
    let mut rx = Consumer::create(name.as_str(), &options).unwrap();
    tally.rings += 1;
    let max = rx.max_len().min(LONGEST);
    let (mut buf, context) = (vec![0; rx.max_len()], format!("{options:?}"));
    let mut receiver = Receiver {
        ledger: &ledger,
        max,
        session: 0,
        seq: 0,
        positions: Vec::new(),
        ends: Vec::new(),
        expected: Vec::new(),
        tally,
    };
    let last = 1 + rng.below(25) as u32;
    let mut ahead: Option<Worker> = None;
    for session in 1..=last {
        let account = ledger.account(session);
        let fate = Fate::of(rng);
        let mut worker = ahead.take().unwrap_or_else(|| start("producer", &name, &ledger, session, rng, fate));
        let goes_on = session < last && receiver.tally.kills + 1 < kills;
        if goes_on && !worker.fate.early && rng.once_in(3) {
            // It must not come first.
            until("a seat", || worker.sits().then_some(()));
            let fate = Fate::of(rng);
            ahead = Some(start("producer", &name, &ledger, session + 1, rng, fate));
        }
        std::thread::scope(|s| {
            let ender = s.spawn(|| worker.end());
            // A slow consumer keeps the ring full, a quick one empty.
            let pause = if rng.once_in(3) { Duration::from_micros(rng.below(100)) } else { Duration::ZERO };
            while !ender.is_finished() {
                receive(&mut rx, rng, &mut receiver, &mut buf);
                if !pause.is_zero() {
                    std::thread::sleep(pause);
                }
            }
            ender.join().unwrap_or_else(|e| panic!("{e:?} {context}"));
        });
        let seated = worker.sits();
        if account.get(Item::Stop) == KILL {
            receiver.tally.kills += 1;
            receiver.tally.seated += u64::from(seated);
        } else {
            receiver.tally.orderly += 1;
        }
        assert!(ahead.is_some() || !seated || rx.is_disconnected(), "the seat is free when waitpid returns");
        if !goes_on {
            break;
        }
        // Half of the successors find what their predecessors have left.
        if ahead.is_none() && seated && rng.once_in(2) {
            drain(&mut rx, rng, &mut receiver, &mut buf, &context);
        }
    }
    drain(&mut rx, rng, &mut receiver, &mut buf, &context);
    let (session, seq) = (receiver.session, receiver.seq);
    if session != 0 {
        receiver.check(session, seq);
    }
    for silent in session + 1..=last {
        receiver.check(silent, 0);
    }
}
