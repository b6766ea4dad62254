//! Models of messages that go back to the ring, and of the hint that tells of them.

use ring_core::Position;
use ring_core::mpmc::{Blocked, ReadError, Repair};

use super::{Body, Mpmc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Mpmc>] = &[
    model("keep", 4, Bound::preemptions(3), Body::Plain(keep)),
    model("hint", 4, Bound::ALL, Body::Plain(hint)),
    model("hint_of_a_newer_message", 4, Bound::ALL, Body::Plain(hint_of_a_newer_message)),
    model("hint_for_two", 4, Bound::preemptions(2), Body::Plain(hint_for_two)).short(LARGE),
    model("hint_by_a_repairer", 5, Bound::ALL, Body::Plain(hint_by_a_repairer)),
    model("keep_and_close", 4, Bound::preemptions(3), Body::Plain(keep_and_close)),
    model("keep_and_redeliver", 4, Bound::preemptions(3), Body::Plain(keep_and_redeliver)),
];

/// One reader puts a message back, the other gets it, while a sender wants the slot.
fn keep(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, mut other) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.three(
        move |w| {
            if let Ok(record) = other.try_read() {
                w.see(record.received(), record.tag().into());
                record.keep();
            }
        },
        move |w| {
            let _ = w.send(&mut p, 2);
        },
        |w| {
            let _ = w.recv(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// Who sets the hint has put the message back: whoever takes it finds the message, so that it never needs a second
/// look without one.
fn hint(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut other = w.consumer();
    w.send(&mut tx, 1).unwrap();
    let record = other.try_read().unwrap();
    w.two(
        |_| record.keep(),
        |w| {
            let _ = w.recv(&mut rx);
            let _ = w.recv(&mut rx);
        },
    );
    assert!(!w.seen().is_empty() || w.recv(&mut rx) == Ok(1), "the hint is lost");
    w.settle(&mut tx, &mut rx);
}

/// The message was not even sent when a consumer began to look. Should he take its hint, he must find it all the same.
fn hint_of_a_newer_message(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut other = w.consumer();
    w.two(
        |w| {
            w.send(&mut tx, 1).unwrap();
            if let Ok(record) = other.try_read() {
                record.keep();
            }
        },
        |w| {
            let _ = w.recv(&mut rx);
        },
    );
    assert!(!w.seen().is_empty() || w.recv(&mut rx) == Ok(1), "the hint is lost");
    w.settle(&mut tx, &mut rx);
}

/// Two messages go back. Whoever finds the first passes the hint on.
fn hint_for_two(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut other = w.consumer();
    let mut third = w.consumer();
    w.send(&mut tx, 1).unwrap();
    w.send(&mut tx, 2).unwrap();
    let batch = other.try_read_batch(2).unwrap();
    w.three(
        |_| batch.keep(),
        |w| {
            let _ = w.recv(&mut rx);
        },
        |w| {
            let _ = w.recv(&mut third);
        },
    );
    while w.seen().len() < 2 {
        w.recv(&mut rx).expect("the hint is lost");
    }
    w.settle(&mut tx, &mut rx);
}

/// The same when a repairer takes the message out of dead hands.
fn hint_by_a_repairer(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.dead_reader();
    let repair = std::cell::Cell::new(Repair::Moved);
    w.two(
        |w| repair.set(w.repair_by_tool(Blocked::Read(Position::new(0)))),
        |w| {
            let _ = w.recv(&mut rx);
            let _ = w.recv(&mut rx);
        },
    );
    let last = if w.seen().len() > 1 { Ok(1) } else { w.recv(&mut rx) };
    assert_eq!(last, Ok(1), "the hint is lost: {repair:?}, {:?}", w.ring);
    w.settle(&mut tx, &mut rx);
}

/// A message goes back while others wait for the end.
fn keep_and_close(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut other = w.consumer();
    let mut p = w.producer();
    w.send(&mut tx, 1).unwrap();
    w.three(
        |_| p.close(),
        |w| {
            if let Ok(record) = other.try_read() {
                w.see(record.received(), record.tag().into());
                record.keep();
            }
        },
        |w| {
            if w.recv(&mut rx) == Err(ReadError::Closed) {
                assert!(w.seen().contains(&1), "closed before the message came");
            }
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A message goes back and is found without a hint.
fn keep_and_redeliver(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut other = w.consumer();
    let mut p = w.producer();
    w.three(
        |w| w.send(&mut p, 1).unwrap(),
        |w| {
            if let Ok(record) = other.try_read() {
                w.see(record.received(), record.tag().into());
                record.keep();
            }
        },
        |w| {
            let _ = w.redeliver(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}
