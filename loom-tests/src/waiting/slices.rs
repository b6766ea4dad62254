//! Models of sleeps that outlast a slice: the announcement is kept, and has to be what publishers see.

use std::rc::Rc;

use super::cancel::{interrupt, request};
use super::{Sleeps as _, Tells, Way, kernel, wait_by};
use crate::spsc::world::{CLOSED, got, msg, send};
use crate::spsc::{Body, Spsc, World, model};
use crate::{Bound, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("slice_ends", Bound::preemptions(3), Body::Plain(|w| slice_ends(w, Way::Sound, Wish::None))).waking(false),
    model("slice_ends_by_wish", Bound::preemptions(3), Body::Plain(|w| slice_ends(w, Way::Sound, Wish::Fences)))
        .waking(true),
    model("slice_ends_and_close", Bound::preemptions(3), Body::Plain(close)).waking(false),
    model("slice_ends_and_cancel", Bound::preemptions(3), Body::Plain(cancel)).waking(false),
    model("waker_dies_in_a_slice", Bound::preemptions(3), Body::Plain(|w| waker_dies(w, Way::Sound))).waking(false),
    model("publisher_dies_in_a_slice", Bound::ALL, Body::Plain(|w| publisher_dies(w, Way::Sound)))
        .waking(false)
        .telling(Tells::Nobody),
];

/// Those that must fail.
pub static BROKEN: &[Model<Spsc>] = &[
    model(
        "sleeps_on_though_rung",
        Bound::preemptions(2),
        Body::Plain(|w| slice_ends(w, Way::SleepsOnThoughRung, Wish::None)),
    )
    .waking(false),
    model("believes_the_event", Bound::preemptions(2), Body::Plain(|w| waker_dies(w, Way::BelievesTheEvent)))
        .waking(false),
    model(
        "no_look_between_slices",
        Bound::preemptions(2),
        Body::Plain(|w| publisher_dies(w, Way::NoLookBetweenSlices)),
    )
    .waking(false)
    .telling(Tells::Nobody),
];

/// Whether the sleeper has asked publishers to fence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    None,
    Fences,
}

/// A slice ends while a message comes.
fn slice_ends(w: &World, way: Way, wish: Wish) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (place, world) = (rx.place(), w.clone());
    if wish == Wish::Fences {
        place.set_reach(false);
    }
    w.three(
        move || {
            send(&mut tx, msg(1, 8));
        },
        move || kernel::expire(place.event()),
        move || assert_eq!(wait_by(way, &mut rx, None, |rx| world.poll(rx)), Some(got(msg(1, 8)))),
    );
}

/// The same with the end of the ring.
fn close(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (place, world) = (rx.place(), w.clone());
    w.three(
        move || tx.close(),
        move || kernel::expire(place.event()),
        move || assert_eq!(wait_by(Way::Sound, &mut rx, None, |rx| world.poll(rx)), Some(CLOSED)),
    );
}

/// The same with a request to stop, which moves the event and takes no bit.
fn cancel(w: &World) {
    let mut rx = w.consumer();
    let (place, world) = (rx.place(), w.clone());
    let interrupt = interrupt(&rx);
    let (canceller, waiter) = (Rc::clone(&interrupt), Rc::clone(&interrupt));
    w.three(
        move || request(&canceller),
        move || kernel::expire(place.event()),
        move || assert_eq!(wait_by(Way::Sound, &mut rx, Some(&waiter), |rx| world.poll(rx)), None),
    );
}

/// Somebody takes the bit and dies before he can move the event on. A slice later a living publisher must be heard.
fn waker_dies(w: &World, way: Way) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (place, world) = (rx.place(), w.clone());
    w.three(
        move || {
            send(&mut tx, msg(1, 8));
        },
        move || {
            place.withdraw(); // as W9 does
            kernel::expire(place.event());
        },
        move || assert_eq!(wait_by(way, &mut rx, None, |rx| world.poll(rx)), Some(got(msg(1, 8)))),
    );
}

/// A publisher dies before it looks for sleepers.
fn publisher_dies(w: &World, way: Way) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (place, world) = (rx.place(), w.clone());
    w.both(
        move || {
            send(&mut tx, msg(1, 8));
            kernel::expire(place.event());
        },
        move || assert_eq!(wait_by(way, &mut rx, None, |rx| world.poll(rx)), Some(got(msg(1, 8)))),
    );
}
