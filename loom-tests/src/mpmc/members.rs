//! Models of joining, leaving, and of entries that change hands.

use ring_core::Position;
use ring_core::mpmc::{Blocked, Consumer, Producer, Recovery, Ring};

use super::{Body, Mpmc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Mpmc>] = &[
    model("entry_reuse", 4, Bound::ALL, Body::Plain(entry_reuse)),
    model("entry_reuse_beside_both", 4, Bound::preemptions(1), Body::Plain(entry_reuse_beside_both)).larger(),
    model("entry_reuse_beside_a_repairer", 4, Bound::ALL, Body::Plain(entry_reuse_beside_a_repairer)),
    model("entry_reuse_by_a_loser", 4, Bound::ALL, Body::Plain(entry_reuse_by_a_loser)),
    model("left_entry_is_reused", 4, Bound::preemptions(3), Body::Plain(left_entry_is_reused)),
    model("entry_taken_over", 4, Bound::preemptions(3), Body::Plain(entry_taken_over)),
    model("entry_recovered", 4, Bound::preemptions(3), Body::Plain(entry_recovered)),
    model("left_reader_entry_is_reused", 4, Bound::preemptions(3), Body::Plain(left_reader_entry_is_reused)),
    model("leave_and_repair", 6, Bound::ALL, Body::Plain(leave_and_repair)),
    model("leaving_reader_and_repair", 6, Bound::ALL, Body::Plain(leaving_reader_and_repair)),
    model("two_joiners_for_one_entry", 3, Bound::ALL, Body::Plain(two_joiners_for_one_entry)),
    model("two_joiners_for_a_writers_entry", 3, Bound::ALL, Body::Plain(two_joiners_for_a_writers_entry)),
    model("joiner_dies", 3, Bound::ALL, Body::Crash(|w, step| joiner_dies(w, step, send))),
    model("joiner_dies_and_is_repaired", 3, Bound::ALL, Body::Crash(|w, step| joiner_dies(w, step, repair))),
    model("leaver_dies", 3, Bound::ALL, Body::Crash(|w, step| leaver_dies(w, step, send))),
    model("leaver_dies_and_is_repaired", 3, Bound::ALL, Body::Crash(|w, step| leaver_dies(w, step, repair))),
    model("attach_while_working", 4, Bound::preemptions(1), Body::Plain(attach_while_working)).attached().short(LARGE),
    model("recovery_dies", 4, Bound::ALL, Body::Crash(|w, step| recovery_dies(w, step, send))),
    model("recovery_dies_and_is_repaired", 4, Bound::ALL, Body::Crash(|w, step| recovery_dies(w, step, repair))),
];

fn at(p: u64) -> Position {
    Position::new(p)
}

/// Takes an entry over, and sends so many messages.
fn join_and_send(w: &World, lease: u64, messages: u64) {
    if let Ok(mut p) = w.ring.join_producer(lease, w.verdict()) {
        for n in 1..=messages {
            let _ = w.send(&mut p, n);
        }
    }
}

/// A dead writer's entry is taken over by a joiner who sends, while one repairs the same claim and another one reads. All of
/// them at once are in [`entry_taken_over`].
fn entry_reuse(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.dead_writer();
    let filler = w.producer();
    let lease = w.lease();
    w.two(
        |w| join_and_send(w, lease, 2),
        |w| {
            w.repair_by_tool(Blocked::Write(at(0)));
            w.recv_or_repair(&mut rx);
        },
    );
    let _ = filler;
    w.settle(&mut tx, &mut rx);
}

/// The same, all at once.
fn entry_reuse_beside_both(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.dead_writer();
    let filler = w.producer();
    let lease = w.lease();
    w.three(
        |w| join_and_send(w, lease, 2),
        |w| {
            w.repair_by_tool(Blocked::Write(at(0)));
        },
        |w| w.recv_or_repair(&mut rx),
    );
    let _ = filler;
    w.settle(&mut tx, &mut rx);
}

/// The same while the joiner's neighbour reads what he has sent, and repairs beside the other one.
fn entry_reuse_beside_a_repairer(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.dead_writer();
    let filler = w.producer();
    let lease = w.lease();
    w.two(
        |w| {
            join_and_send(w, lease, 2);
            w.recv_or_repair(&mut rx);
        },
        |w| {
            w.repair_by_tool(Blocked::Write(at(0)));
        },
    );
    let _ = filler;
    w.settle(&mut tx, &mut rx);
}

/// The dead one had only announced; whoever takes its entry claims that very position.
fn entry_reuse_by_a_loser(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.dead_loser();
    let filler = w.producer();
    let lease = w.lease();
    w.two(
        |w| {
            if let Ok(mut p) = w.ring.join_producer(lease, w.verdict()) {
                let _ = w.send(&mut p, 1);
            }
        },
        |w| {
            w.repair_by_tool(Blocked::Write(at(0)));
            w.repair_by_tool(Blocked::Write(at(0)));
        },
    );
    let _ = filler;
    w.settle(&mut tx, &mut rx);
}

