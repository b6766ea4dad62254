//! Models in which participants die at every step of what they do, while others go on and repair, or only after.
//!
//! Two threads each, to the end: the dying beside a sender, and beside who reads and repairs. All at once stand in few.
//! The op of a victim runs under [`World::kill`]: its lease is free after the fatal step, or after the op.

use ring_core::Position;
use ring_core::mpmc::{Blocked, Consumer, Producer};

use super::{Body, Mpmc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Mpmc>] = &[
    model("send_dies", 5, Bound::preemptions(1), Body::Crash(send_dies)).short(LARGE),
    model("send_dies_beside_a_sender", 5, Bound::ALL, Body::Crash(|w, step| dies_beside_a_sender(w, step, 0, send))),
    model("send_dies_beside_a_receiver", 4, Bound::ALL, Body::Crash(send_dies_beside_a_receiver)),
    model("second_send_dies", 5, Bound::ALL, Body::Crash(|w, step| dies_beside_a_sender(w, step, 1, send))),
    model(
        "second_send_dies_and_is_repaired",
        5,
        Bound::ALL,
        Body::Crash(|w, step| dies_and_is_repaired(w, step, 1, send)),
    ),
    model("claim_dies", 5, Bound::ALL, Body::Crash(|w, step| dies_beside_a_sender(w, step, 0, claim))),
    model("claim_dies_and_is_repaired", 5, Bound::ALL, Body::Crash(|w, step| dies_and_is_repaired(w, step, 0, claim))),
    model("abort_dies", 5, Bound::ALL, Body::Crash(|w, step| dies_beside_a_sender(w, step, 0, abort))),
    model("abort_dies_and_is_repaired", 5, Bound::ALL, Body::Crash(|w, step| dies_and_is_repaired(w, step, 0, abort))),
    model("batch_dies", 5, Bound::ALL, Body::Crash(|w, step| dies_beside_a_sender(w, step, 0, batch))),
    model("batch_dies_and_is_repaired", 5, Bound::ALL, Body::Crash(|w, step| dies_and_is_repaired(w, step, 0, batch))),
    model("send_into_full_dies", 5, Bound::ALL, Body::Crash(send_into_full_dies)),
    model("recv_dies", 5, Bound::preemptions(1), Body::Crash(recv_dies)).short(LARGE),
    model("recv_dies_beside_a_receiver", 4, Bound::ALL, Body::Crash(recv_dies_beside_a_receiver)),
    model("second_recv_dies", 5, Bound::ALL, Body::Crash(|w, step| dies_and_leaves_a_slot(w, step, (2, 1), recv))),
    model(
        "second_recv_dies_and_is_repaired",
        5,
        Bound::ALL,
        Body::Crash(|w, step| reader_dies_and_is_repaired(w, step, (2, 1), recv)),
    ),
    model("read_dies", 5, Bound::ALL, Body::Crash(|w, step| dies_and_leaves_a_slot(w, step, (2, 0), read))),
    model(
        "read_dies_and_is_repaired",
        5,
        Bound::ALL,
        Body::Crash(|w, step| reader_dies_and_is_repaired(w, step, (2, 0), read)),
    ),
    model("read_batch_dies", 5, Bound::ALL, Body::Crash(|w, step| dies_and_leaves_a_slot(w, step, (2, 0), read_batch))),
    model(
        "read_batch_dies_and_is_repaired",
        5,
        Bound::ALL,
        Body::Crash(|w, step| reader_dies_and_is_repaired(w, step, (2, 0), read_batch)),
    ),
    model("keep_dies", 5, Bound::ALL, Body::Crash(|w, step| dies_and_leaves_a_slot(w, step, (1, 0), keep))),
    model(
        "keep_dies_and_is_repaired",
        5,
        Bound::ALL,
        Body::Crash(|w, step| reader_dies_and_is_repaired(w, step, (1, 0), keep)),
    ),
    model("skip_dies", 5, Bound::ALL, Body::Crash(skip_dies)),
    model("skip_dies_and_is_repaired", 5, Bound::ALL, Body::Crash(skip_dies_and_is_repaired)),
    model("skip_among_three_dies", 5, Bound::preemptions(3), Body::Crash(skip_among_three_dies)),
    model("skip_dies_beside_both", 5, Bound::ALL, Body::Crash(skip_dies_beside_both)),
    model("recv_dies_at_most_once", 5, Bound::preemptions(1), Body::Crash(recv_dies)).at_most_once().short(LARGE),
    model("two_senders_die", 5, Bound::ALL, Body::TwoCrashes(two_senders_die)),
    model("two_claims_die", 5, Bound::preemptions(3), Body::Crash(two_claims_die)),
    model("sender_and_receiver_die", 5, Bound::preemptions(1), Body::TwoCrashes(sender_and_receiver_die)).short(LARGE),
    model("sender_and_repairer_die", 5, Bound::preemptions(1), Body::TwoCrashes(sender_and_repairer_die)).short(LARGE),
];

