//! Models of sleepers that are woken by a chime, which reaches whoever listens to all rings of a process, and not by their
//! event, on which nobody sleeps.

use ring_core::spsc::Consumer;

use super::{Sleeps as _, Tells, kernel, wait};
use crate::spsc::world::{got, msg, send};
use crate::spsc::{Body, Spsc, World, model};
use crate::{Bound, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("commit_chimes", Bound::ALL, Body::Plain(|w| one_message(w, Way::Sound)))
        .waking(false)
        .telling(Tells::Chiming),
    model("commit_chimes_then_wakes", Bound::ALL, Body::Plain(a_wish_withdrawn)).waking(false).telling(Tells::Chiming),
];

/// Those that must fail.
pub static BROKEN: &[Model<Spsc>] = &[
    model("wish_that_stays", Bound::ALL, Body::Plain(|w| one_message(w, Way::WishStays)))
        .waking(false)
        .telling(Tells::Chiming),
    model("armed_without_a_look", Bound::ALL, Body::Plain(|w| one_message(w, Way::ArmedBlindly)))
        .waking(false)
        .telling(Tells::Chiming),
];

/// How the sleeper goes about it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As `ring-shm/src/awaited.rs` does.
    Sound,
    /// It sleeps on its event, its wish not withdrawn.
    WishStays,
    /// It listens without having looked at the event, and takes what the chime said before for old news.
    ArmedBlindly,
}

/// What comes next, as soon as it comes; woken by the chime.
fn next_by_chime(w: &World, rx: &mut Consumer<'static>, way: Way) {
    loop {
        let sleeper = rx.place();
        sleeper.wish_for_chime(true);
        let ticket = sleeper.announce();
        sleeper.fence();
        let mut event = w.poll(rx);
        if event.is_none() {
            match way {
                Way::WishStays => drop(kernel::sleep(sleeper.event(), ticket)),
                Way::ArmedBlindly => kernel::listen(None),
                _ => kernel::listen(Some((sleeper.event(), ticket))),
            }
        }
        sleeper.withdraw();
        event = event.or_else(|| w.poll(rx));
        if let Some(event) = event {
            assert_eq!(event, got(msg(1, 8)));
            return;
        }
    }
}

fn one_message(w: &World, way: Way) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let world = w.clone();
    w.both(move || _ = send(&mut tx, msg(1, 8)), move || next_by_chime(&world, &mut rx, way));
}

/// A message has come by the chime, the next one is awaited on the event, where one who publishes may know of the wish still.
fn a_wish_withdrawn(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let sleeper = rx.place();
    sleeper.wish_for_chime(true);
    let _ = sleeper.announce();
    send(&mut tx, msg(1, 8));
    sleeper.withdraw();
    assert_eq!(w.poll(&mut rx), Some(got(msg(1, 8))));
    let world = w.clone();
    w.both(
        move || _ = send(&mut tx, msg(2, 8)),
        move || {
            rx.place().wish_for_chime(false);
            assert_eq!(wait(&mut rx, |rx| world.poll(rx)), got(msg(2, 8)));
        },
    );
}
