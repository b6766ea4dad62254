//! Models of beginnings and ends without a crash inside an operation: close, death between operations, take-over,
//! session marks. An end comes after the last record of its session, in order, once.

use ring_core::model::once::yield_now;
use ring_core::spsc::{Consumer, Producer, Ring};
use ring_core::{Role, SeatError, SeatState, SessionEnd};

use super::streams::dirty;
use super::world::{CLOSED, DIED, Event, Last, got, msg, recv, send, try_send};
use super::{Body, Spsc, World, model};
use crate::{Bound, LARGE, Model};

/// The models of this file.
pub static MODELS: &[Model<Spsc>] = &[
    model("close", Bound::ALL, Body::Plain(close)),
    model("death", Bound::ALL, Body::Plain(death)),
    model("consumer_close", Bound::ALL, Body::Plain(consumer_close)),
    model("consumer_death", Bound::ALL, Body::Plain(consumer_death)),
    model("positions_in_motion", Bound::ALL, Body::Plain(positions_in_motion)),
    model("seen_mark_in_motion", Bound::ALL, Body::Plain(seen_mark_in_motion)),
    model("attach_while_sitting", Bound::ALL, Body::Plain(attach_while_sitting)).attached(),
    model("taken", Bound::ALL, Body::Plain(taken)),
    model("one_of_two_sits", Bound::ALL, Body::Plain(one_of_two_sits)),
    model("successor_after_close", Bound::preemptions(3), Body::Plain(successor_after_close)),
    model("successor_after_death", Bound::preemptions(3), Body::Plain(successor_after_death)),
    model("successor_writes_over_released", Bound::ALL, Body::Plain(successor_writes_over_released)),
    model("mark_over_old_bytes", Bound::ALL, Body::Plain(mark_over_old_bytes)),
    model("mark_waits_for_space", Bound::ALL, Body::Plain(mark_waits_for_space)),
    model("mark_waits_while_sitting", Bound::preemptions(2), Body::Plain(mark_waits_while_sitting)).short(LARGE),
    model("told_before_the_mark", Bound::ALL, Body::Plain(told_before_the_mark)),
    model("new_consumer_after_death", Bound::ALL, Body::Plain(new_consumer_after_death)),
    model("new_consumer_after_close", Bound::ALL, Body::Plain(new_consumer_after_close)),
    model("both_sit_after_a_close", Bound::ALL, Body::Plain(both_sit_after_a_close)),
    model("both_sit_after_a_death", Bound::ALL, Body::Plain(both_sit_after_a_death)),
    model("recovered_between", Bound::ALL, Body::Plain(recovered_between)),
    model("both_sides_pass_on", Bound::ALL, Body::Plain(both_sides_pass_on)),
];

/// Comes the end by a close after the last record, although the consumer never looks at the tail?
fn close(w: &World) {
    end_after_two(w, close_and_go, CLOSED);
}

/// The same for a producer that dies between two operations.
fn death(w: &World) {
    end_after_two(w, |w, tx| w.bury(tx.lease()), DIED);
}

/// An orderly end: whoever closes unmaps soon after, which frees the lease.
fn close_and_go(w: &World, tx: &mut Producer<'_>) {
    tx.close();
    w.bury(tx.lease());
}

fn end_after_two(w: &World, end: fn(&World, &mut Producer<'_>), reported: Event) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (sending, receiving) = (w.clone(), w.clone());
    let sender = move || {
        assert!(try_send(&mut tx, msg(1, 8)).is_some());
        assert!(try_send(&mut tx, msg(2, 8)).is_some());
        end(&sending, &mut tx);
    };
    let receiver = move || {
        let log = receiving.collect(&mut rx, |e| *e == reported);
        assert_eq!(log, [got(msg(1, 8)), got(msg(2, 8)), reported]);
        assert_eq!(receiving.poll(&mut rx), None, "the end is reported once");
    };
    w.both(sender, receiver);
}

/// An orderly close of the consumer: is what the producer then sees as unreleased exact?
fn consumer_close(w: &World) {
    let end = |w: &World, rx: &mut Consumer<'_>| {
        rx.close();
        w.bury(rx.lease());
    };
    consumer_ends(w, end, SessionEnd::Closed);
}

/// The same for the death of the consumer.
fn consumer_death(w: &World) {
    consumer_ends(w, |w, rx| w.bury(rx.lease()), SessionEnd::Died);
}

