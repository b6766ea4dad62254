//! Models of MPMC rings whose participants sleep.

use ring_core::Position;
use ring_core::mpmc::{Blocked, ClaimError, Consumer, Producer, ReadError, Repair};

use super::cancel::{interrupt, request};
use super::{Stage, Tells, Way, kernel, wait, wait_by, wait_from, wait_on};
use crate::mpmc::{Body, Mpmc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Mpmc>] = &[
    model("commit_wakes", 2, Bound::ALL, Body::Plain(commit)).waking(false),
    model("commit_wakes_by_wish", 2, Bound::ALL, Body::Plain(commit_by_wish)).waking(true),
    model("guessed_commit_wakes", 2, Bound::ALL, Body::Plain(commit_guessed)).waking(false),
    model("abort_wakes", 3, Bound::ALL, Body::Plain(abort)).waking(false),
    model("put_back_wakes", 3, Bound::ALL, Body::Plain(put_back)).waking(false),
    model("repair_of_a_writer_wakes", 3, Bound::ALL, Body::Plain(repair_of_a_writer)).waking(false),
    model("repair_of_a_reader_wakes", 3, Bound::ALL, Body::Plain(repair_of_a_reader)).waking(false),
    model("close_wakes", 2, Bound::ALL, Body::Plain(close)).waking(false),
    model("close_wakes_a_sender", 2, Bound::ALL, Body::Plain(close_and_full)).slots(1).waking(false),
    model("last_release_wakes", 3, Bound::ALL, Body::Plain(last_release)).waking(false),
    model("close_and_last_release_wake", 3, Bound::preemptions(2), Body::Plain(close_and_last_release))
        .waking(false)
        .short(LARGE),
    model("release_wakes", 2, Bound::ALL, Body::Plain(release)).slots(1).waking(false),
    model("drop_wakes", 3, Bound::ALL, Body::Plain(drop_by_repair)).slots(1).at_most_once().waking(false),
    model("dead_sleeper", 3, Bound::ALL, Body::Plain(dead_sleeper)).waking(false),
    // A waker that goes on when nobody slept and a look on leaving: either is enough.
    model("cancelled_when_woken", 3, Bound::ALL, Body::Plain(cancelled_when_woken))
        .waking(false)
        .telling(Tells::CountingTheAwake),
    model("single_wake", 2, Bound::preemptions(3), Body::Plain(both_wait))
        .producers(1)
        .consumers(1)
        .slots(1)
        .waking(false)
        .short(LARGE),
    model("single_producer_close_wakes", 2, Bound::ALL, Body::Plain(close_for)).producers(1).slots(1).waking(false),
];

/// Those that must fail.
pub static BROKEN: &[Model<Mpmc>] = &[
    model(
        "deaf_to_the_end",
        3,
        Bound::preemptions(2),
        Body::Plain(|w| close_and_last_release_by(w, Way::DeafToTheEnd)),
    )
    .waking(false),
    model("leaves_blindly", 3, Bound::preemptions(2), Body::Plain(|w| cancelled_when_woken_by(w, Way::LeavesBlindly)))
        .waking(false)
        .telling(Tells::CountingTheAwake),
    model("commit_untold", 2, Bound::preemptions(2), Body::Plain(commit)).waking(false).telling(Tells::Nobody),
    model("abort_untold", 3, Bound::preemptions(1), Body::Plain(abort)).waking(false).telling(Tells::Nobody),
    model("put_back_untold", 3, Bound::preemptions(1), Body::Plain(put_back)).waking(false).telling(Tells::Nobody),
    model("repair_of_a_writer_untold", 3, Bound::preemptions(1), Body::Plain(repair_of_a_writer))
        .waking(false)
        .telling(Tells::Nobody),
    model("repair_of_a_reader_untold", 3, Bound::preemptions(1), Body::Plain(repair_of_a_reader))
        .waking(false)
        .telling(Tells::Nobody),
    model("close_untold", 2, Bound::preemptions(1), Body::Plain(close)).waking(false).telling(Tells::Nobody),
    model("close_untold_to_a_sender", 2, Bound::preemptions(1), Body::Plain(close_and_full))
        .slots(1)
        .waking(false)
        .telling(Tells::Nobody),
    model("last_release_untold", 3, Bound::preemptions(1), Body::Plain(last_release))
        .waking(false)
        .telling(Tells::Nobody),
    model("release_untold", 2, Bound::preemptions(1), Body::Plain(release))
        .slots(1)
        .waking(false)
        .telling(Tells::Nobody),
    model("drop_untold", 3, Bound::preemptions(1), Body::Plain(drop_by_repair))
        .slots(1)
        .at_most_once()
        .waking(false)
        .telling(Tells::Nobody),
];

