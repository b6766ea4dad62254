//! Models of trains: records of one length and one tag that a batch puts behind one header. They come as wholes, in order,
//! and all or none; their space is the consumer's until the last of them is released.

use core::ops::ControlFlow;

use ring_core::model::once::yield_now;
use ring_core::spsc::{ClaimError, Consumer, Producer, ReadError};

use super::streams::dirty;
use super::world::{check, member, msg, payload, recv, recv_wait, send, sent_with, try_send};
use super::{Body, Spsc, World, model};
use crate::{Bound, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("train_is_all_or_nothing", Bound::ALL, Body::Plain(train_is_all_or_nothing)),
    model("train_read_at_once", Bound::ALL, Body::Plain(train_read_at_once)),
    model("train_in_place", Bound::ALL, Body::Plain(train_in_place)),
    model("train_in_parts", Bound::ALL, Body::Plain(train_in_parts)),
    model("train_gives_no_space_back", Bound::ALL, Body::Plain(train_gives_no_space_back)),
    model("padded_train", Bound::ALL, Body::Plain(padded_train)),
    model("padded_train_in_parts", Bound::ALL, Body::Plain(padded_train_in_parts)),
    model("train_behind_a_train", Bound::ALL, Body::Plain(train_behind_a_train)),
    model("trains_in_parts", Bound::ALL, Body::Plain(trains_in_parts)),
    model("train_between_records", Bound::ALL, Body::Plain(train_between_records)).capacity(128),
    model("lazy_train", Bound::ALL, Body::Plain(lazy_train)).release_every(16),
    model("lazy_train_is_published", Bound::ALL, Body::Plain(lazy_train_is_published)).release_every(16),
    model("lazy_train_is_held_back", Bound::ALL, Body::Plain(lazy_train_is_held_back)).capacity(128).release_every(32),
];

/// A train: all that half of a ring of 64 bytes holds.
pub(super) const TRAIN: [u32; 3] = [member(1, 0, 8), member(1, 1, 8), member(1, 2, 8)];

/// Another one.
const NEXT: [u32; 2] = [member(2, 0, 8), member(2, 1, 8)];

/// Sends `tags` as one train by one commit; false where there is no room for it.
pub(super) fn try_train(tx: &mut Producer<'_>, tags: &[u32]) -> bool {
    let len = tags[0] >> 8;
    let Ok(mut batch) = tx.try_claim_batch_exact(tags.len(), len as usize) else { return false };
    let push = |tag: &u32| batch.push(sent_with(*tag), &payload(*tag)).unwrap().get();
    let at: Vec<u64> = tags.iter().map(push).collect();
    let step = u64::from(len).next_multiple_of(8);
    assert!(at.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(step)), "no train: {at:?}");
    batch.commit() == tags.len()
}

fn train(tx: &mut Producer<'_>, tags: &[u32]) {
    assert!(try_train(tx, tags), "there is room");
}

fn is_empty(rx: &mut Consumer<'_>) -> bool {
    matches!(rx.try_read(), Err(ReadError::Empty))
}

/// Reads message `tag`, which is there, in place; returns its position.
fn read(rx: &mut Consumer<'_>, tag: u32) -> u64 {
    let (record, mut buf) = (rx.try_read().expect("a record is there"), [0; 32]);
    let len = record.copy_to(&mut buf);
    assert_eq!((check(record.tag(), &buf[..len]), record.redelivered()), (tag, false));
    let position = record.position().get();
    record.release();
    position
}

/// Waits until something is there.
fn wait(rx: &mut Consumer<'_>) {
    while is_empty(rx) {
        yield_now();
    }
}

/// How a batch is read.
#[derive(Clone, Copy)]
enum By {
    Next,
    Each,
    /// In one go, which is broken off behind so many.
    EachUntil(usize),
}

