//! Models of MPMC rings with two sleepers that both sleep beside a third thread, all at once: one more than is asked of each of the
//! questions in `two.rs`. Too large for three preemptions.

use super::cancel::{interrupt, request};
use super::mpmc::{look, receive, send};
use super::{Way, wait_by};
use crate::mpmc::{Body, Mpmc, World, model};
use crate::{Bound, Model};

/// The models of this file.
pub static MODELS: &[Model<Mpmc>] = &[
    beside("commits_out_of_order_beside_both", 4, commits_out_of_order),
    beside("releases_out_of_order_beside_both", 4, releases_out_of_order),
    beside("put_backs_beside_both", 4, put_backs),
    beside("put_back_and_commit_beside_both", 4, put_back_and_commit),
    beside("cancel_one_beside_both", 3, cancel_one_of_two),
];

const fn beside(name: &'static str, entries: u32, body: fn(&World)) -> Model<Mpmc> {
    model(name, entries, Bound::preemptions(1), Body::Plain(body)).waking(false).larger()
}

/// A wake-up says nothing about which slot it was for.
fn commits_out_of_order(w: &World) {
    let (mut tx, mut rx, mut other, mut second) = (w.producer(), w.consumer(), w.consumer(), w.producer());
    let (zero, one) = (tx.try_claim(8).unwrap(), second.try_claim(8).unwrap());
    w.three(
        |w| {
            w.commit(one, 2);
            w.commit(zero, 1);
        },
        |w| assert!(receive(w, &mut rx).is_some()),
        |w| assert!(receive(w, &mut other).is_some()),
    );
    w.settle(&mut tx, &mut rx);
}

fn releases_out_of_order(w: &World) {
    let (mut tx, mut rx, mut other, mut second) = (w.producer(), w.consumer(), w.consumer(), w.producer());
    assert_eq!(w.send_batch(&mut tx, &[1, 2]), 2);
    let (zero, one) = (rx.try_read().unwrap(), other.try_read().unwrap());
    w.see(zero.received(), 1);
    w.see(one.received(), 2);
    w.three(
        |_| {
            one.release();
            zero.release();
        },
        |w| assert!(send(w, &mut tx, 3)),
        |w| assert!(send(w, &mut second, 4)),
    );
    w.settle(&mut tx, &mut rx);
}

/// Whose wake-up finds the hint taken is woken once more by who took it.
fn put_backs(w: &World) {
    let (mut tx, mut rx, mut other, mut holder) = (w.producer(), w.consumer(), w.consumer(), w.consumer());
    assert_eq!(w.send_batch(&mut tx, &[1, 2]), 2);
    let batch = holder.try_read_batch(2).unwrap();
    w.three(
        |_| batch.keep(),
        |w| assert!(receive(w, &mut rx).is_some()),
        |w| assert!(receive(w, &mut other).is_some()),
    );
    w.settle(&mut tx, &mut rx);
}

/// One is woken for a message that comes back, and may take the one that is new.
fn put_back_and_commit(w: &World) {
    let (mut tx, mut rx, mut other, mut holder) = (w.producer(), w.consumer(), w.consumer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    let record = holder.try_read().unwrap();
    w.see(record.received(), 1);
    w.three(
        |w| {
            record.keep();
            w.send(&mut tx, 2).unwrap();
        },
        |w| assert!(receive(w, &mut rx).is_some()),
        |w| assert!(receive(w, &mut other).is_some()),
    );
    w.settle(&mut tx, &mut rx);
}

/// The wake-up may go to the one who is cancelled.
fn cancel_one_of_two(w: &World) {
    let (mut tx, mut rx, mut other) = (w.producer(), w.consumer(), w.consumer());
    let interrupt = interrupt(&rx);
    w.three(
        |w| {
            w.send(&mut tx, 1).unwrap();
            request(&interrupt);
        },
        |w| {
            // What it gets is another one's loss, who is told then.
            if wait_by(Way::Sound, &mut rx, Some(&interrupt), |rx| look(w, rx)).is_some() {
                w.ring.close(9, w.verdict()).unwrap();
            }
        },
        |w| {
            let _ = receive(w, &mut other);
        },
    );
    w.settle(&mut tx, &mut rx);
}
