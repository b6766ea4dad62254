//! Models in which somebody alive is near a position that a repairer wonders about.

use ring_core::mpmc::{Blocked, Repair};
use ring_core::{Position, Verdict};

use super::{Body, Mpmc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Mpmc>] = &[
    model("living_are_never_repaired", 5, Bound::preemptions(3), Body::Plain(living_are_never_repaired)),
    model("same_producer_twice", 6, Bound::ALL, Body::Plain(same_producer_twice)),
    model("same_consumer_twice", 6, Bound::ALL, Body::Plain(same_consumer_twice)),
    model("losing_producer", 6, Bound::preemptions(3), Body::Plain(losing_producer)),
    model("losing_consumer", 6, Bound::preemptions(3), Body::Plain(losing_consumer)),
    model("two_write_repairers", 6, Bound::preemptions(3), Body::Plain(two_write_repairers)),
    model("repaired_slot_is_reused", 6, Bound::preemptions(3), Body::Plain(repaired_slot_is_reused)).slots(1),
    model(
        "claim_is_repaired_beside_a_sender",
        6,
        Bound::preemptions(3),
        Body::Plain(claim_is_repaired_beside_a_sender),
    )
    .slots(1),
    model("redelivered_slot_is_reused", 6, Bound::preemptions(1), Body::Plain(redelivered_slot_is_reused)).short(LARGE),
    model("write_repairer_dies", 6, Bound::ALL, Body::Crash(write_repairer_dies)),
    model("read_repairer_dies", 6, Bound::ALL, Body::Crash(read_repairer_dies)),
];

fn at(p: u64) -> Position {
    Position::new(p)
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
        },
        |w| {
            let _ = w.repair_by_tool(Blocked::Read(Position::new(0)));
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

/// A writer dies with half a message written; its slot, the only one, is repaired, skipped and written again.
fn repaired_slot_is_reused(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.producer();
    let lease = victim.lease();
    let mut claim = victim.try_claim(8).unwrap();
    w.three(
        |w| {
            claim.write(&[7; 8]);
            std::mem::forget(claim);
            w.bury(lease);
        },
        |w| {
            w.repair_by_tool(Blocked::Write(at(0)));
            let _ = w.recv(&mut rx);
        },
        |w| {
            let _ = w.send(&mut tx, 11);
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// The same from the claim on, which a sender wants to make, too.
fn claim_is_repaired_beside_a_sender(w: &World) {
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
        |w| w.recv_or_repair(&mut rx),
        |w| {
            let _ = w.send(&mut tx, 11);
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