fn consumer_ends(w: &World, end: fn(&World, &mut Consumer<'_>), reported: SessionEnd) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    for n in 1..=3 {
        assert!(try_send(&mut tx, msg(n, 8)).is_some());
    }
    let (receiving, sending) = (w.clone(), w.clone());
    let receiver = move || {
        recv(&mut rx, msg(1, 8));
        recv(&mut rx, msg(2, 8));
        end(&receiving, &mut rx);
    };
    let sender = move || {
        loop {
            match tx.consumer_end(sending.verdict()).unwrap() {
                Some(seen) => {
                    assert_eq!(seen, reported);
                    break;
                }
                None => yield_now(),
            }
        }
        assert_eq!(tx.len_guess(), 16, "exactly one record was not released");
        assert_eq!(tx.consumer_end(sending.verdict()).unwrap(), None, "the end is reported once");
    };
    w.both(receiver, sender);
}

/// Does somebody who looks at the positions from outside, as attach and the tools do, find a ring at work corrupt?
fn positions_in_motion(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let ring = w.ring;
    // More than a lap may pass between one load and the next.
    let traffic = move || dirty(&mut tx, &mut rx, &[msg(1, 24), msg(2, 24), msg(3, 24)]);
    let onlooker = move || {
        let (head, tail) = ring.head_and_tail().expect("the ring is sound");
        assert!(head.get() <= 96 && tail.get() <= 96);
    };
    w.both(traffic, onlooker);
}

/// The same where the records are read in place, so that the seen mark moves, too.
fn seen_mark_in_motion(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let ring = w.ring;
    let traffic = move || {
        for tag in [msg(1, 24), msg(2, 24), msg(3, 24)] {
            send(&mut tx, tag);
            rx.try_read().expect("a record is there").release();
        }
    };
    let onlooker = move || {
        ring.head_and_tail().expect("the ring is sound");
    };
    w.both(traffic, onlooker);
}

/// Does somebody who attaches find a seat whose lease was never counted, while a successor sits down?
fn attach_while_sitting(w: &World) {
    let (mut tx, _rx) = (w.producer(), w.consumer());
    assert!(try_send(&mut tx, msg(1, 8)).is_some());
    w.bury(tx.lease());
    let (world, region) = (w.clone(), w.region);
    let successor = move || send(&mut world.succeed_producer(world.lease()), msg(2, 8));
    let onlooker = move || {
        Ring::attach(region).expect("the ring is sound");
    };
    w.both(successor, onlooker);
}

/// Is a second live producer or consumer refused, and a seat given back in order not?
fn taken(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (lease, world) = (w.lease(), w.clone());
    let closer = move || {
        tx.close();
        rx.close();
    };
    let sitter = move || {
        let mut ok = [false; 2];
        for role in [Role::Producer, Role::Consumer] {
            let result = match role {
                Role::Producer => world.ring.sit_producer(lease, world.verdict()).map(|p| p.lease()),
                Role::Consumer => world.ring.sit_consumer(lease, world.verdict()).map(|c| c.lease()),
            };
            match result {
                Ok(got) => assert_eq!((got, world.ring.seat(role)), (lease, Ok(SeatState::Held(lease)))),
                Err(e) => assert!(matches!(e, SeatError::Taken { lease: 1 | 2 }), "{e}"),
            }
            ok[role as usize] = result.is_ok();
        }
        ok
    };
    w.both(closer, sitter);
}

/// Gets exactly one of two successors a dead producer's seat, and goes on rightly?
fn one_of_two_sits(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let sit = |lease: u64| {
        let w = w.clone();
        move || match w.ring.sit_producer(lease, w.verdict()) {
            Ok(mut tx) => {
                send(&mut tx, msg(lease as u32, 8));
                true
            }
            Err(e) => {
                assert!(matches!(e, SeatError::Taken { .. } | SeatError::Contended), "{e}");
                false
            }
        }
    };
    assert!(try_send(&mut tx, msg(1, 8)).is_some());
    w.bury(tx.lease());
    let (a, b) = (w.lease(), w.lease());
    let sat = w.both(sit(a), sit(b));
    assert_ne!(sat.0, sat.1, "exactly one of them sits");
    let n = if sat.0 { a } else { b } as u32;
    recv(&mut rx, msg(1, 8));
    assert_eq!([w.poll(&mut rx), w.poll(&mut rx), w.poll(&mut rx)], [Some(DIED), Some(got(msg(n, 8))), None]);
}

