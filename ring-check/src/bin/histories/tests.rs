//! Histories that are right, and histories of queues with a bug, which the checker has to tell apart.

use crate::model::{Answer, Call, Operation, Rules, is_linearizable};

const RULES: Rules = Rules { room: 2, gaps: true, returns: true };

fn at(from: u64, to: u64, call: Call, value: u64, answer: Answer) -> Operation {
    Operation { call, value, answer, from, to }
}

fn send(from: u64, to: u64, value: u64) -> Operation {
    at(from, to, Call::Send, value, Answer::Done(false))
}

fn recv(from: u64, to: u64, value: u64) -> Operation {
    at(from, to, Call::Recv, value, Answer::Done(false))
}

fn again(from: u64, to: u64, value: u64) -> Operation {
    at(from, to, Call::Recv, value, Answer::Done(true))
}

fn empty(from: u64, to: u64) -> Operation {
    at(from, to, Call::Recv, 0, Answer::Nothing)
}

fn full(from: u64, to: u64) -> Operation {
    at(from, to, Call::Send, 9, Answer::Nothing)
}

#[track_caller]
fn good(history: &[Vec<Operation>]) {
    assert!(is_linearizable(history, RULES), "{history:?}");
}

#[track_caller]
fn bad(history: &[Vec<Operation>]) {
    assert!(!is_linearizable(history, RULES), "{history:?}");
}

#[test]
fn one_after_the_other() {
    good(&[vec![send(1, 2, 1), send(3, 4, 2)], vec![recv(5, 6, 1), recv(7, 8, 2), empty(9, 10)]]);
    bad(&[vec![send(1, 2, 1), send(3, 4, 2)], vec![recv(5, 6, 2), recv(7, 8, 1)]]);
}

#[test]
fn overlapping_sends_have_either_order() {
    good(&[vec![send(1, 5, 1)], vec![send(2, 6, 2)], vec![recv(7, 8, 2), recv(9, 10, 1)]]);
    bad(&[vec![send(1, 2, 1)], vec![send(3, 6, 2)], vec![recv(7, 8, 2), recv(9, 10, 1)]]);
}

#[test]
fn two_receivers_overtake_only_while_they_overlap() {
    let sends = vec![send(1, 2, 1), send(3, 4, 2)];
    good(&[sends.clone(), vec![recv(5, 9, 1)], vec![recv(6, 8, 2)]]);
    bad(&[sends, vec![recv(8, 9, 1)], vec![recv(6, 7, 2)]]);
}

#[test]
fn lost_doubled_invented() {
    bad(&[vec![send(1, 2, 1)], vec![empty(3, 4)]]);
    bad(&[vec![send(1, 2, 1)], vec![recv(3, 4, 1), recv(5, 6, 1)]]);
    bad(&[vec![send(1, 2, 1)], vec![recv(3, 4, 1), recv(5, 6, 7)]]);
    bad(&[vec![send(3, 4, 1)], vec![recv(1, 2, 1)]]);
}

#[test]
fn empty_and_full_mean_what_they_say() {
    bad(&[vec![send(1, 2, 1)], vec![empty(3, 4), recv(5, 6, 1)]]);
    good(&[vec![send(1, 4, 1)], vec![empty(3, 5), recv(6, 7, 1)]]);
    good(&[vec![send(1, 2, 1), send(3, 4, 2), full(5, 6)], vec![recv(7, 8, 1), recv(9, 10, 2)]]);
    bad(&[vec![send(1, 2, 1), full(3, 4)], vec![recv(7, 8, 1)]]);
    bad(&[vec![send(1, 2, 1), send(3, 4, 2), send(5, 6, 3)], vec![recv(7, 8, 1), recv(9, 10, 2), recv(11, 12, 3)]]);
}

#[test]
fn gaps_take_room_until_they_are_passed() {
    let abort = |from, to| at(from, to, Call::Abort, 0, Answer::Done(false));
    good(&[vec![send(1, 2, 1), abort(3, 4), full(5, 6)], vec![recv(7, 8, 1), empty(9, 10)]]);
    bad(&[vec![abort(1, 2), full(5, 6)], vec![empty(3, 4)]]);
}

#[test]
fn kept_messages_come_again_with_a_flag() {
    let keep = |from, to, value| at(from, to, Call::Keep, value, Answer::Done(false));
    good(&[vec![send(1, 2, 1), send(3, 4, 2)], vec![keep(5, 6, 1), recv(7, 8, 2), again(9, 10, 1)]]);
    bad(&[vec![send(1, 2, 1), send(3, 4, 2)], vec![keep(5, 6, 1), recv(7, 8, 2), recv(9, 10, 1)]]);
    bad(&[vec![send(1, 2, 1)], vec![keep(5, 6, 1), empty(7, 8)]]);
    let in_place = Rules { returns: false, ..RULES };
    assert!(is_linearizable(&[vec![send(1, 2, 1)], vec![keep(3, 4, 1), recv(5, 6, 1)]], in_place));
    let overtaken = [vec![send(1, 2, 1), send(3, 4, 2)], vec![keep(5, 6, 1), recv(7, 8, 2), again(9, 10, 1)]];
    assert!(!is_linearizable(&overtaken, in_place));
}

#[test]
fn the_killed_may_have_done_it_or_not() {
    let pending = |from, call, value| at(from, 0, call, value, Answer::Pending);
    good(&[vec![pending(1, Call::Send, 1)], vec![empty(3, 4)]]);
    good(&[vec![pending(1, Call::Send, 1)], vec![empty(3, 4), recv(5, 6, 1)]]);
    bad(&[vec![pending(5, Call::Send, 1)], vec![recv(3, 4, 1)]]);
    // Consumed, or back with a flag; not back without one, and not both.
    let sent = vec![send(1, 2, 1)];
    good(&[sent.clone(), vec![pending(3, Call::Recv, 0)], vec![empty(5, 6)]]);
    good(&[sent.clone(), vec![pending(3, Call::Recv, 1)], vec![again(5, 6, 1)]]);
    bad(&[sent.clone(), vec![pending(3, Call::Recv, 1)], vec![again(5, 6, 1), again(7, 8, 1)]]);
    bad(&[sent, vec![pending(7, Call::Recv, 1)], vec![again(5, 6, 1)]]);
}