fn at(p: u64) -> Position {
    Position::new(p)
}

/// What a producer dies in.
type Op = fn(&World, &mut Producer<'_>);

/// What a consumer dies in.
type ReadOp = fn(&World, &mut Consumer<'_>);

/// A producer that has sent `before` messages dies in `op`.
fn producer_dies(
    w: &World,
    step: u32,
    before: u64,
    op: Op,
    meanwhile: impl FnOnce(&World, &mut Producer<'_>, &mut Consumer<'_>),
) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.producer();
    for n in 0..before {
        w.send(&mut victim, 21 + n).unwrap();
    }
    w.two(
        move |w| {
            w.kill(0, step, victim.lease(), || op(w, &mut victim));
        },
        |w| meanwhile(w, &mut tx, &mut rx),
    );
    w.settle(&mut tx, &mut rx);
}

/// Meanwhile somebody else sends.
fn dies_beside_a_sender(w: &World, step: u32, before: u64, op: Op) {
    producer_dies(w, step, before, op, |w, tx, _| {
        let _ = w.send(tx, 11);
    });
}

/// Meanwhile somebody else reads and repairs: twice, so that he who has repaired goes on.
fn dies_and_is_repaired(w: &World, step: u32, before: u64, op: Op) {
    producer_dies(w, step, before, op, |w, _, rx| {
        w.recv_or_repair(rx);
        w.recv_or_repair(rx);
    });
}

/// A producer dies; at the same time another one sends, and a consumer reads and repairs.
fn send_dies(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.producer();
    w.three(
        move |w| {
            w.kill(0, step, victim.lease(), || w.send(&mut victim, 1));
        },
        |w| {
            let _ = w.send(&mut tx, 11);
        },
        |w| w.recv_or_repair(&mut rx),
    );
    w.settle(&mut tx, &mut rx);
}

fn send(w: &World, tx: &mut Producer<'_>) {
    let _ = w.send(tx, 1);
}

fn claim(w: &World, tx: &mut Producer<'_>) {
    let _ = w.claim_and_send(tx, 1);
}

fn abort(_: &World, tx: &mut Producer<'_>) {
    if let Ok(mut claim) = tx.try_claim(8) {
        claim.write(&[7; 8]);
        claim.abort();
    }
}

fn batch(w: &World, tx: &mut Producer<'_>) {
    w.send_batch(tx, &[1, 2]);
}

/// Without a repairer until it is over: meanwhile somebody else looks for a message.
fn send_dies_beside_a_receiver(w: &World, step: u32) {
    producer_dies(w, step, 0, send, |w, _, rx| {
        let _ = w.recv(rx);
        let _ = w.recv(rx);
    });
}

/// The ring is full at first, and the reader makes room.
fn send_into_full_dies(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.producer();
    w.send(&mut tx, 21).unwrap();
    w.send(&mut tx, 22).unwrap();
    w.two(
        move |w| {
            w.kill(0, step, victim.lease(), || w.send(&mut victim, 1));
        },
        |w| {
            w.recv_or_repair(&mut rx);
            w.recv_or_repair(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A consumer that has read `read` of `sent` messages dies in `op`.
fn consumer_dies(
    w: &World,
    step: u32,
    (sent, read): (u64, u64),
    op: ReadOp,
    meanwhile: impl FnOnce(&World, &mut Producer<'_>, &mut Consumer<'_>),
) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.consumer();
    for n in 0..sent {
        w.send(&mut tx, 1 + n).unwrap();
    }
    for _ in 0..read {
        w.recv(&mut victim).unwrap();
    }
    w.two(
        move |w| {
            w.kill(0, step, victim.lease(), || op(w, &mut victim));
        },
        |w| meanwhile(w, &mut tx, &mut rx),
    );
    w.settle(&mut tx, &mut rx);
}

/// Meanwhile somebody else wants its slot, and repairs.
fn dies_and_leaves_a_slot(w: &World, step: u32, messages: (u64, u64), op: ReadOp) {
    consumer_dies(w, step, messages, op, |w, tx, _| w.send_or_repair(tx, 11));
}

/// Meanwhile somebody else reads and repairs.
fn reader_dies_and_is_repaired(w: &World, step: u32, messages: (u64, u64), op: ReadOp) {
    consumer_dies(w, step, messages, op, |w, _, rx| w.recv_or_repair(rx));
}

/// A consumer dies; at the same time another one reads and repairs, and a producer wants the slot.
fn recv_dies(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.consumer();
    w.send(&mut tx, 1).unwrap();
    w.send(&mut tx, 2).unwrap();
    w.three(
        move |w| {
            w.kill(0, step, victim.lease(), || w.recv(&mut victim));
        },
        |w| w.send_or_repair(&mut tx, 11),
        |w| w.recv_or_repair(&mut rx),
    );
    w.settle(&mut tx, &mut rx);
}

fn recv(w: &World, rx: &mut Consumer<'_>) {
    let _ = w.recv(rx);
}

fn read(w: &World, rx: &mut Consumer<'_>) {
    let _ = w.read(rx);
}

fn read_batch(w: &World, rx: &mut Consumer<'_>) {
    let _ = w.read_batch(rx, 2);
}

fn keep(w: &World, rx: &mut Consumer<'_>) {
    if let Ok(record) = rx.try_read() {
        w.see(record.received(), record.tag().into());
        record.keep();
    }
}

/// A consumer dies while it skips a gap, behind which is a message.
fn skipper_dies(w: &World, step: u32, meanwhile: impl FnOnce(&World, &mut Producer<'_>, &mut Consumer<'_>)) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.consumer();
    tx.try_claim(8).unwrap().abort();
    w.send(&mut tx, 1).unwrap();
    w.two(
        move |w| {
            w.kill(0, step, victim.lease(), || w.recv(&mut victim));
        },
        |w| meanwhile(w, &mut tx, &mut rx),
    );
    w.settle(&mut tx, &mut rx);
}

/// Meanwhile somebody else wants its slot, and repairs.
fn skip_dies(w: &World, step: u32) {
    skipper_dies(w, step, |w, tx, _| w.send_or_repair(tx, 11));
}

/// Meanwhile somebody else reads and repairs.
fn skip_dies_and_is_repaired(w: &World, step: u32) {
    skipper_dies(w, step, |w, _, rx| w.recv_or_repair(rx));
}

/// The same with a thread for each of them: nothing is behind the gap, and repaired is what is in the way.
fn skip_among_three_dies(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut victim, mut p) = (w.consumer(), w.producer());
    tx.try_claim(8).unwrap().abort();
    w.three(
        move |w| {
            w.kill(0, step, victim.lease(), || w.recv(&mut victim));
        },
        |w| {
            let _ = w.send(&mut p, 11);
        },
        |w| {
            w.repair_by_tool(Blocked::Read(at(0)));
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A message is behind the gap, and both go on in turn.
fn skip_dies_beside_both(w: &World, step: u32) {
    skipper_dies(w, step, |w, tx, rx| {
        w.send_or_repair(tx, 11);
        w.recv_or_repair(rx);
    });
}

/// Without a repairer until it is over: meanwhile somebody else reads.
fn recv_dies_beside_a_receiver(w: &World, step: u32) {
    consumer_dies(w, step, (2, 0), recv, |w, _, rx| {
        let _ = w.recv(rx);
    });
}

/// Two die beside each other, and then beside a reader who repairs.
fn two_senders_die(w: &World, first: u32, second: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut a, mut b) = (w.producer(), w.producer());
    w.two(
        move |w| {
            w.kill(0, first, a.lease(), || w.send(&mut a, 1));
        },
        |w| {
            w.kill(1, second, b.lease(), || w.send(&mut b, 2));
            w.recv_or_repair(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A sender dies beside one that dies with a claim, and beside a repairer.
fn two_claims_die(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut a, mut b) = (w.producer(), w.producer());
    w.three(
        move |w| {
            w.kill(0, step, a.lease(), || w.send(&mut a, 1));
        },
        move |w| {
            std::mem::forget(b.try_claim(8));
            w.bury(b.lease());
        },
        |w| {
            w.repair_by_tool(Blocked::Write(at(0)));
        },
    );
    w.settle(&mut tx, &mut rx);
}

fn sender_and_receiver_die(w: &World, first: u32, second: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut a, mut b) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.three(
        move |w| {
            w.kill(0, first, a.lease(), || w.send(&mut a, 2));
        },
        move |w| {
            w.kill(1, second, b.lease(), || w.recv(&mut b));
        },
        |w| w.recv_or_repair(&mut rx),
    );
    w.settle(&mut tx, &mut rx);
}

fn sender_and_repairer_die(w: &World, first: u32, second: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut a, repairer) = (w.producer(), w.lease());
    w.three(
        move |w| {
            w.kill(0, first, a.lease(), || w.send(&mut a, 1));
        },
        move |w| {
            w.kill(1, second, repairer, || w.repair_by_tool(Blocked::Write(at(0))));
        },
        |w| w.recv_or_repair(&mut rx),
    );
    w.settle(&mut tx, &mut rx);
}
