//! Models of MPMC rings with two sleepers: is each woken for whom there is something, and does who cannot use a wake-up pass it on?

use ring_core::mpmc::{Consumer, Producer};

use super::cancel::{interrupt, request};
use super::mpmc::{look, receive, receive_next, send_next, try_send};
use super::{Sleeps, Stage, Tells, Way, wait, wait_at, wait_from, wait_on};
use crate::mpmc::{Body, Mpmc, World, model};
use crate::{Bound, Model};

/// The models of this file.
pub static MODELS: &[Model<Mpmc>] = &[
    model("batch_wakes_two", 3, Bound::preemptions(3), Body::Plain(batch)).waking(false),
    slow("batch_wakes_the_second", 3, Body::Plain(batch_and_second)),
    model("batch_release_wakes_two", 3, Bound::preemptions(3), Body::Plain(batch_release)).waking(false),
    slow("batch_release_wakes_the_second", 3, Body::Plain(batch_release_and_second)),
    model("commit_uncovers_two", 4, Bound::preemptions(3), Body::Plain(commit_uncovers_two)).waking(false),
    slow("commits_out_of_order", 4, Body::Plain(|w| commits_out_of_order(w, false))),
    slow("commits_out_of_order_swapped", 4, Body::Plain(|w| commits_out_of_order(w, true))),
    model("release_uncovers_two", 4, Bound::preemptions(3), Body::Plain(release_uncovers_two)).waking(false),
    slow("releases_out_of_order", 4, Body::Plain(|w| releases_out_of_order(w, false))),
    slow("releases_out_of_order_swapped", 4, Body::Plain(|w| releases_out_of_order(w, true))),
    slow("put_backs_wake_two", 4, Body::Plain(put_backs)),
    slow("woken_for_put_backs", 4, Body::Plain(woken_for_put_backs)),
    slow("put_back_and_commit_wake_two", 4, Body::Plain(|w| put_back_and_commit(w, false))),
    slow("put_back_and_commit_wake_two_swapped", 4, Body::Plain(|w| put_back_and_commit(w, true))),
    slow("woken_for_put_back_and_commit", 4, Body::Plain(woken_for_put_back_and_commit)),
    slow("cancel_one_of_two", 3, Body::Plain(cancel_one_of_two)),
];

/// One of two sleepers is slow: it has announced its sleep, and goes on when others are through. Who takes its bit counts it as
/// woken, as if it slept in the model's kernel.
const fn slow(name: &'static str, entries: u32, body: Body) -> Model<Mpmc> {
    model(name, entries, Bound::ALL, body).waking(false).telling(Tells::CountingTheAwake)
}

/// Those that must fail.
pub static BROKEN: &[Model<Mpmc>] = &[
    model("nobody_passes_on", 4, Bound::preemptions(1), Body::Plain(nobody_passes_on)).waking(false),
    model("batch_untold", 3, Bound::preemptions(1), Body::Plain(batch)).waking(false).telling(Tells::Nobody),
    model("batch_release_untold", 3, Bound::preemptions(1), Body::Plain(batch_release))
        .waking(false)
        .telling(Tells::Nobody),
];

/// Who has announced its sleep and looked in vain before the others begin.
fn asleep<H: Sleeps>(handle: &mut H, look: impl FnOnce(&mut H) -> bool) -> Stage {
    let sleeper = handle.place();
    let ticket = sleeper.announce();
    assert!(!look(handle), "in vain");
    Stage::Sleeps(sleeper, ticket)
}

/// A receiver that sleeps.
fn sleeping_receiver(w: &World, rx: &mut Consumer<'static>) -> Stage {
    asleep(rx, |rx| look(w, rx).is_some())
}

/// A sender that sleeps.
fn sleeping_sender(w: &World, tx: &mut Producer<'static>) -> Stage {
    asleep(tx, |tx| try_send(w, tx, 0).is_some())
}

/// As many are woken as messages come: who sees one leaves it to others, so that the second wake-up is nobody's but the
/// sender's.
fn batch(w: &World) {
    let (mut tx, mut rx, mut other) = (w.producer(), w.consumer(), w.consumer());
    let sees = |rx: &mut Consumer<'static>| wait_on(rx, |rx| rx.is_ready().then_some(()));
    w.three(|w| assert_eq!(w.send_batch(&mut tx, &[1, 2]), 2), |_| sees(&mut rx), |_| sees(&mut other));
    w.settle(&mut tx, &mut rx);
}

/// And each gets one, he who has slept for long and the one who is about to.
fn batch_and_second(w: &World) {
    let (mut tx, mut rx, mut other) = (w.producer(), w.consumer(), w.consumer());
    let sleeps = sleeping_receiver(w, &mut other);
    w.two(
        |w| {
            assert_eq!(w.send_batch(&mut tx, &[1, 2]), 2);
            assert!(wait_at(sleeps, &mut other, |rx| look(w, rx)).is_some());
        },
        |w| assert!(receive_next(w, &mut rx).is_some()),
    );
    w.settle(&mut tx, &mut rx);
}

