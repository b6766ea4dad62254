//! Models in which participants die at every step of what they do, while others go on and repair, or only after.
//!
//! The op of a victim runs under [`World::kill`]: its lease is free after the fatal step, or after the op.

use ring_core::Position;
use ring_core::mpmc::{Blocked, Consumer, Producer};

use super::{Body, Mpmc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Mpmc>] = &[
    model("send_dies", 5, Bound::preemptions(1), Body::Crash(send_dies)).short(LARGE),
    model("send_dies_unattended", 4, Bound::preemptions(2), Body::Crash(send_dies_unattended)).short(LARGE),
    model("second_send_dies", 5, Bound::preemptions(2), Body::Crash(second_send_dies)).early().short(LARGE),
    model("claim_dies", 5, Bound::preemptions(2), Body::Crash(claim_dies)).short(LARGE),
    model("abort_dies", 5, Bound::preemptions(2), Body::Crash(abort_dies)).short(LARGE),
    model("batch_dies", 5, Bound::preemptions(2), Body::Crash(batch_dies)).short(LARGE),
    model("send_into_full_dies", 5, Bound::preemptions(2), Body::Crash(send_into_full_dies)).short(LARGE),
    model("recv_dies", 5, Bound::preemptions(1), Body::Crash(recv_dies)).short(LARGE),
    model("recv_dies_unattended", 4, Bound::preemptions(2), Body::Crash(recv_dies_unattended)).short(LARGE),
    model("second_recv_dies", 5, Bound::preemptions(2), Body::Crash(second_recv_dies)).early().short(LARGE),
    model("read_dies", 5, Bound::preemptions(2), Body::Crash(read_dies)).short(LARGE),
    model("read_batch_dies", 5, Bound::preemptions(2), Body::Crash(read_batch_dies)).short(LARGE),
    model("keep_dies", 5, Bound::preemptions(2), Body::Crash(keep_dies)).short(LARGE),
    model("skip_dies", 5, Bound::preemptions(2), Body::Crash(skip_dies)).short(LARGE),
    model("skip_among_three_dies", 5, Bound::preemptions(0), Body::Crash(skip_among_three_dies)).short(LARGE),
    model("recv_dies_at_most_once", 5, Bound::preemptions(1), Body::Crash(recv_dies)).at_most_once().short(LARGE),
    model("two_senders_die", 5, Bound::preemptions(1), Body::TwoCrashes(two_senders_die)).short(LARGE),
    model("sender_and_receiver_die", 5, Bound::preemptions(1), Body::TwoCrashes(sender_and_receiver_die)).short(LARGE),
    model("sender_and_repairer_die", 5, Bound::preemptions(1), Body::TwoCrashes(sender_and_repairer_die)).short(LARGE),
];

fn at(p: u64) -> Position {
    Position::new(p)
}

/// A producer dies in `op`; meanwhile somebody else sends, reads and repairs.
fn producer_dies(w: &World, step: u32, op: impl FnOnce(&World, &mut Producer<'_>)) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.producer();
    w.two(
        move |w| {
            w.kill(0, step, victim.lease(), || op(w, &mut victim));
        },
        |w| {
            let _ = w.send(&mut tx, 11);
            w.recv_or_repair(&mut rx);
            w.recv_or_repair(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
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

fn second_send_dies(w: &World, step: u32) {
    producer_dies(w, step, |w, tx| {
        let _ = w.send(tx, 1);
        let _ = w.send(tx, 2);
    });
}

fn claim_dies(w: &World, step: u32) {
    producer_dies(w, step, |w, tx| {
        let _ = w.claim_and_send(tx, 1);
    });
}

fn abort_dies(w: &World, step: u32) {
    producer_dies(w, step, |_, tx| {
        if let Ok(mut claim) = tx.try_claim(8) {
            claim.write(&[7; 8]);
            claim.abort();
        }
    });
}

fn batch_dies(w: &World, step: u32) {
    producer_dies(w, step, |w, tx| {
        w.send_batch(tx, &[1, 2]);
    });
}

/// The same without a repairer until it is over.
fn send_dies_unattended(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.producer();
    w.two(
        move |w| {
            w.kill(0, step, victim.lease(), || w.send(&mut victim, 1).and_then(|()| w.send(&mut victim, 2)));
        },
        |w| {
            let _ = w.send(&mut tx, 11);
            let _ = w.recv(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
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
            w.recv_or_repair(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A consumer dies in `op`; meanwhile somebody else wants its slot, reads and repairs.
fn consumer_dies(w: &World, step: u32, messages: u64, op: impl FnOnce(&World, &mut Consumer<'_>)) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.consumer();
    for n in 0..messages {
        w.send(&mut tx, 1 + n).unwrap();
    }
    w.two(
        move |w| {
            w.kill(0, step, victim.lease(), || op(w, &mut victim));
        },
        |w| {
            w.send_or_repair(&mut tx, 11);
            w.recv_or_repair(&mut rx);
            w.recv_or_repair(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
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

fn second_recv_dies(w: &World, step: u32) {
    consumer_dies(w, step, 2, |w, rx| {
        let _ = w.recv(rx);
        let _ = w.recv(rx);
    });
}

fn read_dies(w: &World, step: u32) {
    consumer_dies(w, step, 2, |w, rx| {
        let _ = w.read(rx);
    });
}

fn read_batch_dies(w: &World, step: u32) {
    consumer_dies(w, step, 2, |w, rx| {
        let _ = w.read_batch(rx, 2);
    });
}

fn keep_dies(w: &World, step: u32) {
    consumer_dies(w, step, 1, |w, rx| {
        if let Ok(record) = rx.try_read() {
            w.see(record.received(), record.tag().into());
            record.keep();
        }
    });
}

/// It dies while it skips a gap; meanwhile somebody else reads and repairs, and wants its slot.
fn skip_dies(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.consumer();
    tx.try_claim(8).unwrap().abort();
    w.send(&mut tx, 1).unwrap();
    w.two(
        move |w| {
            w.kill(0, step, victim.lease(), || w.recv(&mut victim));
        },
        |w| {
            w.recv_or_repair(&mut rx);
            w.send_or_repair(&mut tx, 11);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// The same with a thread for each of them.
fn skip_among_three_dies(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.consumer();
    tx.try_claim(8).unwrap().abort();
    w.send(&mut tx, 1).unwrap();
    w.three(
        move |w| {
            w.kill(0, step, victim.lease(), || w.recv(&mut victim));
        },
        |w| w.send_or_repair(&mut tx, 11),
        |w| w.recv_or_repair(&mut rx),
    );
    w.settle(&mut tx, &mut rx);
}

fn recv_dies_unattended(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.consumer();
    w.send(&mut tx, 1).unwrap();
    w.send(&mut tx, 2).unwrap();
    w.two(
        move |w| {
            w.kill(0, step, victim.lease(), || w.recv(&mut victim).and_then(|_| w.recv(&mut victim)));
        },
        |w| {
            let _ = w.recv(&mut rx);
            let _ = w.send(&mut tx, 11);
        },
    );
    w.settle(&mut tx, &mut rx);
}

fn two_senders_die(w: &World, first: u32, second: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut a, mut b) = (w.producer(), w.producer());
    w.three(
        move |w| {
            w.kill(0, first, a.lease(), || w.send(&mut a, 1));
        },
        move |w| {
            w.kill(1, second, b.lease(), || w.send(&mut b, 2));
        },
        |w| w.recv_or_repair(&mut rx),
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
