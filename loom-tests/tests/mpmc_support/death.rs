//! Models in which participants die at every step of what they do, while others go on and repair, or only after.
//!
//! The op of a victim runs under [`World::kill`]: its lease is free after the fatal step, or after the op.

use ring_core::Position;
use ring_core::mpmc::{Blocked, Consumer, Producer};

use super::{Body, Model, World, model};

pub const MODELS: &[Model] = &[
    model("send_dies", 5, (1, 2), Body::Crash(send_dies)),
    model("send_dies_unattended", 4, (2, 3), Body::Crash(send_dies_unattended)),
    model("second_send_dies", 5, (2, 3), Body::Crash(second_send_dies)),
    model("claim_dies", 5, (2, 3), Body::Crash(claim_dies)),
    model("abort_dies", 5, (2, 3), Body::Crash(abort_dies)),
    model("batch_dies", 5, (2, 3), Body::Crash(batch_dies)),
    model("send_into_full_dies", 5, (2, 3), Body::Crash(send_into_full_dies)),
    model("recv_dies", 5, (1, 2), Body::Crash(recv_dies)),
    model("recv_dies_unattended", 4, (2, 3), Body::Crash(recv_dies_unattended)),
    model("second_recv_dies", 5, (2, 3), Body::Crash(second_recv_dies)),
    model("read_dies", 5, (2, 3), Body::Crash(read_dies)),
    model("read_batch_dies", 5, (2, 3), Body::Crash(read_batch_dies)),
    model("keep_dies", 5, (2, 3), Body::Crash(keep_dies)),
    model("skip_dies", 5, (1, 2), Body::Crash(skip_dies)),
    model("recv_dies_at_most_once", 5, (1, 2), Body::Crash(recv_dies)).at_most_once(),
    model("adopter_dies", 6, (2, 3), Body::Crash(adopter_dies)),
    model("adoption_race", 6, (1, 2), Body::Plain(adoption_race)),
    model("adoption_and_repair", 6, (1, 2), Body::Plain(adoption_and_repair)),
    model("adopting_twice", 5, (2, 3), Body::Plain(adopting_twice)),
    model("write_repairer_dies", 6, (2, 3), Body::Crash(write_repairer_dies)),
    model("read_repairer_dies", 6, (2, 3), Body::Crash(read_repairer_dies)),
    model("two_write_repairers", 6, (1, 2), Body::Plain(two_write_repairers)),
    model("repaired_slot_is_reused", 6, (1, 2), Body::Plain(repaired_slot_is_reused)),
    model("redelivered_slot_is_reused", 6, (1, 2), Body::Plain(redelivered_slot_is_reused)),
    model("two_senders_die", 5, (1, 2), Body::TwoCrashes(two_senders_die)),
    model("sender_and_receiver_die", 5, (1, 2), Body::TwoCrashes(sender_and_receiver_die)),
    model("receiver_and_adopter_die", 5, (1, 2), Body::TwoCrashes(receiver_and_adopter_die)),
    model("sender_and_repairer_die", 5, (1, 2), Body::TwoCrashes(sender_and_repairer_die)),
    model("single_producer_dies", 3, (1, 2), Body::Crash(single_producer_dies)).producers(1),
    model("single_producers_batch_dies", 3, (1, 2), Body::Crash(single_producers_batch_dies)).producers(1),
    model("single_consumer_dies", 4, (1, 2), Body::Crash(single_consumer_dies)).consumers(1),
    model("single_consumers_batch_dies", 4, (1, 2), Body::Crash(single_consumers_batch_dies)).consumers(1),
    model("single_consumer_dies_at_most_once", 4, (1, 2), Body::Crash(single_consumer_dies))
        .at_most_once()
        .consumers(1),
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

/// It dies while it skips a gap.
fn skip_dies(w: &World, step: u32) {
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

/// A dead reader's message, and an adopter that dies at every step, and another one.
fn adopter_dies(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.consumer();
    w.send(&mut tx, 1).unwrap();
    w.dead_reader();
    w.two(
        move |w| {
            w.kill(0, step, victim.lease(), || w.redeliver(&mut victim));
        },
        |w| {
            let _ = w.redeliver(&mut rx);
            let _ = w.redeliver(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// Two adopters want the same message.
fn adoption_race(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut other = w.consumer();
    w.send(&mut tx, 1).unwrap();
    w.dead_reader();
    w.three(
        |w| {
            let _ = w.recv(&mut other);
            let _ = w.redeliver(&mut other);
        },
        |w| {
            let _ = w.redeliver(&mut rx);
        },
        |w| {
            let _ = w.send(&mut tx, 11);
        },
    );
    let _ = other;
    w.settle(&mut tx, &mut rx);
}

/// An adopter reads while a repairer wonders about the same message, whose first reader is dead.
fn adoption_and_repair(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut other = w.consumer();
    w.send(&mut tx, 1).unwrap();
    w.dead_reader();
    w.repair_by_tool(Blocked::Read(at(0)));
    w.three(
        |w| {
            let _ = w.recv(&mut other);
        },
        |w| {
            w.repair_by_tool(Blocked::Read(at(0)));
        },
        |w| {
            let _ = w.recv(&mut rx);
        },
    );
    let _ = other;
    w.settle(&mut tx, &mut rx);
}

/// A dead reader held two messages. One adopter takes both, while a repairer wonders about the first: were the second
/// announcement seen without how the first message was settled, a living reader's message would be taken from it.
fn adopting_twice(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.send(&mut tx, 2).unwrap();
    let mut victim = w.consumer();
    std::mem::forget(victim.try_read_batch(2).unwrap());
    w.bury(victim.lease());
    for p in 0..2 {
        w.repair_by_tool(Blocked::Read(at(p)));
    }
    w.two(
        |w| {
            w.recv(&mut rx).unwrap();
            w.recv(&mut rx).unwrap();
        },
        |w| {
            w.repair_by_tool(Blocked::Read(at(0)));
        },
    );
    w.settle(&mut tx, &mut rx);
}

fn write_repairer_dies(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let repairer = w.lease();
    w.dead_writer();
    w.two(
        move |w| {
            w.kill(0, step, repairer, || w.repair_by_tool(Blocked::Write(at(0))));
        },
        |w| {
            let _ = w.send(&mut tx, 1);
            w.recv_or_repair(&mut rx);
            w.recv_or_repair(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

fn read_repairer_dies(w: &World, step: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let repairer = w.lease();
    w.send(&mut tx, 1).unwrap();
    w.dead_reader();
    w.two(
        move |w| {
            w.kill(0, step, repairer, || w.repair_by_tool(Blocked::Read(at(0))));
        },
        |w| {
            w.recv_or_repair(&mut rx);
            let _ = w.recv(&mut rx);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A claim of a dead one, two repairers, a sender.
fn two_write_repairers(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.dead_writer();
    w.three(
        |w| {
            w.repair_by_tool(Blocked::Write(at(0)));
        },
        |w| w.recv_or_repair(&mut rx),
        |w| {
            let _ = w.send(&mut tx, 1);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A writer dies with half a message written; its slot is repaired, skipped and written again.
fn repaired_slot_is_reused(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.producer();
    w.three(
        move |w| {
            if let Ok(mut claim) = victim.try_claim(8) {
                claim.write(&[7; 8]);
                std::mem::forget(claim);
            }
            w.bury(victim.lease());
        },
        |w| {
            w.recv_or_repair(&mut rx);
            w.recv_or_repair(&mut rx);
        },
        |w| {
            let _ = w.send(&mut tx, 11);
            let _ = w.send(&mut tx, 12);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A reader dies with a message in hand; it is redelivered, and its slot is written again.
fn redelivered_slot_is_reused(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.consumer();
    w.send(&mut tx, 1).unwrap();
    w.send(&mut tx, 2).unwrap();
    w.three(
        move |w| {
            if let Ok(record) = victim.try_read() {
                let mut buf = [0; 8];
                record.copy_to(&mut buf);
                w.see(record.received(), u64::from_le_bytes(buf));
                std::mem::forget(record);
            }
            w.bury(victim.lease());
        },
        |w| {
            w.recv_or_repair(&mut rx);
            w.recv_or_repair(&mut rx);
        },
        |w| w.send_or_repair(&mut tx, 11),
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

fn receiver_and_adopter_die(w: &World, first: u32, second: u32) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (mut a, mut b) = (w.consumer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.two(
        move |w| {
            w.kill(0, first, a.lease(), || w.recv(&mut a));
        },
        move |w| {
            w.kill(1, second, b.lease(), || w.redeliver(&mut b));
        },
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