/// The next message as soon as it comes; `None` at the end.
pub(super) fn receive(w: &World, rx: &mut Consumer<'static>) -> Option<u64> {
    wait(rx, |rx| look(w, rx))
}

/// The same of who has looked in vain before the others begin.
pub(super) fn receive_next(w: &World, rx: &mut Consumer<'static>) -> Option<u64> {
    wait_on(rx, |rx| look(w, rx))
}

pub(super) fn look(w: &World, rx: &mut Consumer<'static>) -> Option<Option<u64>> {
    match w.recv(rx) {
        Ok(n) => Some(Some(n)),
        Err(ReadError::Closed) => Some(None),
        Err(_) => None,
    }
}

/// Sends as soon as there is room; false when closed.
pub(super) fn send(w: &World, tx: &mut Producer<'static>, n: u64) -> bool {
    wait(tx, |tx| try_send(w, tx, n))
}

/// The same of who has looked in vain before the others begin.
pub(super) fn send_next(w: &World, tx: &mut Producer<'static>, n: u64) -> bool {
    wait_on(tx, |tx| try_send(w, tx, n))
}

pub(super) fn try_send(w: &World, tx: &mut Producer<'static>, n: u64) -> Option<bool> {
    match w.send(tx, n) {
        Ok(()) => Some(true),
        Err(ClaimError::Closed) => Some(false),
        Err(_) => None,
    }
}

fn commit(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert_eq!(look(w, &mut rx), None);
    w.two(|w| w.send(&mut tx, 1).unwrap(), |w| assert_eq!(receive_next(w, &mut rx), Some(1)));
    w.settle(&mut tx, &mut rx);
}

/// The same the quick way, which the first message of a handle does not take.
fn commit_guessed(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    assert_eq!(w.recv(&mut rx), Ok(1));
    assert_eq!(look(w, &mut rx), None);
    w.two(|w| w.send(&mut tx, 2).unwrap(), |w| assert_eq!(receive_next(w, &mut rx), Some(2)));
    w.settle(&mut tx, &mut rx);
}

/// The sleeper's barrier reaches nobody, and the publisher, which needs no fence otherwise, knows it.
fn commit_by_wish(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    rx.sleeper().expect("an event").set_reach(false);
    assert_eq!(look(w, &mut rx), None);
    w.two(|w| w.send(&mut tx, 1).unwrap(), |w| assert_eq!(receive_next(w, &mut rx), Some(1)));
    w.settle(&mut tx, &mut rx);
}

/// What is given up uncovers a message behind it.
fn abort(w: &World) {
    let (mut tx, mut rx, mut other) = (w.producer(), w.consumer(), w.producer());
    let claim = other.try_claim(8).unwrap();
    w.send(&mut tx, 1).unwrap();
    w.two(|_| claim.abort(), |w| assert_eq!(receive(w, &mut rx), Some(1)));
    w.settle(&mut tx, &mut rx);
}

