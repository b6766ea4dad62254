//! `kill -9` of consumers of an SPSC ring at random times, under load, while this process sends; what each took down
//! is compared with what came before it.
//!
//! `ci/kills.sh` is the long form; `RING_KILLS` and `RING_SEED` are its knobs.
#![allow(unsafe_code)]

#[path = "support/ring.rs"]
mod ring;
mod support;
#[path = "support/workers.rs"]
mod workers;

use std::time::{Duration, Instant};

use ring::{Account, Item, Ledger, Rng, one_at_a_time, record, seed, until};
use ring_shm::spsc::{Producer, TrySendError};
use support::unique;
use workers::*;

#[test]
fn child_entry() {
    workers::entry();
}

/// Compares what one consumer after another has taken down.
struct Successions<'p> {
    /// 1 + the last record that anybody has taken down.
    high: u64,
    /// 1 + the last record that was surely released.
    released: u64,
    /// Consumers that may have released one record without taking it down, since the last that took one down.
    gaps: u64,
    /// Release interval.
    every: u64,
    /// How far beyond what was seen a flag may go.
    slack: u64,
    positions: &'p [u64],
}

impl Successions<'_> {
    /// The consumer of `account` has ended.
    fn add(&mut self, account: Account, tally: &mut Tally) {
        let (first, next) = (account.get(Item::First), account.get(Item::Next));
        let killed = account.get(Item::Stop) != STOP;
        let in_call = killed && account.get(Item::InCall) == 1;
        if let Some(first) = first.checked_sub(1) {
            assert!(first <= self.high + self.gaps, "records {} to {first} are lost", self.high);
            tally.gaps += first.saturating_sub(self.high);
            if first < self.released {
                let at = |seq: u64| self.positions[seq as usize];
                let again = at(self.released - 1) - at(first);
                assert!(again < self.every, "{again} bytes and more come again, fewer than {} may", self.every);
            }
            let again = self.high.min(next);
            if first < again {
                let to = account.get(Item::FlaggedTo);
                assert!(to >= again, "record {} of {first}..{again} comes again without the flag", to.max(first));
                tally.redelivered += again - first;
            }
            // One more: the ring had handed it out, and its reader died before it took it down. And some bytes more:
            // the mark of a batch runs ahead, so as not to be stored for each record.
            if let Some(last) = account.get(Item::FlaggedTo).checked_sub(1).filter(|last| *last > self.high) {
                let beyond = self.positions[last as usize] - self.positions[self.high as usize + 1];
                assert!(beyond < self.slack.max(1), "record {last} is flagged, nobody has seen {}", self.high + 1);
            }
            self.gaps = 0;
            self.high = self.high.max(next);
            // A later consumer that starts behind has seen released records again; they stay released.
            self.released = self.released.max(account.get(Item::Released));
        }
        self.gaps += u64::from(in_call);
    }
}

#[test]
fn kill_consumer() {
    let _turn = one_at_a_time();
    let (kills, mut rng) = (kills(), Rng(seed()));
    let (start, mut tally) = (Instant::now(), Tally::default());
    while tally.kills < kills {
        kill_consumers_of_one_ring(&mut rng, kills, &mut tally);
    }
    println!("kill_consumer: {tally}, {:.1?}", start.elapsed());
}

fn kill_consumers_of_one_ring(rng: &mut Rng, kills: u64, tally: &mut Tally) {
    let (name, ledger, options) = (unique("kc"), Ledger::new(), options(rng));
    let mut tx = Producer::create(name.as_str(), &options).unwrap();
    let max = tx.max_len().min(LONGEST);
    ledger.account(0).put(Item::Longest, max as u64); // what the consumers check against
    let seen = ring_shm::spsc::inspect(name.as_str()).unwrap();
    let (every, slack) = (seen.release_every, (seen.capacity / 32).min(4096));
    tally.rings += 1;
    let (mut positions, mut payload, mut died, mut closed) = (Vec::new(), Vec::new(), 0, 0);
    let over = |how| (1..ring::ACCOUNTS).filter(|s| ledger.account(*s).get(Item::Stop) == how).count();
    let mut send = |rng: &mut Rng| {
        let seq = positions.len() as u64;
        record(0, seq, max, &mut payload);
        let sent = if rng.once_in(3) {
            tx.try_claim_batch(BATCH, payload.len()).map(|mut batch| {
                // As many as have no more bytes.
                let mut next = seq;
                while batch.remaining() > 0 {
                    let (room, mut one) = (payload.len(), Vec::new());
                    record(0, next, max, &mut one);
                    if one.len() > room {
                        break;
                    }
                    positions.push(batch.push(next as u32, &one).unwrap().get());
                    next += 1;
                }
                batch.commit();
            })
        } else {
            tx.try_send(seq as u32, &payload).map(|position| positions.push(position.get()))
        };
        match sent {
            Ok(()) => true,
            Err(TrySendError::Full) => false,
            Err(TrySendError::PeerDied) => {
                died += 1;
                assert!(died <= over(KILL), "told of {died} deaths, {} have been", over(KILL));
                false
            }
            Err(TrySendError::Disconnected) => {
                closed += 1;
                assert!(closed <= over(STOP), "told of {closed} orderly ends, {} have been", over(STOP));
                false
            }
            Err(e) => panic!("{e:?}"),
        }
    };
    let last = 1 + rng.below(25) as u32;
    let mut ahead: Option<Worker> = None;
    let mut sessions = 0;
    for session in 1..=last {
        let account = ledger.account(session);
        let fate = Fate::of(rng);
        let mut worker = ahead.take().unwrap_or_else(|| start("consumer", &name, &ledger, session, rng, fate));
        let goes_on = session < last && tally.kills + 1 < kills;
        if goes_on && !worker.fate.early && rng.once_in(3) {
            // It must not come first.
            until("a seat", || worker.sits().then_some(()));
            let fate = Fate::of(rng);
            ahead = Some(start("consumer", &name, &ledger, session + 1, rng, fate));
        }
        std::thread::scope(|s| {
            let ender = s.spawn(|| worker.end());
            let pause = if rng.once_in(3) { Duration::from_micros(rng.below(100)) } else { Duration::ZERO };
            while !ender.is_finished() {
                if !send(rng) {
                    std::thread::yield_now();
                }
                if !pause.is_zero() {
                    std::thread::sleep(pause);
                }
            }
            ender.join().unwrap_or_else(|e| panic!("{e:?} {options:?}"));
        });
        if account.get(Item::Stop) == KILL {
            tally.kills += 1;
            tally.seated += u64::from(worker.sits());
        } else {
            tally.orderly += 1;
        }
        sessions = session;
        if !goes_on {
            break;
        }
    }
    // One last consumer gets all the rest.
    let sent = positions.len() as u64;
    let mut worker = start("consumer", &name, &ledger, sessions + 1, rng, Fate::ORDERLY);
    until("the rest of the records", || (worker.sits() && is_empty(&name)).then_some(()));
    worker.end();
    let mut successions = Successions { high: 0, released: 0, gaps: 0, every, slack, positions: &positions };
    for session in 1..=sessions + 1 {
        successions.add(ledger.account(session), tally);
    }
    assert!(successions.high + successions.gaps >= sent, "{} of {sent} records arrived", successions.high);
    assert!(successions.high <= sent);
    tally.records += sent;
}
