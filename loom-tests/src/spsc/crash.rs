//! Models in which a producer dies at every step of every operation, the consumer goes on at the same time, and a
//! successor takes the seat; and those in which the successor dies, too.
//!
//! The op of a victim runs under [`World::kill`]: its lease is free after the fatal step, or after the op.

use ring_core::Verdict;
use ring_core::spsc::Producer;

use super::streams::dirty;
use super::world::{CLOSED, DIED, Event, Last, got, msg, payload, try_send};
use super::{Body, Spsc, World, model};
use crate::{Bound, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("send_dies", Bound::preemptions(1), Body::Crash(send_dies)),
    model("padded_send_dies", Bound::preemptions(1), Body::Crash(padded_send_dies)),
    model("claim_dies", Bound::preemptions(1), Body::Crash(claim_dies)),
    model("batch_dies", Bound::preemptions(1), Body::Crash(batch_dies)),
    model("padded_batch_dies", Bound::preemptions(1), Body::Crash(padded_batch_dies)),
    model("full_send_dies", Bound::preemptions(1), Body::Crash(full_send_dies)),
    model("close_dies", Bound::preemptions(1), Body::Crash(close_dies)),
    model("two_producers_die", Bound::preemptions(1), Body::TwoCrashes(two_producers_die)).early(),
    model("two_batches_die", Bound::preemptions(1), Body::TwoCrashes(two_batches_die)).capacity(128).early(),
    model("two_unread_producers_die", Bound::preemptions(1), Body::TwoCrashes(two_unread_producers_die)),
    model("closer_and_successor_die", Bound::preemptions(1), Body::TwoCrashes(closer_and_successor_die)),
];

/// What a producer does when it dies: true when it has committed all the tags.
type Op = fn(&mut Producer<'_>, &[u32]) -> bool;

/// The record of the last producer.
const LAST: u32 = msg(15, 8);

/// A producer dies in `op`, which sends `tags` by one commit, while the consumer reads; a successor goes on.
fn producer_dies(w: &World, step: u32, before: &'static [u32], unread: &'static [u32], tags: &'static [u32], op: Op) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, before);
    for tag in unread {
        assert!(try_send(&mut tx, *tag).is_some());
    }
    let (first, second, third, last) = (w.clone(), w.clone(), w.clone(), Last::new(w.lease(), LAST));
    let victim = move || first.kill(0, step, 1, || op(&mut tx, tags));
    let successor = move || last.go(&second);
    let receiver = move || (third.glance(&mut rx, 3), rx);
    let (done, last, (log, mut rx)) = w.three(victim, successor, receiver);
    let log = last.finish(w, &mut rx, log);
    let expect = |tags: &[u32]| [&records(unread)[..], &records(tags), &[DIED, got(LAST), CLOSED]].concat();
    let with = done != Some(false) && log == expect(tags);
    let without = done != Some(true) && log == expect(&[]);
    assert!(with || without, "committed {done:?}: {log:?}");
}

fn records(tags: &[u32]) -> Vec<Event> {
    tags.iter().map(|tag| got(*tag)).collect()
}

fn send_all(tx: &mut Producer<'_>, tags: &[u32]) -> bool {
    tags.iter().all(|tag| try_send(tx, *tag).is_some())
}

fn batch_all(tx: &mut Producer<'_>, tags: &[u32]) -> bool {
    let len = tags.iter().map(|t| t >> 8).max().unwrap() as usize;
    let Ok(mut batch) = tx.try_claim_batch_exact(tags.len(), len) else { return false };
    for tag in tags {
        batch.push(*tag, &payload(*tag)).unwrap();
    }
    batch.commit() > 0
}

/// Is a record committed or not, whatever step of the send is the last one?
fn send_dies(w: &World, step: u32) {
    producer_dies(w, step, const { &[msg(8, 24), msg(9, 24)] }, &[], const { &[msg(1, 8)] }, send_all);
}

/// The same with padding before the record.
fn padded_send_dies(w: &World, step: u32) {
    producer_dies(w, step, const { &[msg(8, 24), msg(9, 8)] }, &[], const { &[msg(1, 16)] }, send_all);
}

/// The same for a claim that is written in two pieces, shortened, and comes after one that was given up.
fn claim_dies(w: &World, step: u32) {
    producer_dies(w, step, const { &[msg(8, 24), msg(9, 24)] }, &[], const { &[msg(1, 8)] }, |tx, tags| {
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
    });
}

/// Is a batch seen as a whole or not at all?
fn batch_dies(w: &World, step: u32) {
    let batch = const { &[msg(1, 8), msg(2, 8)] };
    producer_dies(w, step, const { &[msg(8, 24), msg(9, 24)] }, &[], batch, batch_all);
}

/// The same with padding inside the batch.
fn padded_batch_dies(w: &World, step: u32) {
    let batch = const { &[msg(1, 8), msg(2, 8)] };
    producer_dies(w, step, const { &[msg(8, 24), msg(9, 0)] }, &[], batch, batch_all);
}

/// Does a producer die harmlessly that looks for space, and a successor that finds the ring full go on?
fn full_send_dies(w: &World, step: u32) {
    producer_dies(w, step, &[], const { &[msg(1, 24), msg(2, 16)] }, const { &[msg(3, 8)] }, |tx, tags| {
        send_all(tx, tags) || send_all(tx, tags)
    });
}

/// Does a producer end exactly once, closed or dead, if it dies in the close?
fn close_dies(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_send(&mut tx, msg(1, 8)).is_some());
    let (first, second, third, last) = (w.clone(), w.clone(), w.clone(), Last::new(w.lease(), LAST));
    let victim = move || first.kill(0, step, 1, || tx.close());
    let successor = move || last.go(&second);
    let receiver = move || (third.glance(&mut rx, 3), rx);
    let (done, last, (log, mut rx)) = w.three(victim, successor, receiver);
    let log = last.finish(w, &mut rx, log);
    let expect = |end| [got(msg(1, 8)), end, got(LAST), CLOSED];
    assert!(log == expect(CLOSED) || done.is_none() && log == expect(DIED), "closed {done:?}: {log:?}");
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

/// A producer dies in `op`; a successor dies while it takes over or in its first `next`; a third one goes on. Sessions
/// follow each other in one thread; their races with the consumer are the point.
fn two_die(w: &World, steps: (u32, u32), before: &[u32], op: (&'static [u32], Op), next: (&'static [u32], Op)) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, before);
    let (a, b, leases) = (w.clone(), w.clone(), (w.lease(), w.lease()));
    let producers = move || {
        let first = a.kill(0, steps.0, 1, || op.1(&mut tx, op.0));
        let second = a.kill(1, steps.1, leases.0, || next.1(&mut a.succeed_producer(leases.0), next.0));
        (first, second, Last::new(leases.1, LAST).go(&a))
    };
    let looks = if w.long() { 3 } else { 2 };
    let receiver = move || (b.glance(&mut rx, looks), rx);
    let ((first, second, last), (log, mut rx)) = w.both(producers, receiver);
    let log = last.finish(w, &mut rx, log);
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