fn put_back(w: &World) {
    let (mut tx, mut rx, mut other) = (w.producer(), w.consumer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    let record = other.try_read().unwrap();
    w.see(record.received(), 1);
    w.two(|_| record.keep(), |w| assert_eq!(receive(w, &mut rx), Some(1)));
    w.settle(&mut tx, &mut rx);
}

/// A dead writer's claim stands before a message.
fn repair_of_a_writer(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.dead_writer();
    w.send(&mut tx, 1).unwrap();
    let repair =
        |w: &World| assert_eq!(w.repair_by_tool(Blocked::Write(Position::new(0))), Repair::Skipped(Position::new(0)));
    w.two(repair, |w| assert_eq!(receive(w, &mut rx), Some(1)));
    w.settle(&mut tx, &mut rx);
}

fn repair_of_a_reader(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.dead_reader();
    let repair =
        |w: &World| assert_eq!(w.repair_by_tool(Blocked::Read(Position::new(0))), Repair::Orphaned(Position::new(0)));
    assert_eq!(look(w, &mut rx), None);
    w.two(repair, |w| assert_eq!(receive_next(w, &mut rx), Some(1)));
    w.settle(&mut tx, &mut rx);
}

fn close(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert_eq!(look(w, &mut rx), None);
    w.two(|_| tx.close(), |w| assert_eq!(receive_next(w, &mut rx), None));
    w.settle(&mut tx, &mut rx);
}

/// A sender waits for a slot of a ring that ends.
fn close_and_full(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    let ring = w.ring;
    w.two(|w| assert_eq!(ring.close(9, w.verdict()), Ok(Repair::Closed)), |w| assert!(!send(w, &mut tx, 2)));
    w.settle(&mut tx, &mut rx);
}

/// The ring is closed, and the last message in somebody's hands.
fn last_release(w: &World) {
    let (mut tx, mut rx, mut other) = (w.producer(), w.consumer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    let record = other.try_read().unwrap();
    w.see(record.received(), 1);
    tx.close();
    w.two(|_| record.release(), |w| assert_eq!(receive(w, &mut rx), None));
    w.settle(&mut tx, &mut rx);
}

/// The same while it is being closed.
fn close_and_last_release(w: &World) {
    close_and_last_release_by(w, Way::Sound);
}

fn close_and_last_release_by(w: &World, way: Way) {
    let (mut tx, mut rx, mut other) = (w.producer(), w.consumer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    let record = other.try_read().unwrap();
    w.see(record.received(), 1);
    // What is in other hands is not there: a look would be in vain.
    let end = |w: &World| assert_eq!(wait_from(way, &mut rx, None, Stage::Announces, |rx| look(w, rx)), Some(None));
    w.three(|_| record.release(), |_| tx.close(), end);
    w.settle(&mut tx, &mut rx);
}

fn release(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    assert_eq!(w.send(&mut tx, 2), Err(ClaimError::Full));
    w.two(|w| assert_eq!(w.recv(&mut rx), Ok(1)), |w| assert!(send_next(w, &mut tx, 2)));
    w.settle(&mut tx, &mut rx);
}

/// A slot is freed by who drops the message of a dead reader.
fn drop_by_repair(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    w.dead_reader();
    let repair =
        |w: &World| assert_eq!(w.repair_by_tool(Blocked::Read(Position::new(0))), Repair::Dropped(Position::new(0)));
    w.two(repair, |w| assert!(send(w, &mut tx, 2)));
    w.settle(&mut tx, &mut rx);
}

/// A waker finds the bit of a dead sleeper first.
fn dead_sleeper(w: &World) {
    let victim = w.consumer();
    let _ = victim.sleeper().expect("an event").announce();
    w.bury(victim.lease());
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert_eq!(look(w, &mut rx), None);
    w.two(|w| w.send(&mut tx, 1).unwrap(), |w| assert_eq!(receive_next(w, &mut rx), Some(1)));
    w.settle(&mut tx, &mut rx);
}

/// The one who is woken is cancelled at the same time, while another sleeps.
fn cancelled_when_woken(w: &World) {
    cancelled_when_woken_by(w, Way::Sound);
}

fn cancelled_when_woken_by(w: &World, way: Way) {
    // A waker asks the one who came last first.
    let (mut tx, mut other, mut rx) = (w.producer(), w.consumer(), w.consumer());
    let asleep = other.sleeper().expect("an event");
    let ticket = asleep.announce();
    let interrupt = interrupt(&rx);
    w.two(
        |w| {
            w.send(&mut tx, 1).unwrap();
            request(&interrupt);
        },
        |w| {
            if wait_by(way, &mut rx, Some(&interrupt), |rx| look(w, rx)).is_none() {
                // Whoever leaves without the message has not kept the wake-up for it.
                kernel::sleep(asleep.event(), ticket);
                assert_eq!(look(w, &mut other), Some(Some(1)));
            }
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// Each sleeps until the other one has moved: for the slot, and then for what is sent in it.
fn both_wait(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(w.send(&mut tx, 1).is_ok() && w.send(&mut tx, 2).is_err());
    w.two(
        |w| assert!(send_next(w, &mut tx, 2)),
        |w| {
            assert_eq!(w.recv(&mut rx), Ok(1));
            assert_eq!(receive(w, &mut rx), Some(2));
        },
    );
    w.settle(&mut tx, &mut rx);
}

/// The only producer sleeps while others ask it to close.
fn close_for(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    let ring = w.ring;
    w.two(|w| assert!(ring.close(9, w.verdict()).is_ok()), |w| assert!(!send(w, &mut tx, 2)));
    w.settle(&mut tx, &mut rx);
}