/// Go a closer's successor and the consumer on together: records and ends in order, each end once?
fn successor_after_close(w: &World) {
    succession(w, close_and_go, CLOSED);
}

/// The same after a death between two operations.
fn successor_after_death(w: &World) {
    succession(w, |w, tx| w.bury(tx.lease()), DIED);
}

fn succession(w: &World, end: fn(&World, &mut Producer<'_>), reported: Event) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    let (first, second, third, last) = (w.clone(), w.clone(), w.clone(), Last::new(w.lease(), msg(2, 0)));
    assert!(try_send(&mut tx, msg(1, 0)).is_some());
    let sender = move || end(&first, &mut tx);
    let successor = move || last.go(&second);
    let receiver = move || (third.glance(&mut rx, 2), rx);
    let ((), last, (log, mut rx)) = w.three(sender, successor, receiver);
    assert_eq!(last.finish(w, &mut rx, log), [got(msg(1, 0)), reported, got(msg(2, 0)), CLOSED]);
}

/// Does a successor overwrite what the consumer is still reading, if all it knows is the head it found?
fn successor_writes_over_released(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    for n in 1..=3 {
        assert!(try_send(&mut tx, msg(n, 8)).is_some());
    }
    w.bury(tx.lease());
    let (world, lease) = (w.clone(), w.lease());
    let receiver = move || {
        for n in 1..=3 {
            recv(&mut rx, msg(n, 8));
        }
        rx
    };
    let successor = move || {
        // The mark goes to 48; whether the record can go to 0 depends on the head found when sitting down.
        let mut tx = world.succeed_producer(lease);
        try_send(&mut tx, msg(4, 8)).is_some()
    };
    let (mut rx, sent) = w.both(receiver, successor);
    assert_eq!(w.poll(&mut rx), Some(DIED));
    assert_eq!(w.poll(&mut rx), sent.then_some(got(msg(4, 8))));
}

/// Is the word after a session mark zero before the mark can be seen, whatever a former lap left there?
fn mark_over_old_bytes(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    // One whole lap of records with forged headers, and a little more: the mark's end falls on old payload.
    dirty(&mut tx, &mut rx, &[msg(1, 24), msg(2, 24), msg(3, 0)]);
    w.bury(tx.lease());
    // By the seat: whoever looks again passes the mark in the same look.
    assert_eq!(w.poll(&mut rx), Some(DIED));
    let (first, second, lease) = (w.clone(), w.clone(), w.lease());
    let successor = move || {
        assert_eq!(first.succeed_producer(lease).tail().get(), 80);
        first.bury(lease);
    };
    let receiver = move || (second.glance(&mut rx, 1), rx);
    let ((), (log, mut rx)) = w.both(successor, receiver);
    // The second death is told once, by the seat.
    let log = [log, w.glance(&mut rx, 3)].concat();
    assert!(log == [DIED] || log == [DIED, DIED], "{log:?}");
}

/// Does a successor that finds the ring full write the mark before its first record?
fn mark_waits_for_space(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_send(&mut tx, msg(1, 24)).is_some());
    assert!(try_send(&mut tx, msg(2, 16)).is_some());
    w.bury(tx.lease());
    let lease = w.lease();
    let last = Last::seated(w.succeed_producer(lease), msg(3, 0));
    let (first, second) = (w.clone(), w.clone());
    let successor = move || last.send(&first).send(&first);
    let receiver = move || (second.glance(&mut rx, 3), rx);
    let (last, (log, mut rx)) = w.both(successor, receiver);
    let log = last.finish(w, &mut rx, log);
    assert_eq!(log, [got(msg(1, 24)), got(msg(2, 16)), DIED, got(msg(3, 0)), CLOSED]);
}

/// The same of one who sits down while room is made.
fn mark_waits_while_sitting(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_send(&mut tx, msg(1, 24)).is_some());
    assert!(try_send(&mut tx, msg(2, 16)).is_some());
    w.bury(tx.lease());
    let (first, second, lease) = (w.clone(), w.clone(), w.lease());
    let successor = move || {
        let mut tx = first.succeed_producer(lease);
        send(&mut tx, msg(3, 0));
        tx.close();
    };
    let receiver = move || {
        let log = second.collect(&mut rx, |e| *e == CLOSED);
        assert_eq!(log, [got(msg(1, 24)), got(msg(2, 16)), DIED, got(msg(3, 0)), CLOSED]);
    };
    w.both(successor, receiver);
}

