//! Models of SPSC rings whose participants sleep.

use ring_core::spsc::{Consumer, Producer};

use super::{Tells, Way, wait, wait_by, wait_on};
use crate::spsc::world::{CLOSED, Event, got, msg, payload, recv, send, try_send};
use crate::spsc::{Body, Spsc, World, model};
use crate::{Bound, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("commit_wakes", Bound::ALL, Body::Plain(commit)).waking(false),
    model("commit_wakes_by_wish", Bound::ALL, Body::Plain(commit_by_wish)).waking(true),
    model("batch_wakes", Bound::ALL, Body::Plain(batch)).waking(false),
    model("close_wakes", Bound::ALL, Body::Plain(close)).waking(false),
    model("release_wakes", Bound::ALL, Body::Plain(release)).waking(false),
    model("record_release_wakes", Bound::ALL, Body::Plain(record_release)).waking(false),
    model("second_release_wakes", Bound::ALL, Body::Plain(second_release)).waking(false),
    model("both_wait", Bound::ALL, Body::Plain(both_wait)).waking(false),
];

/// Those that must fail.
pub static BROKEN: &[Model<Spsc>] = &[
    model("unannounced", Bound::ALL, Body::Plain(|w| one_message(w, Way::Unannounced))).waking(false),
    model("ticket_after_bit", Bound::ALL, Body::Plain(|w| one_message(w, Way::TicketAfterBit))).waking(false),
    model("no_second_look", Bound::ALL, Body::Plain(|w| one_message(w, Way::NoSecondLook))).waking(false),
    model("commit_untold", Bound::preemptions(1), Body::Plain(commit)).waking(false).telling(Tells::Nobody),
    model("batch_untold", Bound::preemptions(1), Body::Plain(batch)).waking(false).telling(Tells::Nobody),
    model("close_untold", Bound::preemptions(1), Body::Plain(close)).waking(false).telling(Tells::Nobody),
    model("release_untold", Bound::preemptions(1), Body::Plain(release)).waking(false).telling(Tells::Nobody),
];

/// What comes next, as soon as it comes.
fn next(w: &World, rx: &mut Consumer<'static>) -> Event {
    wait(rx, |rx| w.poll(rx))
}

/// Sends as soon as there is room.
fn send_waiting(tx: &mut Producer<'static>, tag: u32) {
    wait(tx, |tx| try_send(tx, tag));
}

fn one_message(w: &World, way: Way) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let world = w.clone();
    w.both(
        move || {
            send(&mut tx, msg(1, 8));
        },
        move || {
            let event = wait_by(way, &mut rx, None, |rx| world.poll(rx));
            assert_eq!(event, Some(got(msg(1, 8))));
        },
    );
}

fn commit(w: &World) {
    one_message(w, Way::Sound);
}

/// The sleeper's barrier reaches nobody, and the publisher, which needs no fence otherwise, knows it.
fn commit_by_wish(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    rx.sleeper().expect("an event").set_reach(false);
    let world = w.clone();
    w.both(
        move || {
            send(&mut tx, msg(1, 8));
        },
        move || assert_eq!(next(&world, &mut rx), got(msg(1, 8))),
    );
}

/// The first record may end the sleep before, the batch the next one.
fn batch(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let world = w.clone();
    w.both(
        move || {
            let mut batch = tx.try_claim_batch(2, 8).expect("room");
            for n in 1..=2 {
                batch.push(msg(n, 8), &payload(msg(n, 8))).expect("room");
            }
            batch.commit();
        },
        move || {
            for n in 1..=2 {
                assert_eq!(next(&world, &mut rx), got(msg(n, 8)));
            }
        },
    );
}

fn close(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let world = w.clone();
    w.both(move || tx.close(), move || assert_eq!(next(&world, &mut rx), CLOSED));
}

/// The ring is full.
fn release(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut sent = 0;
    while try_send(&mut tx, msg(sent, 8)).is_some() {
        sent += 1;
    }
    w.both(move || recv(&mut rx, msg(0, 8)), move || send_waiting(&mut tx, msg(9, 8)));
}

/// The same, by what is released in place.
fn record_release(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut sent = 0;
    while try_send(&mut tx, msg(sent, 8)).is_some() {
        sent += 1;
    }
    let release = move || rx.try_read().expect("a record is there").release();
    w.both(release, move || send_waiting(&mut tx, msg(9, 8)));
}

/// The ring is full, and what is to be sent needs the room of two: the second one is released the quick way, where there is
/// one.
fn second_release(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let mut sent = 0;
    while try_send(&mut tx, msg(sent, 8)).is_some() {
        sent += 1;
    }
    let consumer = move || (0..2).for_each(|n| recv(&mut rx, msg(n, 8)));
    assert!(try_send(&mut tx, msg(9, 16)).is_none());
    w.both(consumer, move || wait_on(&mut tx, |tx| try_send(tx, msg(9, 16))));
}

/// There is room for one record. Each sleeps until the other one has moved: for the room, and then for what is sent there.
fn both_wait(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_send(&mut tx, msg(1, 24)).is_some() && try_send(&mut tx, msg(2, 24)).is_none());
    let world = w.clone();
    w.both(
        move || wait_on(&mut tx, |tx| try_send(tx, msg(2, 24))),
        move || {
            recv(&mut rx, msg(1, 24));
            assert_eq!(next(&world, &mut rx), got(msg(2, 24)));
        },
    );
}
