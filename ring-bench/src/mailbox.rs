//! Orders from the driver to one peer and answers back, through words that parent and child share.
//!
//! One mailbox per peer. The driver writes the order, then bumps `number` (Release) and wakes; the peer answers by
//! writing its outcome and then `done` (Release). A peer that is not told to stay hot sleeps in the kernel between
//! orders, so that it never takes part of a CPU on which somebody else is being measured.

use crate::seam::{Fault, Outcome, Work};
use crate::sys;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// What a peer is told to do; `candidate` indexes the list that both sides built before the fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Make the part of this candidate.
    Make,
    /// Run it with every word checked.
    Check,
    /// Run one slice.
    Slice,
    /// Answer the placement probe.
    Probe,
    /// End.
    Quit,
}

impl Order {
    const ALL: [Self; 5] = [Self::Make, Self::Check, Self::Slice, Self::Probe, Self::Quit];

    fn code(self) -> u32 {
        self as u32
    }

    fn from_code(code: u32) -> Self {
        Self::ALL.get(code as usize).copied().unwrap_or(Self::Quit)
    }
}

/// One order with its arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter {
    pub(crate) order: Order,
    pub(crate) candidate: usize,
    pub(crate) work: Work,
    /// The value of the shared arrival counter at which all parties of this order have arrived.
    pub(crate) goal: u32,
    /// Poll for the next order instead of sleeping: it follows at once.
    pub(crate) stay: bool,
}

/// What a peer answers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) result: Result<Outcome, Fault>,
    /// Nanoseconds of a slice in which the party did not have its CPU.
    pub(crate) lost: u64,
}

/// The shared words of one peer. First line: driver to peer; the others: peer to driver.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Mailbox {
    number: AtomicU32,
    order: AtomicU32,
    candidate: AtomicU32,
    goal: AtomicU32,
    stay: AtomicU32,
    warm: AtomicU64,
    count: AtomicU64,
    reply: Reply,
}

#[derive(Debug)]
#[repr(C, align(128))]
struct Reply {
    done: AtomicU32,
    fault: AtomicU32,
    begin: AtomicU64,
    end: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    lost: AtomicU64,
    text: [AtomicU64; 32],
}

impl Mailbox {
    /// Driver: posts an order and wakes the peer.
    pub(crate) fn post(&self, letter: &Letter) {
        self.order.store(letter.order.code(), Relaxed);
        self.candidate.store(letter.candidate as u32, Relaxed);
        self.goal.store(letter.goal, Relaxed);
        self.stay.store(u32::from(letter.stay), Relaxed);
        self.warm.store(letter.work.warm, Relaxed);
        self.count.store(letter.work.count, Relaxed);
        self.number.fetch_add(1, Release);
        sys::futex_wake(&self.number);
    }

    /// Peer: the next order after number `seen`; `hot` polls for a few milliseconds before it sleeps.
    pub(crate) fn next(&self, seen: &mut u32, hot: bool) -> Letter {
        let mut polls = if hot { 200_000 } else { 0 };
        while self.number.load(Acquire) == *seen {
            if polls > 0 {
                polls -= 1;
                spin_loop();
            } else {
                sys::futex_wait(&self.number, *seen);
            }
        }
        *seen = seen.wrapping_add(1);
        Letter {
            order: Order::from_code(self.order.load(Relaxed)),
            candidate: self.candidate.load(Relaxed) as usize,
            work: Work { warm: self.warm.load(Relaxed), count: self.count.load(Relaxed) },
            goal: self.goal.load(Relaxed),
            stay: self.stay.load(Relaxed) != 0,
        }
    }

    /// Peer: answers the order it got last.
    pub(crate) fn answer(&self, answer: &Answer) {
        let reply = &self.reply;
        let (code, text) = match &answer.result {
            Ok(_) => (0, ""),
            Err(Fault::Stuck) => (1, ""),
            Err(Fault::Disorder) => (2, ""),
            Err(Fault::Content) => (3, ""),
            Err(Fault::Setup(why)) => (4, why.as_str()),
        };
        let outcome = answer.result.as_ref().copied().unwrap_or_default();
        reply.fault.store(code, Relaxed);
        reply.begin.store(outcome.begin, Relaxed);
        reply.end.store(outcome.end, Relaxed);
        reply.sent.store(outcome.sent, Relaxed);
        reply.received.store(outcome.received, Relaxed);
        reply.lost.store(answer.lost, Relaxed);
        let mut bytes = text.bytes();
        for word in &reply.text {
            // Zero-padded; a text that is too long is cut.
            word.store(u64::from_le_bytes(core::array::from_fn(|_| bytes.next().unwrap_or(0))), Relaxed);
        }
        reply.done.store(self.number.load(Relaxed), Release);
    }

    /// Driver: the answer to the order posted last, once it is there.
    pub(crate) fn answered(&self) -> Option<Answer> {
        let reply = &self.reply;
        if reply.done.load(Acquire) != self.number.load(Relaxed) {
            return None;
        }
        let result = match reply.fault.load(Relaxed) {
            0 => Ok(Outcome {
                begin: reply.begin.load(Relaxed),
                end: reply.end.load(Relaxed),
                sent: reply.sent.load(Relaxed),
                received: reply.received.load(Relaxed),
            }),
            1 => Err(Fault::Stuck),
            2 => Err(Fault::Disorder),
            3 => Err(Fault::Content),
            _ => {
                let bytes: Vec<u8> = reply.text.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
                let text = String::from_utf8_lossy(&bytes);
                Err(Fault::Setup(text.trim_end_matches('\0').to_owned()))
            }
        };
        Some(Answer { result, lost: reply.lost.load(Relaxed) })
    }
}
