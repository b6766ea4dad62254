//! Models of rings with one producer or one consumer by creation.

use ring_core::mpmc::{Consumer, Producer, ReadError, Repair};

use super::{Body, Mpmc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Mpmc>] = &[
    model("single_each", 2, Bound::ALL, Body::Plain(single_each)).producers(1).consumers(1),
    model("single_each_in_batches", 2, Bound::ALL, Body::Plain(single_each_in_batches)).producers(1).consumers(1),
    model("single_producer", 3, Bound::ALL, Body::Plain(single_producer)).producers(1),
    model("single_consumer", 3, Bound::ALL, Body::Plain(single_consumer)).consumers(1),
    model("single_consumer_sends", 3, Bound::ALL, Body::Plain(single_consumer_sends)).consumers(1),
    model("single_producer_close", 3, Bound::ALL, Body::Plain(single_producer_close)).producers(1),
    model("single_producer_asked_to_close", 3, Bound::ALL, Body::Plain(single_producer_asked)).producers(1),
    model("single_producer_succession", 4, Bound::preemptions(1), Body::Plain(single_producer_succession))
        .producers(1)
        .short(LARGE),
    model("single_producer_closed_for", 4, Bound::preemptions(1), Body::Plain(single_producer_closed_for))
        .producers(1)
        .short(LARGE),
    model("single_producer_dies", 3, Bound::preemptions(1), Body::Crash(single_producer_dies))
        .producers(1)
        .short(LARGE),
    model("single_producers_batch_dies", 3, Bound::preemptions(1), Body::Crash(single_producers_batch_dies))
        .producers(1)
        .short(LARGE),
    model("single_consumer_dies", 4, Bound::preemptions(1), Body::Crash(single_consumer_dies))
        .consumers(1)
        .short(LARGE),
    model("single_consumers_batch_dies", 4, Bound::preemptions(1), Body::Crash(single_consumers_batch_dies))
        .consumers(1)
        .short(LARGE),
    model("single_consumer_dies_at_most_once", 4, Bound::preemptions(1), Body::Crash(single_consumer_dies))
        .at_most_once()
        .consumers(1)
        .short(LARGE),
];

/// One of each by creation: no read-modify-write at all.
fn single_each(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.two(
        move |w| {
            let _ = w.recv(&mut rx);
            let _ = w.read(&mut rx);
            rx.leave();
        },
        |w| {
            for n in 1..=3 {
                let _ = w.send(&mut tx, n);
            }
        },
    );
    assert!(w.seen().is_sorted());
    let mut rx = w.consumer();
    w.settle(&mut tx, &mut rx);
}

/// The same with a batch that finds room for one, or for both of its messages, behind another one.
fn single_each_in_batches(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.two(
        |w| {
            let _ = w.read_batch(&mut rx, 2);
            let _ = w.read_batch(&mut rx, 2);
        },
        |w| {
            let _ = w.send_batch(&mut tx, &[2, 3]);
            let _ = w.send(&mut tx, 4);
        },
    );
    assert!(w.seen().is_sorted());
    w.settle(&mut tx, &mut rx);
}

fn single_producer(w: &World) {
    let mut tx = w.producer();
    let (mut rx, mut other) = (w.consumer(), w.consumer());
    w.two(
        move |w| {
            let _ = w.recv(&mut other);
            let _ = w.recv(&mut other);
        },
        |w| {
            let _ = w.send(&mut tx, 1);
            drop(tx.try_claim(8));
            let _ = w.send(&mut tx, 2);
        },
    );
    w.settle(&mut tx, &mut rx);
}

