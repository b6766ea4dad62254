//! Models in which a producer dies at every step of every operation, the consumer goes on at the same time, and a
//! successor takes the seat; and those in which the successor dies, too. Each operation in models of two threads, to
//! the end: the dying beside the consumer, the dying beside the successor, and these two when it is dead: a look of the
//! consumer's beside the successor that sits down and sends, before and after it was told what the dead had sent, and
//! several beside one that sits. All three at once stand in one, for the shortest send.
//!
//! The op of a victim runs under [`World::kill`]: its lease is free after the fatal step, or after the op.

use ring_core::Verdict;
use ring_core::spsc::{Consumer, Producer};

use super::streams::dirty;
use super::world::{CLOSED, DIED, Event, Last, got, msg, payload, recv, sent_with, try_send};
use super::{Body, Spsc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("send_dies_and_is_read", Bound::ALL, Body::Crash(|w, step| dies_and_is_read(w, step, &SEND))),
    model("send_dies_and_is_succeeded", Bound::ALL, Body::Crash(|w, step| dies_and_is_succeeded(w, step, &SEND))),
    model("send_died_long_ago", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &SEND, 0))),
    model("send_died_and_was_seen", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &SEND, 1))),
    model("send_died_and_was_succeeded", Bound::ALL, Body::Crash(|w, step| died_and_was_succeeded(w, step, &SEND))),
    model("padded_send_dies_and_is_read", Bound::ALL, Body::Crash(|w, step| dies_and_is_read(w, step, &PADDED_SEND))),
    model(
        "padded_send_dies_and_is_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| dies_and_is_succeeded(w, step, &PADDED_SEND)),
    ),
    model("padded_send_died_long_ago", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &PADDED_SEND, 0))),
    model("padded_send_died_and_was_seen", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &PADDED_SEND, 1))),
    model(
        "padded_send_died_and_was_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| died_and_was_succeeded(w, step, &PADDED_SEND)),
    ),
    model("claim_dies_and_is_read", Bound::ALL, Body::Crash(|w, step| dies_and_is_read(w, step, &CLAIM))),
    model("claim_dies_and_is_succeeded", Bound::ALL, Body::Crash(|w, step| dies_and_is_succeeded(w, step, &CLAIM))),
    model("claim_died_long_ago", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &CLAIM, 0))),
    model("claim_died_and_was_seen", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &CLAIM, 1))),
    model("claim_died_and_was_succeeded", Bound::ALL, Body::Crash(|w, step| died_and_was_succeeded(w, step, &CLAIM))),
    model("batch_dies_and_is_read", Bound::ALL, Body::Crash(|w, step| dies_and_is_read(w, step, &BATCH))),
    model("batch_dies_and_is_succeeded", Bound::ALL, Body::Crash(|w, step| dies_and_is_succeeded(w, step, &BATCH))),
    model("batch_died_long_ago", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &BATCH, 0))),
    model("batch_died_and_was_seen", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &BATCH, 1))),
    model("batch_died_and_was_succeeded", Bound::ALL, Body::Crash(|w, step| died_and_was_succeeded(w, step, &BATCH))),
    model("padded_batch_dies_and_is_read", Bound::ALL, Body::Crash(|w, step| dies_and_is_read(w, step, &PADDED_BATCH))),
    model(
        "padded_batch_dies_and_is_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| dies_and_is_succeeded(w, step, &PADDED_BATCH)),
    ),
    model("padded_batch_died_long_ago", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &PADDED_BATCH, 0))),
    model(
        "padded_batch_died_and_was_seen",
        Bound::ALL,
        Body::Crash(|w, step| died_long_ago(w, step, &PADDED_BATCH, 1)),
    ),
    model(
        "padded_batch_died_and_was_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| died_and_was_succeeded(w, step, &PADDED_BATCH)),
    ),
    model("full_send_dies_and_is_read", Bound::ALL, Body::Crash(|w, step| dies_and_is_read(w, step, &FULL_SEND))),
    model(
        "full_send_dies_and_is_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| dies_and_is_succeeded(w, step, &FULL_SEND)),
    ),
    model("full_send_died_long_ago", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &FULL_SEND, 0))),
    model("full_send_died_and_was_seen", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &FULL_SEND, 1))),
    model(
        "full_send_died_and_was_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| died_and_was_succeeded(w, step, &FULL_SEND)),
    ),
    model("close_dies_and_is_read", Bound::ALL, Body::Crash(|w, step| dies_and_is_read(w, step, &CLOSE))),
    model("close_dies_and_is_succeeded", Bound::ALL, Body::Crash(|w, step| dies_and_is_succeeded(w, step, &CLOSE))),
    model("close_died_long_ago", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &CLOSE, 0))),
    model("close_died_and_was_seen", Bound::ALL, Body::Crash(|w, step| died_long_ago(w, step, &CLOSE, 1))),
    model("close_died_and_was_succeeded", Bound::ALL, Body::Crash(|w, step| died_and_was_succeeded(w, step, &CLOSE))),
    model("send_dies", Bound::preemptions(3), Body::Crash(send_dies)),
    model("two_producers_die", Bound::ALL, Body::TwoCrashes(two_producers_die)),
    model("two_batches_die", Bound::ALL, Body::TwoCrashes(two_batches_die)).capacity(128),
    model("two_unread_producers_die", Bound::preemptions(1), Body::TwoCrashes(two_unread_producers_die)).short(LARGE),
    model("closer_and_successor_die", Bound::ALL, Body::TwoCrashes(closer_and_successor_die)),
];