/// Is an end that was told when the ring had run empty told again by the mark, and what follows the mark whole?
fn told_before_the_mark(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    dirty(&mut tx, &mut rx, &[msg(1, 24), msg(2, 24), msg(3, 0)]);
    w.bury(tx.lease());
    assert_eq!(w.poll(&mut rx), Some(DIED));
    let (first, second, last) = (w.clone(), w.clone(), Last::new(w.lease(), msg(4, 16)));
    let receiver = move || (second.glance(&mut rx, 1), rx);
    let (last, (log, mut rx)) = w.both(move || last.go(&first), receiver);
    assert_eq!(last.finish(w, &mut rx, log), [got(msg(4, 16)), CLOSED]);
}

/// Is a consumer that sits down about the time of a producer's death told of it after the records it finds?
fn new_consumer_after_death(w: &World) {
    new_consumer_after(w, |w, tx| w.bury(tx.lease()), DIED);
}

/// The same about the time of an orderly close.
fn new_consumer_after_close(w: &World) {
    new_consumer_after(w, close_and_go, CLOSED);
}

fn new_consumer_after(w: &World, end: fn(&World, &mut Producer<'_>), reported: Event) {
    let mut tx = w.producer();
    let (first, second) = (w.clone(), w.clone());
    let sender = move || {
        assert!(try_send(&mut tx, msg(1, 8)).is_some());
        end(&first, &mut tx);
    };
    let receiver = move || {
        let mut rx = second.consumer();
        assert_eq!(second.collect(&mut rx, |e| matches!(e, Event::Got { .. })), [got(msg(1, 8))]);
        second.collect(&mut rx, |e| *e == reported);
        assert_eq!(second.poll(&mut rx), None);
    };
    w.both(sender, receiver);
}

/// Is an end that a former consumer was told told to the next one, who sits down while the next producer does, and
/// before that has marked it?
fn both_sit_after_a_close(w: &World) {
    both_sit_after(w, close_and_go, CLOSED);
}

/// The same after a death.
fn both_sit_after_a_death(w: &World) {
    both_sit_after(w, |w, tx| w.bury(tx.lease()), DIED);
}

fn both_sit_after(w: &World, end: fn(&World, &mut Producer<'_>), reported: Event) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    end(w, &mut tx);
    assert_eq!(w.poll(&mut rx), Some(reported));
    rx.close();
    both_sit(w, &[got(msg(1, 8)), CLOSED]);
}

/// A producer and a consumer sit down at the same time. What came next is `expect`.
fn both_sit(w: &World, expect: &[Event]) {
    let (first, second, sends, reads) = (w.clone(), w.clone(), w.lease(), w.lease());
    let sender = move || first.succeed_producer(sends);
    let receiver = move || {
        let mut rx = second.succeed_consumer(reads);
        (second.glance(&mut rx, 1), rx)
    };
    let (tx, (log, mut rx)) = w.both(sender, receiver);
    assert_eq!(Last::seated(tx, msg(1, 8)).finish(w, &mut rx, log), expect);
}

/// Does a successor go on rightly while an operator settles the dead producer's seat, the tail stored by the later one?
fn recovered_between(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_send(&mut tx, msg(1, 8)).is_some());
    w.bury(tx.lease());
    let (first, second, lease) = (w.clone(), w.clone(), w.lease());
    let last = Last::new(w.lease(), msg(2, 8));
    let operator = move || {
        let recovered = first.ring.recover(Role::Producer, lease, true, first.verdict());
        assert!(matches!(recovered, Ok(_) | Err(SeatError::Taken { .. } | SeatError::Contended)));
        first.bury(lease);
    };
    let successor = move || last.go(&second);
    let ((), last) = w.both(operator, successor);
    let log = last.finish(w, &mut rx, vec![]);
    assert_eq!(log, [got(msg(1, 8)), DIED, got(msg(2, 8)), CLOSED]);
    let (head, tail) = w.ring.head_and_tail().unwrap();
    assert_eq!(head, tail, "everything was read, and the tail is the successor's");
}

/// Can both seats change hands at the same time, with a record between them?
fn both_sides_pass_on(w: &World) {
    let (mut tx, mut rx) = (w.producer(), w.consumer());
    assert!(try_send(&mut tx, msg(1, 8)).is_some());
    assert!(try_send(&mut tx, msg(2, 8)).is_some());
    w.bury(tx.lease());
    recv(&mut rx, msg(1, 8));
    rx.close();
    both_sit(w, &[got(msg(2, 8)), DIED, got(msg(1, 8)), CLOSED]);
}