fn single_consumer(w: &World) {
    let mut rx = w.consumer();
    let (mut tx, mut p) = (w.producer(), w.producer());
    w.two(
        move |w| {
            drop(p.try_claim(8));
            let _ = w.send(&mut p, 1);
        },
        |w| {
            let _ = w.recv(&mut rx);
            let _ = w.read_batch(&mut rx, 2);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// Beside the consumer's own thread, which sends, too.
fn single_consumer_sends(w: &World) {
    let mut rx = w.consumer();
    let (mut tx, mut p) = (w.producer(), w.producer());
    w.two(
        move |w| {
            let _ = w.send(&mut p, 1);
        },
        |w| {
            let _ = w.send(&mut tx, 11);
            let _ = w.read(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// Who is told that a single producer's ring is closed has been given all of it.
fn single_producer_close(w: &World) {
    let mut tx = w.producer();
    let (mut rx, mut other) = (w.consumer(), w.consumer());
    w.two(
        move |w| {
            for _ in 0..2 {
                if w.recv(&mut other) == Err(ReadError::Closed) {
                    assert_eq!(w.seen(), [1]);
                }
            }
        },
        |w| {
            w.send(&mut tx, 1).unwrap();
            tx.close();
        },
    );
    assert_eq!(w.drain(&mut rx), ReadError::Closed);
    w.settle(&mut tx, &mut rx);
}

/// Somebody else asks it to close.
fn single_producer_asked(w: &World) {
    let mut tx = w.producer();
    let (mut rx, mut other) = (w.consumer(), w.consumer());
    w.two(
        move |w| {
            let repair = w.ring.close(other.lease(), w.verdict());
            assert!(matches!(repair, Ok(Repair::Closed | Repair::Owned { .. })));
            let _ = w.recv(&mut other);
        },
        |w| {
            let _ = w.send(&mut tx, 1);
            let _ = w.send(&mut tx, 2);
        },
    );
    assert!(w.send(&mut tx, 3).is_err());
    assert_eq!(w.drain(&mut rx), ReadError::Closed);
    w.settle(&mut tx, &mut rx);
}

/// The producer sends and leaves, a successor sits down or finds that it is to close, a reader who wants the end closes
/// in its place.
fn single_producer_succession(w: &World) {
    let mut tx = w.producer();
    let (mut rx, mut other) = (w.consumer(), w.consumer());
    let late = w.lease();
    w.three(
        |w| {
            let _ = w.send(&mut tx, 1);
            tx.leave();
        },
        |w| {
            if let Ok(mut tx) = w.ring.join_producer(late, w.verdict()) {
                let _ = w.send(&mut tx, 2);
                tx.leave();
            }
        },
        |w| {
            let _ = w.ring.close(other.lease(), w.verdict());
            let _ = w.recv(&mut other);
            let _ = w.recv(&mut other);
        },
    );
    // Whatever was left open is settled now.
    let _ = w.ring.close(rx.lease(), w.verdict());
    assert_eq!(w.drain(&mut rx), ReadError::Closed);
    w.check_ledger();
}

/// The producer sends and leaves, somebody closes in its place, a reader waits for the end.
fn single_producer_closed_for(w: &World) {
    let mut tx = w.producer();
    let (mut rx, mut other) = (w.consumer(), w.consumer());
    let closer = w.lease();
    w.three(
        |w| {
            let _ = w.send(&mut tx, 1);
            tx.leave();
        },
        |w| {
            let _ = w.ring.close(closer, w.verdict());
        },
        |w| {
            let _ = w.recv(&mut other);
            let _ = w.recv(&mut other);
        },
    );
    let _ = w.ring.close(closer, w.verdict());
    assert_eq!(w.drain(&mut rx), ReadError::Closed);
    w.check_ledger();
}

/// The only producer dies in `op` while a consumer reads; a successor goes on.
fn only_producer_dies(w: &World, step: u32, op: impl FnOnce(&World, &mut Producer<'_>)) {
    let mut victim = w.producer();
    let (mut rx, lease) = (w.consumer(), w.lease());
    w.three(
        move |w| {
            w.kill(0, step, victim.lease(), || op(w, &mut victim));
        },
        |w| {
            let _ = w.recv(&mut rx);
            let _ = w.recv(&mut rx);
        },
        move |w| {
            if let Ok(mut tx) = w.ring.join_producer(lease, w.verdict()) {
                let _ = w.send(&mut tx, 11);
                tx.leave();
            }
        },
    );
    let mut tx = w.producer();
    w.settle(&mut tx, &mut rx);
}

fn single_producer_dies(w: &World, step: u32) {
    only_producer_dies(w, step, |w, tx| {
        let _ = w.send(tx, 1);
        let _ = w.send(tx, 2);
    });
}

fn single_producers_batch_dies(w: &World, step: u32) {
    only_producer_dies(w, step, |w, tx| {
        w.send_batch(tx, &[1, 2]);
    });
}

/// The only consumer dies in `op` while a producer sends; a successor goes on.
fn only_consumer_dies(w: &World, step: u32, op: impl FnOnce(&World, &mut Consumer<'_>)) {
    let mut victim = w.consumer();
    let (mut tx, lease) = (w.producer(), w.lease());
    w.send(&mut tx, 1).unwrap();
    w.send(&mut tx, 2).unwrap();
    w.three(
        move |w| {
            w.kill(0, step, victim.lease(), || op(w, &mut victim));
        },
        |w| {
            let _ = w.send(&mut tx, 11);
        },
        move |w| {
            if let Ok(mut rx) = w.ring.join_consumer(lease, w.verdict()) {
                let _ = w.read(&mut rx);
                rx.leave();
            }
        },
    );
    w.allow_drops();
    let mut rx = w.consumer();
    w.settle(&mut tx, &mut rx);
}

fn single_consumer_dies(w: &World, step: u32) {
    // In place: what a copying receive has released and not yet returned when it dies is gone with it.
    only_consumer_dies(w, step, |w, rx| {
        let _ = w.read(rx);
        let _ = w.read(rx);
    });
}

fn single_consumers_batch_dies(w: &World, step: u32) {
    only_consumer_dies(w, step, |w, rx| {
        let _ = w.read_batch(rx, 2);
    });
}
