//! Models of messages that have lost their reader, and of those who want them.

use ring_core::Position;
use ring_core::mpmc::Blocked;

use super::{Body, Mpmc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Mpmc>] = &[
    model("adopter_dies", 6, Bound::ALL, Body::Crash(adopter_dies)),
    model("adoption_race", 6, Bound::preemptions(1), Body::Plain(adoption_race)).short(LARGE),
    model("adoption_and_repair", 6, Bound::preemptions(3), Body::Plain(adoption_and_repair)),
    model("adopting_twice", 5, Bound::ALL, Body::Plain(adopting_twice)),
    model("receiver_and_adopter_die", 5, Bound::ALL, Body::TwoCrashes(receiver_and_adopter_die)),
];

fn at(p: u64) -> Position {
    Position::new(p)
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