/// As many are woken as slots go back.
fn batch_release(w: &World) {
    let (mut tx, mut rx, mut other) = (w.producer(), w.consumer(), w.producer());
    assert_eq!(w.send_batch(&mut tx, &[1, 2]), 2);
    let sees = |tx: &mut Producer<'static>| wait_on(tx, |tx| tx.is_ready().then_some(()));
    w.three(|w| assert_eq!(w.read_batch(&mut rx, 2), Ok(2)), |_| sees(&mut tx), |_| sees(&mut other));
    w.settle(&mut tx, &mut rx);
}

/// And each gets one.
fn batch_release_and_second(w: &World) {
    let (mut tx, mut rx, mut other) = (w.producer(), w.consumer(), w.producer());
    assert_eq!(w.send_batch(&mut tx, &[1, 2]), 2);
    let sleeps = sleeping_sender(w, &mut other);
    w.two(
        |w| {
            assert_eq!(w.read_batch(&mut rx, 2), Ok(2));
            assert!(wait_at(sleeps, &mut other, |tx| try_send(w, tx, 4)));
        },
        |w| assert!(send_next(w, &mut tx, 3)),
    );
    w.settle(&mut tx, &mut rx);
}

/// One commit makes two messages readable, and wakes one: he passes on.
fn commit_uncovers_two(w: &World) {
    let (mut tx, mut rx, mut other, mut second) = (w.producer(), w.consumer(), w.consumer(), w.producer());
    let zero = tx.try_claim(8).unwrap();
    w.send(&mut second, 2).unwrap();
    let sleeps = sleeping_receiver(w, &mut rx);
    w.three(
        |w| w.commit(zero, 1),
        |w| assert!(wait_at(sleeps, &mut rx, |rx| look(w, rx)).is_some()),
        |w| assert!(receive_next(w, &mut other).is_some()),
    );
    w.settle(&mut tx, &mut rx);
}

/// A wake-up says nothing about which slot it was for. One of two sleepers is slow; which one is woken first depends on who
/// came first. The other one has been asleep, too, or is about to be.
fn commits_out_of_order(w: &World, swapped: bool) {
    let (mut tx, mut second) = (w.producer(), w.producer());
    let (mut rx, mut other) = (w.consumer(), w.consumer());
    if swapped {
        std::mem::swap(&mut rx, &mut other);
    }
    let (zero, one) = (tx.try_claim(8).unwrap(), second.try_claim(8).unwrap());
    let sleeps = sleeping_receiver(w, &mut other);
    let looks = if swapped { sleeping_receiver(w, &mut rx) } else { Stage::Announces };
    w.two(
        |w| {
            w.commit(one, 2);
            w.commit(zero, 1);
        },
        |w| assert!(wait_at(looks, &mut rx, |rx| look(w, rx)).is_some()),
    );
    assert!(wait_at(sleeps, &mut other, |rx| look(w, rx)).is_some());
    w.settle(&mut tx, &mut rx);
}

/// One release makes two slots free, and wakes one: he passes on.
fn release_uncovers_two(w: &World) {
    let (mut tx, mut rx, mut other, mut second) = (w.producer(), w.consumer(), w.consumer(), w.producer());
    assert_eq!(w.send_batch(&mut tx, &[1, 2]), 2);
    let (zero, one) = (rx.try_read().unwrap(), other.try_read().unwrap());
    w.see(zero.received(), 1);
    w.see(one.received(), 2);
    one.release();
    let sleeps = sleeping_sender(w, &mut second);
    w.three(
        |_| zero.release(),
        |w| assert!(wait_at(sleeps, &mut second, |tx| try_send(w, tx, 4))),
        |w| assert!(send_next(w, &mut tx, 3)),
    );
    w.settle(&mut tx, &mut rx);
}

/// As [`commits_out_of_order`].
fn releases_out_of_order(w: &World, swapped: bool) {
    let (mut rx, mut other) = (w.consumer(), w.consumer());
    let (mut tx, mut second) = (w.producer(), w.producer());
    if swapped {
        std::mem::swap(&mut tx, &mut second);
    }
    assert_eq!(w.send_batch(&mut tx, &[1, 2]), 2);
    let (zero, one) = (rx.try_read().unwrap(), other.try_read().unwrap());
    w.see(zero.received(), 1);
    w.see(one.received(), 2);
    let sleeps = sleeping_sender(w, &mut second);
    let looks = if swapped { Stage::Announces } else { sleeping_sender(w, &mut tx) };
    w.two(
        |_| {
            one.release();
            zero.release();
        },
        |w| assert!(wait_at(looks, &mut tx, |tx| try_send(w, tx, 3))),
    );
    assert!(wait_at(sleeps, &mut second, |tx| try_send(w, tx, 4)));
    w.settle(&mut tx, &mut rx);
}