/// A producer sends and leaves, another one takes its entry and sends, a repairer looks on.
fn left_entry_is_reused(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    w.dead_loser();
    let lease = w.lease();
    w.three(
        |w| {
            let _ = w.send(&mut p, 1);
            p.leave();
        },
        |w| {
            if let Ok(mut p) = w.ring.join_producer(lease, w.verdict()) {
                let _ = w.send(&mut p, 2);
            }
        },
        |w| {
            w.repair_by_tool(Blocked::Write(at(0)));
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A writer dies with a claim open, a joiner takes its entry, a repairer looks at the same claim; another dead one had
/// announced the position, too.
fn entry_taken_over(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.producer();
    w.dead_loser();
    let lease = w.lease();
    w.three(
        |w| {
            std::mem::forget(victim.try_claim(8));
            w.bury(victim.lease());
        },
        |w| {
            if let Ok(mut p) = w.ring.join_producer(lease, w.verdict()) {
                let _ = w.send(&mut p, 1);
            }
        },
        |w| {
            w.repair_by_tool(Blocked::Write(at(0)));
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// The same, with a tool that frees the entry.
fn entry_recovered(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut victim = w.producer();
    w.dead_loser();
    w.three(
        |w| {
            std::mem::forget(victim.try_claim(8));
            w.bury(victim.lease());
        },
        |w| {
            let _ = w.ring.recover(1, w.verdict());
        },
        |w| {
            w.repair_by_tool(Blocked::Write(at(0)));
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// A consumer reads and leaves, another one takes its entry, a repairer looks on.
fn left_reader_entry_is_reused(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut c = w.consumer();
    w.send(&mut tx, 1).unwrap();
    w.send(&mut tx, 2).unwrap();
    w.dead_reading_loser();
    let lease = w.lease();
    w.three(
        |w| {
            let _ = w.recv(&mut c);
            c.leave();
        },
        |w| {
            if let Ok(mut c) = w.ring.join_consumer(lease, w.verdict()) {
                let _ = w.recv(&mut c);
            }
        },
        |w| {
            w.repair_by_tool(Blocked::Read(at(0)));
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// Who left has nothing open, whatever the dead announced.
fn leave_and_repair(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    w.dead_loser();
    w.two(
        |w| {
            w.send(&mut p, 1).unwrap();
            p.leave();
        },
        |w| {
            w.repair_by_tool(Blocked::Write(at(0)));
        },
    );
    w.settle(&mut tx, &mut rx);
}

fn leaving_reader_and_repair(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut c = w.consumer();
    w.send(&mut tx, 1).unwrap();
    w.dead_reading_loser();
    w.two(
        |w| {
            w.recv(&mut c).unwrap();
            c.leave();
        },
        |w| {
            w.repair_by_tool(Blocked::Read(at(0)));
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// Two joiners at the entry of somebody who died with nothing in hand.
fn two_joiners_for_one_entry(w: &World) {
    two_joiners(w, |w| w.bury(w.producer().lease()));
}

/// The same where the dead one's claim has to be settled before.
fn two_joiners_for_a_writers_entry(w: &World) {
    two_joiners(w, World::dead_writer);
}

fn two_joiners(w: &World, dies: fn(&World)) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dies(w);
    let (a, b) = (w.lease(), w.lease());
    let joined = std::cell::Cell::new(0);
    w.two(
        |w| {
            let ok = w.ring.join_producer(a, w.verdict()).is_ok();
            joined.set(joined.get() + i32::from(ok));
        },
        |w| {
            let ok = w.ring.join_consumer(b, w.verdict()).is_ok();
            joined.set(joined.get() + i32::from(ok));
        },
    );
    assert_eq!(joined.get(), 1);
    w.settle(&mut tx, &mut rx);
}

/// What goes on while somebody dies.
type Meanwhile = fn(&World, &mut Producer<'_>, &mut Consumer<'_>);

/// Somebody sends.
fn send(w: &World, tx: &mut Producer<'_>, _: &mut Consumer<'_>) {
    let _ = w.send(tx, 11);
}

/// Somebody reads and repairs.
fn repair(w: &World, _: &mut Producer<'_>, rx: &mut Consumer<'_>) {
    w.recv_or_repair(rx);
}

/// Somebody dies while it takes over a dead writer's entry and sends.
fn joiner_dies(w: &World, step: u32, meanwhile: Meanwhile) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.dead_writer();
    let lease = w.lease();
    w.two(
        |w| {
            w.kill(0, step, lease, || {
                if let Ok(mut p) = w.ring.join_producer(lease, w.verdict()) {
                    let _ = w.send(&mut p, 1);
                }
            });
        },
        |w| meanwhile(w, &mut tx, &mut rx),
    );
    w.settle(&mut tx, &mut rx);
}

fn leaver_dies(w: &World, step: u32, meanwhile: Meanwhile) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut p = w.producer();
    w.two(
        |w| {
            let lease = p.lease();
            w.kill(0, step, lease, || {
                std::mem::forget(p.try_claim(8));
                p.leave();
            });
        },
        |w| meanwhile(w, &mut tx, &mut rx),
    );
    w.settle(&mut tx, &mut rx);
}

/// A tool dies while it releases a dead reader's entry.
fn recovery_dies(w: &World, step: u32, meanwhile: Meanwhile) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.dead_reader();
    let tool = w.lease();
    w.two(
        |w| {
            w.kill(0, step, tool, || {
                let outcome = w.ring.recover(2, w.verdict()).unwrap();
                // Unsettled while the one who got the dead one's message has it in hand.
                assert!(!matches!(outcome, Recovery::Owned { .. }));
            });
        },
        |w| meanwhile(w, &mut tx, &mut rx),
    );
    w.settle(&mut tx, &mut rx);
}

/// Somebody attaches while the others work: whatever he sees fits together.
fn attach_while_working(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.three(
        |w| {
            let _ = w.send(&mut tx, 2);
            let _ = w.send(&mut tx, 3);
        },
        |w| {
            let mut other = w.consumer();
            let _ = w.recv(&mut other);
            let _ = w.recv(&mut other);
            other.leave();
        },
        |w| {
            Ring::attach(w.region).expect("a good ring");
        },
    );
    w.settle(&mut tx, &mut rx);
}
