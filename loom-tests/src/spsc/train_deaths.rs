//! Models in which somebody dies in a train: a producer at every step of sending one, or of sending behind one that is half
//! taken; a consumer at every step of taking one. Who comes goes on in the middle of it: nothing lost, nothing that was
//! released again, and what a dead consumer had in its hands flagged.

use std::sync::Arc;

use ring_core::spsc::Consumer;

use super::consumer_crash::{Hands, recv_one, settle};
use super::crash::{self, Death, LAST, batch_all, send_all, two_die};
use super::trains::{TRAIN, try_train};
use super::world::{CLOSED, Event, Last, check, got, member, msg, recv};
use super::{Body, Spsc, World, model};
use crate::{Bound, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("train_dies_and_is_read", Bound::ALL, Body::Crash(|w, step| crash::dies_and_is_read(w, step, &SEND))),
    model(
        "train_dies_and_is_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| crash::dies_and_is_succeeded(w, step, &SEND)),
    ),
    model("train_died_long_ago", Bound::ALL, Body::Crash(|w, step| crash::died_long_ago(w, step, &SEND, 0))),
    model("train_died_and_was_half_taken", Bound::ALL, Body::Crash(|w, step| crash::died_long_ago(w, step, &SEND, 1))),
    model(
        "train_died_and_was_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| crash::died_and_was_succeeded(w, step, &SEND)),
    ),
    model(
        "padded_train_dies_and_is_read",
        Bound::ALL,
        Body::Crash(|w, step| crash::dies_and_is_read(w, step, &PADDED)),
    ),
    model(
        "padded_train_dies_and_is_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| crash::dies_and_is_succeeded(w, step, &PADDED)),
    ),
    model(
        "padded_train_died_and_was_half_taken",
        Bound::ALL,
        Body::Crash(|w, step| crash::died_long_ago(w, step, &PADDED, 1)),
    ),
    model("sender_behind_a_train_dies", Bound::ALL, Body::Crash(|w, step| crash::dies_and_is_read(w, step, &BEHIND))),
    model(
        "sender_behind_a_train_is_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| crash::dies_and_is_succeeded(w, step, &BEHIND)),
    ),
    model(
        "sender_behind_a_train_died",
        Bound::ALL,
        Body::Crash(|w, step| crash::died_and_was_succeeded(w, step, &BEHIND)),
    ),
    model("two_trains_die", Bound::ALL, Body::TwoCrashes(two_trains_die)).capacity(128),
    model("train_recv_dies", Bound::preemptions(3), Body::Crash(|w, step| taker_dies(w, step, 0, recv_all))),
    model("train_read_dies", Bound::preemptions(3), Body::Crash(|w, step| taker_dies(w, step, 1, read_all))),
    model("train_batch_dies", Bound::preemptions(3), Body::Crash(|w, step| taker_dies(w, step, 2, batches))),
    model(
        "train_recv_dies_and_is_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| taker_is_succeeded(w, step, 0, recv_all)),
    ),
    model(
        "train_read_dies_and_is_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| taker_is_succeeded(w, step, 1, read_all)),
    ),
    model(
        "train_batch_dies_and_is_succeeded",
        Bound::ALL,
        Body::Crash(|w, step| taker_is_succeeded(w, step, 2, batches)),
    ),
    model("train_recv_died", Bound::ALL, Body::Crash(|w, step| taker_died(w, step, 0, recv_all))),
    model("train_read_died", Bound::ALL, Body::Crash(|w, step| taker_died(w, step, 1, read_all))),
    model("train_batch_died", Bound::ALL, Body::Crash(|w, step| taker_died(w, step, 2, batches))),
    model("train_taker_closes", Bound::ALL, Body::Plain(train_taker_closes)),
    model("two_train_takers_die", Bound::ALL, Body::TwoCrashes(two_train_takers_die)),
    model("sender_and_taker_of_a_train_die", Bound::ALL, Body::TwoCrashes(sender_and_taker_die)),
    model("lazy_train_recv_dies", Bound::ALL, Body::Crash(|w, step| lazy_recv_dies(w, step, &HELD)))
        .capacity(128)
        .release_every(32),
    model("train_behind_held_dies", Bound::ALL, Body::Crash(|w, step| lazy_recv_dies(w, step, &BEHIND_HELD)))
        .release_every(16),
    model(
        "train_behind_a_held_train_dies",
        Bound::ALL,
        Body::Crash(|w, step| lazy_recv_dies(w, step, &HELD_AND_BEHIND)),
    )
    .capacity(256)
    .release_every(64),
];

