//! The exact checker: is there an order of the operations of a history, each at one moment between its call and its
//! return, in which a first-in-first-out queue gives the same answers? Wing and Gong's search with Lowe's memory of the
//! configurations it has been to. Operations whose process was killed may have taken effect or not.

use std::collections::HashSet;

/// What was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Send the value.
    Send,
    /// Claim room for a message and give it back.
    Abort,
    /// Receive, and release.
    Recv,
    /// Receive, and put back.
    Keep,
}

/// What it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing any more: its process was killed.
    Pending,
    /// Done; whether the message was flagged as redelivered.
    Done(bool),
    /// Full, or Empty.
    Nothing,
    /// Busy, or the end of a session: says nothing about the queue.
    Busy,
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) call: Call,
    /// Sent or received; 0: none is known.
    pub(crate) value: u64,
    pub(crate) answer: Answer,
    /// When it was called and when it returned.
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What the queue is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Messages that fit in.
    pub(crate) room: usize,
    /// Whether a claim that is given back takes a place until a reader has passed it.
    pub(crate) gaps: bool,
    /// Whether a message that is put back leaves its place in the order.
    pub(crate) returns: bool,
}

/// A gap among the values of the queue.
const GAP: u64 = 0;

/// A configuration: how far each process has come, and what that has made of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    next: Vec<usize>,
    queue: Vec<u64>,
    /// Put back, and not delivered again yet.
    returned: Vec<u64>,
}

/// Whether the operations of each process, in its order, are those of a queue that is empty before and afterwards.
pub(crate) fn is_linearizable(history: &[Vec<Operation>], rules: Rules) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![State { next: vec![0; history.len()], queue: Vec::new(), returned: Vec::new() }];
    while let Some(state) = open.pop() {
        if !seen.insert(state.clone()) {
            continue;
        }
        if is_end(history, &state) {
            return true;
        }
        for process in 0..history.len() {
            let Some(operation) = history[process].get(state.next[process]) else { continue };
            let first = (0..history.len())
                .filter(|other| *other != process)
                .filter_map(|other| history[other].get(state.next[other]))
                .all(|other| other.answer == Answer::Pending || other.to >= operation.from);
            if first {
                step(&state, process, operation, rules, &mut open);
            }
        }
    }
    false
}

fn is_end(history: &[Vec<Operation>], state: &State) -> bool {
    let all = history
        .iter()
        .zip(&state.next)
        .all(|(operations, next)| operations[*next..].iter().all(|operation| operation.answer == Answer::Pending));
    all && state.returned.is_empty() && state.queue.iter().all(|value| *value == GAP)
}

/// Adds what the configuration may become by `operation`.
fn step(state: &State, process: usize, operation: &Operation, rules: Rules, open: &mut Vec<State>) {
    let mut state = state.clone();
    state.next[process] += 1;
    let (value, pending) = (operation.value, operation.answer == Answer::Pending);
    match (operation.call, operation.answer) {
        (_, Answer::Busy) => open.push(state),
        (Call::Send, Answer::Done(_)) => open.extend(pushed(state, value, rules)),
        (Call::Abort, Answer::Done(_)) => open.extend(if rules.gaps { pushed(state, GAP, rules) } else { Some(state) }),
        (Call::Send | Call::Abort, Answer::Nothing) => {
            if state.queue.len() >= rules.room {
                open.push(state);
            }
        }
        (Call::Send | Call::Abort, Answer::Pending) => {
            if operation.call == Call::Send {
                open.extend(pushed(state.clone(), value, rules));
            }
            if rules.gaps {
                open.extend(pushed(state, GAP, rules));
            }
        }
        (Call::Recv | Call::Keep, Answer::Nothing) => {
            if state.queue.iter().all(|value| *value == GAP) {
                state.queue.clear();
                open.push(state);
            }
        }
        (Call::Recv | Call::Keep, Answer::Done(_) | Answer::Pending) => {
            let flagged = operation.answer == Answer::Done(true);
            for (mut after, value) in taken(&state, value, flagged || pending, !(flagged && rules.returns), rules) {
                let keeps = operation.call == Call::Keep || pending;
                if keeps && rules.returns {
                    let mut kept = after.clone();
                    kept.returned.push(value);
                    kept.returned.sort_unstable();
                    open.push(kept);
                } else if keeps {
                    let mut kept = after.clone();
                    kept.queue.insert(0, value);
                    open.push(kept);
                }
                if operation.call == Call::Recv || pending {
                    after.returned.sort_unstable();
                    open.push(after);
                }
            }
        }
    }
}

/// With `value` at the end; `None` when there is no room, not even if readers pass the gaps in front.
fn pushed(mut state: State, value: u64, rules: Rules) -> Option<State> {
    while state.queue.len() >= rules.room && state.queue.first() == Some(&GAP) {
        state.queue.remove(0);
    }
    if state.queue.len() >= rules.room {
        return None;
    }
    state.queue.push(value);
    Some(state)
}

/// Without the message `value` (0: any) that a receiver may get: one that was put back, or the first one.
fn taken(state: &State, value: u64, returned: bool, first: bool, rules: Rules) -> Vec<(State, u64)> {
    let mut all = Vec::new();
    if returned && rules.returns {
        for (at, back) in state.returned.iter().enumerate().filter(|(_, back)| value == 0 || **back == value) {
            let mut after = state.clone();
            after.returned.remove(at);
            all.push((after, *back));
        }
    }
    let gaps = state.queue.iter().take_while(|value| **value == GAP).count();
    if let Some(front) = state.queue.get(gaps).filter(|front| first && (value == 0 || **front == value)) {
        let mut after = state.clone();
        after.queue.drain(..=gaps);
        all.push((after, *front));
    }
    all
}
