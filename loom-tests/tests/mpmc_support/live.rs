//! Models in which nobody dies.

use ring_core::mpmc::{Blocked, ReadError, Repair};
use ring_core::{Position, Verdict};

use super::{Body, Model, World, model};

pub const MODELS: &[Model] = &[
    model("one_to_one", 3, (2, 3), Body::Plain(one_to_one)),
    model("two_to_one", 4, (1, 2), Body::Plain(two_to_one)),
    model("one_to_two", 4, (1, 2), Body::Plain(one_to_two)),
    model("two_to_two", 5, (1, 2), Body::Plain(two_to_two)),
    model("wrap", 3, (2, 3), Body::Plain(wrap)),
    model("wrap_one_slot", 4, (1, 2), Body::Plain(wrap_one_slot)).slots(1),
    model("full_one_slot", 4, (2, 3), Body::Plain(full_one_slot)).slots(1),
    model("one_slot_two_consumers", 4, (1, 2), Body::Plain(one_slot_two_consumers)).slots(1),
    model("full", 3, (3, 5), Body::Plain(full)),
    model("empty", 3, (3, 5), Body::Plain(empty)),
    model("abort", 4, (1, 2), Body::Plain(abort)),
    model("abort_one_slot", 4, (2, 3), Body::Plain(abort_one_slot)).slots(1),
    model("batch", 4, (1, 2), Body::Plain(batch)),
    model("batch_in_the_way", 4, (1, 2), Body::Plain(batch_in_the_way)),
    model("keep", 4, (1, 2), Body::Plain(keep)),
    model("hint", 4, (2, 3), Body::Plain(hint)),
    model("hint_of_a_newer_message", 4, (1, 2), Body::Plain(hint_of_a_newer_message)),
    model("hint_for_two", 4, (2, 3), Body::Plain(hint_for_two)),
    model("hint_by_a_repairer", 5, (2, 3), Body::Plain(hint_by_a_repairer)),
    model("keep_and_close", 4, (1, 2), Body::Plain(keep_and_close)),
    model("keep_and_redeliver", 4, (1, 2), Body::Plain(keep_and_redeliver)),
    model("close_against_claims", 4, (1, 2), Body::Plain(close_against_claims)),
    model("living_are_never_repaired", 5, (1, 2), Body::Plain(living_are_never_repaired)),
    model("same_producer_twice", 6, (2, 3), Body::Plain(same_producer_twice)),
    model("same_consumer_twice", 6, (2, 3), Body::Plain(same_consumer_twice)),
    model("losing_producer", 6, (1, 2), Body::Plain(losing_producer)),
    model("losing_consumer", 6, (1, 2), Body::Plain(losing_consumer)),
    model("single_each", 2, (3, 4), Body::Plain(single_each)).producers(1).consumers(1),
    model("single_producer", 3, (2, 3), Body::Plain(single_producer)).producers(1),
    model("single_consumer", 3, (2, 3), Body::Plain(single_consumer)).consumers(1),
    model("single_producer_close", 3, (2, 3), Body::Plain(single_producer_close)).producers(1),
    model("single_producer_asked_to_close", 3, (2, 3), Body::Plain(single_producer_asked)).producers(1),
    model("single_producer_succession", 4, (1, 2), Body::Plain(single_producer_succession)).producers(1),
    model("closed_is_after_all", 4, (2, 3), Body::Plain(closed_is_after_all)),
    model("single_producer_closed_for", 4, (1, 2), Body::Plain(single_producer_closed_for)).producers(1),
];