/// A train behind the first.
const OTHER: [u32; 2] = [member(2, 0, 8), member(2, 1, 8)];

/// Is a train seen as a whole or not at all, and passed as a whole by the successor, whatever step is the last one?
const SEND: Death = Death::new(&[msg(8, 24), msg(9, 24)], &[], &TRAIN, try_train);

/// The same with padding before it.
const PADDED: Death = Death::new(&[msg(7, 24), msg(8, 8), msg(9, 0)], &[], &[TRAIN[0], TRAIN[1]], try_train);

/// Goes a successor of who sent behind a train past all of it, when the head is before it and half of it is taken?
const BEHIND: Death = Death {
    taken: &[TRAIN[0]],
    ..Death::new(&[msg(8, 24), msg(9, 24)], &[TRAIN[1], TRAIN[2]], &[msg(3, 0)], send_all)
};

/// A train with padding in front of it, then another one.
fn two_trains_die(w: &World, first: u32, second: u32) {
    let (one, two) = const { (&[TRAIN[0], TRAIN[1]], &OTHER) };
    let before = [msg(6, 24), msg(7, 24), msg(8, 24), msg(9, 16)];
    two_die(w, (first, second), &before, (one, batch_all), (two, batch_all));
}

/// A consumer that takes a train: it notes what it has been handed.
type Taker = fn(&mut Consumer<'_>, &Hands);

/// Copying out: is none that was returned delivered again, flagged or not, and none lost?
fn recv_all(rx: &mut Consumer<'_>, hands: &Hands) {
    TRAIN.iter().for_each(|_| recv_one(rx, hands));
}

/// Reading in place: exactly the one in its hands may come again.
fn read_all(rx: &mut Consumer<'_>, hands: &Hands) {
    for tag in TRAIN {
        let (record, mut buf) = (rx.try_read().unwrap(), [0; 8]);
        hands.lock().unwrap().push(tag);
        assert_eq!(record.copy_to(&mut buf), 8);
        assert_eq!(check(record.tag(), &buf), tag);
        record.release();
    }
}

/// Reading batches, of which the first ends inside the train: what of it was not released may come again, and only that.
fn batches(rx: &mut Consumer<'_>, hands: &Hands) {
    let mut tags = TRAIN.iter();
    for _ in 0..2 {
        let mut batch = rx.try_read_batch(2).unwrap();
        while let Some(record) = batch.next_record().unwrap() {
            let (tag, mut buf) = (*tags.next().unwrap(), [0; 8]);
            hands.lock().unwrap().push(tag);
            assert_eq!(record.copy_to(&mut buf), 8);
            assert_eq!(check(record.tag(), &buf), tag);
        }
        batch.release();
    }
}

/// What needs space that a train has to give back first; all of it.
const BEHIND_IT: u32 = msg(4, 24);

fn settled(hands: &Hands, log: &[Event], again: usize) {
    let hands = hands.lock().unwrap();
    assert!(TRAIN.starts_with(&hands), "{hands:?}");
    settle(&[TRAIN[0], TRAIN[1], TRAIN[2], BEHIND_IT], &hands, log, again);
}

/// A consumer dies in a train, while the producer sends and a successor sits down and goes on.
fn taker_dies(w: &World, step: u32, again: usize, take: Taker) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_train(&mut tx, &TRAIN));
    let (hands, lease) = (Hands::default(), w.lease());
    let (noted, first, second, third) = (Arc::clone(&hands), w.clone(), w.clone(), w.clone());
    let victim = move || first.kill(0, step, 2, || take(&mut rx, &noted)).is_some();
    let last = Last::seated(tx, BEHIND_IT);
    let sender = move || last.go(&second);
    let successor = move || third.try_consumer(lease).map(|mut rx| (third.glance(&mut rx, 2), rx));
    let (_, last, sat) = w.three(victim, sender, successor);
    let (log, mut rx) = sat.unwrap_or_else(|| (vec![], w.succeed_consumer(lease)));
    settled(&hands, &last.finish(w, &mut rx, log), again);
}

