//! Models in which a consumer dies at every step of every operation, the producer goes on at the same time, and a
//! successor takes the seat; and those in which the successor dies, too. Nothing is lost; what a dead consumer had in
//! its hands and comes again is flagged.

use std::sync::{Arc, Mutex};

use ring_core::spsc::Consumer;

use super::world::{CLOSED, DIED, Event, Last, check, got, msg, try_send};
use super::{Body, Spsc, World, model};
use crate::{Bound, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("recv_dies", Bound::preemptions(3), Body::Crash(recv_dies)),
    model("read_dies", Bound::preemptions(3), Body::Crash(read_dies)),
    model("read_batch_dies", Bound::preemptions(3), Body::Crash(read_batch_dies)),
    model("lazy_recv_dies", Bound::preemptions(3), Body::Crash(lazy_recv_dies)).release_every(16),
    model("two_consumers_die", Bound::ALL, Body::TwoCrashes(two_consumers_die)),
    model("one_of_each_dies", Bound::ALL, Body::TwoCrashes(one_of_each_dies)),
];

/// The record of the last producer.
const LAST: u32 = msg(15, 8);

/// What the consumers that died had in their hands.
pub(super) type Hands = Arc<Mutex<Vec<u32>>>;

/// A consumer dies in `op`, which notes each tag it has been handed, while the producer sends; a successor goes on.
/// At most `again` records may come twice.
fn consumer_dies(w: &World, step: u32, again: usize, op: fn(&mut Consumer<'_>, &Hands)) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let early = [msg(1, 8), msg(2, 8), msg(3, 8)];
    for tag in early {
        assert!(try_send(&mut tx, tag).is_some());
    }
    let hands = Hands::default();
    let noted = Arc::clone(&hands);
    let (first, second, third, lease) = (w.clone(), w.clone(), w.clone(), w.lease());
    let victim = move || first.kill(0, step, 2, || op(&mut rx, &noted)).is_some();
    // This one needs space that has to be released first, by the dead one or its successor.
    let last = Last::seated(tx, msg(4, 16));
    let sender = move || last.go(&second);
    let successor = move || third.try_consumer(lease).map(|mut rx| (third.glance(&mut rx, 2), rx));
    let (_, last, sat) = w.three(victim, sender, successor);
    let (log, mut rx) = sat.unwrap_or_else(|| (vec![], w.succeed_consumer(lease)));
    let log = last.finish(w, &mut rx, log);
    let all = [early[0], early[1], early[2], msg(4, 16)];
    let hands = hands.lock().unwrap();
    assert!(all.starts_with(&hands), "{hands:?}");
    settle(&all, &hands, &log, again);
}

/// Whether a successor got rightly what a dead consumer left: everything from some point on, nothing between lost,
/// and each record that the dead one had in its hands flagged.
pub(super) fn settle(all: &[u32], hands: &[u32], log: &[Event], again: usize) {
    let Some((Event::End(_), records)) = log.split_last() else { panic!("no end: {log:?}") };
    let from = all.len().checked_sub(records.len()).unwrap_or_else(|| panic!("too much: {log:?}"));
    assert!(from <= hands.len(), "lost: {hands:?} then {log:?}");
    assert!(hands.len() - from <= again, "too often: {hands:?} then {log:?}");
    for (i, event) in records.iter().enumerate() {
        let Event::Got { tag, redelivered } = *event else { panic!("{log:?}") };
        assert_eq!(tag, all[from + i], "{log:?}");
        assert!(redelivered || from + i >= hands.len(), "unflagged: {hands:?} then {log:?}");
        assert!(!redelivered || from + i <= hands.len() + 1, "flagged for nothing: {hands:?} then {log:?}");
    }
}

pub(super) fn recv_one(rx: &mut Consumer<'_>, hands: &Hands) {
    let mut buf = [0; 32];
    let got = rx.try_recv_into(&mut buf).unwrap();
    hands.lock().unwrap().push(check(got.tag, &buf[..got.len]));
}

/// Copying out: is a record that the dead one returned never delivered again without a flag, and none lost?
fn recv_dies(w: &World, step: u32) {
    consumer_dies(w, step, 0, |rx, hands| {
        recv_one(rx, hands);
        recv_one(rx, hands);
    });
}

/// Reading in place: exactly the one in its hands may come again.
fn read_dies(w: &World, step: u32) {
    consumer_dies(w, step, 1, |rx, hands| {
        for _ in 0..2 {
            let mut buf = [0; 32];
            let record = rx.try_read().unwrap();
            hands.lock().unwrap().push(record.tag());
            let len = record.copy_to(&mut buf);
            check(record.tag(), &buf[..len]);
            record.release();
        }
    });
}

/// Reading a batch: the whole batch may come again.
fn read_batch_dies(w: &World, step: u32) {
    consumer_dies(w, step, 3, |rx, hands| {
        let mut batch = rx.try_read_batch(3).unwrap();
        while let Some(record) = batch.next_record().unwrap() {
            let mut buf = [0; 32];
            hands.lock().unwrap().push(record.tag());
            let len = record.copy_to(&mut buf);
            check(record.tag(), &buf[..len]);
        }
        batch.release();
    });
}

/// A lazily published head: what it holds back may come again.
fn lazy_recv_dies(w: &World, step: u32) {
    consumer_dies(w, step, 1, |rx, hands| {
        for _ in 0..3 {
            recv_one(rx, hands);
        }
    });
}

/// Is what the first of two dead consumers saw still flagged, after the second one has seen less?
fn two_consumers_die(w: &World, first: u32, second: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let all = [msg(1, 8), msg(2, 8), LAST];
    for tag in &all[..2] {
        assert!(try_send(&mut tx, *tag).is_some());
    }
    let hands = Hands::default();
    w.kill(0, first, 2, || {
        let mut batch = rx.try_read_batch(3).unwrap();
        while let Some(record) = batch.next_record().unwrap() {
            hands.lock().unwrap().push(record.tag());
        }
        batch.release();
    });
    let lease = w.lease();
    w.kill(1, second, lease, || {
        let mut rx = w.succeed_consumer(lease);
        for _ in 0..2 {
            // What the first one released is gone, and what it did not comes flagged.
            let Ok(record) = rx.try_read() else { break };
            let known = hands.lock().unwrap().contains(&record.tag());
            assert_eq!(record.redelivered(), known, "{:?}", hands.lock());
            if !known {
                hands.lock().unwrap().push(record.tag());
            }
            record.release();
        }
    });
    let mut rx = w.succeed_consumer(w.lease());
    let log = Last::seated(tx, LAST).finish(w, &mut rx, vec![]);
    settle(&all, &hands.lock().unwrap(), &log, 2);
}

/// Do both sides go on when a producer and a consumer die at the same time?
fn one_of_each_dies(w: &World, first: u32, second: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_send(&mut tx, msg(1, 16)).is_some());
    let (a, b, leases) = (w.clone(), w.clone(), (w.lease(), w.lease()));
    let hands = Hands::default();
    let noted = Arc::clone(&hands);
    let sender = move || a.kill(0, first, 1, || try_send(&mut tx, msg(2, 16)).is_some());
    let receiver = move || b.kill(1, second, 2, || recv_one(&mut rx, &noted));
    let (done, _) = w.both(sender, receiver);
    let mut rx = w.succeed_consumer(leases.1);
    let last = Last::new(leases.0, LAST);
    let log = w.glance(&mut rx, 2);
    let log = last.finish(w, &mut rx, log);
    let records: Vec<_> = log.iter().filter(|e| matches!(e, Event::Got { .. })).copied().collect();
    let hands = hands.lock().unwrap();
    let all: &[u32] = &[msg(1, 16), msg(2, 16), LAST];
    let without: &[u32] = &[msg(1, 16), LAST];
    let sent = if done == Some(true) || records.contains(&got(msg(2, 16))) { all } else { without };
    settle(sent, &hands, &[&records[..], &[CLOSED]].concat(), 0);
    // The death is told after what the dead one sent, unless the new consumer found nothing of it unread.
    let ends: Vec<_> = log.iter().filter(|e| matches!(e, Event::End(_))).copied().collect();
    assert!(ends == [DIED, CLOSED] || ends == [CLOSED] && records.len() == 1, "{log:?}");
}
