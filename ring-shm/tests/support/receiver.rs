//! What arrives from one producer after another, each of which may have been killed, checked record by record against
//! their accounts. Used beside `workers`.
#![allow(dead_code, unsafe_code, unreachable_pub)]

use std::time::{Duration, Instant};

use ring_shm::Position;
use ring_shm::spsc::{Consumer, TryRecvError};

use super::ring::{Item, Ledger, PATIENCE, Rng, record, session_of};
use super::workers::{STOP, Tally};

/// Checks what arrives from one producer after another.
pub struct Receiver<'l> {
    pub ledger: &'l Ledger,
    pub max: usize,
    /// Whose records arrive; 0 at first.
    pub session: u32,
    /// Which one is next.
    pub seq: u64,
    /// Positions of the latest.
    pub positions: Vec<u64>,
    pub ends: Vec<TryRecvError>,
    pub expected: Vec<u8>,
    pub tally: &'l mut Tally,
}

impl Receiver<'_> {
    pub fn take(&mut self, found: u32, payload: &[u8], position: Position, redelivered: bool) {
        if session_of(found) != self.session {
            self.settle(session_of(found));
        }
        let expected = record(self.session, self.seq, self.max, &mut self.expected);
        assert_eq!(found, expected, "session {}: lost, doubled or out of order at {}", self.session, self.seq);
        assert_eq!(payload, self.expected, "corrupt record {} of session {}", self.seq, self.session);
        assert!(!redelivered, "this consumer has never died");
        assert!(self.positions.last().is_none_or(|last| *last < position.get()), "positions grow");
        if self.positions.len() == 64 {
            self.positions.drain(..32);
        }
        self.positions.push(position.get());
        self.seq += 1;
        self.tally.records += 1;
    }

    pub fn end(&mut self, end: TryRecvError) {
        self.ends.push(end);
        let sessions = self.session.max(1)..super::ring::ACCOUNTS;
        let over = sessions.filter(|s| self.ledger.account(*s).get(Item::Stop) != 0).count();
        assert!(self.ends.len() <= over, "session {}: {:?}, but only {over} have ended", self.session, self.ends);
    }

    /// The records of the present session have ended, and `next` begins.
    pub fn settle(&mut self, next: u32) {
        assert!(next > self.session, "session {next} after {}", self.session);
        let ends = std::mem::take(&mut self.ends);
        if self.session != 0 {
            self.check(self.session, self.seq);
            let truth: Vec<_> = (self.session..next)
                .map(|s| match self.ledger.account(s).get(Item::Stop) {
                    STOP => TryRecvError::Disconnected,
                    _ => TryRecvError::PeerDied,
                })
                .collect();
            let count = |all: &[TryRecvError], end| all.iter().filter(|e| **e == end).count();
            let (died, closed) = (TryRecvError::PeerDied, TryRecvError::Disconnected);
            // The first end belongs to the session whose records came; those that never sat, or wrote nothing, may
            // be silent. A session's mark is written by its successor: if that dies before it could, only its own
            // death is told.
            let first = ends.first() == truth.first() || ends.first() == Some(&died) && truth.contains(&died);
            let few = [died, closed].into_iter().all(|end| count(&ends, end) <= count(&truth, end));
            assert!(first && few, "session {} to {next}: told {ends:?}, the truth is {truth:?}", self.session);
        }
        for silent in self.session + 1..next {
            self.check(silent, 0);
        }
        (self.session, self.seq) = (next, 0);
        self.positions.clear();
    }

    /// All that was committed in `session` has come, and no part of an operation.
    pub fn check(&mut self, session: u32, got: u64) {
        let account = self.ledger.account(session);
        let (committed, announced) = (account.get(Item::Committed), account.get(Item::Announced).max(got));
        let closed = account.get(Item::Stop) == STOP;
        if closed || announced <= committed {
            assert_eq!(got, committed, "session {session} (closed: {closed}): lost or invented");
        } else {
            assert!(
                got == committed || got == account.get(Item::Announced),
                "session {session}: got {got}, committed {committed}, at hand up to {announced}"
            );
            self.tally.open += 1;
            self.tally.open_committed += u64::from(got != committed);
        }
        if committed > 0 {
            // Of the last committed record, or of the last one of an operation that was still open.
            let told = Some(account.get(Item::Position));
            let at = |back: u64| self.positions.iter().rev().nth(back as usize).copied();
            assert!(told == at(got - committed) || got != committed && told == at(0), "the position that was told");
        }
    }
}

/// Takes what there is, in every way there is. Whether there was anything.
pub fn receive(rx: &mut Consumer, rng: &mut Rng, receiver: &mut Receiver<'_>, buf: &mut [u8]) -> bool {
    let got = match rng.below(4) {
        0 | 1 => rx.try_recv_into(buf).map(|got| {
            receiver.take(got.tag, &buf[..got.len], got.position, got.redelivered);
        }),
        2 => rx.try_read().map(|found| {
            if rng.once_in(8) {
                return found.keep();
            }
            let len = found.copy_to(buf);
            receiver.take(found.tag(), &buf[..len], found.position(), found.redelivered());
            found.release();
        }),
        _ => rx.try_read_batch(1 + rng.below(8) as usize).map(|mut batch| {
            if rng.once_in(8) {
                while batch.next_record().is_some() {}
                return batch.keep();
            }
            while let Some(found) = batch.next_record() {
                let len = found.copy_to(buf);
                receiver.take(found.tag(), &buf[..len], found.position(), found.redelivered());
            }
            assert!(batch.release() > 0);
        }),
    };
    match got {
        Ok(()) => true,
        Err(TryRecvError::Empty) => false,
        Err(e @ (TryRecvError::PeerDied | TryRecvError::Disconnected)) => {
            receiver.end(e);
            true
        }
        Err(e) => panic!("session {}, record {}: {e:?}", receiver.session, receiver.seq),
    }
}

/// Everything, and the end of it, which is told once.
pub fn drain(rx: &mut Consumer, rng: &mut Rng, receiver: &mut Receiver<'_>, buf: &mut [u8], context: &str) {
    let (start, mut quiet, mut polls) = (Instant::now(), Instant::now(), 0);
    // The kernel is asked at most once a millisecond, at every 64th poll of an empty ring. So polls count only once
    // that time has passed, or a pause of this thread could eat it all.
    while polls < 256 {
        if receive(rx, rng, receiver, buf) {
            (quiet, polls) = (Instant::now(), 0);
        } else if quiet.elapsed() > Duration::from_millis(2) {
            polls += 1;
        }
        assert!(start.elapsed() < PATIENCE, "hung: draining, {context}");
    }
    assert!(receiver.session == 0 || !receiver.ends.is_empty(), "session {}: no end, {context}", receiver.session);
}