/// What a producer does when it dies: true when it has committed all the tags.
pub(super) type Op = fn(&mut Producer<'_>, &[u32]) -> bool;

/// The record of the last producer.
pub(super) const LAST: u32 = msg(15, 8);

/// What a producer dies in.
pub(super) struct Death {
    /// Records of former laps.
    pub(super) before: &'static [u32],
    /// Those of a train of which these have been taken.
    pub(super) taken: &'static [u32],
    /// Records that nobody has read: behind those, in their train.
    pub(super) unread: &'static [u32],
    /// What `op` sends by one commit.
    pub(super) tags: &'static [u32],
    pub(super) op: Op,
    /// Whether `op` ends the session.
    pub(super) closes: bool,
}

impl Death {
    pub(super) const fn new(before: &'static [u32], unread: &'static [u32], tags: &'static [u32], op: Op) -> Self {
        Self { before, taken: &[], unread, tags, op, closes: false }
    }

    fn begin(&self, w: &World) -> (Producer<'static>, Consumer<'static>, Last) {
        let (mut tx, mut rx) = (w.producer(), w.consumer());
        dirty(&mut tx, &mut rx, self.before);
        if self.taken.is_empty() {
            for tag in self.unread {
                assert!(try_send(&mut tx, *tag).is_some());
            }
        } else {
            assert!(batch_all(&mut tx, &[self.taken, self.unread].concat()));
            self.taken.iter().for_each(|tag| recv(&mut rx, *tag));
        }
        (tx, rx, Last::new(w.lease(), LAST))
    }

    /// Whether `log` is that of a producer that died in the operation, or has `done` it, and of its successor.
    fn check(&self, done: Option<bool>, log: &[Event]) {
        let expect =
            |tags: &[u32], end| [&records(self.unread)[..], &records(tags), &[end, got(LAST), CLOSED]].concat();
        let with = done != Some(false) && log == expect(self.tags, if self.closes { CLOSED } else { DIED });
        let without = done != Some(true) && log == expect(&[], DIED);
        assert!(with || without, "committed {done:?}: {log:?}");
    }
}

/// Is a record committed or not, whatever step of the send is the last one?
const SEND: Death = Death::new(&[msg(8, 24), msg(9, 24)], &[], &[msg(1, 8)], send_all);

/// The same with padding before the record.
const PADDED_SEND: Death = Death::new(&[msg(8, 24), msg(9, 8)], &[], &[msg(1, 16)], send_all);

/// The same for a claim that is written in two pieces, shortened, and comes after one that was given up.
const CLAIM: Death = Death::new(&[msg(8, 24), msg(9, 24)], &[], &[msg(1, 8)], claim_all);

/// Is a batch seen as a whole or not at all?
const BATCH: Death = Death::new(&[msg(8, 24), msg(9, 24)], &[], &[msg(1, 8), msg(2, 8)], batch_all);

/// The same with padding inside the batch.
const PADDED_BATCH: Death = Death::new(&[msg(8, 24), msg(9, 0)], &[], &[msg(1, 8), msg(2, 8)], batch_all);

/// Does a producer die harmlessly that looks for space, and a successor that finds the ring full go on?
const FULL_SEND: Death =
    Death::new(&[], &[msg(1, 24), msg(2, 16)], &[msg(3, 8)], |tx, tags| send_all(tx, tags) || send_all(tx, tags));

/// Does a producer end exactly once, closed or dead, if it dies in the close?
const CLOSE: Death = Death {
    closes: true,
    ..Death::new(&[], &[msg(1, 8)], &[], |tx, _| {
        tx.close();
        true
    })
};

/// A producer dies while the consumer reads; a successor goes on afterwards.
pub(super) fn dies_and_is_read(w: &World, step: u32, death: &'static Death) {
    let (mut tx, mut rx, last) = death.begin(w);
    let (first, second) = (w.clone(), w.clone());
    let victim = move || first.kill(0, step, 1, || (death.op)(&mut tx, death.tags));
    let receiver = move || (second.glance(&mut rx, 3), rx);
    let (done, (log, mut rx)) = w.both(victim, receiver);
    death.check(done, &last.finish(w, &mut rx, log));
}

/// A producer dies while a successor looks for the seat; a consumer reads afterwards.
pub(super) fn dies_and_is_succeeded(w: &World, step: u32, death: &'static Death) {
    let (mut tx, mut rx, last) = death.begin(w);
    let (first, second) = (w.clone(), w.clone());
    let victim = move || first.kill(0, step, 1, || (death.op)(&mut tx, death.tags));
    let (done, last) = w.both(victim, move || last.go(&second));
    death.check(done, &last.finish(w, &mut rx, vec![]));
}

/// A producer has died, and the consumer has looked so many times; a successor sits down and sends while it looks again.
pub(super) fn died_long_ago(w: &World, step: u32, death: &'static Death, looks: usize) {
    let (mut tx, mut rx, last) = death.begin(w);
    let done = w.kill(0, step, 1, || (death.op)(&mut tx, death.tags));
    let mut log = w.glance(&mut rx, looks);
    let (first, second) = (w.clone(), w.clone());
    let (last, (seen, mut rx)) = w.both(move || last.send(&first), move || (second.glance(&mut rx, 1), rx));
    log.extend(seen);
    death.check(done, &last.finish(w, &mut rx, log));
}

/// A producer has died, and a successor has sat down; it sends while the consumer reads.
pub(super) fn died_and_was_succeeded(w: &World, step: u32, death: &'static Death) {
    let (mut tx, mut rx, last) = death.begin(w);
    let done = w.kill(0, step, 1, || (death.op)(&mut tx, death.tags));
    let (last, first, second) = (last.sit(w), w.clone(), w.clone());
    let (last, (log, mut rx)) = w.both(move || last.go(&first), move || (second.glance(&mut rx, 3), rx));
    death.check(done, &last.finish(w, &mut rx, log));
}

/// All three at once: a record after another one, and a consumer that looks twice.
fn send_dies(w: &World, step: u32) {
    const DEATH: Death = Death::new(&[msg(8, 24), msg(9, 24)], &[], &[msg(1, 0)], send_all);
    let (mut tx, mut rx, last) = DEATH.begin(w);
    let (first, second, third) = (w.clone(), w.clone(), w.clone());
    let victim = move || first.kill(0, step, 1, || (DEATH.op)(&mut tx, DEATH.tags));
    let successor = move || last.send(&second);
    let receiver = move || (third.glance(&mut rx, 2), rx);
    let (done, last, (log, mut rx)) = w.three(victim, successor, receiver);
    DEATH.check(done, &last.finish(w, &mut rx, log));
}

fn records(tags: &[u32]) -> Vec<Event> {
    tags.iter().map(|tag| got(*tag)).collect()
}

pub(super) fn send_all(tx: &mut Producer<'_>, tags: &[u32]) -> bool {
    tags.iter().all(|tag| try_send(tx, *tag).is_some())
}

pub(super) fn batch_all(tx: &mut Producer<'_>, tags: &[u32]) -> bool {
    let len = tags.iter().map(|t| t >> 8).max().unwrap() as usize;
    let Ok(mut batch) = tx.try_claim_batch_exact(tags.len(), len) else { return false };
    for tag in tags {
        batch.push(sent_with(*tag), &payload(*tag)).unwrap();
    }
    batch.commit() > 0
}

fn claim_all(tx: &mut Producer<'_>, tags: &[u32]) -> bool {
    let mut given_up = tx.try_claim(24).unwrap();
    given_up.write(&payload(msg(9, 24)));
    given_up.abort();
    let mut claim = tx.try_claim(24).unwrap();
    claim.set_tag(tags[0]);
    let bytes = payload(tags[0]);
    claim.write(&bytes[..4]);
    claim.write(&bytes[4..]);
    claim.truncate(8);
    claim.commit();
    true
}

/// The log of two dead sessions and a last one. What a session committed comes whole, or not at all if it died in the
/// commit; an end follows. A session that never wrote its predecessor's mark may pass without an end of its own.
fn three_sessions(log: &[Event], first: (&[u32], Option<bool>), second: (&[u32], Option<bool>), ends: (Event, Event)) {
    let possible = |(tags, done): (&[u32], Option<bool>)| {
        let (all, none) = (records(tags), vec![]);
        match done {
            Some(true) => vec![all],
            Some(false) => vec![none],
            None => vec![all, none],
        }
    };
    for a in possible(first) {
        for b in possible(second) {
            let whole = [&a[..], &[ends.0], &b, &[ends.1, got(LAST), CLOSED]].concat();
            let skipped = [&a[..], &[ends.0, got(LAST), CLOSED]].concat();
            if log == whole || second.1 != Some(true) && b.is_empty() && log == skipped {
                return;
            }
        }
    }
    panic!("committed {:?} and {:?}: {log:?}", first.1, second.1);
}

/// A producer has died in `op`; a successor dies while it takes over or in its first `next`, and the consumer looks; a third
/// one goes on.
pub(super) fn two_die(
    w: &World,
    steps: (u32, u32),
    before: &[u32],
    op: (&'static [u32], Op),
    next: (&'static [u32], Op),
) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, before);
    let (a, b, leases) = (w.clone(), w.clone(), (w.lease(), w.lease()));
    let first = w.kill(0, steps.0, 1, || op.1(&mut tx, op.0));
    let successor = move || a.kill(1, steps.1, leases.0, || next.1(&mut a.succeed_producer(leases.0), next.0));
    let receiver = move || (b.glance(&mut rx, 1), rx);
    let (second, (log, mut rx)) = w.both(successor, receiver);
    let log = Last::new(leases.1, LAST).finish(w, &mut rx, log);
    three_sessions(&log, (op.0, first), (next.0, second), (DIED, DIED));
}

/// A padded record, then a plain one.
fn two_producers_die(w: &World, first: u32, second: u32) {
    let (one, two) = const { (&[msg(1, 16)], &[msg(2, 8)]) };
    two_die(w, (first, second), &[msg(8, 24), msg(9, 8)], (one, send_all), (two, send_all));
}

/// A batch with padding in front of it, then a batch.
fn two_batches_die(w: &World, first: u32, second: u32) {
    let (one, two) = const { (&[msg(1, 8), msg(2, 0)], &[msg(3, 8), msg(4, 0)]) };
    let before = [msg(6, 24), msg(7, 24), msg(8, 24), msg(9, 16)];
    two_die(w, (first, second), &before, (one, batch_all), (two, batch_all));
}

/// Does each successor see all that the dead before it stored, when nothing but the verdict orders them?
fn two_unread_producers_die(w: &World, first: u32, second: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (a, b, c, leases) = (w.clone(), w.clone(), w.clone(), (w.lease(), w.lease()));
    let (one, two) = const { (&[msg(1, 8)], &[msg(2, 8)]) };
    let one_dies = move || a.kill(0, first, 1, || send_all(&mut tx, one));
    let two_dies = move || {
        b.kill(1, second, leases.0, || match b.try_producer(leases.0) {
            Some(mut tx) => send_all(&mut tx, two),
            None => false,
        })
    };
    let last = Last::new(leases.1, LAST);
    let last_goes = move || match c.verdict()(leases.0) {
        Verdict::Dead => last.go(&c),
        _ => last,
    };
    let (done, next, last) = w.three(one_dies, two_dies, last_goes);
    let log = last.finish(w, &mut rx, vec![]);
    three_sessions(&log, (one, done), (two, next), (DIED, DIED));
}

/// Is an orderly close reported as one when the successor dies before it has written the mark?
fn closer_and_successor_die(w: &World, first: u32, second: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (closing, leases) = (w.clone(), (w.lease(), w.lease()));
    assert!(try_send(&mut tx, msg(1, 8)).is_some());
    let closed = closing.kill(0, first, 1, || tx.close()).is_some();
    let next = w.kill(1, second, leases.0, || send_all(&mut w.succeed_producer(leases.0), &[msg(2, 8)]));
    let log = Last::new(leases.1, LAST).finish(w, &mut rx, vec![]);
    // Whoever died in the close may have got as far as closing; whoever returned from it has.
    assert!(log[1] == CLOSED || !closed, "an orderly close reported as {log:?}");
    three_sessions(&log, (&[msg(1, 8)], Some(true)), (&[msg(2, 8)], next), (log[1], DIED));
}