/// Three messages through two slots.
fn one_to_one(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    w.two(
        move |w| {
            for n in 1..=3 {
                let _ = w.send(&mut p, n);
            }
        },
        |w| {
            for _ in 0..4 {
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
            let _ = w.send(&mut p, 2);
        },
        move |w| {
            let _ = w.send(&mut q, 11);
        },
        |w| {
            for _ in 0..3 {
                let _ = w.recv(&mut rx);
            }
        },
    );
    assert!(w.seen().into_iter().filter(|n| *n < 10).is_sorted());
    w.settle(&mut tx, &mut rx);
}

fn one_to_two(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut other = w.consumer();
    let mut p = w.producer();
    w.send(&mut tx, 1).unwrap();
    w.three(
        move |w| {
            let _ = w.send(&mut p, 2);
            let _ = w.send(&mut p, 3);
        },
        move |w| {
            let _ = w.recv(&mut other);
            let _ = w.recv(&mut other);
        },
        |w| {
            let _ = w.read(&mut rx);
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

/// The slots are written the second and the third time.
fn wrap(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    w.send(&mut tx, 1).unwrap();
    w.send(&mut tx, 2).unwrap();
    w.recv(&mut rx).unwrap();
    w.two(
        move |w| {
            for n in 3..=5 {
                let _ = w.send(&mut p, n);
            }
        },
        |w| {
            for _ in 0..4 {
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
            let _ = w.send(&mut p, 2);
        },
        move |w| {
            let _ = w.send(&mut q, 11);
        },
        |w| {
            for _ in 0..3 {
                let _ = w.recv(&mut rx);
            }
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

fn one_slot_two_consumers(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, mut other) = (w.producer(), w.consumer());
    w.three(
        |w| {
            let _ = w.send(&mut p, 1);
            let _ = w.send(&mut p, 2);
        },
        |w| {
            let _ = w.recv(&mut other);
        },
        |w| {
            let _ = w.recv(&mut rx);
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
        move |w| {
            if let Ok(mut claim) = p.try_claim(8) {
                claim.write(&77u64.to_le_bytes());
                claim.abort();
            }
            let _ = w.claim_and_send(&mut p, 1);
        },
        move |w| {
            let _ = w.send(&mut q, 11);
        },
        |w| {
            let _ = w.recv(&mut rx);
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
            let _ = w.send(&mut p, 3);
        },
        move |w| {
            let _ = w.recv(&mut other);
        },
        |w| {
            let _ = w.read_batch(&mut rx, 2);
            let _ = w.read_batch(&mut rx, 2);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A batch that finds less room than it wants, beside a single message, a gap inside.
fn batch_in_the_way(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, mut q) = (w.producer(), w.producer());
    w.three(
        move |w| {
            if let Ok(mut batch) = p.try_claim_batch(2, 8) {
                let _ = batch.push(0, &[0; 8]);
            }
            let _ = w.send_batch(&mut p, &[1, 2]);
        },
        move |w| {
            let _ = w.send(&mut q, 11);
        },
        |w| {
            let _ = w.read_batch(&mut rx, 2);
            let _ = w.read_batch(&mut rx, 2);
        },
    );
    w.settle(&mut tx, &mut rx);
}

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
            let _ = w.send(&mut p, 3);
        },
        |w| {
            let _ = w.recv(&mut rx);
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
    w.three(
        |w| {
            w.send(&mut p, 1).unwrap();
            p.close();
        },
        |w| {
            if let Ok(record) = other.try_read() {
                w.see(record.received(), record.tag().into());
                record.keep();
            }
        },
        |w| {
            for _ in 0..2 {
                if w.recv(&mut rx) == Err(ReadError::Closed) {
                    assert!(w.seen().contains(&1), "closed before the message came");
                }
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

/// Who is told that the ring is closed has been given all that was committed.
fn close_against_claims(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, closer) = (w.producer(), w.lease());
    w.three(
        move |w| {
            let _ = w.send(&mut p, 1);
            let _ = w.send(&mut p, 2);
        },
        move |w| {
            let repair = w.ring.close(closer, w.verdict());
            assert_eq!(repair, Ok(Repair::Closed));
        },
        |w| {
            for _ in 0..3 {
                if w.recv(&mut rx) == Err(ReadError::Closed) {
                    return;
                }
            }
        },
    );
    assert_eq!(w.drain(&mut rx), ReadError::Closed);
    assert!(w.send(&mut tx, 9).is_err());
    w.settle(&mut tx, &mut rx);
}

/// A repairer tries all the time; nobody is dead, so nothing happens.
fn living_are_never_repaired(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, mut other) = (w.producer(), w.consumer());
    w.three(
        move |w| {
            let _ = w.send(&mut p, 1);
        },
        move |w| {
            let _ = w.recv(&mut other);
        },
        |w| {
            for blocked in [Blocked::Write(Position::new(0)), Blocked::Read(Position::new(0))] {
                let repair = w.repair_by_tool(blocked);
                assert!(matches!(repair, Repair::Moved | Repair::Owned { verdict: Verdict::Alive, .. }));
            }
        },
    );
    assert!(w.unflagged(0) <= 1);
    w.settle(&mut tx, &mut rx);
}

/// The same producer sends twice while a repairer wonders about its first position, which a dead one had announced,
/// too. Were the second announcement seen without the first message, a living claim would be settled.
fn same_producer_twice(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    w.dead_loser();
    w.two(
        move |w| {
            w.send(&mut p, 1).unwrap();
            w.send(&mut p, 2).unwrap();
        },
        |w| {
            let repair = w.repair_by_tool(Blocked::Write(Position::new(0)));
            assert!(matches!(repair, Repair::Moved | Repair::Owned { verdict: Verdict::Alive, .. }), "{repair:?}");
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// The same for a consumer.
fn same_consumer_twice(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut c = w.consumer();
    w.send(&mut tx, 1).unwrap();
    w.send(&mut tx, 2).unwrap();
    w.dead_reading_loser();
    w.two(
        move |w| {
            w.recv(&mut c).unwrap();
            w.recv(&mut c).unwrap();
        },
        |w| {
            let _ = w.repair_by_tool(Blocked::Read(Position::new(0)));
        },
    );
    assert_eq!(w.unflagged(0), 1);
    w.settle(&mut tx, &mut rx);
}

/// A producer that wins position 0, then announces another and gives up, beside a dead one that had announced 0.
fn losing_producer(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut p, mut q) = (w.producer(), w.producer());
    w.dead_loser();
    w.three(
        move |w| {
            let _ = w.send(&mut p, 1);
            let _ = w.send(&mut p, 2);
        },
        move |w| {
            let _ = w.send(&mut q, 11);
            let _ = w.send(&mut q, 12);
        },
        |w| {
            let _ = w.repair_by_tool(Blocked::Write(Position::new(0)));
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// The same for consumers.
fn losing_consumer(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut c, mut d) = (w.consumer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.send(&mut tx, 2).unwrap();
    w.dead_reading_loser();
    w.three(
        move |w| {
            let _ = w.recv(&mut c);
            let _ = w.recv(&mut c);
        },
        move |w| {
            let _ = w.recv(&mut d);
            let _ = w.recv(&mut d);
        },
        |w| {
            let _ = w.repair_by_tool(Blocked::Read(Position::new(0)));
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// One of each by creation: no read-modify-write at all.
fn single_each(w: &World) {
    let mut tx = w.producer();
    let mut rx = w.consumer();
    w.two(
        move |w| {
            let _ = w.recv(&mut rx);
            let _ = w.read(&mut rx);
            let _ = w.read_batch(&mut rx, 2);
            rx.leave();
        },
        |w| {
            let _ = w.send(&mut tx, 1);
            let _ = w.send_batch(&mut tx, &[2, 3]);
            let _ = w.send(&mut tx, 4);
        },
    );
    assert!(w.seen().is_sorted());
    let mut rx = w.consumer();
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
            let _ = w.send(&mut tx, 3);
        },
    );
    w.settle(&mut tx, &mut rx);
}

fn single_consumer(w: &World) {
    let mut rx = w.consumer();
    let (mut tx, mut p) = (w.producer(), w.producer());
    w.two(
        move |w| {
            let _ = w.send(&mut p, 1);
            drop(p.try_claim(8));
            let _ = w.send(&mut p, 2);
        },
        |w| {
            let _ = w.recv(&mut rx);
            let _ = w.read(&mut rx);
            let _ = w.send(&mut tx, 11);
            let _ = w.read_batch(&mut rx, 2);
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
            for _ in 0..3 {
                if w.recv(&mut other) == Err(ReadError::Closed) {
                    assert_eq!(w.seen(), [1, 2]);
                }
            }
        },
        |w| {
            w.send(&mut tx, 1).unwrap();
            w.send(&mut tx, 2).unwrap();
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
            for _ in 0..3 {
                if w.recv(&mut other) == Err(ReadError::Closed) {
                    return;
                }
            }
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