/// Reads a batch of at most `max`, if there is any; what came.
fn read_batch(rx: &mut Consumer<'_>, max: usize, by: By) -> Vec<u32> {
    let mut batch = match rx.try_read_batch(max) {
        Ok(batch) => batch,
        Err(ReadError::Empty) => return vec![],
        Err(e) => panic!("{e}"),
    };
    let mut tags = vec![];
    match by {
        By::Next => {
            while let Some(record) = batch.next_record().unwrap() {
                let mut buf = [0; 32];
                let len = record.copy_to(&mut buf);
                assert!(!record.redelivered());
                tags.push(check(record.tag(), &buf[..len]));
            }
        }
        By::Each | By::EachUntil(_) => {
            let until = if let By::EachUntil(until) = by { until } else { max };
            let flow = batch.try_for_each(|record| {
                let mut buf = [0; 32];
                let len = record.copy_to(&mut buf);
                assert!(!record.redelivered());
                tags.push(check(record.tag(), &buf[..len]));
                if tags.len() < until { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            assert!(flow.is_ok());
        }
    }
    assert!(tags.len() <= max);
    assert_eq!(batch.release(), tags.len());
    tags
}

/// Does whoever sees the first record of a train see them all, one by one?
fn train_is_all_or_nothing(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, &[msg(8, 24), msg(9, 24)]);
    let sender = move || train(&mut tx, &TRAIN);
    let receiver = move || {
        recv_wait(&mut rx, TRAIN[0]);
        recv(&mut rx, TRAIN[1]);
        recv(&mut rx, TRAIN[2]);
        assert!(is_empty(&mut rx));
    };
    w.both(sender, receiver);
}

/// The same of one that is laid out, and read, in one go.
fn train_read_at_once(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, &[msg(8, 24), msg(9, 24)]);
    let sender = move || {
        let mut batch = tx.try_claim_batch_exact(3, 8).unwrap();
        assert_eq!(batch.push_each(sent_with(TRAIN[0]), TRAIN.iter().map(|tag| payload(*tag))), Ok(3));
        assert_eq!(batch.commit(), 3);
        // One header for all.
        assert_eq!(tx.tail().get(), 64 + 8 + 3 * 8);
    };
    let receiver = move || {
        wait(&mut rx);
        assert_eq!(read_batch(&mut rx, 4, By::Each), TRAIN);
        assert!(is_empty(&mut rx));
    };
    w.both(sender, receiver);
}

/// Is a record of a train the same again when it was kept, and the next one the next?
fn train_in_place(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, &[msg(8, 24), msg(9, 24)]);
    let sender = move || {
        train(&mut tx, &TRAIN[..2]);
        // What is behind the train is too short for it.
        send(&mut tx, msg(3, 24));
        send(&mut tx, msg(4, 8));
    };
    let receiver = move || {
        wait(&mut rx);
        rx.try_read().unwrap().keep();
        let first = read(&mut rx, TRAIN[0]);
        rx.try_read().unwrap().keep();
        assert_eq!(read(&mut rx, TRAIN[1]), first + 8);
        recv_wait(&mut rx, msg(3, 24));
        recv_wait(&mut rx, msg(4, 8));
    };
    w.both(sender, receiver);
}

/// Does a batch that ends inside a train leave the rest to the next one, and the space to all of them?
fn train_in_parts(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    train(&mut tx, &TRAIN);
    // It wants the room of the train.
    let sender = move || (try_send(&mut tx, msg(4, 24)).is_some() || try_send(&mut tx, msg(4, 24)).is_some(), tx);
    let receiver = move || {
        let mut seen = read_batch(&mut rx, 1, By::Next);
        seen.extend(read_batch(&mut rx, 3, By::EachUntil(1)));
        seen.extend(read_batch(&mut rx, 2, By::Each));
        (seen, rx)
    };
    let ((sent, mut tx), (mut seen, mut rx)) = w.both(sender, receiver);
    assert!(sent || try_send(&mut tx, msg(4, 24)).is_some(), "all of them were released");
    seen.extend(read_batch(&mut rx, 2, By::Next));
    assert_eq!(seen, [&TRAIN[..], &[msg(4, 24)]].concat());
}

/// Is there no room before the last record of a train is released, and then all of it?
fn train_gives_no_space_back(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    train(&mut tx, &TRAIN);
    recv(&mut rx, TRAIN[0]);
    // It ends the area, and the word behind it is the train's header.
    assert!(try_send(&mut tx, msg(4, 24)).is_none(), "room in a train that is not done");
    let sender = move || {
        send(&mut tx, msg(4, 24));
        send(&mut tx, msg(5, 24));
    };
    let receiver = move || {
        read(&mut rx, TRAIN[1]);
        recv(&mut rx, TRAIN[2]);
        recv_wait(&mut rx, msg(4, 24));
        recv_wait(&mut rx, msg(5, 24));
    };
    w.both(sender, receiver);
}

/// A train that is about to be sent from the beginning of the area, behind padding.
fn before_padding(w: &World) -> (Producer<'static>, Consumer<'static>) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, &[msg(7, 24), msg(8, 8), msg(9, 0)]);
    assert_eq!(tx.tail().get(), 56);
    (tx, rx)
}

/// Are padding and the train behind it one commit?
fn padded_train(w: &World) {
    let (mut tx, mut rx) = before_padding(w);
    let sender = move || {
        train(&mut tx, &NEXT);
        send(&mut tx, msg(3, 24));
    };
    let receiver = move || {
        recv_wait(&mut rx, NEXT[0]);
        assert_eq!(read(&mut rx, NEXT[1]), 64 + 8);
        recv_wait(&mut rx, msg(3, 24));
    };
    w.both(sender, receiver);
}