/// The same before anything is sent: is what the dead one has stored seen when nothing but the verdict orders it?
fn taker_is_succeeded(w: &World, step: u32, again: usize, take: Taker) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_train(&mut tx, &TRAIN));
    let (hands, lease) = (Hands::default(), w.lease());
    let (noted, first, second) = (Arc::clone(&hands), w.clone(), w.clone());
    let victim = move || first.kill(0, step, 2, || take(&mut rx, &noted)).is_some();
    let successor = move || second.try_consumer(lease).map(|mut rx| (second.glance(&mut rx, 3), rx));
    let (_, sat) = w.both(victim, successor);
    let (log, mut rx) = sat.unwrap_or_else(|| (vec![], w.succeed_consumer(lease)));
    settled(&hands, &Last::seated(tx, BEHIND_IT).finish(w, &mut rx, log), again);
}

/// The same when it has died: is there space only when the successor is through?
fn taker_died(w: &World, step: u32, again: usize, take: Taker) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_train(&mut tx, &TRAIN));
    let (hands, lease) = (Hands::default(), w.lease());
    w.kill(0, step, 2, || take(&mut rx, &hands));
    let (last, first, second) = (Last::seated(tx, BEHIND_IT), w.clone(), w.clone());
    let successor = move || {
        let mut rx = second.succeed_consumer(lease);
        (second.glance(&mut rx, 4), rx)
    };
    let (last, (log, mut rx)) = w.both(move || last.go(&first), successor);
    settled(&hands, &last.finish(w, &mut rx, log), again);
}

/// A consumer that closes in a train: does the next one go on there, without a flag?
fn train_taker_closes(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_train(&mut tx, &TRAIN));
    let (first, second, lease) = (w.clone(), w.clone(), w.lease());
    let taker = move || {
        recv(&mut rx, TRAIN[0]);
        rx.close();
        first.bury(2);
    };
    let successor = move || second.try_consumer(lease).map(|mut rx| (second.glance(&mut rx, 3), rx));
    let ((), sat) = w.both(taker, successor);
    let (log, mut rx) = sat.unwrap_or_else(|| (vec![], w.succeed_consumer(lease)));
    let log = Last::seated(tx, BEHIND_IT).finish(w, &mut rx, log);
    assert_eq!(log, [got(TRAIN[1]), got(TRAIN[2]), got(BEHIND_IT), CLOSED]);
}

/// Does what the second of two dead consumers took of a train stay taken, and what the first saw flagged?
fn two_train_takers_die(w: &World, first: u32, second: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_train(&mut tx, &TRAIN));
    let hands = Hands::default();
    w.kill(0, first, 2, || {
        recv_one(&mut rx, &hands);
        let mut batch = rx.try_read_batch(2).unwrap();
        for tag in &TRAIN[1..] {
            assert!(batch.next_record().unwrap().is_some());
            hands.lock().unwrap().push(*tag);
        }
        batch.keep();
    });
    let lease = w.lease();
    w.kill(1, second, lease, || {
        let mut rx = w.succeed_consumer(lease);
        for _ in 0..2 {
            let (record, mut buf) = (rx.try_read().unwrap(), [0; 8]);
            record.copy_to(&mut buf);
            let tag = check(record.tag(), &buf);
            let known = hands.lock().unwrap().contains(&tag);
            assert_eq!(record.redelivered(), known, "{hands:?}");
            if !known {
                hands.lock().unwrap().push(tag);
            }
            record.release();
        }
    });
    let mut rx = w.succeed_consumer(w.lease());
    settled(&hands, &Last::seated(tx, BEHIND_IT).finish(w, &mut rx, vec![]), 2);
}

