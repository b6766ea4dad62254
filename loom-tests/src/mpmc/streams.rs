//! Models in which nobody dies: what is sent comes, once, in order; full, empty, wrap, abort, batch, close.

use ring_core::mpmc::{ReadError, Repair};

use super::{Body, Mpmc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Mpmc>] = &[
    model("one_to_one", 3, Bound::ALL, Body::Plain(|w| one_to_one(w, 1, 2))),
    model("two_messages", 3, Bound::ALL, Body::Plain(|w| one_to_one(w, 2, 1))),
    model("two_messages_two_looks", 3, Bound::ALL, Body::Plain(|w| one_to_one(w, 2, 2))).early(),
    model("two_to_one", 4, Bound::preemptions(3), Body::Plain(two_to_one)).early(),
    model("one_to_two_once", 4, Bound::preemptions(3), Body::Plain(|w| one_to_two(w, 1, 1, 1))),
    model("receiver_comes_twice", 4, Bound::preemptions(3), Body::Plain(|w| one_to_two(w, 1, 2, 1))),
    model("reader_comes_twice", 4, Bound::preemptions(3), Body::Plain(|w| one_to_two(w, 1, 1, 2))),
    model("sender_comes_twice", 4, Bound::preemptions(3), Body::Plain(|w| one_to_two(w, 2, 1, 1))),
    model("freed_slot", 4, Bound::preemptions(3), Body::Plain(freed_slot)),
    model("two_to_two", 5, Bound::preemptions(1), Body::Plain(two_to_two)),
    model("wrap", 3, Bound::ALL, Body::Plain(|w| wrap(w, 1))),
    model("wrap_twice", 3, Bound::ALL, Body::Plain(|w| wrap(w, 2))),
    model("wrap_one_slot", 4, Bound::preemptions(3), Body::Plain(wrap_one_slot)).slots(1),
    model("full_one_slot", 4, Bound::preemptions(3), Body::Plain(full_one_slot)).slots(1),
    model("late_commit", 4, Bound::ALL, Body::Plain(late_commit)),
    model("one_slot_two_consumers", 4, Bound::preemptions(3), Body::Plain(one_slot_two_consumers)).slots(1),
    model("full", 3, Bound::ALL, Body::Plain(full)),
    model("empty", 3, Bound::ALL, Body::Plain(empty)),
    model("abort", 4, Bound::preemptions(3), Body::Plain(abort)),
    model("abort_one_slot", 4, Bound::preemptions(3), Body::Plain(abort_one_slot)).slots(1),
    model("batch", 4, Bound::preemptions(1), Body::Plain(batch)).short(LARGE),
    model("batch_in_the_way", 4, Bound::preemptions(3), Body::Plain(batch_in_the_way)),
    model("batch_given_up", 3, Bound::ALL, Body::Plain(batch_given_up)),
    model("batch_behind_a_gap", 3, Bound::ALL, Body::Plain(batch_behind_a_gap)),
    model("close_against_claims", 4, Bound::preemptions(3), Body::Plain(close_against_claims)),
    model("closed_is_after_all", 4, Bound::ALL, Body::Plain(closed_is_after_all)),
];

/// So many messages, and so many looks.
fn one_to_one(w: &World, messages: u64, looks: usize) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    w.two(
        move |w| {
            for n in 1..=messages {
                let _ = w.send(&mut p, n);
            }
        },
        |w| {
            for _ in 0..looks {
                let _ = w.recv(&mut rx);
            }
        },
    );
    assert!(w.seen().is_sorted());
    w.settle(&mut tx, &mut rx);
}