/// Two messages come back, one by one, beside one who is about to sleep; the other one has slept for long.
fn put_backs(w: &World) {
    let (mut tx, mut rx, mut other, mut holder) = (w.producer(), w.consumer(), w.consumer(), w.consumer());
    assert_eq!(w.send_batch(&mut tx, &[1, 2]), 2);
    let batch = holder.try_read_batch(2).unwrap();
    let sleeps = sleeping_receiver(w, &mut other);
    w.two(|_| batch.keep(), |w| assert!(receive_next(w, &mut rx).is_some()));
    assert!(wait_at(sleeps, &mut other, |rx| look(w, rx)).is_some());
    w.settle(&mut tx, &mut rx);
}

/// Both have been woken for what has come back. Whose wake-up finds the hint taken is woken once more by who took it.
fn woken_for_put_backs(w: &World) {
    let (mut tx, mut rx, mut other, mut holder) = (w.producer(), w.consumer(), w.consumer(), w.consumer());
    assert_eq!(w.send_batch(&mut tx, &[1, 2]), 2);
    let batch = holder.try_read_batch(2).unwrap();
    let sleeps = sleeping_receiver(w, &mut rx);
    batch.keep();
    let mut got = None;
    w.two(|w| got = look(w, &mut other), |w| assert!(wait_at(sleeps, &mut rx, |rx| look(w, rx)).is_some()));
    // Who has found nothing goes on when the other one is through.
    assert!(got.unwrap_or_else(|| receive(w, &mut other)).is_some());
    w.settle(&mut tx, &mut rx);
}

/// One is woken for a message that comes back, and may take the one that is new. The other one has slept for long.
fn put_back_and_commit(w: &World, swapped: bool) {
    let (mut tx, mut holder) = (w.producer(), w.consumer());
    let (mut rx, mut other) = (w.consumer(), w.consumer());
    if swapped {
        std::mem::swap(&mut rx, &mut other);
    }
    w.send(&mut tx, 1).unwrap();
    let record = holder.try_read().unwrap();
    w.see(record.received(), 1);
    let sleeps = sleeping_receiver(w, &mut other);
    w.two(
        |w| {
            record.keep();
            w.send(&mut tx, 2).unwrap();
        },
        |w| assert!(receive_next(w, &mut rx).is_some()),
    );
    assert!(wait_at(sleeps, &mut other, |rx| look(w, rx)).is_some());
    w.settle(&mut tx, &mut rx);
}

/// Both are woken, for the one that has come back and for the new one.
fn woken_for_put_back_and_commit(w: &World) {
    let (mut tx, mut rx, mut other, mut holder) = (w.producer(), w.consumer(), w.consumer(), w.consumer());
    w.send(&mut tx, 1).unwrap();
    let record = holder.try_read().unwrap();
    w.see(record.received(), 1);
    let (one, two) = (sleeping_receiver(w, &mut rx), sleeping_receiver(w, &mut other));
    record.keep();
    w.send(&mut tx, 2).unwrap();
    w.two(
        |w| assert!(wait_at(one, &mut rx, |rx| look(w, rx)).is_some()),
        |w| assert!(wait_at(two, &mut other, |rx| look(w, rx)).is_some()),
    );
    w.settle(&mut tx, &mut rx);
}

/// One is cancelled beside a message, for which the other one, who has slept for long, is woken first. The other way round is
/// `cancelled_when_woken`.
fn cancel_one_of_two(w: &World) {
    let (mut tx, mut rx, mut other) = (w.producer(), w.consumer(), w.consumer());
    let interrupt = interrupt(&rx);
    let sleeps = sleeping_receiver(w, &mut other);
    w.two(
        |w| {
            w.send(&mut tx, 1).unwrap();
            request(&interrupt);
        },
        |w| {
            // What it gets is another one's loss, who is told then.
            let got = wait_from(Way::Sound, &mut rx, Some(&interrupt), Stage::Announces, |rx| look(w, rx));
            if got.is_some() {
                w.ring.close(9, w.verdict()).unwrap();
            }
        },
    );
    let _ = wait_at(sleeps, &mut other, |rx| look(w, rx));
    w.settle(&mut tx, &mut rx);
}

/// Who does not know that it was refused does not pass on.
fn nobody_passes_on(w: &World) {
    let (mut tx, mut rx, mut other, mut second) = (w.producer(), w.consumer(), w.consumer(), w.producer());
    let (zero, one) = (tx.try_claim(8).unwrap(), second.try_claim(8).unwrap());
    let unrefused = |w: &World, rx: &mut Consumer<'static>| {
        wait(rx, |rx| if rx.is_ready() { look(w, rx) } else { None });
    };
    w.three(
        |w| {
            w.commit(one, 2);
            w.commit(zero, 1);
        },
        |w| unrefused(w, &mut rx),
        |w| unrefused(w, &mut other),
    );
    w.settle(&mut tx, &mut rx);
}
