//! When to ask the kernel about others. An operation that is refused costs a few nanoseconds, a question about a
//! lease microseconds; so questions come four times a millisecond at most, and the clock is not looked at for each empty
//! poll of a loop that spins.

use std::time::{Duration, Instant};

use ring_core::mpmc::Blocked;

use super::error::Holder;

/// How long something must stand in the way before anybody is asked about, and the least time between two questions.
const PATIENCE: Duration = Duration::from_micros(250);

/// The least time between two looks, by a consumer that finds nothing, at what others hold.
const ROUND: Duration = Duration::from_micros(500);

/// The least time between two looks at all slots for messages whose readers, and those who repaired them, have died.
const SCAN: Duration = Duration::from_millis(50);

/// Empty polls between two looks at the clock while they come quickly. Small, so that a loop that begins to sleep
/// between its polls is noticed soon.
const STRIDE: u32 = 16;

/// What a consumer that finds nothing should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// Nothing.
    Wait,
    /// Ask about those who hold messages.
    Round,
    /// The same, and look at all slots.
    Scan,
}

/// The memory of one handle's refusals.
#[derive(Debug)]
pub(super) struct Watch {
    blocked: Option<Blocked>,
    /// Who was found in the way.
    holder: Option<Holder>,
    next_question: Instant,
    polls: u32,
    stride: u32,
    last_look: Instant,
    next_round: Instant,
    next_scan: Instant,
    scan_interval: Duration,
}

impl Watch {
    /// For a ring of `slots` slots: a look at all of them is paid for by the time in between.
    pub(super) fn new(slots: u64) -> Self {
        let (now, scan_interval) = (Instant::now(), SCAN.max(Duration::from_micros(slots)));
        Self {
            blocked: None,
            holder: None,
            next_question: now,
            polls: 0,
            stride: 1,
            last_look: now,
            next_round: now,
            next_scan: now + scan_interval,
            scan_interval,
        }
    }

    /// Notes that the caller sleeps between its looks, so that each of them counts.
    pub(super) fn slept(&mut self) {
        self.stride = 1;
    }

    /// Notes that `blocked` is in the way; whether to ask who that is, and whether it lives.
    pub(super) fn is_blocked(&mut self, blocked: Blocked) -> bool {
        let now = Instant::now();
        if self.blocked != Some(blocked) {
            (self.blocked, self.holder) = (Some(blocked), None);
            self.next_question = now + PATIENCE;
            return false;
        }
        let due = now >= self.next_question;
        if due {
            self.next_question = now + PATIENCE;
        }
        due
    }

    /// Notes who was found to be in the way.
    pub(super) fn found(&mut self, holder: Holder) {
        self.holder = Some(holder);
    }

    /// Who is in the way of `blocked`, if that is known.
    pub(super) fn holder(&self, blocked: Blocked) -> Option<Holder> {
        self.holder.filter(|_| self.blocked == Some(blocked))
    }

    /// Notes that there was nothing to read.
    #[inline]
    pub(super) fn is_idle(&mut self) -> Idle {
        self.polls = self.polls.wrapping_add(1);
        if self.polls < self.stride { Idle::Wait } else { self.look() }
    }

    #[cold]
    fn look(&mut self) -> Idle {
        self.polls = 0;
        let now = Instant::now();
        let quick = now.duration_since(self.last_look) < PATIENCE;
        self.stride = if quick { (self.stride * 2).min(STRIDE) } else { 1 };
        self.last_look = now;
        if now < self.next_round {
            return Idle::Wait;
        }
        self.next_round = now + ROUND;
        if now < self.next_scan {
            return Idle::Round;
        }
        self.next_scan = now + self.scan_interval;
        Idle::Scan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring_core::Position;

    #[test]
    fn something_new_in_the_way_is_given_time() {
        let mut watch = Watch::new(4);
        let (one, two) = (Blocked::Write(Position::new(1)), Blocked::Read(Position::new(1)));
        assert!(!watch.is_blocked(one) && !watch.is_blocked(one));
        watch.found(Holder { index: 3, pid: 4, lease: 5 });
        std::thread::sleep(PATIENCE);
        assert!(watch.is_blocked(one));
        assert_eq!(watch.holder(one).map(|holder| holder.lease), Some(5));
        assert!(!watch.is_blocked(one) && !watch.is_blocked(two));
        assert_eq!((watch.holder(one), watch.holder(two)), (None, None));
    }

    #[test]
    fn a_slow_poller_looks_each_time_and_a_quick_one_seldom() {
        let mut watch = Watch::new(4);
        let looks = (0..1000).filter(|_| watch.is_idle() != Idle::Wait).count();
        assert!(looks < 100);
        for _ in 0..STRIDE {
            std::thread::sleep(ROUND);
            watch.is_idle();
        }
        for _ in 0..5 {
            std::thread::sleep(ROUND);
            assert_ne!(watch.is_idle(), Idle::Wait);
        }
    }
}