/// Do both sides go on when a producer dies in sending behind a train, and a consumer in taking it, at the same time?
fn sender_and_taker_die(w: &World, first: u32, second: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_train(&mut tx, &TRAIN[..2]));
    let (a, b, leases) = (w.clone(), w.clone(), (w.lease(), w.lease()));
    let (hands, noted, sent) = (Hands::default(), Hands::default(), OTHER);
    let taken = Arc::clone(&hands);
    let sender = move || a.kill(0, first, 1, || try_train(&mut tx, &sent));
    let receiver = move || {
        b.kill(1, second, 2, || {
            recv_one(&mut rx, &taken);
            noted.lock().unwrap().push(rx.try_read().unwrap().tag());
            recv_one(&mut rx, &taken);
        })
    };
    let (done, _) = w.both(sender, receiver);
    let mut rx = w.succeed_consumer(leases.1);
    let log = w.glance(&mut rx, 1);
    let log = Last::new(leases.0, LAST).finish(w, &mut rx, log);
    let came: Vec<_> = log.iter().filter_map(tag_of).collect();
    let with = [&TRAIN[..2], &sent, &[LAST]].concat();
    let without = [&TRAIN[..2], &[LAST]].concat();
    let all = if came.contains(&sent[0]) { with } else { without };
    assert!(done != Some(true) || came.contains(&sent[0]), "lost: {log:?}");
    let hands = hands.lock().unwrap();
    assert_eq!([&hands[..], &came].concat(), all, "{hands:?} then {log:?}");
}

fn tag_of(event: &Event) -> Option<u32> {
    if let Event::Got { tag, .. } = event { Some(*tag) } else { None }
}

/// A train behind which the head is held back, and records with which it is published.
const HELD: [&[u32]; 4] = [&[TRAIN[0], TRAIN[1]], &[msg(3, 0)], &[msg(5, 0)], &[BEHIND_IT]];

/// A head that is held back before a train.
const BEHIND_HELD: [&[u32]; 4] = [&[msg(3, 0)], &[TRAIN[0], TRAIN[1]], &[msg(5, 0)], &[BEHIND_IT]];

/// A head that is held back before a train in which another one comes, so that a successor finds `within` far beyond it.
const HELD_AND_BEHIND: [&[u32]; 4] = [&[msg(3, 0)], &[OTHER[0], OTHER[1]], &[TRAIN[0], TRAIN[1]], &[BEHIND_IT]];

/// A consumer dies that holds its head back: what that holds back may come again, flagged; but nothing of a train that was
/// only half taken.
fn lazy_recv_dies(w: &World, step: u32, parts: &[&[u32]; 4]) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let [sent @ .., _] = parts;
    assert!(sent.iter().all(|part| batch_all(&mut tx, part)));
    let (all, count) = (parts.concat(), sent.concat().len());
    let (hands, lease) = (Hands::default(), w.lease());
    let (noted, first, second) = (Arc::clone(&hands), w.clone(), w.clone());
    let victim = move || first.kill(0, step, 2, || (0..count).for_each(|_| recv_one(&mut rx, &noted))).is_some();
    let successor = move || second.try_consumer(lease).map(|mut rx| (second.glance(&mut rx, count), rx));
    let (_, sat) = w.both(victim, successor);
    let (log, mut rx) = sat.unwrap_or_else(|| (vec![], w.succeed_consumer(lease)));
    let log = Last::seated(tx, BEHIND_IT).finish(w, &mut rx, log);
    let hands = hands.lock().unwrap();
    assert!(all.starts_with(&hands), "{hands:?}");
    let came: Vec<_> = log.iter().filter_map(tag_of).collect();
    let at = |tag: &u32| all.iter().position(|known| known == tag).expect("it was sent");
    assert!(came.windows(2).all(|pair| at(&pair[0]) < at(&pair[1])), "order: {hands:?} then {log:?}");
    assert!(all[hands.len()..].iter().all(|tag| came.contains(tag)), "lost: {hands:?} then {log:?}");
    for event in &log {
        let Event::Got { tag, redelivered } = *event else { continue };
        assert!(redelivered || !hands.contains(&tag), "unflagged: {hands:?} then {log:?}");
    }
    // Unless the successor has been in another train before.
    let again = hands.ends_with(&TRAIN[..1]) && came.contains(&TRAIN[0]) && !all.contains(&OTHER[0]);
    assert!(!again, "what was taken of the train came again: {hands:?} then {log:?}");
}