/// The same, read in place and by a batch.
fn padded_train_in_parts(w: &World) {
    let (mut tx, mut rx) = before_padding(w);
    let sender = move || {
        train(&mut tx, &TRAIN);
        send(&mut tx, msg(3, 24));
    };
    let receiver = move || {
        wait(&mut rx);
        assert_eq!(read(&mut rx, TRAIN[0]), 64);
        assert_eq!(read_batch(&mut rx, 1, By::Each), TRAIN[1..2]);
        recv(&mut rx, TRAIN[2]);
        recv_wait(&mut rx, msg(3, 24));
    };
    w.both(sender, receiver);
}

/// Does a train begin with its first record where the one before it has just been done?
fn train_behind_a_train(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    train(&mut tx, &TRAIN[..2]);
    let sender = move || train(&mut tx, &NEXT);
    let receiver = move || {
        read(&mut rx, TRAIN[0]);
        read(&mut rx, TRAIN[1]);
        wait(&mut rx);
        read(&mut rx, NEXT[0]);
        read(&mut rx, NEXT[1]);
        assert!(is_empty(&mut rx));
    };
    w.both(sender, receiver);
}

/// Does a batch go on from one train into another, and the next one from there?
fn trains_in_parts(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    train(&mut tx, &TRAIN[..2]);
    recv(&mut rx, TRAIN[0]);
    let sender = move || train(&mut tx, &NEXT);
    let receiver = move || {
        let mut seen = read_batch(&mut rx, 2, By::Each);
        seen.extend(read_batch(&mut rx, 2, By::Next));
        (seen, rx)
    };
    let ((), (mut seen, mut rx)) = w.both(sender, receiver);
    seen.extend(read_batch(&mut rx, 2, By::Next));
    seen.extend(read_batch(&mut rx, 2, By::Each));
    assert_eq!(seen, [&TRAIN[1..2], &NEXT[..]].concat());
}

/// Is a batch whole in which a train is between other records?
fn train_between_records(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let tags = [msg(3, 8), NEXT[0], NEXT[1], msg(4, 8)];
    let sender = move || {
        let mut batch = tx.try_claim_batch_exact(4, 8).unwrap();
        let at = tags.map(|tag| batch.push(sent_with(tag), &payload(tag)).unwrap().get());
        assert_eq!(at, [0, 16, 24, 40]);
        assert_eq!(batch.commit(), 4);
    };
    let receiver = move || {
        wait(&mut rx);
        let mut seen = read_batch(&mut rx, 2, By::Each);
        seen.extend(read_batch(&mut rx, 3, By::Each));
        assert_eq!(seen, tags);
        assert!(is_empty(&mut rx));
    };
    w.both(sender, receiver);
}

/// Is the room of a train given out that begins behind a head that is held back?
fn lazy_train(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_send(&mut tx, msg(3, 0)).is_some());
    train(&mut tx, &TRAIN);
    // What is behind them, from 40, is too short.
    let sender = move || _ = send(&mut tx, msg(4, 24));
    let receiver = move || {
        recv(&mut rx, msg(3, 0));
        recv(&mut rx, TRAIN[0]);
        read(&mut rx, TRAIN[1]);
        recv(&mut rx, TRAIN[2]);
        recv_wait(&mut rx, msg(4, 24));
    };
    w.both(sender, receiver);
}

/// Is the room before a train that was held back given out when the train is begun, and is what was not, not?
fn lazy_train_is_published(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_send(&mut tx, msg(3, 0)).is_some() && try_send(&mut tx, msg(4, 0)).is_some());
    train(&mut tx, &NEXT);
    let sender = move || (try_send(&mut tx, msg(5, 16)).is_some(), tx);
    let receiver = move || {
        recv(&mut rx, msg(3, 0));
        recv(&mut rx, msg(4, 0));
        recv(&mut rx, NEXT[0]);
        rx
    };
    let ((sent, mut tx), mut rx) = w.both(sender, receiver);
    assert!(sent || try_send(&mut tx, msg(5, 16)).is_some(), "there is room");
    assert!(try_send(&mut tx, msg(6, 0)).is_some(), "what is before the train");
    assert!(try_send(&mut tx, msg(6, 8)).is_none(), "room in a train that is not done");
    recv(&mut rx, NEXT[1]);
    recv(&mut rx, msg(5, 16));
    recv(&mut rx, msg(6, 0));
}

/// Is a head that is held back behind a train published before the producer would wait for it for ever?
fn lazy_train_is_held_back(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    train(&mut tx, &NEXT);
    let sender = move || {
        let mut batch = loop {
            // All of the ring but for one header, and a little more than the train leaves.
            match tx.try_claim_batch_exact(7, 8) {
                Ok(batch) => break batch,
                Err(ClaimError::Full) => yield_now(),
                Err(e) => panic!("{e}"),
            }
        };
        batch.push(msg(4, 8), &payload(msg(4, 8))).unwrap();
        batch.commit();
    };
    let receiver = move || {
        recv(&mut rx, NEXT[0]);
        recv(&mut rx, NEXT[1]);
        recv_wait(&mut rx, msg(4, 8));
    };
    w.both(sender, receiver);
}