fn two_to_one(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, mut q) = (w.producer(), w.producer());
    w.three(
        move |w| {
            let _ = w.send(&mut p, 1);
        },
        move |w| {
            let _ = w.send(&mut q, 11);
        },
        |w| {
            let _ = w.recv(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// So many sends, receptions and reads in place, behind a message. The second time a consumer knows of the first.
fn one_to_two(w: &World, sends: u64, receptions: u64, reads: u64) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut other = w.consumer();
    let mut p = w.producer();
    w.send(&mut tx, 1).unwrap();
    w.three(
        move |w| {
            for n in 0..sends {
                let _ = w.send(&mut p, 2 + n);
            }
        },
        move |w| {
            for _ in 0..receptions {
                let _ = w.recv(&mut other);
            }
        },
        |w| {
            for _ in 0..reads {
                let _ = w.read(&mut rx);
            }
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A slot is freed, and claimed for the next lap, of which a consumer hears who knows it as it was before.
fn freed_slot(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, mut other) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.send(&mut tx, 2).unwrap();
    let record = other.try_read().unwrap();
    w.see(record.received(), 1);
    w.recv(&mut rx).unwrap();
    w.three(
        |_| record.release(),
        move |w| {
            let _ = w.send(&mut p, 3);
        },
        |w| {
            let _ = w.read(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

fn two_to_two(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut other = w.consumer();
    let (mut p, mut q) = (w.producer(), w.producer());
    w.four(
        move |w| {
            let _ = w.send(&mut p, 1);
        },
        move |w| {
            let _ = w.send(&mut q, 2);
        },
        move |w| {
            let _ = w.recv(&mut other);
        },
        |w| {
            let _ = w.recv(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A slot is written the third time, or one the second time and then the other the third time, while what is before is read.
fn wrap(w: &World, messages: u64) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    for n in 1..=4 - messages {
        w.send(&mut tx, n).unwrap();
        w.recv(&mut rx).unwrap();
    }
    w.send(&mut tx, 5).unwrap();
    w.two(
        move |w| {
            for n in 6..6 + messages {
                let _ = w.send(&mut p, n);
            }
        },
        |w| {
            for _ in 0..2 {
                let _ = w.read(&mut rx);
            }
        },
    );
    assert!(w.seen().is_sorted());
    w.settle(&mut tx, &mut rx);
}

/// A single slot: every position is the next lap.
fn wrap_one_slot(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, mut q) = (w.producer(), w.producer());
    w.three(
        move |w| {
            let _ = w.send(&mut p, 1);
        },
        move |w| {
            let _ = w.send(&mut q, 11);
        },
        |w| {
            let _ = w.recv(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// Two senders want the slot that a reader frees. Whoever comes late must not take old words for impossible ones.
fn full_one_slot(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    w.send(&mut tx, 1).unwrap();
    w.three(
        |w| {
            let _ = w.recv(&mut rx);
        },
        |w| {
            let _ = w.send(&mut p, 2);
        },
        |w| {
            let _ = w.send(&mut tx, 11);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A claim is committed and read at last, behind which the ring is full. Who then sees that the head has moved must not
/// take the slot's word from before the commit for damage.
fn late_commit(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    let claim = p.try_claim(8).unwrap();
    w.send(&mut tx, 2).unwrap();
    w.two(
        |w| {
            w.commit(claim, 1);
            w.recv(&mut rx).unwrap();
        },
        |w| {
            let _ = w.send(&mut tx, 3);
        },
    );
    w.settle(&mut tx, &mut rx);
}

fn one_slot_two_consumers(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, mut other) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.three(
        |w| {
            let _ = w.send(&mut p, 2);
        },
        |w| {
            let _ = w.recv(&mut other);
        },
        |w| {
            let _ = w.recv(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// Starts full: a sender gets in exactly as far as the reader has come.
fn full(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut other = w.consumer();
    w.send(&mut tx, 1).unwrap();
    w.send(&mut tx, 2).unwrap();
    w.two(
        move |w| {
            w.read(&mut other).unwrap();
        },
        |w| {
            let _ = w.send(&mut tx, 3);
            let _ = w.send(&mut tx, 4);
        },
    );
    // Told full, then found free: both must be true.
    assert_eq!(w.recv(&mut rx), Ok(2));
    w.settle(&mut tx, &mut rx);
}

/// What was told to be committed before cannot look empty.
fn empty(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    w.two(
        move |w| {
            let _ = w.send(&mut p, 1);
        },
        |w| {
            let got = (w.recv(&mut rx), w.recv(&mut rx));
            assert!(got.0 != Ok(1) || got.1 == Err(ReadError::Empty), "{got:?}");
        },
    );
    if w.seen().is_empty() {
        assert_eq!(w.recv(&mut rx), Ok(1));
    }
    w.settle(&mut tx, &mut rx);
}

fn abort(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, mut q) = (w.producer(), w.producer());
    w.three(
        move |_| {
            if let Ok(mut claim) = p.try_claim(8) {
                claim.write(&77u64.to_le_bytes());
                claim.abort();
            }
        },
        move |w| {
            let _ = w.send(&mut q, 11);
        },
        |w| {
            let _ = w.recv(&mut rx);
        },
    );
    assert!(!w.seen().contains(&77));
    w.settle(&mut tx, &mut rx);
}

/// What an aborted claim has written comes before what the next lap writes there.
fn abort_one_slot(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    w.three(
        |_| {
            if let Ok(mut claim) = p.try_claim(8) {
                claim.write(&77u64.to_le_bytes());
                claim.abort();
            }
        },
        |w| {
            let _ = w.recv(&mut rx);
        },
        |w| {
            let _ = w.send(&mut tx, 1);
        },
    );
    w.settle(&mut tx, &mut rx);
}

fn batch(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, mut other) = (w.producer(), w.consumer());
    w.three(
        move |w| {
            let _ = w.send_batch(&mut p, &[1, 2]);
        },
        move |w| {
            let _ = w.recv(&mut other);
        },
        |w| {
            let _ = w.read_batch(&mut rx, 2);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A batch that finds less room than it wants, beside a single message.
fn batch_in_the_way(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, mut q) = (w.producer(), w.producer());
    w.send(&mut tx, 21).unwrap();
    w.three(
        move |w| {
            let _ = w.send_batch(&mut p, &[1, 2]);
        },
        move |w| {
            let _ = w.send(&mut q, 11);
        },
        |w| {
            let _ = w.read_batch(&mut rx, 2);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A batch that is given up with a message in it.
fn batch_given_up(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    w.two(
        move |_| {
            if let Ok(mut batch) = p.try_claim_batch(2, 8) {
                let _ = batch.push(0, &[0; 8]);
            }
        },
        |w| {
            let _ = w.read_batch(&mut rx, 2);
        },
    );
    assert!(w.seen().is_empty());
    w.settle(&mut tx, &mut rx);
}

/// And another one behind the gap.
fn batch_behind_a_gap(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    drop(p.try_claim_batch(2, 8).unwrap());
    w.two(
        move |w| {
            let _ = w.send_batch(&mut p, &[1, 2]);
        },
        |w| {
            let _ = w.read_batch(&mut rx, 2);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// Who is told that the ring is closed has been given all that was committed.
fn close_against_claims(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, closer) = (w.producer(), w.lease());
    w.three(
        move |w| {
            let _ = w.send(&mut p, 1);
        },
        move |w| {
            let repair = w.ring.close(closer, w.verdict());
            assert_eq!(repair, Ok(Repair::Closed));
        },
        |w| {
            let _ = w.recv(&mut rx);
        },
    );
    assert_eq!(w.drain(&mut rx), ReadError::Closed);
    assert!(w.send(&mut tx, 9).is_err());
    w.settle(&mut tx, &mut rx);
}

/// Who is told that the ring is closed has everything before him that the others did before they released.
fn closed_is_after_all(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut other = w.consumer();
    w.send(&mut tx, 1).unwrap();
    tx.close();
    let work = std::rc::Rc::new(loom::cell::UnsafeCell::new(()));
    let result = std::rc::Rc::clone(&work);
    w.two(
        move |w| {
            if let Ok(record) = other.try_read() {
                w.see(record.received(), record.tag().into());
                work.with_mut(|_| ());
                record.release();
            }
        },
        |w| {
            if w.recv(&mut rx) == Err(ReadError::Closed) {
                result.with(|_| ());
            }
        },
    );
    w.settle(&mut tx, &mut rx);
}
